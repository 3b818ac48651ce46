"""What somebody who waits for a write is told when there is no room for it."""

import asyncio

import pytest
from nats.js.errors import ServiceUnavailableError

from bus.connection import Connection
from bus.errors import NoAnswer, StorageFull
from bus.room import Room

FULL = ServiceUnavailableError(code=503, err_code=10023, description="insufficient resources")
EITHER = r"\. What was asked may have been done or not: look before you repeat it$"


async def test_a_write_without_an_answer_may_have_been_stored_though_there_is_no_room(connection: Connection) -> None:
    room = Room(connection, "ns-RUNS")
    with pytest.raises(NoAnswer):
        await room.within(asyncio.Event().wait(), limit=0.01)
    await room.wait(FULL, 0)

    with pytest.raises(StorageFull, match=f"insufficient resources .*{EITHER}"):
        await room.within(asyncio.Event().wait(), limit=0.01)


async def test_a_write_that_was_refused_was_not_done(connection: Connection) -> None:
    async def refused() -> None:
        raise FULL

    with pytest.raises(StorageFull, match=r"or shorten RETENTION$"):
        await Room(connection, "ns-RUNS").within(refused())
