"""One run in one actor's hands: its view, its wakes and its timers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from bus.actor import Actor
from bus.errors import LostRace
from bus.journal import Journal
from bus.membership import MARGIN
from bus.share import Share


class Host(Protocol):
    """The runtime that an active run belongs to."""

    actor: Actor[Any]
    journal: Journal

    share: Share

    def is_attended(self, actor: str, partition: int) -> bool:
        """Whether a host that lives owns the partition for an actor."""

    @property
    def woken(self) -> Callable[["ActiveRun"], None]:
        """Told when a wake that a handler asked for has come."""


@dataclass(eq=False)
class ActiveRun:
    """One run in one actor's hands."""

    id: str
    partition: int
    runtime: "Host"
    view: Any
    traceparent: str | None = None
    position: int = 0
    """The newest sequence that the view knows of this run."""
    term: int | None = None
    """Of its partition, when this host took it up."""
    fenced: bool = False
    """Another host has written last that it has the run."""
    inherited: bool = False
    """It was found in the journal: others may have worked on it."""
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    """The journal says that this host has it, so that nobody can write in its place who had it before. Set, too, when telling that came
    to nothing, since another has the run by now or it is over: who waited goes on, and is stopped by `hold` and the guards."""
    written: int = 0
    """The newest sequence that this actor wrote, whichever host it was on."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Lanes of one actor write in turn: a guard is there to lose against others, not against oneself."""
    wrote: set[str] = field(default_factory=set)
    """The ids of what this actor has written, or is about to."""
    wake: asyncio.TimerHandle | None = None
    wake_instant: datetime | None = None
    closed: bool = False
    """It is over: nothing that is written now comes back."""
    closing: asyncio.TimerHandle | None = None
    reported: bool = False
    failures: int = 0
    """Dead letters of this actor in this run."""
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def lost(self) -> bool:
        return self.fenced or not self.runtime.share.has(self.partition, self.term)

    async def hold(self) -> None:
        await self.runtime.share.hold(self.partition, MARGIN, self.term)
        if self.fenced:
            raise LostRace(self.id, self.position)

    async def latest(self) -> Any:
        view, journal = self.runtime.actor.fold(self.id), self.runtime.journal
        await journal.read_runs([self.id], await journal.last_sequence(), view.apply)
        return view

    async def caught_up(self) -> datetime:
        journal = self.runtime.journal
        await self.reached(await journal.newest_of(self.id, self.partition))
        return await journal.room.unbroken_since(journal.clock)

    def is_attended(self, actor: str) -> bool:
        return self.runtime.is_attended(actor, self.partition)

    def now(self) -> datetime:
        return self.runtime.journal.clock.now()

    def instant(self, local: float) -> datetime:
        return self.runtime.journal.clock.at(local)

    def wake_at(self, instant: datetime) -> None:
        if self.wake_instant is not None and self.wake_instant <= instant:
            return
        self.stop_waking()
        self.wake_instant = instant
        delay = max(0.0, (instant - self.now()).total_seconds()) + 0.0005
        self.wake = asyncio.get_running_loop().call_later(delay, self.runtime.woken, self)

    def stop_waking(self) -> None:
        if self.wake is not None:
            self.wake.cancel()
        self.wake, self.wake_instant = None, None

    async def arm_timer(self, name: str, at: datetime, body: bytes) -> int | None:
        return await self.renew_timer(name, at, body, 0)

    async def renew_timer(self, name: str, at: datetime, body: bytes, last: int) -> int | None:
        subjects, actor = self.runtime.journal.subjects, self.runtime.actor.name
        target = subjects.timer_due(self.partition, self.id, actor, name)
        return await self.runtime.journal.schedule(subjects.timer(self.partition, self.id, actor, name), target, at, body, last)

    async def timer(self, name: str) -> tuple[int, datetime] | None:
        subjects, actor = self.runtime.journal.subjects, self.runtime.actor.name
        return await self.runtime.journal.scheduled(subjects.timer(self.partition, self.id, actor, name))

    async def cancel_timer(self, name: str) -> None:
        subjects = self.runtime.journal.subjects
        await self.runtime.journal.unschedule(subjects.timer(self.partition, self.id, self.runtime.actor.name, name))

    async def reached(self, sequence: int) -> None:
        """Wait until the view knows this sequence."""
        while self.position < sequence and not self.closed:
            self.moved.clear()
            await self.moved.wait()

    def close(self) -> None:
        """It is over: whoever waits for its lines goes on."""
        self.closed = True
        if self.closing is not None:
            self.closing.cancel()
        self.stop_waking()
        self.moved.set()
