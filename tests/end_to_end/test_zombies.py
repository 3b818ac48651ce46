"""A host that stood still and wakes when its work is another's: it writes nothing, and what it disturbs in that moment is undone."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from actors.chaos_injector.actor import LEASE
from bus.clock import ServerClock
from bus.connection import connect
from bus.control import ControlClient
from bus.journal import Journal, Line
from bus.keys import Keys
from bus.server import Server
from bus.subjects import Subjects
from bus.topology import Names
from deploy.presence import who_is_there
from messages.control import SubmitRequest
from messages.events import RunEvent
from messages.fault_events import FaultGone, FaultInjected, FaultReverted, OwnerChanged, ServiceStarted
from messages.judgements import ReportPublished
from messages.run_events import RunFinished
from targets.find import tagged_processes
from targets.group import is_halted
from tests.end_to_end.test_processes import NAMESPACE, SERVICE, over, when_answering
from tests.ports import free_port

E = TypeVar("E", bound=RunEvent)
pytestmark = [pytest.mark.long, pytest.mark.timeout(90)]
HOST = Path(__file__).with_name("zombie.py")
WATCHED = 2.0
"""Seconds for which it is watched what somebody does who has woken."""

SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: halted}
spec:
  system: small
  phases:
    - name: chaos
      actions: [ACTION]
    - name: calm
      duration: 7s
  assertions: [{id: back, type: recovery, target: one, by: any, within: 10s}]
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What a host tells."""

    at: float
    pid: int
    what: str
    name: str
    run: str
    actor: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Woken:
    """When somebody was woken."""

    at: float
    sequence: int
    """The newest of the journal then. What is acknowledged only now may be older."""


class Pair:
    """Two hosts of one namespace, either of which may do all the work."""

    def __init__(self, folder: Path, server: Server, journal: Journal, client: ControlClient) -> None:
        self.folder = folder
        self.server = server
        self.journal = journal
        self.client = client
        self.hosts: dict[int, Process] = {}
        self.run = ""

    @property
    def trap(self) -> Path:
        return self.folder / "trap"

    def told(self, what: str) -> list[Told]:
        with suppress(FileNotFoundError):
            found = [Told(**json.loads(line)) for line in (self.folder / "told").read_text().splitlines()]
            return [told for told in found if told.what == what]
        return []

    async def submit(self, action: str) -> None:
        reply = await self.client.submit(SubmitRequest(document=SCENARIO.replace("ACTION", action), file="halted.yaml"))
        assert reply.run_id is not None
        self.run = reply.run_id

    async def lines(self, kind: type[E]) -> list[E]:
        found: list[Line] = []
        await self.journal.read_runs([self.run], await self.journal.last_sequence(), found.append)
        return [line.event for line in found if isinstance(line.event, kind)]

    async def until(self, kind: type[E], count: int = 1) -> list[E]:
        while len(found := await self.lines(kind)) < count:
            await asyncio.sleep(0.05)
        return found

    async def until_told(self, what: str, name: str = "") -> Told:
        while not (found := [told for told in self.told(what) if name in told.name]):
            await asyncio.sleep(0.02)
        return found[-1]

    def written_by(self, pid: int, since: Woken) -> list[str]:
        """What it wrote into the run after it was woken, before the run was given to it again: it is one of two that share the work."""
        found, again = list[str](), set[str]()
        for told in self.told("stored"):
            if told.pid == pid and told.sequence > since.sequence and told.run == self.run:
                again |= {told.actor} if told.name == OwnerChanged.type_name() else set()
                found += [f"{told.actor} {told.name}"] if told.actor not in again else []
        return found

    async def wake(self, pid: int) -> Woken:
        """Let it go on, and watch it for a while."""
        woken = Woken(sequence=await self.journal.last_sequence(), at=time.monotonic())
        os.kill(pid, signal.SIGCONT)
        while time.monotonic() < woken.at + WATCHED:
            await asyncio.sleep(0.01)
        return woken


@pytest.fixture
async def pair(server: Server, tmp_path: Path) -> AsyncIterator[Pair]:
    folder, port = tmp_path / "systems", free_port()
    folder.mkdir()
    (folder / "small.yaml").write_text(system(port, tmp_path / "starts"))
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(serving(number, server.url, tmp_path)) for number in (1, 2)]
        connection = await stack.enter_async_context(connect(server.url, name="foreign"))
        client = await when_answering(connection)
        journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        await journal.last_sequence()
        while not await both_work(Keys(connection, Names(NAMESPACE).instances)):
            await asyncio.sleep(0.05)
        pair = Pair(tmp_path, server, journal, client)
        pair.hosts = {host.pid: host for host in hosts}
        yield pair
        for tagged in tagged_processes(pair.run):
            with suppress(ProcessLookupError):
                os.killpg(tagged.identity.pid, signal.SIGKILL)


