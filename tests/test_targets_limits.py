import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from messages.actions.limits import GroupUndo, LimitCpu, LimitFds, LimitFileSize, LimitMemory, ResourceUndo
from messages.identity import Identity
from messages.ids import new_run_id
from targets.errors import NotThere
from targets.group import members
from targets.identity import identify, is_alive
from targets.limits import GroupLimits, NothingToLower, ResourceLimits, need_of, supported
from targets.limits.hierarchy import home_of

SOON = timedelta(seconds=3)
SHORT = timedelta(milliseconds=100)
MIB = 2**20
resources = pytest.mark.skipif(supported("resource") is not None, reason=str(supported("resource")))
cpu_groups = pytest.mark.skipif(supported("cpu") is not None, reason=str(supported("cpu")))
memory_groups = pytest.mark.skipif(supported("memory") is not None, reason=str(supported("memory")))
WORKER = """
import os, resource, signal, subprocess, sys, time
forked = []
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    try:
        if word == "spin":
            end, n = time.monotonic() + float(rest), 0
            while time.monotonic() < end:
                n += sum(range(100)) > 0
            print(n)
        elif word == "allocate":
            block = bytearray(int(rest)); block[::4096] = b"x" * len(block[::4096]); del block
            print("allocated")
        elif word == "write":
            with open("/tmp/never" if not rest else rest, "wb") as file:
                file.write(b"x" * 65536)
            print("written")
        elif word == "fork":
            forked.append(subprocess.Popen(["sleep", "60"])); print(forked[-1].pid)
        elif word == "open":
            open(os.devnull).close()
            print("opened")
    except MemoryError:
        print("MemoryError")
    except OSError as error:
        print(error.strerror)
    sys.stdout.flush()
"""
SERVER = """
import select, socket, time
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
while select.select([listener], [], []):  # one that waits in accept(2) holds its descriptor already
    try:
        peer, _ = listener.accept()
    except OSError as error:
        time.sleep(0.005)
        continue
    peer.sendall(b"hello")
    peer.close()
"""
INJECTOR = """
import asyncio, sys
from messages.actions.limits import GroupUndo, ResourceUndo
from targets.limits import GroupLimits, ResourceLimits
kind, text = sys.argv[1:]
limits, undo = (GroupLimits(), GroupUndo) if kind == "group" else (ResourceLimits(), ResourceUndo)
asyncio.run(limits.inject(undo.model_validate_json(text)))
print("injected", flush=True)
sys.stdin.read()
"""


class Worker:
    """A program that does what it is told and says what came of it."""

    def __init__(self, process: "subprocess.Popen[str]", identity: Identity) -> None:
        self.process = process
        self.identity = identity

    def __call__(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def spun(self) -> int:
        return int(self("spin 0.4"))


@contextmanager
def started(program: str, *argv: str) -> "Iterator[subprocess.Popen[str]]":
    """The program, leader of a session of its own; its session is ended afterwards."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        identity = identify(process.pid)
        assert identity is not None
        try:
            yield process
        finally:
            for member in members(identity):
                os.kill(member.pid, signal.SIGKILL)


@pytest.fixture
def worker(run: str) -> Iterator[Worker]:
    assert run  # its control groups are removed when the worker is gone
    with started(WORKER) as process:
        identity = identify(process.pid)
        assert identity is not None
        worker = Worker(process, identity)
        assert worker("open") == "opened"  # it has started
        yield worker


@pytest.fixture
def run() -> Iterator[str]:
    """A run's id; control groups of the run that a failed test left are removed."""
    run = new_run_id(datetime(2026, 1, 1, tzinfo=UTC))
    yield run
    homes = {home_of("cpu", os.getpid()), home_of("memory", os.getpid())} - {None}
    for folder in [folder for home in homes if home is not None for folder in home.glob(f"chaos.{run}.*")]:
        folder.rmdir()


def injected_by_one_that_dies(kind: str, text: str) -> None:
    """Another process injects and is killed before it could undo anything."""
    with started(INJECTOR, kind, text) as injector:
        assert injector.stdout is not None
        assert injector.stdout.readline() == "injected\n"
        injector.kill()


@resources
async def test_memory_runs_out_and_comes_back(worker: Worker, run: str) -> None:
    limits, big = ResourceLimits(), f"allocate {64 * MIB}"
    assert worker(big) == "allocated"
    undo = await limits.undo_of(LimitMemory(headroom=20 * MIB), worker.identity, run=run, fault="m")
    assert await limits.effect(undo, SHORT) is None

    await limits.inject(undo)
    seen = await limits.effect(undo, SOON)
    assert worker(big) == "MemoryError"
    assert worker(f"allocate {MIB}") == "allocated"
    assert seen is not None
    assert "bytes of address space" in seen
    assert not await limits.normal(undo)

    await limits.undo(undo)
    assert worker(big) == "allocated"
    assert await limits.normal(undo)


@resources
async def test_a_service_without_free_descriptors_answers_nobody_until_the_undo(run: str) -> None:
    limits = ResourceLimits()

    def greeted(port: int) -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=0.3) as client:
            try:
                said = client.recv(16)
                client.recv(1)  # until it has closed its end
            except TimeoutError:
                return False
            return said == b"hello"

    with started(SERVER) as server:
        assert server.stdout is not None
        port, identity = int(server.stdout.readline()), identify(server.pid)
        assert identity is not None
        assert greeted(port)
        undo = await limits.undo_of(LimitFds(free=0), identity, run=run, fault="f")

        await limits.inject(undo)
        assert not greeted(port)
        assert "0 of them free" in (await limits.effect(undo, SOON) or "")

        await limits.undo(undo)
        assert greeted(port)
        assert await limits.normal(undo)


