"""Whole runs whose audit trail is told: a real server, all five actors, and the miniature's audit correlator as a process."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bus.server import Server
from deploy.host import ACTORS, Plan, host
from deploy.settings import read_settings
from messages.audit_events import AuditFed, FaultPublished
from messages.verdicts import Reason, Verdict
from runs.report import Report, ReportFold
from tests.ports import free_port
from tests.test_audit_correlator import Process
from tests.test_ecosystem import eventually

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long

ArenaOf = Callable[[Server, object, Path], "Arena"]
FLOWS = "{id: flows, type: event, where: \"event.type == 'tick'\"}"
SILENT = '{id: silent, type: event, where: "true", never: true, on_fail: continue}'


def document(arena: "Arena", claim: str, **env: str) -> str:
    phases = f"[{{name: chaos, actions: [{{id: again, target: one, action: restart}}], assertions: [{claim}]}}]"
    return arena.document(phases, services=arena.service("one", **env), events='["small.>"]')


@asynccontextmanager
async def told(arena_of: ArenaOf, server: Server, folder: Path, url: str) -> AsyncIterator["Arena"]:
    """A coordinator that tells this audit correlator."""
    plan = Plan(actors=ACTORS, allow_systems=True, logs=folder)
    async with host(read_settings(log_level="WARNING", audit_correlator_url=url), server.url, plan) as running:
        await running.ready()
        yield arena_of(server, running, folder)


async def stored(arena: "Arena", ended: "Ended") -> Report:
    """The report as it was stored at the end of the run."""
    from bus.objects import ObjectStore
    from bus.topology import Names

    reports = ObjectStore(arena.running.connection, Names("test-coordinator").reports)
    return Report.model_validate_json(await reports.get(f"{ended.state.id}/report.json"))


async def test_a_correlator_holds_the_run_and_the_report_says_so(arena_of: ArenaOf, server: Server, tmp_path: Path) -> None:
    process = Process(tmp_path / "audit")
    try:
        await eventually(process.healthy)
        async with told(arena_of, server, tmp_path, process.url) as arena:
            ended = await arena.run(document(arena, FLOWS, EVENTS="small"))
            report = await stored(arena, ended)
        held = [event["event_type"] for event in reversed(await process.held())]
    finally:
        process.stop()

    assert ended.verdict is Verdict.PASSED, ended
    assert held == ["scenario_started", "chaos_injection_started", "chaos_injection_ended", "scenario_finished"]
    assert report.announced is not None
    assert report.announced.correlator is not None
    assert (report.announced.correlator.outcomes, report.announced.correlator.links) == ({"stored": 4}, 1)
    assert [(p.moment, p.stream, p.error) for p in report.announced.published] == [
        ("started", "AUDIT-small", ""),
        ("ended", "AUDIT-small", ""),
    ]


async def test_without_the_correlator_the_run_goes_on_and_its_report_says_so(arena_of: ArenaOf, server: Server, tmp_path: Path) -> None:
    async with told(arena_of, server, tmp_path, f"http://127.0.0.1:{free_port()}") as arena:
        ended = await arena.run(document(arena, FLOWS, EVENTS="small"))
        report = await stored(arena, ended)

    assert ended.verdict is Verdict.PASSED, ended
    assert {line.event.outcome for line in ended.events(AuditFed)} == {"unreachable"}  # type: ignore[attr-defined]
    assert report.announced is not None
    assert report.announced.correlator is not None
    assert report.announced.correlator.outcomes == {"unreachable": 4}


async def test_our_own_events_do_not_make_a_silent_system_one_that_said_something(arena: "Arena") -> None:
    ended = await arena.run(document(arena, SILENT))

    assert len(ended.events(FaultPublished)) == 2
    assert (ended.verdict, ended.judged("silent").reason) == (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES), ended


async def test_a_rehearsal_tells_of_no_fault(arena: "Arena") -> None:
    ended = await arena.run(document(arena, FLOWS, EVENTS="small"), rehearse=True)

    assert not ended.events(FaultPublished)
    fold = ReportFold(ended.state.id)
    for line in ended.lines:
        fold.apply(line)
    audit = fold.report().announced
    assert audit is not None
    assert audit.published == ()
