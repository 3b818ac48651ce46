"""The bus itself dies under a run: a single server, the one that `run` brings along, and the nodes of a cluster."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nats.errors import Error as NatsError

from bus.cancelling import end
from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.errors import NoAnswer
from bus.journal import Journal, Line
from bus.keys import Keys
from bus.reading import OrderedReader
from bus.server import Server
from bus.state import live_server
from bus.subjects import PARTITIONS, Subjects
from bus.topology import Names, ensure_topology
from messages.control import SubmitRequest
from messages.events import RunEvent
from messages.fault_events import FaultArmed, FaultEffective, FaultGone, FaultInjected, FaultReverted, ServiceStarted
from messages.judgements import ReportPublished
from messages.run_events import PhaseFinished, RunFinished, RunStarted
from targets.identity import is_alive
from tests.end_to_end.cluster import cluster
from tests.end_to_end.test_processes import ACTORS, NAMESPACE, SERVICE, command, when_answering
from tests.hosts import Served, calm, somebody
from tests.ports import free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(60)]
NAMES = Names(NAMESPACE)
SILENT = 6.0
"""Seconds that a watcher may need after its node died: two to notice, and some more when its next one is given to the dead node again."""
WATCHERS = 5
"""So many, because the cluster chooses the node that each lives on."""
MOMENTS = (FaultArmed, FaultInjected, FaultEffective, FaultReverted, FaultGone)
SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: bus-away}
spec:
  system: pair
  phases:
    - name: chaos
      duration: 2500ms
      actions:
        - {id: slow, target: {link: way}, action: latency, parameters: {delay: 150ms}, for: 2s}
        - {id: halt, target: back, action: pause, for: 1500ms, delay: 200ms}
      assertions:
        - {id: well, type: health, target: front, within: 2s}
        - {id: ticks, type: event, where: "event.type == 'tick'", at_least: 5}
  assertions: [{id: recovered, type: recovery, target: back, of: halt, within: 25s}]
"""


def system() -> str:
    """Two services and the link between them; the first one sends events."""
    front, back = free_port(), free_port()
    return f"""
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: pair}}
spec:
  events: ["pair.>"]
  services:
    front:
      driver: {{process: {{command: [python, {SERVICE}], env: {{PORT: "{front}", EVENTS: pair}}}}}}
      health: {{http: {{url: "http://127.0.0.1:{front}/health"}}, every: 100ms, deadline: 900ms}}
    back:
      driver: {{process: {{command: [python, {SERVICE}], env: {{PORT: "{back}"}}}}}}
      health: {{http: {{url: "http://127.0.0.1:{back}/health"}}, every: 100ms, deadline: 900ms}}
  links: {{way: {{from: front, to: back, port: {back}, env: UPSTREAM}}}}
  steady_state: {{stable: 200ms}}
"""


@dataclass
class Watched:
    """A run between two instances, and everything that was read of it so far."""

    connection: Connection
    journal: Journal
    run: str
    lines: list[Line] = field(default_factory=list, repr=False)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, line: Line) -> None:
        self.lines.append(line)
        self.moved.set()

    def of(self, kind: type[RunEvent]) -> list[Line]:
        return [line for line in self.lines if isinstance(line.event, kind)]

    async def until(self, kind: type[RunEvent], count: int = 1) -> None:
        """Wait for so many events of this type."""
        while len(self.of(kind)) < count:
            self.moved.clear()
            await self.moved.wait()

    async def whole(self) -> list[Line]:
        """The journal of the run, read anew."""
        lines: list[Line] = []
        await self.journal.read_runs([self.run], await self.journal.last_sequence(), lines.append)
        return lines


@asynccontextmanager
async def two_instances(url: str, folder: Path, **env: str) -> AsyncIterator[Watched]:
    """A run of the scenario under two instances that share the partitions."""
    (folder / "systems").mkdir()
    (folder / "systems" / "pair.yaml").write_text(system())
    arguments = ("serve", "--nats", url, "--systems", str(folder / "systems"))
    async with AsyncExitStack() as stack:
        for name in ("Chaos1", "Chaos2"):
            settings = {"SERVICE_INSTANCE_NAME": name, "GRPC_PORT": "0", **env}
            await stack.enter_async_context(command(*arguments, folder=folder, env=settings))
        connection = await stack.enter_async_context(connect(url, name="foreign"))
        client = await when_answering(connection)
        await evenly_owned(connection)
        journal = Journal(connection, Subjects(NAMESPACE), NAMES.runs, ServerClock())
        await journal.last_sequence()
        reply = await client.submit(SubmitRequest(document=SCENARIO, file="bus-away.yaml"))
        assert reply.run_id is not None, reply.findings
        run = reply.run_id
        watched = Watched(connection, journal, run)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(journal.follow(0, watched.take, run=run).run())
            yield watched
            await end([reading])