@resources
async def test_as_many_descriptors_are_left_as_was_asked_for(worker: Worker, run: str) -> None:
    limits = ResourceLimits()
    undo = await limits.undo_of(LimitFds(free=1), worker.identity, run=run, fault="f")

    await limits.inject(undo)
    assert worker("open") == "opened"
    await limits.undo(undo)
    none = await limits.undo_of(LimitFds(free=0), worker.identity, run=run, fault="f")
    await limits.inject(none)
    assert worker("open") == "Too many open files"
    await limits.undo(none)
    assert worker("open") == "opened"


@resources
async def test_long_files_cannot_be_written_until_the_undo(worker: Worker, run: str, tmp_path: Path) -> None:
    limits = ResourceLimits()
    undo = await limits.undo_of(LimitFileSize(size=4096), worker.identity, run=run, fault="s")

    await limits.inject(undo)
    assert worker(f"write {tmp_path / 'a'}") == "File too large"
    assert "4096 bytes a file" in (await limits.effect(undo, SOON) or "")
    await limits.undo(undo)
    assert worker(f"write {tmp_path / 'a'}") == "written"


@resources
async def test_a_child_that_inherited_the_limit_gets_its_own_back(worker: Worker, run: str) -> None:
    limits = ResourceLimits()
    undo = await limits.undo_of(LimitFileSize(size=4096), worker.identity, run=run, fault="s")
    await limits.inject(undo)
    child = int(worker("fork"))
    assert resource.prlimit(child, resource.RLIMIT_FSIZE)[0] == 4096
    assert not await limits.normal(undo)

    await limits.undo(undo)
    assert resource.prlimit(child, resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert await limits.normal(undo)


@resources
async def test_the_undo_works_after_its_injector_was_killed_and_as_often_as_one_likes(worker: Worker, run: str) -> None:
    limits = ResourceLimits()
    undo = await limits.undo_of(LimitFds(free=0), worker.identity, run=run, fault="f")
    await limits.undo(undo)
    assert worker("open") == "opened"

    injected_by_one_that_dies("resource", undo.model_dump_json())
    assert worker("open") == "Too many open files"
    again = ResourceUndo.model_validate_json(undo.model_dump_json())
    await limits.undo(again)
    await limits.undo(again)
    assert worker("open") == "opened"


@resources
async def test_a_limit_that_someone_else_changed_since_is_left(worker: Worker, run: str) -> None:
    limits = ResourceLimits()
    undo = await limits.undo_of(LimitFds(free=0), worker.identity, run=run, fault="f")
    await limits.inject(undo)
    hard = resource.prlimit(worker.identity.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(worker.identity.pid, resource.RLIMIT_NOFILE, (77, hard))

    await limits.undo(undo)
    assert resource.prlimit(worker.identity.pid, resource.RLIMIT_NOFILE)[0] == 77


@resources
async def test_limits_are_only_ever_lowered(worker: Worker, run: str) -> None:
    with pytest.raises(NothingToLower):
        await ResourceLimits().undo_of(LimitFds(free=1_000_000), worker.identity, run=run, fault="f")


@resources
async def test_a_process_that_is_gone_is_said_to_be_gone_and_its_undo_does_nothing(worker: Worker, run: str) -> None:
    limits = ResourceLimits()
    undo = await limits.undo_of(LimitFds(free=0), worker.identity, run=run, fault="f")
    worker.process.kill()
    worker.process.wait()

    with pytest.raises(NotThere):
        await limits.inject(undo)
    with pytest.raises(NotThere):
        await limits.undo_of(LimitFds(free=0), worker.identity, run=run, fault="f")
    await limits.undo(undo)
    assert await limits.normal(undo)


@resources
async def test_another_process_with_the_same_pid_is_not_touched(worker: Worker, run: str) -> None:
    limits = ResourceLimits()
    undo = await limits.undo_of(LimitFds(free=0), worker.identity, run=run, fault="f")
    before = worker.identity.model_copy(update={"started": worker.identity.started - 1})
    entry = undo.lowered[0].model_copy(update={"identity": before})

    with pytest.raises(NotThere):
        await limits.inject(undo.model_copy(update={"leader": before, "lowered": (entry,)}))
    assert worker("open") == "opened"


@cpu_groups
async def test_a_busy_service_gets_the_cpu_time_that_it_is_left_and_all_of_it_after_the_undo(worker: Worker, run: str) -> None:
    limits = GroupLimits()
    free = worker.spun()
    undo = await limits.undo_of(LimitCpu(cores=0.05), worker.identity, run=run, fault="c")
    home = home_of("cpu", worker.identity.pid)

    await limits.inject(undo)
    held = worker.spun()
    assert worker.process.stdin is not None
    worker.process.stdin.write("spin 1.5\n")
    worker.process.stdin.flush()
    seen = await limits.effect(undo, SOON)
    assert held < free / 2
    assert seen is not None
    assert "of 0.05 cores" in seen
    assert not await limits.normal(undo)

    await limits.undo(undo)
    assert worker.process.stdout is not None
    worker.process.stdout.readline()
    assert worker.spun() > held * 2
    assert await limits.normal(undo)
    assert home_of("cpu", worker.identity.pid) == home
    assert not Path(undo.folder).exists()


@cpu_groups
async def test_an_idle_service_shows_no_effect(worker: Worker, run: str) -> None:
    limits = GroupLimits()
    undo = await limits.undo_of(LimitCpu(cores=0.5), worker.identity, run=run, fault="c")
    await limits.inject(undo)

    assert await limits.effect(undo, SHORT) is None
    await limits.undo(undo)


@cpu_groups
async def test_children_are_limited_and_moved_back_with_their_parent(worker: Worker, run: str) -> None:
    limits = GroupLimits()
    before = int(worker("fork"))
    undo = await limits.undo_of(LimitCpu(cores=0.5), worker.identity, run=run, fault="c")
    await limits.inject(undo)
    during = int(worker("fork"))
    assert home_of("cpu", before) == home_of("cpu", during) == Path(undo.folder)

    await limits.undo(undo)
    assert home_of("cpu", before) == home_of("cpu", during) == Path(undo.home)


@cpu_groups
async def test_the_group_is_removed_by_anybody_after_its_injector_was_killed(worker: Worker, run: str) -> None:
    limits = GroupLimits()
    undo = await limits.undo_of(LimitCpu(cores=0.5), worker.identity, run=run, fault="c")
    await limits.undo(undo)

    injected_by_one_that_dies("group", undo.model_dump_json())
    assert home_of("cpu", worker.identity.pid) == Path(undo.folder)
    again = GroupUndo.model_validate_json(undo.model_dump_json())
    await limits.undo(again)
    await limits.undo(again)
    assert home_of("cpu", worker.identity.pid) == Path(undo.home)
    assert await limits.normal(undo)


@memory_groups
async def test_a_service_that_takes_more_than_it_is_left_is_killed(worker: Worker, run: str) -> None:
    limits = GroupLimits()
    assert worker(f"allocate {64 * MIB}") == "allocated"
    undo = await limits.undo_of(LimitMemory(headroom=16 * MIB, how="kill"), worker.identity, run=run, fault="k")

    await limits.inject(undo)
    assert worker(f"allocate {MIB}") == "allocated"
    assert await limits.effect(undo, SHORT) is None
    worker(f"allocate {64 * MIB}")
    assert worker.process.wait(5) == -signal.SIGKILL
    assert "killed for want of memory" in (await limits.effect(undo, SOON) or "")
    await limits.undo(undo)
    assert await limits.normal(undo)


@memory_groups
async def test_a_service_that_was_not_killed_may_take_memory_again_after_the_undo(worker: Worker, run: str) -> None:
    limits = GroupLimits()
    undo = await limits.undo_of(LimitMemory(headroom=16 * MIB, how="kill"), worker.identity, run=run, fault="k")
    await limits.inject(undo)
    await limits.undo(undo)

    assert worker(f"allocate {64 * MIB}") == "allocated"
    assert is_alive(worker.identity)


def test_what_is_asked_for_decides_what_is_needed() -> None:
    assert need_of(LimitMemory(headroom=MIB)) == "resource"
    assert need_of(LimitMemory(headroom=MIB, how="kill")) == "memory"
    assert need_of(LimitCpu(cores=1)) == "cpu"


@pytest.mark.parametrize("text", ['{"cores": 0}', '{"cores": 65}', '{"cores": "NaN"}', "{}", '{"cores": 1, "core": 1}'])
def test_cpu_limits_out_of_bounds_are_errors(text: str) -> None:
    with pytest.raises(ValidationError):
        LimitCpu.model_validate_json(text)
