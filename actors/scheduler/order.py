"""Runs of one key start in the order in which they were accepted. A key is in one partition, so one scheduler has all of its runs."""

from actors.scheduler.places import group_is_full, is_shared, system_is_taken
from messages.run_events import RunWaiting
from messages.scenario import GroupLimit
from runs.state import RunState


class Order:
    """The runs here that have not started. Who waits for his turn stands in no queue of a place yet, so he is in nobody's way."""

    def __init__(self) -> None:
        self._runs: dict[str, RunState] = {}

    def add(self, state: RunState) -> None:
        """A run that is known from now on, though nothing of it may have been read yet."""
        self._runs[state.id] = state

    def leave(self, run: str) -> None:
        """It has started, is over, or is another host's."""
        self._runs.pop(run, None)

    def obstacle(self, state: RunState) -> RunWaiting | None:
        """The nearest run of its key that starts before, in words of what both need, if there is that; None when it is the run's turn."""
        nearest = self._nearest(state)
        if nearest is None or state.accepted is None:
            return None
        if nearest.system.name == state.system.name and not (is_shared(nearest) and is_shared(state)):
            return system_is_taken(state.system.name, nearest.id)
        bound, other = state.scenario.spec.concurrency, nearest.scenario.spec.concurrency
        if isinstance(bound, GroupLimit) and isinstance(other, GroupLimit) and bound.group == other.group:
            return group_is_full(bound, nearest.id)
        return RunWaiting(behind=nearest.id, why=f"runs of key {state.accepted.key} start in order: behind {nearest.id}")

    def is_about_to_start(self, state: RunState) -> bool:
        """Whether the run that starts before has not been found to wait for anything: there is nothing to tell then."""
        nearest = self._nearest(state)
        return nearest is not None and nearest.waiting is None

    def _nearest(self, state: RunState) -> RunState | None:
        waiting = (other for other in self._runs.values() if other.started is None and other.finished is None)
        return max((other for other in waiting if _comes_before(other, state)), key=_accepted, default=None)

    def next_to(self, state: RunState) -> set[str]:
        """Those that may have waited for this one."""
        return {other.id for other in self._runs.values() if _comes_before(state, other)}


def _comes_before(one: RunState, other: RunState) -> bool:
    """Whether both are accepted and of one key, and this one was first."""
    if one.accepted is None or other.accepted is None or one.accepted.key != other.accepted.key:
        return False
    return _accepted(one) < _accepted(other)


def _accepted(state: RunState) -> int:
    return state.accepted_sequence
