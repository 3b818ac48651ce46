"""Joining a coordinator that is perhaps only starting: it is waited for, as long as there is reason to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from bus.errors import BusError, Unreachable
from bus.state import holder
from cli.access import Access, Bus, bus_at, live_address, on_terminal, takes_requests
from cli.errors import CliError
from cli.guard import guard_over
from cli.output import complain
from deploy.presence import who_is_there

START_LIMIT = 20.0
"""Seconds for all actors of a coordinator to be at work; they first read the runs that are open."""
SOON = 5.0
"""Seconds at an address where nothing shows yet that somebody is starting."""


@asynccontextmanager
async def joining_when_ready(access: Access) -> AsyncIterator[Bus]:
    """For commands that hand a run over: a coordinator that is only starting is waited for.

    Raises:
        CliError: none is at work, nor starting.
    """
    if access.nats is None:
        await guard_over(access.folder)
    async with AsyncExitStack() as stack:
        yield await join_when_ready(access, stack)


async def join_when_ready(access: Access, stack: AsyncExitStack) -> Bus:
    """A connection to the coordinator when it is at work; after a bound what can be had. A person is told what is waited for.

    Raises:
        CliError: the coordinator has left, or has not made its streams.
        BusError: its server does not answer.
    """
    bus: Bus | None = None
    said, now = False, asyncio.get_running_loop().time
    begun = now()
    while True:
        try:
            bus = bus or await stack.enter_async_context(bus_at(live_address(access), access.settings))
        except (CliError, BusError) as error:
            if now() - begun > _worth_waiting(access, error):
                raise
        if bus is not None and (await _is_ready(access, bus) or now() - begun > await _patience(access, bus)):
            return bus
        if not said and on_terminal():
            complain(f"waiting for a coordinator {f'at {access.nats}' if access.nats else f'on {access.folder}'} to be at work")
        said = True
        await asyncio.sleep(0.05)


def _worth_waiting(access: Access, error: Exception) -> float:
    """Seconds that one waits where nobody has made streams yet."""
    if access.nats is None:
        return START_LIMIT if holder(access.folder) is not None else 0.0
    return 0.0 if isinstance(error, Unreachable) else SOON


async def _patience(access: Access, bus: Bus) -> float:
    """Seconds that one waits for somebody to take requests."""
    return START_LIMIT if access.nats is None or await _is_starting(bus) else SOON


async def _is_ready(access: Access, bus: Bus) -> bool:
    """Whether requests are answered; on a state folder also that nobody there is still starting."""
    if not await takes_requests(bus):
        return False
    return access.nats is not None or not await _is_starting(bus)


async def _is_starting(bus: Bus) -> bool:
    return any(state == "starting" for host in await who_is_there(bus.instances) for state in host.actors.values())
