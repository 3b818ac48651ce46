"""What can be done to the market and to trading, seen from outside: prices, alerts, strategies."""

import json
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.test_ecosystem import Town, eventually
from tests.test_ecosystem_chaos import ENGINE, MARKET, RISK, City, running_services, visited


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    yield from running_services(tmp_path_factory.mktemp("town"))


@pytest.fixture
async def city(services: Town) -> AsyncIterator[City]:
    async with visited(services) as city:
        yield city


@pytest.mark.long
async def test_a_price_shock_moves_prices_at_once_halts_trading_and_recovers(city: City) -> None:
    await city.hears("price.updated", 0, at_least=20)
    mark = city.mark

    await city.inject(MARKET, "price-shock", symbol="BTC-USD", shock_percentage=-15.0, duration_seconds=1, recovery_time_seconds=1)

    assert -0.17 < await city.deviation("BTC-USD") < -0.13
    assert abs(await city.deviation("ETH-USD")) < 0.03
    alert = (await city.hears("risk.alert_generated", mark, alert_type="drawdown_limit_breach", symbol="BTC-USD"))[0]["data"]
    await city.hears("risk.escalated", mark, alert_id=alert["alert_id"])
    await city.hears("strategy.halted", mark, symbol="BTC-USD", alert_id=alert["alert_id"])
    assert await city.metric(RISK, "risk_compliance_status") == 0
    served = (await city.call("GET", RISK, "/api/v1/risk/alerts"))[1]["alerts"]
    assert alert["alert_id"] in {each["alert_id"] for each in served}
    await city.hears("risk.alert_cleared", mark, alert_id=alert["alert_id"])
    await city.hears("strategy.resumed", mark, symbol="BTC-USD")
    await city.hears("chaos.ended", mark, type="price-shock", reason="expired")
    assert abs(await city.deviation("BTC-USD")) < 0.03


@pytest.mark.long
async def test_a_stablecoin_loses_its_peg_gradually_and_recovers_on_request(city: City) -> None:
    started = await city.call("POST", ENGINE, "/api/v1/strategies/start", {"strategy": "arbitrage", "config": {"min_spread_bps": 5}})
    assert started[0] == 201
    mark = city.mark
    name = await city.inject(
        MARKET, "stablecoin-depeg", symbol="USDT-USD", target_deviation=-0.05, duration_hours=2 / 3600, pattern="gradual_linear"
    )

    assert abs(await city.deviation("USDT-USD")) < 0.02
    await city.hears("arbitrage.opportunity_detected", mark)
    await city.hears("risk.alert_generated", mark, alert_type="correlation_breach", metric="peg_deviation")

    async def reached() -> bool:
        return await city.deviation("USDT-USD") < -0.035

    await eventually(reached)
    await city.hears("order.submitted", mark, at_least=3, account="strategy-arbitrage-usdt")
    status, answer = await city.call(
        "POST", MARKET, "/chaos/price-recovery", {"symbol": "USDT-USD", "target_price": 1.0, "recovery_hours": 0.5 / 3600}
    )

    assert (status, answer["cleared"]) == (200, [name])
    await city.hears("chaos.ended", mark, injection_id=name)
    assert abs(await city.deviation("USDT-USD")) < 0.02
    await city.hears("risk.alert_cleared", mark, metric="peg_deviation")


async def test_prices_diverge_and_come_together_again(city: City) -> None:
    mark = city.mark
    parts = {"buildup_hours": 0.5 / 3600, "sustain_hours": 1 / 3600, "recovery_hours": 0.5 / 3600}

    await city.inject(MARKET, "gradual-divergence", base_symbol="BTC-USD", target_symbol="BTC-USD-PERP", max_spread_bps=500, **parts)

    async def basis() -> float:
        prices = (await city.call("GET", MARKET, "/api/v1/prices"))[1]["prices"]
        return (float(prices["BTC-USD-PERP"]) / float(prices["BTC-USD"]) - 1) * 10_000

    async def wide() -> bool:
        return await basis() > 490

    await eventually(wide)
    await city.hears("risk.alert_generated", mark, alert_type="correlation_breach", metric="basis_bps")
    await city.hears("chaos.ended", mark, type="gradual-divergence")
    assert abs(await basis()) < 5


async def test_a_disrupted_feed_loses_and_delays_ticks(city: City) -> None:
    name = await city.inject(MARKET, "feed-disruption", source="coingecko", packet_loss_percentage=100, affect_symbols=["BTC-USD"])
    mark = city.mark

    await city.hears("price.updated", mark, at_least=20, symbol="ETH-USD")
    assert len(city.after("price.updated", mark, symbol="BTC-USD")) <= 1
    stale = await city.metric(MARKET, 'market_data_staleness_seconds{symbol="BTC-USD"}')
    assert stale is not None
    assert stale > 0.5
    assert (await city.call("DELETE", MARKET, f"/chaos/stop-scenario/{name}"))[0] == 200
    mark = city.mark
    await city.hears("price.updated", mark, at_least=5, symbol="BTC-USD")

    mark, began = city.mark, time.monotonic()
    late = await city.inject(MARKET, "feed-disruption", source="coingecko", latency_ms=600, duration_seconds=60)

    await city.hears("chaos.injected", mark, injection_id=late)
    since = next(at for at, event in enumerate(city.trail.events) if event["data"].get("injection_id") == late)
    await city.hears("price.updated", since)
    assert time.monotonic() - began >= 0.6
    assert await city.metric(MARKET, 'market_data_scenario_active{scenario_type="feed-disruption",symbol="all"}') == 1


