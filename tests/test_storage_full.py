"""A server without room: nothing that was acknowledged is lost, what waits goes on when there is room, and everybody is told why not."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import structlog.testing
from nats.js.errors import APIError

from actors.control import Acceptance, Control
from bus.archive import Archive
from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.control import ControlClient, serve_control
from bus.errors import StorageFull, Unreachable
from bus.journal import Journal
from bus.keys import Keys
from bus.server import find_binary
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from cli.errors import Exit
from cli.failing import told
from deploy.host import Plan, host
from deploy.settings import read_settings
from messages.control import SubmitRequest
from messages.run_events import AbortRequested, PhaseStarted
from messages.system import System

NAMESPACE = "ns"
TINY = System.model_validate_json('{"metadata": {"name": "tiny"}, "spec": {"services": {"one": {"driver": {"external": {}}}}}}')
SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: quiet}
spec: {system: tiny, phases: [{name: calm, duration: 1s, assertions: [{type: event, where: "true"}]}]}
"""
LIMITS = {
    "server": ("max_file_store: 400000", "", r"insufficient resources \(JetStream error 10023\); raise max_file_store"),
    "account": (
        "",
        'accounts { A { jetstream { max_file: 400000 }, users: [{user: a, password: a}] } }\nno_auth_user: "a"',
        r"resource limits exceeded for account \(JetStream error 10002\); raise the account's max_file",
    ),
}


