import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from bus.cancelling import end
from bus.connection import Connection, connect
from bus.errors import NameTaken, NoAnswer
from bus.identity import Instance
from bus.keys import Entry, Keys
from bus.membership import TTL, Member, Membership
from bus.server import Server
from bus.subjects import Subjects
from bus.topology import ensure_topology
from tests.hosts import NAMES, Way, lone_host


@pytest.fixture
async def leases(connection: Connection) -> Keys:
    await ensure_topology(connection.js, "ns")
    return Keys(connection, NAMES.instances)


def member(name: str, **derived: str) -> Member:
    return Member(host=name, instance=f"instance-{name}", derived=derived)


@asynccontextmanager
async def joined(
    url: str, name: str, describe: Callable[[], Member] | None = None, *, keys: Callable[[Connection, str], Keys] = Keys
) -> AsyncIterator[Membership]:
    """A host that is there, with a connection of its own."""
    async with connect(url, name=name) as connection, asyncio.TaskGroup() as tasks:
        here = Membership(connection, Subjects("ns"), keys(connection, NAMES.instances), f"one.{name}", describe or (lambda: member(name)))
        working = tasks.create_task(here.run())
        try:
            async with asyncio.timeout(15):
                await here.seen.wait()
            yield here
        finally:
            await end([working])


async def until(fact: Callable[[], bool], limit: float = 15.0) -> float:
    """Wait for it; the seconds that it took."""
    begun = time.monotonic()
    async with asyncio.timeout(limit):
        while not fact():
            await asyncio.sleep(0.005)
    return time.monotonic() - begun


async def test_who_comes_is_seen_and_who_leaves_is_gone_at_once(server: Server, leases: Keys) -> None:
    async with joined(server.url, "a") as first:
        async with joined(server.url, "b") as second:
            await until(lambda: first.members.keys() == second.members.keys() == {"one.a", "one.b"})
        took = await until(lambda: "one.b" not in first.members)

    assert took < 1.5  # by its lease it would be 1.6 to 2
    assert await leases.get("one.a") is None


