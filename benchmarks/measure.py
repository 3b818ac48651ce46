"""A figure: the median of some trials, with the spread, its limit and what another program needs for the same."""

import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    name: str
    value: float
    unit: str
    spread: tuple[float, float]
    """The least and the greatest of the trials."""
    limit: str | None = None
    """What it must be, like `<= 15`."""
    peer: str | None = None
    """Another program that did the same work on this machine in this run, and its figure."""
    ratio: float | None = None
    """How many times better than the peer; below 1 is worse."""
    note: str | None = None
    """What else must be known to read it, in one line."""

    @property
    def met(self) -> bool:
        """Whether it is within its limit, if it has one."""
        if self.limit is None:
            return True
        sign, number = self.limit.split()
        return self.value <= float(number) if sign == "<=" else self.value >= float(number)

    def beside(self, peer: "Figure | None", who: str, *, less_is_better: bool) -> "Figure":
        """The figure with its peer's; as it is when there is none."""
        if peer is None or not peer.value or not self.value:
            return self
        ratio = peer.value / self.value if less_is_better else self.value / peer.value
        return replace(self, peer=f"{who}: {peer.value:g} {peer.unit}", ratio=round(ratio, 2))

    def as_json(self) -> dict[str, object]:
        """A row for programs."""
        return {**asdict(self), "spread": list(self.spread)}

    @classmethod
    def read(cls, row: dict[str, object]) -> "Figure":
        """A row that `as_json` made."""
        known = {**row, "spread": tuple(row["spread"])}  # type: ignore[arg-type]
        return cls(**known)  # type: ignore[arg-type]


def figure(name: str, unit: str, trials: Sequence[float], limit: str | None = None) -> Figure:
    """The median of the trials."""
    return Figure(name, round(statistics.median(trials), 3), unit, (round(min(trials), 3), round(max(trials), 3)), limit)


def of_samples(name: str, unit: str, samples: Sequence[float], limit: str, note: str | None = None) -> list[Figure]:
    """The median and the 99th percentile of what was measured in all trials; limit and note are the percentile's."""
    spread = round(min(samples), 3), round(max(samples), 3)
    p50, p99 = round(statistics.median(samples), 3), round(percentile(samples, 99), 3)
    return [Figure(f"{name}_p50", p50, unit, spread), Figure(f"{name}_p99", p99, unit, spread, limit, note=note)]


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid: int) -> float:
    """The most memory that a process has held, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
