"""`set`: what a workload was told to be there is there, once, and nothing else: Jepsen's set checker."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from messages.checks import ItemsRead
from messages.claims.claim import Claim, Problem, Scope, expression_problems, nearest
from messages.claims.history import History, Judgement, failed, inconclusive, passed
from messages.measurements import Named, SetRead
from messages.values import Token
from messages.verdicts import Reason

MOST_DEADLINE = timedelta(seconds=3)
SHOWN = 10
"""How many ids a message names."""


class SetClaim(Claim):
    """At the window's end everything that the workload was told to be there is there, once, and nothing that it did not try.

    What is there is read when the window has ended, while the workload may still run. An operation that was `ok` before the reading
    began must be there. One that was `unknown`, or ended later, may be there or not. One that `failed` must not, nor what was never tried.
    All operations count from the workload's start, so what is read should begin empty.
    """

    FIGURES = {"tried": "count", "acknowledged": "count", "unknown": "count", "recovered": "count"}

    type: Literal["set"]
    workload: Token
    """Whose operations say what was tried: lines with an `id`, which is what is read back."""
    op: str | None = None
    """Only operations of this name count; by default all."""
    read: ItemsRead
    """How to ask what is there."""

    def judge(self, history: History) -> Judgement | None:
        closes, seen = history.window.closes, history.read
        if history.window.opens is None or closes is None or seen is None or seen.at < closes:
            return None
        evidence = history.read_evidence or ""
        if seen.error:
            return inconclusive(Reason.JUDGE_ERROR if seen.final else Reason.NO_SAMPLES, seen.error, evidence)
        return self._judge_read(seen, evidence)

    def _judge_read(self, seen: SetRead, evidence: str) -> Judgement:
        told = f"{seen.acknowledged} of {seen.tried} were ok, {seen.found} are there"
        told += f", {seen.recovered} of {seen.unknown} unknown ones among them" if seen.unknown else ""
        told += f"; {seen.unreadable} lines of {self.workload} told no id" if seen.unreadable else ""
        figures = {"tried": seen.tried, "acknowledged": seen.acknowledged, "unknown": seen.unknown, "recovered": seen.recovered}
        wrong = {"lost": seen.lost, "unexpected": seen.unexpected, "duplicated": seen.duplicated}
        bad = "; ".join(f"{named.count} {name}: {_named(named)}" for name, named in wrong.items() if named.count)
        if bad:
            return failed(f"{bad} ({told})", evidence, **figures, **{name: named.count for name, named in wrong.items()})
        if not seen.acknowledged:
            what = f"{self.workload} was told of nothing that it is there, so nothing was tested ({told})"
            return inconclusive(Reason.NO_SAMPLES, f"{what}; let it run longer, or look at what it says of `op` and `id`", evidence)
        return passed(told, evidence, **figures)

    def summary(self) -> str:
        what = f"{self.op} of {self.workload}" if self.op else self.workload
        return self.description or f"what {what} was told to be there is there, once"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        if scope.workloads is not None and self.workload not in scope.workloads:
            yield Problem(("workload",), f"the system has no workload {self.workload!r}", nearest(self.workload, scope.workloads))
        if self.throughout or self.never:
            yield Problem((), "what is there is read once, at the window's end", "take `throughout` and `never` out")
        if self.within is not None:
            yield Problem(("within",), "what is there is read once, at the window's end", "take it out, or write `before`")
        if self.read.http is not None:
            yield from _in("http", expression_problems("items", self.read.http.items, "json", "status", "body", "headers"))
        if self.read.command is not None:
            yield from _in("command", expression_problems("items", self.read.command.items, "stdout", "stderr", "code"))
        if not timedelta(milliseconds=50) <= self.read.deadline <= MOST_DEADLINE:
            yield Problem(("read", "deadline"), "the deadline is between 50ms and 3s", "deadline: 3s")


def _in(way: str, problems: Iterator[Problem]) -> Iterator[Problem]:
    return (Problem(("read", way, *problem.path), problem.what, problem.right) for problem in problems)


def _named(named: Named) -> str:
    more = named.count - len(named.ids[:SHOWN])
    return f"{', '.join(named.ids[:SHOWN])}{f' and {more} more' if more > 0 else ''}"
