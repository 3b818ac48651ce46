"""All sources of one run: begun when they are wanted, asked for what they found, and let go when their windows are over."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.observer.health import News
from actors.observer.probing import Sampled, asking_of, probe_of
from actors.observer.roles import Asking
from actors.observer.scraping import Scraping
from actors.observer.source import Reach, Source
from actors.observer.tailing import Tailing
from actors.observer.view import ObserverView
from actors.observer.watermarks import edges, ends
from bus.actor import Decision, Run
from bus.cancelling import end
from messages.claims import Claim, HttpClaim, MetricClaim, Window
from runs.windows import window_of
from targets.health import HealthProber

RECENT = timedelta(milliseconds=500)
"""The end of a window may become known this late; what was found since then waits with being summed up."""


@dataclass
class _Live:
    """A source at work."""

    source: Source
    task: "asyncio.Task[None]"
    begun: datetime
    ends: datetime | None = None
    """When its window closes, once that is known."""

    @property
    def until(self) -> datetime:
        """As far as it has looked; nothing was wanted of it before it was begun."""
        return self.source.until or self.begun

    @property
    def over(self) -> bool:
        """It has looked through the end of its window."""
        return self.ends is not None and self.until >= self.ends


class Sources:
    """Begins and ends the sources of a run by what its journal says."""

    def __init__(self, prober: HealthProber, run: Run[ObserverView], news: News) -> None:
        spec, claims = run.view.state.system.spec, run.view.state.scenario.claims()
        self._claims = {name: found for name, found in claims.items() if isinstance(found[0], HttpClaim | MetricClaim)}
        self.any = bool(spec.probes or spec.workloads or self._claims)
        """Whether there is anything that a window waits for."""
        self._prober = prober
        self._run = run
        self._news = news
        self._live: dict[str, _Live] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._over = asyncio.Event()
        self._stopped: datetime | None = None

    @property
    def until(self) -> datetime | None:
        """Everything that was due before this instant was looked at."""
        if self._over.is_set():
            return self._stopped
        return min((live.until for live in self._live.values()), default=self._run.now())

    async def run(self) -> None:
        """Look until it is over."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._news()
            try:
                await self._over.wait()
            finally:
                self._tasks = None
                await end([live.task for live in self._live.values()])

    def stop(self) -> None:
        """Look no more."""
        if not self._over.is_set():
            self._stopped = self.until
            self._over.set()

    def plan(self, goal: datetime | None) -> None:
        """Begin what is wanted by now, and aim all at the next known end."""
        if self._tasks is None or self._over.is_set() or self._run.view.state.finished is not None:
            return
        state = self._run.view.state
        for name, workload in state.workloads.items():
            if name not in self._live:
                self._begin(name, Tailing(name, workload.output, self._run, self._news))
        self._begin_roles()
        if state.stages:
            self._begin_probes()
            for name, (claim, phase) in self._claims.items():
                self._follow(name, claim, phase)
        for live in self._live.values():
            live.source.aim(goal)

    def decisions(self) -> Iterator[Decision]:
        """What all have found; what is over is let go."""
        state, over = self._run.view.state, self._over.is_set()
        cuts = frozenset({*edges(state), *ends(state)}) if self._live else frozenset()
        settled = self._run.now() - RECENT
        for name, live in list(self._live.items()):
            yield from live.source.say(Reach(cuts, settled, live.ends, rest=over or live.over))
            if live.over:
                live.task.cancel()
                self._live.pop(name, None)

    def _begin_roles(self) -> None:
        for name, service in self._run.view.state.system.spec.services.items():
            if service.role is not None and f"{name}?" not in self._live:
                self._begin(f"{name}?", Asking(name, service.role, self._run, self._prober, self._news))

    def _begin_probes(self) -> None:
        """The probes of the system are sampled from the first stage on."""
        state = self._run.view.state
        since = min(stage.started for stage in state.stages.values())
        for name, probe in state.system.spec.probes.items():
            if name not in self._live:
                self._begin(name, Sampled(probe_of(name, probe, self._prober, since), self._run, self._news))

    def _follow(self, name: str, claim: Claim, phase: str | None) -> None:
        """Look while the claim is open, and while the phase is on that it is compared with."""
        state, now = self._run.view.state, self._run.now()
        opened = state.assertions.get(name)
        judged = opened is not None and opened.verdict is not None
        compared = state.stages.get(claim.compare or "") if isinstance(claim, MetricClaim) else None
        windows = [window_of(state, claim, phase)] + ([Window(compared.started, compared.finished)] if compared else [])
        for part, window in enumerate(windows):
            key, live = f"{name}/{part}", self._live.get(f"{name}/{part}")
            if live is not None:
                live.ends = min(live.ends or live.until, live.until) if judged else window.closes
            elif window.opens is not None and not judged and (window.closes is None or window.closes > now):
                source = self._source(name, claim, window.opens)
                if source is not None:
                    self._begin(key, source)

    def _source(self, name: str, claim: Claim, since: datetime) -> Source | None:
        if isinstance(claim, HttpClaim):
            return Sampled(asking_of(name, claim, self._prober, since), self._run, self._news)
        if isinstance(claim, MetricClaim):
            service = self._run.view.state.system.spec.services.get(claim.target or "")
            url = claim.url or (service.metrics.http if service is not None and service.metrics is not None else None)
            return Scraping(name, claim, url, self._run, self._prober, self._news) if url is not None else None
        return None

    def _begin(self, key: str, source: Source) -> None:
        if self._tasks is not None:
            task = self._tasks.create_task(source.run(), name=f"source:{key}")
            self._live[key] = _Live(source, task, self._run.now())
