"""Parameters of a random plan: a list of two durations, sizes, rates or numbers is a range to draw from."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from messages.actions import Parameters, links
from messages.values import format_duration, format_rate, format_size, parse_duration, parse_rate, parse_size
from scenarios.schema import allowed_at

Drawer = Callable[[float], Any]
"""What stands at a share (0 to 1) of the way from the low end of a range to the high one."""


def is_range(value: Any, model: type[Parameters], key: str) -> bool:
    """Whether the value is a range, and not a list that the parameter itself may be."""
    return isinstance(value, list) and len(value) == 2 and "array" not in _types(model, key, value)


def ends_of(value: Any, model: type[Parameters], key: str) -> tuple[Any, Any]:
    """The two ends of a range; of any other value twice the value."""
    return (value[0], value[1]) if is_range(value, model, key) else (value, value)


def drawer_of(value: Any, model: type[Parameters], key: str) -> Drawer | None:
    """How to draw from a range; None for what is none, or has ends of different kinds or in the wrong order."""
    if not is_range(value, model, key):
        return None
    for parse, write in _KINDS:
        ends = _both(parse, *value)
        if ends is not None and not (parse is _whole and "number" in _types(model, key, value)):
            return _drawer(*ends, write) if ends[0] <= ends[1] else None
    return None


def _types(model: type[Parameters], key: str, value: Any) -> set[str]:
    kinds = [schema.get("type") for schema in allowed_at(model, {key: value}, (key,))]
    return {str(name) for kind in kinds for name in (kind if isinstance(kind, list) else [kind])}


def _both(parse: Callable[[Any], float], low: Any, high: Any) -> tuple[float, float] | None:
    try:
        return parse(low), parse(high)
    except (ValueError, TypeError):
        return None


def _drawer(low: float, high: float, write: Callable[[Any], Any]) -> Drawer:
    def draw(share: float) -> Any:
        if isinstance(low, int) and isinstance(high, int):
            return write(min(low + int((high - low + 1) * share), high))
        return write(min(max(float(f"{low + (high - low) * share:.4g}"), low), high))

    return draw


def _milliseconds(text: Any) -> int:
    whole, rest = divmod(parse_duration(text), timedelta(milliseconds=1))
    if rest:
        raise ValueError
    return whole


def _microseconds(text: Any) -> int:
    return parse_duration(text) // timedelta(microseconds=1)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


_KINDS: tuple[tuple[Callable[[Any], float], Callable[[Any], Any]], ...] = (
    (_milliseconds, lambda number: format_duration(timedelta(milliseconds=number))),
    (_microseconds, lambda number: format_duration(timedelta(microseconds=number))),
    (parse_size, format_size),
    (links.parse_rate, links.format_rate),
    (parse_rate, format_rate),
    (_whole, int),
    (_number, float),
)
"""What can be drawn: how its ends are read, and how what was drawn is written."""
