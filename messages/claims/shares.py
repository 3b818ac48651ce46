"""Shares that are written as text: a percentage, or so many percentage points less or more than in an earlier phase."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from messages.claims.claim import Claim, Problem, Scope
from messages.claims.comparing import comparison_problems
from messages.claims.samples import comparable_problems

_NUMBER = r"[0-9]{1,3}(?:\.[0-9]{1,6})?"
_PERCENT = re.compile(rf"({_NUMBER})%")
_POINTS = re.compile(rf"([+-]{_NUMBER})pp")
SHARE_HINT = "a share is a percentage like 99.5% or, with `compare`, percentage points less than there: -1pp"


@dataclass(frozen=True, slots=True)
class Share:
    """A share of all (0 to 1), or what is added to the one of an earlier phase."""

    amount: Fraction
    is_relative: bool
    text: str

    def at(self, reference: Fraction | None) -> Fraction:
        """The share that is asked for, given the one that was measured before: never more than all, nor less than none."""
        return min(max(self.amount + (reference or 0), Fraction(0)), Fraction(1)) if self.is_relative else self.amount

    @property
    def needed(self) -> int:
        """How many samples there must be, so that one that is bad is less than what is allowed."""
        allowed = abs(self.amount) if self.is_relative else 1 - self.amount
        return math.ceil(1 / allowed) if allowed else 1


def parse_share(text: str) -> Share:
    """The share that a text such as `99.5%` or `-1pp` says.

    Raises:
        ValueError: it is none; the message says what one looks like.
    """
    percent, points = _PERCENT.fullmatch(text[:40]), _POINTS.fullmatch(text[:40])
    amount = Fraction((percent or points or ("0", "0"))[1]) / 100
    if (percent is None and points is None) or abs(amount) > 1 or (percent and not amount):
        signed = text[:1] in {"+", "-"} and text[-1:] == "%"
        why = "; a signed percentage could be one of the share before, or points" if signed else ""
        raise ValueError(f"{text[:40]!r} is no share; {SHARE_HINT}{why}")
    return Share(amount, points is not None, text)


def percent(share: Fraction) -> str:
    """A share as people read it, cut and not rounded up: 99.96 % of many is not all."""
    return f"{math.floor(share * 10000) / 100:.2f}".rstrip("0").rstrip(".") + "%"


def share_problems(claim: Claim, share: Share, compare: str | None, scope: Scope) -> Iterator[Problem]:
    """What is wrong with comparing a share with the one of an earlier phase."""
    if share.is_relative and compare is None:
        yield Problem(("at_least",), f"{share.text} is less or more than something", "add compare: and the name of an earlier phase")
    elif not share.is_relative and compare is not None:
        yield Problem(("at_least",), f"{share.text} is compared with nothing", "write -1pp, a point less than there, or take `compare` out")
    yield from comparable_problems(claim, compare, scope) or comparison_problems(compare, {}, scope)


def _checked(text: str) -> str:
    parse_share(text)
    return text


ShareText = Annotated[
    str, AfterValidator(_checked), WithJsonSchema({"type": "string", "description": SHARE_HINT, "examples": ["99.5%", "-1pp"]})
]
"""A percentage, or percentage points relative to an earlier phase, as people write it."""
