"""Reading what workloads say, as it is said."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from actors.observer.health import News
from actors.observer.operations import Lines, Operation, Operations, operation_of
from actors.observer.source import Reach, gap_of
from actors.observer.view import ObserverView
from bus.actor import Decision, Run

_log = structlog.get_logger()
POLL = 0.1
"""Seconds between two looks: the error bound of operations that do not say when they ended, beside what their program holds back."""
PIECE = 256 * 1024


class Tailing:
    """Follows the output of one workload, from where the last observer had read it."""

    def __init__(self, name: str, output: str, run: Run[ObserverView], news: News) -> None:
        view, now = run.view, run.now()
        told = view.operated.get(name)
        seen = [told.end if told else None, view.mark.probes if view.mark else None]
        since = max((instant for instant in seen if instant is not None), default=now)
        self.name = name
        self._path = Path(output)
        self._run = run
        self._news = news
        self._lines = Lines()
        self._offset = told.through if told else 0
        self._operations = Operations(name, told.end if told else view.state.started or now)
        self._gaps: deque[tuple[datetime, datetime, str]] = deque()
        self._until: float | None = None
        self._goal: datetime | None = None
        self._late = 0
        """Lines that begin before this byte were written while nobody looked."""
        if told is not None and now - since > view.state.system.spec.max_gap:
            self._gaps.append((since, now, "its output was not read"))
            self._late = self._size()

    @property
    def until(self) -> datetime | None:
        return self._run.instant(self._until) if self._until is not None else None

    def aim(self, goal: datetime | None) -> None:
        self._goal = goal

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await self._read()
            self._until = before
            reached = self._run.instant(before)
            if self._goal is not None and reached >= self._goal:
                self._news()
            await asyncio.sleep(POLL)

    def say(self, reach: Reach) -> Iterator[Decision]:
        while self._gaps:
            start, end, why = self._gaps[0]
            yield gap_of(self._run.view, self.name, start, end, why)
            self._gaps.popleft()
        if self.until is not None:
            until = self.until if reach.rest else reach.told(self.until)
            seen = self._operations.through(until, {*reach.cuts, *([until] if reach.rest else [])}, self._offset - self._lines.pending)
            if seen:
                yield tuple(seen)

    async def _read(self) -> None:
        while data := self._next():
            begin = self._offset - self._lines.pending
            self._offset += len(data)
            for line, size in self._lines.feed(data):
                self._place(begin, operation_of(line))
                begin += size
            await asyncio.sleep(0)

    def _next(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                return file.read(PIECE)
        except OSError as error:
            _log.info("workload.unreadable", run=self._run.id, workload=self.name, error=str(error))
            return b""

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _place(self, begin: int, operation: Operation) -> None:
        now = self._run.now()
        if operation.ended is not None:
            # The workload runs on this machine, so its clock is ours: only how long ago it was is taken from it.
            ago = datetime.fromtimestamp(time.clock_gettime(time.CLOCK_REALTIME), UTC) - operation.ended
            self._operations.add(now - max(ago, timedelta()), begin, operation)
        elif begin >= self._late:
            self._operations.add(now, begin, operation)
