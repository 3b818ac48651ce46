"""The life of every fault of a run, and how long its target took to recover."""

import json
from collections.abc import Iterator
from datetime import timedelta

from messages.claims import RecoveryClaim
from messages.needs import disturbed
from messages.scenario import Action
from messages.values import Message
from runs.faults import ActionState
from runs.history import Observations, excused
from runs.report_effects import ExcusedSpan, FaultReport, FaultStatus
from runs.report_values import Span, between, span
from runs.state import RunState


class Recovery(Message):
    """How long a target took, from the driver's call."""

    took: timedelta
    bound: timedelta | None


def faults_of(state: RunState, seen: Observations) -> Iterator[FaultReport]:
    """Every fault of the scenario in its order, those never reached among them."""
    if state.accepted is None:
        return
    known = state.actions.faults()
    for phase in state.scenario.spec.phases:
        for action in phase.actions:
            if action.spec.fault:
                yield from (
                    _fault(state, seen, known[name]) if name in known else _unreached(name, target, action, phase.name)
                    for name, target in action.faults(_chosen(state, action)).items()
                )


def _chosen(state: RunState, action: Action) -> tuple[str, ...] | None:
    resolved = state.actions.resolved.get(action.id)
    return resolved.event.chosen if resolved is not None else None


def _unreached(name: str, target: str, action: Action, phase: str) -> FaultReport:
    return FaultReport(
        id=name,
        target=target,
        action=action.action,
        phase=phase,
        status="not reached",
        kind=action.kind,
        parameters=parameters_of(action),
        lasts=_optional(action.for_),
    )


def recovery_of(state: RunState, seen: Observations, action: ActionState) -> Recovery | None:
    """What a claim has measured of it; else the first good health sample after a bad one, else when it was seen normal again."""
    judged = _judged_recovery(state, action.request.fault_id)
    if judged is not None:
        return judged
    if action.called is None:
        return None
    transitions = seen.service(action.request.target).transitions
    last = action.gone
    down = next((t for t in transitions if not t.up and t.seen >= action.called and (last is None or t.at <= last)), None)
    if down is None:
        return Recovery(took=max(action.gone - action.called, timedelta()), bound=None) if action.gone else None
    up = next((t for t in transitions if t.up and t.at > down.at), None)
    return Recovery(took=max(up.at - action.called, timedelta()), bound=down.error_bound) if up else None


def _judged_recovery(state: RunState, fault: str) -> Recovery | None:
    for assertion in state.assertions.values():
        took, bound = assertion.measured.get("took"), assertion.measured.get("error_bound")
        if isinstance(assertion.claim, RecoveryClaim) and assertion.claim.of == fault and isinstance(took, timedelta):
            return Recovery(took=took, bound=bound if isinstance(bound, timedelta) else None)
    return None


def _fault(state: RunState, seen: Observations, action: ActionState) -> FaultReport:
    request, recovery = action.request, recovery_of(state, seen, action)
    recovered = action.called + recovery.took if recovery is not None and action.called is not None else None
    return FaultReport(
        id=request.fault_id,
        target=request.target,
        action=request.action.action,
        phase=request.phase,
        status=_status(action),
        requested=action.requested,
        armed=action.armed_at,
        called=action.called,
        injected=action.injected,
        effective=action.effective,
        effect=action.effect,
        reverted=action.reverted,
        reverted_by=action.reverted_by,
        found_undone=action.found_undone,
        gone=action.gone,
        restored_by=action.gone_event.restored_by if action.gone_event else None,
        time_to_effect=between(action.called, action.effective),
        time_to_recover=span(recovery.took) if recovery else None,
        recovered=recovered,
        undo_to_recover=between(action.reverted, recovered),
        error_bound=_optional(recovery.bound if recovery else None),
        excused=_excused(state, action),
        error=error_of(action),
        kind=request.action.kind,
        parameters=parameters_of(request.action),
        lasts=_optional(request.action.for_),
        disturbs=disturbed(state.system, request.action, request.target),
        repair=_repair(action),
        rehearsed=action.rehearsed,
        rehearsal_ended=action.rehearsal_ended,
    )


def parameters_of(action: Action) -> dict[str, str]:
    """What the action was told, as text."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in action.parameters.items()}


def _repair(action: ActionState) -> str | None:
    """What a person has to do, if nobody else could."""
    if action.revert_failed is None or action.reverted is not None or action.armed is None:
        return None
    target, undo = action.request.target, action.armed.undo
    pid = getattr(getattr(undo, "identity", None), "pid", None)
    match undo.kind:
        case "process.resume":
            return f"Let {target} go on: `kill -CONT {pid}`" if pid else f"Let the halted process of {target} go on (SIGCONT)"
        case "process.start":
            return f"Start {target} again"
        case kind:
            return f"Undo {action.request.action.action} on {target} by hand ({kind})"


def error_of(action: ActionState) -> str | None:
    """What went wrong with it, if anything did."""
    if action.revert_failed is not None:
        return action.revert_failed
    if action.outcome in {"refused", "failed", "expired"}:
        return action.message
    return "no effect was seen in time" if action.unseen and action.effective is None else None


def _status(action: ActionState) -> FaultStatus:
    if action.revert_failed is not None and action.reverted is None:
        return "not undone"
    if action.outcome in {"refused", "failed", "expired"} and action.injected is None:
        return action.outcome
    if action.gone is not None:
        return "gone"
    if action.reverted is not None:
        return "undone"
    if action.injected is None:
        return "requested" if action.rehearsed is None else "rehearsed"
    return "unseen" if action.unseen and action.effective is None else "active"


def _optional(length: timedelta | None) -> Span | None:
    return span(length) if length is not None else None


def _excused(state: RunState, action: ActionState) -> ExcusedSpan | None:
    if action.armed_at is None:
        return None
    for start, end in excused(state).get(action.request.target, ()):
        if start == action.armed_at:
            return ExcusedSpan(start=start, end=end)
    return None
