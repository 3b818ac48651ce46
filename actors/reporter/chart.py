"""Service events per second over the time axis: one chart of all, and a small one for each of the most frequent types."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from actors.reporter.shapes import Axis, Box
from actors.reporter.wording import figure, offset
from runs.report import Report
from runs.report_effects import RatePoint

MOST = 5
"""How many types get a chart of their own."""
_BREAK = timedelta(seconds=1.5)
_BIG, _SMALL = 96.0, 26.0


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line at a value."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One area over time, its lines, and a tooltip for each point."""

    kind: str
    name: str
    note: str
    label_y: float
    base_y: float
    area: str
    """The path of the area (SVG 1.1 §8.3)."""
    line: str
    levels: tuple[Level, ...]
    points: tuple[Box, ...]


def charts(report: Report, axis: Axis, top: float, *, inline: bool) -> tuple[tuple[Chart, ...], float]:
    """The charts from `top` down, and where they end."""
    events = report.metrics.service_events
    if not events.series:
        return (), top - 8
    y = top + (24 if inline else 0)
    found = [_chart(axis, events.series, y, None)]
    y += _BIG
    named = list(events.by_type)[:MOST] if len(events.by_type) > 1 else []
    for name in named:
        y += 26 if inline else 12
        found.append(_chart(axis, events.series, y, name, inline=inline))
        y += _SMALL
    return tuple(found), y


def _chart(axis: Axis, series: Sequence[RatePoint], top: float, name: str | None, *, inline: bool = False) -> Chart:
    height = _BIG if name is None else _SMALL
    rates = [_rate(point, name) for point in series]
    highest = max(rates)
    ceiling = _ceiling(highest)
    base = top + height

    def y(rate: float) -> float:
        return round(base - rate / ceiling * height, 2)

    area, line = _paths(axis, series, [y(r) for r in rates], base)
    points = tuple(_points(axis, series, rates, top, height)) if name is None else ()
    total = sum(point.total if name is None else point.types.get(name, 0) for point in series)
    return Chart(
        kind="all" if name is None else "type",
        name=name or "service events",
        note=f"{figure(total)}, at most {figure(highest)}/s",
        label_y=top - 5 if inline else base - 10,
        base_y=base,
        area=area,
        line=line,
        levels=tuple(Level(y(v), f"{figure(v)}/s") for v in (ceiling / 2, ceiling)) if name is None else (),
        points=points,
    )


def _rate(point: RatePoint, name: str | None) -> float:
    seconds = (point.end - point.start).total_seconds()
    count = point.total if name is None else point.types.get(name, 0)
    return count / seconds if seconds > 0 else 0.0


def _ceiling(highest: float) -> float:
    """The next round number above."""
    size = 1.0
    while size < highest:
        size *= 10
    return next((size * part for part in (0.1, 0.2, 0.4, 0.5, 0.8, 1) if size * part >= highest), size) or 1.0


def _paths(axis: Axis, series: Sequence[RatePoint], heights: Sequence[float], base: float) -> tuple[str, str]:
    """The area and its upper line; a break where nothing was counted."""
    area, line = [], []
    previous = None
    for point, y in zip(series, heights, strict=True):
        x, right = axis.x(point.start), axis.x(point.end)
        if previous is None or point.start - previous.end > _BREAK:
            if previous is not None:
                area.append(f"V{base}Z")
            area.append(f"M{x} {base}V{y}H{right}")
            line.append(f"M{x} {y}H{right}")
        else:
            area.append(f"H{x}V{y}H{right}")
            line.append(f"H{x}V{y}H{right}")
        previous = point
    return "".join([*area, f"V{base}Z"]), "".join(line)


def _points(axis: Axis, series: Sequence[RatePoint], rates: Sequence[float], top: float, height: float) -> Iterator[Box]:
    for point, rate in zip(series, rates, strict=True):
        x, right = axis.x(point.start), axis.x(point.end)
        at = offset((point.start - axis.start).total_seconds())
        most = sorted(point.types.items(), key=lambda item: (-item[1], item[0]))[:6]
        title = f"{at} {figure(rate)}/s" + "".join(f"\n{name}: {figure(count)}" for name, count in most)
        yield Box(x=x, y=top, w=max(right - x, 0.5), h=height, kind="point", title=title)
