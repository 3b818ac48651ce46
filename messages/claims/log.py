"""`log`: lines of a service's output, or of a workload's standard error, match, often enough or never."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import StringConstraints

from messages.claims.claim import Problem, Scope, expression_problems, nearest
from messages.claims.counted import CountedClaim
from messages.claims.history import History, Judgement, failed, inconclusive, passed
from messages.claims.measured import Logged, placed
from messages.claims.patterns import re2
from messages.expressions import Bindings, compiled
from messages.values import Token, brief
from messages.verdicts import Reason

LONGEST_LINE = 4096
"""Bytes of a line that are looked at."""
NAMED = 20
"""How many spans a judgement names."""
_SEARCHED = "line.matches(pattern)"
_OTHERS = "ask its events, health or metrics, or give it `driver: {process: …}` in the system"

Looking = Callable[[str], bool]
"""Whether a line matches. Raises ExpressionError when that cannot be said."""


class LogClaim(CountedClaim):
    """Lines that match come: at least `at_least` (1 by default), at most `at_most`, or `never`. A line counts when it has ended."""

    FIGURES = {"count": "count"}
    COUNTED = "a line"

    type: Literal["log"]
    target: Token | None = None
    """The service whose output is read, one that is a process that we start."""
    workload: Token | None = None
    """The workload whose standard error is read instead."""
    contains: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    """A line matches that has this text in it."""
    matches: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """A line matches in which this regular expression (RE2) finds something."""
    where: str | None = None
    """A line matches for which this is true: CEL over `line`, a text of at most 4 KiB."""

    @property
    def looking(self) -> Looking:
        """What says whether a line matches."""
        text = self.contains
        if text is not None:
            return lambda line: text in line
        if self.matches is not None:
            return _search(self.matches)
        expression = compiled(self.where or "false")
        return lambda line: expression.holds(Bindings({"line": line}))

    def judge(self, history: History) -> Judgement | None:
        opens, closes = history.window.opens, history.window.closes
        if opens is None:
            return None
        if closes is not None and closes <= opens:
            return inconclusive(Reason.NO_SAMPLES, "the window ended before it opened")
        seen, most = _seen(history.logged, opens, closes), self.most
        told = f"{seen.count} of {seen.lines} lines matched"
        if most is not None and seen.count > most:
            return failed(f"{told}, at most {most} may{seen.sample(opens)}", *seen.matched, count=seen.count)
        if most is None and 0 < self.fewest <= seen.count and self.may_pass_early(history):
            return passed(f"{told}, at least {self.fewest} must{seen.sample(opens)}", *seen.matched, count=seen.count)
        if closes is None or not history.probes_passed(closes):
            return None
        return self._unknown(seen) or self._judge_all(seen)

    def _unknown(self, seen: "_Seen") -> Judgement | None:
        """Why nobody can say, if it is so, once the window is over."""
        fewest, most, told = self.fewest, self.most, f"{seen.count} of {seen.lines} lines matched"
        enough = most is None and seen.count >= fewest
        if not seen.read:
            why = "it is read where the observer runs, which must be the machine of the chaos-injector, and from the start of the run"
            return inconclusive(Reason.GAP, f"the log of {self._whose} was not read in the window; {why}")
        if seen.unread and not enough:
            missed = f"the log of {self._whose} was not read for {brief(seen.unread)} of the window"
            return inconclusive(Reason.GAP, f"{told}, but {missed}", *seen.read, count=seen.count)
        more = seen.count + seen.perhaps
        if seen.count < fewest <= more or (most is not None and more > most):
            late = f"{seen.perhaps} more were read late, and nobody can say whether they were written in the window"
            return inconclusive(Reason.GAP, f"{told}; {late}", *seen.read, count=seen.count)
        if seen.errors and seen.errors >= seen.lines:
            return inconclusive(Reason.JUDGE_ERROR, f"`where` could not be evaluated on any line: {seen.error}", *seen.read)
        if not seen.lines and not fewest:
            what = f"{self._whose} wrote no line of any kind in the window, so that none matched says nothing; widen the window"
            return inconclusive(Reason.NO_SAMPLES, what, *seen.read)
        return None

    def _judge_all(self, seen: "_Seen") -> Judgement:
        unread = f"; `where` could not be evaluated on {seen.errors}: {seen.error}" if seen.errors else ""
        told = f"{seen.count} of {seen.lines} lines matched"
        evidence = seen.matched or seen.read
        if seen.count < self.fewest:
            return failed(f"{told}, at least {self.fewest} must{unread}", *evidence, count=seen.count)
        limit = f", at most {self.most} may" if self.most is not None else ""
        return passed(f"{told}{limit}{unread}", *evidence, count=seen.count)

    @property
    def _whose(self) -> str:
        return self.target or self.workload or "nobody"

    def summary(self) -> str:
        if self.description:
            return self.description
        return f"log of {self._whose}: {self.contains or self.matches or self.where} ({self.amount})"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        yield from self._source_problems(scope)
        yield from self._match_problems()
        yield from self.amount_problems()

    def _source_problems(self, scope: Scope) -> Iterator[Problem]:
        if (self.target is None) == (self.workload is None):
            yield Problem((), "a log is that of exactly one of target, workload", "keep one of them")
        if self.target is not None and self.target not in scope.services:
            yield Problem(("target",), f"the system has no service {self.target!r}", nearest(self.target, scope.services))
        elif self.target is not None and scope.logs is not None and self.target not in scope.logs:
            yield Problem(("target",), f"{self.target!r} has no log: what it writes is only kept of a process that we start", _OTHERS)
        if self.workload is not None and scope.workloads is not None and self.workload not in scope.workloads:
            yield Problem(("workload",), f"the system has no workload {self.workload!r}", nearest(self.workload, scope.workloads))

    def _match_problems(self) -> Iterator[Problem]:
        if sum(way is not None for way in (self.contains, self.matches, self.where)) != 1:
            yield Problem((), "a line matches by exactly one of contains, matches, where", "keep one of them")
        if self.where is not None:
            yield from expression_problems("where", self.where, "line")
        if self.matches is not None:
            try:
                _search(self.matches)("")
            except ValueError as error:
                yield Problem(("matches",), f"not a regular expression that can be used: {error}", "RE2, like reconnected to .*")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of the lines of a window."""

    lines: int
    count: int
    perhaps: int
    """Matches of which nobody knows whether they were written in the window."""
    errors: int
    error: str
    unread: timedelta
    """The longest stretch in which nobody read."""
    spans: tuple[Logged, ...]
    """Those that lie in the window at least in part."""

    @property
    def matched(self) -> tuple[str, ...]:
        """Where matches are told; the last is among them."""
        found = [span.evidence for span in self.spans if span.count]
        return tuple(found[: NAMED - 1] + found[NAMED - 1 :][-1:])

    @property
    def read(self) -> tuple[str, ...]:
        """What says that it was read: what has most lines."""
        most = sorted(self.spans, key=lambda span: span.lines, reverse=True)[:NAMED]
        return tuple(span.evidence for span in sorted(most, key=lambda span: span.start))

    def sample(self, opens: datetime) -> str:
        """The newest match that is told, in words."""
        span = next((span for span in reversed(self.spans) if span.samples), None)
        if span is None:
            return ""
        return f"; {brief((span.first or span.start) - opens)} into the window: {span.samples[0]}"


def _search(pattern: str) -> Looking:
    expression, bounded = compiled(_SEARCHED), re2(pattern)
    return lambda line: expression.holds(Bindings({"line": line, "pattern": bounded}))


def _seen(logged: tuple[Logged, ...], opens: datetime, closes: datetime | None) -> _Seen:
    """What was read of the window. Where two spans overlap (two observers at once), the first counts."""
    spans: list[Logged] = []
    reached, unread, lines, count, perhaps, errors, error = opens, timedelta(), 0, 0, 0, 0, ""
    for span in logged:
        if span.end <= opens or (closes is not None and span.start >= closes) or (spans and span.start < spans[-1].end):
            continue
        unread, reached = max(unread, span.start - reached), span.end
        spans.append(span)
        inside = placed(span, opens, closes)
        if inside:
            lines, count = lines + span.lines, count + span.count
            errors, error = errors + span.errors, error or span.error
        elif inside is None:
            perhaps += span.count
    return _Seen(lines, count, perhaps, errors, error, max(unread, closes - reached) if closes is not None else unread, tuple(spans))
