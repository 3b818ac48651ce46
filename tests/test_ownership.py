import asyncio
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bus.connection import Connection
from bus.errors import LostRace, PartitionsInvalid
from bus.keys import Keys
from bus.membership import MARGIN, Member
from bus.ownership import as_text, assign, of_one_machine, parse_partitions
from bus.server import Server
from bus.subjects import PARTITIONS
from bus.topology import ensure_topology
from tests.hosts import ACTOR, EVERYTHING, NAMES, Served, Way, calm, lone_host, somebody

KEYS = st.sampled_from(["one.a", "one.b", "one.c", "one.d", "one.e"])
OWNERS = st.dictionaries(st.integers(0, PARTITIONS - 1), KEYS)
AUTO_HOSTS = st.sets(KEYS, min_size=1)
OFFERS = st.dictionaries(KEYS, st.none() | st.frozensets(st.integers(0, PARTITIONS - 1), min_size=1), min_size=1)


@given(OWNERS, OFFERS)
def test_a_partition_has_an_owner_among_those_who_ask_for_it(owners: dict[int, str], offers: dict[str, frozenset[int] | None]) -> None:
    wanted = assign(owners, offers)

    for partition in range(PARTITIONS):
        by_number = {key for key, numbers in offers.items() if numbers is not None and partition in numbers}
        anybody = {key for key, numbers in offers.items() if numbers is None}
        asking = by_number or anybody
        assert wanted[partition] in asking if asking else partition not in wanted


@given(OWNERS, OFFERS)
def test_where_all_are_to_be_covered_what_nobody_asks_for_is_spread_over_those_who_are_there(
    owners: dict[int, str], offers: dict[str, frozenset[int] | None]
) -> None:
    wanted = assign(owners, offers, covered=True)

    rest = [wanted[partition] for partition in range(PARTITIONS) if partition not in assign(owners, offers)]
    parts = [rest.count(key) for key in offers]
    assert wanted.items() >= assign(owners, offers).items()
    assert not rest or max(parts) - min(parts) <= 1
    assert assign(wanted, offers, covered=True) == wanted


@given(OWNERS, AUTO_HOSTS)
def test_those_who_take_anything_have_equal_parts(owners: dict[int, str], hosts: set[str]) -> None:
    wanted = list(assign(owners, dict.fromkeys(hosts)).values())

    parts = [wanted.count(host) for host in hosts]
    assert max(parts) - min(parts) <= 1


@given(OWNERS, AUTO_HOSTS)
def test_no_more_partitions_move_than_must(owners: dict[int, str], hosts: set[str]) -> None:
    wanted = assign(owners, dict.fromkeys(hosts))

    least, more = divmod(PARTITIONS, len(hosts))
    has = sorted((sum(owner == host for owner in owners.values()) for host in hosts), reverse=True)
    stays = sum(min(count, least + (place < more)) for place, count in enumerate(has))
    assert sum(owners.get(partition) == owner for partition, owner in wanted.items()) == stays


@given(OWNERS, OFFERS)
def test_what_is_assigned_stays_so(owners: dict[int, str], offers: dict[str, frozenset[int] | None]) -> None:
    wanted = assign(owners, offers)

    assert assign(wanted, offers) == wanted


@given(st.frozensets(st.integers(0, PARTITIONS - 1), min_size=1))
def test_partitions_read_as_they_are_written(partitions: frozenset[int]) -> None:
    assert parse_partitions(as_text(partitions)) == partitions


def test_partitions_are_written_shortly() -> None:
    assert as_text({7, 0, 1, 2, 3, 9, 10}) == "0-3,7,9-10"
    assert as_text(()) == ""
    assert parse_partitions("auto") is None
    assert parse_partitions(" 3, 1-2 ") == frozenset({1, 2, 3})


@pytest.mark.parametrize("text", ["", "all", "16", "0-16", "3-1", "0,3-1", "-1", "1-", "1,", "0-99999999999999", "1.5", "Auto"])
def test_what_names_no_partitions_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(PartitionsInvalid, match="use auto, or numbers from 0 to 15 like 0-7,15"):
        parse_partitions(text)


@pytest.fixture
async def maps(connection: Connection) -> Keys:
    await ensure_topology(connection.js, "ns")
    return Keys(connection, NAMES.ownership)


async def test_a_host_that_is_alone_owns_everything_soon(server: Server, maps: Keys) -> None:
    begun = time.monotonic()
    async with somebody(server.url, "a", Served()) as alone:
        await calm(alone)
        took = time.monotonic() - begun
        await alone.share.hold(3, MARGIN)

    assert took < 3


async def test_two_have_equal_parts_and_who_leaves_gives_them_back(server: Server, maps: Keys) -> None:
    served = Served()
    async with somebody(server.url, "a", served) as first:
        await calm(first)
        async with somebody(server.url, "b", served) as second:
            assert await calm(first, second) == [8, 8]
            assert (first.membership.members.keys()) == {first.key, second.key}
        begun = time.monotonic()
        await calm(first)
        took = time.monotonic() - begun

    assert served.twice == []
    assert took < 1.5  # by its lease it would be 1.6 to 2


