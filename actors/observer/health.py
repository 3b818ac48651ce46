"""Probes: an open loop of samples each, their changes, and summaries without holes. The health of a run's services is one each."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.observer.summaries import Sampled, Summaries
from actors.observer.transitions import Change, Transitions
from actors.observer.view import ObserverView
from bus.actor import Run
from bus.cancelling import end
from messages.checks import Health
from messages.observations import ProbeSummary
from targets.health import HealthProber, Sample
from targets.ticks import OpenLoop, Tick

News = Callable[[], None]
"""Something is to be said now."""
PATIENCE = timedelta(milliseconds=100)
"""How late this process may send a sample whose latency is kept; later ones are missed."""
MOST = 200
"""How many samples of a probe may be unanswered at once."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """What is sampled, and how."""

    name: str
    ask: Callable[[], Awaitable[Sample]]
    every: timedelta
    deadline: timedelta
    since: datetime | None = None
    """From when on samples are wanted; by default from the run's start."""
    keeps_latency: bool = False
    """Whether how long samples took is summed up; late ticks are sent all the same then, and count as slow as they are late."""


class Probe:
    """One thing under observation."""

    def __init__(self, sampling: Sampling, run: Run[ObserverView], news: News) -> None:
        self.name = sampling.name
        self.every = sampling.every
        self.changes: deque[Change] = deque()
        """What is still to be said."""
        self.unsent: deque[tuple[datetime, datetime]] = deque()
        """Stretches without samples that are still to be said."""
        self.goal: datetime | None = None
        """News when the samples have passed this instant."""
        self._sampling = sampling
        self._loop = _loop_of(sampling)
        self._max_gap = run.view.state.system.spec.max_gap
        self._transitions = Transitions(sampling.every, self._max_gap)
        self._summaries: Summaries | None = None
        self._missed_since: float | None = None
        self._run = run
        self._news = news

    async def run(self) -> None:
        """Sample until cancelled."""
        await self._loop.run(self._decided)

    @property
    def until(self) -> datetime | None:
        """Every sample due before this instant was judged. Ticks that were not sent wait for one that was."""
        decided = min(self._loop.decided_until, self._missed_since or math.inf, time.monotonic())
        return None if math.isinf(decided) else self._run.instant(decided)

    def summaries(self, until: datetime, edges: Iterable[datetime], *, rest: bool) -> list[ProbeSummary]:
        """The summaries that can be told by now."""
        return self._summaries.through(until, edges, rest=rest) if self._summaries else []

    def _decided(self, tick: Tick) -> None:
        at = self._run.instant(tick.intended)
        if self._summaries is None:
            self._summaries = self._begin(at)
        if tick.missed:
            self._missed_since = self._missed_since or tick.intended
        else:
            self._missed_since = None
            unsent = self._transitions.unsent(tick)
            if unsent is not None:
                self._leave_out(self._run.instant(unsent.start), at)
        self._summaries.add(Sampled(at, tick.ok, tick.missed, tick.took, self._latency(tick)))
        change = self._transitions.see(tick)
        if change is not None:
            self.changes.append(change)
        if change is not None or (self.goal is not None and at + self.every >= self.goal):
            self._news()

    def _begin(self, at: datetime) -> Summaries:
        """After a restart there is a hole between the last summary and the first tick."""
        view, since = self._run.view, self._sampling.since
        before = view.sampled_until.get(self.name, view.state.started)
        if since is not None:
            before = max(since, before or since)
        if before is not None and at - before > self._max_gap:
            self.unsent.append((before, at))
        return Summaries(self.name, max(at, before or at), self.every)

    def _latency(self, tick: Tick) -> timedelta | None:
        """What failed counts as slow as the deadline."""
        if not self._sampling.keeps_latency:
            return None
        return tick.took if tick.ok else max(tick.took, self._sampling.deadline)

    def _leave_out(self, start: datetime, at: datetime) -> None:
        self.unsent.append((start, at))
        if self._summaries is not None:
            self._summaries.leave_out(start, at)


class Probing:
    """All probes of one run."""

    def __init__(self, prober: HealthProber, run: Run[ObserverView], news: News) -> None:
        services = run.view.state.system.spec.services.items()
        wanted = [_health_of(name, service.health, prober) for name, service in services if service.health is not None]
        self.probes = [Probe(sampling, run, news) for sampling in wanted]
        self._over = asyncio.Event()
        self._stopped: datetime | None = None

    @property
    def over(self) -> bool:
        """No sample will be taken any more."""
        return self._over.is_set()

    @property
    def until(self) -> datetime | None:
        """Every sample of every service that was due before this instant was judged; None when nothing is known yet."""
        if self.over:
            return self._stopped
        known = [probe.until for probe in self.probes]
        return min((instant for instant in known if instant is not None), default=None) if None not in known else None

    async def run(self) -> None:
        """Sample until it is over."""
        async with asyncio.TaskGroup() as tasks:
            probes = [tasks.create_task(probe.run(), name=f"probe:{probe.name}") for probe in self.probes]
            try:
                await self._over.wait()
            finally:
                await end(probes)

    def stop(self) -> None:
        """Take no more samples."""
        if not self.over:
            self._stopped = self.until
            self._over.set()

    def aim(self, goal: datetime | None) -> None:
        """Tell when the samples have passed this instant."""
        for probe in self.probes:
            probe.goal = goal


def _health_of(name: str, health: Health, prober: HealthProber) -> Sampling:
    return Sampling(name, lambda: prober.check(health), health.every, health.deadline)


def _loop_of(sampling: Sampling) -> OpenLoop:
    if not sampling.keeps_latency:
        return OpenLoop(sampling.ask, every=sampling.every, deadline=sampling.deadline)
    patience = min(sampling.deadline, PATIENCE)
    return OpenLoop(sampling.ask, every=sampling.every, deadline=sampling.deadline, patience=patience, most=MOST)


def bound_of(change: Change, every: timedelta, unknown: timedelta) -> timedelta:
    """How much earlier a change may have come: since the sample before it, or for as long as nobody looked."""
    return max(every, unknown if change.since is None else change.since)
