"""The exchange: executes each order exactly once, however often it is sent and however often the exchange dies."""

import asyncio
import zlib
from decimal import Decimal
from functools import partial

from aiohttp import web

from ecosystem import lifecycle
from ecosystem.bodies import Body
from ecosystem.chaos_api import ChaosApi
from ecosystem.errors import OrderError
from ecosystem.events import Event
from ecosystem.exchange_chaos import READERS, SYMBOLS, ExchangeChaos
from ecosystem.ledger import Ledger
from ecosystem.orders import Order
from ecosystem.prices import CROSSES, REFERENCE, quote
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
        self._last_price = REFERENCE | CROSSES
        self._received = 0
        self._orders = self.metrics.counter("exchange_orders", "Orders answered, by status; repeated: known already", "status")

        self._api = ChaosApi(self, READERS, metric="exchange_chaos_active", changed=lambda _: self._tell_liquidity())
        self._api.remedy("restore-liquidity", self._restore_liquidity)
        self._chaos = ExchangeChaos(self._api.injections)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/orders", self._place),
            web.delete("/api/v1/orders/{id}", self._cancel),
            web.get("/api/v1/quotes", self._quote),
            *self._api.routes(),
        ]

    def refusal(self) -> str:
        return self._chaos.refusal()

    def open(self) -> None:
        self.ledger = Ledger(self.state_file("executions"))
        for event in self.ledger.owed():
            self.emit(event, partial(self.ledger.delivered, event))

    def close(self) -> None:
        self.ledger.close()

    async def work(self) -> None:
        while True:
            await asyncio.sleep(self.settings.report_interval)
            if not self.refusal():
                self._tell_liquidity()

    async def _place(self, request: web.Request) -> web.Response:
        try:
            order = Order.parse(await request.json())
        except (ValueError, OrderError) as error:
            return web.json_response({"error": str(error)}, status=400)
        delay = self._chaos.delay("place_order", order.account)
        if delay:
            await asyncio.sleep(delay)
        status, quantity = self._execute(order)
        return web.json_response({"order_id": order.order_id, "status": status, "filled_quantity": quantity})

    async def _cancel(self, request: web.Request) -> web.Response:
        """Orders are executed as they come, so that there is never one left to cancel."""
        await asyncio.sleep(self._chaos.delay("cancel_order"))
        status = self.ledger.outcome(request.match_info["id"])
        if status is None:
            return web.json_response({"error": "no such order"}, status=404)
        return web.json_response({"error": f"the order is {status.split()[0]} already"}, status=409)

    def _execute(self, order: Order) -> tuple[str, str]:
        """The order's status and what was filled. Nothing here waits: who dies has executed an order whole or not at all."""
        known = self.ledger.outcome(order.order_id)
        if known:
            self._orders.labels("repeated").inc()
            status, _, part = known.partition(" ")
            return status, part or _all_or_nothing(order, status)
        self._received += 1
        status, event = self._decide(order)
        quantity = str(event.data["quantity"]) if event and status == "filled" else _all_or_nothing(order, status)
        self.ledger.record(order.order_id, status if quantity in {order.quantity, "0"} else f"{status} {quantity}", event)
        self._orders.labels(status).inc()
        if event:
            self.emit(event, partial(self.ledger.delivered, event))
        return status, quantity

    def _decide(self, order: Order) -> tuple[str, Event | None]:
        number = zlib.crc32(order.order_id.encode())
        if self._received == self.switches.lose_order:
            return "accepted", None
        if self._received == self.switches.double_fill:
            self.emit(self._filled(order, f"filled-again-{order.order_id}"))
        elif number % REJECT_ONE_IN == 0:
            return self._reject(order, REASONS[number // REJECT_ONE_IN % len(REASONS)])
        elif reason := self._chaos.rejection(order):
            return self._reject(order, reason)
        if order.symbol in self._last_price:
            self._last_price[order.symbol] = Decimal(order.price)
        return "filled", self._filled(order, f"filled-{order.order_id}")

    def _reject(self, order: Order, reason: str) -> tuple[str, Event]:
        return "rejected", self._about(order, "order.rejected", {"order_id": order.order_id, "symbol": order.symbol, "reason": reason})

    def _filled(self, order: Order, event_id: str) -> Event:
        part = self._chaos.filled_part()
        data = {
            "order_id": order.order_id,
            "symbol": order.symbol,
            "side": order.side,
            "quantity": order.quantity if part == 1 else str(Decimal(order.quantity) * part),
            "price": order.price,
            "account": order.account,
        }
        if part != 1:
            data |= {"ordered_quantity": order.quantity, "partial": "true"}
        return self._about(order, "order.filled", data, event_id)

    def _about(self, order: Order, kind: str, data: dict[str, str], event_id: str = "") -> Event:
        event_id = event_id or f"rejected-{order.order_id}"
        return self.event(kind, data, event_id=event_id, traceid=order.traceid, correlationid=order.order_id)

    async def _quote(self, request: web.Request) -> web.Response:
        symbol = request.query.get("symbol", "BTC-USD")
        if symbol not in self._last_price:
            return web.json_response({"error": f"unknown symbol {symbol}"}, status=404)
        delay = self._chaos.delay("get_quote")
        if delay:
            await asyncio.sleep(delay)
        return web.json_response(quote(symbol, self._last_price[symbol], self._chaos.half_spread(symbol)))

    def _tell_liquidity(self) -> None:
        spreads = {symbol: float(self._chaos.half_spread(symbol) * 20_000) for symbol in SYMBOLS}
        self.emit(self.event("liquidity.updated", {"spread_bps": spreads}))

    def _restore_liquidity(self, body: Body) -> list[str]:
        body.done()
        return self._api.injections.end_all(("reduce-liquidity",))


def _all_or_nothing(order: Order, status: str) -> str:
    return order.quantity if status == "filled" else "0"


if __name__ == "__main__":
    lifecycle.run(ExchangeSimulator)
