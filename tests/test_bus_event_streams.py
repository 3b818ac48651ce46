"""Reading a system's service events in order, and knowing through which instant."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from nats.js.api import StreamConfig

from bus.cancelling import end
from bus.connection import Connection
from bus.event_streams import Deliver, EventStreams, Following, read_event
from bus.reading import Stored
from messages.claims import ServiceEvent
from messages.correlations import Unreadable

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
SUBJECT = "trading.events.>"


class Heard:
    """What was delivered."""

    def __init__(self) -> None:
        self.events: list[ServiceEvent] = []
        self.unreadable = 0

    def __call__(self, at: datetime, event: ServiceEvent | Unreadable) -> None:
        del at
        if isinstance(event, Unreadable):
            self.unreadable += 1
        else:
            self.events.append(event)

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]


def stored(data: bytes, headers: dict[str, str] | None = None) -> Stored:
    return Stored("trading.events.x", data, headers or {}, 1, LONG_AGO, 0)


def body(name: str, type_: str = "order.filled") -> bytes:
    return json.dumps({"specversion": "1.0", "id": name, "source": "engine", "type": type_, "data": {"n": 1}}).encode()


async def say(connection: Connection, *names: str, subject: str = "trading.events.engine.x") -> None:
    for name in names:
        await connection.js.publish(subject, body(name))


async def since(connection: Connection) -> datetime:
    """An instant after which the next message is stored."""
    await connection.js.add_stream(StreamConfig(name="CLOCK", subjects=["clock"]))
    await connection.js.publish("clock", b"")
    found = await connection.js.get_last_msg("CLOCK", "clock")
    assert found.time is not None
    return found.time


@asynccontextmanager
async def following(
    connection: Connection, heard: Deliver, start: datetime = LONG_AGO, *subjects: str, known: int | None = None
) -> AsyncIterator[Following]:
    found = await EventStreams(connection).follow("trading", subjects or (SUBJECT,), start, heard, known=known)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(found.run())
        yield found
        await end([task])


async def test_a_stream_is_made_before_anything_is_read(connection: Connection) -> None:
    await EventStreams(connection).prepare("trading", (SUBJECT,))
    await say(connection, "a")
    heard = Heard()

    async with following(connection, heard) as found:
        await found.look(LONG_AGO)

    assert heard.ids == ["a"]


async def test_a_look_returns_when_everything_stored_before_it_was_delivered(connection: Connection) -> None:
    heard = Heard()
    async with following(connection, heard) as found:
        for n in range(5):
            await say(connection, *(f"{n}.{m}" for m in range(20)))

            look = await found.look(LONG_AGO)

            assert len(heard.events) == 20 * (n + 1)
            assert look.through == 20 * (n + 1)


async def test_what_a_look_says_is_passed_was_passed_before_it_asked(connection: Connection) -> None:
    heard = Heard()
    async with following(connection, heard) as found:
        first, second = await found.look(LONG_AGO), await found.look(LONG_AGO)
        await say(connection, "a")
        third = await found.look(LONG_AGO)

    assert first.until == LONG_AGO
    assert LONG_AGO < second.until < third.until
    assert heard.events[0].at >= second.until


async def test_a_silent_stream_is_passed_at_once(connection: Connection) -> None:
    await EventStreams(connection).prepare("trading", (SUBJECT,))
    await say(connection, "old")
    start = await since(connection)
    heard = Heard()
    async with following(connection, heard, start) as found, asyncio.timeout(5):
        look = await found.look(start)

    assert look.until == start
    assert heard.ids == []


async def test_other_traffic_on_a_foreign_stream_does_not_hold_it_up(connection: Connection) -> None:
    await connection.js.add_stream(StreamConfig(name="WIDE", subjects=["trading.>"]))
    await say(connection, "a")
    await say(connection, "noise", subject="trading.noise")
    heard = Heard()

    async with following(connection, heard) as found, asyncio.timeout(5):
        look = await found.look(LONG_AGO)

    assert heard.ids == ["a"]
    assert look.through == 2


async def test_two_subjects_in_two_streams_and_one_that_covers_another_are_read(connection: Connection) -> None:
    await connection.js.add_stream(StreamConfig(name="ONE", subjects=["one.>"]))
    heard = Heard()
    async with following(connection, heard, LONG_AGO, "one.a", "one.>", "two.x") as found:
        await say(connection, "1", subject="one.a")
        await say(connection, "2", subject="two.x")
        await found.look(LONG_AGO)

    assert sorted(heard.ids) == ["1", "2"]


async def test_what_was_purged_before_it_was_read_is_lost_and_what_was_read_is_not(connection: Connection) -> None:
    streams = EventStreams(connection)
    await streams.prepare("trading", (SUBJECT,))
    start = await since(connection)
    await say(connection, "a", "b", "c")
    heard = Heard()
    async with following(connection, heard, start) as found:
        await found.look(start)
        await connection.js.purge_stream("AUDIT-trading")
        await say(connection, "d")
        assert (await found.look(start)).lost == ()

    async with following(connection, Heard(), start, known=0) as again:
        look = await again.look(start)

    assert len(look.lost) == 1
    assert look.lost[0].start == start


async def test_coming_back_to_a_stream_that_has_everything_is_no_loss(connection: Connection) -> None:
    await EventStreams(connection).prepare("trading", (SUBJECT,))
    await say(connection, "before")
    await connection.js.purge_stream("AUDIT-trading")
    start = await since(connection)
    await say(connection, "a")
    heard = Heard()

    async with following(connection, heard, start, known=1) as found:
        look = await found.look(start)

    assert look.lost == ()
    assert heard.ids == ["a"]


async def test_a_reader_that_has_much_to_read_lets_others_run(connection: Connection) -> None:
    await EventStreams(connection).prepare("trading", (SUBJECT,))
    for n in range(3000):
        await connection.nc.publish("trading.events.engine.x", body(str(n)))
    await connection.nc.flush()
    heard, seen, most = Heard(), 0, 0

    def slow(at: datetime, event: ServiceEvent | Unreadable) -> None:
        until = time.perf_counter() + 0.0001
        while time.perf_counter() < until:
            heard.unreadable += isinstance(event, Unreadable)
        heard(at, event)

    async with following(connection, slow):
        while seen < 3000:
            await asyncio.sleep(0)
            most, seen = max(most, len(heard.events) - seen), len(heard.events)

    assert most <= 100


def test_structured_and_binary_events_are_read_alike() -> None:
    structured = read_event(stored(body("a")))
    headers = {"ce-id": "a", "ce-source": "engine", "ce-type": "order.filled", "ce-specversion": "1.0"}
    binary = read_event(stored(b'{"n": 1}', headers))

    assert isinstance(structured, ServiceEvent)
    assert isinstance(binary, ServiceEvent)
    assert (binary.id, binary.type, binary.source) == (structured.id, structured.type, structured.source)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[1]",
        b"3",
        b"{}",
        b'{"id": "a", "type": "b"}',
        b'{"id": 1, "type": "b", "source": "c"}',
        b'{"id": "\\ud800", "type": "b", "source": "c"}',
        b'{"id": "' + b"x" * 600 + b'", "type": "b", "source": "c"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_cloud_event_is_none(data: bytes) -> None:
    found = read_event(stored(data))

    assert isinstance(found, Unreadable)
    assert len(found.text) <= 200


def test_binary_data_that_is_no_json_is_text() -> None:
    found = read_event(stored(b"plain", {"CE-Id": "a", "CE-Source": "s", "CE-Type": "t"}))

    assert found is not None
    assert timedelta() == found.at - LONG_AGO
