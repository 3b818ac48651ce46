"""`outage`: the longest time in which a probe or a workload saw no success; alone or beside an earlier phase."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from messages.claims.claim import Claim, Problem, Scope
from messages.claims.comparing import LatencyLimit, comparison_problems, latency_limit, reference_of
from messages.claims.history import History, Judgement, Window, failed, inconclusive, passed
from messages.claims.measured import NAMED, Measured
from messages.claims.outages import Stretch, SuccessSpan, holes, inside, stretches
from messages.claims.samples import comparable_problems, emptiness, longest_gap, not_looked_at, source_problems
from messages.claims.spans import Span
from messages.values import Token, brief
from messages.verdicts import Reason


class OutageClaim(Claim):
    """No time without a success is longer than this. A success counts when it came; the window's edges end a time, but are no successes.

    What failed, was missed or was not looked at is no success; nor is an operation that stayed unknown, or a workload's silence.
    """

    FIGURES = {"longest": "seconds", "limit": "seconds"}

    type: Literal["outage"]
    probe: Token | None = None
    """A probe of the system: when good answers came. It cannot see what is shorter than its interval."""
    workload: Token | None = None
    """A workload of the system: when operations that succeeded ended."""
    at_most: LatencyLimit
    """A duration like 2s or, with `compare`, more than the longest there: +500ms, +50% or 2x."""
    compare: Token | None = None
    """An earlier phase, in which no fault was active."""

    @property
    def source(self) -> str:
        """The probe or workload that it is about."""
        return self.probe or self.workload or ""

    def judge(self, history: History) -> Judgement | None:
        opens, closes = history.window.opens, history.window.closes
        if opens is None:
            return None
        empty = emptiness(opens, closes)
        if empty is not None:
            return empty
        if closes is None or not history.all_told(closes):
            return self._judge_early(history, opens, closes)
        return self._judge_window(history, opens, closes)

    def _judge_early(self, history: History, opens: datetime, closes: datetime | None) -> Judgement | None:
        """A time that is too long already stays so, whatever comes."""
        known = history.measured
        if known is None or not self.may_pass_early(history):
            return None
        spans = inside(known.successes, opens, closes or datetime.max.replace(tzinfo=opens.tzinfo))
        limit = self._limit(history)
        if isinstance(limit, Judgement) or not sum(span.count for span in spans):
            return None
        surest = max(self._stretches(known, spans, opens, spans[-1].end), key=lambda stretch: stretch.sure)
        allowed, told = limit
        return self._failed(history, opens, surest, told) if surest.sure > allowed else None

    def _judge_window(self, history: History, opens: datetime, closes: datetime) -> Judgement:
        limit = self._limit(history)
        if isinstance(limit, Judgement):
            return limit
        allowed, _ = limit
        if closes - opens <= allowed:
            short = f"the window lasts only {brief(closes - opens)}, so nothing in it can last longer than {brief(allowed)}; lengthen it"
            return inconclusive(Reason.TOO_FEW_SAMPLES, short)
        found = self._found(history, opens, closes, "the window")
        return found if isinstance(found, Judgement) else self._judge_found(history, (opens, closes), found, limit)

    def _judge_found(self, history: History, window: Span, found: list[Stretch], limit: tuple[timedelta, str]) -> Judgement:
        (opens, closes), (allowed, told) = window, limit
        surest = max(found, key=lambda stretch: stretch.sure)
        if surest.sure > allowed:
            return self._failed(history, opens, surest, told)
        gap = self._gap(history, opens, closes, "the window")
        if gap is not None:
            return gap
        longest = max(found, key=lambda stretch: stretch.length)
        if longest.length > allowed:
            seen = f"{brief(longest.length)} were without a success of {self.source}, but only {brief(longest.sure)} of them were looked at"
            return inconclusive(Reason.GAP, f"{seen}; {told}", *_some(longest.evidence))
        said = f"{self._said(history, opens, longest, longest.length)}, {told}"
        return passed(said, *_some(longest.evidence), longest=longest.length, limit=allowed)

    def _failed(self, history: History, opens: datetime, surest: Stretch, told: str) -> Judgement:
        said = f"{self._said(history, opens, surest, surest.sure)}, {told}"
        return failed(said, *_some(surest.evidence), longest=surest.sure)

    def _said(self, history: History, opens: datetime, stretch: Stretch, length: timedelta) -> str:
        every = history.measured.every if history.measured is not None else None
        bound = f" (give or take {brief(every)}, its interval)" if every is not None else ""
        return f"{self.source} was without a success for {brief(length)}{bound}, from {brief(stretch.start - opens)} into the window"

    def _limit(self, history: History) -> tuple[timedelta, str] | Judgement:
        """How long is allowed, and in words; or why that is not known."""
        limit, every = latency_limit(self.at_most), history.measured.every if history.measured is not None else None
        normal, beside = None, ""
        if self.compare is not None:
            before = reference_of(self.compare, history)
            longest = before if isinstance(before, Judgement) else self._longest(history, before, f"the phase {self.compare}")
            if isinstance(longest, Judgement):
                return longest
            normal, beside = longest.total_seconds(), f" ({brief(longest)} in {self.compare}, {limit.text})"
        allowed = timedelta(seconds=max(0.0, limit.at(normal)))
        if every is not None and allowed < 2 * every:
            told = f"at most {brief(allowed)} is less than a sample every {brief(every)} can show; raise the probe's rate, or allow more"
            return inconclusive(Reason.TOO_FEW_SAMPLES, told)
        return allowed, f"at most {brief(allowed)} allowed{beside}"

    def _longest(self, history: History, window: Window, where: str) -> timedelta | Judgement:
        """The longest time without a success in an earlier phase; how it was is known only if there was one."""
        opens, closes = window.opens, window.closes
        if opens is None or closes is None:
            return inconclusive(Reason.PHASE_CUT, f"{where} is not known whole")
        found = self._found(history, opens, closes, where)
        if isinstance(found, Judgement):
            return found
        gap = self._gap(history, opens, closes, where)
        if gap is not None:
            return gap
        longest = max(found, key=lambda stretch: stretch.length)
        if longest.length >= closes - opens:
            return inconclusive(Reason.PRECONDITION, f"in {where} {self.source} had no success", *_some(longest.evidence))
        return longest.length

    def _found(self, history: History, opens: datetime, closes: datetime, where: str) -> list[Stretch] | Judgement:
        known = history.measured
        spans = inside(known.successes, opens, closes) if known is not None else ()
        if known is None or not sum(span.count for span in spans):
            gap = self._gap(history, opens, closes, where) if known is not None and known.gaps else None
            return gap or inconclusive(Reason.NO_SAMPLES, f"nothing was tried by {self.source} in {where}")
        return self._stretches(known, spans, opens, closes)

    def _stretches(self, known: Measured, spans: tuple[SuccessSpan, ...], opens: datetime, closes: datetime) -> list[Stretch]:
        return list(stretches(spans, opens, closes, _unseen(known, spans, opens, closes)))

    def _gap(self, history: History, opens: datetime, closes: datetime, where: str) -> Judgement | None:
        """That nobody looked for too long, if so."""
        known = history.measured
        if known is None:
            return None
        spans, allowed = inside(known.successes, opens, closes), longest_gap(history, known)
        unseen = max((end - start for start, end in _unseen(known, spans, opens, closes)), default=timedelta())
        if unseen <= allowed:
            return None
        return not_looked_at(self.source, unseen, where, allowed, *_some(tuple(span.evidence for span in spans)))

    def summary(self) -> str:
        beside = f" of {self.compare}" if self.compare is not None else ""
        return self.description or f"{self.source} is never without a success for longer than {self.at_most}{beside}"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        if (self.probe is None) == (self.workload is None):
            yield Problem((), "an outage is that of exactly one of probe, workload", "keep one of them")
        yield from source_problems(self.probe, self.workload, scope)
        if self.within is not None or self.never or self.throughout:
            yield Problem((), "an outage is looked for in all of the window", "take `within`, `throughout` and `never` out")
        limits = {"at_most": latency_limit(self.at_most)}
        yield from comparable_problems(self, self.compare, scope) or comparison_problems(self.compare, limits, scope)


def _unseen(known: Measured, spans: tuple[SuccessSpan, ...], opens: datetime, closes: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """When nobody looked: of a probe what no summary covers, of a workload, which may be silent, what is said to be a gap."""
    if known.every is not None:
        return holes(spans, opens, closes)
    clipped = ((max(start, opens), min(end, closes)) for start, end in known.gaps)
    return tuple((start, end) for start, end in clipped if start < end)


def _some(evidence: tuple[str, ...]) -> tuple[str, ...]:
    """The first and the last of many."""
    return evidence if len(evidence) <= NAMED else (*evidence[: NAMED // 2], *evidence[-NAMED // 2 :])
