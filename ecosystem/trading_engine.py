"""The trading engine: submits orders at a steady rate and loses none, whoever dies meanwhile."""

import asyncio
import logging
import random
import secrets
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import count

from aiohttp import ClientError, web

from ecosystem import lifecycle
from ecosystem.adaptation import Adaptation
from ecosystem.clock import now
from ecosystem.courier import Courier
from ecosystem.desk import Desk
from ecosystem.engine_api import EngineApi
from ecosystem.events import SUBJECT_ROOT
from ecosystem.execution import Execution
from ecosystem.open_orders import OpenOrders
from ecosystem.orders import Order
from ecosystem.pacing import Pace
from ecosystem.prices import REFERENCE, quote, tidy
from ecosystem.service import Service
from ecosystem.settings import Settings
from ecosystem.strategies import Intent
from ecosystem.switches import Switches

TICK = 0.02
PRICES_EVERY = 0.5
SETTLEMENTS_LIMIT = 5_000
FINISH_WITHIN = 0.3
ACCOUNTS = ("strategy-arbitrage", "strategy-momentum")
CENT = Decimal("0.01")
UNREACHABLE = (ClientError, TimeoutError, OSError)

log = logging.getLogger(__name__)


class TradingEngine(Service):
    """Trades.

    State: open orders, on disk; the last prices, strategies and what accounts hold, in memory.
    """

    name = "trading-engine"
    http_port = 18083
    grpc_port = 15083

    book: OpenOrders

    def __init__(self, settings: Settings, switches: Switches) -> None:
        super().__init__(settings, switches)
        self._ids = (f"{boot}-{number}" for boot in [secrets.token_hex(4)] for number in count(1))
        self._random = random.Random()
        self._prices = dict(REFERENCE)
        self._to_exchange = Courier(self._send, at_once=128)
        self._to_custodian = Courier(self._settle, at_once=16)
        self._totals = dict.fromkeys(("submitted", "recovered", "filled", "rejected", "accepted", "refused", "skipped", "retried"), 0)
        self._orders = self.metrics.counter("engine_orders", "Orders, by what happened to them", "outcome")
        self._open = self.metrics.gauge("engine_open_orders", "Orders without an answer")
        self._answers = self.metrics.histogram("engine_exchange_seconds", "Seconds from a request to the exchange to its answer")

        self._execution = Execution()
        self._desk = Desk(self._place_intent, self._report)
        self._adaptation = Adaptation(self._desk, self._report)
        self._api = EngineApi(self._desk, self._take_up, known=self._is_open, price=self._price)
        for kind in ("generated", "cleared"):
            self.outbox.subscribe(f"{SUBJECT_ROOT}.*.risk.alert_{kind}", self._adaptation.on_alert)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/quote", self._quote), web.get("/api/v1/orders/summary", self._summary), *self._api.routes()]

    def open(self) -> None:
        self.book = OpenOrders(self.state_file("open-orders"))
        if self.switches.no_recovery:
            self.book.forget()
        self._recover()

    def close(self) -> None:
        self.book.close()

    async def work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for job in (self._submit, self._to_exchange.run, self._to_custodian.run, self._watch_prices, self._tell_execution):
                tasks.create_task(job())

    async def finish(self) -> None:
        try:
            async with asyncio.timeout(FINISH_WITHIN):
                while self.book.unanswered or len(self._to_custodian):  # noqa: ASYNC110 - once in a life, and bounded
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.info("stopping with %d open orders; the next start takes them up", len(self.book))

    def _recover(self) -> None:
        """Takes up the orders of the process before: each step that is not known to be done is done again, under the same id."""
        entries = self.book.all()
        for entry in entries:
            if not entry.told:
                self._tell(entry.order)
            if entry.answer == "filled" and not entry.finished:
                self._to_custodian.hand_over(entry.order)
            elif not entry.answer:
                self._desk.placed(entry.order)
                self._to_exchange.hand_over(entry.order)
        if entries:
            self._count("recovered", self.book.unanswered)
            log.info("took up %d orders of the process before, %d without an answer", len(entries), self.book.unanswered)

    async def _submit(self) -> None:
        clock = asyncio.get_running_loop().time
        pace = Pace(self.settings.order_rate, clock())
        while not self.stopping:
            due, skipped = pace.due(clock())
            room = max(0, self.settings.open_orders_limit - self.book.unanswered)
            for _ in range(min(due, room)):
                self._place()
            self._count("skipped", skipped + max(0, due - room))
            self._desk.trade(self._prices)
            self._open.set(self.book.unanswered)
            await asyncio.sleep(TICK)

    def _place(self) -> None:
        halted = self._adaptation.halted
        symbol = self._random.choice(tuple(REFERENCE))
        if halted and symbol in halted:
            symbol = self._random.choice([each for each in REFERENCE if each not in halted] or [symbol])
        size = Decimal(self._random.randint(1, 100)) * CENT * self._adaptation.size_factor
        side = self._random.choice(("buy", "sell"))
        self._take_up(self._order(Intent(symbol, side, max(CENT, size), self._prices[symbol]), self._random.choice(ACCOUNTS)))

    def _place_intent(self, intent: Intent, account: str) -> bool:
        """Whether there was room for an order of a strategy."""
        if self.book.unanswered >= self.settings.open_orders_limit:
            self._count("skipped")
            return False
        self._take_up(self._order(intent, account))
        return True

    def _order(self, intent: Intent, account: str) -> Order:
        return Order(
            order_id=next(self._ids),
            symbol=intent.symbol,
            side=intent.side,
            quantity=str(intent.quantity.quantize(CENT)),
            price=str(tidy(intent.symbol, intent.price)),
            account=account,
        )

    def _is_open(self, order_id: str) -> bool:
        return self.book.get(order_id) is not None

    def _price(self, symbol: str) -> str:
        """What an order costs that names no price, empty if nobody knows."""
        return str(tidy(symbol, self._prices[symbol])) if symbol in self._prices else ""

    def _take_up(self, order: Order) -> None:
        order = replace(order, submitted_at=now())
        self.book.add(order)
        self._desk.placed(order)
        self._tell(order)
        self._count("submitted")
        asyncio.get_running_loop().call_later(self.settings.order_hold, self._to_exchange.hand_over, order)

    def _tell(self, order: Order) -> None:
        data = {"order_id": order.order_id, "symbol": order.symbol, "side": order.side, "quantity": order.quantity}
        data |= {"price": order.price, "account": order.account}
        event_id = f"submitted-{order.order_id}"
        event = self.event("order.submitted", data, event_id=event_id, traceid=order.traceid, correlationid=order.order_id)
        event = replace(event, time=order.submitted_at)
        self.emit(event, partial(self.book.told, order.order_id))

    async def _send(self, order: Order) -> bool:
        """Whether the exchange has answered for this order."""
        await self.outbox.settled(0.2)  # the world hears of an order before the exchange does
        url = f"{self.settings.exchange_url}/api/v1/orders"
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            with self._answers.time():
                async with self.http.post(url, data=order.encoded(), headers=_JSON | order.headers) as response:
                    answer = {"status": "refused"} if response.status == 400 else await response.json()
                    status = str(answer["status"])
        except (*UNREACHABLE, ValueError, KeyError, TypeError):
            self._count("retried")
            self._execution.failed()
            return False
        self._execution.answered(clock() - began, status)
        self._decided(order, status, str(answer.get("filled_quantity", order.quantity if status == "filled" else "0")))
        return True

    def _decided(self, order: Order, status: str, filled: str) -> None:
        self.book.answered(order.order_id, status)
        self._api.answered(order.order_id, status)
        self._count(status if status in self._totals else "refused")
        if filled != order.quantity:
            self._desk.missed(order, str(Decimal(order.quantity) - Decimal(filled)))
        if status == "filled" and self.settings.custodian_url and len(self._to_custodian) < SETTLEMENTS_LIMIT:
            self._to_custodian.hand_over(replace(order, quantity=filled))
        else:
            self.book.finished(order.order_id)

    async def _settle(self, order: Order) -> bool:
        """Whether the custodian has settled this order."""
        url = f"{self.settings.custodian_url}/api/v1/settlements"
        try:
            async with self.http.post(url, data=order.encoded(), headers=_JSON | order.headers) as response:
                if response.status >= 500:
                    return False
        except UNREACHABLE:
            return False
        self.book.finished(order.order_id)
        return True

    async def _tell_execution(self) -> None:
        while True:
            await asyncio.sleep(self.settings.report_interval)
            figures = self._execution.told()
            if figures:
                careful = {"size_factor": float(self._adaptation.size_factor), "halted": sorted(self._adaptation.halted)}
                self._report("execution.measured", figures | careful)

    def _report(self, kind: str, data: Mapping[str, object]) -> None:
        self.emit(self.event(kind, data))

    async def _watch_prices(self) -> None:
        while self.settings.market_data_url:
            try:
                async with self.http.get(f"{self.settings.market_data_url}/api/v1/prices") as response:
                    prices = (await response.json())["prices"]
                    self._prices.update({symbol: Decimal(prices[symbol]) for symbol in REFERENCE if symbol in prices})
            except (*UNREACHABLE, ValueError, KeyError, InvalidOperation) as error:
                log.debug("no prices: %s", error)
            await asyncio.sleep(PRICES_EVERY)

    async def _quote(self, request: web.Request) -> web.Response:
        """Bid and ask from the engine's own prices; with `?through=exchange` the exchange is asked."""
        symbol = request.query.get("symbol", "BTC-USD")
        if symbol not in REFERENCE:
            return web.json_response({"error": f"unknown symbol {symbol}"}, status=404)
        if request.query.get("through") != "exchange":
            return web.json_response(quote(symbol, self._prices[symbol]))
        try:
            async with self.http.get(f"{self.settings.exchange_url}/api/v1/quotes", params={"symbol": symbol}) as response:
                return web.json_response(await response.json(), status=response.status)
        except (*UNREACHABLE, ValueError) as error:
            return web.json_response({"error": f"no answer from the exchange: {error}"}, status=503)

    async def _summary(self, _request: web.Request) -> web.Response:
        return web.json_response({**self._totals, "open": self.book.unanswered, "settling": len(self._to_custodian)})

    def _count(self, outcome: str, number: int = 1) -> None:
        if number:
            self._totals[outcome] += number
            self._orders.labels(outcome).inc(number)


_JSON = {"Content-Type": "application/json"}


if __name__ == "__main__":
    lifecycle.run(TradingEngine)
