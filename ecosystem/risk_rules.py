"""What the risk monitor holds against market and trading data: numbers in, numbers out, no clock and no events."""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from math import sqrt

VOLATILITY_TICKS = 10
VOLATILITY_LIMIT = 0.0015
"""Standard deviation of a price's steps, three times the usual one."""
PEAK_TICKS = 300
DRAWDOWN_LIMIT = 0.05
"""Share below the highest price of the last ticks."""
PEG_LIMIT = 0.02
BASIS_LIMIT_BPS = 100.0
CORRELATION_TICKS = 20
CORRELATION_LIMIT = 0.0
OFF_MARKET = 0.02
"""A fill this far from the market is suspicious."""
SLIPPAGE = 0.01
"""A fill this near to the market costs nothing: prices move while an order is on its way."""
FILLS = 50


class PriceHistory:
    """The last prices of one instrument."""

    def __init__(self) -> None:
        self._prices: deque[float] = deque(maxlen=PEAK_TICKS)

    @property
    def last(self) -> float:
        """The last price, 0 if there was none."""
        return self._prices[-1] if self._prices else 0.0

    def add(self, price: float) -> None:
        self._prices.append(price)

    def steps(self, number: int) -> list[float]:
        """The last relative steps, oldest first."""
        size = len(self._prices)
        last = [self._prices[at] for at in range(max(0, size - number - 1), size)]
        return [later / earlier - 1 for earlier, later in pairwise(last) if earlier > 0]

    def volatility(self) -> float:
        """The size of the last steps; 0 until there are enough."""
        steps = self.steps(VOLATILITY_TICKS)
        return sqrt(sum(step**2 for step in steps) / len(steps)) if len(steps) >= VOLATILITY_TICKS // 2 else 0.0

    def drawdown(self) -> float:
        """The share by which the last price lies below the peak."""
        return 1 - self.last / max(self._prices) if self._prices else 0.0


def correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """Of two series of steps; 1 while there are too few to say."""
    number = min(len(left), len(right))
    if number < CORRELATION_TICKS:
        return 1.0
    first, second = left[-number:], right[-number:]
    means = sum(first) / number, sum(second) / number
    spread = sqrt(sum((each - means[0]) ** 2 for each in first) * sum((each - means[1]) ** 2 for each in second))
    return sum((one - means[0]) * (two - means[1]) for one, two in zip(first, second, strict=True)) / spread if spread else 1.0


class FillQuality:
    """How far fills are from the market, and what that costs an account."""

    def __init__(self) -> None:
        self._off: dict[str, deque[bool]] = {}
        self._losses: dict[str, float] = {}

    def add(self, symbol: str, account: str, signed: Decimal, price: float, market: float) -> None:
        """A fill; `signed` is its quantity, negative for a sale."""
        if not market:
            return
        self._off.setdefault(symbol, deque(maxlen=FILLS)).append(abs(price / market - 1) > OFF_MARKET)
        if abs(price / market - 1) > SLIPPAGE and (account in self._losses or len(self._losses) < 100):
            self._losses[account] = self._losses.get(account, 0.0) + float(signed) * (price - market)

    def off_market(self, symbol: str) -> float:
        """The share of the last fills that were off the market."""
        off = self._off.get(symbol, ())
        return sum(off) / len(off) if len(off) >= FILLS // 5 else 0.0

    def losses(self) -> dict[str, float]:
        """What accounts have lost of late, negative for gains. Each call lets them fade."""
        now, self._losses = self._losses, {account: loss * 0.8 for account, loss in self._losses.items() if abs(loss) > 1}
        return now
