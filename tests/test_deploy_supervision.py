import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bus.actor import Actor, Subscription
from bus.clock import ServerClock
from bus.connection import Connection
from bus.journal import Journal
from bus.keys import Keys
from bus.runtime import NoMetrics
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from deploy.presence import Presence, announce, who_is_there
from deploy.supervision import Supervisor, Ward, persist
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
        async with asyncio.timeout(5):
            for ward in supervisor.wards.values():
                await ward.up.wait()
        task.cancel()

    assert made == ["idle", "crashing", "crashing"]
    assert {name: ward.crashes for name, ward in supervisor.wards.items()} == {"idle": 0, "crashing": 1}


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


async def test_who_is_there_is_told_at_once_and_who_leaves_is_gone(connection: Connection) -> None:
    await ensure_topology(connection.js, "ns")
    keys = Keys(connection, Names("ns").instances)
    here = Presence(host="h1", instance="one", version="0.1.0", http=None, actors={"validator": "ready"}, checks={})

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(announce(keys, "one.h1", lambda: here))
        async with asyncio.timeout(5):
            while not (found := await who_is_there(keys)):
                pass
        task.cancel()
    left = await who_is_there(keys)

    assert found == [here]
    assert left == []
