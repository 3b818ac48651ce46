"""What the trading engine serves for others: their orders, and strategies to start and stop."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from ecosystem.bodies import Body
from ecosystem.desk import Desk
from ecosystem.errors import BodyError, OrderError
from ecosystem.orders import Order

WAIT = 2.0
"""Seconds that an order from outside waits for the exchange."""


class EngineApi:
    """`submit` takes an order up; `answered` is to be called for every order that the exchange has decided."""

    def __init__(self, desk: Desk, submit: Callable[[Order], None], *, known: Callable[[str], bool], price: Callable[[str], str]) -> None:
        self._desk = desk
        self._price = price
        self._submit = submit
        self._known = known
        self._waiting: dict[str, asyncio.Future[str]] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/orders", self._order),
            web.post("/api/v1/strategies/start", self._start),
            web.post("/api/v1/strategies/stop", self._stop),
            web.get("/api/v1/strategies", self._strategies),
        ]

    def answered(self, order_id: str, status: str) -> None:
        waiting = self._waiting.get(order_id)
        if waiting and not waiting.done():
            waiting.set_result(status)

    async def _order(self, request: web.Request) -> web.Response:
        """Answers when the exchange has; 504 if that takes too long, and the order stays open. Without a price it is the engine's."""
        try:
            document = await request.json()
            if isinstance(document, dict) and "price" not in document:
                document["price"] = self._price(str(document.get("symbol", "")))
            order = Order.parse(document)
        except (ValueError, OrderError) as error:
            return web.json_response({"error": str(error)}, status=400)
        if order.order_id in self._waiting or self._known(order.order_id):
            return web.json_response({"error": "this order is open already"}, status=409)
        answer = self._waiting[order.order_id] = asyncio.get_running_loop().create_future()
        try:
            self._submit(order)
            async with asyncio.timeout(WAIT):
                return web.json_response({"order_id": order.order_id, "status": await answer})
        except TimeoutError:
            return web.json_response({"order_id": order.order_id, "error": f"no answer from the exchange within {WAIT} s"}, status=504)
        finally:
            del self._waiting[order.order_id]

    async def _start(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(self._desk.start(Body.decode(await request.read())), status=201)
        except BodyError as error:
            return web.json_response({"error": str(error), "problems": error.problems}, status=400)

    async def _stop(self, request: web.Request) -> web.Response:
        """By name (`strategy`) or by `id`."""
        body = Body.decode(await request.read())
        name = body.text("id", body.text("strategy", "none"))
        try:
            body.part("config")
            body.done()
        except BodyError as error:
            return web.json_response({"error": str(error), "problems": error.problems}, status=400)
        stopped = self._desk.stop(name)
        if not stopped:
            return web.json_response({"error": f"no strategy {name} is running"}, status=404)
        return web.json_response({"id": stopped[0], "strategy": name, "status": "stopped", "cleared": stopped})

    async def _strategies(self, _request: web.Request) -> web.Response:
        running = [each.described() | {"strategy": each.type} for each in self._desk.started.all()]
        return web.json_response({"strategies": running, "count": len(running)})
