"""When something succeeded in a span of time: enough to find the longest time without a success, whatever spans are put together."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Self

from messages.values import Message


class Successes(Message):
    """When something succeeded in a span, each as an offset from the span's start."""

    first: timedelta | None = None
    """None: nothing did."""
    last: timedelta | None = None
    longest: timedelta = timedelta()
    """The longest time between two that are neighbours."""

    @classmethod
    def of(cls, start: datetime, instants: Iterable[datetime]) -> Self:
        """Those of a span that starts then, in any order."""
        known = sorted(instants)
        if not known:
            return cls()
        longest = max((later - earlier for earlier, later in pairwise(known)), default=timedelta())
        return cls(first=known[0] - start, last=known[-1] - start, longest=longest)
