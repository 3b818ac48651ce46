"""The miniature ecosystem, as real processes on a real nats-server."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import nats
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from bus.subjects import covers
from ecosystem.audit_correlator import AuditCorrelator
from ecosystem.risk_monitor import RiskMonitor
from ecosystem.service import Service
from ecosystem.settings import read_settings
from ecosystem.switches import read_switches
from ecosystem.trading_engine import TradingEngine
from messages.audit_events import TYPES, subject_of
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
ALL = ("market_data_simulator", "exchange_simulator", "custodian_simulator", "trading_engine", "risk_monitor", "audit_correlator")
ENDINGS = ("order.filled", "order.rejected")


async def until(fact: Callable[[], object], within: float = 25.0) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(within):
        while not fact():
            await asyncio.sleep(0.02)


async def eventually(fact: Callable[[], Awaitable[object]], within: float = 25.0) -> None:
    """Like `until`, for a fact that must be asked for."""
    async with asyncio.timeout(within):
        while not await fact():
            await asyncio.sleep(0.02)


class Trail:
    """All events in the stream, in its order."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    async def hear(self, message: Msg) -> None:
        self.events.append(json.loads(message.data))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def keys(self, *kinds: str) -> Counter[str]:
        return Counter(event["data"]["order_id"] for event in self.events if event["type"] in kinds)

    async def closes(self) -> None:
        """Waits until every order submitted so far is closed, then demands that each was opened and closed once."""
        opened = set(self.keys("order.submitted"))
        await until(lambda: opened <= set(self.keys(*ENDINGS)))
        assert max(self.keys("order.submitted").values()) == 1
        assert max(self.keys(*ENDINGS).values()) == 1

    async def grows(self, by: int = 30) -> None:
        """Waits until orders go on being closed."""
        goal = len(self.keys(*ENDINGS)) + by
        await until(lambda: len(self.keys(*ENDINGS)) >= goal)


