"""Tasks that end with a block."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from bus.cancelling import end
from bus.errors import NameTaken


class Background:
    """Starts them. Made by `background_tasks`."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self.started: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Do this beside the block."""
        self.started.append(self._tasks.create_task(work))
        return self.started[-1]


@asynccontextmanager
async def background_tasks() -> AsyncIterator[Background]:
    """A group of tasks, all of them cancelled at the end. A refusal of our name leaves it as it is, not in an ExceptionGroup."""
    refused: NameTaken | None = None
    async with asyncio.TaskGroup() as tasks:
        background = Background(tasks)
        try:
            yield background
        except NameTaken as error:
            refused = error
        finally:
            await end(background.started)
    if refused is not None:
        raise refused
