"""The words of a report: lengths of time as people read them, and what became of a claim."""

from datetime import datetime, timedelta
from typing import Literal

from messages.values import Message

Outcome = Literal["passed", "failed", "inconclusive", "not_reached", "not_judged", "vacuous", "needs_fault", "control"]
"""What became of a claim. `not_reached`: its window never opened; `not_judged`: it did, and the run ended first. The last three only in a
rehearsal: it passed without the fault that it is about; it did not, as it should not; it cannot be judged without it."""


class Span(Message):
    """A length of time: as text that `parse_duration` reads back to the millisecond, and as a number."""

    text: str
    seconds: float


def span(length: timedelta) -> Span:
    """The length as a report shows it; what is negative is shown as nothing."""
    length = max(length, timedelta())
    return Span(text=readable(length), seconds=round(length.total_seconds(), 6))


def between(start: datetime | None, end: datetime | None) -> Span | None:
    """From start to end, if both have come."""
    return span(end - start) if start is not None and end is not None else None


def readable(length: timedelta) -> str:
    """The length in the units that people read: 320us, 45ms, 2.403s, 1m30.5s, 2h5m."""
    micros = length // timedelta(microseconds=1)
    if micros <= 0:
        return "0s"
    if micros < 1_000:
        return f"{micros}us"
    millis = round(micros / 1_000)
    if millis < 1_000:
        return f"{millis}ms"
    seconds, millis = divmod(millis, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    rest = f"{seconds}.{millis:03}".rstrip("0").rstrip(".")
    parts = (f"{days}d" if days else "", f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{rest}s" if rest != "0" else "")
    return "".join(parts)
