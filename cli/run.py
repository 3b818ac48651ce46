"""`run` and `submit`: a scenario from its text to its verdict."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bus.archive import Archive
from bus.errors import NoAnswer
from bus.state import holder, last_holder
from cli.access import Access, Bus, bus_at, on_terminal, own_server, reading
from cli.documents import Documents, load
from cli.ending import download, tell
from cli.errors import CliError, DocumentInvalid, Exit
from cli.following import Following, find_run, following
from cli.guard import dismiss, end_left_open, guard_over, tell_what_the_guard_did
from cli.joining import START_LIMIT, join_when_ready, joining_when_ready
from cli.looping import Signals, run_async, signals
from cli.output import complain, say
from cli.progress import Progress
from cli.screen import Screen, screen
from cli.standing import say_if_unowned
from deploy.guarding import guarded
from messages.control import SubmitReply
from messages.run_events import RunFinished
from scenarios.library import library_directory
from scenarios.loader import as_text
from scenarios.systems import load_systems

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
    rehearse: bool = False
    """All but the faults."""

    def documents(self) -> Documents:
        """The documents that it names."""
        return replace(load(self.scenario, self.system, self.systems, self.variables, self.speed), rehearse=self.rehearse)


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
    async with joining_when_ready(access) as bus:
        run = await hand_over(bus, documents, with_system=True)
        return await _submitted(bus, run, access, request.reports, follow=follow, json=json)


async def _rerun(wanted: str, access: Access, reports: Path, *, follow: bool, json: bool) -> int:
    if access.nats is None:
        await guard_over(access.folder)
    if access.live() is None:
        documents = await _documents_of(wanted, access)
        return await _run(reports, documents, access, json=json)
    async with joining_when_ready(access) as bus:
        before = await find_run(bus, wanted)
        run = _taken(await _asked(bus, bus.control.rerun(before)))
        return await _submitted(bus, run, access, reports, follow=follow, json=json)


async def _documents_of(wanted: str, access: Access) -> Documents:
    """What a run did, as documents that say it all: its scenario as it was resolved, and its system."""
    async with reading(access) as bus:
        run = await find_run(bus, wanted)
        accepted = await Archive(bus.journal).accepted(run)
    if accepted is None:
        raise CliError(f"there is no run {wanted}", "test-coordinator list shows those there are")
    text = f"{as_text(accepted.scenario)}\n---\n{as_text(accepted.system)}"
    return Documents(text, f"run {run}", None, load_systems(library_directory()), rehearse=accepted.rehearsal)


async def _submitted(bus: Bus, run: str, access: Access, reports: Path, *, follow: bool, json: bool) -> int:
    """Tell the run's id; with `follow` show it instead until it is over."""
    if follow:
        await say_if_unowned(bus, run, access)
        with signals(lambda: left_behind([run], access), Exit.ABORTED) as heard:
            return await _see_through(bus, run, reports, heard, json=json)
    say(f'{{"run_id": "{run}"}}' if json else run)
    await say_if_unowned(bus, run, access)
    return Exit.PASSED


@asynccontextmanager
async def coordinator(access: Access, *documents: Documents) -> AsyncIterator[tuple[Bus, bool]]:
    """Whoever runs the scenarios: the coordinator at --nats or on the state folder (joined), else this process with all actors."""
    async with AsyncExitStack() as stack:
        if access.nats is None:
            await guard_over(access.folder)
        url, killed = access.live(), last_holder(access.folder)
        if url is None and (own := await own_server(access, stack, announced=True)) is not None:
            guard = stack.enter_context(guarded(access.folder, access.settings))
            tell_what_the_guard_did(access.folder)
            bus = await _start(own, access, killed, documents, stack)
            try:
                yield bus, False
            finally:
                await dismiss(guard, bus.connection, bus.journal)
            return
        if access.nats is not None:
            yield await join_when_ready(access, stack), True
            return
        bus = await join_when_ready(access, stack)
        try:
            yield bus, True
        except DocumentInvalid as error:  # they were found to be right here
            raise DocumentInvalid(error.findings, _who_has(access.folder)) from error


def _who_has(folder: Path) -> str:
    """What helps against a coordinator on the state folder that does not take what this process would."""
    found = holder(folder)
    pid = f" (pid {found.pid})" if found is not None and found.pid else ""
    return f"another process{pid} has {folder} and was asked to run it; `--state DIR` names a folder for a run of its own"


async def _start(url: str, access: Access, killed: int | None, documents: tuple[Documents, ...], stack: AsyncExitStack) -> Bus:
    """All actors at work, and a connection to them. What the process that was `killed` left open is aborted, not gone on with."""
    from deploy.host import Plan
    from deploy.serving import observed

    await end_left_open(url, access.settings, killed, access.folder)
    systems = {name: system for each in documents for name, system in each.systems.items()}
    words = {name: one for each in documents for name, one in (each.vocabularies or {}).items()} or None
    own = frozenset(each.text for each in documents)
    plan = Plan(systems=systems, vocabularies=words, own=own, logs=access.folder / "logs")
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
    from deploy.draining import end_runs, open_runs

    said = False
    while (runs := await open_runs(bus.journal, reported=True)) and not heard.asked.is_set():
        if not said:
            complain(f"serving on until no run is open: {', '.join(sorted(runs))} (interrupt to abort them)")
        said = True
        await asyncio.sleep(0.3)
    if heard.asked.is_set():
        await end_runs(bus.journal, bus.control, set(await open_runs(bus.journal)), ABORT_LIMIT)


def left_behind(run: list[str], access: Access) -> str:
    """What leaving at once may leave behind."""
    if not run:
        return "left before the scenario was handed over"
    own = holder(access.folder) if access.nats is None else None
    if own is not None and own.pid == os.getpid():
        return (
            f"left at once: run {run[0]} is not over; a guard aborts it now, undoes its faults and stops its services.\n"
            f"  The next start on {access.folder} says how it ended; {access.folder / 'guard.log'} what the guard does"
        )
    again = f"--nats {access.nats}" if access.nats else f"--state {access.folder}"
    return (
        f"left at once: run {run[0]} is not over; its services may still run, and its faults may not be undone.\n"
        f"  `test-coordinator serve {again}` takes it up and ends it; `test-coordinator abort {run[0]} {again}` then aborts it"
    )
