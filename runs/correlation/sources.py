"""One source of events: what it repeats, leaves out or tells in the wrong order, how its clock goes, and when it is silent. Pure."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from messages.claims import ServiceEvent

REMEMBERED = 200_000
"""How many of its newest ids are known again; one that comes again after that is not."""
LATE = 1_000
"""How many of its newest holes a number may still fill."""
ENOUGH = 5
"""Events before the first fault that say how long a source is usually silent."""
TIMES = 3
"""So many times its longest usual silence is out of the ordinary, and never less than a second."""
LEAST = timedelta(seconds=1)


class Hole(NamedTuple):
    """Numbers that were left out, and when that was seen."""

    first: int
    last: int
    at: datetime

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class Source:
    """A fold of one source's events, in the order in which they were stored."""

    def __init__(self) -> None:
        self.events = 0
        """Each once."""
        self.duplicates: list[datetime] = []
        self.reordered: list[datetime] = []
        self.holes: list[Hole] = []
        self.offsets: dict[int, timedelta] = {}
        """Its smallest offset in each second that it told something, in seconds since 1970."""
        self._ids: dict[str, None] = {}
        self._time: datetime | None = None
        self._number: int | None = None

    def see(self, event: ServiceEvent, attributes: Mapping[str, Any], seconds: float) -> bool:
        """Take in the next event, stored so many seconds since 1970; whether it is new."""
        ids = self._ids
        if event.id in ids:
            self.duplicates.append(event.at)
            return False
        ids[event.id] = None
        if len(ids) > REMEMBERED:
            del ids[next(iter(ids))]
        self.events += 1
        time, number = attributes.get("time"), attributes.get("sequence")
        older = time is not None and self._is_older(time, event.at, int(seconds))
        if (number is not None and self._is_late(number, event.at)) or older:
            self.reordered.append(event.at)
        return True

    def went_ahead(self, since: float, until: float, step: timedelta) -> tuple[datetime, timedelta] | None:
        """When its clock was first ahead of what it was before `since` by more than a step, and by how much; None if it was not."""
        before = self.offset(0, int(since))
        seconds = (second for second in self.offsets if int(since) <= second < until)
        moved = (second for second in seconds if before is not None and before - self.offsets[second] > step)
        second = min(moved, default=None)
        return None if second is None or before is None else (_instant(max(second, since)), before - self.offsets[second])

    def offset(self, start: float, end: float) -> timedelta | None:
        """The smallest time from an event's own `time` to its stored time in this span (seconds since 1970); None if none said it."""
        return min((offset for second, offset in self.offsets.items() if start <= second < end), default=None)

    def _is_older(self, time: Any, at: datetime, second: int) -> bool:
        """Whether its clock says that it came before the one before."""
        try:
            said = datetime.fromisoformat(time)
            offset = at - said
        except (ValueError, TypeError):
            return False
        known = self.offsets.get(second)
        if known is None or offset < known:
            self.offsets[second] = offset
        older, self._time = self._time is not None and said < self._time, said
        return older

    def _is_late(self, number: Any, at: datetime) -> bool:
        """Whether its number should have come before. One that fills no hole and is no greater than the last: the source began anew."""
        if not isinstance(number, str | int):
            return False
        try:
            now = int(number)
        except ValueError:
            return False
        before = self._number
        if before is not None and now <= before and self._fills(now):
            return True
        if before is not None and now > before + 1:
            self.holes.append(Hole(before + 1, now - 1, at))
        self._number = now
        return False

    def _fills(self, number: int) -> bool:
        """Whether the number was left out; it is not any more."""
        for index in range(len(self.holes) - 1, max(-1, len(self.holes) - 1 - LATE), -1):
            first, last, at = self.holes[index]
            if first <= number <= last:
                left = (Hole(first, number - 1, at), Hole(number + 1, last, at))
                self.holes[index : index + 1] = [hole for hole in left if hole.size]
                return True
        return False


def usual_silence(seconds: Sequence[float]) -> timedelta | None:
    """The longest silence that is usual for who told something at these times; None if it told too little."""
    if len(seconds) < ENOUGH:
        return None
    longest = max(after - before for before, after in pairwise(seconds))
    return max(LEAST, TIMES * timedelta(seconds=longest))


def silences(seconds: Sequence[float], usual: timedelta, start: float, end: float) -> Iterator[tuple[datetime, datetime | None]]:
    """When it was silent for longer than that, told at these times in order (seconds since 1970).

    From an event to the next, which comes after `start`, or has not come until `end`.
    """
    first, last, longest = bisect_left(seconds, start), bisect_left(seconds, end), usual.total_seconds()
    before = seconds[first - 1] if first else start
    for after in seconds[first:last]:
        if after - before > longest:
            yield _instant(before), _instant(after)
        before = after
    if end - before > longest:
        yield _instant(before), None


def in_order(seconds: "array[float]", instant: float) -> None:
    """Add one where it belongs; cheap when it is the latest."""
    if not seconds or instant >= seconds[-1]:
        seconds.append(instant)
    else:
        insort(seconds, instant)


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
