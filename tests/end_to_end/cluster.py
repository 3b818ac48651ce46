"""A JetStream cluster of three nats-servers on loopback, whose nodes can be killed and started again."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from bus.server import find_binary
from tests.ports import free_port

SIZE = 3
_READY_LIMIT = 20.0


@dataclass
class Node:
    """One nats-server of the cluster."""

    name: str
    folder: Path
    port: int
    routes: int
    monitoring: int
    process: Process | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    def configuration(self, everyone: list["Node"]) -> str:
        """Its settings; every node has a route to each other one."""
        routes = ", ".join(f'"nats://127.0.0.1:{node.routes}"' for node in everyone if node is not self)
        return f"""
server_name: {self.name}
listen: "127.0.0.1:{self.port}"
http: "127.0.0.1:{self.monitoring}"
max_payload: 2097152
log_file: "{self.folder / "nats-server.log"}"
jetstream {{ store_dir: "{self.folder}", max_memory_store: 67108864, max_file_store: 1073741824 }}
cluster {{ name: three, listen: "127.0.0.1:{self.routes}", routes: [{routes}], pool_size: -1 }}
"""

    async def start(self) -> None:
        """Start it on its own store and ports."""
        command = (str(find_binary()), "-c", str(self.folder / "nats-server.conf"))
        self.process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.returncode is None

    async def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self.process is not None and self.runs:
            self.process.kill()
            await self.process.wait()

    async def ask(self, path: str) -> dict[str, Any]:
        """What its monitoring says; empty when it does not answer."""
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.monitoring)
                writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                _, _, body = (await reader.read()).partition(b"\r\n\r\n")
                writer.close()
        except (OSError, TimeoutError):
            return {}
        told: dict[str, Any] = json.loads(body or b"{}")
        return told


class Cluster:
    """Three nodes. Made by `cluster`, which also ends them."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [Node(f"n{place}", folder / f"n{place}", free_port(), free_port(), free_port()) for place in range(SIZE)]

    @property
    def url(self) -> str:
        """The addresses of all nodes, separated by commas."""
        return ",".join(node.url for node in self.nodes)

    def node(self, name: str) -> Node:
        """The node of this name."""
        return next(node for node in self.nodes if node.name == name)

    async def start(self) -> None:
        """Start every node; returns when the cluster makes streams on all of them."""
        for node in self.nodes:
            node.folder.mkdir(parents=True)
            (node.folder / "nats-server.conf").write_text(node.configuration(self.nodes))
            await node.start()
        await self.whole()

    async def whole(self) -> None:
        """Wait until every node is there and has caught up with what streams there are."""
        async with asyncio.timeout(_READY_LIMIT):
            while not await self._is_whole():
                await asyncio.sleep(0.05)

    async def _is_whole(self) -> bool:
        if not all([(await node.ask("/healthz")).get("status") == "ok" for node in self.nodes]):
            return False
        told = (await (await self.meta_leader()).ask("/jsz")).get("meta_cluster", {})
        replicas = told.get("replicas") or ()
        return len(replicas) == SIZE - 1 and all(replica["current"] for replica in replicas)

    async def meta_leader(self) -> Node:
        """The node that decides about streams."""
        while True:
            for node in self.nodes:
                leader = (await node.ask("/jsz")).get("meta_cluster", {}).get("leader")
                if leader and self.node(leader).runs:
                    return self.node(leader)
            await asyncio.sleep(0.05)

    async def leader(self, js: JetStreamContext, stream: str) -> Node:
        """The node that writes a stream."""
        info = await js.stream_info(stream)
        assert info.cluster is not None
        assert info.cluster.leader is not None
        return self.node(info.cluster.leader)

    async def led(self, js: JetStreamContext, stream: str, *, by_other_than: Node) -> None:
        """Wait until another node writes the stream."""
        leader = by_other_than
        while leader is by_other_than:
            with suppress(TimeoutError, NatsError, AssertionError):
                async with asyncio.timeout(0.5):
                    leader = await self.leader(js, stream)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """A cluster on this folder, ready for streams with three replicas; its nodes are killed at the end."""
    running = Cluster(folder)
    try:
        await running.start()
        yield running
    finally:
        for node in running.nodes:
            await node.kill()
