import asyncio
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

import aiohttp
import pytest

from messages.actions.links import Cut, Latency, Refuse
from targets.errors import NotThere, StartFailed
from targets.find import find_tagged, tagged_processes
from targets.identity import is_alive
from targets.process import ProcessDriver
from targets.proxy.api import REPORT, LinkPlan, Report
from targets.proxy.client import LinkProxy, control_proxy
from targets.proxy.errors import LinkBusy, LinkRefused
from targets.proxy.starting import SERVICE, find_proxy, start_proxy

SOON = 10
MB = 1024 * 1024
STARTER = """
import asyncio, json, os, sys
from pathlib import Path
from targets.process import ProcessDriver
from targets.proxy.api import LinkPlan
from targets.proxy.starting import start_proxy

async def main():
    driver = ProcessDriver(environment={"PATH": os.environ["PATH"]})
    report = await start_proxy(driver, sys.argv[1], {"orders": LinkPlan(service=sys.argv[2])}, Path(sys.argv[3]))
    print(report.model_dump_json(), flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self, size: int) -> bytes:
        async with asyncio.timeout(SOON):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        async with asyncio.timeout(SOON):
            return await self.reader.read()

    def reset(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Service:
    """Accepts connections and hands them to the test."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[Peer] = asyncio.Queue()
        self._peers: list[Peer] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MB)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for peer in self._peers:
            peer.writer.transport.abort()

    async def accepted(self) -> Peer:
        async with asyncio.timeout(SOON):
            return await self._came.get()

    async def connect(self, address: str) -> Peer:
        host, _, port = address.rpartition(":")
        peer = Peer(*await asyncio.open_connection(host, int(port), limit=MB))
        self._peers.append(peer)
        return peer

    async def pair(self, address: str) -> tuple[Peer, Peer]:
        """A connection by this address: the client's end and the service's."""
        client = await self.connect(address)
        return client, await self.accepted()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self._peers.append(peer)
        await self._came.put(peer)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as service:
        yield service


@pytest.fixture
def run(tmp_path: Path) -> str:
    return f"{tmp_path.name[:40]}-{os.getpid()}"


@pytest.fixture
async def driver(tmp_path: Path, run: str) -> AsyncIterator[ProcessDriver]:
    driver = ProcessDriver(environment={"PATH": os.environ["PATH"]}, logs=tmp_path / "logs")
    yield driver
    for tagged in tagged_processes(run):
        await driver.kill(tagged.identity)
    await driver.aclose()


@pytest.fixture
async def report(driver: ProcessDriver, run: str, service: Service, tmp_path: Path) -> Report:
    links = {"orders": LinkPlan(service=service.address), "quotes": LinkPlan(service=service.address)}
    return await start_proxy(driver, run, links, tmp_path / "proxy")


@pytest.fixture
async def proxy(report: Report, run: str, tmp_path: Path) -> AsyncIterator[LinkProxy]:
    async with control_proxy(report) as proxy:
        yield proxy
    assert (tmp_path / "logs" / run / f"{SERVICE}.log").read_text() == ""


@pytest.fixture
def orders(report: Report) -> str:
    return report.links["orders"].address


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("size", [1, MB, 64 * MB])
async def test_bytes_pass_whole_both_ways_at_once(service: Service, orders: str, size: int) -> None:
    client, server = await service.pair(orders)
    there, back = os.urandom(size), os.urandom(size)

    async with asyncio.TaskGroup() as group:
        group.create_task(client.send(there))
        group.create_task(server.send(back))
        came = group.create_task(server.receive(size))
        returned = group.create_task(client.receive(size))

    assert came.result() == there
    assert returned.result() == back


async def test_what_passed_is_counted(service: Service, proxy: LinkProxy, orders: str) -> None:
    client, server = await service.pair(orders)
    await client.send(b"x" * 1000)
    await server.receive(1000)
    await server.send(b"y" * 10)
    await client.receive(10)

    state = await proxy.link("orders")

    assert (state.accepted, state.open, state.passed) == (1, 1, {"upstream": 1000, "downstream": 10})
    assert (await proxy.links())["quotes"].accepted == 0


async def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on(service: Service, orders: str) -> None:
    client, server = await service.pair(orders)

    await client.send(b"question")
    client.writer.write_eof()

    assert await server.rest() == b"question"
    await server.send(b"answer")
    assert await client.receive(6) == b"answer"
    server.writer.close()
    assert await client.rest() == b""


