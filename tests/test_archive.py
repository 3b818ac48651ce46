"""Runs that are long over: their journals leave the stream, and everything that asks about them still works."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actors.reporter import Archiving
from actors.reporter.archiving import AT_ONCE
from actors.summaries import fold_run, list_runs, summary_of
from bus.archive import Archive
from bus.clock import ServerClock
from bus.connection import Connection
from bus.errors import NoAnswer, StorageFull, TopologyDiffers
from bus.journal import Journal
from bus.keys import Keys
from bus.objects import ObjectStore
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from deploy.errors import SettingsInvalid
from deploy.host import Plan, host
from deploy.settings import read_settings
from messages.events import RunEvent
from messages.fault_events import FaultRevertFailed
from messages.ids import new_run_id
from messages.judgements import ReportPublished
from messages.run_events import AbortRequested, ActionRequested, RunAccepted, RunFinished, RunStarted
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Reason, Verdict

NAMESPACE = "ns"
NOW = timedelta(0)
ROOT = Path(__file__).resolve().parent.parent
SCENARIO = Scenario.model_validate_json("""{"metadata": {"name": "s", "tags": ["t"]}, "spec": {"system": "y", "phases": [
  {"name": "chaos", "duration": "5s", "actions": [{"id": "f", "target": "a", "action": "kill"}]}]}}""")
SYSTEM = System.model_validate_json("""{"metadata": {"name": "y"}, "spec": {"services": {"a": {
  "driver": {"process": {"command": ["a"]}}, "health": {"tcp": {"address": "h:1"}}}}}}""")
ACCEPTED = RunAccepted(key="k", scenario=SCENARIO, system=SYSTEM, submitted=datetime(2026, 1, 1, tzinfo=UTC))
FINISHED = RunFinished(verdict=Verdict.ABORTED, reason=Reason.CANCELLED, message="ended by bob", cause=None, hint=None, position=1)
WHOLE: tuple[tuple[str, RunEvent], ...] = (
    ("scheduler", ACCEPTED),
    ("scheduler", RunStarted()),
    ("scheduler", FINISHED),
    ("reporter", ReportPublished(artefacts=())),
)


class Place:
    """A journal with an archive behind it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        self.archive = Archive(self.journal)
        self.objects = ObjectStore(connection, Names(NAMESPACE).archive)

    async def run(self, events: Sequence[tuple[str, RunEvent]] = WHOLE) -> str:
        run = new_run_id(datetime.now(UTC))  # noqa: TID251  an id needs no server's time
        for actor, event in events:
            await self.journal.write(3, run, actor, event, None, f"00-{'a' * 32}-{'b' * 16}-01")
        subjects = self.journal.subjects
        timer, due = subjects.timer(3, run, "scheduler", "t"), subjects.timer_due(3, run, "scheduler", "t")
        await self.journal.schedule(timer, due, self.journal.clock.now() + timedelta(hours=1), b"", 0)
        return run

    async def move(self, retention: timedelta = NOW) -> int:
        return await Archiving(self.journal, retention).look()

    async def left(self, run: str) -> dict[str, int]:
        every = (await self.connection.js.stream_info(self.journal.stream, subjects_filter=">")).state.subjects or {}
        return {subject: count for subject, count in every.items() if run in subject}

    async def purge(self, subject: str) -> None:
        await self.connection.js.purge_stream(self.journal.stream, subject=subject)


@pytest.fixture
async def place(connection: Connection) -> Place:
    await ensure_topology(connection.js, NAMESPACE)
    found = Place(connection)
    await found.journal.last_sequence()
    return found


async def test_a_run_in_the_archive_has_left_the_stream_and_is_read_as_before(place: Place) -> None:
    run = await place.run()
    lines, listed = await place.archive.read(run), await list_runs(place.journal)

    assert await place.move() == 1

    assert await place.left(run) == {}
    assert await place.archive.read(run) == lines
    assert [line.sequence for line in lines] == [1, 2, 3, 4]
    assert lines[0].traceparent == f"00-{'a' * 32}-{'b' * 16}-01"
    assert await list_runs(place.journal) == listed
    assert [(summary.verdict, summary.tags) for summary in listed] == [(Verdict.ABORTED, ("t",))]
    assert await place.archive.accepted(run) == ACCEPTED
    assert (await fold_run(place.journal, run)).finished == FINISHED


