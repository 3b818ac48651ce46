"""The spans of a fault: from its request to its end, and what was done to arm, inject and revert it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from bus.journal import Line
from deploy.span import ROOT, Moment, Span, Value, action_key, stage_key
from messages.fault_events import (
    ActionDone,
    ActionFailed,
    ActionRefused,
    FaultArmed,
    FaultGone,
    FaultInjected,
    FaultReverted,
    FaultRevertFailed,
)
from messages.rehearsal_events import FaultRehearsalEnded
from messages.run_events import ActionExpired
from runs.faults import ActionState
from runs.state import RunState

_OVER = (FaultRehearsalEnded, FaultGone, FaultRevertFailed, ActionDone, ActionRefused, ActionFailed, ActionExpired)


def fault_spans(state: RunState, line: Line) -> Iterator[Span]:
    """What an injector's line about an action completes. One that nobody took is the scheduler's to tell."""
    action = state.actions.states.get(line.entity)
    if action is None:
        return
    event = line.event
    match event:
        case FaultArmed():
            yield _step(action, "arm", action.requested, line.at, {"lease.until": event.until.isoformat()})
        case FaultInjected():
            yield _step(action, "inject", *_span(line.at, event.ago, event.took), {})
        case FaultReverted():
            told: dict[str, Value] = {"by": event.by, "found_undone": event.found_undone}
            yield _step(action, "revert", *_span(line.at, event.ago, event.took), told)
        case FaultRevertFailed():
            begun = action.undo_requested or action.injected or action.requested
            yield _step(action, "revert", begun, line.at, {"attempts": event.attempts}, event.message)
    if isinstance(event, _OVER) and not action.active:
        yield action_span(state, action, line.at, line.actor)


def action_span(state: RunState, action: ActionState, over: datetime, actor: str) -> Span:
    """The whole action: from its request until the target was normal again, or else until `over`."""
    request = action.request
    bad = action.revert_failed or (action.message if action.outcome in {"refused", "failed", "expired"} else None)
    kind = "rehearsed fault" if action.rehearsed is not None else "fault" if request.action.spec.fault else "action"
    return Span(
        key=action_key(request.fault_id),
        name=f"{kind} {request.action.action} {request.target}",
        start=action.requested,
        end=action.gone or over,
        actor=actor,
        parent=stage_key(request.phase) if request.phase in state.stages else ROOT,
        attributes=_about(action) | _outcome(action),
        moments=tuple(_moments(action)),
        good=bad is None and (action.gone is not None or action.rehearsal_ended is not None or action.outcome == "done"),
        error=bad,
    )


def _step(action: ActionState, name: str, start: datetime, end: datetime, attributes: dict[str, Value], error: str | None = None) -> Span:
    key = action_key(action.request.fault_id)
    return Span(
        key=f"{key}/{name}",
        name=name,
        start=start,
        end=end,
        actor="chaos-injector",
        parent=key,
        attributes=_about(action) | attributes,
        good=error is None,
        error=error,
    )


def _span(stored: datetime, ago: timedelta, took: timedelta) -> tuple[datetime, datetime]:
    return stored - ago - took, stored - ago


def _about(action: ActionState) -> dict[str, Value]:
    request = action.request
    word = "fault.id" if request.action.spec.fault else "action.id"
    return {word: request.fault_id, "target": request.target, "action": request.action.action, "phase": request.phase}


def _outcome(action: ActionState) -> dict[str, Value]:
    told: dict[str, Value] = {"effect.seen": action.effective is not None} if action.injected is not None else {}
    if action.rehearsed is not None:
        told["rehearsed"] = True
    if action.outcome is not None:
        told["outcome"] = action.outcome
    if action.reason is not None:
        told["reason"] = str(action.reason)
    if action.message:
        told["message"] = action.message
    return told


def _moments(action: ActionState) -> Iterator[Moment]:
    restored = action.gone_event.restored_by if action.gone_event else ""
    known: tuple[tuple[str, datetime | None, dict[str, Value]], ...] = (
        ("armed", action.armed_at, {}),
        ("injected", action.injected, {}),
        ("effective", action.effective, {"how": action.effect}),
        ("undo requested", action.undo_requested, {}),
        ("reverted", action.reverted, {"by": action.reverted_by}),
        ("gone", action.gone, {"restored_by": restored}),
    )
    for name, at, attributes in known:
        if at is not None:
            yield Moment(name, at, attributes)
