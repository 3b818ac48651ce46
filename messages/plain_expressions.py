"""The expressions that most claims are made of, evaluated without CEL where it would say the same: that is fifty times as fast.

These are a path (`event.data.order_id`), and texts that a path must have (`event.type == 'order.filled' && event.data.side == 'buy'`).
Whatever is not as simple as it looks (a field that is missing, a value that is no text) is left to CEL.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

UNSURE = object()
"""CEL has to say it."""
_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+"
_WHOLE_PATH = re.compile(_PATH, re.ASCII)
_EQUAL = re.compile(rf"({_PATH})\s*==\s*(?:'([^'\"\\\n]*)'|\"([^'\"\\\n]*)\")", re.ASCII)
_AND = re.compile(r"\s*&&\s*")
Plain = Callable[[Mapping[str, Any]], Any]


def plain(source: str) -> Plain | None:
    """What evaluates an expression that CEL has compiled over its variables, or says `UNSURE`; None if it is not of this kind."""
    text = source.strip()
    if _WHOLE_PATH.fullmatch(text):
        path = tuple(text.split("."))
        return lambda values: _found(path, values)
    parts = [_EQUAL.fullmatch(part) for part in _AND.split(text)]
    tests = [(tuple(part[1].split(".")), part[2] if part[2] is not None else part[3]) for part in parts if part is not None]
    return (lambda values: _all_equal(tests, values)) if len(tests) == len(parts) else None


def _found(path: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    found: Any = values
    for name in path:
        if type(found) is not dict or name not in found:
            return UNSURE
        found = found[name]
    return found if type(found) is str else UNSURE


def _all_equal(tests: list[tuple[tuple[str, ...], str]], values: Mapping[str, Any]) -> Any:
    known: Any = True
    for path, text in tests:
        found = _found(path, values)
        if found is UNSURE:
            known = UNSURE
        elif found != text:
            return False  # whatever the others are (CEL's && is false if either side is)
    return known
