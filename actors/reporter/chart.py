"""One chart over the time axis: areas and lines as steps, since every point is the count or the worst of a span of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.reporter.shapes import Axis

_BREAK = timedelta(seconds=1.5)


@dataclass(frozen=True, slots=True)
class Value:
    """A value over a span of time. None: nothing was measured."""

    start: datetime
    end: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line at a value."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One series as shapes."""

    kind: str
    """Its colour: rate, p50, p99, ok, failed, unknown."""
    area: str
    """The path of its area (SVG 1.1 §8.3), down to the base; empty for a line alone."""
    line: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Some curves on one scale."""

    name: str
    note: str
    top: float
    height: float
    levels: tuple[Level, ...]
    curves: tuple[Curve, ...]
    ticks: tuple[tuple[float, float, str], ...] = ()
    """Where something failed: x, width and what."""

    @property
    def base(self) -> float:
        """Where its zero is."""
        return self.top + self.height


@dataclass(frozen=True, slots=True)
class Series:
    """What a curve shows."""

    kind: str
    values: Sequence[Value]
    area: bool = True


def ceiling(highest: float) -> float:
    """The next round number above."""
    if highest <= 0:
        return 1.0
    size = 1e-6
    while size < highest:
        size *= 10
    return next(size * part for part in (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1) if size * part >= highest * 0.999)


def curve(axis: Axis, series: Series, base: float, height: float, scale: float) -> Curve:
    """The series as steps; a break where nothing was measured."""
    area, line = [], []
    previous: Value | None = None
    for one in series.values:
        if one.value is None:
            continue
        x, right = _number(axis.x(one.start)), _number(axis.x(one.end))
        y = _number(base - min(one.value / scale, 1.0) * height)
        if previous is None or one.start - previous.end > _BREAK:
            if previous is not None:
                area.append(f"V{_number(base)}Z")
            area.append(f"M{x} {_number(base)}V{y}H{right}")
            line.append(f"M{x} {y}H{right}")
        else:
            area.append(f"H{x}V{y}H{right}")
            line.append(f"H{x}V{y}H{right}")
        previous = one
    closed = "".join([*area, f"V{_number(base)}Z"]) if area and series.area else ""
    return Curve(series.kind, closed, "".join(line))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
