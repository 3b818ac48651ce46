"""What a workload says on its standard output: lines as operations, summed up. Pure."""

import json
from bisect import insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Literal, cast

from messages.histogram import Histogram
from messages.observations import OperationsSeen
from messages.successes import Successes

LONGEST = 16 * 1024
"""Bytes that a line may have."""
NAMED = 10
SPAN = timedelta(seconds=1)
Outcome = Literal["ok", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One line. Without an outcome it is no operation."""

    outcome: Outcome | None
    id: str = ""
    took: timedelta | None = None
    ended: datetime | None = None
    """By the workload's clock, if it says so."""


@dataclass(order=True, slots=True)
class _Placed:
    at: datetime
    begin: int
    operation: Operation = field(compare=False)


class Lines:
    """Cuts what is read into lines; one that is too long is none."""

    def __init__(self) -> None:
        self._part = b""
        self._skipping = False

    @property
    def pending(self) -> int:
        """Bytes of a line that is not over."""
        return len(self._part)

    def feed(self, data: bytes) -> list[tuple[bytes, int]]:
        """The lines that are over now, and how many bytes of what was fed each ends; a line that was too long is an empty one."""
        *whole, part = (self._part + data).split(b"\n")
        found = [(line if len(line) <= LONGEST else b"", len(line) + 1) for line in whole]
        if found and self._skipping:
            found[0], self._skipping = (b"", found[0][1]), False
        if self._skipping or len(part) > LONGEST:
            part, self._skipping = b"", True
        self._part = part
        return found


def operation_of(line: bytes) -> Operation:
    """The operation that a line says: `{"op", "id", "outcome", "took", "ended"}`, the last three as far as they are known."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return Operation(None)
    outcome = said.get("outcome") if isinstance(said, dict) else None
    if not isinstance(outcome, str) or outcome not in {"ok", "failed", "unknown"}:
        return Operation(None)
    name = said.get("id", "")
    seconds = _number(said.get("took"))
    took = timedelta(seconds=seconds) if seconds is not None and 0 <= seconds < timedelta.max.total_seconds() else None
    return Operation(cast("Outcome", outcome), str(name)[:80] if isinstance(name, str | int) else "", took, _instant(said.get("ended")))


class Operations:
    """Places operations in time, and sums them up as far as edges are known."""

    def __init__(self, workload: str, start: datetime) -> None:
        self._workload = workload
        self._placed: list[_Placed] = []
        self.start = start
        """Nothing earlier is told any more."""

    def add(self, at: datetime, begin: int, operation: Operation) -> None:
        """Take in an operation that ended at this instant, and counts at `start` if that is later; its line begins at this byte."""
        insort(self._placed, _Placed(at, begin, operation))

    def through(self, until: datetime, edges: Iterable[datetime], read: int) -> list[OperationsSeen]:
        """The summaries that end at `until` or before, cut at the edges; `read` bytes of the output are placed. Silence is left out."""
        ends, found = sorted(edge for edge in edges if edge > self.start), []
        while self._placed:
            start = max(self.start, self._placed[0].at)
            end = min([start + SPAN, *(edge for edge in ends if edge > start)][:2])
            if end > until:
                break
            found.append(self._take(start, end, read))
        return found

    def _take(self, start: datetime, end: datetime, read: int) -> OperationsSeen:
        count = next((index for index, placed in enumerate(self._placed) if placed.at >= end), len(self._placed))
        taken, self._placed = self._placed[:count], self._placed[count:]
        self.start = end
        outcomes = Counter(placed.operation.outcome for placed in taken)
        latencies = [p.operation.took for p in taken if p.operation.outcome == "ok" and p.operation.took is not None]
        wrong = (p.operation.id for p in taken if p.operation.outcome in {"failed", "unknown"} and p.operation.id)
        return OperationsSeen(
            workload=self._workload,
            start=start,
            end=end,
            ok=outcomes["ok"],
            failed=outcomes["failed"],
            unknown=outcomes["unknown"],
            latency=Histogram.of(latencies) if latencies else None,
            unreadable=outcomes[None],
            samples=tuple(name for name, _ in zip(wrong, range(NAMED), strict=False)),
            through=min((placed.begin for placed in self._placed), default=read),
            successes=Successes.of(start, (max(placed.at, start) for placed in taken if placed.operation.outcome == "ok")),
        )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) else None


def _instant(value: Any) -> datetime | None:
    """Seconds since 1970, or text as ISO 8601 has it, with its zone."""
    seconds = _number(value)
    try:
        if seconds is not None:
            return datetime.fromtimestamp(seconds, UTC)
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return instant if instant is not None and instant.tzinfo is not None else None
