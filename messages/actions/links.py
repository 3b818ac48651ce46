"""What can be done to a link, the way from one service to another: its proxy does it, byte by byte and without any rights."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema, model_validator

from messages.actions.spec import ActionSpec, Parameters
from messages.values import Duration

Direction = Literal["upstream", "downstream", "both"]
"""Upstream is from the link's `from` to its `to`, downstream what comes back; as Toxiproxy names them."""
Way = Literal["upstream", "downstream"]

RATE_HINT = "a rate is a whole number and a unit, like 500B/s, 100kB/s or 2MB/s"
_RATE = re.compile(r"([0-9]{1,9})(B|kB|MB)/s")
_UNITS = {"B": 1, "kB": 1_000, "MB": 1_000_000}


def parse_rate(text: str) -> int:
    """The bytes a second that a text such as `100kB/s` says.

    Raises:
        ValueError: it is not a rate; the message says what one looks like.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        msg = f"{text[:40]!r} is not a rate; {RATE_HINT}"
        raise ValueError(msg)
    return int(match[1]) * _UNITS[match[2]]


def format_rate(rate: int) -> str:
    """The shortest text that `parse_rate` reads back as this rate."""
    unit = next(unit for unit in ("MB", "kB", "B") if rate % _UNITS[unit] == 0)
    return f"{rate // _UNITS[unit]}{unit}/s"


def _read_rate(value: Any) -> Any:
    return parse_rate(value) if isinstance(value, str) else value


Rate = Annotated[
    int,
    BeforeValidator(_read_rate),
    PlainSerializer(format_rate, return_type=str),
    WithJsonSchema({"type": "string", "description": RATE_HINT, "examples": ["100kB/s", "1MB/s"]}),
]
"""Bytes a second, as people write them: text with a unit (1 kB is 1000 bytes)."""

_LONGEST = timedelta(seconds=60)
_Delay = Annotated[Duration, Ge(timedelta(milliseconds=1)), Le(_LONGEST)]


class Latency(Parameters):
    """Each chosen direction gets the whole delay, so with `both` a round trip takes twice the delay longer.

    A new connection costs one more round trip, as a handshake over a real network does.
    """

    delay: _Delay
    """From 1ms to 60s, in each chosen direction."""
    jitter: Annotated[Duration, Ge(timedelta()), Le(_LONGEST)] = timedelta()
    """Each piece is delayed by the delay, more or less up to this; at most the delay. Bytes stay in order."""
    direction: Direction = "both"

    @model_validator(mode="after")
    def _no_time_travel(self) -> Self:
        if self.jitter > self.delay:
            msg = "jitter must not be longer than delay"
            raise ValueError(msg)
        return self


class Bandwidth(Parameters):
    """All connections of the link share the rate, each chosen direction on its own."""

    rate: Annotated[Rate, Ge(100), Le(100_000_000)]
    """From 100B/s to 100MB/s."""
    direction: Direction = "both"


class Reset(Parameters):
    """Connections end with a TCP reset while it lasts, those that are open and new ones."""

    after: Annotated[Duration, Ge(timedelta()), Le(_LONGEST)] = timedelta()
    """How long a connection lives on, from the fault or from its own start; at most 60s."""


class Blackhole(Parameters):
    """Bytes vanish, connections are accepted and held. At its end those that lost something are reset, so that no stream has holes."""

    direction: Direction = "both"


class Cut(Parameters):
    """Nothing passes and nothing is lost: at its end all flows on, as TCP does after a partition. No new connection gets through."""

    direction: Direction = "both"


class Refuse(Parameters):
    """Connections are refused; those that are open are reset."""


class SlowClose(Parameters):
    """The end of a connection, in either direction, is passed on late; bytes are not delayed."""

    delay: _Delay
    """From 1ms to 60s."""


class LimitBytes(Parameters):
    """A connection is closed when so many bytes have passed, counted from the fault or from its own start."""

    bytes: Annotated[int, Gt(0), Le(100_000_000)]
    """From 1 to 100000000, for each chosen direction on its own."""
    direction: Direction = "both"


def ways_of(direction: Direction) -> tuple[Way, ...]:
    """The single directions that are meant."""
    return ("upstream", "downstream") if direction == "both" else (direction,)


def _link(summary: str, parameters: type[Parameters]) -> ActionSpec:
    return ActionSpec(summary=summary, fault=True, means="link", on=("link",), parameters=parameters)


LINK_ACTIONS: dict[str, ActionSpec] = {
    "latency": _link("Delays what passes, with jitter if wanted.", Latency),
    "bandwidth": _link("Lets no more than so many bytes a second pass.", Bandwidth),
    "reset": _link("Resets open and new connections.", Reset),
    "blackhole": _link("Swallows what is sent; connections stay open without an answer.", Blackhole),
    "cut": _link("Holds what is sent until it ends, as a partition does.", Cut),
    "refuse": _link("Refuses connections and resets open ones.", Refuse),
    "slow_close": _link("Passes the end of a connection on late.", SlowClose),
    "limit_bytes": _link("Closes a connection after so many bytes.", LimitBytes),
}
