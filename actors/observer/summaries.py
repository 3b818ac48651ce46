"""A probe's ticks, cut into summaries of about a second with no hole between them. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from messages.histogram import Histogram
from messages.observations import ProbeSummary
from messages.successes import Successes

SPAN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Sampled:
    """One tick on the server's clock."""

    at: datetime
    """Its intended start."""
    ok: bool
    missed: bool
    took: timedelta
    latency: timedelta | None = None
    """What it counts as, where latency is kept."""


class Summaries:
    """Collects the ticks of one probe from an instant on, in order, and sums them up."""

    def __init__(self, probe: str, start: datetime, every: timedelta = timedelta()) -> None:
        self._probe = probe
        self._span = max(SPAN, every)
        self._ticks: deque[Sampled] = deque()
        self._cuts: deque[tuple[datetime, datetime]] = deque()
        self._good: list[datetime] | None = None
        """When good answers came that no summary has told yet, where latency is kept."""
        self.start = start
        """Where the next summary starts."""

    def add(self, tick: Sampled) -> None:
        """Take in the next tick."""
        self._ticks.append(tick)

    def leave_out(self, start: datetime, end: datetime) -> None:
        """Nothing was sent in this span: no summary may cover it."""
        self._cuts.append((start, end))

    def through(self, until: datetime, edges: Iterable[datetime], *, rest: bool = False) -> list[ProbeSummary]:
        """The summaries that end at `until` or before, cut at the edges; with `rest` the last one is as short as it must be."""
        ends = deque(sorted({*(edge for edge in edges if edge > self.start), *(start for start, _ in self._cuts)}))
        found = []
        while True:
            self._skip()
            while ends and ends[0] <= self.start:
                ends.popleft()
            end = min([self.start + self._span, *islice(ends, 1)])
            if end > until:
                break
            found.append(self._take(end))
        if rest and self.start < until:
            found.append(self._take(until))
        return found

    def _skip(self) -> None:
        while self._cuts and self._cuts[0][0] <= self.start:
            _, end = self._cuts.popleft()
            while self._ticks and self._ticks[0].at < end:
                self._ticks.popleft()
            self.start = max(self.start, end)

    def _take(self, end: datetime) -> ProbeSummary:
        ticks = []
        while self._ticks and self._ticks[0].at < end:
            ticks.append(self._ticks.popleft())
        ok, latencies = sum(tick.ok for tick in ticks), [tick.latency for tick in ticks if tick.latency is not None]
        summary = ProbeSummary(
            probe=self._probe,
            start=self.start,
            end=end,
            count=len(ticks),
            ok=ok,
            failed=len(ticks) - ok,
            missed=sum(tick.missed for tick in ticks),
            slowest=max((tick.took for tick in ticks), default=timedelta()),
            latency=Histogram.of(latencies) if latencies else None,
            successes=self._successes(ticks, end),
        )
        self.start = end
        return summary

    def _successes(self, ticks: Iterable[Sampled], end: datetime) -> Successes | None:
        """An answer counts when it came: one that came after the end is told by a later summary."""
        timed = [tick for tick in ticks if tick.latency is not None]
        if self._good is None and not timed:
            return None
        good = [*(self._good or ()), *(tick.at + tick.took for tick in timed if tick.ok)]
        self._good = [instant for instant in good if instant >= end]
        return Successes.of(self.start, (instant for instant in good if self.start <= instant < end))
