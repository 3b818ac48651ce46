"""What can be done to the market: each scenario says how far a price is from where it would be."""

import asyncio
import random
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal

from ecosystem.prices import DERIVED, REFERENCE

MAX_DEVIATION = 0.25
STEP = 0.0005
"""Standard deviation of an undisturbed price's step, as a share of the price."""


@dataclass(frozen=True)
class Course:
    """Away from the price within `build`, away for `hold`, back within `recover`; all in seconds."""

    depth: float
    """Share of the price, negative is down."""
    build: float
    hold: float
    recover: float

    @property
    def seconds(self) -> float:
        return self.build + self.hold + self.recover

    def at(self, elapsed: float) -> float:
        """The share by which the price is off after that many seconds."""
        if elapsed < self.build:
            return self.depth * elapsed / self.build
        if elapsed < self.build + self.hold:
            return self.depth
        left = self.seconds - elapsed
        return self.depth * left / self.recover if left > 0 and self.recover else 0.0


@dataclass
class PriceScenario:
    """Moves prices along a course, makes them nervous, or both."""

    symbols: Collection[str]
    course: Course
    nervous: float = 1.0
    """How many times the usual step."""
    drawn_back: bool = True
    together: float = 0.0
    """At least this much of every step is common to all instruments."""
    volume: float = 1.0
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    _noise: dict[str, float] = field(default_factory=dict)

    def offset(self, symbol: str, instant: float) -> float:
        if symbol not in self.symbols:
            return 0.0
        return self.course.at(instant - self.started) + self._noise.get(symbol, 0.0)

    def step(self, chance: random.Random) -> None:
        """Moves the noise on by one tick."""
        if self.nervous <= 1:
            return
        for symbol in self.symbols:
            before = self._noise.get(symbol, 0.0)
            after = before + chance.gauss(0, STEP * (self.nervous - 1)) - (before * 0.05 if self.drawn_back else 0.0)
            self._noise[symbol] = max(-MAX_DEVIATION, min(MAX_DEVIATION, after))

    def recover(self, instant: float, seconds: float) -> None:
        """From now on it goes back to where it would be, within so many seconds."""
        depth = self.course.at(instant - self.started)
        self.course, self.started, self.nervous = Course(depth, 0.0, 0.0, seconds), instant, 1.0
        self._noise.clear()


@dataclass(frozen=True)
class Break:
    """Two instruments do not move together as they used to."""

    base: str
    target: str
    correlation: float


@dataclass(frozen=True)
class Disruption:
    """Ticks of these instruments get lost, or come late by `latency` seconds."""

    symbols: Collection[str]
    loss: float
    """Share of the ticks."""
    latency: float


class Walk:
    """Prices that walk randomly around a reference, BTC and ETH mostly together."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._prices = dict(REFERENCE)

    def step(self, together: float, breaks: Collection[Break]) -> None:
        """Moves every price on by one tick."""
        common = self._chance.gauss(0, 1)
        moves = {symbol: self._own(common, 0.9 if symbol != "USDT-USD" else together, together) for symbol in REFERENCE}
        for each in breaks:
            own = (1 - each.correlation**2) ** 0.5 * self._chance.gauss(0, 1)
            moves[each.target] = each.correlation * moves[each.base] + own
        for symbol, move in moves.items():
            price, reference = self._prices[symbol], REFERENCE[symbol]
            self._prices[symbol] = price + price * Decimal(move * STEP) + (reference - price) * PULL

    def prices(self, scenarios: Collection[PriceScenario], instant: float) -> dict[str, Decimal]:
        """What everything costs now, as the scenarios have it."""
        found = {symbol: self._prices[symbol] * _factor(symbol, scenarios, instant) for symbol in REFERENCE}
        found["BTC-USD-PERP"] = found["BTC-USD"] * _factor("BTC-USD-PERP", scenarios, instant)
        found["BTC-ETH"] = found["BTC-USD"] / found["ETH-USD"] * _factor("BTC-ETH", scenarios, instant)
        return {symbol: price.quantize((REFERENCE | DERIVED)[symbol]) for symbol, price in found.items()}

    def _own(self, common: float, usual: float, together: float) -> float:
        share = max(usual, together)
        return float(share * common + (1 - share**2) ** 0.5 * self._chance.gauss(0, 1))


PULL = Decimal("0.01")
"""How strongly a price is drawn back to its reference, so that it never wanders off."""


def _factor(symbol: str, scenarios: Collection[PriceScenario], instant: float) -> Decimal:
    off = sum(each.offset(symbol, instant) for each in scenarios)
    return 1 + Decimal(max(-MAX_DEVIATION, min(MAX_DEVIATION, off)))
