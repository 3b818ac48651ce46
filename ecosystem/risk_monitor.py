"""The risk monitor: positions and alerts. It never learns that a scenario runs: it takes trading data from events and nothing else."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from aiohttp import web
from nats.aio.msg import Msg

from ecosystem import lifecycle
from ecosystem.alerts import Alerts
from ecosystem.events import SUBJECT_ROOT, Event, decode_event
from ecosystem.prices import INSTRUMENTS, REFERENCE
from ecosystem.recent import Recent
from ecosystem.service import Service
from ecosystem.settings import Settings
from ecosystem.surveillance import Surveillance
from ecosystem.switches import Switches


class RiskMonitor(Service):
    """Watches positions and whatever else may cost money.

    State: positions since its start and active alerts, in memory.
    """

    name = "risk-monitor"
    http_port = 18085
    grpc_port = 15085

    def __init__(self, settings: Settings, switches: Switches) -> None:
        super().__init__(settings, switches)
        self._positions = dict.fromkeys(REFERENCE, Decimal(0))
        self._limit = Decimal(str(settings.position_limit))
        self._beyond: set[str] = set()
        self._fills = 0
        self._seen = Recent(20_000)
        self._gauge = self.metrics.gauge("risk_position_size", "Position, in units of the asset", "asset")
        self._alerts = Alerts(self.metrics, self._report)
        self._surveillance = Surveillance(settings, self._alerts)
        self.outbox.subscribe(f"{SUBJECT_ROOT}.*.order.filled", self._on_fill)
        for kind in ("price.updated", "execution.measured", "liquidity.updated", "settlement.backlog_updated", "settlement.failed"):
            self.outbox.subscribe(f"{SUBJECT_ROOT}.*.{kind}", self._on_data)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/risk/positions", self._serve_positions), web.get("/api/v1/risk/alerts", self._serve_alerts)]

    async def work(self) -> None:
        while True:
            await asyncio.sleep(self.settings.report_interval)
            self._surveillance.passing()
            self.emit(self.event("risk.position_updated", self._summary()))

    async def _on_fill(self, message: Msg) -> None:
        event = decode_event(message.data)
        if event is None or not self._seen.is_new(event.id):
            return
        symbol = event.data.get("symbol")
        try:
            quantity = Decimal(str(event.data.get("quantity")))
        except InvalidOperation:
            return
        if symbol not in self._positions or not quantity.is_finite():
            return
        self._fills += 1
        signed = quantity if event.data.get("side") == "buy" else -quantity
        self._positions[symbol] += signed
        self._gauge.labels(symbol).set(float(self._positions[symbol]))
        self._check(symbol)
        self._surveillance.fill(symbol, str(event.data.get("account", "")), signed, _number(event.data.get("price")), self._positions)

    async def _on_data(self, message: Msg) -> None:
        event = decode_event(message.data)
        if event is None or not self._seen.is_new(event.id):
            return
        if event.type == "price.updated":
            price = _number(event.data.get("price"))
            if event.data.get("symbol") in INSTRUMENTS and price > 0:
                self._surveillance.price(event.data["symbol"], price)
        else:
            self._watch(event)

    def _watch(self, event: Event) -> None:
        if event.type == "execution.measured":
            self._surveillance.execution(event.data)
        elif event.type == "liquidity.updated":
            self._surveillance.liquidity(event.data)
        elif event.type == "settlement.backlog_updated":
            self._surveillance.backlog(event.data)
        else:
            self._surveillance.unsettled()

    def _report(self, kind: str, data: Mapping[str, object]) -> None:
        self.emit(self.event(kind, data))

    def _check(self, symbol: str) -> None:
        position = self._positions[symbol]
        if abs(position) <= self._limit:
            self._beyond.discard(symbol)
        elif symbol not in self._beyond:
            self._beyond.add(symbol)
            self.emit(self.event("risk.limit_breached", {"symbol": symbol, "position": str(position), "limit": str(self._limit)}))

    def _summary(self) -> dict[str, object]:
        return {"positions": {symbol: str(position) for symbol, position in self._positions.items()}, "fills": self._fills}

    async def _serve_positions(self, _request: web.Request) -> web.Response:
        return web.json_response(self._summary())

    async def _serve_alerts(self, _request: web.Request) -> web.Response:
        alerts = self._alerts.described()
        return web.json_response({"alerts": alerts, "count": len(alerts)})


def _number(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return number if number - number == 0 else 0.0  # neither infinite nor NaN


if __name__ == "__main__":
    lifecycle.run(RiskMonitor)
