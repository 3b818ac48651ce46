"""A nats-server of our own on a state folder: held, announced, and started again if it dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from bus.cancelling import end
from bus.errors import ServerFailed, StateUnusable
from bus.server import Server, embedded_server
from bus.state import StateFolder

_log = structlog.get_logger("deploy.embedded")
_LONGEST_PAUSE = 10.0


@asynccontextmanager
async def embedded(folder: Path, *, announced: bool = True, guard: bool = False, sync_always: bool = False) -> AsyncIterator[str]:
    """The address of a server on this folder, until the block ends. One that is not `announced` is for this process alone.

    A `guard` says that it is one: see `bus.state.Holder`. With `sync_always` what was acknowledged survives a power cut.

    Raises:
        StateInUse: a live process holds the folder; the error has its address.
        StateUnusable, ServerFailed: it cannot be had; the text says why.
    """
    with StateFolder.open(folder, guard=guard) as held:
        async with embedded_server(folder, sync_always=sync_always) as server:
            if announced:
                held.announce(server.url)
            async with asyncio.TaskGroup() as tasks:
                keeper = tasks.create_task(_keep(server))
                try:
                    yield server.url
                finally:
                    await end([keeper])


async def _keep(server: Server) -> None:
    pause = 0.1
    while True:
        how = await server.watch()
        _log.error("server.died", how=how, again_in=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
        try:
            await server.restart()
        except (ServerFailed, StateUnusable) as error:
            _log.error("server.unstartable", error=str(error))
