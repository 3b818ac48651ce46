"""What a host owns when it does not know whether its map was written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from bus.cancelling import end
from bus.connection import Connection, connect
from bus.errors import NoAnswer
from bus.keys import Change, Keys
from bus.membership import Member, Membership
from bus.ownership import Ownership
from bus.server import Server
from bus.subjects import Subjects
from bus.topology import ensure_topology
from tests.hosts import ACTOR, EVERYTHING, NAMES, Served, Somebody, calm, somebody


class Muted(Keys):
    """A bucket that stores one write, now or later, and does not say so."""

    def __init__(self, connection: Connection, bucket: str) -> None:
        super().__init__(connection, bucket)
        self.late: Callable[[], object] | None = None
        self.told = asyncio.Event()
        """Changes are heard of."""
        self.told.set()
        self.mute = self.is_late = False
        self.unanswered: tuple[str, bytes, int] | None = None
        self.refused = 0

    async def put(self, key: str, value: bytes, last: int) -> int | None:
        if self.mute:
            self.mute = False
            self.told.clear()
            if not self.is_late:
                await super().put(key, value, last)
            self.unanswered = key, value, last
            raise NoAnswer(key)
        stored = await super().put(key, value, last)
        self.refused += stored is None
        return stored

    async def changes(self, pattern: str = ">") -> AsyncGenerator[Change | None, None]:
        async with aclosing(super().changes(pattern)) as changes:
            async for change in changes:
                await self.told.wait()
                yield change


@asynccontextmanager
async def muted(url: str, name: str, served: Served) -> AsyncIterator[tuple[Somebody, Muted]]:
    """A host whose map is kept in a `Muted` bucket."""
    member = Member(host=name, instance="one", offers={ACTOR: "auto"})
    async with connect(url, name=name) as connection, asyncio.TaskGroup() as tasks:
        membership = Membership(connection, Subjects("ns"), Keys(connection, NAMES.instances), f"one.{name}", lambda: member)
        maps = Muted(connection, NAMES.ownership)
        ownership = Ownership(membership, maps, (ACTOR,))
        here = Somebody(membership, ownership)
        working = [tasks.create_task(work) for work in (here.serve(served), membership.run(), ownership.run())]
        try:
            yield here, maps
        finally:
            await end(working)


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not fact():
            await asyncio.sleep(0.005)


def lose_sight(host: Somebody, other: Somebody) -> None:
    """As if the other's lease had ended."""
    host.membership._learn(other.key, None, 0)


@pytest.fixture
async def topology(connection: Connection) -> None:
    await ensure_topology(connection.js, "ns")


async def test_what_was_given_without_an_answer_is_not_taken_back(server: Server, topology: None) -> None:
    served = Served()
    async with muted(server.url, "a", served) as (first, maps):
        await calm(first)
        maps.mute = True
        async with somebody(server.url, "b", served) as second:
            await until(lambda: len(second.share.owned) == 8)
            lose_sight(first, second)
            await until(lambda: maps.refused or first.share.owned == EVERYTHING)
            owned = first.share.owned
            maps.told.set()
            await calm(first, second)

    assert len(owned) == 8
    assert served.twice == []


async def test_a_write_that_was_given_up_changes_nothing_when_it_comes_after_all(server: Server, topology: None) -> None:
    served = Served()
    async with muted(server.url, "a", served) as (first, maps):
        await calm(first)
        maps.mute = maps.is_late = True
        async with somebody(server.url, "b", served) as second:
            await until(lambda: maps.unanswered)
            lose_sight(first, second)
            await until(lambda: first.share.owned == EVERYTHING and first.membership.sure() and first.share._sure(0))
            assert maps.unanswered is not None
            stored = await Keys.put(maps, *maps.unanswered)
            maps.told.set()
            await calm(first, second)

    assert stored is None
    assert served.twice == []


async def test_what_was_anothers_in_between_is_taken_up_anew_though_nobody_said_that_it_was_taken(server: Server, topology: None) -> None:
    async with muted(server.url, "a", Served()) as (first, maps):
        await calm(first)
        terms, entry = dict(first.share.terms), await maps.get(ACTOR)
        assert entry is not None

        maps.mute = True
        theirs = entry.value.replace(b'"3": "one.a"', b'"3": "one.b"')
        await Keys.put(maps, ACTOR, theirs, entry.revision)
        await until(lambda: maps.unanswered)
        maps.told.set()
        await until(lambda: first.share.owned == EVERYTHING and first.share._sure(0))
        await calm(first)

        assert {partition for partition, term in first.share.terms.items() if term != terms[partition]} == {3}
