"""The spans of hand-made journals: what is told when, and of what does not end well."""

from datetime import UTC, datetime, timedelta

from deploy.span import ROOT, Span, action_key, span_id, stage_key
from deploy.spans import RunTrace
from messages.events import Recorded, RunEvent
from messages.fault_events import ActionRefused, FaultArmed, FaultInjected, FaultReverted, FaultRevertFailed
from messages.identity import Identity
from messages.judgements import AssertionJudged
from messages.rehearsal_events import FaultRehearsalEnded, FaultRehearsed
from messages.run_events import (
    ActionExpired,
    ActionRequested,
    AssertionExpired,
    AssertionOpened,
    PhaseStarted,
    RunAccepted,
    RunFinished,
    RunStarted,
    RunWaiting,
    UndoRequested,
)
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from messages.verdicts import Reason, Verdict
from runs.state import RunState

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ME = Identity(pid=1, started=1, boot="b")
SCENARIO = Scenario.model_validate_json("""{"metadata": {"name": "s"}, "spec": {"system": "t",
  "phases": [{"name": "p", "duration": "9s", "actions": [{"id": "kill", "target": "one", "action": "kill"}]}],
  "assertions": [{"id": "seen", "type": "event", "where": "true"}]}}""")
SYSTEM = System.model_validate_json(
    '{"metadata": {"name": "t"}, "spec": {"services": {"one": {"driver": {"process": {"command": ["x"]}}}}}}'
)
ACTION = SCENARIO.spec.phases[0].actions[0]
ACCEPTED = RunAccepted(key="k", scenario=SCENARIO, system=SYSTEM, submitted=BEGIN)
REQUESTED = ActionRequested(fault_id="kill", phase="p", target="one", action=ACTION)
ARMED = FaultArmed(
    fault_id="kill",
    target="one",
    action="kill",
    until=BEGIN + 99 * SECOND,
    undo=Undo(kind="process.start", service="one"),
    before=ME,
)
INJECTED = FaultInjected(fault_id="kill", took=SECOND / 4, ago=SECOND / 2)
STARTED = PhaseStarted(phase="p", kind="phase")


def finished(verdict: Verdict, message: str = "") -> RunFinished:
    return RunFinished(verdict=verdict, reason=None, message=message, cause=None, hint=None, position=1)


def told(*events: RunEvent, of: tuple[str, ...] = ("scheduler", "chaos-injector", "validator")) -> dict[str, Span]:
    """The spans of a journal with one event a second, as a host with these actors tells them."""
    state = RunState("r")
    trace, spans = RunTrace(state), dict[str, Span]()
    for number, event in enumerate(events):
        actor = event.ACTORS[0]
        line = Recorded(event, "r", 0, actor, event.entity, number + 1, BEGIN + number * SECOND, f"r.{number}")
        state.apply(line)
        for span in trace.take(line, ours=actor in of):
            assert span.key not in spans
            spans[span.key] = span
    return spans


def test_an_id_follows_from_the_run_and_what_the_span_is_about() -> None:
    assert span_id("r", ROOT) == span_id("r", ROOT)
    assert len({span_id(run, key) for run in ("r", "s") for key in (ROOT, "report", action_key("a"))}) == 6
    assert 0 < span_id("r", ROOT) < 2**64


def test_the_steps_of_a_fault_lie_in_it_and_have_the_times_of_the_driver() -> None:
    spans = told(ACCEPTED, RunStarted(), STARTED, REQUESTED, ARMED, INJECTED)

    arm, inject = spans["action/kill/arm"], spans["action/kill/inject"]
    assert (arm.start, arm.end) == (BEGIN + 3 * SECOND, BEGIN + 4 * SECOND)
    assert (inject.start, inject.end) == (BEGIN + 4.25 * SECOND, BEGIN + 4.5 * SECOND)
    assert {arm.parent, inject.parent} == {action_key("kill")}
    assert action_key("kill") not in spans, "it is not over"


def test_an_undo_that_was_given_up_is_an_error_of_the_fault_and_of_the_run() -> None:
    failed = FaultRevertFailed(fault_id="kill", message="no such program", attempts=5)

    spans = told(
        ACCEPTED,
        STARTED,
        REQUESTED,
        ARMED,
        INJECTED,
        UndoRequested(fault_id="kill", why="phase"),
        failed,
        finished(Verdict.UNSAFE, "not undone"),
    )

    assert spans["action/kill/revert"].error == spans["action/kill"].error == "no such program"
    assert (spans["action/kill/revert"].start, spans["action/kill/revert"].end) == (BEGIN + 5 * SECOND, BEGIN + 6 * SECOND)
    assert spans[ROOT].error == "not undone"
    assert spans[ROOT].attributes["verdict"] == "unsafe"


