"""What claims share that ask by themselves, again and again while their window is open: how they ask, and their judge."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from messages.checks import Question
from messages.claims.claim import Claim, Problem, Scope
from messages.claims.history import History, Judgement, Sampled, Transition, failed, inconclusive, passed
from messages.values import Duration, brief, format_duration
from messages.verdicts import Reason

SHORTEST, LONGEST = timedelta(milliseconds=20), timedelta(minutes=1)


class AnsweredClaim(Claim):
    """What is asked while the window is open is answered as expected: at its end, within a time, throughout, or never."""

    FIGURES = {"took": "seconds", "answers": "count"}

    every: Duration = timedelta(milliseconds=500)
    """The interval between two questions."""
    deadline: Duration = timedelta(seconds=1)
    """An answer that takes longer is none."""

    @property
    def question(self) -> Question:
        """What is asked, and what answer is expected."""
        raise NotImplementedError

    @property
    def asked(self) -> str:
        """What is asked, in a word or two."""
        raise NotImplementedError

    def judge(self, history: History) -> Judgement | None:
        opens, closes = history.window.opens, history.window.closes
        if opens is None:
            return None
        if closes is not None and closes <= opens:
            return inconclusive(Reason.NO_SAMPLES, "the window ended before it opened")
        decided = self._decided(history, opens, closes)
        if decided is not None or closes is None or not history.probes_passed(closes):
            return decided
        return self._judge_all(history, opens, closes)

    def _decided(self, history: History, opens: datetime, closes: datetime | None) -> Judgement | None:
        """What one answer alone has settled."""
        good, bad = _first(history, opens, closes, up=True), _first(history, opens, closes, up=False)
        if self.throughout and bad is not None and any(t.asked for t in _inside(history, opens, closes)):
            return failed(f"{_after(bad, opens)}: {bad.error}", bad.evidence)
        if self.never and good is not None:
            return failed(f"{_after(good, opens)} it was answered as expected, and never must be", good.evidence)
        if self.within is not None and good is not None and self.may_pass_early(history):
            return passed(f"{_after(good, opens)} it was answered as expected", good.evidence, took=good.at - opens)
        return None

    def _judge_all(self, history: History, opens: datetime, closes: datetime) -> Judgement:
        """The window is over, and no answer has decided alone."""
        answers, asked = history.answers, history.answers.within(opens, closes)
        evidence = [t.evidence for t in answers.transitions if t.at < closes][-1:] + [s.evidence for s in asked[-1:]]
        if not asked:
            return inconclusive(Reason.NO_SAMPLES, f"{self.asked} was not asked in the window", *evidence)
        if not any(s.ok for s in asked) and (unasked := self._unasked(history, closes)) is not None:
            return unasked
        allowed = max(history.max_gap, 2 * self.every)
        start = max(opens, closes - allowed - self.every) if self._ends_open else opens
        if answers.unsampled(start, closes) > allowed:
            told = f"{self.asked} was not asked for more than {format_duration(allowed)} of the window"
            return inconclusive(Reason.GAP, told, *evidence)
        judge = self._judge_end if self._ends_open else self._judge_counts
        return judge(history, opens, closes, tuple(evidence))

    def _judge_end(self, history: History, opens: datetime, closes: datetime, evidence: tuple[str, ...]) -> Judgement:
        last = next((t.up for t in reversed(history.answers.transitions) if t.seen <= closes), None)
        if last is None:
            return inconclusive(Reason.NO_SAMPLES, f"nothing is known of {self.asked} at the window's end", *evidence)
        if last:
            return passed("answered as expected at the end", *evidence)
        count = sum(s.ok + s.failed for s in history.answers.whole(opens, closes))
        return failed(f"at the end: {_got(history, closes)}", *evidence, answers=count)

    def _judge_counts(self, history: History, opens: datetime, closes: datetime, evidence: tuple[str, ...]) -> Judgement:
        """Of answers that were summed up across the window's edge nobody knows whether they came in it."""
        whole, answers = history.answers.whole(opens, closes), history.answers.within(opens, closes)
        good, count = sum(s.ok for s in whole), sum(s.ok + s.failed for s in whole)
        told = f"{good} of {count} answers were as expected"
        if any(self._decides(s) for s in whole):
            holds = self.within is not None
        elif any(self._decides(s) for s in answers if s.start < opens or s.end > closes):
            return inconclusive(Reason.GAP, f"{told}; of others nobody can say whether they came in the window", *evidence)
        else:
            holds = self.within is None
        if holds:
            return passed(told, *evidence, answers=count)
        return failed(f"{told}; there was {_got(history, closes)}", *evidence, answers=count)

    def _decides(self, span: Sampled) -> bool:
        """Whether one of its answers settles the claim, for or against it."""
        return (span.failed if self.throughout else span.ok) > 0

    def _unasked(self, history: History, closes: datetime) -> Judgement | None:
        """Why no answer says anything of the service: nothing could be asked. Of what must never come, each time must be known."""
        known = [t for t in history.answers.transitions if t.at < closes]
        unasked = [t for t in known if not t.asked]
        if not unasked or (len(unasked) < len(known) and not self.never):
            return None
        told = f"{self.asked} could not be asked: {unasked[-1].error}"
        return inconclusive(Reason.JUDGE_ERROR, told, *(t.evidence for t in unasked[-1:]))

    @property
    def _ends_open(self) -> bool:
        """Whether only the window's end counts."""
        return not (self.throughout or self.never or self.within is not None)

    def summary(self) -> str:
        how = f"within {format_duration(self.within)}" if self.within is not None else "throughout" if self.throughout else "at the end"
        return self.description or f"{self.asked} answers {self.question.expect} {'never' if self.never else how}"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        yield from interval_problems(self.every, self.deadline)


def interval_problems(every: timedelta, deadline: timedelta) -> Iterator[Problem]:
    """What is wrong with how often a claim asks, and how long it waits."""
    for key, span in (("every", every), ("deadline", deadline)):
        if not SHORTEST <= span <= LONGEST:
            yield Problem((key,), f"{key} is between 20ms and 1m", f"{key}: 1s")


def _inside(history: History, opens: datetime, closes: datetime | None) -> Iterator[Transition]:
    """The changes in the window. It is asked only while the window is open."""
    return (t for t in history.answers.transitions if t.at >= opens and (closes is None or t.at < closes))


def _first(history: History, opens: datetime, closes: datetime | None, *, up: bool) -> Transition | None:
    """The first answer in the window that was good, or bad."""
    return next((t for t in _inside(history, opens, closes) if t.up is up), None)


def _got(history: History, closes: datetime) -> str:
    """The last answer in the window that was not as expected."""
    return next((t.error or "" for t in reversed(history.answers.transitions) if not t.up and t.at < closes), "nothing")


def _after(change: Transition, opens: datetime) -> str:
    return f"{brief(change.at - opens)} into the window"
