"""The client that submits orders through the trading engine, as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_ecosystem import ROOT, Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.clear()


async def _client(url: str, rate: str) -> asyncio.subprocess.Process:
    environment = {"PATH": os.environ["PATH"], "ENGINE_URL": url, "RATE": rate}
    command = (sys.executable, "-m", "ecosystem.order_client")
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE)


async def _operations(client: asyncio.subprocess.Process, number: int) -> list[dict[str, object]]:
    assert client.stdout
    async with asyncio.timeout(15):
        return [json.loads(await client.stdout.readline()) for _ in range(number)]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_every_operation_is_a_line_and_a_signal_ends_it_with_0(town: Town, stop: signal.Signals) -> None:
    town.start("exchange_simulator", NATS_URL="")
    town.start("trading_engine", NATS_URL="", ORDER_RATE="0")
    await town.healthy("exchange_simulator", "trading_engine")
    client = await _client(town.url("trading_engine"), "100")

    operations = await _operations(client, 60)
    client.send_signal(stop)
    rest = (await asyncio.wait_for(client.communicate(), 5))[0]

    assert client.returncode == 0
    assert all(set(each) == {"op", "id", "outcome", "took"} for each in operations)
    assert {each["op"] for each in operations} == {"submit_order"}
    outcomes = Counter(each["outcome"] for each in operations)
    assert outcomes["ok"] > 40
    assert not outcomes["unknown"]
    told = len(operations) + len(rest.splitlines())
    assert told == await town.orders("submitted")


@pytest.mark.long
async def test_an_operation_that_nobody_can_decide_is_unknown_and_one_that_never_began_has_failed(town: Town) -> None:
    town.start("trading_engine", NATS_URL="", ORDER_RATE="0")  # there is no exchange
    await town.healthy("trading_engine")
    undecided = await _client(town.url("trading_engine"), "20")
    nowhere = await _client(town.url("exchange_simulator"), "20")

    assert {each["outcome"] for each in await _operations(undecided, 5)} == {"unknown"}
    assert {each["outcome"] for each in await _operations(nowhere, 5)} == {"failed"}

    for client in (undecided, nowhere):
        client.terminate()
        await asyncio.wait_for(client.communicate(), 5)
        assert client.returncode == 0
