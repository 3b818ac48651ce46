"""Calls handlers: tries them again where they fail, stores what they decide, and buries dead letters."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol

import structlog

from bus.active_run import ActiveRun
from bus.actor import Actor, Decision, LostRace, Subscription
from bus.journal import Guard, Journal, aged
from bus.share import Place
from messages.events import RunEvent, evidence_id
from messages.fault_events import HandlerFailed, OwnerChanged
from messages.run_events import RunFinished

_log = structlog.get_logger("bus.handling")
ATTEMPTS = 5
"""How often a handler is tried on one event before it is a dead letter."""
STALE = 1.0
"""Seconds that storing a decision may wait for the bus until it is made anew, of an actor that wants that."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 60.0
"""Seconds from one attempt to the next: twice as many each time."""


Retry = Callable[[Subscription, RunEvent, ActiveRun], None]


class Metrics(Protocol):
    """What the runtime measures: rate, errors, duration."""

    def handled(self, actor: str, message: str, seconds: float, *, error: bool) -> None:
        """A handler returned, or raised."""


class NoMetrics:
    """Measures nothing."""

    def handled(self, actor: str, message: str, seconds: float, *, error: bool) -> None:
        """Ignore it."""


class Handling:
    """What one actor of this host does about a run, in the journal's order: nothing goes on before it is stored."""

    def __init__(
        self, actor: Actor[Any], journal: Journal, metrics: Metrics, place: Place, again: Callable[[ActiveRun], None], retry: Retry
    ) -> None:
        """`again` has the `whenever` handlers of a run called soon, `retry` one that is `on` an event."""
        self._actor = actor
        self._journal = journal
        self._metrics = metrics
        self._place = place
        self._again = again
        self._retry = retry

    async def tell_owner(self, run: ActiveRun) -> None:
        """Write that this host has the run: nobody who had it before can write in it from here on."""
        try:
            while not run.closed:
                changed = OwnerChanged(host=self._place.host, instance=self._place.instance, sequence=run.position)
                try:
                    await self._store(run, (changed,), run.position)
                except LostRace as lost:
                    if not self._place.share.has(run.partition, run.term):
                        return
                    await run.reached(lost.sequence)
                else:
                    if not run.fenced:  # else another wrote the same after the same line, and that is what is stored
                        return
        finally:
            run.taken.set()

    async def handle(self, subscription: Subscription, event: RunEvent | None, run: ActiveRun) -> None:
        """Call one handler until it succeeds, another writer was first, or it is a dead letter."""
        pause, message = FIRST_PAUSE, event.type_name() if event is not None else "wake"
        for attempt in range(1, ATTEMPTS + 1):
            started = time.perf_counter()
            try:
                await self._once(subscription.handler, event, run)
            except LostRace as lost:
                await run.reached(lost.sequence)
                self._metrics.handled(self._actor.name, message, time.perf_counter() - started, error=False)
                if subscription.lane == "latest" and not run.lost:
                    # What was first may be no news to it, and then nobody else would call it again.
                    self._again(run)
                return
            except Exception as error:  # noqa: BLE001 - the border of supervision: whatever a handler raises is retried, then buried
                self._metrics.handled(self._actor.name, message, time.perf_counter() - started, error=True)
                told = {"actor": self._actor.name, "run": run.id, "message": message, "attempt": attempt}
                _log.warning("handler.failed", **told, error=repr(error), exc_info=attempt == ATTEMPTS)
                if attempt == ATTEMPTS:
                    await self._bury(subscription, run, message, error)
                    self._try_later(subscription, event, run)
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._metrics.handled(self._actor.name, message, time.perf_counter() - started, error=False)
                return

    async def _once(self, handler: Callable[[Any, Any], Any], event: RunEvent | None, run: ActiveRun) -> None:
        outcome = handler(event, run)
        if isinstance(outcome, AsyncGenerator):
            await self._drive(outcome, run)
        elif outcome is not None:
            events, position = tuple(outcome), run.position
            await self._store(run, events, position)

    async def _drive(self, decisions: AsyncGenerator[Decision, None], run: ActiveRun) -> None:
        """Store each decision before the handler goes on; it is told where another was first."""
        try:
            decision = await anext(decisions)
            while True:
                try:
                    await self._store(run, (decision,) if isinstance(decision, RunEvent) else decision, run.position)
                except LostRace as lost:
                    decision = await decisions.athrow(lost)
                else:
                    decision = await anext(decisions)
        except StopAsyncIteration:
            return
        finally:
            await decisions.aclose()

    async def _store(self, run: ActiveRun, events: Sequence[RunEvent], position: int) -> None:
        """Store one decision, in order, each event guarded by the one before; then wait until the fold knows them.

        `position` is the newest line that was known when it was made: the run's end follows from no other.
        """
        for event in events:
            if not isinstance(event, (*self._actor.emits, HandlerFailed, OwnerChanged)):
                raise UndeclaredEvent(self._actor.name, event)
        newest, decided = 0, time.monotonic()
        async with run.turn:
            for event in events:
                newest = max(newest, await self._write(run, event, max(position, newest), decided))
        await run.reached(newest)

    def _guard(self, run: ActiveRun, event: RunEvent, position: int, until: float) -> Guard:
        subjects = self._journal.subjects
        if isinstance(event, RunFinished):
            return Guard(subjects.of_run(run.id, run.partition), position, until)
        return Guard(subjects.of_actor(run.partition, run.id, self._actor.name), run.written, until)

    async def _write(self, run: ActiveRun, event: RunEvent, position: int, decided: float) -> int:
        until = time.monotonic() + (STALE if self._actor.decides_anew else math.inf)
        await self._place.share.hold(run.partition, term=run.term)
        if run.fenced and not isinstance(event, OwnerChanged):
            raise LostRace(run.id, run.position)
        run.wrote.add(f"{run.id}.{evidence_id(self._actor.name, event)}")
        guard = self._guard(run, event, position, until)
        sequence = await self._journal.write(
            run.partition, run.id, self._actor.name, aged(event, time.monotonic() - decided), guard, run.traceparent
        )
        run.written = max(run.written, sequence)
        return sequence

    async def _bury(self, subscription: Subscription, run: ActiveRun, message: str, error: Exception) -> None:
        name = getattr(subscription.handler, "__name__", "handler")
        failure = HandlerFailed(handler=name, cause=message, sequence=run.position, error=f"{type(error).__name__}: {error}"[:2000])
        with suppress(LostRace):
            await self._store(run, (failure,), run.position)

    def _try_later(self, subscription: Subscription, event: RunEvent | None, run: ActiveRun) -> None:
        run.failures += 1
        pause = min(FIRST_PAUSE * 2**run.failures, LONGEST_PAUSE)
        if subscription.lane == "latest" or event is None:
            run.wake_at(run.now() + timedelta(seconds=pause))
        else:
            asyncio.get_running_loop().call_later(pause, self._retry, subscription, event, run)


class UndeclaredEvent(TypeError):
    """An actor emits a type that its table does not name: a bug."""

    def __init__(self, actor: str, event: RunEvent) -> None:
        super().__init__(f"{actor} emits {event.EVENT}, which is not in its `emits`")
