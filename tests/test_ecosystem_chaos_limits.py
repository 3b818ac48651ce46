"""What the chaos API refuses, and how injections are told apart."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.test_ecosystem import Town
from tests.test_ecosystem_chaos import CUSTODIAN, ENGINE, EXCHANGE, MARKET, City, running_services, visited


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    yield from running_services(tmp_path_factory.mktemp("town"))


@pytest.fixture
async def city(services: Town) -> AsyncIterator[City]:
    async with visited(services) as city:
        yield city


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.clear()


@pytest.mark.parametrize(
    ("module", "kind", "body", "error"),
    [
        (EXCHANGE, "inject-latency", {}, "delay_s: is required"),
        (EXCHANGE, "inject-latency", {"delay_ms": 100_000}, "delay_ms: must be a number from 1 to 60000"),
        (EXCHANGE, "inject-latency", {"delay_ms": 1, "delay_s": 1}, "given twice"),
        (EXCHANGE, "inject-latency", {"delay_ms": 1, "operation": "dance"}, "operation: unknown dance; known: place_order"),
        (EXCHANGE, "reject-orders", {"rejection_rate": 1.5}, "rejection_rate: must be a number from 0 to 1"),
        (EXCHANGE, "reject-orders", {"rejection_rate": 1, "durations": 3}, "unknown field durations; known: "),
        (EXCHANGE, "simulate-downtime", {"duration_hours": 5}, "duration_hours: must be a number from"),
        (EXCHANGE, "manipulate-spreads", {"multiplier": 2, "symbols": ["DOGE/USD"]}, "symbols: unknown DOGE-USD"),
        (CUSTODIAN, "delay-settlements", {"settlement_types": ["cash"], "delay_hours": 1}, "unknown cash; known: crypto_internal"),
        (CUSTODIAN, "partial-settlement-failure", {"failure_rate": "all"}, "failure_rate: must be a number from 0 to 1"),
        (CUSTODIAN, "custodian-offline", [], "the body must be a JSON object"),
        (MARKET, "price-shock", {"shock_percentage": -26, "recovery_time_seconds": 1}, "shock_percentage: must be a number from -25 to 25"),
        (MARKET, "price-shock", {"shock_percentage": -5}, "recovery_time_s: is required"),
        (MARKET, "price-shock", {"shock_percentage": -5, "duration_hours": 3, "recovery_time_s": 1}, "duration_hours: must be a number"),
        (MARKET, "stablecoin-depeg", {"target_deviation": -0.2, "duration_hours": 1}, "must be a number from -0.1 to 0.1"),
        (MARKET, "stablecoin-depeg", {"target_deviation": -0.1, "duration_hours": 73}, "duration_hours: must be a number"),
        (MARKET, "stablecoin-depeg", {"target_deviation": 0.1, "duration_hours": 1, "pattern": "cliff"}, "must be one of gradual_linear"),
        (MARKET, "gradual-divergence", {"max_spread_bps": 50, "buildup_hours": 40, "sustain_hours": 40}, "at most 48"),
        (MARKET, "feed-disruption", {}, "must be more than 0"),
        (MARKET, "price-recovery", {"target_price": 2.0, "symbol": "USDT-USD"}, "only recover to their reference"),
    ],
)
async def test_a_body_that_makes_no_sense_or_is_not_safe_is_refused(city: City, module: str, kind: str, body: object, error: str) -> None:
    status, answer = await city.call("POST", module, f"/chaos/{kind}", body)

    assert status == 400
    assert error in answer["error"]
    shown = "/chaos/active-scenarios" if module == MARKET else "/chaos/status"
    assert (await city.call("GET", module, shown))[1]["count"] == 0


async def test_several_are_active_at_once_each_with_an_id_of_its_own(city: City) -> None:
    names = [await city.inject(EXCHANGE, "manipulate-spreads", multiplier=2, symbols=["BTC-USD"]) for _ in range(3)]

    assert len(set(names)) == 3
    assert 15 < await city.spread() < 17
    assert [each["id"] for each in (await city.call("GET", EXCHANGE, "/chaos/status"))[1]["active"]] == names
    assert (await city.call("DELETE", EXCHANGE, f"/chaos/{names[1]}"))[0] == 200
    assert 7 < await city.spread() < 9


@pytest.mark.parametrize(
    ("method", "module", "path"),
    [
        ("DELETE", MARKET, "/chaos/stop-scenario/price-shock-1"),
        ("DELETE", EXCHANGE, "/chaos/no-such-id"),
        ("POST", EXCHANGE, "/chaos/dance"),
        ("POST", ENGINE, "/api/v1/strategies/stop"),
    ],
)
async def test_what_is_unknown_is_not_found(city: City, method: str, module: str, path: str) -> None:
    body = {"strategy": "RunawayStrategy"} if module == ENGINE else {}

    assert (await city.call(method, module, path, body))[0] == 404


async def test_a_key_that_is_set_must_be_shown(lone: Town) -> None:
    lone.start(EXCHANGE, NATS_URL="", CHAOS_API_KEY="s3cret")
    await lone.healthy(EXCHANGE)

    async def status(**headers: str) -> int:
        url = f"{lone.url(EXCHANGE)}/chaos/simulate-downtime"
        async with aiohttp.ClientSession(headers=headers) as session, session.post(url, json={"duration_s": 1}) as response:
            return response.status

    assert (await lone.get(EXCHANGE, "/chaos/status"))[0] == 401
    assert await status() == 401
    assert await status(**{"X-API-Key": "s3cret"}) == 201
