"""`list`, `status`, `wait` and `watch`: what is known of runs."""

import json as jsonlib
import sys

from actors.summaries import fold_run, list_runs, submitted, summary_of
from bus.archive import Archive
from bus.patience import asked_again
from cli.access import LOOK_LIMIT, Access, Bus, joining, on_terminal, reading, takes_requests
from cli.ending import tell
from cli.errors import CliError, Exit
from cli.following import find_run, following
from cli.listing import as_json, console, print_runs
from cli.looping import run_async
from cli.output import say
from cli.progress import Progress
from cli.report import brief_of
from cli.screen import Silence, draw, screen
from cli.standing import print_run, say_how_to_ask, stand
from messages.run_events import RunFinished


def list_command(access: Access, tag: str | None = None, *, json: bool) -> int:
    """Every run, the newest first; with a tag those of scenarios that have it."""
    return run_async(_list(access, tag, json=json))


def status_command(run: str | None, access: Access, *, json: bool) -> int:
    """One run, or what is open, was left disturbed, or is held."""
    return run_async(stand(access, json=json) if run is None else _status(run, access, json=json))


def wait_command(run: str, access: Access, *, json: bool, quiet: bool) -> int:
    """Until the run is over; shown meanwhile unless `quiet`."""
    return run_async(_wait(run, access, json=json, quiet=quiet))


async def _list(access: Access, tag: str | None, *, json: bool) -> int:
    async with reading(access) as bus:
        runs = [run for run in await list_runs(bus.journal) if tag is None or tag in run.tags]
    if json:
        say(jsonlib.dumps([as_json(run) for run in runs], indent=2))
    else:
        print_runs(runs, none="no runs yet" if tag is None else f"no runs of scenarios with the tag {tag}")
    return Exit.PASSED


async def _status(wanted: str, access: Access, *, json: bool) -> int:
    async with reading(access) as bus:
        run = await find_run(bus, wanted)
        progress = Progress(run, access.given)
        for line in await Archive(bus.journal).read(run):
            progress.apply(line)
        waiting = await submitted(bus.journal, run) if progress.state.accepted is None else None
        if waiting is not None:
            print_run(waiting, access.given, json=json)
        elif json:
            finished = progress.state.finished
            details = {"message": finished.message if finished else None, "gate": _gate(progress), "counts": progress.counts()}
            say(jsonlib.dumps({**as_json(summary_of(progress.state)), **details}, indent=2, ensure_ascii=False))
        else:
            page = console()
            page.print(draw(progress, bus.journal.clock.now(), width=page.width))
            if (progress.state.finished is None or progress.state.left) and not await takes_requests(bus):
                say_how_to_ask(access)
    return Exit.PASSED


def _gate(progress: Progress) -> object:
    """What a run asks for that waits at a gate, and how it is answered."""
    gate = progress.state.standing.gate
    if gate is None:
        return None
    answers = [f"test-coordinator {verb} {progress.state.id}{progress.given}" for verb in ("approve", "reject")]
    return {**gate.asked.model_dump(mode="json"), "answers": answers}


async def _wait(wanted: str, access: Access, *, json: bool, quiet: bool) -> int:
    if access.live() is None:
        return await _told_already(wanted, access, json=json, quiet=quiet)
    async with joining(access) as bus:
        progress = Progress(await find_run(bus, wanted), access.given)
        if not json and not quiet and (over := await _finished(bus, progress.state.id)) is not None:
            say(await brief_of(bus, progress.state.id))
            return over.verdict.exit_code
        stream = sys.stderr if json else sys.stdout
        with screen(progress, bus.journal.clock.now, picture=on_terminal() and not json and not quiet, stream=stream) as shown:
            async with following(bus, progress, Silence().line if quiet else shown.line) as followed:
                finished = await followed.over()
        return tell(followed, finished, {}, json=json)


async def _finished(bus: Bus, run: str) -> RunFinished | None:
    return (await asked_again(lambda: fold_run(bus.journal, run), f"read {run}", LOOK_LIMIT)).finished


async def _told_already(wanted: str, access: Access, *, json: bool, quiet: bool) -> int:
    """Without a coordinator at work an open run never ends."""
    async with reading(access) as bus:
        progress = Progress(await find_run(bus, wanted), access.given)
        run, finished = progress.state.id, await _finished(bus, progress.state.id)
        if finished is None:
            do = f"`test-coordinator serve --state {access.folder}` takes it up"
            raise CliError(f"run {run} is not over, and no coordinator is at work", do, Exit.UNREACHABLE)
        if not json and not quiet:
            say(await brief_of(bus, run))
            return finished.verdict.exit_code
        async with following(bus, progress, Silence().line) as followed:
            return tell(followed, await followed.over(), {}, json=json)
