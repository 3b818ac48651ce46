"""The faults of a run as correlation sees them. Pure."""

from dataclasses import dataclass
from datetime import datetime

from messages.needs import disturbed
from runs.faults import ActionState
from runs.state import RunState


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A fault, from when it may first have shown to when its target was normal again."""

    id: str
    services: tuple[str, ...]
    """Those that it disturbs."""
    start: datetime
    undone: datetime | None
    end: datetime | None
    """None: it is not over."""

    def covers(self, start: datetime, end: datetime | None) -> bool:
        """Whether it was on at some time of this span."""
        return (self.end is None or start <= self.end) and (end is None or end >= self.start)


def disturbances(state: RunState) -> list[Disturbance]:
    """Every fault whose target was touched, by when that was."""
    found = [_disturbance(state, name, action) for name, action in state.actions.faults().items()]
    return sorted((fault for fault in found if fault is not None), key=lambda fault: (fault.start, fault.id))


def first_touch(state: RunState) -> datetime | None:
    """When the first fault began, or would have begun in a rehearsal; None while there was none."""
    starts = [action.called or action.armed_at or action.rehearsed for action in state.actions.faults().values()]
    return min((start for start in starts if start is not None), default=None)


def _disturbance(state: RunState, name: str, action: ActionState) -> Disturbance | None:
    start = action.called or action.armed_at
    if start is None:
        return None
    end = action.gone
    if end is None and action.reverted is not None and state.last_at is not None:
        recovered = action.reverted + state.system.spec.steady_state.recover
        end = recovered if recovered <= state.last_at else None
    return Disturbance(name, disturbed(state.system, action.request.action, action.request.target), start, action.reverted, end)
