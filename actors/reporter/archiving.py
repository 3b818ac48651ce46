"""Moving the journals of runs that are long over out of the stream, beside the reporter's own work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from actors.summaries import fold_run, summary_of
from bus.archive import Archive
from bus.cancelling import end
from bus.errors import BusError
from bus.journal import Journal

_log = structlog.get_logger()
LOOK, SOON = 300.0, 10.0
"""Seconds between two looks at what is due, and when more is due than was moved."""
AT_ONCE = 50
"""How many runs one look moves at most."""
PAUSE = 0.1
"""Seconds between two runs, so that what runs is not held up."""


class Archiving:
    """Moves each run's journal into the archive some time after its report. Any number of hosts may do so at once."""

    def __init__(self, journal: Journal, retention: timedelta) -> None:
        self._journal = journal
        self._archive = Archive(journal)
        self._retention = retention
        self._kept: set[str] = set()
        """Runs that cannot be moved as things are; looked at again when this process starts anew."""
        self._failed: set[str] = set()
        """Runs at which something went wrong: they come last."""

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Look now and then while the block lasts."""
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._keep_looking())
            try:
                yield
            finally:
                await end([looking])

    async def _keep_looking(self) -> None:
        while True:
            try:
                moved = await self.look()
            except BusError as error:
                _log.warning("archive.postponed", error=str(error))
                moved = 0
            except Exception:  # noqa: BLE001 - a border: old runs must not keep new ones from being reported
                _log.exception("archive.failed")
                moved = 0
            await asyncio.sleep(SOON if moved == AT_ONCE else LOOK)

    async def look(self) -> int:
        """Move what is due; how many runs that were.

        Raises:
            BusError: the bus does not answer, or has no room; what was not moved stays where it is.
        """
        due = await self._archive.reported_before(self._journal.clock.now() - self._retention)
        moved = 0
        for run in sorted(due, key=lambda run: run in self._failed):
            if run in self._kept or moved == AT_ONCE:
                continue
            moved += await self._try(run)
            await asyncio.sleep(PAUSE)
        return moved

    async def _try(self, run: str) -> bool:
        """One run does not stop the others, unless the bus does: then those that are left come first at the next look."""
        self._failed.add(run)
        try:
            moved = await self._move(run)
        except BusError:
            raise
        except Exception:  # noqa: BLE001 - a border: see above
            _log.exception("run.unarchived", run=run)
            return False
        self._failed.discard(run)
        return moved

    async def _move(self, run: str) -> bool:
        """What is unsafe stays until somebody has resolved it: it is asked about all the time."""
        state = await fold_run(self._journal, run)
        if state.accepted is None or state.left:
            return False
        if not await self._archive.move(run, summary_of(state)):
            self._kept.add(run)
            return False
        _log.info("run.archived", run=run)
        return True
