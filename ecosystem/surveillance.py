"""Which limits the risk monitor watches, and what each event says about them."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from ecosystem.alerts import Alerts, Limit
from ecosystem.prices import REFERENCE
from ecosystem.risk_rules import (
    BASIS_LIMIT_BPS,
    CORRELATION_LIMIT,
    CORRELATION_TICKS,
    DRAWDOWN_LIMIT,
    PEG_LIMIT,
    VOLATILITY_LIMIT,
    FillQuality,
    PriceHistory,
    correlation,
)
from ecosystem.settings import Settings

LOSS_LIMIT = 50_000.0
ILLIQUID_BPS = 3.0
ILLIQUID_POSITION = 5.0
FEED_SILENCE = 5.0
SILENT_REPORTS = 3.0
"""A custodian that has not reported for so many intervals is away, and a failed settlement is news for as long."""

VOLATILITY = Limit("volatility_breach", "volatility", VOLATILITY_LIMIT)
DRAWDOWN = Limit("drawdown_limit_breach", "drawdown", DRAWDOWN_LIMIT, "critical")
LOSS = Limit("drawdown_limit_breach", "loss", LOSS_LIMIT, "critical")
PEG = Limit("correlation_breach", "peg_deviation", PEG_LIMIT)
BASIS = Limit("correlation_breach", "basis_bps", BASIS_LIMIT_BPS)
CORRELATION = Limit("correlation_breach", "decorrelation", 1 - CORRELATION_LIMIT)
OFF_MARKET = Limit("price_deviation", "off_market_fills", 0.1, "medium")
SPREAD = Limit("liquidity_risk", "spread_bps", ILLIQUID_BPS)
ILLIQUID = Limit("position_limit_breach", "illiquid_position", ILLIQUID_POSITION, "critical")
REJECTION = Limit("order_rejection", "rejection_rate", 0.15)
CONNECTIVITY = Limit("exchange_unavailable", "failed_requests", 0.5, "critical")
SETTLEMENT = Limit("settlement_timeout", "overdue_settlements", 0.5)
UNSETTLED = Limit("settlement_failure", "failed_settlements", 0.5)
STALE = Limit("market_data_stale", "staleness_seconds", FEED_SILENCE)


class Surveillance:
    """Turns data into alerts.

    State: the last prices, fills and times, in memory.
    """

    def __init__(self, settings: Settings, alerts: Alerts) -> None:
        self._alerts = alerts
        self._latency = Limit("execution_latency", "execution_p95_seconds", settings.latency_limit)
        self._position = Limit("position_limit_breach", "position_size", settings.position_limit, "critical")
        self._window = SILENT_REPORTS * settings.report_interval
        self._silence = Limit("custodian_unavailable", "silence_seconds", self._window, "critical")
        self._prices: dict[str, PriceHistory] = {}
        self._quality = FillQuality()
        self._positions: Mapping[str, Decimal] = {}
        self._told: dict[str, float] = {}
        self._failures: list[float] = []
        self._custodian_heard = 0.0

    def price(self, symbol: str, price: float) -> None:
        """A tick."""
        history = self._prices.setdefault(symbol, PriceHistory())
        history.add(price)
        self._told[symbol] = _clock()
        about = {"symbol": symbol}
        if symbol in REFERENCE:
            self._alerts.check(VOLATILITY, history.volatility(), about)
            self._alerts.check(DRAWDOWN, history.drawdown(), about)
        if symbol == "USDT-USD":
            self._alerts.check(PEG, abs(price - 1), about)
        base = self._prices.get("BTC-USD")
        if base and symbol == "BTC-USD-PERP":
            self._alerts.check(BASIS, abs(price / base.last - 1) * 10_000, about)
        if base and symbol == "ETH-USD":
            together = correlation(base.steps(CORRELATION_TICKS), history.steps(CORRELATION_TICKS))
            self._alerts.check(CORRELATION, 1 - together, about)

    def fill(self, symbol: str, account: str, signed: Decimal, price: float, positions: Mapping[str, Decimal]) -> None:
        """A fill, and the positions after it."""
        self._positions = positions
        market = self._prices[symbol].last if symbol in self._prices else 0.0
        self._quality.add(symbol, account, signed, price, market)
        self._alerts.check(self._position, abs(float(positions[symbol])), {"symbol": symbol})

    def execution(self, data: Mapping[str, object]) -> None:
        """What the engine measured since its last report."""
        answered, failed = _number(data.get("answered")), _number(data.get("failed"))
        self._alerts.check(CONNECTIVITY, failed if not answered else 0.0)
        if answered:
            self._alerts.check(self._latency, _number(data.get("p95")))
        if answered >= 10:
            self._alerts.check(REJECTION, _number(data.get("rejected")) / answered)

    def liquidity(self, data: Mapping[str, object]) -> None:
        """What the exchange says about its spreads. Where it is hard to sell, a position may only be small."""
        spreads = data.get("spread_bps")
        if not isinstance(spreads, dict):
            return
        thin = {str(symbol) for symbol, spread in spreads.items() if _number(spread) > ILLIQUID_BPS}
        for symbol, spread in spreads.items():
            self._alerts.check(SPREAD, _number(spread), {"symbol": str(symbol)})
        for symbol, position in self._positions.items():
            asset = symbol.split("-")[0]
            exposed = any(asset in each.split("-") for each in thin)
            self._alerts.check(ILLIQUID, abs(float(position)) if exposed else 0.0, {"symbol": symbol})

    def backlog(self, data: Mapping[str, object]) -> None:
        """What the custodian says about its settlements."""
        self._custodian_heard = _clock()
        self._alerts.check(SETTLEMENT, _number(data.get("overdue")))

    def unsettled(self) -> None:
        """A settlement has failed."""
        self._failures.append(_clock())
        self._alerts.check(UNSETTLED, float(len(self._failures)))

    def passing(self) -> None:
        """What only time tells. To be called once per interval of reports."""
        instant = _clock()
        for symbol, told in self._told.items():
            self._alerts.check(STALE, instant - told, {"symbol": symbol})
        if self._custodian_heard:
            self._alerts.check(self._silence, instant - self._custodian_heard)
        self._failures = [each for each in self._failures if instant - each < self._window]
        self._alerts.check(UNSETTLED, float(len(self._failures)))
        for symbol in REFERENCE:
            self._alerts.check(OFF_MARKET, self._quality.off_market(symbol), {"symbol": symbol})
        for account, loss in self._quality.losses().items():
            self._alerts.check(LOSS, max(0.0, loss), {"account": account})


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _clock() -> float:
    return asyncio.get_running_loop().time()
