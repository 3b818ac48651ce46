"""The shapes that a time line is made of."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Axis:
    """Time from left to right."""

    start: datetime
    end: datetime
    left: float
    right: float

    def x(self, instant: datetime) -> float:
        """Where an instant is; what lies outside is at the edge."""
        share = (instant - self.start) / (self.end - self.start)
        return round(self.left + min(max(share, 0.0), 1.0) * (self.right - self.left), 2)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of one kind, with a tooltip and perhaps a label."""

    x: float
    y: float
    w: float
    h: float
    kind: str
    title: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of one kind, with a tooltip, what it leads to on the page, and its sign if it is not that of its kind."""

    x: float
    y: float
    kind: str
    title: str
    leads_to: str = ""
    sign: str = ""
