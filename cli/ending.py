"""What a run came to: its reports on disk, a few lines or one JSON object, and the exit code."""

import asyncio
import json as jsonlib
import sys
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TextIO

from rich.console import Console
from rich.markup import escape

from bus.errors import NoAnswer, ObjectMissing
from bus.objects import ObjectStore
from bus.patience import asked_again
from cli.access import LOOK_LIMIT, on_terminal
from cli.errors import Exit
from cli.following import REPORT_LIMIT, Following
from cli.narrating import MARKS, short, shown
from cli.output import complain, say
from cli.screen import COLOURS
from messages.judgements import Artefact
from messages.run_events import RunFinished
from runs.verdict import not_reached

NAMED = 10
"""How many claims that were not reached are named."""
ONCE_MORE = 200
"""Letters of the verdict's message where the lines above have told it in full; under a picture they have not."""


async def download(store: ObjectStore, artefacts: tuple[Artefact, ...], folder: Path) -> dict[str, Path]:
    """Put the files of a report into a folder; where each format is. What the store has lost is said and left out."""
    found: dict[str, Path] = {}
    for artefact in artefacts:
        try:
            data = await asked_again(partial(store.get, artefact.name), f"fetch {artefact.name}", LOOK_LIMIT)
        except (ObjectMissing, NoAnswer) as error:
            complain(f"no {artefact.format} report: {error}")
            continue
        found[artefact.format] = folder / PurePosixPath(artefact.name).name
        await asyncio.to_thread(write_file, found[artefact.format], data)
    return found


def write_file(file: Path, data: bytes) -> None:
    """Write a file, making its folder if need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def tell(followed: Following, finished: RunFinished, reports: dict[str, Path], *, json: bool) -> int:
    """Print what the run came to; its exit code."""
    code = Exit(finished.verdict.exit_code)
    if not followed.artefacts:
        complain(f"there was no report within {REPORT_LIMIT:.0f} s; does a host run the reporter? (test-coordinator health)")
    if json:
        say(jsonlib.dumps(as_json(followed, finished, reports, code), indent=2, ensure_ascii=False))
    else:
        _as_lines(followed, finished, reports, code, sys.stdout)
    return int(code)


def as_json(followed: Following, finished: RunFinished, reports: dict[str, Path], code: Exit) -> dict[str, object]:
    """What the run came to, as `--json` says it."""
    state = followed.state
    return {
        "run_id": followed.run,
        "scenario": state.scenario.name,
        "system": state.system.name,
        "rehearsal": state.rehearsal,
        "verdict": str(finished.verdict),
        "reason": str(finished.reason) if finished.reason else None,
        "message": finished.message,
        "hint": finished.hint,
        "started": state.started.isoformat() if state.started else None,
        "finished": state.finished_at.isoformat() if state.finished_at else None,
        "reports": {name: str(file) for name, file in reports.items()},
        "counts": followed.progress.counts(),
        "exit_code": int(code),
    }


def _as_lines(followed: Following, finished: RunFinished, reports: dict[str, Path], code: Exit, stream: TextIO) -> None:
    console = Console(file=stream, highlight=False, soft_wrap=True)
    state, style = followed.state, COLOURS[finished.verdict]
    at = state.finished_at or state.last_at
    took = f" ({shown(followed.progress.elapsed(at))})" if at else ""
    message = finished.message if on_terminal() else short(finished.message, ONCE_MORE)
    reason = f" ({finished.reason})" if finished.reason else ""
    rehearsal = " in rehearsal" if state.rehearsal else ""
    console.print(f"\n[{style}]{MARKS[finished.verdict]} {finished.verdict.upper()}[/]{rehearsal}{reason}  {escape(message)}{took}")
    missing = not_reached(state) if state.first_phase_started is not None else ()
    if missing:
        named = f"{', '.join(missing[:NAMED])}{' …' if len(missing) > NAMED else ''}"
        console.print(f"  {len(missing)} of {len(state.scenario.claims())} assertions not reached: {escape(named)}")
    if finished.hint:
        console.print(f"  {escape(finished.hint)}")
    if finished.cause:
        console.print(f"  decided by {escape(finished.cause)}", style="dim")
    for name, file in reports.items():
        console.print(f"  {name:<6} {escape(str(file))}")
    console.print(f"  exit code {int(code)}", style="dim")