async def test_volatility_and_broken_correlation_are_alerts_until_stopped(city: City) -> None:
    mark = city.mark
    nervous = await city.inject(
        MARKET, "volatility-spike", symbol="BTC-USD", volatility_multiplier=20, duration_hours=1, pattern="random_walk"
    )
    apart = await city.inject(MARKET, "correlation-break", base_symbol="BTC-USD", target_symbol="ETH-USD", correlation=-1)

    await city.hears("risk.alert_generated", mark, alert_type="volatility_breach", symbol="BTC-USD")
    assert (await city.call("DELETE", MARKET, f"/chaos/stop-scenario/{nervous}"))[0] == 200
    await city.hears("risk.alert_generated", mark, alert_type="correlation_breach", metric="decorrelation")
    assert (await city.call("DELETE", MARKET, f"/chaos/stop-scenario/{apart}"))[0] == 200

    await city.hears("risk.alert_cleared", mark, metric="decorrelation")
    await city.hears("risk.alert_cleared", mark, alert_type="volatility_breach")


@pytest.mark.long
async def test_a_market_crash_takes_all_prices_down_with_much_volume_and_they_bounce(city: City) -> None:
    mark = city.mark
    await city.inject(
        MARKET,
        "market-crash",
        crash_percentage=-15.0,
        crash_duration_minutes=1 / 60,
        symbols=["BTC-USD", "ETH-USD", "BTC-ETH"],
        correlation_increase=0.95,
        volume_spike_multiplier=5.0,
        recovery_pattern="slow_bounce",
    )

    for symbol in ("BTC-USD", "ETH-USD"):
        await city.hears("risk.alert_generated", mark, alert_type="drawdown_limit_breach", symbol=symbol)
    assert max(event["data"]["volume"] for event in city.after("price.updated", mark, symbol="BTC-USD")) > 200
    await city.hears("chaos.ended", mark, type="market-crash")
    assert abs(await city.deviation("BTC-USD")) < 0.03
    assert abs(await city.deviation("BTC-ETH")) < 0.03


async def _start(city: City, strategy: str, **config: object) -> str:
    status, answer = await city.call("POST", ENGINE, "/api/v1/strategies/start", {"strategy": strategy, "config": config})
    assert status == 201, answer
    assert answer["status"] == "active"
    return str(answer["id"])


async def test_a_runaway_strategy_breaches_its_limit_is_halted_and_its_position_sold(city: City) -> None:
    mark = city.mark

    await _start(city, "RunawayStrategy", quantity=100_000)

    await city.hears("risk.limit_breached", mark)
    await city.hears("risk.alert_generated", mark, alert_type="position_limit_breach", metric="position_size")
    await city.hears("strategy.halted", mark, strategy="RunawayStrategy")
    await city.hears("position.reduction_completed", mark, account="strategy-runaway")
    await city.hears("risk.alert_cleared", mark, metric="position_size")


async def test_a_strategy_that_ignores_risk_goes_on_until_it_is_stopped(city: City) -> None:
    mark = city.mark
    await _start(city, "RiskIgnorantStrategy", quantity=100_000)
    await city.hears("risk.alert_generated", mark, metric="position_size")

    after = city.mark
    await city.hears("order.submitted", after, at_least=10, account="strategy-riskignorant", side="buy")
    assert not city.after("strategy.halted", mark)
    stopped = await city.call("POST", ENGINE, "/api/v1/strategies/stop", {"strategy": "RiskIgnorantStrategy"})

    assert (stopped[0], stopped[1]["status"]) == (200, "stopped")
    await city.hears("position.reduction_completed", mark, account="strategy-riskignorant")


@pytest.mark.long
@pytest.mark.parametrize(
    ("strategy", "alert"),
    [
        ("VolatilityAmplifierStrategy", "price_deviation"),
        ("CorrelationBreakerStrategy", "price_deviation"),
        ("SlowLeakStrategy", "drawdown_limit_breach"),
    ],
)
async def test_a_misbehaving_strategy_is_an_alert_and_ends_by_itself(city: City, strategy: str, alert: str) -> None:
    mark = city.mark

    await _start(city, strategy, duration_s=2, **({"degradation_rate": 0.05} if strategy == "SlowLeakStrategy" else {}))

    await city.hears("risk.alert_generated", mark, alert_type=alert)
    await city.hears("strategy.stopped", mark, strategy=strategy)
    assert (await city.call("GET", ENGINE, "/api/v1/strategies"))[1]["count"] == 0


async def test_market_data_has_neither_status_nor_clear_all(city: City) -> None:
    async def status(method: str, path: str) -> int:
        async with aiohttp.ClientSession() as session, session.request(method, city.town.url(MARKET) + path) as response:
            return response.status

    assert await status("GET", "/chaos/status") in {404, 405}
    assert await status("DELETE", "/chaos/clear-all") in {404, 405}


async def test_the_risk_monitor_never_hears_of_chaos(city: City) -> None:
    await city.inject(MARKET, "price-shock", symbol="BTC-USD", shock_percentage=-12, duration_s=1, recovery_time_s=0.5)
    await city.hears("risk.alert_generated", 0, alert_type="drawdown_limit_breach")

    said = [event for event in city.trail.events if event["source"] == "risk-monitor"]
    served = [(await city.town.get(RISK, path))[1] for path in ("/api/v1/risk/alerts", "/metrics")]

    assert not [word for word in ("chaos", "injection", "scenario", "price-shock") if word in json.dumps([said, served])]
