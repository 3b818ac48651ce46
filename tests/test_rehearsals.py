"""A rehearsal: a run that does all but its faults. What the scheduler decides in it, and what it says of each claim. Pure."""

from collections.abc import Iterable
from datetime import timedelta

import pytest
from pydantic import TypeAdapter

from actors.scheduler.decide import decide
from messages.claims import AnyClaim
from messages.claims.claim import Scope
from messages.control_events import PauseRequested, ResumeRequested
from messages.events import RunEvent
from messages.fault_events import FaultEvent
from messages.judgements import AssertionJudged
from messages.rehearsal_events import FaultRehearsalEnded, FaultRehearsed
from messages.run_events import (
    AbortRequested,
    ActionRequested,
    AssertionOpened,
    PhaseFinished,
    PhaseStarted,
    RunFinished,
    TargetResolved,
    UndoRequested,
)
from messages.verdicts import HINTS, Control, Reason, Verdict
from runs.history import Observations as Seen
from runs.history import excused, history_of
from runs.rehearsals import control_of, role_of
from runs.state import RunState
from runs.windows import window_of
from tests.test_scheduler_decide import BEGIN, CHAOS, KILL, Play, injector, scenario, validator

CLAIM: TypeAdapter[AnyClaim] = TypeAdapter(AnyClaim)
PHASES = """{"name": "calm", "duration": "1s"}, {"name": "chaos", "duration": "5s",
  "actions": [{"id": "kill", "target": "engine", "action": "kill"}]}, {"name": "after", "duration": "1s"}"""
EVENT = {"type": "event", "where": "true"}
AUDIT = {"type": "audit", "target": "engine", "sequence": ["x"]}
HTTP = {"type": "http", "url": "http://h:1/"}
HEALTH = {"type": "health", "target": "engine"}
METRIC = {"type": "metric", "target": "engine", "metric": "x"}
KEYS = {"type": "continuity", "key": "event.data.n", "opened_by": "a", "closed_by": "b"}
LATENCY = {"type": "latency", "probe": "p", "percentile": 99, "at_most": "1s"}
RECOVERY = {"type": "recovery", "target": "engine", "of": "kill", "within": "3s", "by": "any"}


def rehearsed(phases: str, *answers: object, rest: str = "", **verdicts: Verdict) -> Play:
    return Play(scenario(phases, rest), [injector, *(answers or (validator(**verdicts),))], rehearsal=True)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("words", "phase", "role"),
    [
        pytest.param({**EVENT}, "chaos", "effect", id="events in a phase with a fault"),
        pytest.param({**EVENT, "at_least": 2, "at_most": 9}, "chaos", "effect", id="some events, and not too many"),
        pytest.param({**EVENT}, "calm", "bound", id="events in a phase without a fault"),
        pytest.param({**EVENT}, "after", "bound", id="events in a phase after the fault"),
        pytest.param({**EVENT}, None, "bound", id="events of the whole run"),
        pytest.param({**EVENT, "during": "kill"}, None, "effect", id="events during a fault"),
        pytest.param({**EVENT, "after": "kill.injected"}, None, "effect", id="events after a moment of a fault"),
        pytest.param({**EVENT, "before": "kill"}, None, "bound", id="events before a fault is requested"),
        pytest.param({**EVENT, "before": "kill.injected"}, "chaos", "bound", id="events of the phase before its fault is injected"),
        pytest.param({**EVENT, "before": "kill.gone"}, None, "effect", id="events before a fault is gone"),
        pytest.param({**EVENT, "after": "kill.requested", "before": "kill.injected"}, None, "effect", id="events after one moment"),
        pytest.param({**EVENT, "never": True}, "chaos", "bound", id="no event"),
        pytest.param({**EVENT, "at_most": 3}, "chaos", "bound", id="not too many events"),
        pytest.param({**EVENT, "never": True, "during": "kill"}, None, "bound", id="no event during a fault"),
        pytest.param({**AUDIT}, "chaos", "effect", id="a story"),
        pytest.param({**AUDIT}, "calm", "bound", id="a story without a fault"),
        pytest.param({**HTTP, "within": "1s"}, "chaos", "effect", id="an answer within"),
        pytest.param({**HTTP, "throughout": True}, "chaos", "bound", id="answers throughout"),
        pytest.param({**HTTP}, "chaos", "bound", id="an answer at the end"),
        pytest.param({**METRIC, "at_least": 1, "within": "1s"}, "chaos", "effect", id="a metric within"),
        pytest.param({**METRIC, "at_least": 1, "of": "increase"}, "chaos", "effect", id="a metric grows"),
        pytest.param({**METRIC, "at_least": 1}, "chaos", "bound", id="a metric is high at the end"),
        pytest.param({**METRIC, "at_most": 1, "of": "rate"}, "chaos", "bound", id="a metric grows slowly"),
        pytest.param({**HEALTH, "within": "1s"}, "chaos", "bound", id="healthy within"),
        pytest.param({**HEALTH, "throughout": True, "during": "kill"}, None, "bound", id="healthy throughout"),
        pytest.param({**HEALTH, "never": True, "during": "kill"}, None, "effect", id="never healthy"),
        pytest.param({**KEYS}, "chaos", "bound", id="nothing is lost"),
        pytest.param({**LATENCY, "during": "kill"}, None, "bound", id="quick enough"),
        pytest.param({**RECOVERY}, None, "recovery", id="recovers"),
        pytest.param({**EVENT, "without_fault": "holds"}, "chaos", "bound", id="said to hold"),
        pytest.param({**HTTP, "throughout": True, "without_fault": "fails"}, "chaos", "effect", id="said to fail"),
    ],
)
def test_what_a_claim_is_to_a_rehearsal_follows_from_the_document(words: dict[str, object], phase: str | None, role: str) -> None:
    claim = CLAIM.validate_python({"id": "c", **words}, strict=False)

    assert role_of(scenario(PHASES), claim, phase) == role


