import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bus.actor import Actor, Subscription
from bus.clock import ServerClock
from bus.connection import Connection
from bus.handling import NoMetrics
from bus.journal import Journal
from bus.keys import Keys
from bus.membership import Member, Membership
from bus.ownership import EVERYTHING
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from deploy.presence import Presence, stranded, who_is_there
from deploy.supervision import Supervisor, Ward, persist
from messages.ids import new_run_id
from messages.run_events import RunAccepted
from messages.scenario import Scenario
from messages.system import System
from runs.state import RunState


class Idle(Actor[RunState]):
    name = "idle"
    emits = ()

    def fold(self, run: str) -> RunState:
        return RunState(run)

    def subscriptions(self) -> tuple[Subscription, ...]:
        return ()


class Crashing(Idle):
    name = "crashing"
    starts = 0

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        Crashing.starts += 1
        if Crashing.starts == 1:
            raise OSError("the first start fails")
        yield


async def test_an_actor_that_crashes_comes_back_and_the_others_do_not_notice(connection: Connection) -> None:
    await ensure_topology(connection.js, "ns")
    journal = Journal(connection, Subjects("ns"), Names("ns").runs, ServerClock())
    made: list[str] = []

    def make(kind: type[Actor[Any]]) -> Actor[Any]:
        made.append(kind.name)
        return kind()

    supervisor = Supervisor(journal, NoMetrics(), {"idle": lambda: make(Idle), "crashing": lambda: make(Crashing)})
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(supervisor.run())
        async with asyncio.timeout(20):
            for ward in supervisor.wards.values():
                await ward.up.wait()
        task.cancel()

    assert made == ["idle", "crashing", "crashing"]
    assert {name: ward.crashes for name, ward in supervisor.wards.items()} == {"idle": 0, "crashing": 1}


async def test_who_crashed_is_not_fed_any_more(connection: Connection) -> None:
    await ensure_topology(connection.js, "ns")
    journal = Journal(connection, Subjects("ns"), Names("ns").runs, ServerClock())
    made: list[Actor[Any]] = []
    folded: list[Actor[Any]] = []
    both = asyncio.Event()

    class Told(Idle):
        name = "told"

        def __init__(self) -> None:
            made.append(self)

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            if made == [self]:
                raise OSError("the first start fails")
            yield

        def fold(self, run: str) -> RunState:
            folded.append(self)
            return super().fold(run)

    class Witness(Idle):
        def fold(self, run: str) -> RunState:
            both.set()
            return super().fold(run)

    supervisor = Supervisor(journal, NoMetrics(), {"idle": Witness, "told": Told})
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(supervisor.run())
        async with asyncio.timeout(20):
            for ward in supervisor.wards.values():
                await ward.up.wait()
            await journal.write(0, new_run_id(datetime.now(UTC)), "scheduler", accepted(), None, None)  # noqa: TID251
            await both.wait()
            while made[-1] not in folded:
                await asyncio.sleep(0.01)
        task.cancel()

    assert folded == [made[1]]


def accepted() -> RunAccepted:
    command = {"driver": {"process": {"command": ["sleep", "9"]}}}
    system = System.model_validate({"metadata": {"name": "s"}, "spec": {"services": {"one": command}}}, strict=False)
    phases = [{"name": "chaos"}]
    scenario = Scenario.model_validate({"metadata": {"name": "x"}, "spec": {"system": "s", "phases": phases}}, strict=False)
    return RunAccepted(key="k", scenario=scenario, system=system, submitted=datetime(2026, 1, 1, tzinfo=UTC))


async def test_a_crash_shows_until_it_is_back_with_growing_pauses() -> None:
    ward = Ward("control")

    pauses = [ward.crashed(OSError("no luck")) for _ in range(10)]

    assert str(ward) == "restarting: OSError: no luck"
    assert pauses[:3] == [0.2, 0.4, 0.8]
    assert max(pauses) == 30
    ward.is_up()
    assert str(ward) == "ready"


async def test_work_that_fails_is_done_again() -> None:
    calls: list[str] = []

    async def work(ward: Ward) -> None:
        calls.append(ward.state)
        if len(calls) == 1:
            raise ValueError("once")

    await persist(Ward("intake"), work)

    assert calls == ["starting", "restarting"]


async def announce(connection: Connection, describe: Callable[[], Member]) -> None:
    await Membership(connection, Subjects("ns"), Keys(connection, Names("ns").instances), "one.h1", describe).run()


async def test_who_is_there_is_told_at_once_and_who_leaves_is_gone(connection: Connection) -> None:
    await ensure_topology(connection.js, "ns")
    keys = Keys(connection, Names("ns").instances)
    here = Presence(host="h1", instance="one", version="0.1.0", http=None, actors={"validator": "ready"}, checks={})

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(announce(connection, lambda: here))
        async with asyncio.timeout(20):
            while not (found := await who_is_there(keys)):
                pass
        task.cancel()
    left = await who_is_there(keys)

    assert found == [here]
    assert left == []


