"""A coordinator of five processes, one for each actor, in which one is killed at a line of the journal and started again."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.control import ControlClient
from bus.errors import NoAnswer
from bus.journal import Journal, Line
from bus.keys import Keys
from bus.server import embedded_server
from bus.subjects import PARTITIONS, Subjects, partition_of
from bus.topology import Names, ensure_topology
from deploy.presence import who_is_there
from messages.control import SubmitRequest
from messages.judgements import ReportPublished
from targets.find import tagged_processes
from tests.crash.births import Host, Mother
from tests.crash.outcome import Outcome, outcome_of
from tests.crash.reference import scenario, system
from tests.crash.standing import Standing
from tests.ports import free_port

NAMESPACE = "test-coordinator"
ACTORS = ("scheduler", "chaos-injector", "observer", "validator", "reporter")
RUN_LIMIT = 90.0
"""Seconds that a run may take with a process killed in it; without it takes some ten."""


@dataclass(frozen=True, slots=True)
class Point:
    """A line of the journal, and whose process dies right before it is written, or right after it is stored."""

    when: Literal["before", "after"]
    line: str
    victim: str

    def __str__(self) -> str:
        return f"{self.victim} {self.when} {self.line}"


class Lane:
    """One coordinator, used for one run after the other."""

    def __init__(self, mother: Mother, folder: Path, connection: Connection, journal: Journal) -> None:
        self._mother = mother
        self._folder = folder
        self._url = connection.url
        self._journal = journal
        self._client = ControlClient(connection, journal.subjects, "crash")
        self._instances = Keys(connection, Names(NAMESPACE).instances)
        self._maps = Keys(connection, Names(NAMESPACE).ownership)
        self._trap = folder / "trap"
        self._hosts: dict[str, Host] = {}
        self._started: list[Host] = []
        self._runs: list[str] = []
        self._in_use = asyncio.Lock()

    async def start(self, actor: str) -> None:
        """Start a process of an actor, which is the one that a trap is set for from now on."""
        own = {"CRASH_TRAP": str(self._trap), "STATE_DIR": str(self._folder / "state"), "HTTP_PORT": "0", "GRPC_PORT": "0"}
        arguments = ("serve", "--actors", actor, "--nats", self._url, "--systems", str(self._folder / "systems"))
        log = self._folder / f"{actor}.log"
        self._hosts[actor] = await self._mother.bear(*arguments, environment=own, log=log)
        self._started.append(self._hosts[actor])

    async def stop(self) -> None:
        """End all processes, and what a run that did not end has left."""
        for host in self._started:
            await host.kill()
        for tagged in (tagged for run in self._runs for tagged in tagged_processes(run)):
            with suppress(ProcessLookupError):
                os.kill(tagged.identity.pid, signal.SIGKILL)

    async def ready(self) -> None:
        """Until every actor is at work in the process that runs now."""
        pids = {str(host.pid) for host in self._hosts.values()}
        while True:
            present = [presence for presence in await who_is_there(self._instances) if _pid(presence.host) in pids]
            if {name for presence in present for name, state in presence.actors.items() if state == "ready"} == set(ACTORS):
                return
            await asyncio.sleep(0.05)

    async def run(self, point: Point | None = None, *, fails: bool = False, standby: bool = False) -> Outcome:
        """Run the reference. With a point, one process dies there, and is started again or has a stand-by that goes on."""
        async with self._in_use:
            await self.ready()
            if point is None:
                return await self._run(fails=fails)
            victim = self._hosts[point.victim]
            key = await self._stand_by(point.victim) if standby else None
            self._trap.write_text(json.dumps({"when": point.when, "id": point.line, "pid": victim.pid}))
            async with asyncio.TaskGroup() as tasks:
                again = None if standby else tasks.create_task(self._restart(point.victim))
                outcome = await self._run(fails=fails, key=key)
                if again is not None and not outcome.sprung:
                    again.cancel()
            self._trap.unlink(missing_ok=True)
            if standby:
                await victim.kill()
            return outcome

    async def _run(self, *, fails: bool, key: str | None = None) -> Outcome:
        lines: list[Line] = []
        async with asyncio.TaskGroup() as tasks:
            run = await self._submit(fails=fails, key=key)
            self._runs.append(run)
            reader = tasks.create_task(self._journal.follow(0, lines.append, run=run).run())
            with suppress(TimeoutError):
                async with asyncio.timeout(RUN_LIMIT):
                    while not any(isinstance(line.event, ReportPublished) for line in lines):
                        await asyncio.sleep(0.05)
            reader.cancel()
        return outcome_of(
            lines,
            starts=self._starts(run),
            standing=self._standing(run),
            left=tuple(sorted(f"{tagged.service} {tagged.identity.pid}" for tagged in tagged_processes(run))),
            sprung=await self._has_sprung(),
        )

    async def _submit(self, *, fails: bool, key: str | None) -> str:
        """The run; a scheduler that dies over it may leave no answer, and the document is handed over once more only if it left no run."""
        known = await self._accepted()
        request = SubmitRequest(document=scenario(fails=fails), file="reference.yaml", key=key)
        while True:
            try:
                reply = await self._client.submit(request)
            except NoAnswer:
                await asyncio.sleep(0.2)
                if new := [run for run in await self._accepted() if run not in known]:
                    return new[0]
                continue
            if reply.run_id is None:
                raise AssertionError(reply.findings)
            return reply.run_id

    async def _accepted(self) -> list[str]:
        return sorted(await self._journal.runs_with("scheduler", "run", "run.accepted"))

    async def _restart(self, actor: str) -> None:
        await self._hosts[actor].wait()
        await self.start(actor)

    async def _stand_by(self, actor: str) -> str:
        """Start another process of an actor beside the one that is there; a key whose runs are still that one's."""
        old = str(self._hosts[actor].pid)
        await self.start(actor)
        evenly = sorted([old, str(self._hosts[actor].pid)] * (PARTITIONS // 2))
        owners: dict[str, str] = {}
        async with asyncio.timeout(RUN_LIMIT):
            while sorted(owners.values()) != evenly:
                await asyncio.sleep(0.05)
                entry = await self._maps.get(actor)
                owners = {partition: _pid(owner) for partition, owner in json.loads(entry.value).items()} if entry else {}
        return next(key for number in count() if owners[str(partition_of(key := f"key-{number}"))] == old)

    async def _has_sprung(self) -> bool:
        """Whether somebody met the trap. The last line of a run may be read before its writer has come that far."""
        for _ in range(20):
            if not self._trap.exists():
                return True
            await asyncio.sleep(0.05)
        return False

    def _starts(self, run: str) -> dict[str, int]:
        logs = (self._folder / "state" / "logs" / run).glob("*.log")
        return {log.stem: log.read_text().count("begins") for log in logs if not log.stem.startswith("_")}

    def _standing(self, run: str) -> Standing:
        place = self._trap.with_name(f"standing-{run}")
        found: Standing = json.loads(place.read_text()) if place.exists() else {}
        return found


def _pid(host: str) -> str:
    """The process of a host, whose id ends with it and a random part."""
    return host.split("-")[-2]


@asynccontextmanager
async def lane(mother: Mother, folder: Path) -> AsyncIterator[Lane]:
    """A server and five processes on a folder, until the block ends."""
    folder.mkdir(parents=True)
    (folder / "systems").mkdir()
    (folder / "systems" / "crash.yaml").write_text(system(free_port(), free_port(), free_port()))
    async with embedded_server(folder / "nats") as server, connect(server.url, name="crash") as connection:
        await ensure_topology(connection.js, NAMESPACE)
        journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        await journal.last_sequence()
        made = Lane(mother, folder, connection, journal)
        try:
            for actor in ACTORS:
                await made.start(actor)
            yield made
        finally:
            await made.stop()
