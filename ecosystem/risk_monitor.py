"""The risk monitor: positions from fills. It never learns that a scenario runs: it takes trading data from events and nothing else."""

import asyncio
from decimal import Decimal, InvalidOperation

from aiohttp import web
from nats.aio.msg import Msg

from ecosystem import lifecycle
from ecosystem.events import SUBJECT_ROOT, decode_event
from ecosystem.prices import REFERENCE
from ecosystem.recent import Recent
from ecosystem.service import Service
from ecosystem.settings import Settings
from ecosystem.switches import Switches

EVERY = 1.0


class RiskMonitor(Service):
    """Watches positions.

    State: positions since its start, in memory.
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
        self.outbox.subscribe(f"{SUBJECT_ROOT}.*.order.filled", self._on_fill)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/risk/positions", self._serve_positions)]

    async def work(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
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
        self._positions[symbol] += quantity if event.data.get("side") == "buy" else -quantity
        self._gauge.labels(symbol).set(float(self._positions[symbol]))
        self._check(symbol)

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


if __name__ == "__main__":
    lifecycle.run(RiskMonitor)
