"""`scenarios`: what can be run by name."""

import json as jsonlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.errors import CliError, Exit
from cli.output import say
from messages.values import format_duration
from scenarios.library import library_scenarios
from scenarios.parts import groups, read_duration, texts
from scenarios.reading import read
from scenarios.sheet import Sheet
from scenarios.systems import RUNNABLE, kind_of, read_file, sheets


@dataclass(frozen=True, slots=True)
class Known:
    """A scenario or template, as far as its text says without being resolved."""

    name: str
    kind: str
    duration: str
    """As it is written; the sum of its phases where it does not say it."""
    tags: list[str]
    description: str
    parameters: list[str]
    """Those of a template; what must be given has a star."""
    file: str


def scenarios_command(folder: Path | None, tag: str | None, *, json: bool) -> int:
    """Print what the library, or a folder, has."""
    if folder is not None and not folder.is_dir():
        raise CliError(f"there is no folder {folder}", "name one that holds scenarios, or none for the library")
    found = [known for known in _all(folder) if tag is None or tag in known.tags]
    if json:
        say(jsonlib.dumps([asdict(known) for known in found], indent=2, ensure_ascii=False))
    elif not found:
        say("no scenarios" if tag is None else f"no scenarios with the tag {tag}")
    else:
        Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 400).print(_table(found))
    return Exit.PASSED


def _all(folder: Path | None) -> Iterator[Known]:
    for name, file in sorted(library_scenarios(folder).items()):
        reading = read(read_file(file, []), str(file))
        for sheet in sheets(reading.documents, str(file), ()):
            kind = kind_of(sheet)
            if kind in RUNNABLE and (sheet.name or file.stem) == name:
                yield _known(sheet, kind or "", name, file)


def _known(sheet: Sheet, kind: str, name: str, file: Path) -> Known:
    metadata = sheet.data.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    declared = sheet.data.get("parameters", sheet.spec.get("parameters"))
    parameters = [one for one in declared if isinstance(one, dict)] if isinstance(declared, list) and kind != "Scenario" else []
    return Known(
        name=name,
        kind=kind,
        duration=_duration(sheet),
        tags=texts(metadata.get("tags", [])),
        description=str(metadata.get("description", "")),
        parameters=[f"{one.get('name')}{'*' if one.get('required') is True and one.get('default') is None else ''}" for one in parameters],
        file=str(file),
    )


def _duration(sheet: Sheet) -> str:
    """As long as all of its phases say; one that is computed is shown as it is written."""
    written = sheet.spec.get("duration")
    if isinstance(written, str):
        return written if "{{" not in written else "by its parameters"
    phases = [group.raw.get("duration") for group in groups(sheet) if group.is_phase]
    spans = [read_duration(each) for each in phases if each is not None]
    total = sum((span for span in spans if span is not None), timedelta())
    more = len(spans) < len(phases) or None in spans
    return format_duration(total) + (" or more" if more and total else "") if total else "until its actions are over"


def _table(found: list[Known]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("SCENARIO", "KIND", "TAKES", "TAGS", "DESCRIPTION"):
        table.add_column(heading, no_wrap=heading in {"SCENARIO", "KIND"})
    for known in found:
        parameters = f" (--var {', '.join(known.parameters)})" if known.parameters else ""
        row = (known.name, known.kind.lower(), known.duration, ", ".join(known.tags), known.description + parameters)
        table.add_row(*(escape(cell) for cell in row))
    return table
