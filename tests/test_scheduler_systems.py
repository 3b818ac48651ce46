"""Who has a system: keys in a real nats-server, schedulers of several hosts played by several `Systems`."""

import asyncio

import pytest

from actors.scheduler.systems import Systems, place_of_group
from bus.connection import Connection
from bus.keys import Keys
from bus.topology import Names, ensure_topology

BUCKET = Names("ns").systems


class Hosts:
    """Schedulers of several hosts, and the runs that are finished."""

    def __init__(self, connection: Connection) -> None:
        self.keys = Keys(connection, BUCKET)
        self.finished: set[str] = set()
        self.here, self.there = (Systems(Keys(connection, BUCKET), self._is_finished) for _ in range(2))

    async def _is_finished(self, run: str) -> bool:
        return run in self.finished


@pytest.fixture
async def hosts(connection: Connection) -> Hosts:
    await ensure_topology(connection.js, "ns")
    return Hosts(connection)


async def test_a_run_has_its_system_alone_until_it_leaves(hosts: Hosts) -> None:
    first = await hosts.here.take("shop", "a", shared=False)
    second = await hosts.there.take("shop", "b", shared=False)
    await hosts.here.leave("shop", "a")
    third = await hosts.there.take("shop", "b", shared=False)

    assert (first, second, third) == (None, "a", None)


async def test_a_run_that_has_its_system_may_ask_again(hosts: Hosts) -> None:
    await hosts.here.take("shop", "a", shared=False)
    await hosts.here.take("mall", "b", shared=True)

    assert await hosts.here.take("shop", "a", shared=False) is None
    assert await hosts.there.take("shop", "a", shared=False) is None
    assert await hosts.there.take("mall", "b", shared=True) is None


async def test_runs_that_share_have_the_system_together_and_the_last_frees_it(hosts: Hosts) -> None:
    taken = [await hosts.here.take("shop", "a", shared=True), await hosts.there.take("shop", "b", shared=True)]

    await hosts.here.leave("shop", "a")
    left = await hosts.keys.get("shop")
    await hosts.there.leave("shop", "b")

    assert taken == [None, None]
    assert left is not None
    assert left.value == b"shared b"
    assert await hosts.keys.get("shop") is None


async def test_a_run_that_wants_a_system_alone_waits_for_those_that_share_it_and_they_for_it(hosts: Hosts) -> None:
    await hosts.here.take("shop", "a", shared=True)
    behind_sharers = await hosts.there.take("shop", "alone", shared=False)
    await hosts.here.leave("shop", "a")
    when_free = await hosts.there.take("shop", "alone", shared=False)
    behind_the_one = await hosts.here.take("shop", "b", shared=True)

    assert (behind_sharers, when_free, behind_the_one) == ("a", None, "alone")


async def test_of_many_that_share_none_is_lost_though_two_hosts_write_at_once(hosts: Hosts) -> None:
    runs = [f"run-{number}" for number in range(100)]

    async with asyncio.TaskGroup() as tasks:
        for number, run in enumerate(runs):
            tasks.create_task((hosts.here, hosts.there)[number % 2].take("shop", run, shared=True))
    held = await hosts.keys.get("shop")
    async with asyncio.TaskGroup() as tasks:
        for number, run in enumerate(runs):
            tasks.create_task((hosts.here, hosts.there)[number % 2].leave("shop", run))

    assert held is not None
    assert sorted(held.value.decode().split()) == sorted(["shared", *runs])
    assert await hosts.keys.get("shop") is None


async def test_many_that_share_need_few_messages(hosts: Hosts, connection: Connection) -> None:
    await hosts.here.take("shop", "first", shared=True)
    before = connection.nc.stats["out_msgs"]

    async with asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(hosts.here.take("shop", f"run-{number}", shared=True))

    assert connection.nc.stats["out_msgs"] - before <= 4


@pytest.mark.parametrize("shared", [True, False])
async def test_a_finished_run_that_nobody_took_out_is_in_no_ones_way(hosts: Hosts, *, shared: bool) -> None:
    await hosts.here.take("shop", "dead", shared=shared)
    hosts.finished.add("dead")

    assert await hosts.there.take("shop", "b", shared=False) is None


async def test_a_group_has_as_many_places_as_the_run_that_asks_says(hosts: Hosts) -> None:
    group = place_of_group("nightly")
    taken = [await hosts.here.enter(group, "a", 2), await hosts.there.enter(group, "b", 2)]

    assert taken == [[], []]
    assert await hosts.here.enter(group, "c", 2) == ["a", "b"]
    assert await hosts.here.enter(group, "a", 2) == []
    assert await hosts.there.enter(group, "c", 3) == []
    assert await hosts.there.enter(group, "d", 3) == ["a", "b", "c"]


async def test_a_groups_limit_holds_though_two_hosts_write_at_once(hosts: Hosts) -> None:
    group, full = place_of_group("nightly"), []

    async def enter(systems: Systems, run: str) -> None:
        if await systems.enter(group, run, 5):
            full.append(run)

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(enter((hosts.here, hosts.there)[number % 2], f"run-{number}"))
    held = await hosts.keys.get(group)

    assert held is not None
    assert len(held.value.split()[1:]) == 5
    assert len(full) == 15


async def test_a_finished_run_that_nobody_took_out_of_its_group_takes_no_place_there(hosts: Hosts) -> None:
    group = place_of_group("nightly")
    await hosts.here.enter(group, "dead", 1)
    hosts.finished.add("dead")

    assert await hosts.there.enter(group, "b", 1) == []
    assert await hosts.here.enter(group, "c", 1) == ["b"]


async def test_the_last_one_frees_a_group(hosts: Hosts) -> None:
    group = place_of_group("nightly")
    await hosts.here.enter(group, "a", 2)
    await hosts.there.enter(group, "b", 2)

    await hosts.there.leave(group, "a")
    await hosts.here.leave(group, "b")

    assert await hosts.keys.get(group) is None


async def test_a_place_in_doubt_is_read_before_it_is_counted_on(hosts: Hosts) -> None:
    group = place_of_group("nightly")
    await hosts.here.enter(group, "a", 1)
    await hosts.there.leave(group, "a")

    hosts.here.doubt(group)

    assert await hosts.here.enter(group, "a", 1) == []
    assert await hosts.keys.get(group) is not None


async def test_a_run_that_need_not_wait_costs_one_look_and_one_write(hosts: Hosts, connection: Connection) -> None:
    before = connection.nc.stats["out_msgs"]

    await hosts.here.take("shop", "a", shared=False)

    assert connection.nc.stats["out_msgs"] - before <= 2


async def test_leaving_twice_or_without_having_it_takes_nothing_from_others(hosts: Hosts) -> None:
    await hosts.here.take("shop", "a", shared=False)

    await hosts.here.leave("shop", "b")
    await hosts.there.leave("shop", "b")
    held = await hosts.keys.get("shop")
    await hosts.there.leave("shop", "a")
    await hosts.here.leave("shop", "a")

    assert held is not None
    assert await hosts.keys.get("shop") is None
