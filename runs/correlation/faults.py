"""The faults of a run as correlation sees them. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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

    def explains(self, silence: datetime, usual: timedelta) -> bool:
        """Whether it was on when a silence that began then had lasted for longer than usual, and not over when it began."""
        return self.start <= silence + usual and (self.end is None or silence <= self.end)

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


class Spans:
    """The times in which some fault was on."""

    def __init__(self, faults: Sequence[Disturbance]) -> None:
        """`faults`: by when they began."""
        self._spans: list[tuple[datetime, datetime]] = []
        for fault in faults:
            end = fault.end or datetime.max.replace(tzinfo=UTC)
            if self._spans and fault.start <= self._spans[-1][1]:
                self._spans[-1] = (self._spans[-1][0], max(end, self._spans[-1][1]))
            else:
                self._spans.append((fault.start, end))

    def cover(self, at: datetime) -> bool:
        """Whether one was on."""
        index = bisect_right(self._spans, at, key=_start)
        return index > 0 and at <= self._spans[index - 1][1]


def _start(span: tuple[datetime, datetime]) -> datetime:
    return span[0]