async def test_hosts_come_and_go_and_no_partition_is_ever_served_twice(server: Server, maps: Keys) -> None:
    served = Served()
    async with somebody(server.url, "a", served) as first, somebody(server.url, "b", served) as second:
        await calm(first, second)
        async with somebody(server.url, "c", served) as third:
            before = {host: host.share.owned for host in (first, second)}
            assert await calm(first, second, third) == [5, 5, 6]
            assert all(host.share.owned <= owned for host, owned in before.items())
        assert await calm(first, second) == [8, 8]

    assert served.twice == []


async def test_many_that_come_at_once_agree(server: Server, maps: Keys) -> None:
    served = Served()
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(somebody(server.url, name, served)) for name in "abcde"]
        counts = await calm(*hosts)

    assert counts == [3, 3, 3, 3, 4]
    assert served.twice == []


async def test_who_asks_for_numbers_gets_them_and_the_others_the_rest(server: Server, maps: Keys) -> None:
    served = Served()
    async with somebody(server.url, "a", served) as anything, somebody(server.url, "b", served, "0-3") as fixed:
        await calm(anything, fixed, wanted={fixed.key: range(4), anything.key: range(4, PARTITIONS)})

    assert served.twice == []


async def test_of_two_that_ask_for_the_same_numbers_the_second_stands_by(server: Server, maps: Keys) -> None:
    served = Served()
    everything = f"0-{PARTITIONS - 1}"
    async with somebody(server.url, "z", served, everything) as standing_by:
        await calm(standing_by)
        async with somebody(server.url, "b", served, everything) as other:
            await other.share.settled.wait()
            await calm(standing_by, other, wanted={standing_by.key: EVERYTHING, other.key: ()})
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(somebody(server.url, "c", served, everything))
            await first.share.settled.wait()
            assert first.share.owned == frozenset()

    assert served.twice == []


async def test_a_host_that_stands_by_takes_over_when_the_other_leaves(server: Server, maps: Keys) -> None:
    served = Served()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(somebody(server.url, "a", served, "0-15"))
        await calm(first)
        async with somebody(server.url, "b", served, "0-15") as second:
            await second.share.settled.wait()
            assert second.share.owned == frozenset()
            await stack.aclose()
            await calm(second)

    assert served.twice == []


async def test_of_what_must_be_near_its_services_one_machine_has_everything_and_the_other_stands_by(server: Server, maps: Keys) -> None:
    served, near = Served(), (ACTOR,)
    async with somebody(server.url, "b", served, machine="first", near=near) as first:
        await calm(first)
        with capture_logs() as logs:
            async with (
                somebody(server.url, "a", served, machine="second", near=near) as other,
                somebody(server.url, "c", served, machine="first", near=near) as beside,
            ):
                await other.share.settled.wait()
                assert await calm(first, beside) == [8, 8]
                assert other.share.owned == frozenset()

    assert served.twice == []
    (said,) = [log for log in logs if log["event"] == "actor.standing_by"]
    assert first.key in said["hosts"]


async def test_when_the_last_host_of_a_machine_has_left_another_machine_takes_its_place(server: Server, maps: Keys) -> None:
    served, near = Served(), (ACTOR,)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(somebody(server.url, "a", served, machine="first", near=near))
        await calm(first)
        async with somebody(server.url, "b", served, machine="second", near=near) as other:
            await other.share.settled.wait()
            await stack.aclose()
            await calm(other)

    assert served.twice == []


MACHINES = st.dictionaries(KEYS, st.sampled_from(["first", "second"]).map(lambda name: Member(host="h", instance="one", machine=name)))


@given(OWNERS, MACHINES)
def test_one_machine_is_at_work_which_has_partitions_already_if_one_does(owners: dict[int, str], there: dict[str, Member]) -> None:
    offering = of_one_machine(there, owners)

    machines = {member.machine for member in offering.values()}
    having = {there[owner].machine for owner in owners.values() if owner in there}
    assert len(machines) == (1 if there else 0)
    assert machines <= having if having else True
    assert offering == {key: member for key, member in there.items() if member.machine in machines}


async def owned_by(maps: Keys, key: str, count: int) -> None:
    """Wait until a host owns so many partitions."""
    async with asyncio.timeout(8):
        while (await owners(maps)).count(key) != count:
            await asyncio.sleep(0.005)


async def owners(maps: Keys) -> list[str]:
    entry = await maps.get(ACTOR)
    return [] if entry is None else [part.strip(' "{}') for part in entry.value.decode().replace(",", ":").split(":")[1::2]]


@pytest.mark.long
async def test_a_host_that_is_killed_is_replaced_before_its_lease_is_over(server: Server, maps: Keys) -> None:
    async with somebody(server.url, "a", Served()) as left, lone_host(server.url, "z") as process:
        await owned_by(maps, "one.z", 8)
        while not left.membership.sure() or not left.membership.is_steady():
            await asyncio.sleep(0.05)
        with capture_logs() as logs:
            process.kill()
            await calm(left)

    assert [log["lease"] for log in logs if log["event"] == "host.died"] == ["one.z"]  # nobody says so when a lease has run out


