"""`run FOLDER`: scenarios of a folder as one suite, one after the other, with one verdict and one JUnit file."""

import asyncio
import json as jsonlib
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.access import Access
from cli.documents import Documents
from cli.ending import as_json, write_file
from cli.errors import CliError, Exit
from cli.looping import Signals, run_async, signals
from cli.narrating import MARKS
from cli.output import complain, say
from cli.run import RunRequest, Seen, coordinator, hand_over, left_behind, see, serve_on
from cli.screen import COLOURS
from messages.control import Finding
from messages.verdicts import Verdict, worst
from scenarios.errors import DocumentErrors
from scenarios.library import library_scenarios
from scenarios.systems import load_systems
from scenarios.vocabulary import load_vocabularies


@dataclass
class Suite:
    """Scenarios of a folder, in the order of their names, and what they have come to."""

    name: str
    documents: dict[str, Documents]
    seen: dict[str, Seen] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """The exit code of the worst verdict; aborted if not all were run."""
        verdicts = [each.finished.verdict for each in self.seen.values()]
        left = [Verdict.ABORTED] if len(self.seen) < len(self.documents) else []
        return worst(*verdicts, *left).exit_code


def suite_command(request: RunRequest, access: Access, *, dry_run: bool, json: bool) -> int:
    """Run every scenario of the folder; with `dry_run` only say what each would do."""
    suite = _load(request, check=access.nats is None)
    if dry_run:
        return _plans(suite, json=json)
    return run_async(_run(suite, request, access, json=json))


def _load(request: RunRequest, *, check: bool) -> Suite:
    """All scenarios of the folder; with `check` each is found to be right before any is run. Else who runs them knows the systems.

    Raises:
        DocumentErrors: every mistake in any of them.
        CliError: the folder holds none.
    """
    folder = Path(request.scenario)
    files = library_scenarios(folder)
    if not files:
        raise CliError(f"there is no scenario in {folder}", "put *.yaml files with kind: Scenario there")
    own, words = load_systems(folder), load_vocabularies(folder)
    found: dict[str, Documents] = {}
    findings: list[Finding] = []
    for name, file in sorted(files.items()):
        try:
            one = replace(request, scenario=str(file)).documents()
            found[name] = replace(one, systems={**one.systems, **own}, vocabularies={**(one.vocabularies or {}), **words})
            if check:
                found[name].resolved()
        except DocumentErrors as errors:
            findings += errors.findings
    if findings:
        raise DocumentErrors(findings)
    return Suite(folder.resolve().name, found)


def _plans(suite: Suite, *, json: bool) -> int:
    from cli.plan import lines_of
    from scenarios.plan import plan_of

    plans = [plan_of(documents.resolved()) for documents in suite.documents.values()]
    if json:
        say(jsonlib.dumps([plan.model_dump(mode="json", by_alias=True) for plan in plans], indent=2, ensure_ascii=False))
    else:
        say("\n\n".join("\n".join(lines_of(plan)) for plan in plans))
    return Exit.PASSED


async def _run(suite: Suite, request: RunRequest, access: Access, *, json: bool) -> int:
    run: list[str] = []
    with signals(lambda: left_behind(run, access), Exit.ABORTED) as heard:
        async with coordinator(access, *suite.documents.values()) as (bus, joined):
            for name, documents in suite.documents.items():
                if heard.asked.is_set():
                    break
                if not json:
                    say(f"\n{len(suite.seen) + 1} of {len(suite.documents)}  {name}")
                run[:] = [await hand_over(bus, documents, with_system=joined)]
                suite.seen[name] = await see(bus, run[0], request.reports, heard, json=json)
            await _told(suite, request.reports, heard, json=json)
            if not joined:
                await serve_on(bus, heard)
    return suite.code


async def _told(suite: Suite, reports: Path, heard: Signals, *, json: bool) -> None:
    """Write one JUnit file and say what all came to."""
    junit = reports / suite.name / "junit.xml"
    await asyncio.to_thread(write_file, junit, merged(suite))
    if heard.asked.is_set():
        complain(f"interrupted: {len(suite.documents) - len(suite.seen)} of {len(suite.documents)} scenarios were not run")
    if json:
        say(jsonlib.dumps([_outcome(each) for each in suite.seen.values()], indent=2, ensure_ascii=False))
        return
    console = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
    console.print()
    console.print(_table(suite))
    console.print(f"  junit  {escape(str(junit))}")
    console.print(f"  exit code {suite.code}", style="dim")


def _outcome(seen: Seen) -> dict[str, object]:
    return as_json(seen.followed, seen.finished, seen.reports, Exit(seen.finished.verdict.exit_code))


def _table(suite: Suite) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("SCENARIO", "VERDICT", "TOOK", "RUN", "MESSAGE"):
        table.add_column(heading, no_wrap=heading != "MESSAGE")
    for name in suite.documents:
        seen = suite.seen.get(name)
        if seen is None:
            table.add_row(escape(name), Text("not run", "dim"), "", "", "")
            continue
        verdict, state = seen.finished.verdict, seen.followed.state
        span = (state.finished_at - state.started).total_seconds() if state.started and state.finished_at else None
        mark = Text(f"{MARKS[verdict]} {verdict}", COLOURS[verdict])
        took = f"{span:.1f} s" if span is not None else ""
        table.add_row(escape(name), mark, took, seen.followed.run, escape(seen.finished.message))
    return table


def merged(suite: Suite) -> bytes:
    """The JUnit reports of all runs in one; a scenario without one has a suite of its own that says so."""
    suites = ET.Element("testsuites", {"name": suite.name})
    for name in suite.documents:
        seen = suite.seen.get(name)
        file = seen.reports.get("junit") if seen is not None else None
        found = list(ET.fromstring(file.read_bytes()).iter("testsuite")) if file is not None else []  # noqa: S314  our own report
        suites.extend(found or [_without_report(name, seen)])
    for number, one in enumerate(suites):
        one.set("id", str(number))
    for key in ("tests", "failures", "errors", "skipped"):
        suites.set(key, str(sum(int(one.get(key, "0")) for one in suites)))
    suites.set("time", f"{sum(float(one.get('time', '0')) for one in suites):.3f}")
    ET.indent(suites)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode").encode() + b"\n"


def _without_report(name: str, seen: Seen | None) -> ET.Element:
    """A scenario that was not run is skipped; a run whose report did not come is an error."""
    counts = {"tests": "1", "failures": "0", "errors": str(int(seen is not None)), "skipped": str(int(seen is None)), "time": "0.000"}
    one = ET.Element("testsuite", {"name": name, **counts})
    case = ET.SubElement(one, "testcase", {"name": "run", "classname": name, "time": "0.000"})
    if seen is None:
        ET.SubElement(case, "skipped")
    else:
        ET.SubElement(case, "error", {"type": "no_report", "message": f"{seen.finished.verdict}: there was no report of the run"})
    return one
