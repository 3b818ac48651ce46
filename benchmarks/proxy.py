"""The proxy of links beside a direct connection, and beside Toxiproxy where one is there: round trips and throughput."""

import asyncio
import os
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.measure import percentile
from targets.process import ProcessDriver
from targets.proxy.api import LinkPlan
from targets.proxy.starting import start_proxy

TRIALS = 5
TRIPS = 3000
TRIP_SIZE = 64
BULK = 256 * 1024 * 1024
_HEADER = struct.Struct("!Q")
_PIECE = bytes(256 * 1024)
_TO_START = 10


@dataclass(frozen=True, slots=True)
class Trials:
    """What was measured on one way to the far end, a value for each trial; the trials of all ways took turns."""

    trip_p50: list[float] = field(default_factory=list)
    """Microseconds for 64 bytes there and back."""
    trip_p99: list[float] = field(default_factory=list)
    throughput: list[float] = field(default_factory=list)
    """Megabytes (10^6) a second in one direction, on one connection."""


@dataclass(frozen=True, slots=True)
class ProxyMeasure:
    """The same load on each way to the same far end."""

    direct: Trials
    proxy: Trials
    toxiproxy: Trials | None
    """None where there is none on the PATH or in TOXIPROXY."""


def far_end(listener: socket.socket) -> None:
    """Echoes, or reads as many bytes as the first eight say and answers with one; each connection in a thread."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        left = _HEADER.unpack(connection.recv(_HEADER.size, socket.MSG_WAITALL))[0]
        if not left:
            while data := connection.recv(TRIP_SIZE):
                connection.sendall(data)
            return
        buffer = bytearray(len(_PIECE))
        while left:
            left -= connection.recv_into(buffer)
        connection.sendall(b"x")


def _connect(port: int, size: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(_HEADER.pack(size))
    return connection


def _round_trips(port: int) -> list[float]:
    spans = []
    with _connect(port, 0) as connection:
        for _ in range(TRIPS):
            begun = time.perf_counter()
            connection.sendall(_PIECE[:TRIP_SIZE])
            connection.recv(TRIP_SIZE, socket.MSG_WAITALL)
            spans.append((time.perf_counter() - begun) * 1_000_000)
    # The first ones set the connection up.
    return spans[TRIPS // 10 :]


def _throughput(port: int) -> float:
    with _connect(port, BULK) as connection:
        begun = time.perf_counter()
        for _ in range(BULK // len(_PIECE)):
            connection.sendall(_PIECE)
        connection.recv(1)
        return BULK / (time.perf_counter() - begun) / 1_000_000


async def _trial(port: int, trials: Trials) -> None:
    trips = await asyncio.to_thread(_round_trips, port)
    trials.trip_p50.append(percentile(trips, 50))
    trials.trip_p99.append(percentile(trips, 99))
    trials.throughput.append(await asyncio.to_thread(_throughput, port))


async def measure() -> ProxyMeasure:
    """Every way, in turns."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(_far_end())
        ways = {port: Trials(), await stack.enter_async_context(_proxy(port)): Trials()}
        program = os.environ.get("TOXIPROXY") or shutil.which("toxiproxy-server")
        if program is not None:
            ways[await stack.enter_async_context(_toxiproxy(program, port))] = Trials()
        for _ in range(TRIALS):
            for each, trials in ways.items():
                await _trial(each, trials)
    direct, proxy, *peer = ways.values()
    return ProxyMeasure(direct, proxy, peer[0] if peer else None)


@asynccontextmanager
async def _process(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


@asynccontextmanager
async def _far_end() -> AsyncIterator[int]:
    async with _process(sys.executable, "-m", "benchmarks.proxy", "far-end") as process:
        assert process.stdout is not None  # noqa: S101 - asked for above
        yield int(await process.stdout.readline())


@asynccontextmanager
async def _proxy(port: int) -> AsyncIterator[int]:
    driver = ProcessDriver(environment={"PATH": os.environ["PATH"]})
    with tempfile.TemporaryDirectory() as folder:
        report = await start_proxy(driver, "bench", {"link": LinkPlan(service=f"127.0.0.1:{port}")}, Path(folder))
        try:
            yield int(report.links["link"].address.rpartition(":")[2])
        finally:
            await driver.kill(report.identity)
            await driver.aclose()


@asynccontextmanager
async def _toxiproxy(program: str, port: int) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        control = free.getsockname()[1]
    plan = {"name": "link", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{port}", "enabled": True}
    async with _process(program, "-host", "127.0.0.1", "-port", str(control)), aiohttp.ClientSession() as session:
        async with asyncio.timeout(_TO_START):
            while True:
                try:
                    async with session.post(f"http://127.0.0.1:{control}/proxies", json=plan) as answer:
                        listen = (await answer.json())["listen"]
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.02)
        yield int(listen.rpartition(":")[2])


def main() -> None:
    """Serve as the far end if asked to, else measure and print the medians."""
    if sys.argv[1:] == ["far-end"]:
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        far_end(listener)
    told = asyncio.run(measure())
    for name, trials in (("direct", told.direct), ("proxy", told.proxy), ("toxiproxy", told.toxiproxy)):
        if trials is not None:
            p50, p99, rate = (percentile(values, 50) for values in (trials.trip_p50, trials.trip_p99, trials.throughput))
            print(f"{name:<10} round trip p50 {p50:7.1f} us  p99 {p99:7.1f} us  {rate:8.0f} MB/s")


if __name__ == "__main__":
    main()
