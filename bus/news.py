"""Calling the `whenever` handlers of an actor: once for all that is read in one go, and without a task where they have nothing to say."""

import asyncio
import time
from collections.abc import Callable, Sequence
from inspect import isgeneratorfunction

from bus.active_run import ActiveRun
from bus.actor import Subscription
from bus.journal import Line
from messages.events import RunEvent

Call = Callable[[int, ActiveRun, RunEvent | None], None]
"""Calls the handler at this place of the table, or lets it wait for its turn."""
Handled = Callable[[str, float], None]
"""Told of a call that needed no task: what it was about, and the seconds that it took."""


class News:
    """Who of one actor's handlers is to be called after what has just been read."""

    def __init__(self, table: Sequence[Subscription], actor: str, call: Call, handled: Handled) -> None:
        self._table = [(index, subscription) for index, subscription in enumerate(table) if subscription.lane == "latest"]
        self._actor = actor
        self._call = call
        self._handled = handled
        self._waiting: dict[tuple[str, int], tuple[Subscription, ActiveRun, RunEvent | None]] = {}

    def of_line(self, line: Line, run: ActiveRun) -> None:
        """A line was read: whoever it is news to is called soon."""
        for index, subscription in self._table:
            if subscription.of is not None and line.actor not in subscription.of and not isinstance(line.event, subscription.also):
                continue
            if subscription.own or line.actor != self._actor or line.id not in run.wrote:
                self._add(index, subscription, run, line.event)

    def of_run(self, run: ActiveRun) -> None:
        """Call everybody soon."""
        for index, subscription in self._table:
            self._add(index, subscription, run, None)

    def _add(self, index: int, subscription: Subscription, run: ActiveRun, event: RunEvent | None) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._tell)
        self._waiting.setdefault((run.id, index), (subscription, run, event))

    def _tell(self) -> None:
        told, self._waiting = self._waiting, {}
        for (_, index), (subscription, run, event) in told.items():
            if not run.closed and not self._is_idle(subscription, run, event):
                self._call(index, run, event)

    def _is_idle(self, subscription: Subscription, run: ActiveRun, event: RunEvent | None) -> bool:
        """Whether a handler that waits for nothing has nothing to say. One that has is begun anew, in its turn."""
        if not isgeneratorfunction(subscription.handler):
            return False
        started = time.perf_counter()
        try:
            for _ in subscription.handler(event, run):
                return False
        except Exception:  # noqa: BLE001 - it is called again where failures are met
            return False
        self._handled(event.type_name() if event is not None else "wake", time.perf_counter() - started)
        return True
