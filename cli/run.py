"""`run` and `submit`: a scenario from its text to its verdict."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bus.errors import NoAnswer
from cli.access import Access, Bus, bus_at, joining, on_terminal, own_server, reading
from cli.documents import Documents, load
from cli.ending import download, tell
from cli.errors import CliError, DocumentInvalid, Exit
from cli.following import Following, find_run, following
from cli.looping import Signals, run_async, signals
from cli.output import complain, say
from cli.progress import Progress
from cli.screen import Screen, screen
from messages.control import SubmitReply
from messages.run_events import RunAccepted, RunFinished
from scenarios.library import library_directory
from scenarios.loader import as_text
from scenarios.systems import load_systems

START_LIMIT = 20.0
"""Seconds for all actors to be at work; they first read the runs that are open."""
ABORT_LIMIT = 180.0
"""Seconds for an aborted run to end: undo, finally, stopping the services, each with its own bound."""


@dataclass(frozen=True)
class RunRequest:
    """What a command line asks for."""

    scenario: str
    system: str | None
    systems: Path | None
    variables: dict[str, str]
    reports: Path
    speed: float = 1.0

    def documents(self) -> Documents:
        """The documents that it names."""
        return load(self.scenario, self.system, self.systems, self.variables, self.speed)


@dataclass(frozen=True)
class Seen:
    """A run that is over."""

    followed: Following
    finished: RunFinished
    reports: dict[str, Path]
    """Its reports on disk, by format."""


def run_command(request: RunRequest, access: Access, *, json: bool) -> int:
    """Run the scenario here, or by the coordinator that already serves."""
    documents = request.documents()
    if access.nats is None:
        documents.resolved()
    return run_async(_run(request.reports, documents, access, json=json))


def dry_run_command(request: RunRequest, *, json: bool) -> int:
    """Only say what a run would do."""
    from cli.plan import plan_command

    return plan_command(request.documents(), json=json)


def rerun_command(wanted: str, access: Access, reports: Path, *, follow: bool, json: bool) -> int:
    """Run again what a run did; with `follow` stay until it is over."""
    return run_async(_rerun(wanted, access, reports, follow=follow, json=json))


def submit_command(request: RunRequest, access: Access, *, follow: bool, json: bool) -> int:
    """Hand the scenario over; with `follow` stay until it is over."""
    return run_async(_submit(request, request.documents(), access, follow=follow, json=json))


async def _run(reports: Path, documents: Documents, access: Access, *, json: bool) -> int:
    run: list[str] = []
    with signals(lambda: left_behind(run, access), Exit.ABORTED) as heard:
        async with coordinator(access, documents) as (bus, joined):
            run.append(await hand_over(bus, documents, with_system=joined))
            code = await _see_through(bus, run[0], reports, heard, json=json)
            if not joined:
                await serve_on(bus, heard)
    return code


async def _submit(request: RunRequest, documents: Documents, access: Access, *, follow: bool, json: bool) -> int:
    async with joining(access) as bus:
        run = await hand_over(bus, documents, with_system=True)
        return await _submitted(bus, run, access, request.reports, follow=follow, json=json)


async def _rerun(wanted: str, access: Access, reports: Path, *, follow: bool, json: bool) -> int:
    if access.live() is None:
        documents = await _documents_of(wanted, access)
        return await _run(reports, documents, access, json=json)
    async with joining(access) as bus:
        before = await find_run(bus, wanted)
        run = _taken(await _asked(bus, bus.control.rerun(before)))
        return await _submitted(bus, run, access, reports, follow=follow, json=json)


async def _documents_of(wanted: str, access: Access) -> Documents:
    """What a run did, as documents that say it all: its scenario as it was resolved, and its system."""
    async with reading(access) as bus:
        run = await find_run(bus, wanted)
        accepted = await bus.journal.find(run, "scheduler", "run", RunAccepted)
    if accepted is None or not isinstance(accepted.event, RunAccepted):
        raise CliError(f"there is no run {wanted}", "test-coordinator list shows those there are")
    text = f"{as_text(accepted.event.scenario)}\n---\n{as_text(accepted.event.system)}"
    return Documents(text, f"run {run}", None, load_systems(library_directory()))


async def _submitted(bus: Bus, run: str, access: Access, reports: Path, *, follow: bool, json: bool) -> int:
    """Tell the run's id; with `follow` show it instead until it is over."""
    if follow:
        with signals(lambda: left_behind([run], access), Exit.ABORTED) as heard:
            return await _see_through(bus, run, reports, heard, json=json)
    say(f'{{"run_id": "{run}"}}' if json else run)
    return Exit.PASSED


@asynccontextmanager
async def coordinator(access: Access, *documents: Documents) -> AsyncIterator[tuple[Bus, bool]]:
    """Whoever runs the scenarios: the coordinator at --nats or on the state folder (joined), else this process with all actors."""
    async with AsyncExitStack() as stack:
        url = access.live()
        if url is None and (own := await own_server(access, stack, announced=True)) is not None:
            yield await _start(own, access, documents, stack), False
            return
        yield await stack.enter_async_context(bus_at(url or access.live() or "", access.settings)), True