@pytest.mark.long
async def test_a_halted_host_is_replaced_when_its_lease_is_over_and_has_lost_everything_when_it_wakes(server: Server, maps: Keys) -> None:
    async with somebody(server.url, "a", Served()) as left, lone_host(server.url, "z") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdout.readline()
        await owned_by(maps, "one.z", 8)
        lost = next(iter(EVERYTHING - left.share.owned))
        process.stdin.write(f"{lost}\n".encode())
        assert await process.stdout.readline() == b"held\n"

        process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        await calm(left)
        took = time.monotonic() - begun
        process.stdin.write(f"{lost}\n".encode())
        process.send_signal(signal.SIGCONT)
        said = await process.stdout.readline()

    assert took > 1
    assert said == b"lost\n"


@pytest.mark.long
async def test_a_host_that_is_cut_off_is_sure_of_nothing_before_another_takes_its_place(server: Server, maps: Keys) -> None:
    way = Way(server.url)
    await way.mend()
    async with somebody(server.url, "a", Served()) as left, somebody(way.url, "z", Served()) as away:
        await calm(left, away)
        lost = next(iter(away.share.owned))
        term = away.share.terms[lost]
        while not left.membership.is_steady():
            await asyncio.sleep(0.05)

        with capture_logs() as logs:
            await way.cut()
            async with asyncio.timeout(15):
                while left.share.owned != EVERYTHING:
                    await asyncio.sleep(0.005)
        sure = away.membership.sure()
        async with asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(expect_lost(away.share.hold(lost, MARGIN, term)))
            await way.mend()
            await holding
        await calm(left, away)
    await way.cut()

    assert [log["lease"] for log in logs if log["event"] == "host.died"] == [away.key]  # nobody says so when a lease has run out
    assert not sure


async def expect_lost(holding: object) -> None:
    with pytest.raises(LostRace):
        await holding  # type: ignore[misc]


@pytest.mark.long
async def test_a_restart_of_the_server_moves_no_partition(server: Server, maps: Keys) -> None:
    served = Served()
    async with somebody(server.url, "a", served) as first, somebody(server.url, "b", served) as second:
        await calm(first, second)
        before = first.share.owned, second.share.owned
        moves: list[Mapping[str, frozenset[int]]] = []

        await server.restart()
        async with asyncio.timeout(8):
            for host in (first, second):
                await host.share.hold(min(host.share.owned), MARGIN)
                moves.append({host.key: host.share.owned})
        await calm(first, second)

        assert (first.share.owned, second.share.owned) == before
    assert served.twice == []


async def test_a_lease_that_is_deleted_by_hand_comes_back_and_claims_anew(server: Server, connection: Connection, maps: Keys) -> None:
    leases = Keys(connection, NAMES.instances)
    async with somebody(server.url, "a", Served()) as host:
        await calm(host)
        claimed = await maps.get(ACTOR)
        entry = await leases.get(host.key)
        while entry is None or not await leases.delete(host.key, entry.revision):  # it may be renewed at this very moment
            entry = await leases.get(host.key)
        async with asyncio.timeout(8):
            while host.membership.generation < 2:
                await asyncio.sleep(0.005)
            await host.share.hold(3, MARGIN)

        again = await maps.get(ACTOR)
        assert claimed is not None
        assert again is not None
        assert again.revision > claimed.revision
        assert again.value == claimed.value


async def test_after_all_leases_ran_out_the_first_that_is_back_leaves_the_others_their_partitions(
    server: Server, connection: Connection, maps: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.membership.STEADY", 5.0)
    leases, way, served = Keys(connection, NAMES.instances), Way(server.url), Served()
    await way.mend()
    async with somebody(server.url, "a", served) as first, somebody(way.url, "z", served) as second:
        await calm(first, second)
        before = first.share.owned, second.share.owned

        await way.cut()
        await expire(leases, first.key)
        async with asyncio.timeout(8):
            while first.membership.generation < 2:
                await asyncio.sleep(0.005)
            await expire(leases, second.key)
            while second.key in first.membership.members:
                await asyncio.sleep(0.005)
        await way.mend()
        async with asyncio.timeout(8):
            while second.membership.generation < 2:
                await asyncio.sleep(0.005)
        await calm(first, second)

        assert (first.share.owned, second.share.owned) == before
    await way.cut()
    assert served.twice == []


async def expire(leases: Keys, key: str) -> None:
    """As if its time were over."""
    while (entry := await leases.get(key)) is not None:
        await leases.delete(key, entry.revision)


@pytest.mark.long
async def test_who_holds_waits_while_the_server_is_away(server: Server, maps: Keys) -> None:
    async with somebody(server.url, "a", Served()) as host, asyncio.TaskGroup() as tasks:
        await calm(host)
        await server.stop()
        while host.membership.sure(MARGIN):
            await asyncio.sleep(0.01)
        holding = tasks.create_task(host.share.hold(3, MARGIN))
        await asyncio.wait([holding], timeout=0.3)
        waited = not holding.done()
        await server.restart()
        async with asyncio.timeout(8):
            await holding

    assert waited
