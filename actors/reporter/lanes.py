"""The lanes of a time line: per service its health, and above it the faults that were on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from actors.reporter.shapes import Axis, Box, Mark
from actors.reporter.telling import what
from actors.reporter.wording import offset, share
from runs.report import Report
from runs.report_effects import AffectedService, Downtime, FaultReport

MOST = 14
"""How many services get a lane; the affected ones first."""
_ROW, _TRACK, _GAP = 18.0, 12.0, 10.0
_LETTER = 6.2
_LABEL = 44
"""The most letters of a label."""
_MOMENTS = ("armed", "injected", "effective", "reverted", "gone")


@dataclass(frozen=True, slots=True)
class FaultBar:
    """A fault: its whole life, the part in which it had its effect, its moments, and where its name stands."""

    life: Box
    effect: Box | None
    moments: tuple[Mark, ...]
    label: str
    label_x: float
    label_y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One service, or one thing that is none and had a fault."""

    name: str
    share: str
    """How much of the time it was healthy."""
    hit: bool
    """A fault was on it, or it was down."""
    hurt: bool
    """It was not healthy all the time."""
    label_y: float
    track: Box | None
    downs: tuple[Box, ...]
    faults: tuple[FaultBar, ...]
    line_y: float
    """Where the lane ends."""


def lanes(report: Report, axis: Axis, top: float, *, inline: bool) -> tuple[tuple[Lane, ...], float, int]:
    """The lanes from `top` down, where they end, and how many services are left out. `inline`: names stand above the lanes."""
    services = list(report.system_impact.services)
    shown = services
    if len(services) > MOST:
        hit = set(report.system_impact.services_affected)
        first = sorted(services, key=lambda s: s.service not in hit)[:MOST]
        shown = [s for s in services if s in first]
    found, y = [], top
    for service in shown:
        lane = _lane(report, service, axis, y + (16 if inline else 0), inline=inline)
        found.append(lane)
        y = lane.line_y + _GAP / 2
    for name in _homeless(report, {s.service for s in services}):
        bars, rows = _bars(report, name, axis, y + (16 if inline else 0))
        line = y + (16 if inline else 0) + rows * _ROW + 2
        found.append(Lane(name, "", hit=True, hurt=False, label_y=y + 11, track=None, downs=(), faults=bars, line_y=line))
        y = line + _GAP / 2
    return tuple(found), y, len(services) - len(shown)


def lane_of(fault: FaultReport) -> str:
    """The lane on which a fault is drawn: the first service that it disturbs, else its own target's."""
    return fault.disturbs[0] if fault.disturbs else fault.target


def _homeless(report: Report, services: set[str]) -> list[str]:
    lanes = [lane_of(f) for f in report.faults if f.requested is not None]
    return list(dict.fromkeys(name for name in lanes if name not in services))[:MOST]


def _lane(report: Report, service: AffectedService, axis: Axis, y: float, *, inline: bool) -> Lane:
    bars, rows = _bars(report, service.service, axis, y)
    track_y = y + rows * _ROW + (2 if rows else 0)
    impact, known = report.system_impact, service.availability is not None
    track, told_share = None, share(service.availability) if service.availability is not None else ""
    if impact.observed_from and impact.observed_until:
        x, right = axis.x(impact.observed_from), axis.x(impact.observed_until)
        told = f"healthy {service.availability:.2%} of the time" if known else "no health samples"
        track = Box(x, track_y, max(right - x, 1), _TRACK, "up" if known else "unknown", f"{service.service}: {told}")
    downs = tuple(_downs(report, service, axis, track_y))
    label_y = y - 5 if inline else track_y + _TRACK - 2
    hit = bool(service.faults or service.downtimes or bars)
    return Lane(service.service, told_share, hit, bool(service.downtimes), label_y, track, downs, bars, track_y + _TRACK + _GAP / 2)


