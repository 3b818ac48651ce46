"""A phase from within: which actions are due, which faults must end, and whether it is over. Pure."""

from datetime import datetime
from typing import Literal

from actors.scheduler.choosing import choose
from actors.scheduler.pausing import reached
from messages.events import RunEvent
from messages.rehearsal_events import FaultRehearsalEnded, FaultRehearsed
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
    if duration is not None and reached(state, stage.started, duration, now, wakes):
        return _end_phase(state, actions, events)
    for action in actions:
        _request_due(state, action, stage, now, events, wakes)
    for action in actions:
        _undo_due(state, action, now, events, wakes)
    return duration is None and all(_is_over(state, action, now, wakes) for action in actions)


def finish_phases(state: RunState, events: list[RunEvent]) -> bool:
    """The run stops: undo everything and close the phase that is on; whether that is done."""
    stage = state.stage
    if stage is None or stage.kind != "phase":
        return True
    if undo_all(state, events) and not events:
        events.append(PhaseFinished(phase=stage.name, kind="phase", cut=True))
    return False


def undo_all(state: RunState, events: list[RunEvent], why: Literal["stop", "abort", "pause"] = "stop") -> bool:
    """Ask for the undo of every active fault; whether all are settled. Of a run that is aborted that is why."""
    if state.aborting is not None:
        why = "abort"
    for name, action in state.actions.faults().items():
        _ask_undo(name, action, why, events)
    return all(a.settled for a in state.actions.states.values() if a.request.phase != "finally")


def _ask_undo(name: str, action: ActionState, why: Literal["for", "phase", "stop", "abort", "pause"], events: list[RunEvent]) -> None:
    if action.settled or action.undo_requested is not None:
        return
    ended = FaultRehearsalEnded if action.rehearsed is not None else UndoRequested
    events.append(ended(fault_id=name, why=why))


def _end_phase(state: RunState, actions: tuple[Action, ...], events: list[RunEvent]) -> bool:
    mine = [fault for action in actions for fault in state.actions.of(action) or () if fault in state.actions.states]
    for name in mine:
        known = state.actions.states[name]
        if known.request.action.spec.fault:
            _ask_undo(name, known, "phase", events)
    return all(state.actions.states[name].settled for name in mine)


def _request_due(state: RunState, action: Action, stage: StageState, now: datetime, events: list[RunEvent], wakes: list[datetime]) -> None:
    since = stage.started if action.after is None else _ended_at(state, stage, action.after, now, wakes)
    if since is None or not reached(state, since, action.delay, now, wakes):
        return
    faults = state.actions.of(action)
    if faults is None:
        resolved = choose(state, action)
        events.append(resolved)
        faults = action.faults(resolved.chosen)
    for fault, target in _lot(state, action, faults, now, wakes).items():
        if fault not in state.actions.states and _is_lots_turn(state, action, faults, now, wakes):
            # Of a rehearsed fault no injector ever hears, so that none can take it for a real one.
            request = FaultRehearsed if state.rehearsal and action.spec.fault else ActionRequested
            events.append(request(fault_id=fault, phase=stage.name, target=target, action=action))


def _lot(state: RunState, action: Action, faults: dict[str, str], now: datetime, wakes: list[datetime]) -> dict[str, str]:
    """The faults whose turn it is: all of them, or of a rolling action the first lot that is not over."""
    for start in range(0, len(faults), action.at_once or len(faults) or 1):
        lot = dict(list(faults.items())[start : start + (action.at_once or len(faults))])
        if any(_over_at(state, fault, now, wakes) is None for fault in lot):
            return lot
    return {}


def _is_lots_turn(state: RunState, action: Action, faults: dict[str, str], now: datetime, wakes: list[datetime]) -> bool:
    """Whether the next lot of a rolling action may begin: `settle` after the one before was over."""
    ended = [at for fault in faults if (at := _over_at(state, fault, now, [])) is not None]
    return not ended or action.at_once is None or reached(state, max(ended), action.settle, now, wakes)


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
    if action.rehearsed is not None:
        return action.rehearsal_ended
    if action.gone is not None or action.reverted is None:
        return action.gone or action.requested
    limit = state.system.spec.steady_state.recover
    return state.pauses.later(action.reverted, limit) if reached(state, action.reverted, limit, now, wakes) else None


def _undo_due(state: RunState, action: Action, now: datetime, events: list[RunEvent], wakes: list[datetime]) -> None:
    for fault in state.actions.of(action) or ():
        known = state.actions.states.get(fault)
        begun = known.moment("injected") if known is not None else None
        if known is None or known.span is None or begun is None or known.undo_requested is not None or known.settled:
            continue
        if reached(state, begun, known.span, now, wakes):
            _ask_undo(fault, known, "for", events)


def _is_over(state: RunState, action: Action, now: datetime, wakes: list[datetime]) -> bool:
    faults = state.actions.of(action)
    return faults is not None and all(_over_at(state, fault, now, wakes) is not None for fault in faults)
