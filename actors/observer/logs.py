"""Lines of a log, matched for one claim as they are read, and summed up in spans. Pure."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from messages.claims.log import LONGEST_LINE, Looking
from messages.expressions import ExpressionError
from messages.measurements import LogMatched

SPAN, QUIET = timedelta(seconds=1), timedelta(seconds=10)
"""How long a span is in which lines came, and at most one in which none did."""
TICK = timedelta(microseconds=1)
NAMED, SHOWN = 3, 300
"""How many matches a span names, and how many characters of each."""


class LogLines:
    """Cuts what is read into lines; of one that is too long the beginning counts."""

    def __init__(self) -> None:
        self._part = b""
        self.pending = 0
        """Bytes of a line that has not ended."""

    def feed(self, data: bytes) -> list[str]:
        """The lines that have ended now."""
        *whole, part = data.split(b"\n")
        if whole:
            whole[0] = self._part + whole[0]
            self._part, self.pending = b"", 0
        self._part = (self._part + part)[:LONGEST_LINE]
        self.pending += len(part)
        return [line[:LONGEST_LINE].rstrip(b"\r").decode(errors="replace") for line in whole]


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look at the log found."""

    at: datetime
    """When it was read."""
    since: datetime | None = None
    """Set when nobody had read for too long: all of it was written between then and `at`."""
    lost: bool = False
    """What was written between `since` and `at` was not read."""
    lines: int = 0
    matches: tuple[str, ...] = ()
    """The first that matched."""
    count: int = 0
    errors: int = 0
    error: str = ""
    through: int = 0
    """Bytes of the log that were read by then."""


class Matches:
    """Counts the lines of one look that match."""

    def __init__(self, looking: Looking, hide: Callable[[str], str]) -> None:
        self._looking = looking
        self._hide = hide
        self._matches: list[str] = []
        self._lines = self._count = self._errors = 0
        self._error = ""

    def see(self, line: str) -> None:
        """Take in the next line."""
        self._lines += 1
        try:
            found = self._looking(line)
        except (ExpressionError, OverflowError) as error:
            self._errors += 1
            self._error = self._error or self._hide(str(error))[:SHOWN]
            return
        if found:
            self._count += 1
            if len(self._matches) < NAMED:
                self._matches.append(self._hide(line)[:SHOWN])

    def glance(self, at: datetime, since: datetime | None, through: int) -> Glance:
        """What was found."""
        matches = tuple(self._matches)
        return Glance(
            at=at,
            since=since,
            lines=self._lines,
            matches=matches,
            count=self._count,
            errors=self._errors,
            error=self._error,
            through=through,
        )

    def __bool__(self) -> bool:
        """Whether there was any line."""
        return self._lines > 0


class LogSpans:
    """Sums glances up, from an instant on, as far as edges are known; without a hole but where nothing was read."""

    def __init__(self, assertion: str, start: datetime, through: int) -> None:
        self._assertion = assertion
        self._glances: deque[Glance] = deque()
        self._through = through
        self.start = start
        """Nothing earlier is told any more."""

    def add(self, glance: Glance) -> None:
        """Take in the next look that found anything, or lost something. It is placed after what is there, whatever the clock says."""
        last = self._glances[-1] if self._glances else None
        before = max(self.start, last.at) if last is not None else self.start
        at, since = max(glance.at, before), glance.since
        if since is not None:
            since = max(since, before + TICK if last.since is None else before) if last is not None else since
            at = max(at, since + TICK, self.start + TICK)
        self._glances.append(replace(glance, at=at, since=since))

    def through(self, until: datetime, edges: Iterable[datetime]) -> list[LogMatched]:
        """The spans that end at `until` or before, cut at the edges. One that was read late is cut at none."""
        ends = sorted(edge for edge in edges if edge > self.start)
        found: list[LogMatched] = []
        while True:
            late = self._late()
            end = late.at if late is not None else self._end(ends)
            if end > until:
                return found
            if end > self.start and not (late is not None and late.lost):
                found.append(self._take(end, late))
            elif late is not None:
                self._glances.popleft()
            self.start = max(self.start, end)

    def _late(self) -> Glance | None:
        """The next glance, if it is one that was late and everything before it is told."""
        head = self._glances[0] if self._glances else None
        return head if head is not None and head.since is not None and head.since <= self.start else None

    def _end(self, ends: list[datetime]) -> datetime:
        """Where the next span ends: at the next edge, before what was late, or after about a second, later while nothing is written."""
        known = [edge for edge in ends if edge > self.start][:1]
        late = next((glance for glance in self._glances if glance.since is not None), None)
        if late is not None and late.since is not None:
            known.append(late.since)
        head = self._glances[0].at if self._glances and self._glances[0] is not late else None
        quiet = head is None or head >= self.start + SPAN
        longest = self.start + (QUIET if quiet else SPAN)
        return min([longest, *known, *([head] if quiet and head is not None else [])])

    def _take(self, end: datetime, late: Glance | None) -> LogMatched:
        taken = []
        while self._glances and (self._glances[0] is late or (self._glances[0].since is None and self._glances[0].at < end)):
            taken.append(self._glances.popleft())
        matched = [glance for glance in taken if glance.count]
        self._through = max([self._through, *(glance.through for glance in taken)])
        return LogMatched(
            assertion=self._assertion,
            start=self.start,
            end=end,
            lines=sum(glance.lines for glance in taken),
            count=sum(glance.count for glance in taken),
            first=matched[0].at if matched and late is None else None,
            last=matched[-1].at if matched and late is None else None,
            late=late is not None,
            errors=sum(glance.errors for glance in taken),
            error=next((glance.error for glance in taken if glance.error), ""),
            samples=tuple(match for glance in matched for match in glance.matches)[:NAMED],
            through=self._through,
        )
