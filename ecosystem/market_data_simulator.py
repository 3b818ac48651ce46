"""Market data: prices that walk randomly around a reference, and whatever scenarios make of them."""

import asyncio
import random
from decimal import Decimal
from functools import partial

from aiohttp import web

from ecosystem import lifecycle
from ecosystem.bodies import Body
from ecosystem.chaos import Injection
from ecosystem.chaos_api import ChaosApi
from ecosystem.market_chaos import DEFAULT, DEPEG_LONGEST, READERS, SYMBOLS
from ecosystem.market_scenarios import Break, Disruption, PriceScenario, Walk
from ecosystem.prices import DERIVED, REFERENCE
from ecosystem.service import Service
from ecosystem.settings import Settings
from ecosystem.switches import Switches


class MarketDataSimulator(Service):
    """Knows what things cost.

    State: the prices, in memory; a restart begins at the reference again.
    """

    name = "market-data-simulator"
    http_port = 18084
    grpc_port = 15084

    def __init__(self, settings: Settings, switches: Switches) -> None:
        super().__init__(settings, switches)
        self._random = random.Random()
        self._walk = Walk(self._random)
        self._prices = REFERENCE | DERIVED
        self._told: dict[str, float] = {}
        staleness = self.metrics.gauge("market_data_staleness_seconds", "Seconds since the last price went out", "symbol")
        for symbol in self._prices:
            staleness.labels(symbol).set_function(partial(self._staleness, symbol))
        self._api = ChaosApi(self, READERS, metric="market_data_scenario_active", changed=self._changed)
        self._api.remedy("price-recovery", self._recover)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/prices", self._serve_prices), *self._api.market_routes()]

    async def work(self) -> None:
        while True:
            self._move()
            await asyncio.sleep(self.settings.price_interval)

    def _move(self) -> None:
        scenarios = self._api.injections.of(PriceScenario)
        self._walk.step(max((each.together for each in scenarios), default=0.0), self._api.injections.of(Break))
        for scenario in scenarios:
            scenario.step(self._random)
        self._tick(SYMBOLS)

    def _tick(self, symbols: tuple[str, ...]) -> None:
        scenarios = self._api.injections.of(PriceScenario)
        prices = self._walk.prices(scenarios, asyncio.get_running_loop().time())
        for symbol in symbols:
            volume = max((each.volume for each in scenarios if symbol in each.symbols), default=1.0) * self._random.uniform(50, 150)
            self._send(symbol, prices[symbol], round(volume, 2))

    def _send(self, symbol: str, price: Decimal, volume: float) -> None:
        """Brings a price to the world, through whatever disrupts the feed."""
        event = self.event("price.updated", {"symbol": symbol, "price": str(price), "volume": volume})
        delay = 0.0
        for each in self._api.injections.of(Disruption):
            if symbol in each.symbols:
                if self._random.random() < each.loss:
                    return
                delay = max(delay, each.latency)

        def arrive() -> None:
            self._prices[symbol] = price
            self._told[symbol] = asyncio.get_running_loop().time()
            self.emit(event)

        if delay:
            asyncio.get_running_loop().call_later(delay, arrive)
        else:
            arrive()

    def _changed(self, injection: Injection) -> None:
        """A shock is felt at once, and so is its end."""
        if not isinstance(injection.effect, Break):
            self._tick(SYMBOLS)

    def _recover(self, body: Body) -> list[str]:
        """Brings prices back within the time asked for, from wherever scenarios have driven them."""
        symbols = body.symbols("symbol", "symbols", default=SYMBOLS, allowed=SYMBOLS)
        target = body.number("target_price", 0.0, least=0, most=1e9)
        seconds = body.seconds("recovery", DEFAULT, most=DEPEG_LONGEST) if not body.has("recovery_time_seconds") else 0.0
        seconds = seconds or body.seconds("recovery_time", 0.0, most=DEPEG_LONGEST)
        if target and any(abs(target / float((REFERENCE | DERIVED)[each]) - 1) > 0.01 for each in symbols if each in REFERENCE | DERIVED):
            body.problems.append("target_price: prices only recover to their reference")
        body.done()
        return [self._recover_one(each, each.effect, seconds) for each in self._affected(symbols) if isinstance(each.effect, PriceScenario)]

    def _affected(self, symbols: tuple[str, ...]) -> list[Injection]:
        found = [each for each in self._api.injections.all() if isinstance(each.effect, PriceScenario)]
        return [each for each in found if isinstance(each.effect, PriceScenario) and set(symbols) & set(each.effect.symbols)]

    def _recover_one(self, injection: Injection, scenario: PriceScenario, seconds: float) -> str:
        scenario.recover(asyncio.get_running_loop().time(), seconds)
        self._api.injections.prolong(injection, seconds)
        return injection.id

    def _staleness(self, symbol: str) -> float:
        return asyncio.get_running_loop().time() - self._told[symbol] if symbol in self._told else 0.0

    async def _serve_prices(self, request: web.Request) -> web.Response:
        wanted = request.query.get("symbol")
        prices = {symbol: str(price) for symbol, price in self._prices.items() if wanted in {None, symbol}}
        if not prices:
            return web.json_response({"error": f"unknown symbol {wanted}"}, status=404)
        return web.json_response({"prices": prices})


if __name__ == "__main__":
    lifecycle.run(MarketDataSimulator)