async def test_what_a_host_says_of_itself_is_told_before_its_lease_is_renewed(
    server: Server, leases: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.membership.RENEW", 60.0)
    said = member("b")
    async with joined(server.url, "a") as first, joined(server.url, "b", lambda: said):
        await until(lambda: "one.b" in first.members)

        said = said.model_copy(update={"offers": {"reporter": "0-3"}})
        await until(lambda: first.members["one.b"].offers == {"reporter": "0-3"})


@pytest.mark.long
async def test_a_host_that_is_killed_is_gone_before_its_lease_is_over(server: Server, leases: Keys) -> None:
    async with joined(server.url, "a") as left, lone_host(server.url, "z") as process:
        await until(lambda: "one.z" in left.members and left.is_steady())
        with capture_logs() as logs:
            process.kill()
            await until(lambda: "one.z" not in left.members)

    assert [log["lease"] for log in logs if log["event"] == "host.died"] == ["one.z"]  # nobody says so when a lease has run out


@pytest.mark.long
async def test_a_host_whose_lease_went_unnoticed_is_gone_as_soon_as_it_does_not_answer(server: Server, leases: Keys) -> None:
    async with joined(server.url, "a") as left:
        left._learn("one.z", member("z").model_dump_json().encode(), 1)
        await until(left.is_steady)
        await until(lambda: "one.z" not in left.members)


async def test_a_host_is_not_sure_of_its_lease_when_its_machine_was_suspended(
    server: Server, leases: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only this clock goes on meanwhile."""
    read = time.clock_gettime
    async with joined(server.url, "a") as here:
        before = here.sure()
        monkeypatch.setattr(time, "clock_gettime", lambda clock: read(clock) + 3 * (clock == time.CLOCK_BOOTTIME))
        after = here.sure()
        await until(here.sure)

    assert (before, after) == (True, False)


@pytest.mark.long
async def test_nobody_is_called_dead_over_an_outage_of_the_server(server: Server, leases: Keys) -> None:
    async with joined(server.url, "a") as first, joined(server.url, "b") as second:
        await until(lambda: first.is_steady() and second.is_steady() and len(first.members) == len(second.members) == 2)

        await server.restart()
        await until(lambda: first.is_steady() and second.is_steady())
        await until(lambda: first.sure(1) and second.sure(1))

        assert first.members.keys() == second.members.keys() == {"one.a", "one.b"}
        assert (first.generation, second.generation) == (1, 1)


async def test_a_host_is_not_sure_of_its_lease_once_its_connection_broke_until_it_is_renewed(server: Server, leases: Keys) -> None:
    way = Way(server.url)
    await way.mend()
    async with joined(way.url, "a") as here:
        before = here.sure(1)
        await way.cut()
        took = await until(lambda: not here.sure())
        await way.mend()
        await until(lambda: here.sure(1))
    await way.cut()

    assert before
    assert took < 1  # by its lease it would be 1.6 to 2


async def test_a_lease_that_was_taken_away_comes_back_as_another_generation(server: Server, leases: Keys) -> None:
    async with joined(server.url, "a") as here:
        while (entry := await leases.get(here.key)) is not None and not await leases.delete(here.key, entry.revision):
            pass
        await until(lambda: here.generation == 2)
        await until(here.sure)

    assert await leases.get(here.key) is None


def test_no_two_instances_have_one_derived_name_unless_they_differ_only_in_case(connection: Connection) -> None:
    here = Membership(connection, Subjects("ns"), Keys(connection, NAMES.instances), "x", lambda: member("x"))
    ours, singleton, theirs = Instance(name="test"), Instance(), Instance(name="test-coordinator-Chaos1")
    for number, there in enumerate((singleton, theirs)):
        here.members[str(number)] = Member(host="h", instance=there.name, derived=there.derived)

    with pytest.raises(NameTaken, match=r"'test': its PostgreSQL schema would be test, which is that of the instance 'test-coordinator'"):
        here.check_names(ours.name, ours.derived)
    here.check_names("test-coordinator-chaos1", theirs.derived)
    here.check_names("TEST-COORDINATOR", Instance(name="TEST-COORDINATOR").derived)


class Grave:
    """What a neighbour does to a lease between two looks of its host."""

    def __init__(self) -> None:
        self.dug = self.used = False
        self.asked, self.go = asyncio.Event(), asyncio.Event()


class Buried(Keys):
    """A lease that is looked at is buried; of the first attempt to take a new one somebody else is ahead, for a moment."""

    def __init__(self, connection: Connection, bucket: str, grave: Grave) -> None:
        super().__init__(connection, bucket)
        self._grave = grave

    async def get(self, key: str) -> Entry | None:
        found = await super().get(key)
        if self._grave.dug and found is not None:
            await super().delete(key, found.revision)
            self._grave.used = True
        return found

    async def create_lease(self, key: str, value: bytes, ttl: timedelta) -> int | None:
        if not self._grave.used:
            return await super().create_lease(key, value, ttl)
        self._grave.used = self._grave.dug = False
        self._grave.asked.set()
        await self._grave.go.wait()
        ahead = await super().create_lease(key, b"{}", ttl) or 0
        taken = await super().create_lease(key, value, ttl)
        await super().delete(key, ahead)
        return taken


async def test_a_host_whose_lease_was_buried_as_it_looked_at_it_is_not_sure_before_it_has_another(
    server: Server, leases: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    grave, unknown = Grave(), None
    async with joined(server.url, "a", keys=lambda connection, bucket: Buried(connection, bucket, grave)) as here:
        await until(here.sure)
        grave.dug = True
        while unknown is None:  # it may be renewed at this very moment
            entry = await leases.get(here.key)
            unknown = await leases.put_lease(here.key, b"{}", TTL, entry.revision if entry is not None else 0)
        await until(lambda: grave.used)
        with monkeypatch.context() as patched:
            patched.setattr("bus.membership.RENEW", 60.0)  # so that only who knows that it has no lease looks again
            async with asyncio.timeout(8):
                await grave.asked.wait()
        sure, generation = here.sure(), here.generation
        grave.go.set()
        await until(lambda: here.sure(1))

        assert (sure, generation) == (False, 1)
        assert here.generation == 2


class Unanswered(Keys):
    """Of the first lease that is taken nobody says so."""

    told = True

    async def create_lease(self, key: str, value: bytes, ttl: timedelta) -> int | None:
        taken = await super().create_lease(key, value, ttl)
        if self.told:
            self.told = False
            raise NoAnswer(key)
        return taken


async def test_a_lease_that_was_taken_without_an_answer_counts_once_it_is_found(server: Server, leases: Keys) -> None:
    async with joined(server.url, "a", keys=Unanswered) as here:
        assert here.generation == 1