@pytest.mark.parametrize(
    ("role", "verdict", "control"),
    [
        ("effect", Verdict.PASSED, "vacuous"),
        ("effect", Verdict.FAILED, "needs_fault"),
        ("effect", Verdict.INCONCLUSIVE, None),
        ("bound", Verdict.PASSED, None),
        ("bound", Verdict.FAILED, None),
        ("recovery", Verdict.INCONCLUSIVE, "control"),
        ("recovery", Verdict.PASSED, "control"),
        ("recovery", None, None),
        (None, Verdict.PASSED, None),
        (None, Verdict.FAILED, None),
    ],
)
def test_what_a_judgement_means(role: str | None, verdict: Verdict | None, control: Control | None) -> None:
    assert control_of(role, verdict) == control  # type: ignore[arg-type]


def test_a_recovery_cannot_be_said_to_hold_without_its_fault() -> None:
    scope = Scope(services={"engine": frozenset()}, faults={"kill": ("engine", "kill")}, phase=None)
    claim = CLAIM.validate_python({"id": "c", **RECOVERY, "without_fault": "holds"}, strict=False)

    assert [problem.path for problem in claim.problems(scope)] == [("without_fault",)]


def test_no_injector_ever_hears_of_a_fault_and_nothing_says_that_one_was_there() -> None:
    play = rehearsed(KILL)
    play.run()

    assert play.times(FaultRehearsed) != []
    assert not [r for r in play.journal if isinstance(r.event, ActionRequested | UndoRequested | FaultEvent)]
    assert excused(play.state) == {}
    fault = play.state.actions.states["kill"]
    assert (fault.armed_at, fault.injected, fault.effective, fault.reverted, fault.gone) == (None,) * 5


def test_what_is_no_fault_is_done() -> None:
    play = rehearsed(CHAOS, rest=', "finally": [{"id": "tidy", "target": "engine", "action": "start"}]')
    play.run()

    assert [r.event.fault_id for r in play.journal if isinstance(r.event, ActionRequested)] == ["tidy"]
    assert play.state.actions.states["tidy"].outcome == "done"


def test_a_rehearsed_fault_lasts_for_its_for_and_the_phase_ends_with_it() -> None:
    play = rehearsed(KILL, fills=Verdict.FAILED)
    finished = play.run()

    (begun,), (ended,) = play.times(FaultRehearsed), play.times(FaultRehearsalEnded)
    assert 2.99 <= ended - begun < 3.1
    assert play.times(PhaseFinished)[1] - ended < 0.1
    assert finished.verdict is Verdict.PASSED, finished