async def test_a_lease_that_the_bus_refuses_is_asked_for_again(connection: Connection) -> None:
    await ensure_topology(connection.js, "ns")
    keys = Keys(connection, Names("ns").instances)
    config = (await connection.js.stream_info("KV_ns-instances")).config
    await connection.js.update_stream(replace(config, max_bytes=1))
    described = asyncio.Event()

    def describe() -> Presence:
        described.set()
        return of_host("h1", validator="ready")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(announce(connection, describe))
        async with asyncio.timeout(20):
            await described.wait()
            refused = await who_is_there(keys)
            await connection.js.update_stream(config)
            while not (found := await who_is_there(keys)):
                pass
        task.cancel()

    assert refused == []
    assert [host.host for host in found] == ["h1"]


async def test_who_is_there_is_told_though_a_lease_is_renewed_all_the_time(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    await ensure_topology(connection.js, "ns")
    monkeypatch.setattr("bus.membership.RENEW", 0.05)
    keys = Keys(connection, Names("ns").instances)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(announce(connection, lambda: of_host("h1", validator="ready")))
        async with asyncio.timeout(20):
            while not (found := await who_is_there(keys)):
                pass
        task.cancel()

    assert [host.host for host in found] == ["h1"]


def of_host(host: str, machine: str = "m", numbers: str = "auto", **actors: str) -> Presence:
    """It asks for these partitions; which it owns is not looked at."""
    offers = dict.fromkeys(actors, numbers)
    return Presence(host=host, instance="one", version="0.1.0", machine=machine, http=None, actors=actors, checks={}, offers=offers)


def leaving(**partitions: str) -> Presence:
    """A host that owns these partitions, by actor."""
    return of_host("a", **dict.fromkeys(partitions, "stopping")).model_copy(update={"partitions": partitions})


@pytest.mark.parametrize(
    ("others", "can"),
    [
        pytest.param([], False, id="nobody is there"),
        pytest.param([of_host("b", reporter="ready", injector="ready")], True, id="one has both"),
        pytest.param([of_host("b", reporter="ready"), of_host("c", injector="ready")], True, id="two have one each"),
        pytest.param([of_host("b", reporter="ready")], False, id="one is missing"),
        pytest.param([of_host("b", reporter="ready", injector="stopping")], False, id="one is leaving too"),
        pytest.param([of_host("b", reporter="ready", injector="restarting: OSError")], False, id="one has crashed"),
        pytest.param([of_host("b", "elsewhere", reporter="ready", injector="ready")], False, id="one is out of reach"),
        pytest.param([of_host("b", "elsewhere", reporter="ready"), of_host("c", injector="ready")], True, id="a report is made anywhere"),
    ],
)
def test_others_take_the_work_of_a_host_if_they_have_all_of_its_actors(others: list[Presence], *, can: bool) -> None:
    mine = leaving(reporter="0-15", injector="0-15")

    assert stranded(mine, others, near=("injector",)) == (frozenset() if can else EVERYTHING)


@pytest.mark.parametrize(
    ("others", "alone"),
    [
        pytest.param([of_host("b", numbers="8-15", reporter="ready", injector="ready")], range(8), id="another has others"),
        pytest.param([of_host("b", numbers="0-7", reporter="ready", injector="ready")], (), id="one stands by"),
        pytest.param([of_host("b", numbers="0-5,9", reporter="ready", injector="ready")], (6, 7), id="one stands by for some"),
        pytest.param(
            [of_host("b", numbers="0-3", reporter="ready"), of_host("c", numbers="4-7", reporter="ready", injector="ready")],
            range(4),
            id="two stand by for some",
        ),
        pytest.param([of_host("b", numbers="0-7", reporter="ready", injector="stopping")], range(8), id="who stands by is leaving"),
    ],
)
def test_partitions_that_nobody_else_asks_for_are_left_to_nobody(others: list[Presence], alone: Collection[int]) -> None:
    mine = leaving(reporter="0-7", injector="0-7")

    assert stranded(mine, others, near=("injector",)) == set(alone)


def test_of_an_actor_that_covers_everything_any_other_host_takes_what_is_left() -> None:
    others = [of_host("b", numbers="0-7", reporter="ready", injector="ready")]
    mine = leaving(reporter="0-7", injector="0-15")

    assert stranded(mine, others, near=("injector",), covered=("injector",)) == frozenset()


def test_a_host_that_owns_nothing_is_missed_by_nobody() -> None:
    assert stranded(leaving(reporter="", injector=""), [], near=()) == frozenset()
