"""`serve`: actors at work until a signal comes."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from cli.access import Access
from cli.errors import Exit
from cli.looping import Signals, run_async, signals
from cli.output import complain
from deploy.draining import drain
from deploy.embedded import embedded
from deploy.host import Host, Plan, chosen_actors
from deploy.logs import configure_logs
from deploy.serving import observed
from scenarios.library import library_directory
from scenarios.systems import load_systems


def serve_command(actors: str, systems: Path | None, access: Access) -> int:
    """Run the chosen actors; 0 after a graceful stop."""
    settings = access.settings
    style = settings.log_format or ("console" if sys.stderr.isatty() else "json")
    configure_logs(settings.log_level or "INFO", style, service=settings.service_name, instance=settings.instance.name)
    plan = Plan(actors=chosen_actors(actors), systems=load_systems(systems or library_directory()), logs=access.folder / "logs")
    return run_async(_serve(plan, access))


async def _serve(plan: Plan, access: Access) -> int:
    with signals(lambda: "left at once: runs may be open and faults not undone; start it again to end them", Exit.ABORTED) as heard:
        async with AsyncExitStack() as stack:
            url = access.nats
            if url is None:
                url = await stack.enter_async_context(embedded(access.folder))
            running = await stack.enter_async_context(observed(access.settings, url, plan, http=True, grpc=True))
            await _ready(running, heard)
            complain(f"{', '.join(plan.actors)} at work: NATS {running.connection.url}, HTTP {running.http}, gRPC {running.grpc}")
            await _stopped(running, heard)
            complain("stopping: open runs that no other host can take are aborted and undone first (once more leaves at once)")
            left = await drain(running, bus_stays=access.nats is not None)
    if left:
        complain(f"not over in time, and perhaps not undone: {', '.join(sorted(left))}")
        return Exit.UNSAFE
    return Exit.PASSED


async def _ready(running: Host, heard: Signals) -> None:
    """Until everything is at work, or somebody wants it to stop."""
    async with asyncio.TaskGroup() as tasks:
        ready, asked = tasks.create_task(running.ready()), tasks.create_task(heard.asked.wait())
        await asyncio.wait({ready, asked}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        asked.cancel()


async def _stopped(running: Host, heard: Signals) -> None:
    """Until a signal comes.

    Raises:
        BusError: the bus refuses us for good.
    """
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(heard.asked.wait())
        asked.add_done_callback(lambda _: running.refused.cancel())
        await asyncio.wait({running.refused})
        asked.cancel()
    if not running.refused.cancelled():
        raise running.refused.result()
