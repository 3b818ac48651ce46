"""The expressions that most claims are made of, evaluated without CEL where it would say the same: that is fifty times as fast.

These are a path (`event.data.order_id`), and what paths must have: a text, or a number on one side of a bound
(`event.type == 'order.filled' && event.data.quantity > 90.0`). Whatever is not as simple as it looks (a field that is missing, a value
of another type) is left to CEL.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

UNSURE = object()
"""CEL has to say it."""
_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+"
_WHOLE_PATH = re.compile(_PATH, re.ASCII)
_EQUAL = re.compile(rf"({_PATH})\s*==\s*(?:'([^'\"\\\n]*)'|\"([^'\"\\\n]*)\")", re.ASCII)
_BOUND = re.compile(rf"({_PATH})\s*(<=?|>=?)\s*(-?[0-9]{{1,15}}(?:\.[0-9]{{1,15}})?)", re.ASCII)
_SIDES: Mapping[str, Callable[[Any, Any], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_LARGE = 2.0**63
"""Numbers beyond it, and what is no number, CEL may not take."""
_AND = re.compile(r"\s*&&\s*")
Plain = Callable[[Mapping[str, Any]], Any]


class _Test(NamedTuple):
    """What a path must have, on which side of what."""

    path: tuple[str, ...]
    holds: Callable[[Any, Any], bool]
    value: str | int | float


def plain(source: str) -> Plain | None:
    """What evaluates an expression that CEL has compiled over its variables, or says `UNSURE`; None if it is not of this kind."""
    text = source.strip()
    if _WHOLE_PATH.fullmatch(text):
        path = tuple(text.split("."))
        return lambda values: found if type(found := _found(path, values)) is str else UNSURE
    tests = [_test(part) for part in _AND.split(text)]
    known = [test for test in tests if test is not None]
    return (lambda values: _all_hold(known, values)) if len(known) == len(tests) else None


def _test(text: str) -> _Test | None:
    if (equal := _EQUAL.fullmatch(text)) is not None:
        return _Test(tuple(equal[1].split(".")), operator.eq, equal[2] if equal[2] is not None else equal[3])
    if (bound := _BOUND.fullmatch(text)) is not None:
        return _Test(tuple(bound[1].split(".")), _SIDES[bound[2]], float(bound[3]) if "." in bound[3] else int(bound[3]))
    return None


def _found(path: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    found: Any = values
    for name in path:
        if type(found) is not dict or name not in found:
            return UNSURE
        found = found[name]
    return found


def _all_hold(tests: list[_Test], values: Mapping[str, Any]) -> Any:
    known: Any = True
    for path, holds, value in tests:
        found = _found(path, values)
        if type(found) is not type(value) or not (isinstance(found, str) or abs(found) < _LARGE):  # to CEL an integer is no double
            known = UNSURE
        elif not holds(found, value):
            return False  # whatever the others are (CEL's && is false if either side is)
    return known
