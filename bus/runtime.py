"""Runs actors: feeds their folds, and has their handlers called in order, those of one lane one after the other."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import structlog

from bus.active_run import ActiveRun
from bus.actor import Actor, Subscription, TimerDue, Unreadable
from bus.cancelling import end
from bus.handling import Handling, Metrics
from bus.journal import Journal, Line
from bus.news import News
from bus.share import Place, Share
from messages.events import RunEvent
from messages.fault_events import HandlerFailed, OwnerChanged
from messages.ids import trace_id_of, traceparent_of
from messages.judgements import ReportPublished
from messages.run_events import ControlRequested, RunAccepted, RunFinished

_LONGEST_WAIT = 60.0
"""Seconds that the handlers of a run that is over have to come to their end."""
_LINGER, _REPORTED = 30.0, 2.0
"""Seconds that a finished run, and a reported one, is kept, so that its last events find it."""
_ASKED = 1000


class ActorRuntime:
    """One actor at work in this host."""

    def __init__(self, actor: Actor[Any], journal: Journal, metrics: Metrics, place: Place | None = None) -> None:
        """Without a `place` among others it owns everything."""
        self.actor = actor
        self.journal = journal
        self.place = place or Place(Share.of_everything())
        self.share = self.place.share
        self.serving: dict[int, int] = {}
        """The partitions whose runs are in hand, each with the sequence up to which its open runs were read when it was gained."""
        self._table = actor.subscriptions()
        self._runs: dict[str, ActiveRun] = {}
        self._closed: deque[str] = deque(maxlen=4096)
        self._asked: dict[str, list[Line]] = {}
        """What people asked of runs that are not accepted yet."""
        self._lanes: dict[tuple[str, ...], deque[tuple[Subscription, RunEvent | None, ActiveRun]]] = {}
        self._news = News(self._table, actor.name, self._call_latest, partial(metrics.handled, actor.name, error=False))
        self._tasks: asyncio.TaskGroup | None = None
        self._handling = Handling(actor, journal, metrics, self.place, self._news.of_run, self._retry)
        self._working: dict[tuple[str, ...], asyncio.Task[None]] = {}
        self._gaining: dict[int, int] = {}
        self._terms: dict[int, int] = {}
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
                    await end(self._working.values())
                    self.share.serve(())

    def _stop(self) -> None:
        self._tasks = None
        for run in self._runs.values():
            run.stop_waking()

    def lost(self) -> set[int]:
        """The partitions whose runs are in hand though others own them, or have in between."""
        return {
            partition
            for partition in self.serving
            if partition not in self.share.owned or not self.share.has(partition, self._terms[partition])
        }

    def gained(self) -> set[int]:
        """The partitions whose runs are to be taken in hand."""
        return set(self.share.owned - self.serving.keys())

    def begin_replay(self, partitions: Collection[int], last: int) -> None:
        """These partitions are gained: what is delivered now are their open runs up to a sequence; handlers see it when the replay ends."""
        self._gaining, self._replaying = dict.fromkeys(partitions, last), []
        self._terms |= {partition: self.share.terms[partition] for partition in partitions}

    async def end_replay(self) -> None:
        """The folds are whole: hand the old events to the handlers, who do nothing where their work is done."""
        gained, lines = self._gaining, self._replaying or []
        self._gaining, self._replaying = {}, None
        self.serving |= gained
        self.share.serve(self.serving)
        for run in tuple(self._runs.values()):
            if run.partition in gained:
                self._take_over(run)
        for line in lines:
            self._dispatch(line)

    async def release(self, partitions: Collection[int]) -> None:
        """These partitions are another's, or about to be: end what is under way in their runs, and forget them."""
        if not partitions:
            return
        leaving = {run.id: run for run in self._runs.values() if run.partition in partitions}
        for run in leaving.values():
            del self._runs[run.id]
            run.close()
        await end([task for lane, task in self._working.items() if lane[0] in leaving])
        # A task that was cancelled before its first step has left its lane behind.
        self._lanes = {lane: waiting for lane, waiting in self._lanes.items() if lane[0] not in leaving}
        for name, run in leaving.items():
            self.actor.closed(name, run.view)
        self.serving = {partition: since for partition, since in self.serving.items() if partition not in partitions}
        self.share.serve(self.serving)

    def is_attended(self, actor: str, partition: int) -> bool:
        """Whether a host that lives owns the partition for an actor."""
        return self.place.attended(actor, partition)

    def deliver(self, line: Line) -> None:
        """Take in the next line of any run."""
        if line.sequence <= self._gaining.get(line.partition, -1):
            if (run := self._run_of(line)) is not None and line.sequence > run.position and self._replaying is not None:
                run.inherited = True
                self._advance(run, line)
                self._replaying.append(line)
            return
        if line.sequence <= self.serving.get(line.partition, line.sequence):
            return
        run = self._run_of(line)
        if run is None or line.sequence <= run.position:
            return
        self._advance(run, line)
        self._dispatch(line)

    def _take_over(self, run: ActiveRun) -> None:
        """Nobody who had the run before can write in it from here on."""
        if run.reported and not self.actor.keeps(run.view):
            self._drop(run)
        elif run.closing is None and self._tasks is not None:
            lane = (run.id, "owner")
            self._start(lane, self._handling.tell_owner(run))
        else:
            run.fenced = False
            run.taken.set()

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
        if isinstance(line.event, ControlRequested):
            known = self._asked.setdefault(line.run, [])
            if not known or known[-1].sequence < line.sequence:  # what was read live comes again when the partition is gained
                known.append(line)
            while len(self._asked) > _ASKED:
                self._asked.pop(next(iter(self._asked)))
        if not isinstance(line.event, RunAccepted):
            return None
        run = self._runs[line.run] = ActiveRun(
            line.run, line.partition, self, self.actor.fold(line.run), term=self._terms.get(line.partition)
        )
        if line.partition not in self._gaining:
            run.taken.set()
        for asked in self._asked.pop(line.run, ()):
            self._advance(run, asked)
        return run

    def _advance(self, run: ActiveRun, line: Line) -> None:
        if not isinstance(line.event, TimerDue):
            if not isinstance(line.event, Unreadable):
                run.view.apply(line)
            run.position = line.sequence
            run.traceparent = line.traceparent or run.traceparent
            run.moved.set()
            if line.actor == self.actor.name:
                run.written = max(run.written, line.sequence)
                if isinstance(line.event, OwnerChanged):
                    run.fenced = line.event.host != self.place.host
        if isinstance(line.event, ReportPublished):
            run.reported = True
            self._close_in(run, _REPORTED, _LONGEST_WAIT)
        elif isinstance(line.event, RunFinished):
            self._close_in(run, _LINGER, math.inf if ReportPublished in self.actor.emits else _LONGEST_WAIT)

    def _close_in(self, run: ActiveRun, seconds: float, patience: float) -> None:
        if run.closing is not None:
            run.closing.cancel()
        run.closing = asyncio.get_running_loop().call_later(seconds, self._close, run, time.monotonic() + patience)

    def _close(self, run: ActiveRun, at_last: float) -> None:
        """Drop a run that is over, when its handlers are done, or have had their time. Whoever owes it a report keeps it till then."""
        is_busy = at_last == math.inf or any(lane[0] == run.id for lane in self._lanes)
        if is_busy and time.monotonic() < at_last:
            run.closing = asyncio.get_running_loop().call_later(_REPORTED, self._close, run, at_last)
        elif self.actor.keeps(run.view):
            self._close_in(run, _LINGER, _LONGEST_WAIT)
        else:
            self._drop(run)

    def _drop(self, run: ActiveRun) -> None:
        if self._runs.pop(run.id, None) is not None:
            run.close()
            self._closed.append(run.id)
            self.actor.closed(run.id, run.view)

    def _dispatch(self, line: Line) -> None:
        run = self._runs.get(line.run)
        if run is None or isinstance(line.event, HandlerFailed | OwnerChanged | Unreadable):
            return
        if isinstance(line.event, TimerDue) and line.actor != self.actor.name:
            return
        for subscription in self._table:
            if subscription.lane == "latest":
                continue
            if isinstance(line.event, subscription.type):
                self._call(subscription, line.event, run)
        self._news.of_line(line, run)

    def _call(self, subscription: Subscription, event: RunEvent, run: ActiveRun) -> None:
        lane = (run.id,) if subscription.lane == "run" else (run.id, event.entity, event.type_name())
        self._enqueue(lane, subscription, event, run)

    def _retry(self, subscription: Subscription, event: RunEvent, run: ActiveRun) -> None:
        """Call a handler again that has failed for good, if the run is still in hand."""
        if self._runs.get(run.id) is run and not run.lost:
            self._call(subscription, event, run)

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
            self._start(lane, self._work(lane))

    def _start(self, lane: tuple[str, ...], work: Coroutine[None, None, None]) -> None:
        if self._tasks is None:
            work.close()
            return
        task = self._working[lane] = self._tasks.create_task(work, name=f"{self.actor.name}:{'.'.join(lane)}")
        task.add_done_callback(lambda done: self._working.pop(lane) if self._working.get(lane) is done else None)

    async def _work(self, lane: tuple[str, ...]) -> None:
        waiting = self._lanes[lane]
        # Of this task alone: every line that is logged in it, by whoever, says whose work it is.
        structlog.contextvars.bind_contextvars(
            actor=self.actor.name, run=lane[0], trace_id=trace_id_of(traceparent_of(lane[0], waiting[0][2].traceparent))
        )
        try:
            await waiting[0][2].taken.wait()
            while waiting:
                await self._handling.handle(*waiting[0])
                waiting.popleft()
        finally:
            self._lanes.pop(lane, None)
