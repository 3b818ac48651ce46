"""Trading strategies that can be started and stopped. Most misbehave, each in its own way; that is what they are for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, runtime_checkable

from ecosystem.bodies import Body
from ecosystem.prices import REFERENCE

DEFAULT = 300.0
LONGEST = 72 * 3600.0
SYMBOLS = tuple(REFERENCE)


@dataclass(frozen=True, slots=True)
class Intent:
    """An order that a strategy wants."""

    symbol: str
    side: str
    quantity: Decimal
    price: Decimal


@runtime_checkable
class Strategy(Protocol):
    """What one wants, given the market. `obedient` ones are halted when they breach a limit."""

    @property
    def name(self) -> str: ...

    @property
    def account(self) -> str: ...

    @property
    def obedient(self) -> bool: ...

    def rate(self, prices: Mapping[str, Decimal], /) -> float:
        """Orders a second now."""
        ...

    def next(self, number: int, elapsed: float, prices: Mapping[str, Decimal], held: Decimal, /) -> Intent:
        """The order of that number, with what the strategy holds by now."""
        ...


@dataclass(frozen=True)
class OneSided:
    """RunawayStrategy and RiskIgnorantStrategy: buys and buys. The first obeys limits once they are breached, the second never."""

    name: str
    account: str
    orders: float
    quantity: Decimal
    symbol: str
    side: str
    obedient: bool = True

    def rate(self, _prices: Mapping[str, Decimal]) -> float:
        return self.orders

    def next(self, _number: int, _elapsed: float, prices: Mapping[str, Decimal], _held: Decimal) -> Intent:
        return Intent(self.symbol, self.side, self.quantity, prices[self.symbol])


@dataclass(frozen=True)
class Swinging:
    """VolatilityAmplifierStrategy: by turns far above and far below the market, so that the exchange's price swings."""

    name: str
    account: str
    orders: float
    amplitude: Decimal
    symbol: str
    obedient: bool = True

    def rate(self, _prices: Mapping[str, Decimal]) -> float:
        return self.orders

    def next(self, number: int, _elapsed: float, prices: Mapping[str, Decimal], _held: Decimal) -> Intent:
        up = number % 2 == 0
        price = prices[self.symbol] * (1 + self.amplitude if up else 1 - self.amplitude)
        return Intent(self.symbol, "buy" if up else "sell", Decimal(1), price)


@dataclass(frozen=True)
class Diverging:
    """CorrelationBreakerStrategy: drives one instrument up and another one down."""

    name: str
    account: str
    orders: float
    deviation: Decimal
    base: str
    target: str
    obedient: bool = True

    def rate(self, _prices: Mapping[str, Decimal]) -> float:
        return self.orders

    def next(self, number: int, _elapsed: float, prices: Mapping[str, Decimal], _held: Decimal) -> Intent:
        if number % 2:
            return Intent(self.target, "sell", Decimal(1), prices[self.target] * (1 - self.deviation))
        return Intent(self.base, "buy", Decimal(1), prices[self.base] * (1 + self.deviation))


@dataclass(frozen=True)
class Leaking:
    """SlowLeakStrategy: buys dearly and sells cheaply, a little more with every second."""

    name: str
    account: str
    orders: float
    degradation: float
    """Share of the price that is lost more after each second."""
    symbol: str
    obedient: bool = True

    def rate(self, _prices: Mapping[str, Decimal]) -> float:
        return self.orders

    def next(self, number: int, elapsed: float, prices: Mapping[str, Decimal], _held: Decimal) -> Intent:
        leak = Decimal(min(0.2, self.degradation * elapsed))
        buys = number % 2 == 0
        return Intent(self.symbol, "buy" if buys else "sell", Decimal(1), prices[self.symbol] * (1 + leak if buys else 1 - leak))


