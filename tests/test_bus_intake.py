import asyncio
from collections.abc import Callable

import pytest
from nats.aio.msg import Msg

from bus.cancelling import end
from bus.clock import ServerClock
from bus.connection import connect
from bus.intake import SPEED, SYSTEM, VARIABLES, Intake, Submission
from bus.journal import Journal, Line
from bus.server import Server
from bus.share import Share
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from messages.run_events import RunAccepted
from tests.test_bus_runtime import accepted

NS = "test-coordinator"


class Accepting:
    """Accepts everything, and tells of each before it does."""

    def __init__(self, told: Callable[[int], None]) -> None:
        self._told = told
        self._seen = 0

    def accept(self, submission: Submission) -> RunAccepted:
        self._seen += 1
        self._told(self._seen)
        return accepted().model_copy(update={"key": submission.text.decode()})


class Lying:
    """Accepts everything, one of them as a run that cannot be written down."""

    def accept(self, submission: Submission) -> RunAccepted:
        whole = accepted().model_copy(update={"key": submission.text.decode()})
        return whole.model_copy(update={"submitted": object()}) if submission.text == b"bad" else whole


@pytest.mark.parametrize(
    ("headers", "text", "becomes"),
    [
        pytest.param({VARIABLES: "[" * 3000}, b"deep", ["deep", "good"], id="a header nested too deep"),
        pytest.param({SPEED: "nan", SYSTEM: "x" * 9000}, b"long", ["long", "good"], id="headers that say nothing"),
        pytest.param({}, b"bad", ["good"], id="handling that fails", marks=pytest.mark.long),
    ],
)
async def test_a_scenario_that_cannot_be_handled_keeps_no_other_waiting(
    server: Server, headers: dict[str, str], text: bytes, becomes: list[str]
) -> None:
    begun: list[str] = []
    rejected: asyncio.Queue[str] = asyncio.Queue()
    there = asyncio.Event()

    def deliver(line: Line) -> None:
        if isinstance(line.event, RunAccepted):
            begun.append(line.event.key)
            if line.event.key == "good":
                there.set()

    async def refused(message: Msg) -> None:
        rejected.put_nowait(message.data.decode())

    async with connect(server.url, name="one") as one, asyncio.TaskGroup() as tasks:
        await ensure_topology(one.js, NS)
        journal = Journal(one, Subjects(NS), Names(NS).runs, ServerClock())
        await journal.last_sequence()
        await one.nc.subscribe(f"{NS}.rejected.>", cb=refused)
        await one.js.publish(f"{NS}.scenarios.k", text, headers=headers)
        await one.js.publish(f"{NS}.scenarios.k", b"good")
        share = Share.of_everything()
        share.serve(share.owned)
        intake = tasks.create_task(Intake(one, journal, Lying(), share).run())
        reader = tasks.create_task(journal.follow(0, deliver).run())
        async with asyncio.timeout(30):
            await there.wait()
        await end([intake, reader])

    assert begun == becomes
    assert rejected.qsize() == 2 - len(becomes)


@pytest.mark.long
async def test_runs_of_one_key_begin_in_order_though_the_host_that_takes_them_dies_between_two(server: Server) -> None:
    begun: list[str] = []
    all_there, died = asyncio.Event(), asyncio.Event()

    def deliver(line: Line) -> None:
        if isinstance(line.event, RunAccepted):
            begun.append(line.event.key)
        if len(begun) == 6:
            all_there.set()

    def die(seen: int) -> None:
        if seen == 2:
            first.cancel()
            died.set()
            raise asyncio.CancelledError

    async with connect(server.url, name="one") as one, connect(server.url, name="two") as two, asyncio.TaskGroup() as tasks:
        await ensure_topology(one.js, NS)
        journals = [Journal(connection, Subjects(NS), Names(NS).runs, ServerClock()) for connection in (one, two)]
        for journal in journals:
            await journal.last_sequence()
        for number in range(6):
            await one.js.publish(f"{NS}.scenarios.k", f"k{number}".encode())
        shares = [Share.of_everything() for _ in journals]
        for share in shares:
            share.serve(share.owned)
        first = tasks.create_task(Intake(one, journals[0], Accepting(die), shares[0]).run())
        reader = tasks.create_task(journals[1].follow(0, deliver).run())
        await died.wait()
        second = tasks.create_task(Intake(two, journals[1], Accepting(lambda _: None), shares[1]).run())
        async with asyncio.timeout(10):
            await all_there.wait()
        await end([first, second, reader])

    assert begun == [f"k{number}" for number in range(6)]
