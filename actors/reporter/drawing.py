"""The time line of a run as shapes: pure geometry, no markup. Drawn once for wide pages and once for narrow ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.reporter.chart import Chart
from actors.reporter.lanes import Lane, lanes, last_of
from actors.reporter.plots import Plot, charts, plots, rare
from actors.reporter.shapes import Axis, Box, Mark
from actors.reporter.standing import SIGNS, asked, did, owned, paused, sign
from actors.reporter.wording import offset, tick
from runs.report import Report

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 2592000)
_LETTER = 6.0
"""Pixels of a letter of a label."""
SHADES = 60
"""How many faults are shaded through the charts."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the time axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Row:
    """Marks beside each other, under a name."""

    name: str
    y: float
    """Their middle."""
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """All shapes of one time line."""

    name: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    stages: tuple[Box, ...]
    shades: tuple[Box, ...]
    """Faults, from armed to gone, through everything."""
    stills: tuple[Box, ...]
    """Where the run stood still: pauses, holds and gates."""
    lanes: tuple[Lane, ...]
    rows: tuple[Row, ...]
    charts: tuple[Chart, ...]
    ticks: tuple[Tick, ...]
    more: int
    """Services that are left out."""

    @property
    def wide(self) -> bool:
        """Names stand beside the lanes, not above them."""
        return self.name == "wide"


def axis_of(report: Report, left: float, right: float) -> Axis | None:
    """The time from the run's start to its end; None of a run that never came to a stage."""
    start = report.execution.start
    end = report.execution.end or report.journal.last
    if start is None or end is None or end <= start or not any(phase.start for phase in report.execution.phases):
        return None
    return Axis(start, end, left, right)


def draw(report: Report, name: str, found: Sequence[Plot], axis: Axis, *, width: float) -> Drawing:
    """The time line."""
    inline = name != "wide"
    top = 30.0
    drawn, y, more = lanes(report, axis, top + 10, inline=inline)
    rows = tuple(_rows(report, axis, y, inline=inline))
    plotted, bottom = charts(found, axis, rows[-1].y + 10 if rows else y, inline=inline)
    return Drawing(
        name=name,
        width=width,
        height=bottom + 24,
        left=axis.left,
        right=axis.right,
        top=top,
        bottom=bottom,
        stages=tuple(_stages(report, axis)),
        shades=tuple(_shades(report, axis)),
        stills=tuple(_stills(report, axis)),
        lanes=drawn,
        rows=rows,
        charts=plotted,
        ticks=tuple(_ticks(axis, 5 if inline else 10)),
        more=more,
    )


def _stages(report: Report, axis: Axis) -> Iterator[Box]:
    shade = 0
    for phase in report.execution.phases:
        if phase.start is None:
            continue
        x, right = axis.x(phase.start), axis.x(phase.end or axis.end)
        if phase.kind == "phase":
            shade += 1
        title = f"{phase.phase_name}: {phase.duration.text if phase.duration else 'not over'}{', cut short' if phase.cut else ''}"
        css = f"{phase.kind} {'odd' if shade % 2 else 'even'}{' cut' if phase.cut else ''}"
        yield Box(x=x, y=4, w=max(right - x, 1), h=22, kind=css, title=title, label=_fitting(phase.phase_name, right - x))


def _fitting(text: str, width: float) -> str:
    letters = int((width - 3) / _LETTER)
    if letters >= len(text):
        return text
    return text[: letters - 1] + "…" if letters >= 4 else ""


def _shades(report: Report, axis: Axis) -> Iterator[Box]:
    for fault in [f for f in report.faults if f.armed is not None][:SHADES]:
        begun: datetime = fault.armed or axis.start
        x, right = axis.x(begun), axis.x(last_of(fault, axis))
        yield Box(x=x, y=26, w=max(right - x, 1), h=0, kind="shade", title=fault.id)