async def test_what_the_service_says_first_comes_and_its_end_after_it(service: Service, orders: str) -> None:
    client, server = await service.pair(orders)

    await server.send(b"welcome")
    server.writer.close()

    assert await client.rest() == b"welcome"


async def test_a_reset_of_the_service_reaches_the_client(service: Service, orders: str) -> None:
    client, server = await service.pair(orders)

    server.reset()

    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_reset_of_the_client_reaches_the_service(service: Service, orders: str) -> None:
    client, server = await service.pair(orders)

    client.reset()

    with pytest.raises(ConnectionResetError):
        await server.rest()


async def test_where_the_service_refuses_the_client_is_reset(
    driver: ProcessDriver, run: str, tmp_path: Path, service: Service, unused_port: Callable[[], int]
) -> None:
    links = {"nobody": LinkPlan(service=f"127.0.0.1:{unused_port()}")}
    report = await start_proxy(driver, run, links, tmp_path / "proxy")

    async def talk() -> None:
        client = await service.connect(report.links["nobody"].address)
        await client.rest()

    with pytest.raises(ConnectionResetError):  # which may come before it has seen that it is connected
        await talk()


async def test_many_connections_keep_their_bytes_apart(service: Service, proxy: LinkProxy, orders: str) -> None:
    pairs = [await service.pair(orders) for _ in range(200)]
    said = [os.urandom(2000) for _ in pairs]

    for (client, _), data in zip(pairs, said, strict=True):
        await client.send(data)

    assert [await server.receive(2000) for _, server in pairs] == said
    assert (await proxy.link("orders")).open == 200


async def test_closed_connections_are_forgotten(service: Service, proxy: LinkProxy, orders: str) -> None:
    for _ in range(20):
        client, server = await service.pair(orders)
        client.writer.close()
        assert await server.rest() == b""
        server.writer.close()
        await client.writer.wait_closed()

    async with asyncio.timeout(SOON):
        while (await proxy.link("orders")).open:
            await asyncio.sleep(0.01)


async def test_a_reader_that_does_not_read_holds_the_sender_back_and_no_memory_grows(service: Service, report: Report, orders: str) -> None:
    client, server = await service.pair(orders)
    server.writer.transport.pause_reading()  # type: ignore[attr-defined]
    before, sent = resident(report.identity.pid), 0

    with suppress(TimeoutError):
        while sent < 256 * MB:
            async with asyncio.timeout(0.5):
                await client.send(bytes(MB))
            sent += MB

    assert sent < 64 * MB
    assert resident(report.identity.pid) - before < 16 * MB


async def test_the_proxy_is_found_again_by_tags_and_by_its_folder(report: Report, run: str, tmp_path: Path) -> None:
    assert find_tagged(run) == {SERVICE: report.identity}
    assert find_proxy(tmp_path / "proxy") == report


async def test_the_secret_is_for_our_user_alone(report: Report, tmp_path: Path) -> None:
    assert report.secret not in Path(f"/proc/{report.identity.pid}/cmdline").read_text()
    assert report.secret not in repr(report)
    assert (tmp_path / "proxy" / REPORT).stat().st_mode & 0o077 == 0


