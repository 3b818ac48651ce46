"""Hosts for tests of who owns what: some in this process, some in their own, and a way to the server that can be cut."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from bus.cancelling import end
from bus.connection import connect
from bus.keys import Keys
from bus.membership import Member, Membership
from bus.ownership import Ownership
from bus.share import Share
from bus.subjects import PARTITIONS, Subjects
from bus.topology import Names

ACTOR = "scheduler"
EVERYTHING = frozenset(range(PARTITIONS))
NAMES = Names("ns")


class Served:
    """Who serves which partition, of all hosts in this process."""

    def __init__(self) -> None:
        self.by: dict[int, str] = {}
        self.twice: list[tuple[int, str, str]] = []
        """Each partition that was served by two at once, and by whom."""

    def note(self, key: str, serving: Collection[int]) -> None:
        """This host serves these now, and no others."""
        self.by = {partition: who for partition, who in self.by.items() if who != key or partition in serving}
        self.twice += [(partition, self.by[partition], key) for partition in serving if self.by.get(partition, key) != key]
        self.by |= dict.fromkeys(serving, key)


class Somebody:
    """A host that serves at once what it owns, as the reader of a host does."""

    def __init__(self, membership: Membership, ownership: Ownership) -> None:
        self.key = membership.key
        self.membership = membership
        self.share: Share = ownership.shares[ACTOR]

    async def serve(self, served: Served) -> None:
        """Until cancelled."""
        while True:
            if self.share.serving != self.share.owned:
                served.note(self.key, self.share.owned)
                self.share.serve(self.share.owned)
            await self.share.changed.wait()


@asynccontextmanager
async def somebody(
    url: str, name: str, served: Served, partitions: str = "auto", *, machine: str = "", near: Collection[str] = ()
) -> AsyncIterator[Somebody]:
    """A host with a connection of its own, which leaves in good order."""
    member = Member(host=name, instance="one", machine=machine, offers={ACTOR: partitions})
    async with connect(url, name=name) as connection, asyncio.TaskGroup() as tasks:
        membership = Membership(connection, Subjects("ns"), Keys(connection, NAMES.instances), f"one.{name}", lambda: member)
        ownership = Ownership(membership, Keys(connection, NAMES.ownership), (ACTOR,), near=near)
        here = Somebody(membership, ownership)
        serving = tasks.create_task(here.serve(served))
        working = [tasks.create_task(membership.run()), tasks.create_task(ownership.run())]
        try:
            yield here
        finally:
            await end([serving])
            served.note(here.key, ())
            await end(working)


async def calm(*hosts: Somebody, wanted: Mapping[str, Collection[int]] | None = None) -> list[int]:
    """Wait until these serve everything, each partition once, evenly (or as `wanted`, by key); how many each has."""
    async with asyncio.timeout(8):
        while True:
            owned = [host.share.serving for host in hosts]
            counts = sorted(map(len, owned))
            once = sum(counts) == PARTITIONS and frozenset().union(*owned) == EVERYTHING
            right = counts[-1] - counts[0] <= 1 if wanted is None else all(host.share.owned == set(wanted[host.key]) for host in hosts)
            if once and right and all(host.share.serving == host.share.owned for host in hosts):
                return counts
            await asyncio.sleep(0.005)


@asynccontextmanager
async def lone_host(url: str, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A host in a process of its own; see `lone_host.py`."""
    command = (sys.executable, os.fspath(Path(__file__).with_name("lone_host.py")), url, f"one.{name}", ACTOR)
    root = os.fspath(Path(__file__).parents[1])
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env={**os.environ, "PYTHONPATH": root})
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class Way:
    """A way to the server that can be cut, and mended."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._port = 0
        self._listener: asyncio.Server | None = None
        self._ends: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        """Where it begins."""
        return f"nats://127.0.0.1:{self._port}"

    async def mend(self) -> None:
        """Let through."""
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End what goes through, and let nothing through any more."""
        if self._listener is not None:
            self._listener.close()
        for writer in self._ends:
            writer.transport.abort()
        self._ends.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._ends += [writer, back]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_copy(reader, back))
            tasks.create_task(_copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
