"""Which charts a report has: the rate of the events that the scenario asks about, latencies, and what became of the operations."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from actors.reporter.chart import Chart, Level, Series, Value, ceiling, curve
from actors.reporter.shapes import Axis
from actors.reporter.wording import figure, seconds
from runs.report import Report
from runs.report_figures import ProbeTotals, RatePoint, WorkloadTotals

TYPES = 5
"""How many types of events get a chart of their own."""
PROBES = 4
"""How many probes get a chart; declared ones and those of disturbed services first."""
WORKLOADS = 2
RARE = 10
"""A type that came no more often than this is marked on the time line, and has no chart."""
_BIG, _SMALL, _MIDDLE = 84.0, 30.0, 44.0


@dataclass(frozen=True, slots=True)
class Plot:
    """What a chart shows, before it has a place."""

    name: str
    note: str
    unit: str
    height: float
    series: tuple[Series, ...]
    levels: bool = False
    failed: tuple[tuple[Value, str], ...] = ()
    stacked: bool = False
    """Each series holds what the ones after it hold, and its own."""
    scaled_from: datetime | None = None
    """What came before, while the services were still starting, may run off the scale."""

    @property
    def highest(self) -> float:
        """The greatest value that the scale has to hold."""
        values = [v for s in self.series for v in s.values if v.value is not None]
        settled = [v for v in values if self.scaled_from is None or v.start >= self.scaled_from]
        return max((v.value or 0.0 for v in settled or values), default=0.0)


def plots(report: Report) -> list[Plot]:
    """Everything worth a chart, in order."""
    return [*_rates(report), *_latencies(report), *_workloads(report)]


def charts(found: Sequence[Plot], axis: Axis, top: float, *, inline: bool) -> tuple[tuple[Chart, ...], float]:
    """The charts from `top` down, and where they end. `inline`: their names stand above them."""
    y, drawn = top, []
    for plot in found:
        y += 24 if inline else 14
        drawn.append(_chart(plot, axis, y))
        y += plot.height
    return tuple(drawn), y


def _chart(plot: Plot, axis: Axis, top: float) -> Chart:
    scale = ceiling(plot.highest)
    base = top + plot.height
    told = seconds if plot.unit == "s" else lambda v: f"{figure(v)}{plot.unit}"
    marks = (scale / 2, scale) if plot.levels else (scale,)
    return Chart(
        name=plot.name,
        note=plot.note,
        top=top,
        height=plot.height,
        levels=tuple(Level(base - v / scale * plot.height, told(v)) for v in marks),
        curves=tuple(curve(axis, s, base, plot.height, scale) for s in plot.series),
        ticks=tuple((axis.x(v.start), max(axis.x(v.end) - axis.x(v.start), 2.0), text) for v, text in plot.failed),
    )


def asked(report: Report) -> list[str]:
    """The types of events, those that the scenario names first, then those that came most."""
    by_type = report.metrics.service_events.by_type
    document = report.scenario.document
    text = document.model_dump_json() if document else ""
    named = set(re.findall(r"[a-z0-9_]+(?:\.[a-z0-9_]+)+", text))
    return sorted(by_type, key=lambda name: (name not in named, -by_type[name], name))


def rare(report: Report) -> list[str]:
    """Types of events that came so seldom that each is worth a mark."""
    return [name for name in asked(report) if report.metrics.service_events.by_type[name] <= RARE]


def family(report: Report) -> str:
    """What the types that are asked about most begin with, such as `order.`; empty for all of them."""
    types = report.metrics.service_events.by_type
    first = next(iter(asked(report)), "").partition(".")[0] + "."
    return first if sum(1 for t in types if t.startswith(first)) < len(types) else ""


def _rates(report: Report) -> Iterator[Plot]:
    events = report.metrics.service_events
    if not events.series:
        return
    begin = family(report)
    all_ = _rate(events.series, begin, f"{begin}* per second" if begin else "events per second", height=_BIG)
    yield replace(all_, scaled_from=report.system_impact.observed_from)
    seldom = set(rare(report))
    names = [name for name in asked(report) if name not in seldom][:TYPES] if len(events.by_type) > 1 else []
    for name in names:
        yield replace(_rate(events.series, name, name, height=_SMALL), scaled_from=report.system_impact.observed_from)


def _rate(series: Sequence[RatePoint], begin: str, name: str, *, height: float) -> Plot:
    values = [Value(p.start, p.end, _per_second(p, begin)) for p in series]
    total = sum(sum(n for t, n in p.types.items() if t.startswith(begin)) for p in series)
    return Plot(name, f"{figure(total)} in all", "/s", height, (Series("rate", values),), levels=height == _BIG)


def _per_second(point: RatePoint, begin: str) -> float:
    length = (point.end - point.start).total_seconds()
    return sum(n for name, n in point.types.items() if name.startswith(begin)) / length if length > 0 else 0.0


def _latencies(report: Report) -> Iterator[Plot]:
    services = {s.service for s in report.system_impact.services}
    hit = set(report.system_impact.services_affected)
    probes = {name: p for name, p in report.metrics.probes.items() if p.series}
    order = sorted(probes, key=lambda name: (name in services, name not in hit, name))
    first = [name for name in order if name not in services or name in hit] or order[:1]
    for name in first[:PROBES]:
        begin = report.system_impact.observed_from if name in services else None
        yield _latency(name, probes[name], begin)


def _latency(name: str, probe: ProbeTotals, begin: datetime | None) -> Plot:
    """From `begin` on: before it, a service was still starting."""
    shown = [p for p in probe.series if begin is None or p.start >= begin]
    exact = any(p.p99 is not None for p in shown)
    if exact:
        note = f"p50 {probe.p50.text if probe.p50 else '—'}, p99 {probe.p99.text if probe.p99 else '—'}"
        series: tuple[Series, ...] = (
            Series("p99", [Value(p.start, p.end, p.p99) for p in shown]),
            Series("p50", [Value(p.start, p.end, p.p50) for p in probe.series], area=False),
        )
    else:
        note = f"health, at most {seconds(max((p.slowest for p in shown), default=0.0))}"
        series = (Series("p99", [Value(p.start, p.end, p.slowest) for p in shown]),)
    failed = tuple((Value(p.start, p.end, None), f"{p.failed} of {p.count} samples failed") for p in shown if p.failed)
    return Plot(name, note, "s", _MIDDLE, series, failed=failed)


def _workloads(report: Report) -> Iterator[Plot]:
    for name, workload in list(report.metrics.workloads.items())[:WORKLOADS]:
        if workload.series:
            yield _operations(name, workload)


def _operations(name: str, workload: WorkloadTotals) -> Plot:
    """Stacked: the whole first, and what is good on top of it, so that the rest shows above."""
    note = f"{figure(workload.ok)} ✓  {figure(workload.failed)} ✗  {figure(workload.unknown)} ?"

    def series(kind: str, *parts: str) -> Series:
        values = []
        for p in workload.series:
            length = (p.end - p.start).total_seconds()
            count = sum(int(getattr(p, part)) for part in parts)
            values.append(Value(p.start, p.end, count / length if length > 0 else 0.0))
        return Series(kind, values)

    stacked = (series("failed", "ok", "unknown", "failed"), series("unknown", "ok", "unknown"), series("ok", "ok"))
    return Plot(f"{name} operations", note, "/s", _MIDDLE, stacked, stacked=True)
