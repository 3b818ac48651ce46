"""What a page's script reads out under the pointer: the same series as the charts, in numbers."""

from collections.abc import Sequence
from datetime import datetime

from actors.reporter.chart import Value
from actors.reporter.drawing import axis_of
from actors.reporter.lanes import last_of
from actors.reporter.plots import Plot
from actors.reporter.telling import what
from runs.report import Report

Spans = list[tuple[float, float, str]]


def readout(report: Report, found: Sequence[Plot]) -> dict[str, object]:
    """Seconds from the run's start everywhere; values as numbers."""
    axis = axis_of(report, 0, 1)
    if axis is None:
        return {}
    end = axis.end

    def second(instant: datetime) -> float:
        return round((instant - axis.start).total_seconds(), 3)

    stages: Spans = [(second(p.start), second(p.end or end), p.phase_name) for p in report.execution.phases if p.start]
    faults: Spans = [(second(f.armed), second(last_of(f, axis)), f"{f.id}: {what(f)}") for f in report.faults if f.armed]
    downs: Spans = [(second(d.start), second(d.end or end), s.service) for s in report.system_impact.services for d in s.downtimes]
    series = [
        {
            "name": plot.name,
            "unit": plot.unit,
            "kind": kind,
            "points": [(second(v.start), second(v.end), float(f"{v.value:.4g}")) for v in values if v.value is not None],
        }
        for plot in found
        for kind, values in _own(plot)
    ]
    return {"length": second(end), "stages": stages, "faults": faults[:200], "downs": downs[:500], "series": series}


def _own(plot: Plot) -> list[tuple[str, list[Value]]]:
    """The values of each series without those that it is stacked on."""
    if not plot.stacked:
        return [(s.kind if len(plot.series) > 1 else "", list(s.values)) for s in plot.series]
    below = [list(s.values) for s in plot.series[1:]]
    found = []
    for index, series in enumerate(plot.series):
        under = below[index] if index < len(below) else [Value(v.start, v.end, 0.0) for v in series.values]
        values = [Value(v.start, v.end, (v.value or 0.0) - (u.value or 0.0)) for v, u in zip(series.values, under, strict=True)]
        found.append((series.kind, values))
    return found