def system(port: int, starts: Path) -> str:
    command = f"[sh, -c, 'echo started >> {starts}; exec python {SERVICE}']"
    return f"""
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: small}}
spec:
  services:
    one:
      driver: {{process: {{command: {command}, env: {{PORT: "{port}"}}}}}}
      health: {{http: {{url: "http://127.0.0.1:{port}/health"}}, every: 100ms, deadline: 900ms}}
  steady_state: {{stable: 200ms}}
"""


@asynccontextmanager
async def serving(number: int, url: str, folder: Path) -> AsyncIterator[Process]:
    own = {"SERVICE_INSTANCE_NAME": f"test-coordinator-Chaos{number}", "XDG_STATE_HOME": str(folder / "state"), "HTTP_PORT": "0"}
    told = {"ZOMBIE_LOG": str(folder / "told"), "ZOMBIE_TRAP": str(folder / "trap"), "GRPC_PORT": "0"}
    arguments = ("serve", "--nats", url, "--systems", str(folder / "systems"))
    with (folder / f"host{number}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(HOST), *arguments, env={**os.environ, **own, **told}, stdin=DEVNULL, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def both_work(instances: Keys) -> bool:
    there = await who_is_there(instances)
    return len(there) == 2 and all(len(presence.partitions) == 5 and all(presence.partitions.values()) for presence in there)


async def test_a_host_that_was_halted_in_a_phase_writes_nothing_when_it_wakes(pair: Pair, tmp_path: Path) -> None:
    await pair.submit("{id: f, target: one, action: pause, for: 1500ms}")
    await pair.until(FaultInjected)
    owner = (await pair.until_told("stored", FaultInjected.type_name())).pid

    os.kill(owner, signal.SIGSTOP)
    await pair.until(FaultGone)
    woken = await pair.wake(owner)
    ended = await over(pair.client, pair.run)

    assert pair.written_by(owner, woken) == []
    assert ended.verdict in {"passed", "inconclusive"}, ended
    assert await once(pair)
    assert (tmp_path / "starts").read_text().split() == ["started"]


@pytest.mark.parametrize(
    ("action", "when", "starts"), [("pause", "before", 1), ("pause", "after", 1), ("kill", "before", 2), ("kill", "after", 2)]
)
async def test_what_a_host_disturbs_after_its_work_was_taken_over_is_undone_within_a_second(
    pair: Pair, tmp_path: Path, action: str, when: str, starts: int
) -> None:
    pair.trap.write_text(when)
    await pair.submit(f"{{id: f, target: one, action: {action}, for: 1s}}")
    halted = await pair.until_told("halting")
    await pair.until(FaultGone)
    (target,) = [tagged.identity for tagged in tagged_processes(pair.run) if tagged.service == "one"]
    standing = is_halted(target)

    woken = await pair.wake(halted.pid)
    still = is_halted(target)
    disturbed = [told.at for told in pair.told("disturbed") if told.pid == halted.pid and told.at > woken.at]
    resumed = [told.at for told in pair.told("resumed") if told.pid == halted.pid and told.at > woken.at]
    ended = await over(pair.client, pair.run)

    assert (standing, still) == (False, False)
    assert pair.written_by(halted.pid, woken) == []
    if (action, when) == ("pause", "before"):
        print(f"woken, disturbed after {disturbed[0] - woken.at:.3f} s, undone after {resumed[-1] - woken.at:.3f} s")  # noqa: T201
        assert woken.at < disturbed[0] < resumed[-1] < woken.at + 1
    assert await once(pair)
    assert len((tmp_path / "starts").read_text().split()) == starts
    assert len(await pair.lines(ServiceStarted)) == starts
    assert ended.verdict is not None
    assert tagged_processes(pair.run) == ()


async def test_a_host_that_wakes_with_a_lease_that_is_over_does_nothing_in_a_run_that_is_over(pair: Pair, tmp_path: Path) -> None:
    await pair.submit("{id: f, target: one, action: kill, for: 1s}")
    await pair.until(FaultInjected)
    owner = (await pair.until_told("stored", FaultInjected.type_name())).pid

    os.kill(owner, signal.SIGSTOP)
    halted = time.monotonic()
    await pair.until(ReportPublished)  # with nothing left to do: who wakes may be given its share of the partitions back
    while time.monotonic() < halted + LEASE.total_seconds() + 1:
        await asyncio.sleep(0.1)
    left = tagged_processes(pair.run)
    woken = await pair.wake(owner)

    assert left == ()
    assert pair.written_by(owner, woken) == []
    assert (tmp_path / "starts").read_text().split() == ["started"] * 2
    assert tagged_processes(pair.run) == ()


async def once(pair: Pair) -> bool:
    counts = [len(await pair.lines(kind)) for kind in (FaultInjected, FaultReverted, FaultGone, RunFinished)]
    return counts == [1] * 4
