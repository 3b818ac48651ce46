"""Chaos in the miniature ecosystem, seen from outside: what each injection does to the exchange, and that it is gone afterwards."""

import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import nats
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.test_ecosystem import ALL, Town, Trail, eventually, until

EXCHANGE, CUSTODIAN, MARKET, ENGINE, RISK = (
    "exchange_simulator",
    "custodian_simulator",
    "market_data_simulator",
    "trading_engine",
    "risk_monitor",
)
SYMBOL_PRICES = {"BTC-USD": 60_000.0, "ETH-USD": 3_000.0, "USDT-USD": 1.0, "BTC-USD-PERP": 60_000.0, "BTC-ETH": 20.0}


def running_services(root: Path, **extra: str) -> Iterator[Town]:
    """All six, with prices that move twenty times a second and reports four times, unless `extra` says something else."""
    town = Town(root)
    try:
        town.start_nats()
        peers = {"CUSTODIAN_URL": town.url(CUSTODIAN), "MARKET_DATA_URL": town.url(MARKET)}
        settings = {"ORDER_RATE": "100", "PRICE_INTERVAL": "0.05", "REPORT_INTERVAL": "0.25", **peers, **extra}
        for module in ALL:
            town.start(module, **settings)
        for module in ALL:
            _wait_until_healthy(town.url(module))
        yield town
    finally:
        town.clear()


def _wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            urllib.request.urlopen(f"{url}/api/v1/health", timeout=1).close()  # noqa: S310 - loopback
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


class City:
    """The running services, for one test."""

    def __init__(self, town: Town, session: aiohttp.ClientSession, trail: Trail) -> None:
        self.town = town
        self.trail = trail
        self._session = session

    async def call(self, method: str, module: str, path: str, body: object = None) -> tuple[int, Any]:
        async with self._session.request(method, self.town.url(module) + path, json=body) as response:
            return response.status, await response.json()

    async def inject(self, module: str, kind: str, **body: object) -> str:
        """The id of what was injected."""
        status, answer = await self.call("POST", module, f"/chaos/{kind}", body)
        assert status == 201, answer
        assert set(answer) >= {"id", "type", "status", "expires_in"}
        assert (answer["type"], answer["status"]) == (kind, "active")
        return str(answer["id"])

    async def clear(self) -> None:
        for module in (EXCHANGE, CUSTODIAN):
            assert (await self.call("DELETE", module, "/chaos/clear-all"))[0] == 200
        for each in (await self.call("GET", MARKET, "/chaos/active-scenarios"))[1]["scenarios"]:
            await self.call("DELETE", MARKET, f"/chaos/stop-scenario/{each['id']}")
        for each in (await self.call("GET", ENGINE, "/api/v1/strategies"))[1]["strategies"]:
            await self.call("POST", ENGINE, "/api/v1/strategies/stop", {"id": each["id"]})

    async def calm(self) -> bool:
        return not (await self.call("GET", RISK, "/api/v1/risk/alerts"))[1]["alerts"]

    async def price(self, symbol: str) -> float:
        return float((await self.call("GET", MARKET, f"/api/v1/prices?symbol={symbol}"))[1]["prices"][symbol])

    async def deviation(self, symbol: str) -> float:
        return await self.price(symbol) / SYMBOL_PRICES[symbol] - 1

    async def spread(self, symbol: str = "BTC-USD") -> float:
        answer = (await self.call("GET", EXCHANGE, f"/api/v1/quotes?symbol={symbol}"))[1]
        bid, ask = float(answer["bid"]), float(answer["ask"])
        return (ask - bid) / (ask + bid) * 20_000

    async def metric(self, module: str, line: str) -> float | None:
        text = (await self.town.get(module, "/metrics"))[1]
        return next((float(each.rsplit(" ", 1)[1]) for each in text.splitlines() if each.startswith(f"{line} ")), None)

    def after(self, kind: str, mark: int, **data: object) -> list[dict[str, Any]]:
        """Events of a type heard since a mark."""
        return [event for event in self.trail.events[mark:] if event["type"] == kind and data.items() <= event["data"].items()]

    async def hears(self, kind: str, mark: int, at_least: int = 1, **data: object) -> list[dict[str, Any]]:
        await until(lambda: len(self.after(kind, mark, **data)) >= at_least)
        return self.after(kind, mark, **data)

    @property
    def mark(self) -> int:
        return len(self.trail.events)

    async def order(self, order_id: str) -> str:
        """What the exchange says to an order of 0.9 ETH."""
        order = {"order_id": order_id, "symbol": "ETH-USD", "side": "buy", "quantity": "0.9", "price": "3000"}
        return str((await self.call("POST", EXCHANGE, "/api/v1/orders", order))[1]["status"])

    async def settle(self, order_id: str, **body: object) -> None:
        order = {"order_id": order_id, "symbol": "BTC-USD", "side": "buy", "quantity": "1", "price": "60000"}
        status, answer = await self.call("POST", CUSTODIAN, "/api/v1/settlements", order | body)
        assert (status, answer["status"]) == (200, "pending"), answer

    def settled(self, order_id: str, outcome: str = "completed") -> list[dict[str, Any]]:
        return [event for event in self.trail.of(f"settlement.{outcome}") if event["data"]["order_id"] == order_id]


