"""`correlation`: what the audit trail must link to a fault or a rule, and how much it may leave unexplained."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from messages.claims.claim import Matcher, Problem, Scope, nearest
from messages.claims.counted import CountedClaim
from messages.claims.history import History, Judgement, failed, inconclusive, passed
from messages.observations import EventMatched, Match
from messages.rules import Share
from messages.values import Token
from messages.verdicts import Reason


class CorrelationClaim(CountedClaim):
    """Events are linked to what they followed from: at least `at_least` (1 by default), at most `at_most`, or `never`. Or, with
    `unexplained`, at most so many events, silences and irregularities are left that nothing explains.
    """

    FIGURES = {"count": "count"}
    COUNTED = "a link"

    type: Literal["correlation"]
    rule: Token | None = None
    """Only links by this rule of the system; by default any, those by a trace or correlation id too."""
    fault: str | None = None
    """Only what goes back to this fault."""
    confidence: Share | None = None
    """Only links that are at least so sure, all the way from the root; by default whatever their rule takes for sure enough."""
    unexplained: int | None = Field(default=None, ge=0)
    """How much may be left unexplained; nothing else is counted then."""

    @property
    def follows_events(self) -> bool:
        return True

    @property
    def fewest(self) -> int:
        return 0 if self.unexplained is not None else super().fewest

    @property
    def most(self) -> int | None:
        return self.unexplained if self.unexplained is not None else super().most

    def matcher(self, services: Mapping[str, frozenset[str]]) -> Matcher | None:
        """None: no single event tells it."""
        del services
        return None

    def faults_named(self) -> Iterator[str]:
        yield from super().faults_named()
        if self.fault is not None:
            yield self.fault

    def judge(self, history: History) -> Judgement | None:
        seen, evidence = history.matched, history.matched_evidence or ""
        if seen is None or not history.events_complete:
            return None
        return self._unknown(seen, evidence) or self._judge_count(seen, evidence)

    def _unknown(self, seen: EventMatched, evidence: str) -> Judgement | None:
        """Why nobody can say, if that is so."""
        enough = self.most is None and seen.count >= self.fewest
        if seen.gap:
            told = "not all that the audit trail rests on was read, or too much came for all of it to be kept"
            return inconclusive(Reason.GAP, told, evidence, count=seen.count)
        if seen.seen == 0:
            when = " after the first fault" if self.unexplained is not None else ""
            return inconclusive(Reason.NO_SAMPLES, f"no event of any kind came from the system in the window{when}", evidence)
        if not seen.before and not enough:
            told = "no event came before the first fault, so nobody can say what is ordinary"
            return inconclusive(Reason.NO_SAMPLES, told, evidence, count=seen.count)
        if seen.errors and not enough:
            told = f"the expressions of the rules cannot be evaluated on {seen.errors} events: {seen.error}"
            return inconclusive(Reason.JUDGE_ERROR, told, evidence, count=seen.count)
        return None

    def _judge_count(self, seen: EventMatched, evidence: str) -> Judgement:
        counted = self._counted(seen)
        if self.most is not None and seen.count > self.most:
            return failed(f"{counted}, at most {self.most} may: {_named(seen.kept[self.most :])}", evidence, count=seen.count)
        if seen.count < self.fewest:
            return failed(f"{counted}, at least {self.fewest} must", evidence, count=seen.count)
        return passed(counted, evidence, count=seen.count)

    def _counted(self, seen: EventMatched) -> str:
        if self.unexplained is not None:
            return f"{seen.count} left unexplained in {seen.seen} events"
        by = f" by {self.rule}" if self.rule is not None else ""
        to = f" to {self.fault}" if self.fault is not None else ""
        return f"{seen.count} of {seen.seen} events linked{to}{by}"

    def summary(self) -> str:
        if self.description:
            return self.description
        if self.unexplained is not None:
            return f"nothing is left unexplained{f' but {self.unexplained}' if self.unexplained else ''}"
        by, to = f" by {self.rule}" if self.rule is not None else "", f" from {self.fault}" if self.fault is not None else ""
        return f"events follow{to}{by} ({self.amount})"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        if scope.rules is not None and self.rule is not None and self.rule not in scope.rules:
            yield Problem(("rule",), f"the system has no correlation rule {self.rule!r}", nearest(self.rule, scope.rules))
        if scope.events is False:
            yield Problem((), "the system has no event streams, so there is no audit trail", "add events: [SUBJECT] to its spec")
        if self.fault is not None and self.fault not in scope.faults:
            yield Problem(("fault",), f"{self.fault!r} is no fault of this scenario", nearest(self.fault, scope.faults))
        others = [name for name in ("rule", "fault", "confidence", "at_least", "at_most") if getattr(self, name) is not None]
        if self.unexplained is not None and (others or self.never):
            yield Problem(("unexplained",), f"`unexplained` excludes {(others or ['never'])[0]}", "make two claims of it")
        yield from self.amount_problems()


def _named(matches: tuple[Match, ...]) -> str:
    return "; ".join(match.key or f"{match.type} from {match.source} (id {match.id})" for match in matches[:3]) or "see the evidence"
