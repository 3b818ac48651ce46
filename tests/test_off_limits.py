"""The bus is not a target under whatever name or address it is reached."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import nats
import pytest

from actors.chaos_injector.off_limits import BUS, OURSELVES, Surroundings, address_of
from bus.connection import Connection
from bus.server import find_binary
from messages.system import System

SYSTEM = System.model_validate_json("""{"metadata": {"name": "y"}, "spec": {
  "services": {
    "a": {"driver": {"external": {}}, "health": {"tcp": {"address": "broker.example:4222"}}},
    "b": {"driver": {"external": {}}, "health": {"tcp": {"address": "other.example:4222"}}},
    "c": {"driver": {"external": {}}, "health": {"tcp": {"address": "gone.example:4222"}}}}}}""")
LEADS_TO = {"broker.example": "192.0.2.7", "bus.example": "192.0.2.7", "other.example": "192.0.2.8", "host.example": "192.0.2.9"}


def of_this_machine() -> str:
    """An address of this machine that is not loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has loopback alone")
        return str(probe.getsockname()[0])


def test_an_address_of_this_machine_is_this_machine_and_another_is_not() -> None:
    mine = of_this_machine()

    assert address_of(mine, 4222) == address_of(f"::ffff:{mine}", 4222) == ("localhost", 4222)
    assert address_of("192.0.2.7", 4222) == ("192.0.2.7", 4222)


async def test_the_bus_on_loopback_is_found_at_the_address_of_this_machine() -> None:
    found = await Surroundings("nats://127.0.0.1:4222").off_limits(SYSTEM)

    assert found.at(of_this_machine(), 4222) == BUS


async def test_names_that_lead_to_the_bus_or_to_the_host_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def resolved(name: str) -> frozenset[str]:
        asked.append(name)
        return frozenset({LEADS_TO[name]} if name in LEADS_TO else ())

    monkeypatch.setattr("actors.chaos_injector.off_limits._resolved", resolved)
    around = Surroundings("nats://bus.example", lambda: ["http://host.example:80"])

    found = [await around.off_limits(SYSTEM) for _ in range(2)][-1]

    assert [found.of(SYSTEM.spec.services[name], None) for name in "abc"] == [BUS, None, None]
    assert [found.at("192.0.2.7", 4222), found.at("192.0.2.7", 4223), found.at("192.0.2.9", 80)] == [BUS, None, OURSELVES]
    assert sorted(asked) == ["broker.example", "bus.example", "gone.example", "host.example", "other.example"]


async def test_a_name_that_nobody_can_look_up_in_time_is_compared_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_arguments: object, **_more: object) -> list[object]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    monkeypatch.setattr("actors.chaos_injector.off_limits.LOOKUP_LIMIT", 0.05)

    found = await Surroundings("nats://broker.example").off_limits(SYSTEM)

    assert [found.of(SYSTEM.spec.services[name], None) for name in "ab"] == [BUS, None]


@asynccontextmanager
async def clustered(folder: Path, port: int, mine: int, other: int) -> AsyncIterator[None]:
    cluster = f"cluster {{ name: c, listen: 127.0.0.1:{mine}, routes: [nats://127.0.0.1:{other}] }}"
    (folder / f"{port}.conf").write_text(f"listen: 127.0.0.1:{port}\n{cluster}\n")
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(str(find_binary()), "-c", str(folder / f"{port}.conf"), stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_a_server_of_the_cluster_that_the_address_does_not_name_is_the_bus_too(
    tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    one, two, here, there = (unused_port() for _ in range(4))
    url = f"nats://127.0.0.1:{one}"
    async with clustered(tmp_path, one, here, there), clustered(tmp_path, two, there, here), AsyncExitStack() as stack:
        nc = await nats.connect(url, reconnect_time_wait=0.05)
        stack.push_async_callback(nc.close)
        connection = Connection(nc, nc.jetstream(), url)
        around = Surroundings(url, servers=lambda: connection.servers)

        async with asyncio.timeout(20):
            while (await around.off_limits(SYSTEM)).at("127.0.0.1", two) is None:
                await asyncio.sleep(0.02)

        found = await around.off_limits(SYSTEM)
    assert [found.at("127.0.0.1", port) for port in (one, two, here)] == [BUS, BUS, None]
