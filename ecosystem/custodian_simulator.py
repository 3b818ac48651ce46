"""The custodian: settles each filled order exactly once, some time after it was asked to."""

import asyncio
from functools import partial

from aiohttp import web

from ecosystem import lifecycle
from ecosystem.bodies import Body
from ecosystem.chaos_api import ChaosApi
from ecosystem.custodian_chaos import READERS, SETTLEMENT_CHAOS, CustodianChaos
from ecosystem.errors import BodyError, OrderError
from ecosystem.events import Event
from ecosystem.ledger import PENDING, Ledger
from ecosystem.orders import Order
from ecosystem.service import Service
from ecosystem.settings import Settings
from ecosystem.settlement_times import TYPES, amount, natural_seconds, type_of
from ecosystem.settlements import Settlement, SettlementQueue
from ecosystem.switches import Switches

LIMIT = 50_000
"""Settlements on their way; further ones are asked for again later."""


class CustodianSimulator(Service):
    """Moves what was traded.

    State: the ledger of settlements, on disk; those on their way begin anew at a restart.
    """

    name = "custodian-simulator"
    http_port = 18082
    grpc_port = 15082

    ledger: Ledger

    def __init__(self, settings: Settings, switches: Switches) -> None:
        super().__init__(settings, switches)
        self._settlements = self.metrics.counter("custodian_settlements", "Settlements completed")
        self._failures = self.metrics.counter("custodian_settlement_failures", "Settlements that failed")
        self._depth = self.metrics.gauge("custodian_settlement_queue_depth", "Settlements on their way")
        self._api = ChaosApi(self, READERS, metric="custodian_chaos_active", changed=lambda _: self._queue.plan_again())
        self._api.remedy("resume-normal-settlement", self._resume)
        self._chaos = CustodianChaos(self._api.injections)
        self._queue = SettlementQueue(self._seconds, self._end)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/settlements", self._settle),
            web.get("/api/v1/settlements/{id}/status", self._serve_status),
            web.post("/api/v1/transfers", self._transfer),
            *self._api.routes(),
        ]

    def refusal(self) -> str:
        return self._chaos.refusal()

    def open(self) -> None:
        self.ledger = Ledger(self.state_file("settlements"))
        for event in self.ledger.owed():
            self.emit(event, partial(self.ledger.delivered, event))
        for order_id, event in self.ledger.pending().items():
            self._queue.add(order_id, event, self._natural(event.data["settlement_type"]))

    def close(self) -> None:
        self._queue.stop()
        self.ledger.close()

    async def work(self) -> None:
        while True:
            await asyncio.sleep(self.settings.report_interval)
            self._tell_backlog()

    async def _settle(self, request: web.Request) -> web.Response:
        try:
            document = await request.json()
            order = Order.parse(document)
            kind = document.get("settlement_type") or type_of(order.order_id)
            if kind not in TYPES:
                raise OrderError(f"settlement_type must be one of {', '.join(TYPES)}")
        except (ValueError, OrderError) as error:
            return web.json_response({"error": str(error)}, status=400)
        if not self.ledger.outcome(order.order_id):
            if len(self._queue) >= LIMIT:
                return web.json_response({"error": f"{LIMIT} settlements are on their way"}, status=503)
            self._begin(order, kind)
        return web.json_response({"order_id": order.order_id, "status": self.ledger.outcome(order.order_id)})

    def _begin(self, order: Order, kind: str) -> None:
        data = {"order_id": order.order_id, "symbol": order.symbol, "side": order.side, "quantity": order.quantity}
        event = self.event(
            "settlement.requested",
            {**data, "settlement_type": kind, "amount": str(amount(order.quantity, order.price))},
            event_id=f"settling-{order.order_id}",
            traceid=order.traceid,
            correlationid=order.order_id,
        )
        self._record(order.order_id, PENDING, event)
        self._queue.add(order.order_id, event, self._natural(kind))

    def _end(self, settlement: Settlement) -> None:
        begun = settlement.request
        order_id, kind = begun.data["order_id"], begun.data["settlement_type"]
        seconds = asyncio.get_running_loop().time() - settlement.began
        data = {name: begun.data[name] for name in ("order_id", "symbol", "side", "quantity", "settlement_type")}
        error = self._chaos.failure(kind)
        if error:
            half = {"error": error, "settled_quantity": str(round(float(data["quantity"]) / 2, 4))}
            outcome, event_id, data = "failed", f"unsettled-{order_id}", data | half
            self._failures.inc()
        else:
            outcome, event_id = "completed", f"settled-{order_id}"
            self._settlements.inc()
        data |= {"took": round(seconds, 4)}
        event = self.event(f"settlement.{outcome}", data, event_id=event_id, traceid=begun.traceid or "", correlationid=order_id)
        self._record(order_id, outcome, event)

    def _record(self, order_id: str, outcome: str, event: Event) -> None:
        self.ledger.record(order_id, outcome, event)
        self.emit(event, partial(self.ledger.delivered, event))

    def _tell_backlog(self) -> None:
        overdue = self._queue.overdue()
        self._depth.set(len(self._queue))
        for settlement in overdue:
            if not settlement.told_late:
                settlement.told_late = True
                self._tell_late(settlement)
        if not self.refusal():
            oldest = asyncio.get_running_loop().time() - overdue[0].began if overdue else 0.0
            backlog = {"pending": len(self._queue), "overdue": len(overdue), "oldest_overdue": round(oldest, 3)}
            self.emit(self.event("settlement.backlog_updated", backlog))

    def _tell_late(self, settlement: Settlement) -> None:
        begun = settlement.request
        order_id = begun.data["order_id"]
        data = {"order_id": order_id, "settlement_type": begun.data["settlement_type"], "expected": settlement.natural}
        event_id = f"delayed-{order_id}"
        self.emit(self.event("settlement.delayed", data, event_id=event_id, traceid=begun.traceid or "", correlationid=order_id))

    async def _serve_status(self, request: web.Request) -> web.Response:
        status = self.ledger.outcome(request.match_info["id"])
        if status is None:
            return web.json_response({"error": "no such settlement"}, status=404)
        return web.json_response({"order_id": request.match_info["id"], "status": status})

    async def _transfer(self, request: web.Request) -> web.Response:
        """Moves an asset out, at once."""
        body = Body.decode(await request.read())
        data: dict[str, object] = {"transfer_id": body.text("transfer_id", "transfer"), "asset": body.text("asset", "USD")}
        data["amount"] = body.number("amount", least=0, most=1e12)
        kind = body.choice("type", "wire_domestic", TYPES)
        try:
            body.done()
        except BodyError as error:
            return web.json_response({"error": str(error)}, status=400)
        reason = self._chaos.transfer_refusal(kind)
        outcome = "rejected" if reason else "completed"
        data |= {"type": kind} | ({"reason": reason} if reason else {})
        self.emit(self.event(f"transfer.{outcome}", data))
        return web.json_response(data | {"status": outcome}, status=422 if reason else 200)

    def _resume(self, body: Body) -> list[str]:
        body.done()
        return self._api.injections.end_all(SETTLEMENT_CHAOS)

    def _natural(self, kind: str) -> float:
        return natural_seconds(kind, self.settings.clock_speed)

    def _seconds(self, settlement: Settlement) -> float:
        data = settlement.request.data
        return self._chaos.seconds(data["settlement_type"], amount(data["amount"], "1"), settlement.natural)


if __name__ == "__main__":
    lifecycle.run(CustodianSimulator)