@dataclass(frozen=True)
class Arbitrage:
    """arbitrage: trades USDT-USD as long as it is off its peg, more often the further it is; never holds more than it may."""

    name: str
    account: str
    least_bps: float
    most_held: Decimal
    obedient: bool = True

    def rate(self, prices: Mapping[str, Decimal]) -> float:
        spread = off_peg_bps(prices)
        return 0.0 if spread < self.least_bps else min(20.0, 0.5 + spread / 50)

    def next(self, _number: int, _elapsed: float, prices: Mapping[str, Decimal], held: Decimal) -> Intent:
        side = "buy" if held < self.most_held else "sell"
        return Intent("USDT-USD", side, Decimal(1), prices["USDT-USD"])


def off_peg_bps(prices: Mapping[str, Decimal]) -> float:
    """How far USDT-USD is from 1, in basis points."""
    return abs(float(prices["USDT-USD"]) - 1.0) * 10_000


def _one_sided(name: str, config: Body) -> Strategy:
    orders = config.number("order_rate", 20.0, least=0.1, most=500)
    quantity = Decimal(str(config.number("quantity", 50_000, least=0.01, most=1e6)))
    side = config.choice("side", "buy", ("buy", "sell"))
    return OneSided(name, _account(name), orders, quantity, _symbol(config), side, obedient=name == "RunawayStrategy")


def _swinging(name: str, config: Body) -> Strategy:
    orders = config.number("order_rate", 20.0, least=0.1, most=500)
    return Swinging(name, _account(name), orders, Decimal(str(config.number("amplitude", 0.05, least=0.001, most=0.25))), _symbol(config))


def _diverging(name: str, config: Body) -> Strategy:
    orders = config.number("order_rate", 20.0, least=0.1, most=500)
    deviation = Decimal(str(config.number("deviation", 0.05, least=0.001, most=0.25)))
    base = config.symbols("base_symbol", default=("BTC-USD",), allowed=SYMBOLS)[0]
    target = config.symbols("target_symbol", default=("ETH-USD",), allowed=SYMBOLS)[0]
    return Diverging(name, _account(name), orders, deviation, base, target)


def _leaking(name: str, config: Body) -> Strategy:
    orders = config.number("order_rate", 20.0, least=0.1, most=500)
    return Leaking(name, _account(name), orders, config.number("degradation_rate", 0.005, least=0.00001, most=0.2), _symbol(config))


def _arbitrage(name: str, config: Body) -> Strategy:
    held = Decimal(str(config.number("max_position_size", 10.0, least=0.01, most=1e6)))
    return Arbitrage(name, "strategy-arbitrage-usdt", config.number("min_spread_bps", 5.0, least=0, most=2500), held)


def _symbol(config: Body) -> str:
    return config.symbols("symbol", default=("BTC-USD",), allowed=SYMBOLS)[0]


def _account(name: str) -> str:
    return f"strategy-{name.removesuffix('Strategy').lower()}"


MAKERS: dict[str, Callable[[str, Body], Strategy]] = {
    "RunawayStrategy": _one_sided,
    "RiskIgnorantStrategy": _one_sided,
    "VolatilityAmplifierStrategy": _swinging,
    "CorrelationBreakerStrategy": _diverging,
    "SlowLeakStrategy": _leaking,
    "arbitrage": _arbitrage,
}


def read_strategy(body: Body) -> tuple[Strategy, float]:
    """The strategy that is asked for and for how many seconds (`duration_s` in the body or its config; arbitrage: until stopped)."""
    name = body.choice("strategy", next(iter(MAKERS)), tuple(MAKERS))
    if not body.has("strategy"):
        body.problems.append(f"strategy: is required, one of {', '.join(MAKERS)}")
    config = body.part("config")
    default = LONGEST if name == "arbitrage" else DEFAULT
    seconds = config.seconds("duration", body.seconds("duration", default, least=0.01, most=LONGEST), least=0.01, most=LONGEST)
    strategy = MAKERS.get(name, _one_sided)(name, config)
    body.problems += [f"config.{each}" for each in config.wrong()]
    return strategy, seconds
