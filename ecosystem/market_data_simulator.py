"""Market data: prices that walk randomly around a reference."""

import asyncio
import random
from decimal import Decimal

from aiohttp import web

from ecosystem import lifecycle
from ecosystem.prices import REFERENCE, tidy
from ecosystem.service import Service
from ecosystem.settings import Settings
from ecosystem.switches import Switches

EVERY = 1.0
STEP = 0.0005
PULL = 0.01
"""How strongly a price is drawn back to its reference, so that it never wanders off."""


class MarketDataSimulator(Service):
    """Knows what things cost.

    State: the prices, in memory; a restart begins at the reference again.
    """

    name = "market-data-simulator"
    http_port = 18084
    grpc_port = 15084

    def __init__(self, settings: Settings, switches: Switches) -> None:
        super().__init__(settings, switches)
        self._prices = dict(REFERENCE)
        self._random = random.Random()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/prices", self._serve_prices)]

    async def work(self) -> None:
        while True:
            for symbol in REFERENCE:
                self._move(symbol)
            await asyncio.sleep(EVERY)

    def _move(self, symbol: str) -> None:
        price, reference = self._prices[symbol], REFERENCE[symbol]
        step = price * Decimal(self._random.gauss(0, STEP)) + (reference - price) * Decimal(PULL)
        self._prices[symbol] = tidy(symbol, price + step)
        self.emit(self.event("price.updated", {"symbol": symbol, "price": str(self._prices[symbol])}))

    async def _serve_prices(self, request: web.Request) -> web.Response:
        wanted = request.query.get("symbol")
        prices = {symbol: str(price) for symbol, price in self._prices.items() if wanted in {None, symbol}}
        if not prices:
            return web.json_response({"error": f"unknown symbol {wanted}"}, status=404)
        return web.json_response({"prices": prices})


if __name__ == "__main__":
    lifecycle.run(MarketDataSimulator)
