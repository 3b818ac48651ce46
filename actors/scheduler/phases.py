"""A phase from within: which actions are due, which faults must end, and whether it is over. Pure."""

from datetime import datetime
from typing import Literal

from actors.scheduler.choosing import choose
from messages.events import RunEvent
from messages.run_events import ActionRequested, PhaseFinished, UndoRequested
from messages.scenario import Action, Phase
from runs.faults import ActionState
from runs.state import RunState, StageState


def advance_phase(
    state: RunState, phase: Phase | None, stage: StageState, now: datetime, events: list[RunEvent], wakes: list[datetime]
) -> bool:
    """Ask for what is due in a phase (None: in finally) and end what has lasted long enough; whether the phase may finish."""
    actions = phase.actions if phase is not None else state.scenario.spec.finally_
    duration = phase.duration if phase is not None else None
    ends = stage.started + duration if duration is not None else None
    if ends is not None and now >= ends:
        return _end_phase(state, actions, events)
    for action in actions:
        _request_due(state, action, stage, now, events, wakes)
    for action in actions:
        _undo_due(state, action, now, events, wakes)
    if ends is not None:
        wakes.append(ends)
        return False
    return all(_is_over(state, action, now, wakes) for action in actions)


def finish_phases(state: RunState, events: list[RunEvent]) -> bool:
    """The run stops: undo everything and close the phase that is on; whether that is done."""
    stage = state.stage
    if stage is None or stage.kind != "phase":
        return True
    if undo_all(state, events) and not events:
        events.append(PhaseFinished(phase=stage.name, kind="phase", cut=True))
    return False


def undo_all(state: RunState, events: list[RunEvent]) -> bool:
    """Ask for the undo of every active fault; whether all are settled."""
    why: Literal["abort", "stop"] = "abort" if state.aborting is not None else "stop"
    for name, action in state.actions.faults().items():
        _ask_undo(name, action, why, events)
    return all(a.settled for a in state.actions.states.values() if a.request.phase != "finally")


def _ask_undo(name: str, action: ActionState, why: Literal["for", "phase", "stop", "abort"], events: list[RunEvent]) -> None:
    if not action.settled and action.undo_requested is None:
        events.append(UndoRequested(fault_id=name, why=why))


def _end_phase(state: RunState, actions: tuple[Action, ...], events: list[RunEvent]) -> bool:
    mine = [fault for action in actions for fault in state.actions.of(action) or () if fault in state.actions.states]
    for name in mine:
        known = state.actions.states[name]
        if known.request.action.spec.fault:
            _ask_undo(name, known, "phase", events)
    return all(state.actions.states[name].settled for name in mine)


def _request_due(state: RunState, action: Action, stage: StageState, now: datetime, events: list[RunEvent], wakes: list[datetime]) -> None:
    since = stage.started
    if action.after is not None:
        ended = _ended_at(state, stage, action.after, now, wakes)
        if ended is None:
            return
        since = ended
    due = since + action.delay
    faults = state.actions.of(action)
    if faults is None and now >= due:
        resolved = choose(state, action)
        events.append(resolved)
        faults = action.faults(resolved.chosen)
    elif faults is None:
        wakes.append(due)
        return
    for fault, target in _lot(state, action, faults, now, wakes).items():
        if fault in state.actions.states:
            continue
        at = max(due, _lot_due(state, action, faults, now) or due)
        if now >= at:
            events.append(ActionRequested(fault_id=fault, phase=stage.name, target=target, action=action))
        else:
            wakes.append(at)


def _lot(state: RunState, action: Action, faults: dict[str, str], now: datetime, wakes: list[datetime]) -> dict[str, str]:
    """The faults whose turn it is: all of them, or of a rolling action the first lot that is not over."""
    for start in range(0, len(faults), action.at_once or len(faults) or 1):
        lot = dict(list(faults.items())[start : start + (action.at_once or len(faults))])
        if any(_over_at(state, fault, now, wakes) is None for fault in lot):
            return lot
    return {}


def _lot_due(state: RunState, action: Action, faults: dict[str, str], now: datetime) -> datetime | None:
    """When the next lot of a rolling action may begin: `settle` after the one before was over."""
    ended = [at for fault in faults if (at := _over_at(state, fault, now, [])) is not None]
    return max(ended) + action.settle if ended and action.at_once is not None else None


def _ended_at(state: RunState, stage: StageState, action_id: str, now: datetime, wakes: list[datetime]) -> datetime | None:
    """When the action that another one comes after was over on all of its targets."""
    pool = state.scenario.spec.finally_ if stage.kind == "finally" else _actions_of(state, stage.name)
    action = next((a for a in pool if a.id == action_id), None)
    if action is None:
        return None
    faults, resolved = state.actions.of(action), state.actions.resolved.get(action.id)
    if faults is None:
        return None
    moments = [_over_at(state, fault, now, wakes) for fault in faults]
    known = [m for m in moments if m is not None]
    return max(known, default=resolved.at if resolved else None) if len(known) == len(moments) else None


def _actions_of(state: RunState, phase: str) -> tuple[Action, ...]:
    return next((p.actions for p in state.scenario.spec.phases if p.name == phase), ())


def _over_at(state: RunState, fault: str, now: datetime, wakes: list[datetime]) -> datetime | None:
    """Since when nothing more comes of an action: it is gone, or was none, or was undone and does not get normal in the time for that."""
    action = state.actions.states.get(fault)
    if action is None or not action.settled:
        return None
    if action.gone is not None or action.reverted is None:
        return action.gone or action.requested
    limit = action.reverted + state.system.spec.steady_state.recover
    if now < limit:
        wakes.append(limit)
        return None
    return limit


def _undo_due(state: RunState, action: Action, now: datetime, events: list[RunEvent], wakes: list[datetime]) -> None:
    if action.for_ is None:
        return
    for fault in state.actions.of(action) or ():
        known = state.actions.states.get(fault)
        if known is None or known.injected is None or known.undo_requested is not None or not known.active:
            continue
        due = known.injected + action.for_
        if now >= due:
            _ask_undo(fault, known, "for", events)
        else:
            wakes.append(due)


def _is_over(state: RunState, action: Action, now: datetime, wakes: list[datetime]) -> bool:
    faults = state.actions.of(action)
    return faults is not None and all(_over_at(state, fault, now, wakes) is not None for fault in faults)