async def owners(connection: Connection) -> dict[str, dict[str, int]]:
    """How many partitions each host has, by actor."""
    keys, found = Keys(connection, NAMES.ownership), dict[str, dict[str, int]]()
    for actor in ACTORS:
        entry = await keys.get(actor)
        hosts = list(json.loads(entry.value).values()) if entry else []
        found[actor] = {host: hosts.count(host) for host in hosts}
    return found


async def evenly_owned(connection: Connection) -> dict[str, dict[str, int]]:
    """Wait until two hosts share the partitions of every actor."""
    while True:
        found = await owners(connection)
        if all(sorted(counts.values()) == [PARTITIONS // 2] * 2 for counts in found.values()):
            return found
        await asyncio.sleep(0.05)


async def right(watched: Watched, before: list[Line]) -> None:
    """The run has ended as if nothing had been, and what was there is there."""
    await watched.until(ReportPublished)
    lines = await watched.whole()
    stored = {(line.sequence, line.id) for line in lines}
    (finished,) = [line.event for line in lines if isinstance(line.event, RunFinished)]
    told = "\n".join(f"{line.at:%S.%f} {line.actor} {line.entity} {line.event!r}" for line in lines)
    assert (finished.verdict, finished.reason) == ("passed", None), told
    assert {(line.sequence, line.id) for line in before} <= stored
    assert [line.id for line in watched.lines] == [line.id for line in lines][: len(watched.lines)]
    assert len(stored) == len({line.id for line in lines})
    for fault in ("slow", "halt"):
        assert [sum(isinstance(line.event, moment) and line.entity == fault for line in lines) for moment in MOMENTS] == [1] * len(MOMENTS)
    assert sum(isinstance(line.event, ReportPublished) for line in lines) == 1
    assert not any(is_alive(line.event.identity) for line in lines if isinstance(line.event, ServiceStarted))


async def test_a_server_that_is_killed_before_within_and_after_the_faults_changes_nothing(server: Server, tmp_path: Path) -> None:
    async with two_instances(server.url, tmp_path) as watched:
        owned = await owners(watched.connection)
        for moment, count, away in ((RunStarted, 1, 0.5), (FaultEffective, 2, 1.5), (PhaseFinished, 2, 1.0)):
            await watched.until(moment, count)
            before = list(watched.lines)

            os.kill(server.pid, signal.SIGKILL)
            await asyncio.sleep(away)
            await server.restart()

        await right(watched, before)
        assert await owners(watched.connection) == owned


async def test_run_goes_on_when_the_server_that_it_brought_along_is_killed(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"{SCENARIO}---{system()}")
    state = tmp_path / "state"
    async with command("run", "mine.yaml", "--json", "--state", str(state), folder=tmp_path) as process:
        while (url := live_server(state)) is None:
            await asyncio.sleep(0.02)
        async with connect(url, name="foreign") as connection:
            journal = Journal(connection, Subjects(NAMESPACE), NAMES.runs, ServerClock())
            while not await journal.runs_with("chaos-injector", "halt", FaultEffective.type_name()):
                await asyncio.sleep(0.02)

            os.kill(server_on(state), signal.SIGKILL)
            out, err = await process.communicate()

    assert process.returncode == 0, err.decode()
    assert json.loads(out)["verdict"] == "passed"
    assert b"Traceback" not in err


async def test_a_host_that_is_told_to_stop_while_the_server_is_away_ends_its_runs_when_it_is_back(server: Server, tmp_path: Path) -> None:
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "pair.yaml").write_text(system())
    arguments = ("serve", "--nats", server.url, "--systems", str(tmp_path / "systems"))
    async with command(*arguments, folder=tmp_path, env={"GRPC_PORT": "0"}) as serving, connect(server.url, name="foreign") as connection:
        client = await when_answering(connection)
        journal = Journal(connection, Subjects(NAMESPACE), NAMES.runs, ServerClock())
        reply = await client.submit(SubmitRequest(document=re.sub("(duration|for): [0-9]+m?s", r"\1: 50s", SCENARIO), file="bus-away.yaml"))
        assert reply.run_id is not None, reply.findings
        for fault in ("slow", "halt"):
            while not await journal.runs_with("chaos-injector", fault, FaultEffective.type_name()):
                await asyncio.sleep(0.02)

        os.kill(server.pid, signal.SIGKILL)
        serving.terminate()
        assert serving.stderr is not None
        while b"stopping: " not in (said := await serving.stderr.readline()):
            assert said, "it left without a word"
        await server.restart()
        _, err = await serving.communicate()

        assert serving.returncode == 0, err.decode()
        for fault in ("slow", "halt"):
            assert reply.run_id in await journal.runs_with("chaos-injector", fault, FaultReverted.type_name())
        finished = await journal.find(reply.run_id, "scheduler", "run", RunFinished)
        assert finished is not None
        assert isinstance(finished.event, RunFinished)
        assert finished.event.verdict == "aborted"


def server_on(state: Path) -> int:
    """The pid of the nats-server on a state folder."""
    found = list[int]()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().endswith(f"{state / 'nats-server.conf'}\0".encode()):
                found.append(int(path.parent.name))
    (pid,) = found
    return pid


@pytest.mark.parametrize("stream", [NAMES.runs, f"KV_{NAMES.instances}", None], ids=["of_runs", "of_leases", "of_all"])
async def test_a_cluster_that_loses_a_leader_brings_the_run_to_its_right_end(tmp_path: Path, stream: str | None) -> None:
    async with cluster(tmp_path / "nats") as nodes, two_instances(nodes.url, tmp_path, REPLICAS="3") as watched:
        await watched.until(FaultEffective, 2)
        victim = await nodes.leader(watched.connection.js, stream) if stream else await nodes.meta_leader()
        before = list(watched.lines)

        await victim.kill()

        await right(watched, before)
        await victim.start()
        await nodes.whole()
        await evenly_owned(watched.connection)
        events = await watched.connection.js.stream_info("AUDIT-pair")
        assert events.config.num_replicas == 3


async def test_when_the_node_of_the_leases_dies_no_partition_has_two_owners_and_all_watchers_come_back(tmp_path: Path) -> None:
    served, names = Served(), Names("ns")
    heard: list[set[str]] = [set() for _ in range(2 * WATCHERS)]
    async with cluster(tmp_path) as nodes, connect(nodes.url, name="test") as connection, AsyncExitStack() as stack:
        await ensure_topology(connection.js, "ns", replicas=3)
        await nodes.whole()
        hosts = [await stack.enter_async_context(somebody(nodes.url, name, served)) for name in ("a", "b")]
        await calm(*hosts)
        async with asyncio.TaskGroup() as tasks:
            reading = [tasks.create_task(read(connection, names.rejected, mine)) for mine in heard[:WATCHERS]]
            watching = [tasks.create_task(watch(Keys(connection, names.systems), mine)) for mine in heard[WATCHERS:]]
            await told(connection, "1", heard)

            victim = await nodes.leader(connection.js, f"KV_{names.instances}")
            await victim.kill()
            await nodes.meta_leader()
            took = await told(connection, "2", heard)
            await nodes.led(connection.js, f"KV_{names.instances}", by_other_than=victim)
            while not all(host.membership.sure() for host in hosts):
                await asyncio.sleep(0.01)
            await calm(*hosts)
            await end([*reading, *watching])

    assert took < SILENT
    assert served.twice == []


async def read(connection: Connection, stream: str, heard: set[str]) -> None:
    """Take down every message."""
    await OrderedReader(connection, stream, ["ns.rejected.>"], lambda stored: heard.add(stored.data.decode())).run()


async def watch(keys: Keys, heard: set[str]) -> None:
    """Take down every key that changes."""
    while True:
        with suppress(NoAnswer):
            async with aclosing(keys.watch()) as changes:
                async for key, _ in changes:
                    heard.add(key)


async def told(connection: Connection, what: str, heard: list[set[str]]) -> float:
    """Write on a stream and in a bucket until it is stored; the seconds until everybody has read it."""
    stored = False
    while not stored:
        with suppress(NoAnswer, NatsError):
            await connection.js.publish("ns.rejected.k", what.encode(), timeout=1, headers={"Nats-Msg-Id": what})
            await Keys(connection, Names("ns").systems).create(what, b"")
            stored = True
        await asyncio.sleep(0.02)
    begun = time.monotonic()
    while not all(what in mine for mine in heard):
        await asyncio.sleep(0.01)
    return time.monotonic() - begun
