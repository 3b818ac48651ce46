"""The reporter at work: what it stores and publishes."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from actors.reporter import Reporter, render
from bus.connection import Connection
from bus.objects import ObjectStore
from messages.events import Recorded, RunEvent
from messages.judgements import ReportPublished
from messages.run_events import RunAccepted, RunFinished
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Reason, Verdict
from runs.report import ReportFold

RUN = "019f0c3e-2b1a-7c44-9d7e-5a41c0ffee02"
FINISHED = RunFinished(verdict=Verdict.ABORTED, reason=Reason.CANCELLED, message="ended by bob", cause=None, hint=None, position=1)


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
        scenario = Scenario.model_validate_json("""{"metadata": {"name": "s"}, "spec": {"system": "y", "phases": [
          {"name": "chaos", "duration": "5s", "actions": [{"id": "f", "target": "a", "action": "kill"}]}]}}""")
        system = System.model_validate_json("""{"metadata": {"name": "y"}, "spec": {"services": {"a": {
          "driver": {"process": {"command": ["a"]}}, "health": {"tcp": {"address": "h:1"}}}}}}""")
        begin = datetime(2026, 1, 1, tzinfo=UTC)
        self.add(RunAccepted(key="k", scenario=scenario, system=system, submitted=begin))
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


async def test_two_reporters_store_the_same_bytes(store: ObjectStore) -> None:
    assert await published(Reporter(store), Finished()) == await published(Reporter(store), Finished())


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(KeyError, match="csv"):
        render(Finished().view.report(), "csv")
