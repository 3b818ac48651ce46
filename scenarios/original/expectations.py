"""What the original documents expect, as claims: one entry for each type and expectation that is known."""

from collections.abc import Callable
from typing import Any

from messages.claims import nearest
from scenarios.errors import shown
from scenarios.nodes import Path
from scenarios.parts import texts
from scenarios.sheet import Sheet

Fields = dict[str, Any]
"""What a claim is made of, beside what stands in the document already."""


class Told:
    """The parameters of an expectation: each is asked for by name, and what nobody asked for is a mistake."""

    def __init__(self, sheet: Sheet, path: Path, raw: dict[str, Any]) -> None:
        self._sheet = sheet
        self._path = path
        self.service = raw.get("service", raw.get("target"))
        self.given: dict[str, Any] = raw["parameters"] if isinstance(raw.get("parameters"), dict) else {}
        self._asked: set[str] = set()

    def number(self, name: str, default: float) -> float:
        """A number; the default where none is given, or what is given is none."""
        value = self._take(name, default)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        self._wrong(name, value, "a number")
        return default

    def text(self, name: str) -> str:
        """A text without quotes; empty if none is given."""
        value = self._take(name, "")
        if isinstance(value, str) and not set(value) & {"'", "\\"}:
            return value
        self._wrong(name, value, "a text")
        return ""

    def names(self, name: str) -> list[str]:
        """A list of texts."""
        value = self._take(name, [])
        if isinstance(value, list) and len(texts(value)) == len(value):
            return texts(value)
        self._wrong(name, value, "a list of services")
        return []

    def came_from(self, key: str, name: str) -> None:
        """The claim's key has what this parameter says."""
        self._sheet.moved((*self._path, key), (*self._path, "parameters", name))

    def done(self) -> None:
        """Note what nobody asked for."""
        for name in self.given:
            if name not in self._asked:
                path = (*self._path, "parameters", name)
                self._sheet.add(path, f"unknown parameter {shown(name)}", nearest(name[:80], self._asked), at_key=True)

    def _take(self, name: str, default: Any) -> Any:
        self._asked.add(name)
        return self.given.get(name, default)

    def _wrong(self, name: str, value: Any, right: str) -> None:
        self._sheet.add((*self._path, "parameters", name), f"{name!r} cannot be {shown(value)}", right)


def _all_healthy(told: Told) -> Fields:
    return {"type": "health", "target": told.service or "all"}


def _exchange(told: Told) -> Fields:
    return {"type": "health", "target": told.service or "exchange-simulator"}


def _recovered(told: Told) -> Fields:
    """Healthy at one moment is enough: that it lasts is what the steady state asks at the run's end, so no number of passes is needed."""
    told.number("health_check_passes", 1)
    required = told.names("required_services")
    if required:
        told.came_from("target", "required_services")
    return {"type": "health", "target": required or told.service or "all"}


def _event(*types: str, also: str = "") -> Callable[[Told], Fields]:
    where = f"event.type == '{types[0]}'" if len(types) == 1 else f"event.type in {list(types)}"
    return lambda _: {"type": "event", "where": f"{where} && {also}" if also else where}


def _alert(kind: str = "") -> Callable[[Told], Fields]:
    def build(told: Told) -> Fields:
        wanted = {"alert_type": told.text("alert_type") or kind, "severity": told.text("severity")}
        parts = [f"event.data.{key} == '{value}'" for key, value in wanted.items() if value]
        return {"type": "event", "where": " && ".join(["event.type == 'risk.alert_generated'", *parts])}

    return build


def _cleared(told: Told) -> Fields:
    return {"type": "metric", "target": told.service or "risk-monitor", "metric": "risk_compliance_status", "equals": 1}


def _price(told: Told) -> str:
    symbol = (told.text("symbol") or "USDT-USD").replace("/", "-")
    return f"event.type == 'price.updated' && event.data.symbol == '{'USDT-USD' if symbol.startswith('USDT') else symbol}'"


def _depegged(told: Told) -> Fields:
    least, price = told.number("min_deviation", 0.02), "double(event.data.price)"
    return {"type": "event", "where": f"{_price(told)} && ({price} <= {1 - least:g} || {price} >= {1 + least:g})"}


def _repegged(told: Told) -> Fields:
    most, price = told.number("max_deviation", 0.01), "double(event.data.price)"
    return {"type": "event", "where": f"{_price(told)} && {price} >= {1 - most:g} && {price} <= {1 + most:g}"}


def _execution(told: Told) -> Fields:
    slowest, least = told.number("max_latency_ms", 1000) / 1000, told.number("min_success_rate", 0.0)
    good = f"double(event.data.answered - event.data.rejected) >= {float(least)!r} * double(event.data.answered + event.data.failed)"
    fast = f"event.data.answered > 0 && double(event.data.p95) <= {slowest!r}"
    return {"type": "event", "where": f"event.type == 'execution.measured' && {fast} && {good}"}


_NORMAL = "event.data.answered > 0 && event.data.failed == 0 && event.data.rejected == 0"

EXPECTATIONS: dict[tuple[str, str], Callable[[Told], Fields] | None] = {
    ("system_health", "all_services_healthy"): _all_healthy,
    ("exchange_health", "healthy"): _exchange,
    ("system_recovery", "normal_operations"): _recovered,
    ("system_stabilization", "normal_operations"): _recovered,
    ("risk_alert", "alert_generated"): _alert(),
    ("risk_alert", "correlation_breach_alert"): _alert("correlation_breach"),
    ("alert_resolution", "alerts_cleared"): _cleared,
    ("trading_adaptation", "strategy_adjusts"): _event("strategy.adjusted", "strategy.halted"),
    ("trading_performance", "degraded_execution"): _execution,
    ("trading_impact", "degraded_performance"): None,
    ("strategy_active", "arbitrage_running"): _event("order.submitted", also="event.data.account.startsWith('strategy-arbitrage')"),
    ("price_divergence", "usdt_depegged"): _depegged,
    ("price_recovery", "usdt_repeg"): _repegged,
    ("arbitrage_opportunity", "increased_activity"): _event("arbitrage.opportunity_detected"),
    ("liquidity_crisis", "wider_spreads"): _alert("liquidity_risk"),
    ("position_limits", "limits_breached"): _alert("position_limit_breach"),
    ("emergency_procedures", "risk_escalation"): _event("risk.escalated"),
    ("performance_recovery", "normal_operations"): _event("execution.measured", also=_NORMAL),
    ("performance_recovery", "strategy_performance_normalized"): _event("strategy.resumed"),
    ("audit_correlation", "events_correlated"): None,
}
"""By type and expectation; None for what no claim of the language says yet."""
TYPES = frozenset(kind for kind, _ in EXPECTATIONS)
