"""What can be done to the exchange, and what each of it changes."""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal

from ecosystem.bodies import Body
from ecosystem.chaos import Injections
from ecosystem.chaos_api import Reader
from ecosystem.orders import Order
from ecosystem.prices import CROSSES, HALF_SPREAD, REFERENCE

DEFAULT = 300.0
LONGEST = 4 * 3600.0
OPERATIONS = ("place_order", "cancel_order", "get_quote")
SYMBOLS = tuple(REFERENCE | CROSSES)


@dataclass(frozen=True)
class Latency:
    """Answers come later, by `delay` seconds."""

    operations: Collection[str]
    delay: float
    accounts: Collection[str]
    """Whose; empty means all."""


@dataclass(frozen=True)
class Rejection:
    """A share of the orders is rejected."""

    rate: float
    reason: str


@dataclass(frozen=True)
class Downtime:
    """A share of the requests is answered with 503."""

    share: float
    message: str


@dataclass(frozen=True)
class Spread:
    """Bid and ask lie further apart."""

    symbols: Collection[str]
    multiplier: Decimal


@dataclass(frozen=True)
class Thin:
    """Less can be bought and sold at once: what is left is `depth`, in units of an order."""

    symbols: Collection[str]
    depth: Decimal


@dataclass(frozen=True)
class PartialFill:
    """A share of the orders is filled in part."""

    rate: float
    part: Decimal


def _latency(body: Body) -> tuple[Latency, float]:
    operations = body.texts("operations", "operation", default=OPERATIONS, allowed=OPERATIONS)
    delay = body.seconds("delay", least=0.001, most=60)
    return Latency(operations, delay, body.texts("affected_accounts")), _duration(body)


def _rejection(body: Body) -> tuple[Rejection, float]:
    return Rejection(body.number("rejection_rate", least=0, most=1), body.text("reason", "exchange_rejected")), _duration(body)


def _downtime(body: Body) -> tuple[Downtime, float]:
    return Downtime(1.0, body.text("error_message", "exchange_unavailable")), _duration(body)


def _spread(body: Body) -> tuple[Spread, float]:
    symbols = body.symbols("symbols", "symbol", default=SYMBOLS, allowed=SYMBOLS)
    return Spread(symbols, Decimal(str(body.number("multiplier", least=1, most=100)))), _duration(body)


def _thin(body: Body) -> tuple[Thin, float]:
    symbols = body.symbols("symbols", "symbol", default=SYMBOLS, allowed=SYMBOLS)
    return Thin(symbols, Decimal(str(1 - body.number("reduction_factor", least=0.01, most=0.99)))), _duration(body)


def _partial(body: Body) -> tuple[PartialFill, float]:
    part = body.number("fill_ratio", 0.5, least=0.01, most=0.99)
    return PartialFill(body.number("intensity", 0.5, least=0, most=1), Decimal(str(part))), _duration(body)


def _by_intensity(effect: Callable[[float], object]) -> Reader:
    def read(body: Body) -> tuple[object, float]:
        return effect(body.number("intensity", 0.5, least=0, most=1)), _duration(body)

    return read


def _duration(body: Body) -> float:
    return body.seconds("duration", DEFAULT, least=0.01, most=LONGEST)


READERS: dict[str, Reader] = {
    "inject-latency": _latency,
    "reject-orders": _rejection,
    "simulate-downtime": _downtime,
    "manipulate-spreads": _spread,
    "reduce-liquidity": _thin,
    "partial-fills": _partial,
    "latency": _by_intensity(lambda intensity: Latency(OPERATIONS, intensity, ())),
    "downtime": _by_intensity(lambda intensity: Downtime(intensity, "exchange_unavailable")),
    "order-rejection": _by_intensity(lambda intensity: Rejection(intensity, "exchange_rejected")),
}
"""By the last part of the path. The last three are words of the template of exchange disruptions."""


class ExchangeChaos:
    """What the active injections mean for a request."""

    def __init__(self, injections: Injections) -> None:
        self._injections = injections

    def refusal(self) -> str:
        """The error message for this request, empty if it is served."""
        return next((each.message for each in self._injections.of(Downtime) if random.random() < each.share), "")

    def delay(self, operation: str, account: str = "") -> float:
        """Seconds to wait before this operation."""
        found = self._injections.of(Latency)
        return sum(each.delay for each in found if operation in each.operations and (not each.accounts or account in each.accounts))

    def rejection(self, order: Order) -> str:
        """Why this order is rejected, empty if it is not."""
        for refused in self._injections.of(Rejection):
            if random.random() < refused.rate:
                return refused.reason
        return "insufficient_liquidity" if Decimal(order.quantity) > self.depth(order.symbol) else ""

    def filled_part(self) -> Decimal:
        """How much of an order is filled, 1 for all of it."""
        return next((each.part for each in self._injections.of(PartialFill) if random.random() < each.rate), Decimal(1))

    def half_spread(self, symbol: str) -> Decimal:
        wider = HALF_SPREAD
        for spread in self._injections.of(Spread):
            wider *= spread.multiplier if symbol in spread.symbols else 1
        for thin in self._injections.of(Thin):
            wider /= thin.depth if symbol in thin.symbols else 1
        return min(wider, Decimal("0.5"))

    def depth(self, symbol: str) -> Decimal:
        """The largest order that can be filled."""
        return min((each.depth for each in self._injections.of(Thin) if symbol in each.symbols), default=Decimal("Infinity"))
