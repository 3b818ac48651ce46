"""Feeding the actors of a host from one reader of the journal."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

import structlog
from nats.errors import Error as NatsError

from bus.cancelling import leave_if_cancelled
from bus.errors import BusError
from bus.journal import Journal, Line

_log = structlog.get_logger()


class Fed(Protocol):
    """Somebody who takes in the lines of the journal: an actor at work, or who only watches."""

    def begin_replay(self) -> None:
        """What is delivered now is old."""

    def end_replay(self) -> None:
        """What is delivered now is new."""

    def deliver(self, line: Line) -> None:
        """Take in the next line of any run."""


class Reading:
    """Feeds the actors of one host from one reader: first the open runs, then everything new."""

    def __init__(self, journal: Journal, runtimes: Iterable[Fed]) -> None:
        self._journal = journal
        self._runtimes = list(runtimes)
        self.caught_up = asyncio.Event()

    def leave(self, runtime: Fed) -> None:
        """Feed this one no more."""
        if runtime in self._runtimes:
            self._runtimes.remove(runtime)

    async def run(self) -> None:
        """Read until cancelled."""
        last = await self._journal.last_sequence()
        open_runs = await self._journal.open_runs()
        for runtime in self._runtimes:
            runtime.begin_replay()
        if open_runs:
            await self._journal.read_runs(open_runs, last, self._deliver)
        for runtime in self._runtimes:
            runtime.end_replay()
        reader = self._journal.follow(last, self._deliver)
        self.caught_up.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reader.run())
            tasks.create_task(self._keep_time())

    def _deliver(self, line: Line) -> None:
        for runtime in tuple(self._runtimes):
            runtime.deliver(line)

    async def _keep_time(self) -> None:
        while True:
            leave_if_cancelled()
            await asyncio.sleep(10)
            try:
                await self._journal.last_sequence()
            except (TimeoutError, OSError, BusError, NatsError) as error:
                _log.info("clock.unset", error=str(error) or type(error).__name__)
