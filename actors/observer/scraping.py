"""Metrics that are scraped for a claim while it is open, or asked of a Prometheus."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta

from actors.observer.health import News
from actors.observer.source import Reach
from actors.observer.view import ObserverView
from bus.actor import Decision, Run
from messages.claims import MetricClaim
from messages.measurements import MetricSampled
from messages.system import SystemSpec
from targets.health import HealthProber
from targets.metrics_check import Found, select

Look = Callable[[], Awaitable[Found]]
"""One look at the series that a claim is about."""


class Scraping:
    """Looks at fixed instants; a look that is not over when the next is due takes its place."""

    def __init__(self, name: str, claim: MetricClaim, look: Look, run: Run[ObserverView], news: News) -> None:
        self.name = name
        self._claim = claim
        self._look = look
        self._run = run
        self._news = news
        self._found: deque[MetricSampled] = deque()
        self._begun: float | None = None
        """Monotonic seconds at which the scrape that is on began."""
        self._started = False
        self._goal: datetime | None = None

    @property
    def until(self) -> datetime | None:
        if not self._started:
            return None
        return self._run.instant(self._begun) if self._begun is not None else self._run.now()

    def aim(self, goal: datetime | None) -> None:
        self._goal = goal

    async def run(self) -> None:
        start, every = time.monotonic(), self._claim.every.total_seconds()
        self._started, index = True, 0
        while True:
            await self._scrape()
            index = max(index + 1, int((time.monotonic() - start) / every) + 1)
            await asyncio.sleep(start + index * every - time.monotonic())

    async def _scrape(self) -> None:
        self._begun = time.monotonic()
        at = self._run.instant(self._begun)
        found = await self._look()
        took = timedelta(seconds=time.monotonic() - self._begun)
        series, beyond, error = dict(found.series), found.beyond, found.error
        self._found.append(MetricSampled(assertion=self.name, at=at, took=took, series=series, beyond=beyond, error=error))
        self._begun = None
        if self._claim.within is not None or self._claim.throughout or (self._goal is not None and self._run.now() >= self._goal):
            self._news()

    def say(self, reach: Reach) -> Iterator[Decision]:
        sampled = tuple(self._found)
        self._found.clear()
        wanted = tuple(s for s in sampled if reach.ends is None or s.at < reach.ends)
        if wanted:
            yield wanted


def looking_of(claim: MetricClaim, system: SystemSpec, prober: HealthProber) -> Look | None:
    """How a claim looks at what it is about; None where the system has nothing to look at."""
    if claim.promql is not None:
        return _asking(claim.promql, claim, system, prober)
    service = system.services.get(claim.target or "")
    url = claim.url or (service.metrics.http if service is not None and service.metrics is not None else None)
    if url is None:
        return None

    async def look() -> Found:
        return select(await prober.scrape(url, deadline=claim.deadline), claim.selector)

    return look


def _asking(promql: str, claim: MetricClaim, system: SystemSpec, prober: HealthProber) -> Look | None:
    prometheus = system.prometheus
    return (lambda: prober.query(prometheus.http, promql, deadline=claim.deadline)) if prometheus is not None else None
