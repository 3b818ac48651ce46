"""`list`, `status`, `wait`, `watch` and `abort`: what is known of runs, and ending one."""

import json as jsonlib
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from actors.control import fold_run, list_runs, summary_of
from cli.access import Access, joining, on_terminal, reading
from cli.ending import tell
from cli.errors import CliError, Exit
from cli.following import find_run, following
from cli.looping import run_async
from cli.output import say
from cli.progress import Progress
from cli.report import brief_of
from cli.screen import COLOURS, Silence, draw, screen
from messages.control import RunSummary
from messages.verdicts import Verdict


def list_command(access: Access, tag: str | None = None, *, json: bool) -> int:
    """Every run, the newest first; with a tag those of scenarios that have it."""
    return run_async(_list(access, tag, json=json))


def status_command(run: str | None, access: Access, *, json: bool) -> int:
    """One run, or the open ones."""
    return run_async(_open(access, json=json) if run is None else _status(run, access, json=json))


def wait_command(run: str, access: Access, *, json: bool, quiet: bool) -> int:
    """Until the run is over; shown meanwhile unless `quiet`."""
    return run_async(_wait(run, access, json=json, quiet=quiet))


def abort_command(run: str, message: str, access: Access, *, json: bool) -> int:
    """Ask for the end of a run; does not wait for it."""
    return run_async(_abort(run, message, access, json=json))


async def _list(access: Access, tag: str | None, *, json: bool) -> int:
    async with reading(access) as bus:
        runs = [run for run in await list_runs(bus.journal) if tag is None or tag in run.tags]
        _print_runs(runs, json=json, none="no runs yet" if tag is None else f"no runs of scenarios with the tag {tag}")
    return Exit.PASSED


async def _open(access: Access, *, json: bool) -> int:
    async with reading(access) as bus:
        runs = [run for run in await list_runs(bus.journal) if run.verdict is None]
        _print_runs([summary_of(await fold_run(bus.journal, run.run_id)) for run in runs], json=json, none="no run is open")
    return Exit.PASSED


async def _status(wanted: str, access: Access, *, json: bool) -> int:
    async with reading(access) as bus:
        run = await find_run(bus, wanted)
        progress = Progress(run)
        await bus.journal.read_runs([run], await bus.journal.last_sequence(), progress.apply)
        if json:
            finished = progress.state.finished
            details = {"message": finished.message if finished else None, "counts": progress.counts()}
            say(jsonlib.dumps({**_as_json(summary_of(progress.state)), **details}, indent=2, ensure_ascii=False))
        else:
            console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
            console.print(draw(progress, bus.journal.clock.now(), width=console.width))
    return Exit.PASSED


async def _wait(wanted: str, access: Access, *, json: bool, quiet: bool) -> int:
    if access.live() is None:
        return await _told_already(wanted, access, json=json, quiet=quiet)
    async with joining(access) as bus:
        progress = Progress(await find_run(bus, wanted))
        if not json and not quiet and (over := (await fold_run(bus.journal, progress.state.id)).finished) is not None:
            say(await brief_of(bus, progress.state.id))
            return over.verdict.exit_code
        stream = sys.stderr if json else sys.stdout
        with screen(progress, bus.journal.clock.now, picture=on_terminal() and not json and not quiet, stream=stream) as shown:
            async with following(bus, progress, Silence().line if quiet else shown.line) as followed:
                finished = await followed.over()
        return tell(followed, finished, {}, json=json)


async def _told_already(wanted: str, access: Access, *, json: bool, quiet: bool) -> int:
    """Without a coordinator at work an open run never ends."""
    async with reading(access) as bus:
        progress = Progress(await find_run(bus, wanted))
        state = await fold_run(bus.journal, progress.state.id)
        if state.finished is None:
            do = f"`test-coordinator serve --state {access.folder}` takes it up"
            raise CliError(f"run {state.id} is not over, and no coordinator is at work", do, Exit.UNREACHABLE)
        if not json and not quiet:
            say(await brief_of(bus, state.id))
            return state.finished.verdict.exit_code
        async with following(bus, progress, Silence().line) as followed:
            return tell(followed, await followed.over(), {}, json=json)


async def _abort(wanted: str, message: str, access: Access, *, json: bool) -> int:
    async with joining(access) as bus:
        run = await find_run(bus, wanted)
        done = await bus.control.abort(run, message)
        if done.error is not None:
            raise CliError(done.error, "`test-coordinator list` shows every run and its state")
        say(
            jsonlib.dumps({"run_id": run, "aborting": True}) if json else f"aborting {run}; `test-coordinator wait {run}` waits for its end"
        )
    return Exit.PASSED


def _print_runs(runs: Sequence[RunSummary], *, json: bool, none: str) -> None:
    if json:
        say(jsonlib.dumps([_as_json(run) for run in runs], indent=2))
        return
    if not runs:
        say(none)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("RUN", "SCENARIO", "SYSTEM", "VERDICT", "STARTED", "TOOK"):
        table.add_column(heading, no_wrap=heading != "SCENARIO")
    for run in runs:
        table.add_row(*_row(run))
    Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200).print(table)


def _row(run: RunSummary) -> tuple[str | Text, ...]:
    verdict = Text(str(run.verdict), COLOURS[Verdict(run.verdict)]) if run.verdict else Text(run.stage, "cyan")
    took = f"{(run.finished - run.started).total_seconds():.1f} s" if run.started and run.finished else ""
    started = f"{run.started:%Y-%m-%d %H:%M:%S} UTC" if run.started else ""
    return run.run_id, run.scenario, run.system, verdict, started, took


def _as_json(run: RunSummary) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "scenario": run.scenario,
        "system": run.system,
        "verdict": str(run.verdict) if run.verdict else None,
        "reason": str(run.reason) if run.reason else None,
        "stage": run.stage,
        "started": run.started.isoformat() if run.started else None,
        "finished": run.finished.isoformat() if run.finished else None,
        "tags": list(run.tags),
    }
