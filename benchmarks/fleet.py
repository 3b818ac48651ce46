"""Hosts of one namespace, each a process that can be killed, on a server that stays; a client beside them; and services to disturb."""

import asyncio
import json
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

from benchmarks.harness import NAMESPACE, start, stop
from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.control import ControlClient
from bus.journal import Journal, Line
from bus.keys import Keys
from bus.server import embedded_server
from bus.subjects import PARTITIONS, Subjects, partition_of
from bus.topology import Names, ensure_topology
from messages.control import SubmitRequest
from messages.fault_events import FaultInjected, ServiceStarted
from messages.judgements import ReportPublished
from messages.system import System
from targets.find import tagged_processes

LIMIT = 30.0
"""Seconds that anything may take which a benchmark waits for."""
_TICK = 0.002
_SLEEP = {"driver": {"process": {"command": ["sleep", "1000"]}}}
Timed = tuple[float, Line]
"""A line of the journal, and when it came here, by the monotonic clock."""


class Fleet:
    """What is measured while its hosts die."""

    def __init__(self, folder: Path, url: str, connection: Connection, systems: Mapping[str, System]) -> None:
        self.url = url
        self.hosts: dict[str, Process] = {}
        self.lines: list[Timed] = []
        self.client = ControlClient(connection, Subjects(NAMESPACE), "bench")
        self.journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        self._folder = folder
        self._systems = systems
        self._maps = Keys(connection, Names(NAMESPACE).ownership)

    def read(self, line: Line) -> None:
        """Take in a line of any run."""
        self.lines.append((time.monotonic(), line))

    async def start(self, instance: str, actors: str) -> None:
        """Start a host of this instance, and wait until it is at work."""
        self.hosts[instance], _ = await start(self._folder, self._systems, self.url, actors, instance=f"{NAMESPACE}-{instance}")

    async def kill(self, *instances: str) -> float:
        """Kill these with -9; when they were dead."""
        dying = [self.hosts.pop(instance) for instance in instances]
        for process in dying:
            os.kill(process.pid, signal.SIGKILL)
        killed = time.monotonic()
        for process in dying:
            await process.wait()
        return killed

    async def stop(self) -> None:
        """End every host, and what the runs have left."""
        for process in self.hosts.values():
            await stop(process)
        for run in {line.run for _, line in self.lines}:
            for tagged in tagged_processes(run):
                with suppress(ProcessLookupError):
                    os.kill(tagged.identity.pid, signal.SIGKILL)

    async def owners(self, actor: str) -> dict[int, str]:
        """The instance that has each partition for an actor."""
        entry = await self._maps.get(actor)
        owners = json.loads(entry.value) if entry is not None else {}
        names = {f"{NAMESPACE}-{instance}".lower(): instance for instance in self.hosts}
        found = {int(partition): names.get(owner.rpartition(".")[0].lower(), "") for partition, owner in owners.items()}
        return {partition: instance for partition, instance in found.items() if instance}

    async def shared(self, actor: str, among: int) -> dict[int, str]:
        """The same, once so many living hosts have as many partitions each."""
        async with asyncio.timeout(LIMIT):
            while True:
                owners = await self.owners(actor)
                has = [list(owners.values()).count(instance) for instance in set(owners.values())]
                if sum(has) == PARTITIONS and has == [PARTITIONS // among] * among:
                    return owners
                await asyncio.sleep(0.05)

    async def submit(self, document: str, key: str) -> str:
        """Run a scenario; the run's id."""
        reply = await self.client.submit(SubmitRequest(document=document, key=key))
        if reply.run_id is None:
            raise ValueError([str(finding) for finding in reply.findings])
        return reply.run_id

    async def until(self, known: Callable[[], bool]) -> None:
        """Wait until the lines that were read say so.

        Raises:
            TimeoutError: they do not.
        """
        async with asyncio.timeout(LIMIT):
            while not known():  # noqa: ASYNC110 - whoever waits asks something else
                await asyncio.sleep(_TICK)

    async def reported(self, run: str) -> None:
        """Wait until the run is over."""
        await self.until(lambda: any(line.run == run and isinstance(line.event, ReportPublished) for _, line in self.lines))

    async def sleepers(self, run: str, faults: int) -> "Sleepers":
        """The services of a run, once so many faults are there."""
        injected = FaultInjected
        await self.until(lambda: sum(line.run == run and isinstance(line.event, injected) for _, line in self.lines) >= faults)
        mine = [line.event for _, line in self.lines if line.run == run]
        return Sleepers([event.identity.pid for event in mine if isinstance(event, ServiceStarted)])


class Sleepers:
    """Processes that are paused: the kernel says which still are."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids

    async def awake(self, within: float = LIMIT) -> list[float]:
        """When each ran again, by the monotonic clock, to some 2 ms.

        Raises:
            RuntimeError: one was not paused.
            TimeoutError: one does not run again in so many seconds.
        """
        files = {pid: os.open(f"/proc/{pid}/stat", os.O_RDONLY) for pid in self._pids}
        found: dict[int, float] = {}
        try:
            if not all(map(_is_paused, files.values())):
                raise RuntimeError("a service is not paused")
            async with asyncio.timeout(within):
                while len(found) < len(files):
                    found |= {pid: time.monotonic() for pid, file in files.items() if pid not in found and not _is_paused(file)}
                    await asyncio.sleep(_TICK)
        finally:
            for file in files.values():
                os.close(file)
        return list(found.values())


def _is_paused(file: int) -> bool:
    return os.pread(file, 200, 0).rpartition(b")")[2].split()[0] == b"T"


@asynccontextmanager
async def fleet(folder: Path, systems: Mapping[str, System]) -> AsyncIterator[Fleet]:
    """A server without hosts, until the block ends."""
    async with embedded_server(folder / "nats") as server, connect(server.url, name="bench", timeout=timedelta(seconds=5)) as connection:
        await ensure_topology(connection.js, NAMESPACE)
        made = Fleet(folder, server.url, connection, systems)
        await made.journal.last_sequence()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(made.journal.follow(0, made.read).run())
            try:
                yield made
            finally:
                await made.stop()
                reader.cancel()


def sleeping(name: str, services: int) -> System:
    """A system of so many processes that do nothing."""
    steady = {"settle": "0s", "recover": "0s", "stable": "0s"}
    spec = {"steady_state": steady, "services": {f"sleeper-{number}": _SLEEP for number in range(services)}}
    return System.model_validate_json(json.dumps({"metadata": {"name": name}, "spec": spec}))


def pauses(name: str, services: int, apart: timedelta = timedelta()) -> str:
    """A scenario that pauses every service of such a system for as long as it runs, one after the other."""
    delays = [f"{apart / timedelta(milliseconds=1) * number:.0f}ms" for number in range(services)]
    actions = "".join(
        f"\n        - {{id: pause-{number}, target: sleeper-{number}, action: pause, delay: {delay}}}"
        for number, delay in enumerate(delays)
    )
    return f"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: pauses}}
spec:
  system: {name}
  phases:
    - name: chaos
      duration: 2m
      actions:{actions}
      assertions: [{{id: none, type: event, where: "event.type == 'never'", never: true}}]
"""


def key_in(partition: int) -> str:
    """A key whose runs are in this partition."""
    return next(key for number in range(10_000) if partition_of(key := f"key-{number}") == partition)
