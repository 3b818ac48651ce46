"""Feeding the actors of a host from one reader of the journal, each with the partitions that it owns."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

import structlog
from nats.errors import Error as NatsError

from bus.actor import Unreadable
from bus.cancelling import leave_if_cancelled
from bus.errors import BusError, NamespaceMissing
from bus.journal import Journal, Line
from bus.runtime import ActorRuntime

_log = structlog.get_logger()
TOGETHER = 0.02
"""Seconds for the partitions of the other actors to change too: they mostly do."""
_PAUSE = 0.05


class Fed(Protocol):
    """Somebody who reads along, without work of its own. The same line may come again."""

    def deliver(self, line: Line) -> None:
        """Take in the next line of any run."""


class Reading:
    """Feeds the actors of one host from one reader: of each partition that one gains first the open runs, then everything new."""

    def __init__(self, journal: Journal, runtimes: Iterable[ActorRuntime], audience: Iterable[Fed] = ()) -> None:
        self._journal = journal
        self._runtimes = list(runtimes)
        self._audience = tuple(audience)
        self._position = 0
        self.caught_up = asyncio.Event()

    def leave(self, runtime: ActorRuntime) -> None:
        """Feed this one no more."""
        if runtime in self._runtimes:
            self._runtimes.remove(runtime)

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_time())
            for runtime in self._runtimes:
                await runtime.share.settled.wait()
            while True:
                await self._catch_up()
                leave_if_cancelled()
                self.caught_up.set()
                await self._follow()

    async def _catch_up(self) -> None:
        """Let go of what was lost, and take up the runs of what was gained. Waits over an outage of the server."""
        while True:
            for runtime in tuple(self._runtimes):
                await runtime.release(runtime.lost())
            if not any(runtime.gained() for runtime in self._runtimes):
                return
            try:
                last, runs = await self._journal.last_sequence(), await self._journal.runs_to_take_up()
            except NamespaceMissing:
                raise
            except (TimeoutError, OSError, BusError, NatsError) as error:
                _log.info("runs.unlisted", error=str(error) or type(error).__name__)
                leave_if_cancelled()
                await asyncio.sleep(_PAUSE)
            else:
                await self._take_up(last, runs)
                return

    async def _take_up(self, last: int, there: Mapping[str, int]) -> None:
        """Begun when nothing but reading is left to do: a replay that has begun cannot be repeated."""
        runtimes = tuple(self._runtimes)
        idle = not any(runtime.serving for runtime in runtimes)
        gained = {runtime: runtime.gained() for runtime in runtimes}
        for runtime, partitions in gained.items():
            runtime.begin_replay(partitions, last)
        everything = set[int]().union(*gained.values())
        runs = [run for run, partition in there.items() if partition in everything]
        if runs:
            await self._journal.read_runs(runs, last, self._deliver, unreadable=True)
        for runtime in runtimes:
            await runtime.end_replay()
        if idle:
            self._position = last

    async def _follow(self) -> None:
        """Read on until the partitions of an actor change."""
        partitions = frozenset().union(*(runtime.serving for runtime in self._runtimes))
        async with asyncio.TaskGroup() as tasks:
            changes = [tasks.create_task(self._until_changed(runtime)) for runtime in self._runtimes]
            reader = self._journal.follow_partitions(partitions, self._position, self._deliver) if partitions else None
            reading = [tasks.create_task(reader.run())] if reader is not None else []
            await asyncio.wait([*changes, *reading], return_when=asyncio.FIRST_COMPLETED)
            for task in (*changes, *reading):
                task.cancel()
        if reader is not None:
            self._position = max(self._position, reader.sequence)
        await asyncio.sleep(TOGETHER)

    async def _until_changed(self, runtime: ActorRuntime) -> None:
        while not (runtime.lost() or runtime.gained()) and runtime in self._runtimes:
            await runtime.share.changed.wait()

    def _deliver(self, line: Line) -> None:
        for runtime in tuple(self._runtimes):
            runtime.deliver(line)
        for reader in self._audience if not isinstance(line.event, Unreadable) else ():
            reader.deliver(line)

    async def _keep_time(self) -> None:
        while True:
            leave_if_cancelled()
            await asyncio.sleep(10)
            try:
                await self._journal.last_sequence()
            except (TimeoutError, OSError, BusError, NatsError) as error:
                _log.info("clock.unset", error=str(error) or type(error).__name__)
