"""Runs in the archive: one that is published again does not start again, and one that cannot be moved stops nothing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import nats.errors
import pytest
import structlog.testing

from actors.control import Acceptance
from actors.reporter import Archiving
from actors.summaries import fold_run, summary_of
from bus.archive import YOUNG
from bus.cancelling import end
from bus.connection import Connection
from bus.errors import StorageFull
from bus.intake import Intake
from bus.share import Share
from bus.topology import Names, ensure_topology
from deploy.left_open import reject_left
from deploy.settings import SHORTEST_RETENTION
from messages.events import RunEvent
from messages.ids import new_run_id
from messages.run_events import AbortRequested
from tests.lossy import first, lossy
from tests.test_archive import NAMESPACE, NOW, SYSTEM, WHOLE, Place

BUCKET = f"OBJ_{Names(NAMESPACE).archive}"
SCENARIO = b"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: quiet}
spec: {system: y, phases: [{name: calm, duration: 1s, assertions: [{type: event, where: "true"}]}]}
"""


class Old(Place):
    """One with runs of any age, and scenarios that become runs."""

    def id(self, age: timedelta) -> str:
        return new_run_id(self.journal.clock.now() - age)

    async def known(self, run: str, events: Sequence[tuple[str, RunEvent]] = WHOLE) -> str:
        for actor, event in events:
            await self.journal.write(3, run, actor, event, None, None)
        return run

    async def archived(self, run: str) -> str:
        await self.known(run)
        assert await self.archive.move(run, summary_of(await fold_run(self.journal, run)))
        return run

    async def until_forgotten(self) -> None:
        """Until the stream takes a line again that it took before, as after two minutes."""
        config = (await self.connection.js.stream_info(self.journal.stream)).config
        await self.connection.js.update_stream(config.evolve(duplicate_window=0.1))
        probe = {"Nats-Msg-Id": "probe"}
        await self.connection.js.publish(f"{NAMESPACE}.due.probe", headers=dict(probe))
        async with asyncio.timeout(10):
            while (await self.connection.js.publish(f"{NAMESPACE}.due.probe", headers=dict(probe))).duplicate:
                await asyncio.sleep(0.02)

    async def publish(self, run: str) -> None:
        await self.connection.js.publish(self.journal.subjects.scenario("k"), SCENARIO, headers={"Nats-Msg-Id": run})

    async def take_all(self) -> None:
        """Until every scenario is dealt with."""
        share = Share.of_everything()
        share.serve(share.owned)
        intake = Intake(self.connection, self.journal, Acceptance({"y": SYSTEM}, allow_systems=False), share)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(intake.run())
            while (await self.connection.js.stream_info(Names(NAMESPACE).scenarios)).state.messages:
                await asyncio.sleep(0.01)
            await end([taking])

    async def accepted(self) -> list[str]:
        return list(await self.journal.open_runs())


@pytest.fixture
async def old(connection: Connection) -> Old:
    await ensure_topology(connection.js, NAMESPACE)
    found = Old(connection)
    await found.journal.last_sequence()
    return found


async def test_a_run_in_the_archive_that_is_published_again_does_not_start_again(old: Old) -> None:
    run = await old.archived(old.id(timedelta(hours=1)))
    lines, waited = await old.archive.read(run), old.id(timedelta(hours=1))
    await old.until_forgotten()

    await old.publish(run)
    await old.publish(waited)
    await old.take_all()

    assert await old.accepted() == [waited]
    assert await old.archive.read(run) == lines


async def test_a_new_run_costs_no_question_to_the_archive(old: Old) -> None:
    asked: list[str] = []
    watched = Old(lossy(old.connection, asked=asked.append))
    await watched.journal.last_sequence()
    new, waited = old.id(NOW), old.id(timedelta(hours=1))

    await old.publish(new)
    await watched.take_all()
    before = len(asked)
    await old.publish(waited)
    await watched.take_all()

    assert await old.accepted() == [waited, new]
    assert (before, len(asked)) == (0, 2)


async def test_a_run_whose_id_is_of_later_is_not_moved_so_that_no_young_id_is_in_the_archive(old: Old) -> None:
    ahead, last = await old.known(old.id(timedelta(days=-1))), await old.known("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")

    assert await old.move() == 0

    assert [len(await old.left(run)) for run in (ahead, last)] == [4, 4]
    assert 2 * YOUNG <= SHORTEST_RETENTION


async def test_a_repeated_run_waits_while_the_archive_does_not_answer(old: Old) -> None:
    run = await old.archived(old.id(timedelta(hours=1)))
    deaf = Old(lossy(old.connection, asked=first(f"$O.{Names(NAMESPACE).archive}", nats.errors.TimeoutError())))
    await deaf.journal.last_sequence()

    await old.publish(run)
    with structlog.testing.capture_logs() as logs:
        await deaf.take_all()

    assert await old.accepted() == []
    assert [line["event"] for line in logs if line["event"].startswith("intake")] == ["intake.retry", "intake.repeated"]


async def test_a_scenario_whose_run_is_in_the_archive_is_not_rejected_as_left_behind(old: Old) -> None:
    run = await old.archived(old.id(timedelta(hours=1)))
    await old.publish(run)
    await old.publish(old.id(NOW))

    assert await reject_left(old.connection, old.journal) == ["scenario"]

    assert (await old.connection.js.stream_info(Names(NAMESPACE).rejected)).state.messages == 1


async def test_a_run_with_an_unreadable_object_does_not_stop_the_others_nor_the_reporter(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.reporter.archiving.LOOK", 0.01)
    bad = await old.run()
    await old.objects.create(bad, b"no journal", "{}")
    good = await old.run()

    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(10), Archiving(old.journal, NOW).working():
            while await old.left(good):
                await asyncio.sleep(0.01)

    assert len(await old.left(bad)) == 5
    assert {line["run"] for line in logs if line["event"] == "run.unarchived"} == {bad}


async def test_a_look_that_fails_in_a_way_that_nobody_foresaw_ends_nothing(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.reporter.archiving.LOOK", 0.01)
    run = await old.run()
    looks = Failing(old)

    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(10), looks.working():
            while await old.left(run):
                await asyncio.sleep(0.01)

    assert [line["event"] for line in logs if line["log_level"] != "info"] == ["archive.failed"]


class Failing(Archiving):
    def __init__(self, place: Place) -> None:
        super().__init__(place.journal, NOW)
        self._looks = 0

    async def look(self) -> int:
        self._looks += 1
        if self._looks == 1:
            raise ExceptionGroup("reading", [ValueError("a line that is none")])
        return await super().look()


async def test_a_run_that_the_archive_has_no_room_for_lets_the_others_go_first_the_next_time(old: Old) -> None:
    noise = AbortRequested(principal="ann", message="".join(str(datetime.now(UTC)) for _ in range(4000)))  # noqa: TID251  any text
    large = await old.run((*WHOLE, *(("control", noise.model_copy(update={"principal": f"ann{n}"})) for n in range(8))))
    small = await old.run()
    config = (await old.connection.js.stream_info(BUCKET)).config
    await old.connection.js.update_stream(config.evolve(max_bytes=8_000))
    archiving, before = Archiving(old.journal, NOW), await old.left(large)

    with pytest.raises(StorageFull):
        await archiving.look()
    with pytest.raises(StorageFull):
        await archiving.look()

    assert await old.archive.runs() == [small]
    assert await old.left(small) == {}
    assert await old.left(large) == before
