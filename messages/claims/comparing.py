"""Limits that are written as text, and the earlier phase that they may be relative to."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from messages.claims.claim import Problem, Scope, nearest
from messages.claims.history import History, Judgement, Window, inconclusive
from messages.values import format_duration, parse_duration
from messages.verdicts import Reason

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PERCENT = re.compile(rf"([+-]{_NUMBER})%")
_TIMES = re.compile(rf"({_NUMBER})x")
_PLUS = re.compile(rf"[+-]{_NUMBER}")
LATENCY_HINT = "a limit is a duration like 250ms or, with `compare`, more than there: +250ms, +50% or 2x"
NUMBER_HINT = "a limit is a number or, with `compare`, as text: +5, -10% or 2x"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit: a value, or what is added to or multiplied with what was measured before. Durations in seconds."""

    kind: Literal["value", "plus", "times"]
    amount: float
    text: str

    @property
    def is_relative(self) -> bool:
        """Whether it needs something to be compared with."""
        return self.kind != "value"

    def at(self, reference: float | None) -> float:
        """The limit as a value, given what was measured before."""
        if self.kind == "value" or reference is None:
            return self.amount
        return reference + self.amount if self.kind == "plus" else reference * self.amount


def latency_limit(text: str) -> Limit:
    """The limit that a text such as `250ms`, `+250ms`, `+50%` or `2x` says.

    Raises:
        ValueError: it is none; the message says what one looks like.
    """
    share = _share(text)
    if share is not None:
        return share
    try:
        seconds = parse_duration(text.removeprefix("+")).total_seconds()
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no limit; {LATENCY_HINT}") from None
    return Limit("plus" if text.startswith("+") else "value", seconds, text)


def number_limit(limit: float | str) -> Limit:
    """The limit that a number, or a text such as `+5`, `-10%` or `2x`, says.

    Raises:
        ValueError: it is none; the message says what one looks like.
    """
    if isinstance(limit, int | float):
        return Limit("value", float(limit), f"{limit:g}")
    share = _share(limit)
    if share is not None:
        return share
    if not _PLUS.fullmatch(limit[:40]):
        raise ValueError(f"{limit[:40]!r} is no limit; {NUMBER_HINT}")
    return Limit("plus", float(limit), limit)


def _share(text: str) -> Limit | None:
    percent, times = _PERCENT.fullmatch(text[:40]), _TIMES.fullmatch(text[:40])
    if percent:
        return Limit("times", 1 + float(percent[1]) / 100, text)
    return Limit("times", float(times[1]), text) if times else None


def _as_text(value: Any) -> Any:
    return format_duration(value) if isinstance(value, timedelta) else value


def _checked_latency(text: str) -> str:
    latency_limit(text)
    return text


def _checked_number(limit: float | str) -> float | str:
    number_limit(limit)
    return limit


LatencyLimit = Annotated[
    str,
    BeforeValidator(_as_text),
    AfterValidator(_checked_latency),
    WithJsonSchema({"type": "string", "description": LATENCY_HINT, "examples": ["250ms", "+250ms", "+50%", "2x"]}),
]
"""A duration, or one relative to an earlier phase, as people write it."""
NumberLimit = Annotated[float | str, AfterValidator(_checked_number)]
"""A number, or text relative to an earlier phase."""


def reference_of(compare: str, history: History) -> Window | Judgement:
    """The window of the phase that is compared with, or why nothing can be compared with it."""
    before, opens = history.phases.get(compare, Window()), history.window.opens
    if before.opens is None or before.closes is None or opens is None or before.closes > opens:
        return inconclusive(
            Reason.PHASE_CUT, f"the phase {compare} was not over when the window opened, so there is nothing to compare with"
        )
    for fault in history.faults.values():
        if fault.armed is not None and fault.armed < before.closes and (fault.gone is None or fault.gone > before.opens):
            told = f"{fault.id} was active in the phase {compare}, which is to show what is normal; compare with one without faults"
            return inconclusive(Reason.PRECONDITION, told, fault.evidence.get("injected", ""))
    return before


def unlike_problems(unlike: str | None, key: str | None, example: str, scope: Scope) -> Iterator[Problem]:
    """What is wrong with `unlike` and `key`: one is there without the other, or the phase does not exist or is not over by then."""
    if (key is None) != (unlike is None):
        missing, right = ("key", f"key: {example}") if key is None else ("unlike", "unlike: and the name of an earlier phase")
        yield Problem((), f"`unlike` and `key` belong together, and there is no `{missing}`", f"add {right}")
    if unlike is not None and scope.earlier is not None and unlike not in scope.earlier:
        what = f"{unlike!r} is no phase that is over before the claim's window opens"
        yield Problem(("unlike",), what, nearest(unlike, scope.earlier))


def comparison_problems(compare: str | None, limits: dict[str, Limit], scope: Scope) -> Iterator[Problem]:
    """What is wrong with a comparison: the phase does not exist or is not over by then, a limit needs one or does without."""
    for key, limit in limits.items():
        if limit.is_relative and compare is None:
            yield Problem((key,), f"{limit.text} is more or less than something", "add compare: and the name of an earlier phase")
        elif not limit.is_relative and compare is not None:
            yield Problem((key,), f"{limit.text} is compared with nothing", f"write +{limit.text}, +50% or 2x, or take `compare` out")
    if compare is not None and scope.earlier is not None and compare not in scope.earlier:
        yield Problem(
            ("compare",), f"{compare!r} is no phase that is over before the claim's window opens", nearest(compare, scope.earlier)
        )