def _stills(report: Report, axis: Axis) -> Iterator[Box]:
    """A pause is a ribbon under the name of its stage; a gate stands between two, with its answer."""
    for pause in report.pauses:
        x, right = axis.x(pause.start), axis.x(pause.end or axis.end)
        yield Box(x=x, y=21, w=max(right - x, 2), h=5, kind="paused", title=paused(pause))
    for gate in report.gates:
        x, right = axis.x(gate.opened), axis.x(gate.closed or axis.end)
        told = [f"{sign(gate)} {gate.by}", sign(gate)] if gate.closed else ["?"]
        fits = next((text for text in told if len(text) * _LETTER + 3 <= right - x), "")
        yield Box(x=x, y=4, w=max(right - x, 2), h=22, kind="gate", title=asked(gate), label=fits)


def _people(report: Report, axis: Axis, y: float) -> Iterator[Mark]:
    for entry in report.control:
        if entry.asked != "submit":
            at = offset((entry.timestamp - axis.start).total_seconds())
            told = f"{at} {entry.principal} {did(entry)}{f': {entry.note}' if entry.note else ''}"
            yield Mark(axis.x(entry.timestamp), y, "person", told, "people", SIGNS.get(entry.asked, "·"))


def _hosts(report: Report, axis: Axis, y: float) -> Iterator[Mark]:
    for change in report.owners:
        at = offset((change.timestamp - axis.start).total_seconds())
        yield Mark(axis.x(change.timestamp), y, "rare", f"{at} {owned(change)}")


def _judged(report: Report, axis: Axis, y: float) -> Iterator[Mark]:
    for detail in report.validation_results.assertion_details:
        if detail.timestamp is not None:
            at = offset((detail.timestamp - axis.start).total_seconds())
            yield Mark(axis.x(detail.timestamp), y, detail.outcome, f"{at} {detail.id}: {detail.outcome}", f"a-{detail.id}")


def _odd(report: Report, axis: Axis, y: float) -> Iterator[Mark]:
    last = -9.0
    for odd in sorted((u for u in report.validation_results.unexpected_behaviors if u.timestamp), key=lambda u: u.timestamp or axis.start):
        x = axis.x(odd.timestamp or axis.start)
        if x - last >= 4:
            last = x
            at = offset(((odd.timestamp or axis.start) - axis.start).total_seconds())
            yield Mark(x, y, "odd", f"{at} {odd.kind}: {odd.text}", "unexpected")


def _rare(report: Report, axis: Axis, y: float) -> Iterator[Mark]:
    names = set(rare(report))
    for point in report.metrics.service_events.series:
        found = {name: count for name, count in point.types.items() if name in names}
        if found:
            at = offset((point.start - axis.start).total_seconds())
            told = ", ".join(f"{name}{f' ({count})' if count > 1 else ''}" for name, count in found.items())
            yield Mark(axis.x(point.start + (point.end - point.start) / 2), y, "rare", f"{at} {told}")


def _rows(report: Report, axis: Axis, y: float, *, inline: bool) -> Iterator[Row]:
    """What people asked, which hosts took over, judgements, what should not be, and service events of types that came seldom."""
    found = (("people", _people), ("hosts", _hosts), ("judged", _judged), ("unexpected", _odd), ("rare events", _rare))
    for name, marks in found:
        y += 32 if inline else 17
        row = Row(name, y, tuple(marks(report, axis, y)))
        if row.marks:
            yield row
        else:
            y -= 32 if inline else 17


def _ticks(axis: Axis, most: int) -> Iterator[Tick]:
    total = (axis.end - axis.start).total_seconds()
    step = next((s for s in _STEPS if total / s <= most), _STEPS[-1])
    for index in range(int(total / step) + 1):
        x = axis.x(axis.start + timedelta(seconds=index * step))
        if x < axis.right - 14 or index == 0:
            yield Tick(x=x, label=tick(index * step, step))


def both(report: Report) -> list[Drawing]:
    """The wide and the narrow one; none of a run that never came to a stage."""
    wide, narrow = axis_of(report, 168, 1030), axis_of(report, 4, 350)
    if wide is None or narrow is None:
        return []
    found = plots(report)
    return [draw(report, "wide", found, wide, width=1080), draw(report, "narrow", found, narrow, width=358)]
