"""`latency`: how long most of something takes, by a probe, a workload or what events say; alone or beside an earlier phase."""

import math
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from messages.claims.claim import Claim, Found, Matcher, Problem, Scope, ServiceEvent, Tally, expression_problems
from messages.claims.comparing import LatencyLimit, comparison_problems, latency_limit, reference_of
from messages.claims.history import History, Judgement, Window, failed, inconclusive, passed
from messages.claims.measured import Timings
from messages.claims.samples import comparable_problems, emptiness, samples, source_problems
from messages.expressions import ExpressionError, compiled, event_types
from messages.histogram import Histogram, bucket_of
from messages.observations import EventMatched, Match
from messages.values import Document, Token, brief, parse_duration
from messages.verdicts import Reason

FEWEST = 30
"""Samples that a percentile needs, if a higher one does not need more."""


class EventDurations(Document):
    """Durations that events tell of."""

    where: str
    """CEL over `event`: the events that tell one."""
    value: str
    """CEL over `event` that gives a duration, a text like 12ms, or a number."""
    unit: Literal["s", "ms"] = "s"
    """What a number counts."""


class LatencyClaim(Claim):
    """This percentile of all durations in the window is at most so long. What failed or was missed counts as slow."""

    FIGURES = {"measured": "seconds", "limit": "seconds", "samples": "count", "slow": "count"}

    type: Literal["latency"]
    probe: Token | None = None
    """A probe of the system: from the intended start of each sample to its answer."""
    workload: Token | None = None
    """A workload of the system: what it says that its operations took."""
    event: EventDurations | None = None
    percentile: float = Field(gt=0, le=100)
    """The share that must be as fast; 100 is the slowest of all."""
    at_most: LatencyLimit
    """A duration like 250ms or, with `compare`, more than there: +250ms, +50% or 2x."""
    compare: Token | None = None
    """An earlier phase, in which no fault was active."""
    min_samples: int | None = Field(default=None, ge=1)
    """How many samples there must be, in the window and in the earlier phase; by default 30, or what the percentile needs."""

    @property
    def follows_events(self) -> bool:
        return self.event is not None

    @property
    def source(self) -> str:
        """The probe or workload that it is about; of events there is none."""
        return self.probe or self.workload or ""

    @property
    def fewest(self) -> int:
        """How many samples there must be."""
        return self.min_samples if self.min_samples is not None else max(FEWEST, needed(self.percentile))

    def matcher(self, services: Mapping[str, frozenset[str]]) -> Matcher | None:
        del services
        return DurationMatcher(self.event) if self.event is not None else None

    def judge(self, history: History) -> Judgement | None:
        opens, closes = history.window.opens, history.window.closes
        empty = emptiness(opens, closes)
        if empty is not None:
            return empty
        if opens is None or closes is None:
            return None
        if not (history.events_complete if self.follows_events else history.probes_passed(closes)):
            return None
        found = self._timings(history, history.window)
        return found if isinstance(found, Judgement) else self._judge_timings(history, found)

    def _judge_timings(self, history: History, found: Timings) -> Judgement:
        limit = latency_limit(self.at_most)
        if self.compare is None:
            allowed = timedelta(seconds=limit.at(None))
            return self._judge_limit(found, allowed, f"at most {brief(allowed)} allowed")
        before = self._reference(history, self.compare)
        if isinstance(before, Judgement):
            return before
        normal = before.percentile(self.percentile)
        if normal is None:
            told = f"in the phase {self.compare} {self._name} was itself among {self._without(before)}"
            return inconclusive(Reason.PRECONDITION, told, *before.evidence)
        allowed = timedelta(seconds=max(0.0, limit.at(normal.total_seconds())))
        told = f"at most {brief(allowed)} allowed ({brief(normal)} in {self.compare} over {before.count} samples, {limit.text})"
        return self._judge_limit(found, allowed, told, before.evidence)

    def _judge_limit(self, found: Timings, allowed: timedelta, told: str, compared: tuple[str, ...] = ()) -> Judgement:
        measured, evidence = found.percentile(self.percentile), (*found.evidence, *compared)
        figures: dict[str, timedelta | int | str] = {"samples": found.count, "slow": found.slow, "limit": allowed}
        if measured is None:
            return failed(f"{self._name} is among {self._without(found)} (they count as slow), {told}", *evidence, **figures)
        slow = f"; {found.slow} of them {self._went_wrong}, and count as slow" if found.slow else ""
        said = f"{self._name} is {brief(measured)} over {found.count} samples, {told}{slow}"
        figures["measured"] = measured
        return passed(said, *evidence, **figures) if measured <= allowed else failed(said, *evidence, **figures)

    def _timings(self, history: History, window: Window, where: str = "the window") -> Timings | Judgement:
        """The samples in a window that is over, or why they are none to judge by."""
        found = self._told(history, where) if self.follows_events else samples(history, window, self.source, where)
        if isinstance(found, Judgement):
            return found
        if not found.count:
            return inconclusive(Reason.NO_SAMPLES, f"nothing was measured in {where}", *found.evidence)
        if found.count < self.fewest:
            told = f"{found.count} samples in {where}, {self._name} needs {self.fewest}"
            return inconclusive(Reason.TOO_FEW_SAMPLES, told, *found.evidence, samples=found.count)
        return found

    def _reference(self, history: History, compare: str) -> Timings | Judgement:
        window = reference_of(compare, history)
        return window if isinstance(window, Judgement) else self._timings(history, window, f"the phase {compare}")

    def _told(self, history: History, where: str) -> Timings | Judgement:
        seen, evidence = history.matched, history.matched_evidence or ""
        if seen is None or seen.gap:
            return inconclusive(Reason.GAP, f"part of {where} was not seen", evidence)
        values = seen.values if where == "the window" else seen.reference
        if seen.errors and seen.errors >= _evaluated(seen):
            return inconclusive(Reason.JUDGE_ERROR, f"no duration could be read from any event: {seen.error}", evidence)
        timed = values or Histogram()
        return Timings(timed, 0, timed.count, (evidence,))

    @property
    def _name(self) -> str:
        return f"p{self.percentile:g} of {self.source or 'the events'}"

    @property
    def _samples(self) -> str:
        return "operations" if self.workload is not None else "samples"

    @property
    def _went_wrong(self) -> str:
        return "failed or stayed unknown" if self.workload is not None else "failed or were missed"

    def _without(self, found: Timings) -> str:
        """Those that have no good answer, in words."""
        return f"the {found.slow} of {found.count} {self._samples} that {self._went_wrong}"

    def summary(self) -> str:
        beside = f" of {self.compare}" if self.compare is not None else ""
        return self.description or f"{self._name} at most {self.at_most}{beside}"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        if sum(source is not None for source in (self.probe, self.workload, self.event)) != 1:
            yield Problem((), "a latency is that of exactly one of probe, workload, event", "keep one of them")
        yield from source_problems(self.probe, self.workload, scope)
        if self.event is not None:
            for key, source in (("where", self.event.where), ("value", self.event.value)):
                yield from (Problem(("event", *p.path), p.what, p.right) for p in expression_problems(key, source))
        if self.within is not None or self.never or self.throughout or (self.grace and self.event is not None):
            yield Problem((), "a percentile is judged at the window's end", "take `within`, `throughout`, `never` and `grace` out")
        if self.min_samples is not None and self.min_samples < needed(self.percentile):
            what = f"{self.min_samples} samples have no percentile {self.percentile:g} apart from the slowest"
            yield Problem(("min_samples",), what, f"at least {needed(self.percentile)}")
        limits = {"at_most": latency_limit(self.at_most)}
        yield from comparable_problems(self, self.compare, scope) or comparison_problems(self.compare, limits, scope)