def test_one_without_an_end_lasts_to_its_phases_end_and_no_longer_than_the_phase() -> None:
    play = rehearsed(PHASES)
    play.run()

    kinds = play.kinds()
    assert 4.99 <= play.times(FaultRehearsalEnded)[0] - play.times(FaultRehearsed)[0] < 5.1
    assert kinds.index("fault.rehearsal.ended:kill") < kinds.index("phase.finished:chaos") < kinds.index("phase.started:after")


def test_one_that_ends_by_itself_lasts_for_a_second_and_what_comes_after_it_waits_for_that() -> None:
    chained = """{"name": "chaos", "actions": [{"id": "one", "target": "engine", "action": "restart"},
      {"id": "two", "target": "exchange", "action": "kill", "for": "2s", "after": "one", "delay": "1s"}]}"""
    play = rehearsed(chained)
    play.run()

    first, second = play.times(FaultRehearsed)
    assert 0.99 <= play.times(FaultRehearsalEnded)[0] - first < 1.1
    assert 1.99 <= second - first < 2.2


def test_live_targets_are_chosen_as_always() -> None:
    live = """{"name": "chaos", "actions": [
      {"id": "any", "target": {"of": ["engine", "exchange"], "pick": 1}, "action": "kill", "for": "1s"}]}"""
    play = rehearsed(live)
    play.run()

    (chosen,) = [r.event.chosen for r in play.journal if isinstance(r.event, TargetResolved)]
    assert [r.event.target for r in play.journal if isinstance(r.event, FaultRehearsed)] == list(chosen)


def test_windows_open_and_close_as_they_would() -> None:
    claims = """, "assertions": [{"id": "in", "type": "event", "where": "true", "during": "kill"},
      {"id": "before", "type": "event", "where": "true", "before": "kill.injected"},
      {"id": "then", "type": "event", "where": "true", "after": "kill", "within": "2s"}]"""
    play = rehearsed(KILL, rest=claims, **{"in": Verdict.FAILED, "then": Verdict.FAILED, "fills": Verdict.FAILED})
    play.run()
    (begun,), (ended,) = play.times(FaultRehearsed), play.times(FaultRehearsalEnded)

    def window(name: str) -> tuple[float | None, float | None]:
        found = window_of(play.state, *play.state.scenario.claims()[name])
        return tuple((at - BEGIN).total_seconds() if at else None for at in (found.opens, found.closes))  # type: ignore[return-value]

    assert window("in") == (begun, ended)
    assert window("before")[1] == begun
    assert window("then") == (ended, ended + 2)


def test_a_recovery_is_opened_and_cannot_be_judged() -> None:
    def judge(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if not isinstance(event, AssertionOpened) or event.assertion != "back":
            yield from validator(fills=Verdict.FAILED)(play, event)
            return
        found = event.claim.judge(history_of(play.state, Seen(), play.state.assertions["back"]))
        assert found is not None
        yield "validator", AssertionJudged(assertion="back", verdict=found.verdict, reason=found.reason, message=found.message, evidence=())

    back = ', "assertions": [{"id": "back", "type": "recovery", "target": "engine", "of": "kill", "within": "3s", "by": "any"}]'
    play = rehearsed(KILL, judge, rest=back)
    finished = play.run()

    state = play.state.assertions["back"]
    assert (state.verdict, state.control) == (Verdict.INCONCLUSIVE, "control")
    assert "only rehearsed" in state.message
    assert finished.verdict is Verdict.PASSED


def test_a_claim_that_passes_without_its_fault_makes_the_run_inconclusive_and_is_named() -> None:
    more = ', "assertions": [{"id": "told", "type": "event", "where": "true", "during": "kill"}]'
    finished = rehearsed(KILL, rest=more).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.VACUOUS)
    assert finished.message.startswith("fills, told passed without")
    assert finished.hint == HINTS[Reason.VACUOUS]
    assert finished.cause is not None
    assert finished.cause.startswith("validator.")


def test_the_same_claims_in_a_real_run_mean_what_they_always_meant() -> None:
    play = Play(scenario(KILL), [injector, validator()])

    assert play.run().verdict is Verdict.PASSED
    assert play.state.assertions["fills"].control is None


