"""The reporter at work: what it stores and publishes."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from actors.reporter import Reporter, render
from bus.connection import Connection
from bus.objects import ObjectStore
from bus.server import Server
from bus.topology import Names, ensure_topology
from deploy.host import Plan, host
from deploy.settings import read_settings
from messages.audit_events import AuditFed, Moment
from messages.events import Recorded, RunEvent
from messages.fault_events import HandlerFailed
from messages.judgements import ReportPublished
from messages.run_events import RunAccepted, RunFinished
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Reason, Verdict
from runs.report import ReportFold

RUN = "019f0c3e-2b1a-7c44-9d7e-5a41c0ffee02"
FINISHED = RunFinished(verdict=Verdict.ABORTED, reason=Reason.CANCELLED, message="ended by bob", cause=None, hint=None, position=1)

SCENARIO = Scenario.model_validate_json("""{"metadata": {"name": "s"}, "spec": {"system": "y", "phases": [
  {"name": "chaos", "duration": "5s", "actions": [{"id": "f", "target": "a", "action": "kill"}]}]}}""")
SYSTEM = System.model_validate_json("""{"metadata": {"name": "y"}, "spec": {"services": {"a": {
  "driver": {"process": {"command": ["a"]}}, "health": {"tcp": {"address": "h:1"}}}}}}""")
ACCEPTED = RunAccepted(key="k", scenario=SCENARIO, system=SYSTEM, submitted=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
async def store(connection: Connection) -> ObjectStore:
    await connection.js.create_object_store("reports")
    return ObjectStore(connection, "reports")


class Finished:
    """A run that is over, as the reporter sees it."""

    id = RUN

    def __init__(self) -> None:
        self.view = ReportFold(RUN)
        self.sequence = 0
        self.add(ACCEPTED)
        self.add(FINISHED)

    def add(self, event: RunEvent) -> None:
        self.sequence += 1
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.sequence)
        self.view.apply(Recorded(event, RUN, 0, "any", event.entity, self.sequence, at, ""))


async def published(reporter: Reporter, run: Finished) -> list[ReportPublished]:
    return [event async for event in reporter.publish(FINISHED, run)]  # type: ignore[arg-type]


async def test_every_format_is_stored_and_named(store: ObjectStore) -> None:
    run = Finished()

    (event,) = await published(Reporter(store), run)

    assert [a.name for a in event.artefacts] == [f"{RUN}/report.json", f"{RUN}/report.html", f"{RUN}/junit.xml"]
    for artefact in event.artefacts:
        data = await store.get(artefact.name)
        assert (artefact.size, artefact.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert data == render(run.view.report(), artefact.format)


async def test_a_published_report_is_left_alone(store: ObjectStore) -> None:
    run = Finished()
    (event,) = await published(Reporter(store), run)
    run.add(event)

    assert await published(Reporter(store), run) == []


async def test_a_report_that_could_not_be_stored_for_a_while_comes_when_it_can(
    server: Server, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.handling.FIRST_PAUSE", 0.02)
    monkeypatch.setattr("bus.runtime._LINGER", 0.02)
    monkeypatch.setattr("bus.runtime._REPORTED", 0.02)
    async with host(read_settings(namespace="ns"), server.url, Plan(actors=("reporter",))) as running:
        await running.ready()
        await connection.js.delete_stream(f"OBJ_{Names('ns').reports}")
        for event in (ACCEPTED, FINISHED):
            await running.journal.write(0, RUN, "scheduler", event, None, None)
        async with asyncio.timeout(10):
            while await running.journal.find(RUN, "reporter", "dead-letter", HandlerFailed) is None:
                await asyncio.sleep(0.02)
            await ensure_topology(connection.js, "ns")
            while await running.journal.find(RUN, "reporter", "run", ReportPublished) is None:
                await asyncio.sleep(0.02)


async def test_two_reporters_store_the_same_bytes(store: ObjectStore) -> None:
    assert await published(Reporter(store), Finished()) == await published(Reporter(store), Finished())


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(KeyError, match="csv"):
        render(Finished().view.report(), "csv")


class Waited(Finished):
    """A run of whose start an audit correlator was told."""

    def __init__(self) -> None:
        super().__init__()
        self.add(fed("started"))


def fed(moment: Moment) -> AuditFed:
    return AuditFed(about="run", moment=moment, id=f"{RUN}.run.{moment}", outcome="stored", stored_id="7")


async def test_a_report_waits_until_an_audit_correlator_was_told_of_the_verdict(store: ObjectStore) -> None:
    run, reporter = Waited(), Reporter(store)
    async with asyncio.TaskGroup() as tasks:
        reporting = tasks.create_task(published(reporter, run))
        await asyncio.sleep(0)
        reporter.hear(fed("started"), run)  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        assert not reporting.done()
        run.add(fed("ended"))
        reporter.hear(fed("ended"), run)  # type: ignore[arg-type]

    report = json.loads(await store.get(f"{RUN}/report.json"))
    assert [event["moment"] for event in report["announced"]["correlator"]["events"]] == ["started", "ended"]


async def test_a_report_does_not_wait_for_ever_for_an_audit_correlator(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.reporter.actor.PATIENCE", 0.05)

    assert len(await published(Reporter(store), Waited())) == 1


async def test_a_report_waits_for_an_audit_correlator_that_has_not_been_told_of_anything_yet(store: ObjectStore) -> None:
    run, reporter = Finished(), Reporter(store, correlated=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(published(reporter, run))
        await asyncio.sleep(0)
        run.add(fed("ended"))
        reporter.hear(fed("ended"), run)  # type: ignore[arg-type]

    report = json.loads(await store.get(f"{RUN}/report.json"))
    assert [event["moment"] for event in report["announced"]["correlator"]["events"]] == ["ended"]
