"""When a run stands still and when it goes on, for people and for the hold; and spans of the run's own clock. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from messages.control import Hold
from messages.events import RunEvent
from messages.run_events import RunPausing, RunResumed
from runs.state import RunState


def turn(state: RunState, hold: Hold | None) -> Iterator[RunEvent]:
    """What changes now: the run pauses, or it goes on. A person's pause and the hold are apart: each ends by itself."""
    paused, ends = state.standing.paused, state.aborting is not None or "release" in state.requests
    if paused is not None and not ends:
        if (state.standing.wanted if paused.why == "pause" else hold) is not None:
            return
        yield RunResumed(by=state.standing.let_go or "release", number=state.standing.times_paused)
    if not ends:
        yield from _pausing(state, hold)


def _pausing(state: RunState, hold: Hold | None) -> Iterator[RunEvent]:
    wanted, number = state.standing.wanted, state.standing.times_paused + 1
    if wanted is not None:
        yield RunPausing(by=wanted.principal, why="pause", note=wanted.note, number=number)
    elif hold is not None:
        yield RunPausing(by=hold.principal, why="hold", note=hold.note, number=number)


def reached(state: RunState, since: datetime, span: timedelta, now: datetime, wakes: list[datetime]) -> bool:
    """Whether the run's clock has gone on by `span` since then; if not, when to look again."""
    at = state.pauses.later(since, span)
    if at is not None and now < at:
        wakes.append(at)
    return at is not None and now >= at