async def test_a_young_run_and_an_open_one_stay(place: Place) -> None:
    young, still_open = await place.run(), await place.run(WHOLE[:2])

    assert await place.move(timedelta(hours=1)) == 0

    assert await place.move() == 1
    assert await place.left(young) == {}
    assert len(await place.left(still_open)) == 3


async def test_an_unsafe_run_that_nobody_resolved_stays(place: Place) -> None:
    failed = FaultRevertFailed(fault_id="f", message="it hangs", attempts=5)
    asked = ActionRequested(fault_id="f", phase="chaos", target="a", action=SCENARIO.spec.phases[0].actions[0])
    run = await place.run((*WHOLE[:2], ("scheduler", asked), ("chaos-injector", failed), *WHOLE[2:]))
    assert (await fold_run(place.journal, run)).left == ("f",)

    assert await place.move() == 0

    assert len(await place.left(run)) == 7


class Dying(Archive):
    """One that dies when the object is stored and some of the stream is purged."""

    def __init__(self, place: Place, gone: str) -> None:
        super().__init__(place.journal)
        self._place = place
        self._gone = gone

    async def _purge(self, run: str, last: int) -> None:
        assert last > 0
        await self._place.purge(f"{NAMESPACE}.{self._gone.format(run=run)}")
        raise NoAnswer(self._gone)


@pytest.mark.parametrize("gone", ["none", "run.*.{run}.scheduler.run.run.accepted", "run.*.{run}.scheduler.>"])
async def test_whoever_died_at_the_purge_has_lost_nothing_and_the_next_one_ends_it(place: Place, gone: str) -> None:
    run = await place.run()
    before, summary = await place.archive.read(run), summary_of(await fold_run(place.journal, run))
    with pytest.raises(NoAnswer):
        await Dying(place, gone).move(run, summary)
    assert run not in await place.journal.open_runs()
    assert await place.archive.read(run) == before

    assert await place.move() == 1

    assert await place.left(run) == {}
    assert await place.archive.read(run) == before
    assert await list_runs(place.journal) == [summary]


async def test_two_hosts_may_move_the_same_runs_at_once(place: Place) -> None:
    runs = [await place.run() for _ in range(5)]
    lines = {run: await place.archive.read(run) for run in runs}

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(place.move())

    assert {run: await place.archive.read(run) for run in runs} == lines
    assert [await place.left(run) for run in runs] == [{}] * 5
    assert sorted(await place.archive.runs()) == sorted(runs)


async def test_what_is_said_about_a_run_after_its_move_is_read_behind_it(place: Place) -> None:
    run = await place.run()
    await place.move()

    await place.journal.write(3, run, "control", AbortRequested(principal="ann"), None, None)

    assert [type(line.event) for line in await place.archive.read(run)][-2:] == [ReportPublished, AbortRequested]


async def test_what_is_not_all_in_the_archive_is_not_taken_away(place: Place) -> None:
    run, other = await place.run(), await place.run()
    await place.archive.move(other, summary_of(await fold_run(place.journal, other)))
    await place.objects.create(run, await place.objects.get(other), "{}")
    before = await place.left(run)

    assert await place.move() == 0

    assert await place.left(run) == before


async def test_a_full_archive_takes_nothing_away(place: Place) -> None:
    run = await place.run()
    bucket = f"OBJ_{Names(NAMESPACE).archive}"
    await place.connection.js.update_stream((await place.connection.js.stream_info(bucket)).config.evolve(max_msgs=1))

    with pytest.raises(StorageFull, match=r"OBJ_ns-archive stores nothing more: maximum messages exceeded .* raise that limit"):
        await place.move()

    assert len(await place.left(run)) == 5
    assert await place.archive.runs() == []


