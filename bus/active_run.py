"""One run in one actor's hands: its view, its wakes and its timers."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from bus.actor import Actor
from bus.journal import Journal


class Host(Protocol):
    """The runtime that an active run belongs to."""

    actor: Actor[Any]
    journal: Journal

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
    guards: dict[str, int] = field(default_factory=dict)
    """The newest sequence per entity that this actor wrote (`*`: any entity)."""
    wrote: set[str] = field(default_factory=set)
    """The ids of what this actor has written, or is about to."""
    wake: asyncio.TimerHandle | None = None
    wake_instant: datetime | None = None
    closed: bool = False
    """It is over: nothing that is written now comes back."""
    closing: asyncio.TimerHandle | None = None
    failures: int = 0
    """Dead letters of this actor in this run."""
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """Lanes of one actor that write on the same entity do so in turn: a guard is there to lose against others, not against oneself."""

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
        self.stop_waking()
        self.moved.set()
