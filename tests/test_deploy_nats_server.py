"""The configuration that ships for a nats-server of one's own."""

import asyncio
import json
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bus.connection import connect
from bus.errors import Unreachable
from bus.server import find_binary
from deploy.host import Plan, host
from deploy.settings import read_settings
from tests.ports import free_port

CONFIGURATION = Path(__file__).resolve().parent.parent / "deploy" / "nats-server.conf"


@pytest.fixture
async def shipped(tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """A server that is started with it, on a store and ports of its own: where clients connect, and its monitoring."""
    port, monitoring = free_port(), free_port()
    command = (str(find_binary()), "-c", str(CONFIGURATION), "-p", str(port), "-m", str(monitoring))
    process = await asyncio.create_subprocess_exec(*command, env={"NATS_STORE": str(tmp_path / "store")}, stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield f"nats://127.0.0.1:{port}", f"http://127.0.0.1:{monitoring}"
    finally:
        process.terminate()
        await process.wait()


async def until_up(url: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                async with connect(url, name="test"):
                    return
            except Unreachable:
                await asyncio.sleep(0.02)


async def ask(address: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        told: dict[str, Any] = json.loads(await answer.read())
        return told


async def test_a_server_with_the_shipped_configuration_takes_our_streams_and_syncs_every_write(shipped: tuple[str, str]) -> None:
    url, monitoring = shipped
    await until_up(url)

    async with host(read_settings(), url, Plan()) as running:
        await running.ready()
        jetstream, server = await ask(f"{monitoring}/jsz"), await ask(f"{monitoring}/varz")

    assert jetstream["streams"] > 0
    assert jetstream["config"]["sync_always"]
    assert server["max_payload"] == 2097152
    assert server["host"] == "127.0.0.1"
