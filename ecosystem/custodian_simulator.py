"""The custodian: settles each filled order exactly once."""

from functools import partial

from aiohttp import web

from ecosystem import lifecycle
from ecosystem.errors import OrderError
from ecosystem.ledger import Ledger
from ecosystem.orders import Order
from ecosystem.service import Service
from ecosystem.settings import Settings
from ecosystem.switches import Switches


class CustodianSimulator(Service):
    """Moves what was traded.

    State: the ledger of settled orders, on disk.
    """

    name = "custodian-simulator"
    http_port = 18082
    grpc_port = 15082

    ledger: Ledger

    def __init__(self, settings: Settings, switches: Switches) -> None:
        super().__init__(settings, switches)
        self._settlements = self.metrics.counter("custodian_settlements", "Settlements completed")

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/v1/settlements", self._settle)]

    def open(self) -> None:
        self.ledger = Ledger(self.state_file("settlements"))
        for order_id, event in self.ledger.owed():
            self.emit(event, partial(self.ledger.delivered, order_id))

    def close(self) -> None:
        self.ledger.close()

    async def _settle(self, request: web.Request) -> web.Response:
        try:
            order = Order.parse(await request.json())
        except (ValueError, OrderError) as error:
            return web.json_response({"error": str(error)}, status=400)
        if not self.ledger.outcome(order.order_id):
            self._complete(order)
        return web.json_response({"order_id": order.order_id, "status": "completed"})

    def _complete(self, order: Order) -> None:
        data = {"order_id": order.order_id, "symbol": order.symbol, "side": order.side, "quantity": order.quantity}
        event = self.event(
            "settlement.completed",
            {**data, "settlement_type": "crypto_internal"},
            event_id=f"settled-{order.order_id}",
            traceid=order.traceid,
            correlationid=order.order_id,
        )
        self.ledger.record(order.order_id, "completed", event)
        self._settlements.inc()
        self.emit(event, partial(self.ledger.delivered, order.order_id))


if __name__ == "__main__":
    lifecycle.run(CustodianSimulator)