async def test_one_look_moves_a_bounded_number(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert AT_ONCE == 50
    monkeypatch.setattr("actors.reporter.archiving.AT_ONCE", 2)
    runs = [await place.run() for _ in range(3)]

    assert [await place.move(), await place.move()] == [2, 1]

    assert sorted(await place.archive.runs()) == sorted(runs)


async def test_a_host_moves_what_is_due_when_it_starts(place: Place) -> None:
    run = await place.run()
    settings = read_settings(namespace=NAMESPACE, retention=NOW)

    async with host(settings, place.connection.url, Plan(actors=("reporter",))) as running:
        await running.ready()
        async with asyncio.timeout(20):
            while await place.left(run):
                await asyncio.sleep(0.02)

    assert await place.archive.runs() == [run]


async def test_a_run_in_the_archive_keeps_no_system_that_its_scheduler_did_not_free(place: Place) -> None:
    run = await place.run()
    await Keys(place.connection, Names(NAMESPACE).systems).create("y", run.encode())
    await place.move()

    async with host(read_settings(namespace=NAMESPACE), place.connection.url, Plan(actors=("scheduler",))) as running:
        await running.ready()
        waiting = await place.run(WHOLE[:1])
        async with asyncio.timeout(20):
            while await place.journal.find(waiting, "scheduler", "run", RunStarted) is None:
                await asyncio.sleep(0.02)


async def test_a_stream_of_another_version_is_named_with_what_differs_and_left_alone(connection: Connection) -> None:
    await connection.js.add_stream(name="ns-RUNS", subjects=["ns.run.>", "ns.timers.>"])

    with pytest.raises(TopologyDiffers) as refused:
        await ensure_topology(connection.js, NAMESPACE)

    assert 'subjects is ["ns.run.>", "ns.timers.>"], ours is ["ns.due.>", "ns.run.>", "ns.timer.>"]' in refused.value.differences
    assert str(refused.value).startswith("ns-RUNS exists with other settings: ")
    assert str(refused.value).endswith("Change or delete it, or choose another namespace")
    assert (await connection.js.stream_info("ns-RUNS")).config.subjects == ["ns.run.>", "ns.timers.>"]


@pytest.mark.parametrize(
    ("text", "span"), [("36h", timedelta(hours=36)), ("1m", timedelta(minutes=1)), ("never", None), ("", timedelta(days=7))]
)
def test_the_retention_is_a_duration_or_never(monkeypatch: pytest.MonkeyPatch, text: str, span: timedelta | None) -> None:
    monkeypatch.setenv("RETENTION", text)

    assert read_settings().retention == span


@pytest.mark.parametrize("text", ["0s", "59s", "a week", "7"])
def test_a_retention_that_is_none_is_refused_with_what_would_be_right(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("RETENTION", text)

    with pytest.raises(SettingsInvalid, match=f"RETENTION cannot be '{text}'; use a duration of 1m or more, like 7d, .*or never"):
        read_settings()


@pytest.mark.long
async def test_the_command_line_knows_a_run_in_the_archive(place: Place, tmp_path: Path) -> None:
    run = await place.run()
    await place.move()

    async def call(*arguments: str) -> tuple[int, str]:
        ours = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(tmp_path), "NAMESPACE": NAMESPACE}
        line = [sys.executable, "-m", "cli.main", *arguments, "--nats", place.connection.url]
        done = await asyncio.to_thread(subprocess.run, line, env=ours, capture_output=True, text=True, check=False, timeout=30)
        return done.returncode, done.stdout or done.stderr

    listed, status = await call("list", "--json"), await call("status", "last", "--json")
    waited, report = await call("wait", run[:20], "--json"), await call("report", run, "--format", "json")

    assert [line["run_id"] for line in json.loads(listed[1])] == [run]
    assert (json.loads(status[1])["verdict"], json.loads(status[1])["stage"]) == ("aborted", "finished")
    assert (waited[0], json.loads(waited[1])["verdict"]) == (4, "aborted")
    assert run in report[1]
