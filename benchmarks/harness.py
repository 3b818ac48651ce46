"""What benchmarks of whole runs share: all actors and their server in a process of their own, and a client that watches the journal."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.measure import cpu_seconds, peak_mib
from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.journal import Journal
from bus.reading import OrderedReader, Stored
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from messages.fault_events import FaultInjected
from messages.judgements import ReportPublished
from messages.run_events import RunAccepted, RunFinished
from messages.system import System

NAMESPACE = "test-coordinator"


@dataclass
class Watch:
    """Sees the lines of the journal that a benchmark asks about."""

    journal: Journal
    reported: int = 0
    driven: dict[str, datetime] = field(default_factory=dict)
    """When the driver was called in each run, on the server's clock; late by the time that publishing took."""
    submitted: dict[str, datetime] = field(default_factory=dict)
    """When each run's scenario was stored."""
    finished: dict[str, RunFinished] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def filters(self) -> list[str]:
        """What it reads."""
        everywhere = self.journal.subjects.everywhere
        runs = [everywhere("scheduler", "run", event.type_name()) for event in (RunAccepted, RunFinished)]
        return [*runs, everywhere("chaos-injector", "*", "fault.injected"), everywhere("reporter", "run", "report.published")]

    def see(self, stored: Stored) -> None:
        """Take in a line."""
        line = self.journal.line(stored)
        event = line.event if line is not None else None
        if line is None:
            return
        if isinstance(event, RunAccepted):
            self.submitted[line.run] = event.submitted
        elif isinstance(event, FaultInjected):
            self.driven[line.run] = line.at - event.ago - event.took
        elif isinstance(event, RunFinished):
            self.finished[line.run] = event
        elif isinstance(event, ReportPublished):
            self.reported += 1
            self._news.set()

    async def until(self, count: int) -> None:
        """Wait for so many reports.

        Raises:
            TimeoutError: they did not come in a minute.
        """
        async with asyncio.timeout(60):
            while self.reported < count:
                self._news.clear()
                await self._news.wait()


@dataclass(frozen=True)
class Bench:
    """What is measured, and the client that measures it."""

    journal: Journal
    connection: Connection
    watch: Watch
    pids: tuple[int, ...]
    """Of the processes with the actors, and of their server, which is the last."""

    async def publish(self, key: str, scenario: bytes) -> None:
        """One scenario, as any client would."""
        await self.connection.nc.publish(self.journal.subjects.scenario(key), scenario)

    def cpu_seconds(self) -> float:
        """The processor time that the actors and their server have used."""
        return sum(map(cpu_seconds, self.pids))

    def peak_mib(self) -> float:
        """The most memory that the actors and their server have held."""
        return sum(map(peak_mib, self.pids))


@asynccontextmanager
async def bench(folder: Path, systems: Mapping[str, System]) -> AsyncIterator[Bench]:
    """The actors at work in a process of their own."""
    async with _served(folder, systems) as (url, pids), watching(url, pids) as running:
        yield running


@asynccontextmanager
async def watching(url: str, pids: tuple[int, ...]) -> AsyncIterator[Bench]:
    """A client of hosts that are at work there, or will be, and what it sees in their journal."""
    async with connect(url, name="bench", timeout=timedelta(seconds=5)) as connection:
        await ensure_topology(connection.js, NAMESPACE)
        journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        await journal.last_sequence()
        watch = Watch(journal)
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(OrderedReader(connection, journal.stream, watch.filters(), watch.see).run())
            yield Bench(journal, connection, watch, pids)
            reader.cancel()


@asynccontextmanager
async def _served(folder: Path, systems: Mapping[str, System]) -> AsyncIterator[tuple[str, tuple[int, int]]]:
    process, told = await start(folder, systems)
    try:
        yield str(told["url"]), (process.pid, int(told["server"]))
    finally:
        await stop(process)


async def start(folder: Path, systems: Mapping[str, System], *on: str, instance: str = "") -> tuple[Process, dict[str, str | int]]:
    """A process that is at work, all in one or `on` a server (URL and actors), and what it says: its server's address and process id."""
    pipe, environment = asyncio.subprocess.PIPE, {**os.environ, "SERVICE_INSTANCE_NAME": instance}
    command = (sys.executable, "-m", "benchmarks.served", str(folder), *on)
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment)
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes")
    rows = {name: system.model_dump(mode="json", by_alias=True) for name, system in systems.items()}
    process.stdin.write(json.dumps(rows).encode() + b"\n")
    try:
        async with asyncio.timeout(30):
            return process, json.loads(await process.stdout.readline())
    except BaseException:
        await stop(process)
        raise


async def stop(process: Process) -> None:
    """Let it end; returns when it has."""
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()
