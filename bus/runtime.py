"""Runs actors: feeds their folds, calls their handlers in order, stores what they decide, retries, and buries dead letters."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

import structlog

from bus.active_run import ActiveRun
from bus.actor import Actor, Subscription, TimerDue
from bus.cancelling import end
from bus.journal import Guard, Journal, Line, LostRace
from bus.news import News
from messages.events import RunEvent, evidence_id
from messages.fault_events import HandlerFailed
from messages.ids import trace_id_of, traceparent_of
from messages.judgements import ReportPublished
from messages.run_events import RunAccepted, RunFinished, SubmitRequested

_log = structlog.get_logger()
ATTEMPTS = 5
"""How often a handler is tried on one event before it is a dead letter."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 60.0
_LINGER, _REPORTED = 30.0, 2.0
"""Seconds that a finished run, and a reported one, is kept, so that its last events find it."""
_SUBMITTED = 1000


class Metrics(Protocol):
    """What the runtime measures: rate, errors, duration."""

    def handled(self, actor: str, message: str, seconds: float, *, error: bool) -> None:
        """A handler returned, or raised."""


class NoMetrics:
    """Measures nothing."""

    def handled(self, actor: str, message: str, seconds: float, *, error: bool) -> None:
        """Ignore it."""


class ActorRuntime:
    """One actor at work in this host."""

    def __init__(self, actor: Actor[Any], journal: Journal, metrics: Metrics) -> None:
        self.actor = actor
        self.journal = journal
        self.failure: str | None = None
        self._metrics = metrics
        self._table = actor.subscriptions()
        self._runs: dict[str, ActiveRun] = {}
        self._closed: deque[str] = deque(maxlen=4096)
        self._submitted: dict[str, Line] = {}
        """Who asked for runs that are not accepted yet."""
        self._lanes: dict[tuple[str, ...], deque[tuple[Subscription, RunEvent | None, ActiveRun]]] = {}
        self._news = News(self._table, actor.name, self._call_latest, partial(metrics.handled, actor.name, error=False))
        self._tasks: asyncio.TaskGroup | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._replaying: list[Line] | None = None

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Handle what is delivered until the block ends; then handlers are cancelled where they wait."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.actor.lifespan())
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                try:
                    yield
                finally:
                    self._stop()
                    await end(self._working)

    def _stop(self) -> None:
        self._tasks = None
        for run in self._runs.values():
            run.stop_waking()

    def begin_replay(self) -> None:
        """What is delivered now grows the folds; handlers see it when the replay ends."""
        self._replaying = []

    def end_replay(self) -> None:
        """The folds are whole: hand the old events to the handlers, who do nothing where their work is done."""
        lines, self._replaying = self._replaying or [], None
        for line in lines:
            self._dispatch(line)

    def deliver(self, line: Line) -> None:
        """Take in the next line of any run."""
        run = self._run_of(line)
        if run is None or line.sequence <= run.position:
            return
        self._advance(run, line)
        if self._replaying is None:
            self._dispatch(line)
        else:
            self._replaying.append(line)

    def woken(self, run: ActiveRun) -> None:
        """A wake that a handler asked for has come."""
        run.stop_waking()
        self._news.of_run(run)

    def busy(self) -> int:
        """How many runs are open here."""
        return len(self._runs)

    def _run_of(self, line: Line) -> ActiveRun | None:
        run = self._runs.get(line.run)
        if run is not None or line.run in self._closed:
            return run
        if isinstance(line.event, SubmitRequested):
            self._submitted[line.run] = line
            while len(self._submitted) > _SUBMITTED:
                self._submitted.pop(next(iter(self._submitted)))
        if not isinstance(line.event, RunAccepted):
            return None
        run = self._runs[line.run] = ActiveRun(line.run, line.partition, self, self.actor.fold(line.run))
        submitted = self._submitted.pop(line.run, None)
        if submitted is not None:
            self._advance(run, submitted)
        return run

    def _advance(self, run: ActiveRun, line: Line) -> None:
        if not isinstance(line.event, TimerDue):
            run.view.apply(line)
            run.position = line.sequence
            run.traceparent = line.traceparent or run.traceparent
            run.moved.set()
            if line.actor == self.actor.name:
                self._wrote(run, line.entity, line.sequence)
        if isinstance(line.event, ReportPublished | RunFinished):
            self._close_in(run, _REPORTED if isinstance(line.event, ReportPublished) else _LINGER)

    def _close_in(self, run: ActiveRun, seconds: float) -> None:
        if run.closing is not None:
            run.closing.cancel()
        run.closing = asyncio.get_running_loop().call_later(seconds, self._close, run, time.monotonic() + _LONGEST_PAUSE)

    def _close(self, run: ActiveRun, at_last: float) -> None:
        """Drop a run that is over, when its handlers are done, or have had their time."""
        if any(lane[0] == run.id for lane in self._lanes) and time.monotonic() < at_last:
            run.closing = asyncio.get_running_loop().call_later(_REPORTED, self._close, run, at_last)
        elif self._runs.pop(run.id, None) is not None:
            run.close()
            self._closed.append(run.id)
            self.actor.closed(run.id)

    def _dispatch(self, line: Line) -> None:
        run = self._runs.get(line.run)
        if run is None or isinstance(line.event, HandlerFailed) or (isinstance(line.event, TimerDue) and line.actor != self.actor.name):
            return
        for subscription in self._table:
            if subscription.lane == "latest":
                continue
            if isinstance(line.event, subscription.type):
                lane = (run.id,) if subscription.lane == "run" else (run.id, line.entity, line.event.type_name())
                self._enqueue(lane, subscription, line.event, run)
        self._news.of_line(line, run)

    def _call_latest(self, index: int, run: ActiveRun, event: RunEvent | None) -> None:
        lane = (run.id, "latest", str(index))
        waiting = self._lanes.get(lane)
        if waiting is None or len(waiting) < 2:
            self._enqueue(lane, self._table[index], event, run)

    def _enqueue(self, lane: tuple[str, ...], subscription: Subscription, event: RunEvent | None, run: ActiveRun) -> None:
        waiting = self._lanes.get(lane)
        if waiting is not None:
            waiting.append((subscription, event, run))
            return
        if self._tasks is not None:
            self._lanes[lane] = deque([(subscription, event, run)])
            task = self._tasks.create_task(self._work(lane), name=f"{self.actor.name}:{'.'.join(lane)}")
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _work(self, lane: tuple[str, ...]) -> None:
        waiting = self._lanes[lane]
        # Of this task alone: every line that is logged in it, by whoever, says whose work it is.
        structlog.contextvars.bind_contextvars(
            actor=self.actor.name, run=lane[0], trace_id=trace_id_of(traceparent_of(lane[0], waiting[0][2].traceparent))
        )
        try:
            while waiting:
                await self._handle(*waiting[0])
                waiting.popleft()
        finally:
            del self._lanes[lane]

    async def _handle(self, subscription: Subscription, event: RunEvent | None, run: ActiveRun) -> None:
        """Call one handler until it succeeds, another writer was first, or it is a dead letter."""
        pause, message = _FIRST_PAUSE, event.type_name() if event is not None else "wake"
        for attempt in range(1, ATTEMPTS + 1):
            started = time.perf_counter()
            try:
                await self._once(subscription.handler, event, run)
            except LostRace as lost:
                await run.reached(lost.sequence)
                self._metrics.handled(self.actor.name, message, time.perf_counter() - started, error=False)
                if subscription.lane == "latest":
                    # What was first may be no news to it, and then nobody else would call it again.
                    self._news.of_run(run)
                return
            except Exception as error:  # noqa: BLE001 - the border of supervision: whatever a handler raises is retried, then buried
                self._metrics.handled(self.actor.name, message, time.perf_counter() - started, error=True)
                told = {"actor": self.actor.name, "run": run.id, "message": message, "attempt": attempt}
                _log.warning("handler.failed", **told, error=repr(error), exc_info=attempt == ATTEMPTS)
                if attempt == ATTEMPTS:
                    await self._bury(subscription, run, message, error)
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._metrics.handled(self.actor.name, message, time.perf_counter() - started, error=False)
                return

    async def _once(self, handler: Callable[[Any, Any], Any], event: RunEvent | None, run: ActiveRun) -> None:
        outcome = handler(event, run)
        if isinstance(outcome, AsyncIterable):
            try:
                async for decision in outcome:
                    await self._store(run, (decision,) if isinstance(decision, RunEvent) else decision)
            finally:
                await outcome.aclose()  # type: ignore[attr-defined]
        elif outcome is not None:
            await self._store(run, tuple(outcome))

    async def _store(self, run: ActiveRun, events: Sequence[RunEvent]) -> None:
        """Store one decision: the first event guarded, the rest behind it in order; then wait until the fold knows them."""
        if not events:
            return
        for event in events:
            if not isinstance(event, (*self.actor.emits, HandlerFailed)):
                raise UndeclaredEvent(self.actor.name, event)
        if not events[0].GUARDED:
            await self._store_in_order(run, events)
            return
        async with run.turns["*" if self.actor.one_writer else events[0].entity]:
            await self._store_in_order(run, events)

    async def _store_in_order(self, run: ActiveRun, events: Sequence[RunEvent]) -> None:
        newest = 0
        for index, event in enumerate(events):
            newest = max(newest, await self._write(run, event, self._guard(run, event) if index == 0 else None))
        await run.reached(newest)

    def _guard(self, run: ActiveRun, event: RunEvent) -> Guard | None:
        subjects, actor = self.journal.subjects, self.actor.name
        if isinstance(event, RunFinished):
            return Guard(subjects.of_run(run.id, run.partition), run.position)
        if not event.GUARDED:
            return None
        if self.actor.one_writer:
            return Guard(subjects.of_actor(run.partition, run.id, actor), run.guards.get("*", 0))
        return Guard(subjects.of_entity(run.partition, run.id, actor, event.entity), run.guards.get(event.entity, 0))

    async def _write(self, run: ActiveRun, event: RunEvent, guard: Guard | None) -> int:
        run.wrote.add(f"{run.id}.{evidence_id(self.actor.name, event)}")
        sequence = await self.journal.write(run.partition, run.id, self.actor.name, event, guard, run.traceparent)
        self._wrote(run, event.entity, sequence)
        return sequence

    def _wrote(self, run: ActiveRun, entity: str, sequence: int) -> None:
        for scope in (entity, "*"):
            run.guards[scope] = max(run.guards.get(scope, 0), sequence)

    async def _bury(self, subscription: Subscription, run: ActiveRun, message: str, error: Exception) -> None:
        name = getattr(subscription.handler, "__name__", "handler")
        failure = HandlerFailed(handler=name, cause=message, sequence=run.position, error=f"{type(error).__name__}: {error}"[:2000])
        await self._write(run, failure, None)
        run.failures += 1
        pause = min(_FIRST_PAUSE * 2**run.failures, _LONGEST_PAUSE)
        run.wake_at(run.now() + timedelta(seconds=pause))


class UndeclaredEvent(TypeError):
    """An actor emits a type that its table does not name: a bug."""

    def __init__(self, actor: str, event: RunEvent) -> None:
        super().__init__(f"{actor} emits {event.EVENT}, which is not in its `emits`")
