"""`report`: the report of a run that is over, from the object store or rendered anew from the journal."""

import asyncio
import json as jsonlib
import sys
from pathlib import Path

from actors.reporter import FORMATS, brief, render
from bus.archive import Archive
from bus.errors import ObjectMissing
from bus.patience import asked_again
from cli.access import LOOK_LIMIT, Access, Bus, reading
from cli.ending import write_file
from cli.errors import CliError, Exit
from cli.following import find_run
from cli.looping import run_async
from cli.output import say
from runs.report import ReportFold


def report_command(run: str, style: str, output: Path | None, access: Access, *, json: bool) -> int:
    """Write one format of a report to a file or standard output."""
    if style not in FORMATS:
        raise CliError(f"there is no report format {style!r}", f"use one of {', '.join(FORMATS)}")
    return run_async(_report(run, style, output, access, json=json))


async def _report(wanted: str, style: str, output: Path | None, access: Access, *, json: bool) -> int:
    async with reading(access) as bus:
        run = await find_run(bus, wanted)
        data = await _content(bus, run, style)
    if output is None or str(output) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return Exit.PASSED
    try:
        await asyncio.to_thread(write_file, output, data)
    except OSError as error:
        raise CliError(f"{output} cannot be written: {error.strerror}", "name another file with -o") from error
    say(jsonlib.dumps({"run_id": run, "reports": {style: str(output)}}) if json else str(output))
    return Exit.PASSED


async def _content(bus: Bus, run: str, style: str) -> bytes:
    """The bytes of a report.

    Raises:
        CliError: the run is not over.
    """
    fold = ReportFold(run)
    for line in await Archive(bus.journal).read(run):
        fold.apply(line)
    if fold.state.finished is None:
        raise CliError(f"run {run} is not over yet", f"`test-coordinator wait {run}` waits for its end")
    stored = next((a for a in (fold.published.artefacts if fold.published else ()) if a.format == style), None)
    if stored is not None:
        try:
            return await bus.reports.get(stored.name)
        except ObjectMissing:
            pass
    return await asyncio.to_thread(render, fold.report(), style)


async def brief_of(bus: Bus, run: str) -> str:
    """A run that is over, in the text of its report: verdict, time line and claims."""
    fold = ReportFold(run)
    for line in await asked_again(lambda: Archive(bus.journal).read(run), f"read {run}", LOOK_LIMIT):
        fold.apply(line)
    return await asyncio.to_thread(brief, fold.report())