@asynccontextmanager
async def visited(town: Town) -> AsyncIterator[City]:
    """The services for one test; afterwards nothing is disturbed and no alert is left."""
    trail = Trail()
    bus = await nats.connect(f"nats://127.0.0.1:{town.nats_port}")
    await bus.subscribe("trading.events.>", cb=trail.hear)
    async with aiohttp.ClientSession() as session:
        city = City(town, session, trail)
        try:
            yield city
            await city.clear()
            await eventually(city.calm, within=20)
        finally:
            await bus.close()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    yield from running_services(tmp_path_factory.mktemp("town"))


@pytest.fixture
async def city(services: Town) -> AsyncIterator[City]:
    async with visited(services) as city:
        yield city


async def test_injected_latency_is_an_alert_and_makes_trading_careful_until_it_is_gone(city: City) -> None:
    await city.hears("execution.measured", 0)
    mark = city.mark

    await city.inject(EXCHANGE, "inject-latency", delay_ms=400, operations=["place_order", "cancel_order"], duration_s=1)

    measured = await city.hears("execution.measured", mark, at_least=2)
    assert measured[-1]["data"]["p95"] >= 0.4
    alert = (await city.hears("risk.alert_generated", mark, alert_type="execution_latency"))[0]["data"]
    assert alert["severity"] == "high"
    assert alert["metric"] == "execution_p95_seconds"
    adjusted = await city.hears("strategy.adjusted", mark, alert_id=alert["alert_id"])
    assert adjusted[0]["data"]["size_factor"] == 0.5
    await city.hears("chaos.ended", mark, type="inject-latency", reason="expired")
    await city.hears("risk.alert_cleared", mark, alert_id=alert["alert_id"])
    await city.hears("strategy.resumed", mark, alert_id=alert["alert_id"])


async def test_latency_of_one_account_and_operation_leaves_the_others_alone(city: City) -> None:
    async def took(account: str) -> float:
        order = {"order_id": f"slow-{account}-{time.monotonic_ns()}", "symbol": "BTC-USD", "side": "buy", "quantity": "0.01"}
        began = time.monotonic()
        await city.call("POST", EXCHANGE, "/api/v1/orders", order | {"price": "60000", "account": account})
        return time.monotonic() - began

    await city.inject(EXCHANGE, "inject-latency", operation="place_order", delay="1s", affected_accounts=["someone"], duration_s=60)

    assert await took("someone") >= 1
    assert await took("another") < 1
    assert (await city.call("DELETE", EXCHANGE, "/chaos/clear-all"))[0] == 200
    assert await took("someone") < 1


async def test_rejected_orders_are_rejected_with_their_reason_until_cleared(city: City) -> None:
    name = await city.inject(EXCHANGE, "reject-orders", rejection_rate=1.0, reason="margin_call")
    mark = city.mark

    await city.hears("order.rejected", mark, at_least=30, reason="margin_call")
    await city.hears("risk.alert_generated", mark, alert_type="order_rejection")
    assert await city.metric(EXCHANGE, 'exchange_chaos_active{type="reject-orders"}') == 1
    assert (await city.call("DELETE", EXCHANGE, f"/chaos/{name}"))[0] == 200

    mark = city.mark
    await city.hears("order.filled", mark, at_least=30)
    assert not city.after("order.rejected", mark + 20, reason="margin_call")
    assert await city.metric(EXCHANGE, 'exchange_chaos_active{type="reject-orders"}') == 0