@pytest.mark.parametrize("on_fail", ["stop", "abort"])
def test_a_claim_that_needs_its_fault_neither_stops_nor_aborts_a_rehearsal(on_fail: str) -> None:
    claim = KILL.replace('"where": "true"', f'"where": "true", "on_fail": "{on_fail}"')
    play = rehearsed(f'{claim}, {{"name": "after"}}', fills=Verdict.FAILED)
    finished = play.run()

    assert finished.verdict is Verdict.PASSED
    assert finished.message == "rehearsed without faults: of 1 assertion 1 do not, as they should not"
    assert "after" in play.state.stages


def test_a_bound_that_does_not_hold_without_any_fault_fails_the_rehearsal_and_stops_it() -> None:
    bound = KILL.replace('"where": "true"', '"where": "true", "never": true')
    play = rehearsed(f'{bound}, {{"name": "after"}}', fills=Verdict.FAILED)
    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.FAILED, Reason.CLAIM_FAILED)
    assert finished.message == "fills (without any fault): m"
    assert "after" not in play.state.stages


def test_of_a_vacuous_claim_and_a_broken_bound_the_worse_decides() -> None:
    more = ', "assertions": [{"id": "none", "type": "event", "where": "true", "never": true}]'

    assert rehearsed(KILL, rest=more, none=Verdict.FAILED).run().verdict is Verdict.FAILED


def test_an_effect_that_nobody_could_judge_is_no_pass() -> None:
    def blind(_play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if isinstance(event, AssertionOpened):
            verdict, reason = (Verdict.INCONCLUSIVE, Reason.GAP) if event.assertion == "fills" else (Verdict.PASSED, None)
            yield "validator", AssertionJudged(assertion=event.assertion, verdict=verdict, reason=reason, message="m", evidence=("e",))

    finished = rehearsed(KILL, blind).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.GAP)


def test_a_pause_ends_a_rehearsed_fault_before_its_time_and_the_run_is_no_pass() -> None:
    play = rehearsed(KILL.replace('"3s"', '"20s"'), fills=Verdict.FAILED)
    play.at[timedelta(seconds=2)] = [PauseRequested(principal="ann", note="look", number=2)]
    play.at[timedelta(seconds=4)] = [ResumeRequested(principal="bob", number=3)]
    finished = play.run()

    (ended,) = [r.event for r in play.journal if isinstance(r.event, FaultRehearsalEnded)]
    assert ended.why == "pause"
    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.PHASE_CUT)


def test_an_abort_ends_what_is_rehearsed() -> None:
    play = rehearsed(KILL.replace('"3s"', '"20s"'), fills=Verdict.FAILED)
    play.at[timedelta(seconds=2)] = [AbortRequested(principal="ann", message="enough", number=2)]
    finished = play.run()

    (ended,) = [r.event for r in play.journal if isinstance(r.event, FaultRehearsalEnded)]
    assert ended.why == "abort"
    assert finished.verdict is Verdict.ABORTED


def test_whoever_takes_over_at_any_line_goes_on_and_rehearses_nothing_twice() -> None:
    """Of each beginning of the journal the scheduler decides what came next in it, or waits for others or for time."""
    play = rehearsed(CHAOS, fills=Verdict.FAILED)
    play.run()

    for cut in range(2, len(play.journal)):
        state = RunState("r")
        for recorded in play.journal[:cut]:
            state.apply(recorded)
        decided = decide(state, play.journal[cut - 1].at)
        told = {r.event.entity for r in play.journal[:cut] if isinstance(r.event, FaultRehearsed)}
        over = {r.event.entity for r in play.journal[:cut] if isinstance(r.event, FaultRehearsalEnded)}
        assert not [e for e in decided.events if isinstance(e, ActionRequested)]
        assert not [e for e in decided.events if isinstance(e, FaultRehearsed) and e.entity in told]
        assert not [e for e in decided.events if isinstance(e, FaultRehearsalEnded) and e.entity in over]
    assert len(play.times(FaultRehearsed)) == len(play.times(FaultRehearsalEnded)) == len(play.times(RunFinished)) == 1
    assert len(play.times(PhaseStarted)) == 3
