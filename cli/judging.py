"""`judge`: a run judged again from its journal, or by claims that it did not have."""

import asyncio
import hashlib
import json as jsonlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from actors.observer.recalling import Recalling
from bus.archive import Archive
from bus.errors import BusError, NoAnswer, ObjectMissing
from bus.event_streams import EventStreams
from bus.objects import ObjectStore
from bus.patience import asked_again
from bus.topology import Names
from cli.access import LOOK_LIMIT, Access, Bus, reading
from cli.errors import CliError, Exit
from cli.following import find_run
from cli.listing import console
from cli.looping import run_async
from cli.narrating import MARKS, named
from cli.output import complain, say
from cli.screen import COLOURS
from messages.events import Recorded, RunEvent
from messages.ids import trace_id
from messages.judgements import AssertionJudged
from messages.observations import EvidenceStored
from messages.run_events import RunAccepted, RunFinished
from messages.scenario import Scenario
from runs.afresh import Afresh, counted_in, judge_afresh, known_at_end
from runs.judging import Evidence
from runs.replay import ClaimAgain, Rejudged, Told, rejudge
from scenarios.new_claims import with_claims
from scenarios.systems import read_file

Line = Recorded[RunEvent]


def judge_command(run: str, with_: Path | None, access: Access, *, json: bool) -> int:
    """Judge a run that is over, by its own claims or by those of a file."""
    return run_async(_judge(run, access, json=json) if with_ is None else _judge_by(run, with_, access, json=json))


async def _judge(wanted: str, access: Access, *, json: bool) -> int:
    async with reading(access) as bus:
        run = await find_run(bus, wanted)
        lines = await _lines(bus, run)
        found = await asyncio.to_thread(rejudge, lines)
        if found is None:
            raise _not_over(run)
        objects = await _verified(bus, [event for line in lines if isinstance(event := line.recorded.event, EvidenceStored)])
    same = found.same and "different" not in {told for _, told in objects}
    if json:
        evidence = [{**event.model_dump(mode="json"), "found": told} for event, told in objects]
        say(_json({"run_id": run, "same": same, **found.model_dump(mode="json", exclude={"run_id"}), "evidence": evidence}))
    else:
        _show(found, [(event.stage, told) for event, told in objects], same=same)
    return found.run.again.verdict.exit_code if same else Exit.FAILED


async def _judge_by(wanted: str, file: Path, access: Access, *, json: bool) -> int:
    text = _text(file)
    async with reading(access) as bus:
        run = await find_run(bus, wanted)
        lines = [line.recorded for line in await _lines(bus, run)]
        accepted = next((line.event for line in lines if isinstance(line.event, RunAccepted)), None)
        if accepted is None or not any(isinstance(line.event, RunFinished) for line in lines):
            raise _not_over(run)
        scenario = with_claims(text, file=str(file), scenario=accepted.scenario, system=accepted.system)
        view = await asyncio.to_thread(known_at_end, run, lines)
        found = await _by(bus, view, scenario, lines)
    if json:
        say(_json(found.model_dump(mode="json")))
    else:
        _show_afresh(found)
    return found.run.verdict.exit_code


async def _by(bus: Bus, view: Evidence, scenario: Scenario, lines: Sequence[Line]) -> Afresh:
    trace = next((found for line in lines if (found := trace_id(line.traceparent))), "")
    recalling = Recalling(view.state, scenario, trace)
    missing = await _recall(bus, view, recalling, lines) if recalling.wanted else ""
    return await asyncio.to_thread(judge_afresh, view, scenario, recalling.matched(), missing)


async def _recall(bus: Bus, view: Evidence, recalling: Recalling, lines: Sequence[Line]) -> str:
    """Read the run's service events again; what is missing of them, in words."""
    system, since = view.state.system, view.state.started
    if since is None or not system.spec.events:
        return ""
    try:
        uncaptured = await EventStreams(bus.connection).recall(system.name, system.spec.events, since, recalling.see)
    except NoAnswer:
        raise
    except BusError as error:
        return f"the events of the run cannot be read any more: {error}"
    if uncaptured:
        return f"no stream captures {', '.join(uncaptured)} any more, so the events of the run are gone"
    return recalling.lost(counted_in(lines))


