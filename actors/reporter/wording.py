"""Text for people, and safe to print."""

import re
from datetime import UTC, datetime

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text without what XML 1.0 does not take, other control characters, and what turns its direction around."""
    return _UNPRINTABLE.sub("\ufffd", text)


def clock(instant: datetime | None) -> str:
    """The time of day in UTC, to the millisecond."""
    return instant.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3] if instant else "—"


MINUS = "\u2212"


def signed(number: str) -> str:
    """A number with the sign of its own width."""
    return number.replace("-", MINUS)


def stamp(instant: datetime | None) -> str:
    """Date and time in UTC, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if instant else "—"


def offset(seconds: float | None) -> str:
    """Seconds from the start of the run, as a time line shows them."""
    if seconds is None:
        return "—"
    sign, left = ("-", -seconds) if seconds < 0 else ("+", seconds)
    if left < 60:
        return f"{sign}{left:.3f}s"
    minutes, rest = divmod(left, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{sign}{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{sign}{minutes}:{rest:05.2f}"


def tick(seconds: float, step: float) -> str:
    """A mark on the time axis."""
    if step < 1:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60 or (step < 60 and whole < 120):
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m" if minutes else f"{hours}h"
    return f"{minutes}m{rest:02}s" if rest else f"{minutes}m"


def figure(number: float) -> str:
    """A number with as many digits as matter."""
    if number >= 100 or number == int(number):
        return f"{number:,.0f}".replace(",", "\u202f")
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def seconds(length: float) -> str:
    """A length of time in the unit that fits, with the digits that matter: 0.4 ms, 12 ms, 1.25 s, 3.1 min."""
    if length < 0.001:
        return f"{length * 1000:.1f} ms"
    if length < 1:
        return f"{length * 1000:.0f} ms"
    return f"{length:.2f} s" if length < 60 else f"{length / 60:.1f} min"


def share(part: float) -> str:
    """A share of the time, never rounded up to all of it."""
    return f"{1 if part == 1 else min(part, 0.999):.{0 if part == 1 else 1}%}".replace("%", "\u00a0%")
