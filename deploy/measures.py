"""What a line of the journal measures, as a pure function of the line and its run. Knows no Prometheus."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bus.journal import Line
from messages.fault_events import (
    ActionDone,
    ActionFailed,
    ActionRefused,
    FaultArmed,
    FaultInjected,
    FaultReverted,
    FaultRevertFailed,
    HandlerFailed,
)
from messages.judgements import AssertionJudged, ReportPublished
from messages.observations import ProbeSummary, StreamGap
from messages.run_events import ActionExpired, AssertionExpired, PhaseFinished, RunFinished, UndoRequested
from messages.verdicts import Reason, Verdict
from runs.faults import ActionState
from runs.state import RunState
from runs.windows import window_of

_STATUS = {Verdict.PASSED: "success"}
"""The field's word for a verdict; others are called what they are."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: a count to add, or a duration in seconds."""

    name: str
    labels: tuple[str, ...]
    value: float = 1.0


def measures(state: RunState, line: Line) -> Iterator[Measure]:
    """What the line says of how often, how long and how well."""
    event = line.event
    match event:
        case RunFinished():
            yield from _run(state, event, line)
        case PhaseFinished() if (stage := state.stages.get(event.phase)) is not None:
            yield Measure("scenario_duration_seconds", (state.scenario.name, event.phase), _seconds(line.at, stage.started))
        case AssertionJudged() | AssertionExpired():
            yield from _assertion(state, event, line)
        case ProbeSummary():
            during = str(_disturbed(state, event)).lower()
            yield Measure("service_samples", (event.probe, during, "good"), event.ok)
            yield Measure("service_samples", (event.probe, during, "bad"), event.count - event.ok)
        case StreamGap():
            yield Measure("observation_gaps", ("events" if event.source == "events" else "probe",))
        case HandlerFailed():
            yield Measure("dead_letters", (line.actor,))
        case ReportPublished() if state.finished_at is not None:
            yield Measure("report_seconds", (), _seconds(line.at, state.finished_at))
        case _ if (action := state.actions.states.get(line.entity)) is not None:
            yield from _action(action, line)


def _run(state: RunState, event: RunFinished, line: Line) -> Iterator[Measure]:
    timed_out = event.verdict is Verdict.ABORTED and event.reason is Reason.TIMEOUT
    status = "timeout" if timed_out else _STATUS.get(event.verdict, str(event.verdict))
    yield Measure("scenarios_executed", (state.scenario.name, status))
    yield Measure("runs", (str(event.verdict), str(event.reason or "")))
    if state.started is not None:
        yield Measure("run_duration_seconds", (state.scenario.name,), _seconds(line.at, state.started))


def _assertion(state: RunState, event: AssertionJudged | AssertionExpired, line: Line) -> Iterator[Measure]:
    assertion = state.assertions.get(event.assertion)
    if assertion is None or assertion.judged_by != line.evidence:
        return
    kind, verdict = assertion.claim.type, assertion.verdict
    yield Measure("assertion_results", (kind, str(verdict)))
    if not isinstance(event, AssertionJudged):
        return
    closes = window_of(state, assertion.claim, assertion.phase, assertion.mode).closes
    if closes is not None and closes <= line.at:
        yield Measure("assertion_validation_time_seconds", (kind,), _seconds(line.at, closes))
    took = event.measured.get("took")
    if kind == "recovery" and took is not None and not isinstance(took, int | str):
        yield Measure("system_recovery_time_seconds", (state.scenario.name,), took.total_seconds())


def _action(action: ActionState, line: Line) -> Iterator[Measure]:
    event, at = line.event, line.at
    target, name = action.request.target, action.request.action.action
    fault = action.request.action.spec.fault
    match event:
        case FaultArmed():
            yield Measure("coordination_latency_seconds", ("armed",), _seconds(at, action.requested))
        case FaultInjected():
            yield Measure("coordination_latency_seconds", ("injected",), _seconds(at - event.ago, action.requested))
            yield Measure("chaos_actions", (target, name, "injected"))
        case ActionDone() if not fault:
            yield Measure("chaos_actions", (target, name, "done"))
        case ActionRefused():
            yield Measure("chaos_actions", (target, name, "refused"))
        case ActionFailed():
            yield Measure("chaos_actions", (target, name, "failed"))
        case ActionExpired() if event.reason is not Reason.REVERT_FAILED:
            yield Measure("chaos_actions", (target, name, "expired"))
        case UndoRequested():
            yield Measure("rollback_triggered", (event.why,))
        case FaultReverted():
            yield from _reverted(action, event, line)
        case FaultRevertFailed():
            yield Measure("revert_failures", (target, name))


def _reverted(action: ActionState, event: FaultReverted, line: Line) -> Iterator[Measure]:
    target, name, reverted = action.request.target, action.request.action.action, line.at - event.ago
    if event.by == "lease":
        yield Measure("rollback_triggered", ("lease",))
    if action.undo_requested is not None and event.by == "request":
        yield Measure("revert_seconds", (target, name), _seconds(reverted, action.undo_requested))
    if action.injected is not None:
        yield Measure("chaos_duration_seconds", (target, name), _seconds(reverted, action.injected))


def _disturbed(state: RunState, event: ProbeSummary) -> bool:
    """Whether a fault was on in the middle of these samples; they are cut where one begins and ends."""
    middle = event.start + (event.end - event.start) / 2
    faults = state.actions.faults().values()
    return any(f.injected is not None and f.injected <= middle and (f.reverted is None or middle < f.reverted) for f in faults)


def _seconds(late: datetime, early: datetime) -> float:
    return max(0.0, (late - early).total_seconds())