class Town:
    """Services as processes on free ports."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.nats_port = free_port()
        self.ports = {module: (free_port(), free_port()) for module in ALL}
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, module: str, **extra: str) -> subprocess.Popen[bytes]:
        http, rpc = self.ports[module]
        settings = {
            "PATH": os.environ["PATH"],
            "NATS_URL": f"nats://127.0.0.1:{self.nats_port}",
            "EXCHANGE_URL": self.url("exchange_simulator"),
            "CUSTODIAN_URL": "",
            "MARKET_DATA_URL": "",
            "HTTP_PORT": str(http),
            "GRPC_PORT": str(rpc),
            "STATE_DIR": str(self.state / module),
            "ORDER_RATE": "200",
        }
        return self._spawn([sys.executable, "-m", f"ecosystem.{module}"], settings | extra)

    def start_nats(self) -> subprocess.Popen[bytes]:
        server = Path(sysconfig.get_path("scripts")) / "nats-server"
        store = ["-js", "-sd", str(self.state / "js"), "-l", str(self.state / "nats.log")]
        return self._spawn([str(server), "-a", "127.0.0.1", "-p", str(self.nats_port), *store], {})

    def _spawn(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.state / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=log)
        self.processes.append(process)
        return process

    def log(self) -> str:
        return (self.state / "log").read_text()

    def url(self, module: str) -> str:
        return f"http://127.0.0.1:{self.ports[module][0]}"

    async def get(self, module: str, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.url(module) + path) as response:
            return response.status, await response.text()

    async def healthy(self, *modules: str) -> None:
        for module in modules:
            await eventually(partial(self._answers, module))

    async def orders(self, outcome: str) -> int:
        """What the engine says about its orders."""
        return int(json.loads((await self.get("trading_engine", "/api/v1/orders/summary"))[1])[outcome])

    async def _answers(self, module: str) -> bool:
        try:
            return (await self.get(module, "/api/v1/health"))[0] == 200
        except aiohttp.ClientError:
            return False

    def clear(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.clear()


@pytest.fixture
async def bus(town: Town) -> AsyncIterator[Client]:
    town.start_nats()
    client = await _connect(town)
    yield client
    await client.close()


@pytest.fixture
async def trail(bus: Client) -> Trail:
    trail = Trail()
    await _record(bus, trail)
    return trail


async def _quiet(_: Exception) -> None: ...


async def _connect(town: Town) -> Client:
    async with asyncio.timeout(5):
        return await nats.connect(f"nats://127.0.0.1:{town.nats_port}", reconnect_time_wait=0.02, error_cb=_quiet)


async def _record(bus: Client, trail: Trail) -> None:
    jetstream = bus.jetstream()
    async with asyncio.timeout(5):
        while True:
            try:
                await jetstream.add_stream(name="AUDIT", subjects=["trading.events.>"])
                break
            except NatsError:
                await asyncio.sleep(0.02)
    await jetstream.subscribe("trading.events.>", ordered_consumer=True, cb=trail.hear)


async def _trade(town: Town, **engine: str) -> subprocess.Popen[bytes]:
    town.start("exchange_simulator")
    process = town.start("trading_engine", **engine)
    await town.healthy("exchange_simulator", "trading_engine")
    return process


def test_all_six_serve_health_metrics_and_grpc_health_and_stop_with_0(town: Town) -> None:
    async def visit(module: str) -> None:
        status, text = await town.get(module, "/api/v1/health")
        assert status == 200
        assert set(json.loads(text)) == {"status", "service", "instance", "version", "environment", "timestamp"}
        assert 'service_info{environment="development"' in (await town.get(module, "/metrics"))[1]

    async def visit_all() -> None:
        await town.healthy(*ALL)
        for module in ALL:
            await visit(module)

    processes = [town.start(module, NATS_URL="") for module in ALL]
    asyncio.run(visit_all())
    for module in ALL:
        with grpc.insecure_channel(f"127.0.0.1:{town.ports[module][1]}") as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
    for process in processes:
        process.terminate()

    assert [process.wait(timeout=2) for process in processes] == [0] * 6


async def test_every_order_is_submitted_once_then_closed_once_and_settled_once_if_filled(town: Town, trail: Trail) -> None:
    town.start("custodian_simulator")
    await _trade(town, ORDER_RATE="300", CUSTODIAN_URL=town.url("custodian_simulator"))

    await trail.grows(300)
    await trail.closes()

    filled = set(trail.keys("order.filled"))
    await until(lambda: filled <= set(trail.keys("settlement.completed")))
    kinds = [event["type"] for event in trail.events if event.get("correlationid") == trail.of("settlement.completed")[0]["correlationid"]]
    # Three services, three connections: only what one of them says keeps its order.
    assert sorted(kinds) == ["order.filled", "order.submitted", "settlement.completed", "settlement.requested"]
    assert max(trail.keys("settlement.completed").values()) == 1
    assert trail.of("order.rejected")


async def test_no_order_is_lost_or_doubled_when_the_engine_is_killed(town: Town, trail: Trail) -> None:
    engine = await _trade(town)
    for _ in range(3):
        await trail.grows()
        engine.kill()
        engine.wait()
        engine = town.start("trading_engine")
    await town.healthy("trading_engine")

    await trail.grows()

    await trail.closes()
    assert await town.orders("recovered") > 0


async def test_no_order_is_lost_or_doubled_when_the_exchange_is_killed(town: Town, trail: Trail) -> None:
    town.start("trading_engine", ORDER_RATE="300")
    for _ in range(3):
        exchange = town.start("exchange_simulator")
        await town.healthy("exchange_simulator")
        await trail.grows(100)
        exchange.kill()
        exchange.wait()
    town.start("exchange_simulator")

    await trail.grows(100)

    await trail.closes()


async def test_no_order_is_lost_or_doubled_when_the_exchange_is_frozen_beyond_the_timeout(town: Town, trail: Trail) -> None:
    exchange = town.start("exchange_simulator")
    town.start("trading_engine")
    await trail.grows()

    async def has_retried() -> bool:
        return await town.orders("retried") > 20

    exchange.send_signal(signal.SIGSTOP)
    await eventually(has_retried)
    exchange.send_signal(signal.SIGCONT)

    await trail.grows(150)

    await trail.closes()


async def test_no_order_is_lost_or_doubled_when_the_engine_is_frozen(town: Town, trail: Trail) -> None:
    engine = await _trade(town)
    await trail.grows()
    engine.send_signal(signal.SIGSTOP)
    await until(lambda: Path(f"/proc/{engine.pid}/stat").read_text().split()[2] == "T")
    engine.send_signal(signal.SIGCONT)

    await trail.grows()

    await trail.closes()


async def test_a_settlement_is_neither_lost_nor_doubled_when_the_custodian_is_killed(town: Town, trail: Trail) -> None:
    custodian = town.start("custodian_simulator")
    await _trade(town, CUSTODIAN_URL=town.url("custodian_simulator"))
    await until(lambda: len(trail.of("settlement.completed")) > 20)
    custodian.kill()
    custodian.wait()
    await trail.grows()
    filled = set(trail.keys("order.filled"))
    town.start("custodian_simulator")

    await until(lambda: filled <= set(trail.keys("settlement.completed")))

    assert max(trail.keys("settlement.completed").values()) == 1


async def test_a_lost_order_shows(town: Town, trail: Trail) -> None:
    town.start("exchange_simulator", BUG_LOSE_ORDER="5")
    town.start("trading_engine")

    await until(lambda: len(trail.of("order.filled")) > 40)

    assert set(list(trail.keys("order.submitted"))[:20]) - set(trail.keys(*ENDINGS))


async def test_a_double_fill_shows(town: Town, trail: Trail) -> None:
    town.start("exchange_simulator", BUG_DOUBLE_FILL="5")
    town.start("trading_engine")

    await until(lambda: len(trail.of("order.filled")) > 20)

    assert [count for count in trail.keys(*ENDINGS).values() if count > 1] == [2]


async def test_an_engine_without_recovery_loses_orders_at_a_kill(town: Town, trail: Trail) -> None:
    engine = await _trade(town, ORDER_HOLD="0.2")
    await trail.grows()
    engine.kill()
    engine.wait()
    before = set(trail.keys("order.submitted"))
    town.start("trading_engine", BUG_NO_RECOVERY="1")

    await trail.grows()

    assert before - set(trail.keys(*ENDINGS))


async def test_a_stopping_service_says_so_and_loses_no_event(town: Town, trail: Trail) -> None:
    engine = await _trade(town)
    await trail.grows()

    engine.terminate()

    await until(lambda: engine.poll() is not None, within=5.0)
    assert engine.returncode == 0
    await until(lambda: [event for event in trail.of("service.stopping") if event["source"] == "trading-engine"])
    assert trail.of("service.stopping")[0]["data"] == {"service": "trading-engine", "instance": "trading-engine", "pid": engine.pid}
    assert {event["data"]["pid"] for event in trail.of("service.started")} >= {engine.pid}
    assert set(trail.keys("order.submitted")) == set(trail.keys(*ENDINGS))


async def test_events_wait_for_a_nats_server_that_comes_later(town: Town) -> None:
    await _trade(town)

    async def has_traded() -> bool:
        return await town.orders("filled") > 20

    await eventually(has_traded)
    town.start_nats()
    bus = await _connect(town)
    trail = Trail()
    await _record(bus, trail)

    await trail.grows()
    await until(lambda: len(trail.keys("order.submitted")) > 20)

    await bus.close()


def test_what_is_told_of_faults_reaches_the_audit_layer_and_not_the_risk_monitor() -> None:
    def heard_by(kind: type[Service]) -> list[str]:
        service = kind(read_settings(kind.name, 1, 2, {}), read_switches({}))
        subjects = [subject for subject, _ in service.outbox._subscriptions]
        return [type_ for type_ in TYPES.values() if any(covers(subject, subject_of("trading.events.>", type_)) for subject in subjects)]

    assert heard_by(RiskMonitor) == heard_by(TradingEngine) == []
    assert heard_by(AuditCorrelator) == ["chaos_injection_started", "chaos_injection_ended"]


async def test_the_risk_monitor_takes_nothing_from_an_event_but_trading_data(town: Town, bus: Client, trail: Trail) -> None:
    town.start("risk_monitor", POSITION_LIMIT="3")
    await town.healthy("risk_monitor")
    await until(lambda: trail.of("service.started"))
    await until(lambda: trail.of("risk.position_updated"))
    headers: list[dict[str, str] | None] = []

    async def look(message: Msg) -> None:
        await asyncio.sleep(0)
        headers.append(message.headers)

    await bus.subscribe("trading.events.risk-monitor.>", cb=look)
    data = {"order_id": "a-1", "symbol": "BTC-USD", "side": "buy", "quantity": "4", "price": "1", "scenario": "secret"}
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "x",
        "type": "order.filled",
        "scenarioid": "secret",
        "traceid": "secret",
        "data": data,
    }
    await bus.publish(
        "trading.events.exchange-simulator.order.filled",
        json.dumps(event).encode(),
        headers={"baggage": "scenario=secret", "traceparent": "secret"},
    )

    await until(lambda: trail.of("risk.limit_breached"))
    await until(lambda: trail.of("risk.position_updated")[-1]["data"]["fills"] == 1)

    said = [each for each in trail.events if each["source"] == "risk-monitor"]
    served = [(await town.get("risk_monitor", path))[1] for path in ("/api/v1/risk/positions", "/api/v1/health", "/metrics")]
    assert "secret" not in json.dumps([said, headers, served])
    assert {name for each in headers for name in each or {}} == {"Nats-Msg-Id"}
    assert trail.of("risk.limit_breached")[0]["data"] == {"symbol": "BTC-USD", "position": "4", "limit": "3.0"}


async def test_the_audit_correlator_counts_by_type_and_remembers(town: Town, trail: Trail) -> None:
    town.start("audit_correlator")
    await town.healthy("audit_correlator")
    await until(lambda: trail.of("service.started"))
    await _trade(town)
    await trail.grows(20)

    summary = json.loads((await town.get("audit_correlator", "/api/v1/audit/summary"))[1])
    events = json.loads((await town.get("audit_correlator", "/api/v1/audit/events?type=order.filled&limit=3"))[1])["events"]

    assert summary["by_type"]["order.submitted"] > 10
    assert [event["type"] for event in events] == ["order.filled"] * 3


async def test_the_engine_quotes_from_its_cache_and_through_the_exchange(town: Town) -> None:
    town.start("market_data_simulator", NATS_URL="")
    await town.healthy("market_data_simulator")
    await _trade(town, MARKET_DATA_URL=town.url("market_data_simulator"), NATS_URL="")

    answers = [await town.get("trading_engine", path) for path in ("/quote?symbol=ETH-USD", "/quote?symbol=ETH-USD&through=exchange")]

    assert [(status, set(json.loads(text))) for status, text in answers] == [(200, {"symbol", "bid", "ask"})] * 2


async def test_the_engine_keeps_its_rate_and_skips_when_the_exchange_does_not_answer(town: Town) -> None:
    town.start("trading_engine", ORDER_RATE="1000", OPEN_ORDERS_LIMIT="50", NATS_URL="")
    await town.healthy("trading_engine")

    async def has_skipped() -> bool:
        return await town.orders("skipped") > 100

    await eventually(has_skipped)

    assert await town.orders("submitted") == await town.orders("open") == 50


@pytest.mark.parametrize(
    ("setting", "code", "message"),
    [
        ({"ORDER_RATE": "fast", "HTTP_PORT": "99999"}, 2, "HTTP_PORT='99999': must be a number from 0 to 65535; ORDER_RATE='fast'"),
        ({"SERVICE_INSTANCE_NAME": "a.b"}, 2, "must be letters, digits and inner hyphens"),
        ({"BUG_EXIT_ON_START": "1"}, 1, "BUG_EXIT_ON_START is set"),
    ],
)
def test_a_start_that_cannot_succeed_says_why(town: Town, setting: dict[str, str], code: int, message: str) -> None:
    process = town.start("trading_engine", **setting)

    assert process.wait(timeout=30) == code
    assert message in town.log()
    assert "Traceback" not in town.log()


@pytest.mark.parametrize("name", ["HTTP_PORT", "GRPC_PORT"])
def test_a_taken_port_is_an_error(town: Town, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = town.start("risk_monitor", **{name: str(port)})
        assert process.wait(timeout=30) == 1

    assert f"cannot listen on 127.0.0.1:{port}" in town.log()
    assert "Traceback" not in town.log()


async def test_a_service_that_must_not_come_back_starts_once(town: Town) -> None:
    first = town.start("custodian_simulator", BUG_FAIL_AFTER_RESTART="1", NATS_URL="")
    await town.healthy("custodian_simulator")
    first.kill()
    first.wait()

    second = town.start("custodian_simulator", BUG_FAIL_AFTER_RESTART="1", NATS_URL="")

    assert second.wait(timeout=30) == 1
