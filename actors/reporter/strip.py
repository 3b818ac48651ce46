"""The time line in letters, for a terminal and for a comment: a column is a share of the run's time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from actors.reporter.drawing import axis_of
from actors.reporter.lanes import MOST, lane_of, last_of
from actors.reporter.plots import plots
from actors.reporter.shapes import Axis
from actors.reporter.wording import share
from runs.report import Report
from runs.report_effects import AffectedService, FaultReport

NAMES = 22
"""Columns of a lane's name."""
LEGEND = "─ healthy  █ down  ▒ recovering  ▓ fault, armed to gone"
_HEIGHTS = "▁▂▃▄▅▆▇█"
_RATES = 3


@dataclass(frozen=True, slots=True)
class Strip:
    """One line: a name, its columns and what stands behind them."""

    name: str
    cells: str
    note: str = ""

    def __str__(self) -> str:
        name = self.name if len(self.name) <= NAMES else self.name[: NAMES - 1] + "…"
        return f"{name:<{NAMES}} {self.cells} {self.note}".rstrip()


def strips(report: Report, columns: int) -> list[Strip]:
    """Stages, a lane for each service with its faults, the busiest rates, and operations; none of a run that never came to a stage."""
    axis = axis_of(report, 0, columns)
    if axis is None:
        return []
    services = sorted(report.system_impact.services, key=lambda s: not (s.faults or s.downtimes))[:MOST]
    found = [_stages(report, axis, columns), *_stills(report, axis, columns)]
    for service in services:
        found += _lane(report, service, axis, columns)
    homes = {s.service for s in report.system_impact.services}
    found += [_fault(f, axis, columns) for f in report.faults if f.armed and lane_of(f) not in homes]
    return [*found, *_rates(report, axis, columns), *_operations(report, axis, columns)]


def _stages(report: Report, axis: Axis, columns: int) -> Strip:
    cells = [" "] * columns
    for phase in report.execution.phases:
        if phase.start is not None:
            begin, end = _span(axis, columns, phase.start, phase.end or axis.end)
            for index, letter in enumerate(f"│{phase.phase_name}"[: end - begin]):
                cells[begin + index] = letter
    return Strip("", "".join(cells))


def _stills(report: Report, axis: Axis, columns: int) -> Iterator[Strip]:
    cells = [" "] * columns
    for pause in report.pauses:
        _fill(cells, _span(axis, columns, pause.start, pause.end or axis.end), "░")
    if report.pauses:
        yield Strip("stood still", "".join(cells))
    for gate in report.gates:
        cells = [" "] * columns
        _fill(cells, _span(axis, columns, gate.opened, gate.closed or axis.end), "░")
        yield Strip(f"gate {gate.phase}", "".join(cells), gate.outcome or "open")


def _lane(report: Report, service: AffectedService, axis: Axis, columns: int) -> Iterator[Strip]:
    impact = report.system_impact
    cells = [" "] * columns
    if impact.observed_from and impact.observed_until and service.availability is not None:
        _fill(cells, _span(axis, columns, impact.observed_from, impact.observed_until), "─")
    undone = {f.id: f.reverted for f in report.faults}
    for down in service.downtimes:
        end = down.end or impact.observed_until or axis.end
        _fill(cells, _span(axis, columns, down.start, end), "█")
        back = [undone.get(f) for f in down.faults]
        last = max((b for b in back if b is not None), default=None)
        if last is not None and all(back) and last < end:
            begin, right = _span(axis, columns, max(last, down.start), end)
            first = _span(axis, columns, down.start, end)[0]
            _fill(cells, (max(begin, first + 1), right), "▒")
    yield Strip(service.service, "".join(cells), share(service.availability) if service.availability is not None else "")
    yield from (_fault(f, axis, columns) for f in report.faults if f.armed and lane_of(f) == service.service)


def _fault(fault: FaultReport, axis: Axis, columns: int) -> Strip:
    cells = [" "] * columns
    if fault.armed is not None:
        _fill(cells, _span(axis, columns, fault.armed, last_of(fault, axis)), "▓")
    return Strip(f"  {fault.id}", "".join(cells), fault.status if fault.status != "gone" else "")


def _rates(report: Report, axis: Axis, columns: int) -> Iterator[Strip]:
    for plot in [p for p in plots(report) if p.unit == "/s" and not p.stacked][:_RATES]:
        values = plot.series[0].values
        rates = _sampled([(v.start, v.end, v.value or 0.0) for v in values], axis, columns)
        yield Strip(plot.name, "".join(_height(r, plot.highest) for r in rates), f"≤ {plot.highest:.0f}/s")


def _operations(report: Report, axis: Axis, columns: int) -> Iterator[Strip]:
    """The good operations of each workload as a rate, and below them when others failed or stayed unknown."""
    for plot in [p for p in plots(report) if p.stacked]:
        good = {series.kind: series.values for series in plot.series}["ok"]
        rates = _sampled([(v.start, v.end, v.value or 0.0) for v in good], axis, columns)
        name = plot.name.removesuffix(" operations")
        yield Strip(f"{name} ok", "".join(_height(r or None, plot.highest) for r in rates), f"≤ {plot.highest:.0f}/s")
        workload = report.metrics.workloads[name]
        for kind, letter, count in (("failed", "✗", workload.failed), ("unknown", "?", workload.unknown)):
            cells = [" "] * columns
            for point in workload.series:
                if getattr(point, kind):
                    _fill(cells, _span(axis, columns, point.start, point.end), letter)
            if count:
                yield Strip(f"  {kind}", "".join(cells), str(count))


def _sampled(values: Sequence[tuple[datetime, datetime, float]], axis: Axis, columns: int) -> list[float | None]:
    """Per column the value there is at its middle."""
    found: list[float | None] = [None] * columns
    for start, end, value in values:
        begin, right = _span(axis, columns, start, end)
        for index in range(begin, right):
            found[index] = value
    return found


def _height(rate: float | None, highest: float) -> str:
    if rate is None:
        return " "
    return _HEIGHTS[min(int(rate / highest * len(_HEIGHTS)), len(_HEIGHTS) - 1)] if highest > 0 else _HEIGHTS[0]


def _span(axis: Axis, columns: int, start: datetime, end: datetime) -> tuple[int, int]:
    """At least one column, so that nothing is too short to be seen."""
    begin = min(int(axis.x(start)), columns - 1)
    return begin, min(max(round(axis.x(end)), begin + 1), columns)


def _fill(cells: list[str], span: tuple[int, int], letter: str) -> None:
    cells[span[0] : span[1]] = letter * max(span[1] - span[0], 0)
