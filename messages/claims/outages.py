"""The stretches of a window in which something saw no success, and how much of each is sure. Plain facts for judges."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from messages.claims.spans import Span, free


@dataclass(frozen=True, slots=True)
class SuccessSpan:
    """When a probe or a workload saw successes in about a second, between two edges of windows."""

    start: datetime
    end: datetime
    count: int
    """How often something was tried."""
    first: datetime | None
    """None: nothing succeeded."""
    last: datetime | None
    longest: timedelta
    """Between two successes of the span that are neighbours."""
    evidence: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time without a success, from one (or the window's edge) to the next."""

    start: datetime
    length: timedelta
    sure: timedelta
    """The longest part of it that was looked at without a break."""
    evidence: tuple[str, ...]
    """The summaries that it lies in."""


def inside(spans: Iterable[SuccessSpan], start: datetime, end: datetime) -> tuple[SuccessSpan, ...]:
    """The spans that lie wholly in this one. Where two overlap (two observers at once), the first counts."""
    found: list[SuccessSpan] = []
    for span in spans:
        if span.start >= start and span.end <= end and (not found or span.start >= found[-1].end):
            found.append(span)
    return tuple(found)


def holes(spans: Iterable[SuccessSpan], start: datetime, end: datetime) -> tuple[Span, ...]:
    """What no span covers."""
    return free(((span.start, span.end) for span in spans), start, end)


def stretches(spans: tuple[SuccessSpan, ...], start: datetime, end: datetime, unseen: tuple[Span, ...]) -> Iterator[Stretch]:
    """Every stretch without a success from start to end, whose spans these are; nobody looked in `unseen`."""
    reached, met = start, 0
    for index, span in enumerate(spans):
        if span.first is None or span.last is None:
            continue
        yield _stretch(reached, span.first, spans[met : index + 1], unseen)
        if span.longest:
            sure = span.longest - sum((_overlap(hole, (span.first, span.last)) for hole in unseen), timedelta())
            yield Stretch(span.first, span.longest, max(sure, timedelta()), (span.evidence,))
        reached, met = span.last, index
    yield _stretch(reached, end, spans[met:], unseen)


def _stretch(start: datetime, end: datetime, spans: Iterable[SuccessSpan], unseen: tuple[Span, ...]) -> Stretch:
    looked = free(unseen, start, end)
    sure = max((until - since for since, until in looked), default=timedelta())
    return Stretch(start, max(end - start, timedelta()), sure, tuple(span.evidence for span in spans))


def _overlap(one: Span, other: Span) -> timedelta:
    return max(min(one[1], other[1]) - max(one[0], other[0]), timedelta())
