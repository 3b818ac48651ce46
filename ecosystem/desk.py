"""The trading desk: runs the strategies that were started, keeps what each account holds, and sells it off when one ends."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count

from ecosystem.bodies import Body
from ecosystem.chaos import Injection, Injections
from ecosystem.orders import Order
from ecosystem.pacing import Pace
from ecosystem.strategies import Intent, Strategy, off_peg_bps, read_strategy

REDUCTION_RATE = 20.0
OPPORTUNITY_BPS = 100.0
Tell = Callable[[str, Mapping[str, object]], None]


@dataclass
class _Running:
    """A strategy at work."""

    strategy: Strategy
    pace: Pace
    rate: float
    numbers: "count[int]" = field(default_factory=count)


@dataclass
class _Reduction:
    """A holding that is brought back to nothing, in orders of this size."""

    size: Decimal
    pace: Pace


class Desk:
    """Places orders through `place(intent, account)`, which says whether it could."""

    def __init__(self, place: Callable[[Intent, str], bool], tell: Tell) -> None:
        self._place = place
        self._tell = tell
        self._running: dict[str, _Running] = {}
        self._held: dict[tuple[str, str], Decimal] = {}
        self._largest: dict[tuple[str, str], Decimal] = {}
        self._reductions: dict[tuple[str, str], _Reduction] = {}
        self._opportunity = False
        self.started = Injections(self._changed)

    def start(self, body: Body) -> dict[str, object]:
        """Raises: BodyError."""
        strategy, seconds = read_strategy(body)
        body.done()
        injection = self.started.start(strategy.name, strategy, seconds, body.fields)
        return injection.described() | {"type": "strategy", "strategy": strategy.name}

    def stop(self, name: str) -> list[str]:
        """Ends those of that name or id; their ids."""
        return [each.id for each in self.started.all() if name in {each.type, each.id} and self.started.end(each.id)]

    def halt(self, account: str, alert: Mapping[str, object]) -> None:
        """Ends what trades on that account and obeys."""
        for each in self.started.all():
            running = self._running[each.id]
            if running.strategy.obedient and running.strategy.account == account:
                told = {"strategy": each.type, "account": account, "reason": alert["alert_type"], "alert_id": alert["alert_id"]}
                self._tell("strategy.halted", told)
                self.started.end(each.id, "halted")

    def trade(self, prices: Mapping[str, Decimal]) -> None:
        """Places what is due."""
        instant = asyncio.get_running_loop().time()
        for each in self.started.all():
            self._trade_one(self._running[each.id], instant - each.started, prices)
        for (account, symbol), reduction in list(self._reductions.items()):
            for _ in range(reduction.pace.due(instant)[0]):
                self._reduce_one(account, symbol, reduction, prices)
        self._watch(prices)

    def placed(self, order: Order) -> None:
        """Counts an order as done until it is known not to be."""
        self._add(order, 1)
        key = (order.account, order.symbol)
        self._largest[key] = max(self._largest.get(key, Decimal(1)), Decimal(order.quantity))

    def missed(self, order: Order, quantity: str) -> None:
        """This much of an order was not filled after all."""
        self._add(order, -1, quantity)

    def reduce(self, symbol: str = "", account: str = "") -> None:
        """Brings holdings back to nothing: of a symbol, of an account, or of both."""
        for (owner, traded), held in self._held.items():
            key = (owner, traded)
            wanted = (not symbol or traded == symbol) and (not account or owner == account)
            if wanted and abs(held) >= 1 and key not in self._reductions:
                pace = Pace(REDUCTION_RATE, asyncio.get_running_loop().time())
                self._reductions[key] = _Reduction(self._largest[key], pace)
                self._tell("position.reduction_started", {"account": owner, "symbol": traded, "position": str(held)})

    def accounts(self, symbol: str) -> list[str]:
        """Who holds some of a symbol."""
        return [account for (account, traded), held in self._held.items() if traded == symbol and abs(held) >= 1]

    def _trade_one(self, running: _Running, elapsed: float, prices: Mapping[str, Decimal]) -> None:
        strategy = running.strategy
        rate, instant = strategy.rate(prices), asyncio.get_running_loop().time()
        if abs(rate - running.rate) > 0.05 * running.rate:
            running.rate, running.pace = rate, Pace(rate, instant)
        for _ in range(running.pace.due(instant)[0]):
            held = self._held.get((strategy.account, "USDT-USD"), Decimal(0))
            self._place(strategy.next(next(running.numbers), elapsed, prices, held), strategy.account)

    def _reduce_one(self, account: str, symbol: str, reduction: _Reduction, prices: Mapping[str, Decimal]) -> None:
        held = self._held[account, symbol]
        if abs(held) >= Decimal("0.01"):
            intent = Intent(symbol, "sell" if held > 0 else "buy", min(abs(held), reduction.size), prices[symbol])
            self._place(intent, account)
        elif self._reductions.pop((account, symbol), None):
            self._tell("position.reduction_completed", {"account": account, "symbol": symbol})

    def _watch(self, prices: Mapping[str, Decimal]) -> None:
        spread = off_peg_bps(prices)
        if spread > OPPORTUNITY_BPS and not self._opportunity:
            self._tell("arbitrage.opportunity_detected", {"symbol": "USDT-USD", "spread_bps": round(spread, 1)})
        self._opportunity = spread > OPPORTUNITY_BPS * (0.8 if self._opportunity else 1)

    def _add(self, order: Order, sign: int, quantity: str = "") -> None:
        key = (order.account, order.symbol)
        change = Decimal(quantity or order.quantity) * sign * (1 if order.side == "buy" else -1)
        self._held[key] = self._held.get(key, Decimal(0)) + change

    def _changed(self, injection: Injection, what: str) -> None:
        about = {"strategy": injection.type, "strategy_id": injection.id}
        if what == "injected":
            strategy = injection.effect
            if not isinstance(strategy, Strategy):
                return
            self._running[injection.id] = _Running(strategy, Pace(0.0, injection.started), 0.0)
            self._tell("strategy.started", about | {"account": strategy.account})
            return
        account = self._running.pop(injection.id).strategy.account
        self._tell("strategy.stopped", about | {"account": account, "reason": what})
        self.reduce(account=account)
