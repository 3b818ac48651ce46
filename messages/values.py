"""The words that every message is made of: tokens, durations, instants, and the two kinds of frozen types."""

import re
from datetime import timedelta
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


_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(s|m|h)")
_PER = {"s": 1.0, "m": 60.0, "h": 3600.0}
RATE_HINT = "a rate is a number per s, m or h, like 50/s or 6/m; at most 1000/s"


def parse_rate(text: str) -> float:
    """The rate per second that a text such as `50/s` says.

    Raises:
        ValueError: it is no rate, or outside of 1/h to 1000/s; the message says what one looks like.
    """
    match = _RATE.fullmatch(text[:40])
    rate = float(match[1]) / _PER[match[2]] if match else 0.0
    if not 1 / 3600 <= rate <= 1000:
        msg = f"{text[:40]!r} is no rate that can be; {RATE_HINT}"
        raise ValueError(msg)
    return rate


def format_rate(rate: float) -> str:
    """The rate as `parse_rate` reads it."""
    return next((f"{rate * _PER[unit]:g}/{unit}" for unit in "smh" if rate * _PER[unit] >= 0.999), f"{rate * 3600:g}/h")


def _read_rate(value: Any) -> Any:
    if isinstance(value, str):
        return parse_rate(value)
    if isinstance(value, float):
        return value
    msg = f"{value!r} is no rate; {RATE_HINT}"
    raise ValueError(msg)


Rate = Annotated[
    float,
    BeforeValidator(_read_rate),
    PlainSerializer(format_rate, return_type=str),
    WithJsonSchema({"type": "string", "description": RATE_HINT, "examples": ["50/s", "6/m"]}),
]
"""How often in a second, as people write it: text with a unit."""

_SIZES = {"B": 1, "kB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(B|kB|KiB|MB|MiB|GB|GiB)")
SIZE_HINT = "a size is a number and a unit, like 512B, 100kB, 20MiB or 1GB"


def parse_size(text: str) -> int:
    """The bytes that a text such as `20MiB` says.

    Raises:
        ValueError: it is no size; the message says what one looks like.
    """
    match = _SIZE.fullmatch(text[:40])
    if not match or float(match[1]) * _SIZES[match[2]] > 2**50:
        msg = f"{text[:40]!r} is not a size; {SIZE_HINT}"
        raise ValueError(msg)
    return round(float(match[1]) * _SIZES[match[2]])


def format_size(size: int) -> str:
    """The shortest text that `parse_size` reads back as these bytes."""
    texts = [f"{size // unit}{name}" for name, unit in _SIZES.items() if size % unit == 0 and (size >= unit or unit == 1)]
    return min(texts, key=len)


def _read_size(value: Any) -> Any:
    if isinstance(value, str):
        return parse_size(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    msg = f"{value!r} is not a size; {SIZE_HINT}"
    raise ValueError(msg)


Size = Annotated[
    int,
    BeforeValidator(_read_size),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema({"type": "string", "description": SIZE_HINT, "examples": ["512B", "100kB", "20MiB"]}),
]
"""A number of bytes, as people write it: text with a unit."""


class Message(BaseModel):
    """What travels: frozen and strict; a field that this version does not know is ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Document(BaseModel):
    """What people write: frozen and strict; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=True)