def test_a_rehearsed_fault_is_told_as_one_by_the_scheduler_and_none_of_its_steps_was_there() -> None:
    opened = AssertionOpened(assertion="seen", claim=SCENARIO.spec.assertions[0].model_copy(update={"during": "kill"}), opens=BEGIN)
    passed = AssertionJudged(assertion="seen", verdict=Verdict.PASSED, reason=None, message="m", evidence=("e",), control="vacuous")

    spans = told(
        ACCEPTED.model_copy(update={"rehearsal": True}),
        STARTED,
        FaultRehearsed(fault_id="kill", phase="p", target="one", action=ACTION),
        opened,
        passed,
        FaultRehearsalEnded(fault_id="kill", why="phase"),
        finished(Verdict.INCONCLUSIVE),
    )

    fault = spans["action/kill"]
    assert (fault.name, fault.actor, fault.parent) == ("rehearsed fault kill one", "scheduler", stage_key("p"))
    assert (fault.start, fault.end) == (BEGIN + 2 * SECOND, BEGIN + 5 * SECOND)
    assert (fault.attributes["rehearsed"], fault.moments, fault.error) == (True, (), None)
    assert not [key for key in spans if key.startswith("action/kill/")]
    assert (spans[ROOT].attributes["rehearsal"], spans["assertion/seen"].attributes["control"]) == (True, "vacuous")


def test_a_fault_that_was_never_seen_gone_ends_with_its_undo_when_the_run_is_over() -> None:
    reverted = FaultReverted(fault_id="kill", took=SECOND, ago=timedelta(), by="request")
    journal = (ACCEPTED, STARTED, REQUESTED, ARMED, INJECTED, reverted, finished(Verdict.FAILED))

    spans = told(*journal)
    elsewhere = told(*journal, of=("scheduler",))

    assert spans["action/kill"].end == BEGIN + 5 * SECOND
    assert not spans["action/kill"].good
    assert spans["action/kill"].error is None
    assert [moment.name for moment in spans["action/kill"].moments] == ["armed", "injected", "reverted"]
    assert "action/kill" not in elsewhere


def test_a_phase_that_the_run_did_not_finish_ends_with_it_so_that_no_span_lacks_its_parent() -> None:
    spans = told(
        ACCEPTED, STARTED, REQUESTED, ActionRefused(action_id="kill", reason=Reason.NO_TARGET, message="gone"), finished(Verdict.ABORTED)
    )

    assert spans[stage_key("p")].end == spans[ROOT].end == BEGIN + 4 * SECOND
    assert spans["action/kill"].error == "gone"
    assert spans["action/kill"].attributes["reason"] == "no_target"
    assert all(span.parent in spans for span in spans.values() if span.parent is not None)


def test_what_nobody_took_is_told_by_the_scheduler() -> None:
    expired = ActionExpired(fault_id="kill", reason=Reason.NO_TARGET, message="nobody took it")

    spans = told(ACCEPTED, STARTED, REQUESTED, expired, of=("scheduler",))

    assert (spans["action/kill"].actor, spans["action/kill"].error) == ("scheduler", "nobody took it")


def test_an_inconclusive_claim_is_neither_good_nor_an_error() -> None:
    claim, _ = SCENARIO.claims()["seen"]
    opened = AssertionOpened(assertion="seen", claim=claim, phase=None, opens=BEGIN + SECOND)
    expired = AssertionExpired(assertion="seen", reason=Reason.GAP, message="nobody judged it")

    span = told(ACCEPTED, STARTED, opened, expired)["assertion/seen"]

    assert (span.start, span.end, span.parent) == (BEGIN + SECOND, BEGIN + 3 * SECOND, ROOT)
    assert (span.good, span.error, span.attributes["verdict"], span.attributes["reason"]) == (False, None, "inconclusive", "gap")


def test_a_run_that_had_to_wait_shows_for_whom() -> None:
    span = told(ACCEPTED, RunWaiting(behind="q", why="one run at a time on t"), RunStarted())["wait"]

    assert (span.start, span.end, span.attributes["behind"]) == (BEGIN, BEGIN + 2 * SECOND, "q")