class DurationMatcher(Matcher):
    """Matches the events for which an expression is true, and reads their duration as the key: seconds, as text."""

    def __init__(self, event: EventDurations) -> None:
        self.where = event.where
        self._where = compiled(event.where)
        self._value = compiled(event.value)
        self._unit = 0.001 if event.unit == "ms" else 1.0
        self.types = event_types(event.where)

    def match(self, event: ServiceEvent) -> Found | None:
        if not self._where.holds(event.bindings):
            return None
        return Found(repr(seconds_of(self._value.evaluate(event.bindings), self._unit)))

    def tally(self) -> Tally:
        return DurationTally()


class DurationTally(Tally):
    """Keeps how long each match took."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[int, int] = {}

    def take(self, match: Match, *, in_grace: bool) -> None:
        super().take(match, in_grace=in_grace)
        bucket = bucket_of(timedelta(seconds=float(match.key or 0)))
        self._counts[bucket] = self._counts.get(bucket, 0) + 1

    @property
    def values(self) -> Histogram:
        return Histogram(counts=dict(sorted(self._counts.items())))


def seconds_of(value: Any, unit: float) -> float:
    """The seconds that a value of CEL says.

    Raises:
        ExpressionError: it is no duration.
    """
    if isinstance(value, str):
        try:
            value = parse_duration(value)
        except ValueError as error:
            raise ExpressionError(str(error)) from None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value * unit if isinstance(value, int | float) else None
    if seconds is None or isinstance(value, bool) or not 0 <= seconds < timedelta.max.total_seconds():
        raise ExpressionError(f"`value` gives {value!r}"[:80] + ", which is no duration")
    return float(seconds)


def needed(percentile: float) -> int:
    """How many samples there must be, so that one of them is beyond this percentile."""
    return 1 if percentile >= 100 else math.ceil(round(100 / (100 - percentile), 6))


def _evaluated(seen: EventMatched) -> int:
    return seen.seen if seen.evaluated is None else seen.evaluated