async def _start(url: str, access: Access, documents: tuple[Documents, ...], stack: AsyncExitStack) -> Bus:
    from deploy.host import Plan
    from deploy.serving import observed

    systems = {name: system for each in documents for name, system in each.systems.items()}
    plan = Plan(systems=systems, own=frozenset(each.text for each in documents), logs=access.folder / "logs")
    running = await stack.enter_async_context(observed(access.settings, url, plan, http=access.settings.http_port is not None))
    try:
        async with asyncio.timeout(START_LIMIT):
            await running.ready()
    except TimeoutError:
        missing = ", ".join(f"{name} ({how})" for name, how in running.checks().items() if how != "ok")
        raise CliError(f"not at work within {START_LIMIT:.0f} s: {missing}", "LOG_LEVEL=info tells more", Exit.UNREACHABLE) from None
    return await stack.enter_async_context(bus_at(url, access.settings))


async def hand_over(bus: Bus, documents: Documents, *, with_system: bool) -> str:
    """Submit the documents; the run's id.

    Raises:
        DocumentInvalid: they have mistakes.
        CliError: nobody takes scenarios.
    """
    return _taken(await _asked(bus, bus.control.submit(documents.request(with_system=with_system))))


async def _asked(bus: Bus, asking: Awaitable[SubmitReply]) -> SubmitReply:
    try:
        return await asking
    except NoAnswer as error:
        raise CliError(
            f"nobody runs the scheduler at {bus.url} in namespace {bus.namespace}",
            f"start `test-coordinator serve --nats {bus.url}`",
            Exit.UNREACHABLE,
        ) from error


def _taken(reply: SubmitReply) -> str:
    """The id of the run that was submitted.

    Raises:
        DocumentInvalid: its documents have mistakes.
    """
    if reply.run_id is None:
        raise DocumentInvalid(reply.findings)
    return reply.run_id


async def _see_through(bus: Bus, run: str, reports: Path, heard: Signals, *, json: bool) -> int:
    """Show the run until it is over, abort it when asked to, and tell what it came to."""
    seen = await see(bus, run, reports, heard, json=json)
    return tell(seen.followed, seen.finished, seen.reports, json=json)


async def see(bus: Bus, run: str, reports: Path, heard: Signals, *, json: bool) -> Seen:
    """Show the run until it is over, abort it when asked to, and fetch its reports."""
    progress = Progress(run)
    picture = on_terminal() and not json
    with screen(progress, bus.journal.clock.now, picture=picture, stream=sys.stderr if json else sys.stdout) as shown:
        async with following(bus, progress, shown.line) as followed:
            await followed.accepted(bus.namespace)
            finished = await _until_over(bus, followed, heard, shown)
    return Seen(followed, finished, await download(bus.reports, followed.artefacts, reports / run))


async def _until_over(bus: Bus, followed: Following, heard: Signals, shown: Screen) -> RunFinished:
    async with asyncio.TaskGroup() as tasks:
        over, asked = tasks.create_task(followed.over()), tasks.create_task(heard.asked.wait())
        await asyncio.wait({over, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not over.done():
            shown.note("aborting…  (once more leaves at once, and may leave faults behind)")
            try:
                await bus.control.abort(followed.run, "interrupted")
            except NoAnswer as error:
                shown.note(str(error))
            await asyncio.wait({over}, timeout=ABORT_LIMIT)
        if not over.done():
            raise CliError(f"run {followed.run} did not end within {ABORT_LIMIT:.0f} s after its abort", code=Exit.UNSAFE)
    return over.result()


async def serve_on(bus: Bus, heard: Signals) -> None:
    """Others may have joined: their runs need this process."""
    from deploy.draining import ended, open_runs

    said = False
    while (runs := await open_runs(bus.journal, reported=True)) and not heard.asked.is_set():
        if not said:
            complain(f"serving on until no run is open: {', '.join(sorted(runs))} (interrupt to abort them)")
        said = True
        await asyncio.sleep(0.3)
    if heard.asked.is_set():
        for run in await open_runs(bus.journal):
            await bus.control.abort(run, "its host is stopping")
        await ended(bus.journal, runs, ABORT_LIMIT)


def left_behind(run: list[str], access: Access) -> str:
    """What leaving at once may leave behind."""
    if not run:
        return "left before the scenario was handed over"
    again = f"--nats {access.nats}" if access.nats else f"--state {access.folder}"
    return (
        f"left at once: run {run[0]} is not over; its services may still run, and its faults may not be undone.\n"
        f"  `test-coordinator serve {again}` takes it up and ends it; `test-coordinator abort {run[0]} {again}` then aborts it"
    )