async def _lines(bus: Bus, run: str) -> list[Told]:
    lines = await asked_again(lambda: Archive(bus.journal).read_raw(run), f"read {run}", LOOK_LIMIT)
    return [Told(line, body) for line, body in lines]


async def _verified(bus: Bus, stored: Sequence[EvidenceStored]) -> list[tuple[EvidenceStored, str]]:
    """The raw matches of each stage, and whether they are there as the journal says: same, different or missing."""
    store = ObjectStore(bus.connection, Names(bus.namespace).evidence)
    found = []
    for event in stored:
        try:
            data = await store.get(event.name)
        except ObjectMissing:
            found.append((event, "missing"))
        else:
            same = (len(data), hashlib.sha256(data).hexdigest()) == (event.size, event.sha256)
            found.append((event, "same" if same else "different"))
    return found


def _text(file: Path) -> str:
    findings: list[Any] = []
    text = read_file(file, findings)
    if findings:
        raise CliError(str(findings[0]))
    return text


def _not_over(run: str) -> CliError:
    return CliError(f"run {run} is not over yet", f"`test-coordinator wait {run}` waits for its end")


def _json(told: object) -> str:
    return jsonlib.dumps(told, indent=2, ensure_ascii=False)


def _show(found: Rejudged, objects: Sequence[tuple[str, str]], *, same: bool) -> None:
    page, table = console(), Table(box=None, pad_edge=False)
    for heading in ("ASSERTION", "STORED", "AGAIN", ""):
        table.add_column(heading)
    for claim in found.claims:
        table.add_row(named(claim.assertion), _verdict(claim.stored), _verdict(claim.again), _remark(claim))
    end = found.run
    remark = "same" if end.same else f"differs: {', '.join(end.differs)}"
    table.add_row(Text("the run", "bold"), _verdict(end.stored), _verdict(end.again), remark)
    page.print(table)
    for stage, told in objects:
        page.print(f"raw matches of {stage}: {_OBJECTS[told]}")
    for claim in found.claims:
        if claim.outcome == "differs":
            _show_difference(named(claim.assertion), claim.stored, claim.again)
    if not end.same:
        _show_difference("the run", end.stored, end.again)
    page.print(f"{found.lines} lines of the journal of {found.run_id}: {'the same, byte for byte' if same else 'not the same'}")


_OBJECTS = {
    "same": "as the journal says (size and SHA-256)",
    "different": "not those that the journal names: the SHA-256 differs",
    "missing": "no longer in the evidence store",
}


def _remark(claim: ClaimAgain) -> str:
    told = f"differs: {', '.join(claim.differs)}" if claim.outcome == "differs" else claim.outcome
    if claim.earlier is not None:
        told += f"; {claim.earlier.verdict} if judged at line {claim.earlier.sequence}, before {claim.sequence}"
    return told


def _show_difference(name: str, stored: AssertionJudged | RunFinished | None, again: AssertionJudged | RunFinished | None) -> None:
    say(f"\n{name}")
    for title, event in (("stored", stored), ("again", again)):
        say(f"  {title:6}  {_json_line(event)}")


def _json_line(event: AssertionJudged | RunFinished | None) -> str:
    return event.model_dump_json(by_alias=True) if event is not None else "nobody could say yet at this place of the journal"


def _verdict(event: AssertionJudged | RunFinished | None) -> Text:
    return Text(str(event.verdict), COLOURS[event.verdict]) if event is not None else Text("—")


def _show_afresh(found: Afresh) -> None:
    page, table = console(), Table(box=None, pad_edge=False)
    for heading in ("ASSERTION", "VERDICT", ""):
        table.add_column(heading)
    for claim in found.claims:
        reason = f"({claim.reason}) " if claim.reason is not None and claim.verdict.value != "failed" else ""
        table.add_row(claim.assertion, _verdict(claim), f"{reason}{claim.message}")
    page.print(table)
    end = found.run
    told = f" ({end.reason})" if end.reason is not None else ""
    page.print(f"{MARKS[end.verdict]} {str(end.verdict).upper()}{told}: {end.message}")
    complain(f"judged from what was recorded of {found.run_id}; nothing was stored")
