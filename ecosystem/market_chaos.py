"""Reads what is asked of the market, within the limits that keep it safe."""

from ecosystem.bodies import Body
from ecosystem.chaos_api import Reader
from ecosystem.market_scenarios import MAX_DEVIATION, Break, Course, Disruption, PriceScenario
from ecosystem.prices import DERIVED, REFERENCE

HOUR = 3600.0
LONGEST = 48 * HOUR
SHOCK_LONGEST = 2 * HOUR
DEPEG_LONGEST = 72 * HOUR
DEPEG_MOST = 0.10
DEFAULT = 300.0
SYMBOLS = tuple(REFERENCE | DERIVED)
RECOVERIES = {"slow_bounce": 1.0, "v_shaped": 0.25, "none": 0.0}
"""How long a crash takes to recover, as a multiple of how long it took to fall."""


def _shock(body: Body) -> tuple[PriceScenario, float]:
    symbols = body.symbols("symbol", default=("BTC-USD",), allowed=SYMBOLS)
    share = _percentage(body, "shock_percentage")
    pattern = body.choice("pattern", "sudden_drop" if share < 0 else "sudden_spike", ("sudden_drop", "sudden_spike"))
    depth = -abs(share) if pattern == "sudden_drop" else abs(share)
    hold = body.seconds("duration", DEFAULT, least=0.01, most=SHOCK_LONGEST)
    recover = body.seconds("recovery_time", least=0.01, most=LONGEST - SHOCK_LONGEST)
    course = Course(depth, 0.0, hold, recover)
    return PriceScenario(symbols, course), course.seconds


def _depeg(body: Body) -> tuple[PriceScenario, float]:
    symbols = body.symbols("symbol", default=("USDT-USD",), allowed=("USDT-USD",))
    depth = body.number("target_deviation", least=-DEPEG_MOST, most=DEPEG_MOST)
    body.choice("pattern", "gradual_linear", ("gradual_linear",))
    build = body.seconds("duration", least=0.01, most=DEPEG_LONGEST)
    hold = body.seconds("hold", build / 2, most=DEPEG_LONGEST)
    recover = body.seconds("recovery", build / 6, most=DEPEG_LONGEST)
    nervous = body.number("volatility_increase", 1.0, least=1, most=20)
    course = Course(depth, build, hold, recover)
    seconds = min(course.seconds, DEPEG_LONGEST)
    return PriceScenario(symbols, course, nervous), seconds


def _divergence(body: Body) -> tuple[PriceScenario, float]:
    base = body.symbols("base_symbol", default=("BTC-USD",), allowed=SYMBOLS)
    target = body.symbols("target_symbol", default=("BTC-USD-PERP",), allowed=SYMBOLS)
    if base == target:
        body.problems.append("target_symbol: must not be base_symbol")
    depth = body.number("max_spread_bps", least=-MAX_DEVIATION * 1e4, most=MAX_DEVIATION * 1e4) / 1e4
    build = body.seconds("buildup", least=0.01, most=LONGEST)
    course = Course(depth, build, body.seconds("sustain", build, most=LONGEST), body.seconds("recovery", build, most=LONGEST))
    return PriceScenario(target, course), _at_most(body, course.seconds)


def _disruption(body: Body) -> tuple[Disruption, float]:
    body.text("source", "primary")
    loss = body.number("packet_loss_percentage", 0, least=0, most=100) / 100
    latency = body.seconds("latency", 0, most=60)
    if not loss and not latency:
        body.problems.append("packet_loss_percentage or latency_ms: must be more than 0")
    symbols = body.symbols("affect_symbols", "symbols", "symbol", default=SYMBOLS, allowed=SYMBOLS)
    return Disruption(symbols, loss, latency), _duration(body)


def _break(body: Body) -> tuple[Break, float]:
    base = body.symbols("base_symbol", default=("BTC-USD",), allowed=tuple(REFERENCE))
    target = body.symbols("target_symbol", default=("ETH-USD",), allowed=tuple(REFERENCE))
    if base == target:
        body.problems.append("target_symbol: must not be base_symbol")
    return Break(base[0], target[0], body.number("correlation", -0.9, least=-1, most=1)), _duration(body)


def _volatility(body: Body) -> tuple[PriceScenario, float]:
    symbols = body.symbols("symbol", "symbols", default=("BTC-USD",), allowed=SYMBOLS)
    nervous = body.number("volatility_multiplier", least=1, most=50)
    body.choice("pattern", "random_walk", ("random_walk",))
    drawn_back = body.flag("preserve_trend", default=True)
    seconds = _duration(body)
    return PriceScenario(symbols, Course(0.0, 0.0, seconds, 0.0), nervous, drawn_back), seconds


def _crash(body: Body) -> tuple[PriceScenario, float]:
    depth = -abs(_percentage(body, "crash_percentage"))
    fall = body.seconds("crash_duration", least=0.01, most=LONGEST)
    symbols = body.symbols("symbols", default=("BTC-USD", "ETH-USD"), allowed=SYMBOLS)
    together = body.number("correlation_increase", 0.0, least=0, most=1)
    volume = body.number("volume_spike_multiplier", 1.0, least=1, most=100)
    recovery = RECOVERIES.get(body.choice("recovery_pattern", "slow_bounce", tuple(RECOVERIES)), 1.0)
    course = Course(depth, fall, body.seconds("hold", 0.0, most=LONGEST), fall * recovery)
    # What follows another instrument that falls too would fall twice.
    moved = tuple(each for each in symbols if each not in DERIVED or "BTC-USD" not in symbols)
    return PriceScenario(moved, course, together=together, volume=volume), _at_most(body, course.seconds)


def _percentage(body: Body, name: str) -> float:
    """A share, from a field in percent."""
    value = body.number(name, least=-MAX_DEVIATION * 100, most=MAX_DEVIATION * 100) / 100
    if not value and body.has(name):
        body.problems.append(f"{name}: must not be 0")
    return value


def _at_most(body: Body, seconds: float) -> float:
    if seconds > LONGEST:
        body.problems.append(f"all parts together take {seconds / HOUR:g} hours: at most {LONGEST / HOUR:g}")
    return max(0.01, min(seconds, LONGEST))


def _duration(body: Body) -> float:
    return body.seconds("duration", DEFAULT, least=0.01, most=LONGEST)


READERS: dict[str, Reader] = {
    "price-shock": _shock,
    "stablecoin-depeg": _depeg,
    "gradual-divergence": _divergence,
    "feed-disruption": _disruption,
    "correlation-break": _break,
    "volatility-spike": _volatility,
    "market-crash": _crash,
}
"""By the last part of the path."""
