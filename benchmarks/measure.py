"""A figure: the median of some trials, with the spread."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    name: str
    value: float
    unit: str
    spread: tuple[float, float]
    """The least and the greatest of the trials."""
    limit: float | None = None
    peer: str | None = None
    ratio: float | None = None

    def line(self) -> str:
        """A row for people."""
        low, high = self.spread
        return f"{self.name:<28} {self.value:>9.1f} {self.unit:<7} ({low:.1f} to {high:.1f})"

    def as_json(self) -> dict[str, object]:
        """A row for programs."""
        spread = list(self.spread)
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "spread": spread,
            "limit": self.limit,
            "peer": self.peer,
            "ratio": self.ratio,
        }


def figure(name: str, unit: str, trials: list[float]) -> Figure:
    """The median of the trials."""
    return Figure(name, round(statistics.median(trials), 3), unit, (round(min(trials), 3), round(max(trials), 3)))


def percentile(values: list[float], percent: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
