"""Spans of time, and what of them is excused."""

from collections.abc import Iterable
from datetime import datetime, timedelta

Span = tuple[datetime, datetime]
Excuses = Iterable[tuple[datetime, datetime | None]]
"""Spans that may still be open, in any order; they may overlap."""


def covers(excuses: Excuses, start: datetime, end: datetime) -> bool:
    """Whether every instant from start to end is excused, both ends included."""
    reached: datetime | None = None
    for opened, closed in sorted(excuses, key=lambda excuse: excuse[0]):
        if opened > (reached or start):
            break
        if closed is None:
            return True
        if closed >= start:
            reached = max(reached or closed, closed)
    return reached is not None and reached >= end


def free(excuses: Excuses, start: datetime, end: datetime) -> tuple[Span, ...]:
    """What of the span is not excused, in order; nothing when it is empty."""
    found: list[Span] = []
    reached = start
    for opened, closed in sorted(excuses, key=lambda excuse: excuse[0]):
        if reached < min(opened, end):
            found.append((reached, min(opened, end)))
        reached = max(reached, end if closed is None else closed)
    if reached < end:
        found.append((reached, end))
    return tuple(found)


def length(spans: Iterable[Span]) -> timedelta:
    """How long they are together."""
    return sum((end - start for start, end in spans), timedelta())


def earliest(*instants: datetime | None) -> datetime | None:
    """The first of the instants that are known."""
    return min((instant for instant in instants if instant is not None), default=None)
