"""The trading engine's open orders: on disk before anybody hears of them, gone when nothing is left to do for them."""

import json
from dataclasses import dataclass
from pathlib import Path

from ecosystem.journal import Journal
from ecosystem.orders import Order


@dataclass(slots=True)
class OpenOrder:
    """An order and how far it has come."""

    order: Order
    told: bool = False
    """Its `order.submitted` was delivered."""
    answer: str = ""
    """What the exchange said."""
    finished: bool = False
    """Nothing else is to be done for it."""


class OpenOrders:
    """Which orders are open, over every restart."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._orders: dict[str, OpenOrder] = {}
        self.unanswered = 0
        for kind, key, *rest in self._journal.replay():
            if kind == "open":
                self._orders[key] = OpenOrder(Order(**json.loads(rest[0])))
            elif key in self._orders:
                self._mark(kind, key, rest)
        self.unanswered = sum(not each.answer for each in self._orders.values())
        self._compact()

    def __len__(self) -> int:
        return len(self._orders)

    def all(self) -> list[OpenOrder]:
        """Oldest first."""
        return list(self._orders.values())

    def get(self, order_id: str) -> OpenOrder | None:
        return self._orders.get(order_id)

    def add(self, order: Order) -> None:
        self._journal.append("open", order.order_id, order.encoded())
        self._orders[order.order_id] = OpenOrder(order)
        self.unanswered += 1

    def told(self, order_id: str) -> None:
        """Its `order.submitted` is out: not to be repeated."""
        self._note("told", order_id)

    def answered(self, order_id: str, answer: str) -> None:
        """The exchange has decided."""
        self.unanswered -= 1
        self._note("answer", order_id, answer)

    def finished(self, order_id: str) -> None:
        """Nothing else is to be done for it."""
        self._note("finished", order_id)

    def forget(self) -> None:
        """Drops all of them."""
        self._orders.clear()
        self.unanswered = 0
        self._compact()

    def close(self) -> None:
        self._journal.close()

    def _note(self, kind: str, order_id: str, *rest: str) -> None:
        if order_id not in self._orders:
            return
        self._journal.append(kind, order_id, *rest)
        self._mark(kind, order_id, list(rest))
        if self._journal.overgrown:
            self._compact()

    def _mark(self, kind: str, order_id: str, rest: list[str]) -> None:
        entry = self._orders[order_id]
        if kind == "told":
            entry.told = True
        elif kind == "answer":
            entry.answer = rest[0]
        else:
            entry.finished = True
        if entry.told and entry.finished:
            del self._orders[order_id]

    def _compact(self) -> None:
        lines: list[tuple[str, ...]] = []
        for order_id, entry in self._orders.items():
            lines.append(("open", order_id, entry.order.encoded()))
            if entry.told:
                lines.append(("told", order_id))
            if entry.answer:
                lines.append(("answer", order_id, entry.answer))
            if entry.finished:
                lines.append(("finished", order_id))
        self._journal.rewrite(lines)
