"""What this process has begun and could not record, since another has the run by now: it is put right."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from bus.actor import Run
from runs.state import RunState

_log = structlog.get_logger()
LONGEST = 30.0
"""Seconds that one may take."""
PutRight = Callable[[], Coroutine[None, None, None]]


class LooseEnds:
    """Put right beside the handlers: those of a run that is lost are cancelled."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], tuple[Run[RunState], PutRight]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def tied(self) -> AsyncIterator[None]:
        """What is to be put right is, until the block ends; what has begun then is brought to its end."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None

    @contextmanager
    def left(self, run: Run[RunState], name: str, put_right: PutRight) -> Iterator[None]:
        """Around what is in no journal yet, with the `yield` that records it: it is put right if the run is lost before that is stored."""
        self._left[run.id, name] = run, put_right
        yield
        self._left.pop((run.id, name), None)

    def forget(self, run: str) -> None:
        """The run is over, or another's."""
        for key in [key for key in self._left if key[0] == run]:
            whose, put_right = self._left.pop(key)
            if whose.lost and self._tasks is not None:
                self._tasks.create_task(_bounded(put_right))


async def _bounded(put_right: PutRight) -> None:
    try:
        async with asyncio.timeout(LONGEST):
            await put_right()
    except Exception:  # noqa: BLE001 - a border: what is put right for another ends nobody here
        _log.exception("loose_end.failed")
