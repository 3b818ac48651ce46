"""What a plain scalar means: YAML 1.2's core schema, with decimal numbers only."""

import math
import re

Value = str | int | float | bool | None

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
MAX_DIGITS = 18
"""Digits that a whole number may have: what a CEL integer holds."""


def plain_value(text: str) -> Value:
    """The value of an unquoted scalar: `on` and `2026-01-01` are text, `0777` is 777.

    Raises:
        ValueError: a number that is not finite, or too long for one.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        if len(text.lstrip("+-0")) > MAX_DIGITS:
            msg = f"a whole number has at most {MAX_DIGITS} digits"
            raise ValueError(msg)
        return int(text)
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
        msg = f"{text[:40]} is not a finite number"
        raise ValueError(msg)
    return float(text) if _FLOAT.fullmatch(text) else text


def has_control_characters(text: str) -> bool:
    """Whether a scalar holds what no name, command or message may hold (line ends and tabs are fine)."""
    return _CONTROL.search(text) is not None