def _downs(report: Report, service: AffectedService, axis: Axis, y: float) -> Iterator[Box]:
    """Down and recovering; what lies closer together than half a pixel is one."""
    until, last = report.system_impact.observed_until or axis.end, -1.0
    undone = {f.id: f.reverted for f in report.faults}
    for down in service.downtimes:
        x, right = axis.x(down.start), axis.x(down.end or until)
        if right - last < 0.5:
            continue
        last = max(right, x + 1)
        title = f"{service.service} down for {down.duration.text} (±{down.error_bound.text}){': ' + down.error if down.error else ''}"
        yield Box(x=x, y=y, w=max(right - x, 1.5), h=_TRACK, kind="down", title=title)
        back = _back(down, [undone.get(f) for f in down.faults])
        if back is not None and axis.x(back) < right:
            start = max(axis.x(back), x)
            yield Box(
                x=start, y=y, w=right - start, h=_TRACK, kind="recovering", title=f"{service.service} recovering, its fault is undone"
            )


def _back(down: Downtime, undone: Sequence[datetime | None]) -> datetime | None:
    return max((u for u in undone if u is not None), default=None) if all(undone) and undone and down.duration.seconds > 0 else None


def _bars(report: Report, service: str, axis: Axis, y: float) -> tuple[tuple[FaultBar, ...], int]:
    """A bar per fault; what overlaps goes into rows of its own."""
    ends: list[float] = []
    bars = []
    for fault in report.faults:
        begun = fault.armed or fault.requested
        if lane_of(fault) != service or begun is None:
            continue
        x, right = axis.x(begun), max(axis.x(last_of(fault, axis)), axis.x(begun) + 3)
        label = _label(fault)
        wide = len(label) * _LETTER
        outside = right + 8 + wide <= axis.right
        reach = right + 8 + wide if outside else right
        row = next((i for i, end in enumerate(ends) if end <= x), len(ends))
        ends[row:] = [reach, *ends[row + 1 :]]
        bars.append(_bar(fault, axis, y + row * _ROW, x, right, outside=outside))
    return tuple(bars), len(ends)


def _label(fault: FaultReport) -> str:
    """Its name; of a fault that is not on a service also what it is."""
    if fault.kind == "service" and not fault.parameters:
        return fault.id
    told = " ".join(fault.parameters.values())
    on = fault.target if fault.target != lane_of(fault) else fault.id
    return f"{on}: {fault.action.replace('_', ' ')}{' ' + told if told else ''}"[:_LABEL]


def _bar(fault: FaultReport, axis: Axis, y: float, x: float, right: float, *, outside: bool) -> FaultBar:
    title = f"{fault.id}: {what(fault)}, {fault.status}"
    effect = None
    if fault.injected is not None:
        start = axis.x(fault.effective or fault.injected)
        stop = max(axis.x(fault.reverted or last_of(fault, axis)), start + 2)
        effect = Box(x=start, y=y + 2, w=stop - start, h=10, kind="bad" if fault.error else "effect", title=title)
    moments = tuple(_moments(fault, axis, y + 7))
    label_x, anchor = _label_at(x, right, len(_label(fault)) * _LETTER, axis, outside=outside)
    kind = "life" if fault.rehearsed is None else "life rehearsed"
    return FaultBar(Box(x, y, right - x, 14, kind, title), effect, moments, _label(fault), label_x, y + 11, anchor)


def _label_at(x: float, right: float, wide: float, axis: Axis, *, outside: bool) -> tuple[float, str]:
    """Behind the bar, else before it, else on it."""
    if outside:
        return right + 8, "start"
    return (x - 6, "end") if x - 6 - wide >= axis.left else (min(x + 12, axis.right - wide), "start")


def _moments(fault: FaultReport, axis: Axis, y: float) -> Iterator[Mark]:
    moments = dict(zip(_MOMENTS, (fault.armed, fault.injected, fault.effective, fault.reverted, fault.gone), strict=True))
    for name, instant in moments.items():
        if instant is not None:
            at = offset((instant - axis.start).total_seconds())
            yield Mark(axis.x(instant), y, name, f"{at} {fault.id} {name}")


def last_of(fault: FaultReport, axis: Axis) -> datetime:
    """Until when a fault was there, as far as is known; of a rehearsed one, would have been."""
    if fault.rehearsed is not None:
        return fault.rehearsal_ended or axis.end
    if fault.gone is not None or fault.status in {"refused", "failed", "expired"}:
        return fault.gone or fault.requested or axis.start
    return fault.reverted or axis.end
