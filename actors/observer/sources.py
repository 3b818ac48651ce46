"""All sources of one run: begun when they are wanted, asked for what they found, and let go when their windows are over."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.observer.health import News
from actors.observer.hearing import Hearing
from actors.observer.listing import Listing
from actors.observer.log_tailing import LogTailing
from actors.observer.probing import Sampled, asking_of, probe_of
from actors.observer.roles import Asking
from actors.observer.scraping import Scraping, looking_of
from actors.observer.set_reading import SetReading
from actors.observer.source import Reach, Source
from actors.observer.tailing import Tailing
from actors.observer.view import ObserverView
from actors.observer.watermarks import edges, ends
from bus.actor import Decision, Run
from bus.cancelling import end
from messages.claims import AnsweredClaim, Claim, HttpClaim, LogClaim, MetricClaim, RoleClaim, SetClaim, Window
from runs.state import RunState
from runs.windows import window_of
from targets.health import HealthProber
from targets.secrets import secrets_of

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

    def __init__(self, prober: HealthProber, run: Run[ObserverView], hearing: Hearing, news: News, environment: Mapping[str, str]) -> None:
        spec, claims = run.view.state.system.spec, run.view.state.scenario.claims()
        self._claims = {name: found for name, found in claims.items() if isinstance(found[0], AnsweredClaim | MetricClaim)}
        self._logs = {name: (claim, phase) for name, (claim, phase) in claims.items() if isinstance(claim, LogClaim)}
        self._sets = {name: (claim, phase) for name, (claim, phase) in claims.items() if isinstance(claim, SetClaim)}
        self._read: set[str] = set()
        """The log and set claims for which reading has begun."""
        groups = (claim.group for claim, _ in claims.values() if isinstance(claim, RoleClaim))
        self._roles = {name for group in groups if group in spec.groups for name in spec.groups[group].members}
        self._hearing = hearing
        self.any = bool(spec.probes or spec.workloads or self._claims or self._logs or self._roles or hearing.claims)
        """Whether there is anything that a window waits for."""
        self._prober = prober
        self._run = run
        self._news = news
        self._before = run.view.probes_until
        """Up to when an earlier observer had looked, if there was one."""
        self._planned = False
        self._secrets = secrets_of(run.view.state.system, environment)
        self._live: dict[str, _Live] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._over = asyncio.Event()
        self._stopped: datetime | None = None

    @property
    def until(self) -> datetime | None:
        """Everything that was due before this instant was looked at."""
        if self._over.is_set():
            return self._stopped
        if not self._planned and self._before is not None:
            return self._before
        return min((live.until for live in self._live.values()), default=self._run.now())

    def told(self, until: datetime | None) -> datetime | None:
        """Up to when the next decisions tell all that was found before this instant: to the last edge of a window that is known by now."""
        if until is None or not self.any:
            return None
        state = self._run.view.state
        return until if self._over.is_set() else max((cut for cut in (*edges(state), *ends(state)) if cut <= until), default=None)

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
        state, self._planned = self._run.view.state, True
        if self._hearing.claims and self._hearing.name not in self._live:
            self._begin(self._hearing.name, self._hearing)
        for name, workload in state.workloads.items():
            if name not in self._live:
                self._begin(name, Tailing(name, workload.output, self._run, self._news))
        for name, (log, phase) in self._logs.items():
            self._follow_log(name, log, phase)
        for name, (wanted, phase) in self._sets.items():
            self._compare(name, wanted, phase)
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
            done = live.over  # it may get so while what it says is stored
            yield from live.source.say(Reach(cuts, settled, live.ends, rest=over or done))
            if done:
                live.task.cancel()
                self._live.pop(name, None)

    def _begin_roles(self) -> None:
        for name, service in self._run.view.state.system.spec.services.items():
            if service.role is not None and f"{name}?" not in self._live:
                asking = Asking(name, service.role, self._run, self._prober, self._news, before=self._before, awaited=name in self._roles)
                self._begin(f"{name}?", asking)

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
        earlier = claim.compare if isinstance(claim, MetricClaim) else claim.unlike if isinstance(claim, HttpClaim) else None
        compared = state.stages.get(earlier or "")
        windows = [window_of(state, claim, phase)] + ([Window(compared.started, compared.finished)] if compared else [])
        for part, window in enumerate(windows):
            key, live = f"{name}/{part}", self._live.get(f"{name}/{part}")
            if live is not None:
                live.ends = min(live.ends or live.until, live.until) if judged else window.closes
            elif window.opens is not None and not judged and (window.closes is None or window.closes > now):
                source = self._earlier(name, claim, window.opens) if part else self._source(name, claim, window.opens)
                if source is not None:
                    self._begin(key, source)

    def _follow_log(self, name: str, claim: LogClaim, phase: str | None) -> None:
        """Read from the service's start on, so that every line has its time when the window opens, until the claim is over."""
        state, key, said = self._run.view.state, f"{name}/log", self._run.view.logged.get(name)
        opened, window, live = state.assertions.get(name), window_of(state, claim, phase), self._live.get(key)
        judged = opened is not None and opened.verdict is not None
        if live is not None:
            live.ends = min(live.ends or live.until, live.until) if judged else window.closes
            return
        over = judged or window.never or (window.closes is not None and said is not None and said.end >= window.closes)
        path = _log_of(state, claim)
        if path and not over and name not in self._read:
            self._read.add(name)
            self._begin(key, LogTailing(claim, phase, path, self._run, self._news, self._secrets))

    def _compare(self, name: str, claim: SetClaim, phase: str | None) -> None:
        """Read what is there when the window of the claim has ended."""
        state = self._run.view.state
        closes, opened, workload = window_of(state, claim, phase).closes, state.assertions.get(name), state.workloads.get(claim.workload)
        if closes is None or closes > self._run.now() or workload is None or opened is None or opened.verdict is not None:
            return
        if name not in self._read and name not in self._run.view.read:
            self._read.add(name)
            self._begin(f"{name}/set", SetReading(claim, workload.output, self._run, self._prober, self._news))

    def _earlier(self, name: str, claim: Claim, since: datetime) -> Source | None:
        """What looks in the phase that a claim is compared with."""
        if isinstance(claim, HttpClaim):
            return Listing(claim, self._run, self._prober, self._news) if name not in self._run.view.listed else None
        return self._source(name, claim, since)

    def _source(self, name: str, claim: Claim, since: datetime) -> Source | None:
        if isinstance(claim, HttpClaim) and claim.unlike is not None:
            listed = self._run.view.listed.get(name)
            if listed is None:
                return None
            question = claim.question_unlike(listed.keys)
            return Sampled(asking_of(name, claim, self._prober, since, question), self._run, self._news)
        if isinstance(claim, AnsweredClaim):
            return Sampled(asking_of(name, claim, self._prober, since, claim.question), self._run, self._news)
        if isinstance(claim, MetricClaim):
            look = looking_of(claim, self._run.view.state.system.spec, self._prober)
            return Scraping(name, claim, look, self._run, self._news) if look is not None else None
        return None

    def _begin(self, key: str, source: Source) -> None:
        if self._tasks is not None:
            task = self._tasks.create_task(source.run(), name=f"source:{key}")
            self._live[key] = _Live(source, task, self._run.now())


def _log_of(state: RunState, claim: LogClaim) -> str:
    """The file that a log claim is about; empty as long as there is none."""
    service, workload = state.services.get(claim.target or ""), state.workloads.get(claim.workload or "")
    return service.output if service is not None else workload.errors if workload is not None else ""
