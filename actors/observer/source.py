"""What the observer has beside health and service events: sources that are looked at from some moment on, and what they found."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from actors.observer.view import ObserverView
from bus.actor import Decision
from messages.observations import StreamGap


@dataclass(frozen=True, slots=True)
class Reach:
    """How far what was found may be told."""

    cuts: frozenset[datetime]
    """Where summaries are cut: every edge of a window that is known by now."""
    settled: datetime
    """Edges before this instant are all known: a window's end may become known late."""
    ends: datetime | None = None
    """Nothing that is later is wanted of the source."""
    rest: bool = False
    """It is the last time that it is asked."""

    def told(self, until: datetime) -> datetime:
        """Summaries that end at this instant or before can no longer be cut otherwise."""
        return max([min(until, self.settled), *(cut for cut in self.cuts if cut <= until)])


class Source(Protocol):
    """Something that is looked at until it is cancelled."""

    name: str

    @property
    def until(self) -> datetime | None:
        """Everything before this instant was looked at; None when nothing was yet."""

    def aim(self, goal: datetime | None) -> None:
        """Give news when this instant is passed."""

    async def run(self) -> None:
        """Look until cancelled."""

    def say(self, reach: Reach) -> Iterator[Decision]:
        """What was found since the last call; each is made when the one before is stored."""


def gap_of(view: ObserverView, source: str, start: datetime, end: datetime, why: str) -> StreamGap:
    """The next gap of a source."""
    return StreamGap(source=source, number=view.gaps.get(source, 0) + 1, start=start, end=end, why=why)
