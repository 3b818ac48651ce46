import asyncio

import pytest
from nats.aio.msg import Msg

from bus.connection import Connection
from bus.reading import DeliveryFailed, OrderedReader, Stored


class Lossy(OrderedReader):
    """Loses the fourth message on its way, as a connection does that breaks."""

    lost = False

    async def _on_message(self, message: Msg) -> None:
        if message.subject == "s.4" and not self.lost:
            self.lost = True
            return
        await super()._on_message(message)


async def filled(connection: Connection, count: int) -> None:
    await connection.js.add_stream(name="S", subjects=["s.*"])
    for number in range(1, count + 1):
        await connection.js.publish(f"s.{number}", b"")


async def test_a_message_that_was_lost_on_the_way_is_read_again_before_those_behind_it(connection: Connection) -> None:
    await filled(connection, 10)
    seen: list[str] = []
    done = asyncio.Event()

    def take(stored: Stored) -> None:
        seen.append(stored.subject)
        if stored.sequence == 10:
            done.set()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(Lossy(connection, "S", ["s.*"], take).run())
        await done.wait()
        task.cancel()

    assert seen == [f"s.{number}" for number in range(1, 11)]


async def test_a_message_that_cannot_be_taken_in_ends_the_reader_and_is_not_passed_over(connection: Connection) -> None:
    await filled(connection, 5)
    seen: list[int] = []

    def take(stored: Stored) -> None:
        if stored.sequence == 3:
            raise ValueError
        seen.append(stored.sequence)

    reader = OrderedReader(connection, "S", ["s.*"], take)
    with pytest.raises(DeliveryFailed):
        await reader.run()

    assert seen == [1, 2]
    assert reader.sequence == 2
