"""How many service events of each type came in each second of the server's clock. Pure."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from messages.observations import EventCounted

TYPES = 50
"""Event types that are told apart in a run; the rest are `other`."""
OTHER = "other"


class Counting:
    """Counts by whole seconds of stored time, so that counting again gives the same."""

    def __init__(self) -> None:
        self._types: set[str] = set()
        self._seconds: dict[int, Counter[str | None]] = {}
        """By the second since 1970."""

    def add(self, at: datetime, type_: str | None) -> None:
        """Count an event of this type; None is a message that is none."""
        if type_ is not None and type_ not in self._types:
            if len(self._types) >= TYPES:
                type_ = OTHER
            else:
                self._types.add(type_)
        second = int(at.timestamp())
        counts = self._seconds.get(second)
        if counts is None:
            counts = self._seconds[second] = Counter()
        counts[type_] += 1

    def through(self, until: datetime, said: datetime | None) -> list[EventCounted]:
        """The seconds that are over by then and were not told before `said`, in order; silent ones are left out."""
        over = sorted(second for second in self._seconds if second + 1 <= until.timestamp())
        found = []
        for second in over:
            types, start = self._seconds.pop(second), datetime.fromtimestamp(second, UTC)
            if said is None or start >= said:
                unreadable = types.pop(None, 0)
                told = {name: count for name, count in sorted(types.items(), key=str) if name is not None}
                found.append(EventCounted(start=start, end=start + timedelta(seconds=1), types=told, unreadable=unreadable))
        return found