class Bus:
    """A journal on a server that has little room."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())

    async def write(self, name: str) -> int:
        return await self.journal.write(0, "r", "scheduler", PhaseStarted(phase=name, kind="phase"), None, None)

    async def write_on(self, written: list[int]) -> None:
        """Large lines of one run after the other, without end."""
        large = AbortRequested(principal="ann", message="x" * 100_000)
        while True:
            writing = self.journal.write(0, f"s{len(written)}", "control", large, None, None)
            written.append(await self.journal.room.within(writing))

    async def fill(self) -> None:
        """Let others take all the room there is."""
        await self.connection.js.add_stream(name="OTHERS", subjects=["others"])
        for size in (20_000, 1_000, 10):
            with pytest.raises(APIError):
                await self._publish_on(size)

    async def _publish_on(self, size: int) -> None:
        while True:
            await self.connection.js.publish("others", bytes(size))

    async def make_room(self) -> None:
        await self.connection.js.delete_stream("OTHERS")

    async def until_in_trouble(self) -> str:
        async with asyncio.timeout(20):
            while self.journal.room.trouble is None:
                await asyncio.sleep(0.02)
        return self.journal.room.trouble


@asynccontextmanager
async def server(folder: Path, port: int, limit: str, accounts: str = "") -> AsyncIterator[Connection]:
    store = f'store_dir: "{folder / "js"}"\n max_memory_store: 100000000\n {limit}'
    (folder / "conf").write_text(f"listen: 127.0.0.1:{port}\njetstream {{\n {store}\n}}\n{accounts}\n")
    with (folder / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(str(find_binary()), "-c", str(folder / "conf"), stdout=log, stderr=log)
    try:
        async with AsyncExitStack() as stack:
            yield await _connected(f"nats://127.0.0.1:{port}", stack)
    finally:
        process.terminate()
        await process.wait()


async def _connected(url: str, stack: AsyncExitStack) -> Connection:
    async with asyncio.timeout(10):
        while True:
            try:
                return await stack.enter_async_context(connect(url, name="test"))
            except Unreachable:
                await asyncio.sleep(0.02)


@pytest.fixture(params=LIMITS)
async def full(request: pytest.FixtureRequest, tmp_path: Path, unused_port: Callable[[], int]) -> AsyncIterator[tuple[Bus, str]]:
    """A bus without room, and what is said about it."""
    limit, accounts, said = LIMITS[request.param]
    async with server(tmp_path, unused_port(), limit, accounts) as connection:
        await ensure_topology(connection.js, NAMESPACE)
        bus = Bus(connection)
        await bus.journal.last_sequence()
        yield bus, said


async def test_a_write_waits_for_room_says_so_once_and_nothing_is_lost(full: tuple[Bus, str]) -> None:
    bus, said = full
    before = [await bus.write(f"p{number}") for number in range(3)]
    await bus.fill()

    with structlog.testing.capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(bus.write(f"q{number}")) for number in range(3)]
            trouble = await bus.until_in_trouble()
            await bus.make_room()
    after = [task.result() for task in waiting]

    assert re.fullmatch(f"stream ns-RUNS stores nothing more: {said}.*", trouble)
    assert bus.journal.room.trouble is None
    assert [line["event"] for line in logs] == ["journal.full", "journal.stored_again"]
    assert [line.sequence for line in await Archive(bus.journal).read("r")] == [*before, *sorted(after)] == [1, 2, 3, 4, 5, 6]


async def test_a_timer_waits_for_room_too(full: tuple[Bus, str]) -> None:
    bus, _said = full
    subjects = bus.journal.subjects
    timer, due = subjects.timer(0, "r", "chaos-injector", "f"), subjects.timer_due(0, "r", "chaos-injector", "f")
    await bus.fill()

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(bus.journal.schedule(timer, due, bus.journal.clock.now() + timedelta(hours=1), b"", 0))
        await bus.until_in_trouble()
        await bus.make_room()

    assert waiting.result() == 1


@pytest.mark.long
async def test_who_submits_is_told_that_there_is_no_room(full: tuple[Bus, str], capsys: pytest.CaptureFixture[str]) -> None:
    bus, said = full
    await bus.fill()
    acceptance = Acceptance({"tiny": TINY}, allow_systems=False)
    control = Control(bus.connection, bus.journal, acceptance, Keys(bus.connection, Names(NAMESPACE).systems))
    client = ControlClient(bus.connection, bus.journal.subjects, "ann")

    async with serve_control(bus.connection, bus.journal.subjects, "0.1.0", control.verbs()):
        with pytest.raises(StorageFull, match=said) as refused:
            await client.submit(SubmitRequest(document=SCENARIO))

        await bus.make_room()
        reply = await client.submit(SubmitRequest(document=SCENARIO))

    assert reply.run_id is not None
    assert told(refused.value) == Exit.UNREACHABLE
    first, second = capsys.readouterr().err.splitlines()[-2:]
    assert "stream ns-RUNS stores nothing more" in first
    assert "raise" in second


@pytest.mark.long
async def test_a_host_that_cannot_write_is_not_ready_and_says_why(full: tuple[Bus, str]) -> None:
    bus, said = full
    async with host(read_settings(namespace=NAMESPACE), bus.connection.url, Plan(systems={"tiny": TINY})) as running:
        await running.ready()
        before = dict(running.checks())
        await bus.fill()

        with pytest.raises(StorageFull):
            await running.control.submit(SubmitRequest(document=SCENARIO))

        assert "storage" not in before
        assert re.search(said, running.checks()["storage"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a file system of its own needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.long
async def test_on_a_full_disk_what_was_acknowledged_is_there_and_a_restart_with_room_takes_more(
    small_disk: Path, unused_port: Callable[[], int]
) -> None:
    port, limit = unused_port(), "max_file_store: 1000000000"
    async with server(small_disk, port, limit) as connection:
        await connection.js.add_stream(name=Names(NAMESPACE).runs, subjects=[f"{NAMESPACE}.run.>"], allow_direct=True)
        bus = Bus(connection)
        await bus.journal.last_sequence()
        written: list[int] = []
        with pytest.raises(StorageFull, match="its server answers, but not to writes"):
            await bus.write_on(written)
        lines = [line for number in range(len(written)) for line in await Archive(bus.journal).read(f"s{number}")]
        assert [line.sequence for line in lines] == written

    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    async with server(small_disk, port, limit) as connection:
        bus = Bus(connection)
        assert await bus.journal.last_sequence() == written[-1]
        assert await bus.write("p1") == written[-1] + 1
