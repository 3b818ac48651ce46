import asyncio
import json

import pytest
from nats.aio.msg import Msg

from bus.clock import ServerClock
from bus.connection import Connection
from bus.errors import NoAnswer
from bus.journal import Journal, Line
from bus.reading import OrderedReader
from bus.subjects import Subjects, partition_of
from bus.topology import Names, ensure_topology
from messages.fault_events import ActionDone
from messages.ids import new_run_id

NAMESPACE = "test-coordinator"


@pytest.fixture
async def journal(connection: Connection) -> Journal:
    await ensure_topology(connection.js, NAMESPACE)
    journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
    await journal.last_sequence()
    return journal


async def written(journal: Journal, count: int) -> str:
    """A run of so many lines."""
    run = new_run_id(journal.clock.now())
    for number in range(count):
        await journal.write(partition_of("k"), run, "chaos-injector", ActionDone(action_id=str(number)), None, None)
    return run


async def read(journal: Journal, *runs: str) -> list[Line]:
    found: list[Line] = []
    last = await journal.last_sequence()
    async with asyncio.timeout(8):
        await journal.read_runs(runs, last, found.append)
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 60])
async def test_runs_without_lines_are_read_to_their_end(journal: Journal, count: int) -> None:
    await written(journal, 1)

    assert await read(journal, *(new_run_id(journal.clock.now()) for _ in range(count))) == []


async def test_runs_are_read_in_stream_order_up_to_a_sequence(journal: Journal) -> None:
    first, second = await written(journal, 3), await written(journal, 2)
    found: list[Line] = []

    await journal.read_runs([second, first], 4, found.append)

    assert [(line.run, line.sequence) for line in found] == [(first, 1), (first, 2), (first, 3), (second, 4)]


@pytest.mark.parametrize("left", [0, 2])
async def test_lines_that_are_purged_while_they_are_read_are_not_waited_for(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """A consumer has counted what it is to send; then somebody archives the run."""
    runs = [await written(journal, 3), await written(journal, 3)]
    ask, purged = OrderedReader._ask, False

    async def purge(reader: OrderedReader) -> None:
        nonlocal purged
        if not purged:
            purged = True
            await journal.connection.js.purge_stream(journal.stream, subject=journal.subjects.of_run(runs[1]))
            if not left:
                await journal.connection.js.purge_stream(journal.stream, subject=journal.subjects.of_run(runs[0]))
        await ask(reader)

    monkeypatch.setattr(OrderedReader, "_ask", purge)
    await written(journal, 1)
    found = await read(journal, *runs)

    assert purged
    assert [line.run for line in found] == [runs[0]] * (3 if left else 0)


async def test_a_stream_that_cannot_say_which_runs_there_are_is_not_taken_for_an_empty_one(journal: Journal) -> None:
    """So it is answered while a cluster has no leader. No server answers for a name with a dot, so it is answered here."""

    async def answer(message: Msg) -> None:
        error = {"code": 503, "err_code": 10008, "description": "JetStream system temporarily unavailable"}
        await message.respond(json.dumps({"error": error}).encode())

    await journal.connection.nc.subscribe("$JS.API.STREAM.INFO.without.leader", cb=answer)
    without_leader = Journal(journal.connection, journal.subjects, "without.leader", ServerClock())

    with pytest.raises(NoAnswer, match="temporarily unavailable"):
        await without_leader.open_runs()
