"""The time line of a run as shapes: pure geometry, no markup. Drawn once for wide pages and once for narrow ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.reporter.chart import Chart, charts
from actors.reporter.lanes import Lane, lanes
from actors.reporter.shapes import Axis, Box, Mark
from actors.reporter.wording import offset, tick
from runs.report import Report

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 2592000)
_LETTER = 6.0
"""Pixels of a letter of a label."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the time axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All shapes of one time line."""

    name: str
    width: float
    height: float
    left: float
    top: float
    bottom: float
    stages: tuple[Box, ...]
    lanes: tuple[Lane, ...]
    judged: tuple[Mark, ...]
    judged_y: float
    charts: tuple[Chart, ...]
    ticks: tuple[Tick, ...]
    more: int
    """Services that are left out."""


def draw(report: Report, name: str, *, width: float, gutter: float) -> Drawing | None:
    """The time line; None of a run that never came to a stage."""
    start = report.execution.start
    end = report.execution.end or report.journal.last
    if start is None or end is None or end <= start or not any(phase.start for phase in report.execution.phases):
        return None
    axis = Axis(start, end, gutter, width - 8)
    top = 30.0
    rows, y, more = lanes(report, axis, top + 12, inline=gutter < 40)
    judged_y = y + (22 if gutter < 40 else 10)
    plots, bottom = charts(report, axis, judged_y + 26, inline=gutter < 40)
    return Drawing(
        name=name,
        width=width,
        height=bottom + 26,
        left=axis.left,
        top=top,
        bottom=bottom,
        stages=tuple(_stages(report, axis, end)),
        lanes=rows,
        judged=tuple(_judged(report, axis, judged_y)),
        judged_y=judged_y,
        charts=plots,
        ticks=tuple(_ticks(axis, 10 if gutter >= 40 else 5)),
        more=more,
    )


def _stages(report: Report, axis: Axis, end: datetime) -> Iterator[Box]:
    shade = 0
    for phase in report.execution.phases:
        if phase.start is None:
            continue
        x, right = axis.x(phase.start), axis.x(phase.end or end)
        kind = phase.kind
        if phase.kind == "phase":
            shade += 1
        title = f"{phase.phase_name}: {phase.duration.text if phase.duration else 'not over'}{', cut short' if phase.cut else ''}"
        css = f"{kind} {'odd' if shade % 2 else 'even'}{' cut' if phase.cut else ''}"
        yield Box(x=x, y=4, w=max(right - x, 1), h=22, kind=css, title=title, label=_fitting(phase.phase_name, right - x))


def _fitting(text: str, width: float) -> str:
    letters = int((width - 4) / _LETTER)
    if letters >= len(text):
        return text
    return text[: letters - 1] + "…" if letters >= 4 else ""


def _judged(report: Report, axis: Axis, y: float) -> Iterator[Mark]:
    for detail in report.validation_results.assertion_details:
        if detail.timestamp is not None:
            at = offset((detail.timestamp - axis.start).total_seconds())
            yield Mark(x=axis.x(detail.timestamp), y=y, kind=detail.outcome, title=f"{at} {detail.id}: {detail.outcome}")


def _ticks(axis: Axis, most: int) -> Iterator[Tick]:
    total = (axis.end - axis.start).total_seconds()
    step = next((s for s in _STEPS if total / s <= most), _STEPS[-1])
    for index in range(int(total / step) + 1):
        x = axis.x(axis.start + timedelta(seconds=index * step))
        if x < axis.right - 14 or index == 0:
            yield Tick(x=x, label=tick(index * step, step))


def both(report: Report) -> Sequence[Drawing]:
    """The wide and the narrow one; none of a run that never came to a stage."""
    found = (draw(report, "wide", width=1080, gutter=172), draw(report, "narrow", width=358, gutter=4))
    return [drawing for drawing in found if drawing is not None]
