"""Reading a log for a claim, as it is written."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from actors.observer.health import News
from actors.observer.logs import Glance, LogLines, LogSpans, Matches
from actors.observer.source import Reach
from actors.observer.view import ObserverView
from bus.actor import Decision, Run
from messages.claims import LogClaim
from messages.measurements import LogMatched
from runs.windows import window_of
from targets.secrets import hidden

_log = structlog.get_logger()
POLL = 0.1
"""Seconds between two looks: so late a line may be read."""
LATE = timedelta(milliseconds=300)
"""What is read so long after the last look, or by the first one, is not placed in time: it was written since then."""
PIECE = 64 * 1024
TURN = 0.01
"""Seconds of matching after which others have their turn."""
MOST = 1.0
"""Seconds that a look may take. What is written faster than it can be read is lost, or every window would wait for it."""


class LogTailing:
    """Follows one log for one claim, from where the last observer had told of it; a service writes to one file through all its starts."""

    def __init__(self, claim: LogClaim, phase: str | None, path: str, run: Run[ObserverView], news: News, secrets: Sequence[str]) -> None:
        told = run.view.logged.get(claim.id)
        self.name = claim.id
        self._claim = claim
        self._phase = phase
        self._path = Path(path)
        self._run = run
        self._news = news
        self._secrets = secrets
        self._looking = claim.looking
        self._lines = LogLines()
        self._offset = told.through if told is not None else 0
        self._since = told.end if told is not None else run.view.state.started or run.now()
        self._spans = LogSpans(claim.id, self._since, self._offset)
        self._until: float | None = None
        self._goal: datetime | None = None

    @property
    def until(self) -> datetime:
        return self._run.instant(self._until) if self._until is not None else self._since

    def aim(self, goal: datetime | None) -> None:
        self._goal = goal

    async def run(self) -> None:
        while True:
            begin = time.monotonic()
            await self._look(begin)
            self._until = begin
            if self._goal is not None and self._run.instant(begin) >= self._goal:
                self._news()
            await asyncio.sleep(POLL)

    def say(self, reach: Reach) -> Iterator[Decision]:
        until, window = self.until, window_of(self._run.view.state, self._claim, self._phase)
        spans = self._spans.through(until if reach.rest else reach.told(until), {*reach.cuts, *([until] if reach.rest else [])})
        opens, closes = window.opens, window.closes
        wanted: list[LogMatched] = [s for s in spans if opens is not None and s.end > opens and (closes is None or s.start < closes)]
        if wanted:
            yield tuple(wanted)

    async def _look(self, begin: float) -> None:
        found = Matches(self._looking, lambda line: hidden(line, self._secrets))
        lost = self._shrunk()
        while not lost and (data := self._next()):
            self._offset += len(data)
            lost = await self._see(found, self._lines.feed(data), begin)
        at = self._run.now()
        since = self._since if self._until is None or at - self._since > LATE else None
        if lost:
            self._leave_out()
            self._spans.add(Glance(at, self._since, lost=True))
        elif found:
            self._spans.add(found.glance(at, since, self._offset - self._lines.pending))
        self._since = at

    async def _see(self, found: Matches, lines: Sequence[str], begin: float) -> bool:
        """Match the lines, and let others work now and then; whether it takes too long."""
        turn = time.monotonic()
        for line in lines:
            found.see(line)
            if time.monotonic() - turn > TURN:
                await asyncio.sleep(0)
                turn = time.monotonic()
                if turn - begin > MOST:
                    return True
        await asyncio.sleep(0)
        return time.monotonic() - begin > MOST

    def _next(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                return file.read(PIECE)
        except OSError:
            return b""

    def _shrunk(self) -> bool:
        """Whether the file is not there, or shorter than what was read of it."""
        return self._size() < self._offset

    def _leave_out(self) -> None:
        """Read on from what is there now: the end, or the beginning of a file that was cut."""
        size = max(self._size(), 0)
        if size != self._offset:
            _log.info("log.lost", run=self._run.id, claim=self.name, read=self._offset, size=size)
        self._lines, self._offset = LogLines(), size

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return -1
