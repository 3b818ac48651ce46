"""`slo`: the share of good samples of a probe or a workload; alone or beside an earlier phase."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Literal

from pydantic import Field

from messages.claims.claim import Claim, Problem, Scope
from messages.claims.comparing import reference_of
from messages.claims.history import History, Judgement, Window, failed, inconclusive, passed
from messages.claims.measured import Timings
from messages.claims.samples import emptiness, samples, source_problems
from messages.claims.shares import Share, ShareText, parse_share, percent, share_problems
from messages.histogram import bucket_of, edge_of
from messages.values import Duration, Token, format_duration
from messages.verdicts import Reason

FEWEST = 30
"""Samples that a share needs, if it does not need more."""
EXACT = timedelta(microseconds=1)
"""Edges of buckets are written in whole microseconds."""


@dataclass(frozen=True, slots=True)
class _Good:
    """How many samples were good: at least, and at most, since a histogram knows durations only to some per cent."""

    count: int
    least: int
    most: int
    found: Timings


class SloClaim(Claim):
    """At least such a share of all samples in the window is good: answered as expected and, with `below`, not slower than that.

    What failed, was missed or stayed unknown is not good.
    """

    FIGURES = {"share": "share", "good": "count", "samples": "count"}

    type: Literal["slo"]
    probe: Token | None = None
    """A probe of the system: its samples, by their intended starts."""
    workload: Token | None = None
    """A workload of the system: its operations, by when they ended."""
    at_least: ShareText
    """A percentage like 99.5% or, with `compare`, percentage points less than there: -1pp."""
    below: Duration | None = None
    """What takes longer is not good."""
    compare: Token | None = None
    """An earlier phase, in which no fault was active."""
    min_samples: int | None = Field(default=None, ge=1)
    """How many samples there must be, in the window and in the earlier phase; by default 30, or what the share needs: 200 for 99.5%."""

    @property
    def source(self) -> str:
        """The probe or workload that it is about."""
        return self.probe or self.workload or ""

    @property
    def fewest(self) -> int:
        """How many samples there must be."""
        return self.min_samples if self.min_samples is not None else max(FEWEST, self._share.needed)

    def judge(self, history: History) -> Judgement | None:
        opens, closes = history.window.opens, history.window.closes
        empty = emptiness(opens, closes)
        if empty is not None:
            return empty
        if opens is None or closes is None or not history.all_told(closes):
            return None
        good = self._good(history, history.window, "the window")
        return good if isinstance(good, Judgement) else self._judge_good(history, good)

    def _judge_good(self, history: History, good: _Good) -> Judgement:
        if self.compare is None:
            return self._judge_limit(good, self._share.amount, f"at least {self.at_least} wanted")
        window = reference_of(self.compare, history)
        before = window if isinstance(window, Judgement) else self._good(history, window, f"the phase {self.compare}")
        if isinstance(before, Judgement):
            return before
        if before.least != before.most:
            return self._too_near(before, f"in the phase {self.compare} ")
        normal = Fraction(before.least, before.count)
        if not normal:
            told = f"in the phase {self.compare} none of {before.count} was good, so there is nothing to compare with"
            return inconclusive(Reason.PRECONDITION, told, *before.found.evidence)
        limit = self._share.at(normal)
        told = f"at least {percent(limit)} wanted ({percent(normal)} of {before.count} in {self.compare}, {self.at_least})"
        return self._judge_limit(good, limit, told, before.found.evidence)

    def _judge_limit(self, good: _Good, limit: Fraction, told: str, compared: tuple[str, ...] = ()) -> Judgement:
        evidence = (*good.found.evidence, *compared)
        figures: dict[str, timedelta | int | str] = {"samples": good.count, "good": good.least, "share": percent(_share(good.least, good))}
        if good.found.unknown:
            figures["unknown"] = good.found.unknown
        if _share(good.least, good) < limit <= _share(good.most, good):
            return self._too_near(good)
        said = (
            f"{percent(_share(good.least, good))} of {self.source}, {good.least} of {good.count}, were good{self._how}, {told}{_bad(good)}"
        )
        return passed(said, *evidence, **figures) if _share(good.least, good) >= limit else failed(said, *evidence, **figures)

    def _too_near(self, good: _Good, where: str = "") -> Judgement:
        """It depends on samples of which nobody can say whether they were good."""
        doubtful = good.most - good.least
        if self.below is not None and good.found.untimed:
            right = "let the workload say what each operation `took`"
        else:
            bucket = bucket_of(self.below or timedelta())
            right = f"durations are known in steps of 4%: let `below` be {_steps(bucket)}"
        told = f"{where}{good.least} of {good.count} were good{self._how}, and of {doubtful} more nobody can say; {right}"
        return inconclusive(Reason.TOO_FEW_SAMPLES, told, *good.found.evidence, samples=good.count, good=good.least)

    def _good(self, history: History, window: Window, where: str) -> _Good | Judgement:
        found = samples(history, window, self.source, where)
        if isinstance(found, Judgement):
            return found
        count = found.count + found.untimed
        if not count:
            return inconclusive(Reason.NO_SAMPLES, f"nothing was tried by {self.source} in {where}", *found.evidence)
        if count < self.fewest:
            told = f"{count} samples in {where}, {self.at_least} of {self.source} needs {self.fewest}; lengthen it, or sample more often"
            return inconclusive(Reason.TOO_FEW_SAMPLES, told, *found.evidence, samples=count)
        deadline = history.measured.deadline if history.measured is not None else None
        least, most = self._bounds(found, deadline) if self.below is not None else (count - found.slow,) * 2
        return _Good(count, least, most, found)

    def _bounds(self, found: Timings, deadline: timedelta | None) -> tuple[int, int]:
        """The fewest and the most that can have been good and at most so slow.

        Of a probe those that failed are among the timed, as slow as its deadline or slower: of these nobody knows which are good.
        """
        counts, bucket = found.timed.counts, bucket_of(self.below or timedelta())
        surely = bucket if edge_of(bucket) <= (self.below or timedelta()) + EXACT else bucket - 1
        bad = 0 if deadline is None else found.slow
        late = bucket if deadline is None else bucket_of(deadline)
        quick = sum(count for place, count in counts.items() if place <= surely)
        mixed = sum(count for place, count in counts.items() if late <= place <= surely)
        near = sum(count for place, count in counts.items() if place <= bucket)
        beyond = sum(count for place, count in counts.items() if place > bucket)
        return quick - min(bad, mixed), near - max(0, bad - beyond) + found.untimed

    @property
    def _share(self) -> Share:
        return parse_share(self.at_least)

    @property
    def _how(self) -> str:
        return f" (at most {format_duration(self.below)})" if self.below is not None else ""

    def summary(self) -> str:
        beside = f" of {self.compare}" if self.compare is not None else ""
        return self.description or f"{self.at_least}{beside} of {self.source} are good{self._how}"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        if (self.probe is None) == (self.workload is None):
            yield Problem((), "good samples are those of exactly one of probe, workload", "keep one of them")
        yield from source_problems(self.probe, self.workload, scope)
        if self.within is not None or self.never or self.throughout:
            yield Problem((), "a share is judged at the window's end", "take `within`, `throughout` and `never` out")
        if self.below is not None and not self.below:
            yield Problem(("below",), "nothing takes no time", "below: 250ms")
        if self.min_samples is not None and self.min_samples < self._share.needed:
            what = f"of {self.min_samples} samples one that is bad is more than {self.at_least} leaves"
            yield Problem(("min_samples",), what, f"at least {self._share.needed}")
        yield from share_problems(self, self._share, self.compare, scope)


def _share(number: int, good: _Good) -> Fraction:
    return Fraction(number, good.count)


def _bad(good: _Good) -> str:
    """What those are that were not good."""
    found = good.found
    wrong, slow = found.slow - found.unknown, good.count - found.slow - good.least
    parts = ((wrong, "failed or were missed"), (found.unknown, "stayed unknown"), (slow, "were too slow"))
    told = " and ".join(f"{count} {how}" for count, how in parts if count)
    return f"; {told}" if told else ""


def _steps(bucket: int) -> str:
    edges = (edge_of(place) // EXACT / 1000 for place in (bucket - 1, bucket))
    return " or ".join(f"{edge:.3f}".rstrip("0").rstrip(".") + "ms" for edge in edges)
