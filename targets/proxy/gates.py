"""The gates of a flow: what each kind of fault does to what passes."""

import asyncio
import math
import random
import time
from collections import deque

from targets.proxy.flow import Flow, Gate, Item, Mark

MOST_HELD = 4 * 1024 * 1024
"""Bytes that a gate holds back before it stops reading, about what TCP itself has under way at most."""
CREDIT = 0.05
"""Seconds that a pace that is in use may catch up when timers are late."""


def size_of(item: Item) -> int:
    """Bytes of the item; the end and the reset have none."""
    return 0 if isinstance(item, Mark) else len(item)


class _Timed(Gate):
    """Passes on what it holds at times of its own, always in order: what is due waits for what came before it."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._held: deque[tuple[float, Item]] = deque()
        self._size = 0

    def leave(self) -> list[Item]:
        if self._timer is not None:
            self._timer.cancel()
        held = [item for _, item in self._held]
        self._held.clear()
        return held

    def _hold(self, due: float, item: Item) -> None:
        self._held.append((due, item))
        self._count(size_of(item))
        if self._timer is None:
            self._arm()

    def _count(self, change: int) -> None:
        self._size += change
        if self._size > MOST_HELD:
            self._flow.fill(full=True)
        elif self._size <= MOST_HELD // 2:
            self._flow.fill(full=False)

    def _arm(self) -> None:
        # Whole milliseconds, rounded up: loops keep time no finer, and early would be wrong.
        wait = math.ceil((self._held[0][0] - time.monotonic()) * 1000) / 1000
        self._timer = self._loop.call_later(max(wait, 0.0), self._fire)

    def _fire(self) -> None:
        self._timer = None
        while self._held and self._held[0][0] <= time.monotonic():
            self._pass_head()
        if self._held and self._timer is None:
            self._arm()

    def _pass_head(self) -> None:
        _, item = self._held.popleft()
        self._count(-size_of(item))
        self._flow.pass_on(item)


class Delaying(_Timed):
    """Each item comes so much later, more or less the jitter, never before the one ahead of it."""

    def __init__(self, flow: Flow, delay: float, jitter: float) -> None:
        super().__init__(flow)
        self._delay = delay
        self._jitter = jitter

    def take(self, item: Item) -> None:
        self._hold(time.monotonic() + self._delay + random.uniform(-self._jitter, self._jitter), item)  # noqa: S311 - no secret


class ClosingLate(_Timed):
    """Bytes pass at once, the end so much later."""

    def __init__(self, flow: Flow, delay: float) -> None:
        super().__init__(flow)
        self._delay = delay

    def take(self, item: Item) -> None:
        if isinstance(item, Mark):
            self._hold(time.monotonic() + self._delay, item)
        else:
            self._flow.pass_on(item)


class Pace:
    """So many bytes a second, for all flows together; each flow has one piece under way, so they take turns."""

    def __init__(self, rate: int) -> None:
        self.piece = min(max(rate // 100, 1), 65536)
        self._rate = rate
        self._free = 0.0

    def reserve(self, size: int, *, going_on: bool) -> float:
        """When so many bytes will have passed."""
        now = time.monotonic()
        self._free = max(self._free, now - CREDIT if going_on else now) + size / self._rate
        return self._free


class Pacing(_Timed):
    """Bytes pass piece by piece, as the pace allows."""

    def __init__(self, flow: Flow, pace: Pace) -> None:
        super().__init__(flow)
        self._pace = pace
        self._waiting: deque[Item] = deque()

    def take(self, item: Item) -> None:
        self._waiting.append(item)
        self._count(size_of(item))
        if not self._held:
            self._next(going_on=False)

    def leave(self) -> list[Item]:
        held = [*super().leave(), *self._waiting]
        self._waiting.clear()
        return held

    def _pass_head(self) -> None:
        super()._pass_head()
        if self._waiting and not self._held:
            self._next(going_on=True)

    def _next(self, *, going_on: bool) -> None:
        item = self._waiting.popleft()
        if not isinstance(item, Mark) and len(item) > self._pace.piece:
            whole = memoryview(item)
            item = whole[: self._pace.piece]
            self._waiting.appendleft(whole[self._pace.piece :])
        self._count(-size_of(item))
        self._hold(self._pace.reserve(size_of(item), going_on=going_on), item)


class Holding(Gate):
    """Nothing passes. It stops reading with the first piece, so that the sender's own buffers fill as over a dead wire."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._held: list[Item] = []

    def take(self, item: Item) -> None:
        self._held.append(item)
        self._flow.fill(full=True)

    def leave(self) -> list[Item]:
        return self._held


class Swallowing(Gate):
    """Everything vanishes; a flow that lost something ends in a reset."""

    def __init__(self, _: Flow) -> None:
        self._lost: list[Item] = []

    def take(self, item: Item) -> None:
        if item:
            self._lost = [Mark.RESET]

    def leave(self) -> list[Item]:
        return self._lost


class Limiting(Gate):
    """So many bytes pass, then the connection is closed."""

    def __init__(self, flow: Flow, size: int) -> None:
        self._flow = flow
        self._left = size

    def take(self, item: Item) -> None:
        if isinstance(item, Mark):
            self._flow.pass_on(item)
            return
        if self._left > 0:
            self._flow.pass_on(item[: self._left])
        self._left -= len(item)
        if self._left <= 0:
            self._flow.cut_off()

    def leave(self) -> list[Item]:
        return []