async def test_links_outlive_a_starter_that_is_killed(service: Service, run: str, driver: ProcessDriver, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, run, service.address, str(tmp_path / "proxy")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starter:  # noqa: ASYNC220 - it says one line and is killed
        assert starter.stdout is not None
        report = Report.model_validate_json(await asyncio.to_thread(starter.stdout.readline))
        client, server = await service.pair(report.links["orders"].address)
        starter.kill()

    await client.send(b"still")
    assert await server.receive(5) == b"still"
    async with control_proxy(report) as proxy:
        assert await proxy.put("f1", "orders", "refuse", Refuse())
        with pytest.raises(ConnectionRefusedError):
            await service.connect(report.links["orders"].address)


async def test_sigterm_ends_it_though_connections_are_open_and_held(
    service: Service, driver: ProcessDriver, proxy: LinkProxy, orders: str
) -> None:
    client, _ = await service.pair(orders)
    await proxy.put("f1", "orders", "cut", Cut())
    await service.connect(orders)

    stopped = await driver.stop(proxy.report.identity, signal="TERM", grace=timedelta(seconds=SOON))

    assert (stopped.killed, stopped.exit_code) == (False, 0)
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_proxy_that_is_gone_is_told_as_gone(driver: ProcessDriver, proxy: LinkProxy, tmp_path: Path) -> None:
    await driver.kill(proxy.report.identity)

    with pytest.raises(NotThere):
        await proxy.remove("f1")
    assert find_proxy(tmp_path / "proxy") is None


async def test_a_port_that_is_taken_fails_the_start(driver: ProcessDriver, run: str, service: Service, tmp_path: Path) -> None:
    taken = int(service.address.rpartition(":")[2])

    with pytest.raises(StartFailed, match="its log says why"):
        await start_proxy(driver, run, {"orders": LinkPlan(service="127.0.0.1:1", port=taken)}, tmp_path / "proxy")

    assert "in use" in (tmp_path / "logs" / run / f"{SERVICE}.log").read_text()


async def test_a_link_listens_where_it_is_told_to(
    driver: ProcessDriver, run: str, service: Service, tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    port = unused_port()

    report = await start_proxy(driver, run, {"orders": LinkPlan(service=service.address, port=port)}, tmp_path / "proxy")

    assert report.links["orders"].address == f"127.0.0.1:{port}"
    await service.pair(f"127.0.0.1:{port}")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer ä"}])
@pytest.mark.parametrize(("method", "path"), [("GET", "/links"), ("PUT", "/toxics/f1"), ("DELETE", "/toxics/f1"), ("GET", "/no")])
async def test_nobody_without_the_secret_is_served(report: Report, headers: dict[str, str], method: str, path: str) -> None:
    body = {"link": "orders", "action": "refuse"}

    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{report.control}{path}", json=body, headers=headers) as got,
    ):
        assert got.status == 401


async def test_a_fault_is_put_once_and_removed_once(proxy: LinkProxy) -> None:
    slow = Latency(delay=timedelta(milliseconds=1))

    assert [await proxy.put("f1", "orders", "latency", slow) for _ in range(2)] == [True, False]
    assert (await proxy.link("orders")).fault == "f1"
    told = (await proxy.toxics())["f1"]
    assert (told.link, told.action, Latency.model_validate(told.parameters)) == ("orders", "latency", slow)
    assert [await proxy.remove("f1") for _ in range(2)] == [True, False]
    assert await proxy.toxics() == {}


async def test_a_second_fault_on_a_link_is_refused_until_the_first_is_gone(proxy: LinkProxy) -> None:
    await proxy.put("f1", "orders", "refuse", Refuse())

    with pytest.raises(LinkBusy, match="f1"):
        await proxy.put("f2", "orders", "cut", Cut())
    with pytest.raises(LinkBusy, match="orders"):
        await proxy.put("f1", "quotes", "refuse", Refuse())
    await proxy.remove("f1")
    assert await proxy.put("f2", "orders", "cut", Cut())


async def test_what_the_proxy_cannot_do_is_refused_with_the_reason(proxy: LinkProxy) -> None:
    with pytest.raises(LinkRefused, match="no link 'nowhere'") as unknown:
        await proxy.put("f1", "nowhere", "refuse", Refuse())
    with pytest.raises(LinkRefused, match="no action 'explode'"):
        await proxy.put("f1", "orders", "explode", Refuse())
    with pytest.raises(LinkRefused, match="delay"):
        await proxy.put("f1", "orders", "latency", Refuse())

    assert unknown.value.status == 404
    assert await proxy.toxics() == {}


async def test_a_fault_whose_lease_is_not_renewed_ends_itself(service: Service, proxy: LinkProxy, orders: str) -> None:
    await proxy.put("f1", "orders", "cut", Cut(), lease=timedelta(milliseconds=300))
    await proxy.put("f1", "orders", "cut", Cut(), lease=timedelta(milliseconds=300))
    await service.connect(orders)

    await service.accepted()

    assert await proxy.toxics() == {}


async def test_a_lease_that_is_renewed_holds(proxy: LinkProxy) -> None:
    await proxy.put("f1", "orders", "cut", Cut(), lease=timedelta(milliseconds=100))
    await proxy.put("f1", "orders", "cut", Cut())
    await proxy.put("f2", "quotes", "cut", Cut(), lease=timedelta(milliseconds=200))

    async with asyncio.timeout(SOON):
        while "f2" in await proxy.toxics():
            await asyncio.sleep(0.01)

    assert "f1" in await proxy.toxics()
    assert is_alive(proxy.report.identity)
