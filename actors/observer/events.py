"""The service events of a run: matched and counted as they are read, and known to be read up to an instant."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from actors.observer.counting import Counting
from actors.observer.matching import Matching
from actors.observer.view import ObserverView
from bus.actor import Run
from bus.cancelling import end
from bus.errors import BusError, NoAnswer
from bus.event_streams import EventStreams, Following, Look, Lost
from messages.claims import ServiceEvent
from messages.correlations import Unreadable
from runs.correlation.trail import Trail

_log = structlog.get_logger()
_PAUSE = 0.1
UNREADABLE = 20
FOREVER = datetime.max.replace(tzinfo=UTC)


class EventReading:
    """Reads the events of one run. `look` at least every `pause` seconds, at once when hurried."""

    def __init__(self, streams: EventStreams, run: Run[ObserverView], news: Callable[[], None], fresh: Callable[[], None]) -> None:
        system = run.view.state.system
        self.subjects = system.spec.events
        self.matching = Matching(run.view.state.scenario.claims(), system.event_names())
        self.counting = Counting()
        self.trail = Trail(system.event_names(), system.spec.correlation)
        self.unreadable: list[Unreadable] = []
        """The first messages that are no events."""
        self.until: datetime | None = None
        """Every event stored before this instant was read; None before the first look."""
        self.through = 0
        self.lost: list[Lost] = []
        self.untold: deque[Lost] = deque()
        """Losses that are still to be said."""
        self.pause = 1.0
        self._streams = streams
        self._run = run
        self._news = news
        self._fresh = fresh
        self._goal: datetime | None = None
        self._hurry = asyncio.Event()
        self._looked = asyncio.Event()
        self._stopped = False

    async def run(self) -> None:
        """Read until cancelled."""
        if not self.subjects:
            await self._look_on(self._nothing_to_read)
        following = await self._open()
        if following is None:
            await self._look_on(self._nothing_to_read)
            return
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(following.run())
            try:
                await self._look_on(following.look)
            finally:
                await end([reading])

    async def passed(self, instant: datetime) -> bool:
        """Wait until everything stored before this instant was read. False if the reading was stopped before."""
        while (self.until is None or self.until < instant) and not self._stopped:
            self.aim(instant)
            self._looked.clear()
            await self._looked.wait()
        return self.until is not None and self.until >= instant

    def stop(self) -> None:
        """Nobody waits any more."""
        self._stopped = True
        self._looked.set()

    def aim(self, goal: datetime | None) -> None:
        """Look until this instant is passed; at once when it has come."""
        self._goal = goal
        if goal is not None and goal <= self._run.now():
            self._hurry.set()

    async def _open(self) -> Following | None:
        """The reading, or None if the events cannot be read, which is recorded as a loss."""
        view = self._run.view
        since = view.state.started or self._run.now()
        while True:
            try:
                return await self._streams.follow(view.state.system.name, self.subjects, since, self._on_event, known=view.read_first)
            except NoAnswer:
                await asyncio.sleep(_PAUSE)
            except BusError as error:
                _log.warning("events.unreadable", run=self._run.id, error=str(error))
                self._lose([Lost(since, FOREVER, str(error))])
                return None

    async def _look_on(self, look: Callable[[datetime], Awaitable[Look]]) -> None:
        while True:
            self._hurry.clear()
            try:
                found = await look(self._floor())
            except NoAnswer as error:
                _log.info("events.behind", run=self._run.id, error=str(error))
                await asyncio.sleep(_PAUSE)
                continue
            self._take(found)
            if not self._goal_is_due():
                await self._wait()

    def _take(self, look: Look) -> None:
        passing = self.until is None or (self._goal is not None and look.until >= self._goal)
        self.until, self.through = look.until, look.through
        self._lose(look.lost)
        self._looked.set()
        if passing:
            self._goal = None
            self._news()

    def _goal_is_due(self) -> bool:
        return self._goal is not None and self._goal <= self._run.now() and bool(self.subjects) and not self._unreadable()

    def _unreadable(self) -> bool:
        return any(lost.end == FOREVER for lost in self.lost)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self.pause):
                await self._hurry.wait()
        except TimeoutError:
            return

    def _floor(self) -> datetime:
        """The newest line of the journal was stored then, so the server's clock is past it."""
        state = self._run.view.state
        return state.last_at or state.started or self._run.now()

    async def _nothing_to_read(self, floor: datetime) -> Look:
        return Look(floor, 0)

    def _lose(self, lost: list[Lost] | tuple[Lost, ...]) -> None:
        self.lost += lost
        self.untold += lost

    def _on_event(self, at: datetime, event: ServiceEvent | Unreadable) -> None:
        if isinstance(event, Unreadable):
            self.counting.add(at, None)
            self.trail.refuse(at)
            if len(self.unreadable) < UNREADABLE:
                self.unreadable.append(event)
            return
        if not event.ours:
            self.counting.add(at, event.type)
            self.trail.see(event)
        self.matching.see(event)
        self._fresh()
