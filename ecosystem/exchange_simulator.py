"""The exchange: executes each order exactly once, however often it is sent and however often the exchange dies."""

import zlib
from decimal import Decimal
from functools import partial

from aiohttp import web

from ecosystem import lifecycle
from ecosystem.errors import OrderError
from ecosystem.events import Event
from ecosystem.ledger import Ledger
from ecosystem.orders import Order
from ecosystem.prices import REFERENCE, quote
from ecosystem.service import Service
from ecosystem.settings import Settings
from ecosystem.switches import Switches

REJECT_ONE_IN = 50
REASONS = ("price_band", "insufficient_liquidity", "self_trade")


class ExchangeSimulator(Service):
    """Fills or rejects orders.

    State: the ledger of executed orders, on disk; last prices, in memory.
    """

    name = "exchange-simulator"
    http_port = 18081
    grpc_port = 15081

    ledger: Ledger

    def __init__(self, settings: Settings, switches: Switches) -> None:
        super().__init__(settings, switches)
        self._last_price = dict(REFERENCE)
        self._received = 0
        self._orders = self.metrics.counter("exchange_orders", "Orders answered, by status; repeated: known already", "status")

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/v1/orders", self._place), web.get("/api/v1/quotes", self._quote)]

    def open(self) -> None:
        self.ledger = Ledger(self.state_file("executions"))
        for order_id, event in self.ledger.owed():
            self.emit(event, partial(self.ledger.delivered, order_id))

    def close(self) -> None:
        self.ledger.close()

    async def _place(self, request: web.Request) -> web.Response:
        try:
            order = Order.parse(await request.json())
        except (ValueError, OrderError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"order_id": order.order_id, "status": self._execute(order)})

    def _execute(self, order: Order) -> str:
        """The order's status. Nothing here waits: a process that dies has executed an order whole or not at all."""
        status = self.ledger.outcome(order.order_id)
        if status:
            self._orders.labels("repeated").inc()
            return status
        self._received += 1
        status, event = self._decide(order)
        self.ledger.record(order.order_id, status, event)
        self._orders.labels(status).inc()
        if event:
            self.emit(event, partial(self.ledger.delivered, order.order_id))
        return status

    def _decide(self, order: Order) -> tuple[str, Event | None]:
        number = zlib.crc32(order.order_id.encode())
        if self._received == self.switches.lose_order:
            return "accepted", None
        if self._received == self.switches.double_fill:
            self.emit(self._filled(order, f"filled-again-{order.order_id}"))
        elif number % REJECT_ONE_IN == 0:
            reason = REASONS[number // REJECT_ONE_IN % len(REASONS)]
            return "rejected", self._about(order, "order.rejected", {"order_id": order.order_id, "symbol": order.symbol, "reason": reason})
        if order.symbol in REFERENCE:
            self._last_price[order.symbol] = Decimal(order.price)
        return "filled", self._filled(order, f"filled-{order.order_id}")

    def _filled(self, order: Order, event_id: str) -> Event:
        data = {
            "order_id": order.order_id,
            "symbol": order.symbol,
            "side": order.side,
            "quantity": order.quantity,
            "price": order.price,
        }
        return self._about(order, "order.filled", data, event_id)

    def _about(self, order: Order, kind: str, data: dict[str, str], event_id: str = "") -> Event:
        event_id = event_id or f"rejected-{order.order_id}"
        return self.event(kind, data, event_id=event_id, traceid=order.traceid, correlationid=order.order_id)

    async def _quote(self, request: web.Request) -> web.Response:
        symbol = request.query.get("symbol", "BTC-USD")
        if symbol not in REFERENCE:
            return web.json_response({"error": f"unknown symbol {symbol}"}, status=404)
        return web.json_response(quote(symbol, self._last_price[symbol]))


if __name__ == "__main__":
    lifecycle.run(ExchangeSimulator)
