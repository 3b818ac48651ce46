"""What was counted and timed in a run, as series over its time and as figures per stage."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from messages.histogram import Histogram
from messages.observations import EventCounted, OperationsSeen, ProbeSummary
from runs.report_figures import LatencyPoint, OperationPoint, ProbeFigures, ProbeTotals, RatePoint, StageFigures, WorkloadTotals
from runs.report_values import span
from runs.state import RunState, StageState

POINTS = 600
"""How many points the series of the service events has at most."""
PROBE_POINTS = 240
"""How many points the series of a probe or a workload has at most."""
_FINE = timedelta(seconds=0.9)


class Spanned(Protocol):
    """Something that was counted over a span of time."""

    @property
    def start(self) -> datetime:
        """Where it begins."""

    @property
    def end(self) -> datetime:
        """Where it ends."""


T = TypeVar("T", bound=Spanned)


def grouped(counted: Sequence[T], most: int) -> list[list[T]]:
    """Neighbours of about a second together, or of as much more as `most` asks for; slivers cut at a stage's end would show false peaks."""
    ordered = sorted(counted, key=lambda c: (c.start, c.end))
    width = max((ordered[-1].end - ordered[0].start) / (most - 1), _FINE) if ordered else timedelta()
    groups: list[list[T]] = []
    for one in ordered:
        if groups and groups[-1][-1].end - groups[-1][0].start < width and one.start - groups[-1][-1].end < width:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def rate_series(counted: Sequence[EventCounted]) -> tuple[RatePoint, ...]:
    """Service events over time."""
    return tuple(_rate_point(group) for group in grouped(counted, POINTS))


def _rate_point(group: Sequence[EventCounted]) -> RatePoint:
    types: Counter[str] = Counter()
    for one in group:
        types.update(one.types)
    return RatePoint(start=group[0].start, end=group[-1].end, total=types.total(), types=dict(sorted(types.items())))


def probe_totals(summaries: Sequence[ProbeSummary]) -> ProbeTotals:
    """All samples of one probe."""
    figures = _figures(summaries)
    return ProbeTotals(
        samples=figures.count,
        ok=sum(s.ok for s in summaries),
        failed=figures.failed,
        missed=sum(s.missed for s in summaries),
        slowest=span(timedelta(seconds=figures.slowest)),
        p50=span(timedelta(seconds=figures.p50)) if figures.p50 is not None else None,
        p99=span(timedelta(seconds=figures.p99)) if figures.p99 is not None else None,
        series=tuple(_latency_point(group) for group in grouped([s for s in summaries if s.count], PROBE_POINTS)),
    )


def _latency_point(group: Sequence[ProbeSummary]) -> LatencyPoint:
    figures = _figures(group)
    return LatencyPoint(start=group[0].start, end=group[-1].end, **figures.model_dump())


def _figures(summaries: Sequence[ProbeSummary]) -> ProbeFigures:
    taken = [s.latency for s in summaries if s.latency is not None]
    together = Histogram().merged(*taken)
    return ProbeFigures(
        count=sum(s.count for s in summaries),
        failed=sum(s.failed for s in summaries),
        p50=_quantile(together, 0.5),
        p99=_quantile(together, 0.99),
        slowest=max((s.slowest for s in summaries), default=timedelta()).total_seconds(),
    )


def _quantile(histogram: Histogram, share: float) -> float | None:
    found = histogram.quantile(share)
    return round(found.total_seconds(), 6) if found is not None else None


def workload_totals(seen: Sequence[OperationsSeen]) -> WorkloadTotals:
    """All operations of one workload."""
    return WorkloadTotals(
        **_operations(seen),
        series=tuple(OperationPoint(start=g[0].start, end=g[-1].end, **_operations(g)) for g in grouped(seen, PROBE_POINTS)),
    )


def _operations(seen: Sequence[OperationsSeen]) -> dict[str, int]:
    return {"ok": sum(s.ok for s in seen), "failed": sum(s.failed for s in seen), "unknown": sum(s.unknown for s in seen)}


def stage_figures(
    state: RunState, counted: Sequence[EventCounted], probes: dict[str, list[ProbeSummary]], until: datetime | None
) -> Iterator[StageFigures]:
    """Rates and latencies of every stage that has lasted; what lies across a stage's end counts by its share."""
    for stage in state.stages.values():
        end = stage.finished or until
        if end is None or end <= stage.started:
            continue
        seen = {name: [s for s in summaries if _inside(s, stage, end)] for name, summaries in probes.items()}
        yield StageFigures(
            stage=stage.name,
            seconds=round((end - stage.started).total_seconds(), 3),
            rates=_rates(counted, stage.started, end),
            probes={name: _figures(summaries) for name, summaries in seen.items() if sum(s.count for s in summaries)},
        )


def _inside(summary: ProbeSummary, stage: StageState, end: datetime) -> bool:
    return summary.start >= stage.started and summary.start < end


def _rates(counted: Sequence[EventCounted], start: datetime, end: datetime) -> dict[str, float]:
    found: dict[str, float] = {}
    seconds = 0.0
    for one in counted:
        both = (min(one.end, end) - max(one.start, start)).total_seconds()
        whole = (one.end - one.start).total_seconds()
        if both <= 0 or whole <= 0:
            continue
        seconds += both
        for name, number in one.types.items():
            found[name] = found.get(name, 0.0) + number * both / whole
    return {name: round(number / seconds, 2) for name, number in sorted(found.items())} if seconds else {}
