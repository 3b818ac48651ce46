"""The words of the trading ecosystem: about recorded events, about the running miniature, and in whole runs of it."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from messages.claims import AnyClaim, CorrelationClaim, HealthClaim, MetricClaim
from messages.verdicts import Verdict
from scenarios import library_directory, load_systems, resolve
from scenarios.original.expectations import EXPECTATIONS
from scenarios.vocabulary import library_vocabularies
from tests.test_claims_events import Sent, history, observed
from tests.test_ecosystem import Town, until
from tests.test_ecosystem_chaos import ENGINE, EXCHANGE, MARKET, RISK, City, running_services, visited
from tests.test_library import broken, verdict_of

SYSTEMS = load_systems(library_directory())
WORDS = library_vocabularies()["trading"].words
PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE
OTHER = Sent("order.filled", 1)
STATES = {"all_services_healthy", "exchange_healthy", "normal_operations", "alerts_cleared", "events_correlated"}
"""Words that are about no event."""


def claim(word: str, **parameters: Any) -> AnyClaim:
    use = {"assert": word, "parameters": parameters}
    spec = {"system": "trading", "phases": [{"name": "p", "duration": "10s", "assertions": [use]}]}
    text = json.dumps({"kind": "Scenario", "metadata": {"name": "x"}, "spec": spec})
    (found,) = resolve(text, file="f", systems=SYSTEMS).scenario.spec.phases[0].assertions
    return found


def judged(word: str, *events: Sent, **parameters: Any) -> Verdict:
    """What the word says of a window of ten seconds with these events."""
    wanted = claim(word, **parameters)
    found = wanted.judge(history(observed(wanted, list(events))))
    assert found is not None
    return found.verdict


def alert(**changed: Any) -> Sent:
    return Sent("risk.alert_generated", 5, data={"alert_type": "execution_latency", "severity": "high", "alert_id": "a"} | changed)


def price(value: str, symbol: str = "USDT-USD") -> Sent:
    return Sent("price.updated", 5, data={"symbol": symbol, "price": value, "volume": 1.0})


def execution(answered: int, rejected: int = 0, failed: int = 0, p95: float | None = 0.02, **changed: Any) -> Sent:
    figures = {"answered": answered, "rejected": rejected, "failed": failed, "p95": p95}
    return Sent("execution.measured", 5, data=figures | {"size_factor": 1.0, "halted": []} | changed)


def spreads(**bps: float) -> Sent:
    return Sent("liquidity.updated", 5, data={"spread_bps": {name.replace("_", "-"): value for name, value in bps.items()}})


def order(account: str) -> Sent:
    return Sent("order.submitted", 5, data={"order_id": "1", "account": account})


@pytest.mark.parametrize(
    ("word", "parameters", "event", "verdict"),
    [
        ("alert_generated", {"alert_type": "order_rejection"}, alert(), FAILED),
        ("alert_generated", {"severity": "critical"}, alert(), FAILED),
        ("alert_generated", {}, Sent("risk.alert_cleared", 5, data={"alert_type": "execution_latency"}), FAILED),
        ("alert_generated", {}, alert(), PASSED),
        ("alert_generated", {"alert_type": "execution_latency", "severity": "high"}, alert(), PASSED),
        ("correlation_breach_alert", {}, alert(), FAILED),
        ("correlation_breach_alert", {"severity": "critical"}, alert(alert_type="correlation_breach"), FAILED),
        ("correlation_breach_alert", {}, alert(alert_type="correlation_breach"), PASSED),
        ("limits_breached", {}, alert(alert_type="correlation_breach"), FAILED),
        ("limits_breached", {}, alert(alert_type="position_limit_breach"), PASSED),
        ("risk_escalation", {}, alert(severity="critical"), FAILED),
        ("risk_escalation", {}, Sent("risk.escalated", 5), PASSED),
        ("strategy_adjusts", {}, Sent("strategy.started", 5), FAILED),
        ("strategy_adjusts", {}, Sent("strategy.adjusted", 5), PASSED),
        ("strategy_adjusts", {}, Sent("strategy.halted", 5), PASSED),
        ("strategy_performance_normalized", {}, Sent("strategy.resumed", 5, data={"symbol": "BTC-USD"}), FAILED),
        ("strategy_performance_normalized", {}, execution(100, size_factor=0.5), FAILED),
        ("strategy_performance_normalized", {}, execution(100, halted=["BTC-USD"]), FAILED),
        ("strategy_performance_normalized", {}, execution(100), PASSED),
        ("degraded_performance", {}, execution(100, 2), FAILED),
        ("degraded_performance", {}, execution(100, 2, p95=0.3), PASSED),
        ("degraded_performance", {"min_latency_ms": 500}, execution(100, 2, p95=0.3), FAILED),
        ("degraded_performance", {}, execution(100, 50), PASSED),
        ("degraded_performance", {"max_success_rate": 0.4}, execution(100, 50), FAILED),
        ("degraded_performance", {}, execution(0, 0, 7, None), PASSED),
        ("degraded_execution", {}, execution(100, 2), FAILED),
        ("degraded_execution", {}, execution(0, 0, 7, None), FAILED),
        ("degraded_execution", {}, execution(100, 2, p95=0.5), PASSED),
        ("degraded_execution", {}, execution(100, 2, p95=1.5), FAILED),
        ("degraded_execution", {"max_latency_ms": 2000}, execution(100, 2, p95=1.5), PASSED),
        ("degraded_execution", {"min_success_rate": 0.7}, execution(100, 20, 20, 0.5), FAILED),
        ("degraded_execution", {"min_success_rate": 0.6}, execution(100, 20, 20, 0.5), PASSED),
        ("execution_normal", {}, execution(100, 2, p95=0.5), FAILED),
        ("execution_normal", {}, execution(100, 2, 1), FAILED),
        ("execution_normal", {}, execution(100, 50), FAILED),
        ("execution_normal", {}, execution(0, 0, 7, None), FAILED),
        ("execution_normal", {}, execution(100, 2), PASSED),
        ("arbitrage_running", {}, order("strategy-arbitrage"), FAILED),
        ("arbitrage_running", {}, order("strategy-arbitrage-usdt"), PASSED),
        ("arbitrage_running", {}, Sent("strategy.stopped", 5, data={"account": "strategy-arbitrage-usdt"}), FAILED),
        ("arbitrage_running", {}, Sent("strategy.started", 5, data={"account": "strategy-runaway"}), FAILED),
        ("arbitrage_running", {}, Sent("strategy.started", 5, data={"account": "strategy-arbitrage-usdt"}), PASSED),
        ("increased_activity", {}, order("strategy-arbitrage-usdt"), FAILED),
        ("increased_activity", {}, Sent("arbitrage.opportunity_detected", 5, data={"symbol": "USDT-USD", "spread_bps": 101.5}), PASSED),
        (
            "increased_activity",
            {"min_spread_bps": 200},
            Sent("arbitrage.opportunity_detected", 5, data={"symbol": "USDT-USD", "spread_bps": 101.5}),
            FAILED,
        ),
        ("usdt_depegged", {}, price("0.985"), FAILED),
        ("usdt_depegged", {}, price("60000", "BTC-USD"), FAILED),
        ("usdt_depegged", {}, price("0.98"), PASSED),
        ("usdt_depegged", {}, price("1.02"), PASSED),
        ("usdt_depegged", {"min_deviation": 0.05}, price("0.96"), FAILED),
        ("usdt_depegged", {"symbol": "USDT/BTC"}, price("0.96"), PASSED),
        ("usdt_depegged", {"symbol": "DAI-USD"}, price("0.96"), FAILED),
        ("usdt_repeg", {}, price("0.985"), FAILED),
        ("usdt_repeg", {}, price("1.011"), FAILED),
        ("usdt_repeg", {}, price("0.995"), PASSED),
        ("usdt_repeg", {"max_deviation": 0.001}, price("0.995"), FAILED),
        ("wider_spreads", {}, spreads(BTC_USD=2.0, ETH_USD=2.0), FAILED),
        ("wider_spreads", {}, spreads(BTC_USD=2.0, ETH_USD=10.0), PASSED),
        ("wider_spreads", {"symbol": "BTC-USD"}, spreads(BTC_USD=2.0, ETH_USD=10.0), FAILED),
        ("wider_spreads", {"min_spread_bps": 20}, spreads(BTC_USD=2.0, ETH_USD=10.0), FAILED),
    ],
)
def test_a_word_is_about_the_events_that_show_it(word: str, parameters: dict[str, Any], event: Sent, verdict: Verdict) -> None:
    assert judged(word, OTHER, event, **parameters) is verdict


@pytest.mark.parametrize("word", sorted(set(WORDS) - STATES))
def test_no_word_about_events_holds_where_none_came_or_only_others(word: str) -> None:
    assert judged(word) is INCONCLUSIVE
    assert judged(word, OTHER) is FAILED


def test_every_expectation_of_the_field_has_its_word_and_every_word_its_expectation() -> None:
    assert set(EXPECTATIONS.values()) == set(WORDS)


def test_words_about_states_ask_services() -> None:
    everybody, exchange, alerts = claim("all_services_healthy"), claim("exchange_healthy"), claim("alerts_cleared")

    assert isinstance(everybody, HealthClaim)
    assert everybody.target == tuple(SYSTEMS["trading"].spec.services)
    assert isinstance(exchange, HealthClaim)
    assert exchange.target == "exchange-simulator"
    assert claim("normal_operations").model_dump()["target"] == everybody.target
    some = claim("normal_operations", required_services=["exchange", "risk-monitor"], health_check_passes=3)
    assert some.model_dump()["target"] == ("exchange-simulator", "risk-monitor")
    assert isinstance(alerts, MetricClaim)
    assert (alerts.target, alerts.metric, alerts.equals) == ("risk-monitor", "risk_compliance_status", 1)
    correlated = claim("events_correlated", correlation_threshold=0.9, expected_event_count=5)
    assert isinstance(correlated, CorrelationClaim)
    assert (correlated.at_least, correlated.confidence) == (5, 0.9)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    yield from running_services(tmp_path_factory.mktemp("town"), LATENCY_LIMIT="30", REPORT_INTERVAL="1")


@pytest.fixture
async def city(services: Town) -> AsyncIterator[City]:
    async with visited(services) as city:
        yield city


SLOW: dict[str, dict[str, Any]] = {
    "degraded_performance": {"min_latency_ms": 60_000},
    "degraded_execution": {"min_latency_ms": 60_000, "max_latency_ms": 60_000},
    "execution_normal": {"max_latency_ms": 60_000},
}
"""How long a busy machine takes for an answer says nothing here; how many are rejected does."""


def said(city: City, mark: int, word: str) -> Verdict:
    """What the word says of everything heard since the mark."""
    wanted = known(word)
    matcher = wanted.matcher({})
    assert matcher is not None
    assert matcher.types
    heard = [event for event in city.trail.events[mark:] if event["type"] in matcher.types]
    sent = [Sent(event["type"], 5, event["id"], event["source"], event["data"]) for event in heard]
    found = wanted.judge(history(observed(wanted, [OTHER, *sent])))
    assert found is not None
    return found.verdict


@cache
def known(word: str) -> AnyClaim:
    return claim(word, **SLOW.get(word, {}))


async def comes(city: City, mark: int, word: str) -> None:
    """Waits until the word holds."""
    try:
        await until(lambda: said(city, mark, word) is PASSED)
    except TimeoutError:
        seen = Counter(event["type"] for event in city.trail.events[mark:])
        pytest.fail(f"{word} does not hold: {seen}")


DISTURBED = (
    "alert_generated",
    "correlation_breach_alert",
    "limits_breached",
    "risk_escalation",
    "strategy_adjusts",
    "degraded_performance",
    "degraded_execution",
    "arbitrage_running",
    "increased_activity",
    "usdt_depegged",
    "wider_spreads",
)
WELL = ("execution_normal", "usdt_repeg", "strategy_performance_normalized")


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_in_the_running_miniature_every_word_holds_when_its_thing_happens_and_not_before(city: City) -> None:
    mark = city.mark
    await city.hears("execution.measured", mark, at_least=3)
    await city.hears("liquidity.updated", mark, at_least=3)
    assert {word: said(city, mark, word) for word in DISTURBED} == dict.fromkeys(DISTURBED, FAILED)
    assert {word: said(city, mark, word) for word in WELL} == dict.fromkeys(WELL, PASSED)
    assert await city.metric(RISK, "risk_compliance_status") == 1

    mark = city.mark
    await city.inject(MARKET, "stablecoin-depeg", target_deviation=-0.06, duration_hours=0.5 / 3600, hold_hours=1)
    await city.inject(EXCHANGE, "manipulate-spreads", multiplier=5, symbols=["BTC-USD"], duration_s=300)
    ignorant = {"strategy": "RiskIgnorantStrategy", "config": {"quantity": 200_000}}
    for strategy in ({"strategy": "arbitrage"}, ignorant):
        assert (await city.call("POST", ENGINE, "/api/v1/strategies/start", strategy))[0] == 201

    for word in sorted(set(DISTURBED) - set(SLOW)):
        await comes(city, mark, word)
    await city.inject(EXCHANGE, "reject-orders", rejection_rate=0.7, reason="test", duration_s=300)
    for word in sorted(set(DISTURBED) & set(SLOW)):
        await comes(city, mark, word)
    assert await city.metric(RISK, "risk_compliance_status") == 0
    mark = city.mark
    await city.hears("execution.measured", mark, at_least=2)
    await city.hears("price.updated", mark, at_least=20, symbol="USDT-USD")
    assert {word: said(city, mark, word) for word in WELL} == dict.fromkeys(WELL, FAILED)

    mark = city.mark
    await city.clear()
    for word in WELL:
        await comes(city, mark, word)


STORY = """\
kind: Scenario
metadata: {name: words, description: A stablecoin leaves its peg and finds it again}
spec:
  system: trading
  phases:
    - name: calm
      duration: 3s
      assertions:
        - {assert: all_services_healthy, throughout: true}
        - {assert: exchange_healthy}
        - {assert: alerts_cleared}
        - {assert: usdt_repeg}
        - {assert: usdt_depegged, never: true}
        - {assert: execution_normal, parameters: {max_latency_ms: 10000}}
    - name: chaos
      duration: 6s
      actions:
        - id: depeg
          target: market-data-simulator
          action: stablecoin_depeg
          parameters: {target_deviation: -0.06, duration_hours: 1s, hold_hours: 1m, volatility_increase: 1}
      assertions:
        - {assert: usdt_depegged, parameters: {min_deviation: 0.05}, within: 15s, id: depegged}
        - {assert: correlation_breach_alert, parameters: {severity: high}, within: 15s, on_fail: continue}
        - {assert: strategy_adjusts, within: 15s, on_fail: continue}
  assertions:
    - {assert: normal_operations, parameters: {required_services: [exchange, risk-monitor]}, throughout: true}
    - {assert: usdt_repeg, after: depeg, within: 20s}
    - {assert: alerts_cleared, after: depeg, within: 20s}
    - {assert: strategy_performance_normalized, after: depeg, within: 20s}
"""


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("deviation", "code", "why"), [("-0.06", 0, ""), ("-0.03", 1, "depegged")])
def test_a_run_is_judged_in_the_words_of_its_domain(
    tmp_path: Path, unused_port: Callable[[], int], deviation: str, code: int, why: str
) -> None:
    story = tmp_path / "story.yaml"
    story.write_text(STORY.replace("-0.06", deviation))
    system = broken(tmp_path, "risk-monitor", unused_port, env={"LATENCY_LIMIT": "30"})
    system.write_text(system.read_text().replace("ready_within: 10s", "ready_within: 60s").replace("settle: 10s", "settle: 30s"))

    found = verdict_of(str(story), system, speed=1)

    assert (found[0], found[1].partition(" ")[0] if code else "") == (code, why), found
