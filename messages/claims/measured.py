"""What was measured in a span of time: durations by probes and workloads, metrics, lines of logs and spans. Plain facts for judges."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from messages.claims.outages import SuccessSpan
from messages.claims.spans import Span
from messages.histogram import Histogram, rank_of
from messages.measurements import TraceMatched

NAMED = 20
"""How many summaries a judgement names: those with the slowest samples."""


@dataclass(frozen=True, slots=True)
class MeasuredSpan:
    """What was measured in about a second, between two edges of windows."""

    start: datetime
    end: datetime
    timed: Histogram
    """How long it took, where that is known."""
    slow: int
    """How many had no good answer: they count as slow, whatever the limit."""
    evidence: str
    beside: bool = False
    """Those that were slow are not in `timed` too."""
    unknown: int = 0
    """How many of those that were slow are operations of which nobody knows whether they took effect."""
    untimed: int = 0
    """How many more succeeded without saying how long they took."""

    @property
    def count(self) -> int:
        """How many samples there were."""
        return self.timed.count + (self.slow if self.beside else 0)


@dataclass(frozen=True, slots=True)
class Measured:
    """All that is known of one probe or workload, in order of time."""

    spans: tuple[MeasuredSpan, ...] = ()
    gaps: tuple[Span, ...] = ()
    """When nobody looked."""
    every: timedelta | None = None
    """The interval of a probe. A workload speaks when it likes."""
    deadline: timedelta | None = None
    """Of a probe: what failed is in `timed` as at least so slow."""
    successes: tuple[SuccessSpan, ...] = ()
    """When it saw successes, also in spans without any sample."""

    def within(self, start: datetime, end: datetime) -> tuple[MeasuredSpan, ...]:
        """The spans with samples that lie wholly in this one. Where two overlap (two observers at once), the first counts."""
        found: list[MeasuredSpan] = []
        for span in self.spans:
            inside = span.start >= start and span.end <= end and span.count + span.untimed
            if inside and (not found or span.start >= found[-1].end):
                found.append(span)
        return tuple(found)

    def unseen(self, start: datetime, end: datetime) -> timedelta:
        """The longest stretch between start and end in which nobody looked."""
        longest = max((min(end, until) - max(start, since) for since, until in self.gaps), default=timedelta())
        if self.every is None:
            return max(longest, timedelta())
        reached = start
        for span in self.within(start, end):
            longest = max(longest, span.start - reached)
            reached = max(reached, span.end)
        return max(longest, end - reached)


@dataclass(frozen=True, slots=True)
class Timings:
    """The samples of a window, together."""

    timed: Histogram
    slow: int
    count: int
    evidence: tuple[str, ...]
    unknown: int = 0
    untimed: int = 0
    """How many more succeeded without saying how long they took."""

    def percentile(self, percentile: float) -> timedelta | None:
        """What this share (0 to 100) of the samples does not exceed; None if that is one without a good answer."""
        rank = rank_of(percentile / 100, self.count)
        return None if rank > self.count - self.slow else self.timed.nth(rank)


def together(spans: Iterable[MeasuredSpan]) -> Timings:
    """The samples of all these spans."""
    found = tuple(spans)
    worst = sorted(found, key=lambda span: (span.slow, max(span.timed.counts, default=0)), reverse=True)[:NAMED]
    return Timings(
        timed=Histogram().merged(*(span.timed for span in found)),
        slow=sum(span.slow for span in found),
        count=sum(span.count for span in found),
        evidence=tuple(span.evidence for span in sorted(worst, key=lambda span: span.start)),
        unknown=sum(span.unknown for span in found),
        untimed=sum(span.untimed for span in found),
    )


@dataclass(frozen=True, slots=True)
class Scrape:
    """One look at a metrics endpoint: the series that a claim names, and their values."""

    at: datetime
    evidence: str
    series: Mapping[str, float] = field(default_factory=dict)
    beyond: int = 0
    """How many more series it names."""
    error: str = ""
    """Why there was no answer that can be read."""


@dataclass(frozen=True, slots=True)
class Logged:
    """What a claim matched of the lines of a log that were written in a span of time."""

    start: datetime
    end: datetime
    lines: int
    count: int
    evidence: str
    first: datetime | None = None
    last: datetime | None = None
    late: bool = False
    """Nobody can say when in the span its lines were written."""
    errors: int = 0
    error: str = ""
    samples: tuple[str, ...] = ()


def placed(found: Logged | TraceMatched, opens: datetime, closes: datetime | None) -> bool | None:
    """Whether the matches of a stretch lie in the window; None when nobody knows. Stretches are cut at edges that are known in time."""
    if found.start >= opens and (closes is None or found.end <= closes):
        return True
    if found.first is None or found.last is None:
        return None
    if found.first >= opens and (closes is None or found.last < closes):
        return True
    return False if found.last < opens or (closes is not None and found.first >= closes) else None


@dataclass(frozen=True, slots=True)
class Traced:
    """What a claim matched of the spans that were received in a stretch of time."""

    told: TraceMatched
    evidence: str
