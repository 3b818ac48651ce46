"""Settlements on their way: each is due some time after it was requested, later if something is wrong."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ecosystem.events import Event

TOLERANCE = 1.2
"""A settlement is overdue when it takes this many times as long as it should, and `GRACE` seconds more."""
GRACE = 0.2


@dataclass(slots=True)
class Settlement:
    """One on its way."""

    request: Event
    began: float
    natural: float
    timer: asyncio.TimerHandle | None = None
    told_late: bool = False

    @property
    def late_from(self) -> float:
        """The moment from which on it is overdue, on the event loop's clock."""
        return self.began + self.natural * TOLERANCE + GRACE


class SettlementQueue:
    """`seconds` says how long one takes as things are; `due` is called when its time has come."""

    def __init__(self, seconds: Callable[[Settlement], float], due: Callable[[Settlement], None]) -> None:
        self._seconds = seconds
        self._due = due
        self._waiting: dict[str, Settlement] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: str, request: Event, natural: float) -> None:
        settlement = Settlement(request, asyncio.get_running_loop().time(), natural)
        self._waiting[key] = settlement
        self._plan(key, settlement)

    def plan_again(self) -> None:
        """Times have changed: what is not due any longer waits, what is due by now ends."""
        for key, settlement in list(self._waiting.items()):
            self._plan(key, settlement)

    def overdue(self) -> list[Settlement]:
        """Those that should have ended, oldest first."""
        instant = asyncio.get_running_loop().time()
        return [each for each in self._waiting.values() if each.late_from < instant]

    def stop(self) -> None:
        """Nothing becomes due any more."""
        for settlement in self._waiting.values():
            if settlement.timer:
                settlement.timer.cancel()

    def _plan(self, key: str, settlement: Settlement) -> None:
        if settlement.timer:
            settlement.timer.cancel()
        ends = settlement.began + self._seconds(settlement)
        settlement.timer = None if ends == float("inf") else asyncio.get_running_loop().call_at(ends, self._end, key)

    def _end(self, key: str) -> None:
        settlement = self._waiting.pop(key, None)
        if settlement:
            self._due(settlement)
