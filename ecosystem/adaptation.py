"""How trading answers to the alerts of the risk monitor: smaller orders, no orders, holdings sold off."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from nats.aio.msg import Msg

from ecosystem.desk import Desk
from ecosystem.events import decode_event

CAUTIOUS = Decimal("0.5")
SHRINKING = ("execution_latency", "order_rejection", "liquidity_risk", "volatility_breach", "correlation_breach", "settlement_timeout")
HALTING = ("drawdown_limit_breach", "position_limit_breach")
STEADY = "momentum"
"""The strategy that always runs."""


@dataclass(frozen=True)
class _Alert:
    kind: str
    symbol: str


class Adaptation:
    """What trading does differently as long as alerts are active.

    State: the active alerts, in memory.
    """

    def __init__(self, desk: Desk, tell: Callable[[str, Mapping[str, object]], None]) -> None:
        self._desk = desk
        self._tell = tell
        self._alerts: dict[str, _Alert] = {}

    @property
    def size_factor(self) -> Decimal:
        """What the size of a usual order is multiplied with."""
        return CAUTIOUS if any(each.kind in SHRINKING for each in self._alerts.values()) else Decimal(1)

    @property
    def halted(self) -> set[str]:
        """Symbols that are not traded."""
        return {each.symbol for each in self._alerts.values() if each.kind == "drawdown_limit_breach" and each.symbol}

    async def on_alert(self, message: Msg) -> None:
        event = decode_event(message.data)
        if event is None or "alert_id" not in event.data:
            return
        alert_id = str(event.data["alert_id"])
        alert = _Alert(str(event.data.get("alert_type", "")), str(event.data.get("symbol", "")))
        if event.type == "risk.alert_generated" and alert_id not in self._alerts:
            self._alerts[alert_id] = alert
            self._answer(alert, event.data)
        elif event.type == "risk.alert_cleared" and alert_id in self._alerts:
            del self._alerts[alert_id]
            self._relax(alert, alert_id)

    def _answer(self, alert: _Alert, data: Mapping[str, object]) -> None:
        about = {"strategy": STEADY, "reason": alert.kind, "alert_id": data["alert_id"]}
        if alert.kind in SHRINKING:
            self._tell("strategy.adjusted", about | {"size_factor": float(self.size_factor)})
        if alert.kind not in HALTING:
            return
        account = str(data.get("account", ""))
        if account:
            self._desk.halt(account, data)
        elif alert.kind == "drawdown_limit_breach":
            self._tell("strategy.halted", about | {"symbol": alert.symbol})
            self._desk.reduce(symbol=alert.symbol)
        else:
            for each in self._desk.accounts(alert.symbol):
                self._desk.halt(each, data)

    def _relax(self, alert: _Alert, alert_id: str) -> None:
        about: dict[str, object] = {"strategy": STEADY, "reason": alert.kind, "alert_id": alert_id}
        if alert.kind == "drawdown_limit_breach" and alert.symbol and alert.symbol not in self.halted:
            self._tell("strategy.resumed", about | {"symbol": alert.symbol})
        elif alert.kind in SHRINKING and self.size_factor == 1:
            self._tell("strategy.resumed", about | {"size_factor": 1.0})
