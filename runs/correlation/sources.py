"""One source of events: what it repeats, leaves out or tells in the wrong order, how its clock goes, and when it is silent. Pure."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from messages.claims import ServiceEvent

REMEMBERED = 200_000
"""How many of its newest ids are known again; one that comes again after that is not."""
NUMBERS = 10_000
"""Numbers left out that are looked out for, should they still come."""
ENOUGH = 5
"""Events before the first fault that say how long a source is usually silent."""
TIMES = 3
"""So many times its longest usual silence is out of the ordinary, and never less than a second."""
LEAST = timedelta(seconds=1)


class Source:
    """A fold of one source's events, in the order in which they were stored."""

    def __init__(self) -> None:
        self.seconds: array[float] = array("d")
        self.duplicates: list[datetime] = []
        self.reordered: list[datetime] = []
        self.missing: dict[int, datetime] = {}
        """Each number that was left out, and when that was seen."""
        self.offsets: list[tuple[datetime, timedelta]] = []
        """When its smallest offset, second by second, was seen, and what it was."""
        self._ids: dict[str, None] = {}
        self._time = ""
        self._number: int | None = None

    def see(self, event: ServiceEvent, attributes: Mapping[str, Any]) -> bool:
        """Take in the next event; whether it is new."""
        if event.id in self._ids:
            self.duplicates.append(event.at)
            return False
        self._ids[event.id] = None
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]
        in_order(self.seconds, event.at.timestamp())
        older = self._is_older(attributes.get("time"), event.at)
        if self._is_late(attributes.get("sequence"), event.at) or older:
            self.reordered.append(event.at)
        return True

    @property
    def events(self) -> int:
        """How many there were, each once."""
        return len(self.seconds)

    def count(self, start: datetime, end: datetime) -> int:
        """How many came in [start, end)."""
        return bisect_left(self.seconds, end.timestamp()) - bisect_left(self.seconds, start.timestamp())

    def offset(self, start: datetime, end: datetime) -> timedelta | None:
        """The smallest time from an event's own `time` to its stored time in [start, end); None if none said it."""
        return min((offset for at, offset in self.offsets if start <= at < end), default=None)

    def usual(self, start: datetime, end: datetime) -> timedelta | None:
        """The longest silence that is usual for it, learnt in [start, end); None if it told too little."""
        seconds = self.seconds[bisect_left(self.seconds, start.timestamp()) : bisect_left(self.seconds, end.timestamp())]
        if len(seconds) < ENOUGH:
            return None
        longest = max(after - before for before, after in pairwise(seconds))
        return max(LEAST, TIMES * timedelta(seconds=longest))

    def silences(self, usual: timedelta, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime | None]]:
        """When it was silent for longer than that: from an event to the next, which comes after `start`, or has not come until `end`."""
        first, last = bisect_left(self.seconds, start.timestamp()), bisect_left(self.seconds, end.timestamp())
        before = self.seconds[first - 1] if first else start.timestamp()
        for after in self.seconds[first:last]:
            if after - before > usual.total_seconds():
                yield _instant(before), _instant(after)
            before = after
        if end.timestamp() - before > usual.total_seconds():
            yield _instant(before), None

    def _is_older(self, time: Any, at: datetime) -> bool:
        """Whether its clock says that it came before the one before."""
        if not isinstance(time, str):
            return False
        try:
            said = datetime.fromisoformat(time)
            offset = at - said
        except (ValueError, TypeError):
            return False
        if self.offsets and (at - self.offsets[-1][0]).total_seconds() < 1:
            self.offsets[-1] = (self.offsets[-1][0], min(offset, self.offsets[-1][1]))
        else:
            self.offsets.append((at, offset))
        stamp = said.astimezone(UTC).isoformat()
        older, self._time = stamp < self._time, stamp
        return older

    def _is_late(self, number: Any, at: datetime) -> bool:
        """Whether its number should have come before. A number that is far below what came before is that of a source that began anew."""
        try:
            now = int(number)
        except (TypeError, ValueError):
            return False
        before = self._number
        if before is None or now > before:
            if before is not None and len(self.missing) < NUMBERS:
                self.missing |= dict.fromkeys(range(before + 1, min(now, before + 1 + NUMBERS)), at)
            self._number = now
            return False
        if self.missing.pop(now, None) is not None:
            return True
        self._number = now
        return False


def in_order(seconds: "array[float]", instant: float) -> None:
    """Add one where it belongs; cheap when it is the latest."""
    if not seconds or instant >= seconds[-1]:
        seconds.append(instant)
    else:
        insort(seconds, instant)


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
