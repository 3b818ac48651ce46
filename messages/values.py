"""The words that every message is made of: tokens, durations, instants, and the two kinds of frozen types."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema

TOKEN_PATTERN = r"[A-Za-z0-9_-]{1,64}"  # noqa: S105

type_token = StringConstraints(pattern=rf"\A{TOKEN_PATTERN}\z")
Token = Annotated[str, type_token]
"""A name that is always safe as one token of a subject."""

Instant = AwareDatetime
"""A point in time, aware and in UTC: the stored time of a JetStream message, or one derived from it."""

_UNITS = {"us": Decimal("0.000001"), "ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|h|d)")
DURATION_HINT = "a duration is a number and a unit, like 500ms, 10s, 2m, 36h or 1m30s"
_LONGEST = timedelta(days=366)


def parse_duration(text: str) -> timedelta:
    """The span that a text such as `500ms`, `1m30s` or `2d` says.

    Raises:
        ValueError: it is not a duration, longer than a year, or finer than a microsecond; the message says what one looks like.
    """
    parts = _PART.findall(text) if len(text) <= 40 else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        msg = f"{text[:40]!r} is not a duration; {DURATION_HINT}"
        raise ValueError(msg)
    seconds = sum((Decimal(number) * _UNITS[unit] for number, unit in parts), Decimal(0))
    if seconds > Decimal(_LONGEST.total_seconds()):
        msg = f"{text!r} is longer than {_LONGEST.days} days"
        raise ValueError(msg)
    microseconds = seconds * 1_000_000
    if microseconds != microseconds.to_integral_value():
        msg = f"{text!r} is finer than a microsecond, the shortest time there is here"
        raise ValueError(msg)
    return timedelta(microseconds=int(microseconds))


def format_duration(span: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as this span (whole microseconds, not negative)."""
    left = span // timedelta(microseconds=1)
    if left <= 0:
        return "0s"
    text = ""
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)):
        number, left = divmod(left, size)
        text += f"{number}{unit}" if number else ""
    return text


def brief(span: timedelta) -> str:
    """The span for people, to three digits or so: 12ms, 1.06s, 2m5s. `parse_duration` reads it."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"
    return format_duration(timedelta(seconds=round(seconds)))


def _read_duration(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, timedelta):
        return value
    msg = f"{value!r} is not a duration; {DURATION_HINT}"
    raise ValueError(msg)


Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "description": DURATION_HINT, "examples": ["500ms", "10s", "2m"]}),
]
"""A span as people write it: text with a unit."""


class Message(BaseModel):
    """What travels: frozen and strict; a field that this version does not know is ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True)


class Document(BaseModel):
    """What people write: frozen and strict; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True)


def seconds_between(start: datetime, end: datetime) -> float:
    """From start to end in seconds, negative when end is earlier."""
    return (end - start).total_seconds()