async def test_downtime_answers_503_and_is_unhealthy_and_ends_by_itself(city: City) -> None:
    await city.inject(EXCHANGE, "simulate-downtime", duration_s=1.5, error_message="exchange_maintenance")

    order = await city.call("POST", EXCHANGE, "/api/v1/orders", {})
    health = await city.call("GET", EXCHANGE, "/api/v1/health")
    rpc = _grpc_health(city.town, EXCHANGE)

    assert order == (503, {"error": "exchange_maintenance"})
    assert (health[0], health[1]["status"]) == (503, "unhealthy")
    assert rpc == health_pb2.HealthCheckResponse.NOT_SERVING
    await city.hears("risk.alert_generated", 0, alert_type="exchange_unavailable")
    await city.town.healthy(EXCHANGE)
    assert _grpc_health(city.town, EXCHANGE) == health_pb2.HealthCheckResponse.SERVING
    await city.hears("order.filled", city.mark, at_least=30)


def _grpc_health(town: Town, module: str) -> int:
    with grpc.insecure_channel(f"127.0.0.1:{town.ports[module][1]}") as channel:
        return int(health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20).status)


async def test_spreads_multiply_and_thin_markets_reject_large_orders_until_liquidity_is_back(city: City) -> None:
    assert 1.9 < await city.spread() < 2.1
    await city.inject(EXCHANGE, "manipulate-spreads", multiplier=10, symbols=["BTC/USD"], duration_s=0.5)
    assert 19 < await city.spread() < 21
    assert 1.9 < await city.spread("ETH-USD") < 2.1
    assert [await city.order("deep-1"), await city.order("deep-2")] == ["filled", "filled"]
    mark = city.mark
    await city.inject(EXCHANGE, "reduce-liquidity", symbols=["ETH-USD", "USDT-BTC"], reduction_factor=0.5)

    assert [await city.order("thin-1"), await city.order("thin-2")] == ["rejected", "rejected"]
    await city.hears("order.rejected", mark, order_id="thin-1", reason="insufficient_liquidity")
    await city.hears("risk.alert_generated", mark, alert_type="liquidity_risk", symbol="ETH-USD")
    assert 3.9 < await city.spread("ETH-USD") < 4.1
    status, answer = await city.call("POST", EXCHANGE, "/chaos/restore-liquidity", {})

    assert (status, answer["status"], len(answer["cleared"])) == (200, "completed", 1)
    await city.hears("chaos.ended", 0, type="manipulate-spreads", reason="expired")
    assert 1.9 < await city.spread("ETH-USD") < 2.1
    assert 1.9 < await city.spread() < 2.1
    assert await city.order("deep-3") == "filled"


@pytest.mark.parametrize(
    ("kind", "event", "data"),
    [
        ("partial-fills", "order.filled", {"partial": "true"}),
        ("order-rejection", "order.rejected", {"reason": "exchange_rejected"}),
    ],
)
async def test_the_words_of_the_template_disturb_orders(city: City, kind: str, event: str, data: dict[str, object]) -> None:
    mark = city.mark

    name = await city.inject(EXCHANGE, kind, intensity=0.8)

    await city.hears(event, mark, at_least=10, **data)
    assert (await city.call("DELETE", EXCHANGE, f"/chaos/{name}"))[0] == 200


@pytest.mark.parametrize("kind", ["latency", "downtime"])
async def test_the_words_of_the_template_slow_or_stop_the_exchange(city: City, kind: str) -> None:
    name = await city.inject(EXCHANGE, kind, intensity=1.0)

    began = time.monotonic()
    status = (await city.call("GET", EXCHANGE, "/api/v1/quotes"))[0]

    assert status == 503 if kind == "downtime" else time.monotonic() - began >= 1.0
    assert (await city.call("DELETE", EXCHANGE, f"/chaos/{name}"))[0] == 200
