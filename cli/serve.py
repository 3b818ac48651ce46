"""`serve`: actors at work until a signal comes."""

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bus.errors import StateInUse
from bus.state import holder, last_holder
from cli.access import Access, own_server
from cli.errors import Exit
from cli.guard import guard_over, tell_left_open, tell_what_the_guard_did
from cli.looping import Signals, run_async, signals
from cli.output import complain
from deploy.draining import drain, open_runs
from deploy.guarding import Guard, guarded
from deploy.host import Host, Plan, chosen_actors
from deploy.logs import configure_logs
from deploy.serving import observed
from scenarios.library import library_directory
from scenarios.systems import load_systems
from scenarios.vocabulary import load_vocabularies

RESTART = timedelta(seconds=4)
"""What is open is left to the next `serve` for so long when this one is killed: whoever watches over it starts it again.

A lease that was about to be renewed has 6.7 s left, and of those the guard needs one, more on a busy machine, to take over and undo."""


def serve_command(actors: str, systems: Path | None, access: Access) -> int:
    """Run the chosen actors; 0 after a graceful stop."""
    settings = access.settings
    style = settings.log_format or ("console" if sys.stderr.isatty() else "json")
    configure_logs(settings.log_level or "INFO", style, service=settings.service_name, instance=settings.instance.name)
    folder = systems or library_directory()
    known, words = load_systems(folder), load_vocabularies(folder)
    plan = Plan(actors=chosen_actors(actors), systems=known, vocabularies=words, logs=access.folder / "logs")
    return run_async(_serve(plan, access))


async def _serve(plan: Plan, access: Access) -> int:
    with signals(lambda: _left_behind(access), Exit.ABORTED) as heard:
        async with AsyncExitStack() as stack:
            own = await _own_bus(access, stack) if access.nats is None else None
            url = access.nats if own is None else own.url
            running = await stack.enter_async_context(observed(access.settings, url or "", plan, http=True, grpc=True))
            if own is not None:
                tell_what_the_guard_did(access.folder)
                tell_left_open(sorted(await open_runs(running.journal)), own.killed, "it goes on here", access.folder)
            await _ready(running, heard)
            complain(f"{', '.join(plan.actors)} at work: NATS {running.connection.url}, HTTP {running.http}, gRPC {running.grpc}")
            await _stopped(running, heard)
            complain("stopping: open runs that no other host would take are aborted and undone first (once more leaves at once)")
            left = await drain(running, bus_stays=access.nats is not None)
            if own is not None and not left:
                own.guard.dismiss()
    if left:
        complain(f"not over in time, and perhaps not undone: {', '.join(sorted(left))}")
        return Exit.UNSAFE
    return Exit.PASSED


@dataclass(frozen=True)
class _OwnBus:
    """A bus on the state folder, with a guard for what this process would leave open."""

    url: str
    guard: Guard
    killed: int | None
    """The process that had the folder before, if it was killed and its guard as well."""


async def _own_bus(access: Access, stack: AsyncExitStack) -> _OwnBus:
    await guard_over(access.folder)
    killed = last_holder(access.folder)
    url = await own_server(access, stack, announced=True, sync_always=True)
    if url is None:
        found = holder(access.folder)
        raise StateInUse(access.folder, found.pid if found else None, found.url if found else None)
    return _OwnBus(url, stack.enter_context(guarded(access.folder, access.settings, RESTART)), killed)


def _left_behind(access: Access) -> str:
    if access.nats is None:
        return f"left at once: a guard aborts what is open and undoes it; {access.folder / 'guard.log'} says what it does"
    return "left at once: runs may be open and faults not undone; start it again to end them"


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
