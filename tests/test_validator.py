"""The validator at the border of a judge: what raises, what had no effect, what nobody can say yet."""

from datetime import UTC, datetime, timedelta

import pytest

from actors.validator import Validator
from messages.claims import History, Judgement
from messages.claims.event import EventClaim
from messages.claims.health import HealthClaim
from messages.events import Recorded, RunEvent
from messages.fault_events import FaultArmed, FaultInjected, FaultUnseen
from messages.judgements import AssertionJudged
from messages.observations import EventMatched, Match
from messages.run_events import ActionRequested, AssertionOpened, PhaseFinished, PhaseStarted, RunAccepted
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from messages.verdicts import Reason, Verdict
from runs.judging import Evidence
from runs.windows import window_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ZERO = timedelta()


class Looked:
    """What the validator is given of a run."""

    def __init__(self) -> None:
        self.view = Evidence("r")
        self.sequence = 0
        scenario = Scenario.model_validate_json("""{"metadata": {"name": "s"}, "spec": {"system": "y", "phases": [
          {"name": "chaos", "duration": "5s", "actions": [{"id": "f", "target": "a", "action": "kill"}]}]}}""")
        system = System.model_validate_json("""{"metadata": {"name": "y"}, "spec": {"services": {"a": {
          "driver": {"process": {"command": ["a"]}}, "health": {"tcp": {"address": "h:1"}}}}}}""")
        self.add(RunAccepted(key="k", scenario=scenario, system=system, submitted=BEGIN))
        self.add(PhaseStarted(phase="chaos", kind="phase"))

    def add(self, event: RunEvent) -> None:
        self.sequence += 1
        at = BEGIN + timedelta(seconds=self.sequence)
        self.view.apply(Recorded(event, "r", 0, "any", event.entity, self.sequence, at, ""))

    def open(self, claim: EventClaim | HealthClaim) -> None:
        self.add(AssertionOpened(assertion=claim.id, claim=claim, phase="chaos", opens=BEGIN + timedelta(seconds=2)))

    def judged(self) -> list[AssertionJudged]:
        return list(Validator().judge_open(None, self))  # type: ignore[arg-type]

    def matched(self, name: str, count: int, *, final: bool = False) -> None:
        assertion = self.view.state.assertions[name]
        window = window_of(self.view.state, assertion.claim, assertion.phase)
        opens, closes = window.opens or BEGIN, window.closes
        until = closes or opens
        kept = tuple(Match(id=str(n), type="t", source="a", sequence=n, at=opens) for n in range(count))
        event = EventMatched(
            kept=kept,
            assertion=name,
            number=1,
            opens=opens,
            closes=closes,
            until=until,
            through=9,
            final=final,
            count=count,
            seen=count + 1,
        )
        self.add(event)


def claim(name: str = "c", **words: object) -> EventClaim:
    return EventClaim.model_validate({"id": name, "type": "event", "where": "true", **words})


def test_nothing_is_said_while_nothing_can_be_said() -> None:
    looked = Looked()
    looked.open(claim(never=True))
    looked.matched("c", 0)

    assert looked.judged() == []


def test_a_judgement_names_its_evidence() -> None:
    looked = Looked()
    looked.open(claim())
    looked.matched("c", 1)

    (judged,) = looked.judged()

    assert judged.verdict is Verdict.PASSED
    assert judged.evidence == ("any.c.event.matched.1",)


def test_a_claim_judged_once_is_not_judged_again() -> None:
    looked = Looked()
    looked.open(claim())
    looked.matched("c", 1)
    for judged in looked.judged():
        looked.add(judged)

    assert looked.judged() == []


def test_a_judge_that_raises_is_inconclusive_and_says_what_it_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: EventClaim, history: History) -> Judgement:
        msg = "a bug"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr(EventClaim, "judge", broken)
    looked = Looked()
    looked.open(claim())

    (judged,) = looked.judged()

    assert (judged.verdict, judged.reason) == (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)
    assert "ZeroDivisionError: a bug" in judged.message


def test_a_claim_about_a_fault_without_effect_is_inconclusive_even_if_it_would_pass() -> None:
    looked = Looked()
    action = looked.view.state.scenario.spec.phases[0].actions[0]
    looked.add(ActionRequested(fault_id="f", phase="chaos", target="a", action=action))
    looked.add(FaultArmed(fault_id="f", target="a", action="kill", until=BEGIN, undo=Undo(kind="process.start", service="a")))
    looked.add(FaultInjected(fault_id="f", took=ZERO, ago=ZERO))
    looked.add(FaultUnseen(fault_id="f", within=timedelta(seconds=5)))
    looked.open(claim(after="f.injected"))
    looked.add(PhaseFinished(phase="chaos", kind="phase"))
    looked.matched("c", 1, final=True)

    (judged,) = looked.judged()

    assert (judged.verdict, judged.reason) == (Verdict.INCONCLUSIVE, Reason.NO_EFFECT)


def test_a_never_waits_for_the_window_to_have_been_read_to_its_end() -> None:
    looked = Looked()
    looked.open(claim(never=True))
    looked.add(PhaseFinished(phase="chaos", kind="phase"))
    looked.matched("c", 0)
    early = looked.judged()
    looked.matched("c", 0, final=True)

    (judged,) = looked.judged()

    assert early == []
    assert judged.verdict is Verdict.PASSED
