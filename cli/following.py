"""Following one run from its first line to its report."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from actors.summaries import run_ids
from bus.archive import Archive
from bus.cancelling import end
from bus.journal import Line
from bus.patience import asked_again
from cli.access import LOOK_LIMIT, Bus
from cli.errors import CliError, Exit
from cli.progress import Progress
from messages.judgements import Artefact
from messages.run_events import RunFinished
from runs.state import RunState

ACCEPT_LIMIT = 30.0
"""Seconds for a submitted scenario to become a run."""
REPORT_LIMIT = 10.0
"""Seconds for the report, once the run is finished."""
Show = Callable[[Line], None]


class Following:
    """One run that is being read."""

    def __init__(self, run: str, progress: Progress) -> None:
        self.run = run
        self.progress = progress
        self._accepted = asyncio.Event()
        self._finished = asyncio.Event()
        self._published = asyncio.Event()

    @property
    def state(self) -> RunState:
        """As far as it has been read."""
        return self.progress.state

    def take(self, line: Line, show: Show) -> None:
        """Take in the next line."""
        self.progress.apply(line)
        if self.state.accepted is not None:
            self._accepted.set()
        if self.state.finished is not None:
            self._finished.set()
        if self.state.published is not None:
            self._published.set()
        show(line)

    async def accepted(self, namespace: str) -> None:
        """Wait until the run exists.

        Raises:
            CliError: nobody took the scenario.
        """
        try:
            async with asyncio.timeout(ACCEPT_LIMIT):
                await self._accepted.wait()
        except TimeoutError:
            raise CliError(
                f"run {self.run} was not accepted within {ACCEPT_LIMIT:.0f} s",
                f"is a host with the scheduler at work (test-coordinator health)? If it was refused, {namespace}.rejected.> says why",
                Exit.UNREACHABLE,
            ) from None

    async def over(self) -> RunFinished:
        """Wait for the end of the run and a while for its report; `artefacts` is empty without one."""
        await self._finished.wait()
        try:
            async with asyncio.timeout(REPORT_LIMIT):
                await self._published.wait()
        except TimeoutError:
            pass
        finished = self.state.finished
        if finished is None:
            raise CliError(f"run {self.run} has no end", code=Exit.UNREACHABLE)
        return finished

    @property
    def artefacts(self) -> tuple[Artefact, ...]:
        """The report's files in the object store."""
        return self.state.published.artefacts if self.state.published else ()


@asynccontextmanager
async def following(bus: Bus, progress: Progress, show: Show) -> AsyncIterator[Following]:
    """Read the run from its first line while the block lasts."""
    found = Following(progress.state.id, progress)
    reader = bus.journal.follow(0, lambda line: found.take(line, show), run=found.run)
    for line in await asked_again(lambda: Archive(bus.journal).moved(found.run), f"look up {found.run}", LOOK_LIMIT):
        found.take(line, show)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reader.run())
        try:
            yield found
        finally:
            await end([task])


async def find_run(bus: Bus, wanted: str) -> str:
    """The id of a run that exists: `last` is the newest one, and a unique beginning of an id will do.

    Raises:
        CliError: there is no such run, or several.
    """
    runs = await asked_again(lambda: run_ids(bus.journal), "list the runs", LOOK_LIMIT)
    if wanted == "last" and runs:
        return runs[-1]
    found = [run for run in runs if run == wanted] or [run for run in runs if run.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    what = f"there is no run {wanted}" if not found else f"{len(found)} runs begin with {wanted}"
    raise CliError(what, "`test-coordinator list` shows them all")
