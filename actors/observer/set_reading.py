"""Reading what is there when the window of a `set` claim has ended, and comparing it with what its workload tried."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from actors.observer.comparing import TooMuch, Tried
from actors.observer.health import News
from actors.observer.operations import Lines
from actors.observer.source import Reach
from actors.observer.view import ObserverView
from bus.actor import Decision, Run
from messages.claims import SetClaim
from messages.measurements import SetRead
from targets.health import HealthProber

PIECE = 64 * 1024
POLL, PAUSE = 0.1, 0.5
PATIENCE = 5.0
"""Seconds from the window's end in which reading is tried anew."""
IN_FLIGHT = 3.0
"""Seconds in which the workload may still say of what is there that it tried it."""


class SetReading:
    """Reads once. The workload's output is read from its start, so a new observer knows as much as the old one. No window waits for it."""

    def __init__(self, claim: SetClaim, output: str, run: Run[ObserverView], prober: HealthProber, news: News) -> None:
        self.name = claim.id
        self._claim = claim
        self._path = Path(output)
        self._run = run
        self._prober = prober
        self._news = news
        self._tried = Tried(claim.op)
        self._lines = Lines()
        self._offset = 0
        self._found: SetRead | None = None

    @property
    def until(self) -> datetime | None:
        return self._run.now()

    def aim(self, goal: datetime | None) -> None:
        del goal

    async def run(self) -> None:
        try:
            self._found = await self._read()
        except TooMuch as error:
            self._found = SetRead(assertion=self.name, at=self._run.now(), took=timedelta(), error=str(error), final=True)
        self._news()

    def say(self, reach: Reach) -> Iterator[Decision]:
        del reach
        if self._found is not None:
            yield self._found
            self._found = None

    async def _read(self) -> SetRead:
        """What was ok in the output before an attempt began was acknowledged before it."""
        first, attempts = time.monotonic(), 0
        while True:
            self._tried.reading = False
            await self._catch_up()
            begin, attempts = time.monotonic(), attempts + 1
            self._tried.reading = True
            items = await self._prober.items(self._claim.read)
            at, took = self._run.instant(begin), timedelta(seconds=time.monotonic() - begin)
            if not isinstance(items, str):
                await self._explained(items)
                return SetRead(assertion=self.name, at=at, took=took, attempts=attempts, **self._tried.compared(items))
            if time.monotonic() - first > PATIENCE:
                error = f"what is there could not be read in {attempts} attempts: {items}"
                return SetRead(assertion=self.name, at=at, took=took, attempts=attempts, error=error)
            await asyncio.sleep(PAUSE)

    async def _explained(self, items: list[str]) -> None:
        """Wait until the workload has said of all items that it tried them: of some it may not have heard yet."""
        begin, left = time.monotonic(), items
        while left and time.monotonic() - begin < IN_FLIGHT:
            await self._catch_up()
            left = [item for item in left if not self._tried.explains(item)]
            await asyncio.sleep(POLL if left else 0)

    async def _catch_up(self) -> None:
        """Read the output to its end."""
        while data := self._next():
            self._offset += len(data)
            for line, _ in self._lines.feed(data):
                self._tried.see(line)
            await asyncio.sleep(0)

    def _next(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                return file.read(PIECE)
        except OSError:
            return b""
