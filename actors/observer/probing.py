"""Probes whose latency counts, and claims that ask over HTTP or gRPC by themselves."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from actors.observer.health import News, Probe, Sampling
from actors.observer.source import Reach, gap_of
from actors.observer.view import ObserverView
from bus.actor import Decision, Run
from messages import checks
from messages.claims import AnsweredClaim
from messages.measurements import AnswerSeen
from targets.health import HealthProber

SHOWN = 200
"""Characters of a wrong answer that are named."""


class Sampled:
    """A source that samples in an open loop and says summaries, gaps and, of a claim, when its answers changed."""

    def __init__(self, sampling: Sampling, run: Run[ObserverView], news: News) -> None:
        self.name = sampling.name
        self._probe = Probe(sampling, run, news)
        self._sampling = sampling
        self._run = run

    @property
    def until(self) -> datetime | None:
        """Every sample that was due before this instant was judged; None before the first."""
        return self._probe.until

    def aim(self, goal: datetime | None) -> None:
        """Tell when the samples have passed this instant."""
        self._probe.goal = goal

    async def run(self) -> None:
        """Sample until cancelled."""
        await self._probe.run()

    def say(self, reach: Reach) -> Iterator[Decision]:
        """What was found."""
        while self._probe.changes:
            if not self._sampling.keeps_latency:
                yield from self._answer()
            self._probe.changes.popleft()
        while self._probe.unsent:
            start, end = self._probe.unsent[0]
            yield gap_of(self._run.view, self.name, start, end, "no sample was sent")
            self._probe.unsent.popleft()
        if self.until is not None:
            until = min(self.until, reach.ends) if reach.ends is not None else self.until
            summaries = self._probe.summaries(until if reach.rest else reach.told(until), reach.cuts, rest=reach.rest)
            if summaries:
                yield tuple(summaries)

    def _answer(self) -> Iterator[AnswerSeen]:
        """The next change, unless it is what was said last."""
        change, last = self._probe.changes[0], self._run.view.answered.get(self.name)
        if last is None or (change.up, change.asked) != (last.ok, last.asked):
            yield AnswerSeen(
                assertion=self.name,
                number=last.number + 1 if last is not None else 1,
                ok=change.up,
                ago=max(self._run.now() - self._run.instant(change.at), timedelta()),
                error_bound=max(self._sampling.every, change.since or timedelta()),
                took=change.took,
                got="" if change.up else change.error,
                asked=change.asked,
            )


def probe_of(name: str, probe: checks.Probe, prober: HealthProber, since: datetime) -> Sampling:
    """How a probe of the system is sampled."""
    every = timedelta(seconds=1 / probe.rate)
    return Sampling(name, lambda: prober.check(probe), every, probe.deadline, since, keeps_latency=True)


def asking_of(name: str, claim: AnsweredClaim, prober: HealthProber, since: datetime, question: checks.Question) -> Sampling:
    """How a claim asks by itself."""
    ask = prober.asking(question, deadline=claim.deadline, shown=SHOWN, exact=claim.never)
    return Sampling(name, ask, claim.every, claim.deadline, since)
