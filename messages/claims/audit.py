"""`audit`: a service's own audit events tell a story, in this order."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import zip_longest
from typing import Literal

from pydantic import Field

from messages.audit_events import SOURCE
from messages.claims.claim import KEYLESS, Claim, Found, Matcher, Problem, Scope, ServiceEvent, Tally, target_problems
from messages.claims.history import History, Judgement, failed, inconclusive, passed
from messages.observations import EventMatched, Match
from messages.values import Token, brief
from messages.verdicts import Reason


class AuditClaim(Claim):
    """The target's audit events have these types in this order (others may come between)."""

    FIGURES = {"steps": "count", "took": "seconds"}

    type: Literal["audit"]
    target: Token
    """The service whose events they are: by its name or an alias as the event's `source`."""
    sequence: tuple[str, ...] = Field(min_length=1, max_length=20)
    """Event types, in order."""

    @property
    def follows_events(self) -> bool:
        return True

    @property
    def asks_for_something(self) -> bool:
        return True

    def matcher(self, services: Mapping[str, frozenset[str]]) -> Matcher:
        return SequenceMatcher(services.get(self.target, frozenset({self.target})), self.sequence)

    def judge(self, history: History) -> Judgement | None:
        seen, opens = history.matched, history.window.opens
        if seen is None or opens is None:
            return None
        evidence = history.matched_evidence or ""
        steps = seen.kept
        found_all = tuple(s.type for s in steps) == self.sequence
        sure = self.may_pass_early(history) or history.events_complete
        if found_all and sure and history.surely_within(steps[-1]):
            told = ", ".join(f"{s.type} after {brief(s.at - opens)}" for s in steps)
            return passed(f"{self.target}: {told}", evidence, steps=len(steps), took=max(steps[-1].at - opens, timedelta()))
        if not history.events_complete:
            return None
        return self._judge_missing(seen, evidence)

    def _judge_missing(self, seen: EventMatched, evidence: str) -> Judgement:
        steps = seen.kept
        if seen.seen == 0:
            return inconclusive(Reason.NO_SAMPLES, "no event of any kind came from the system in the window", evidence)
        if seen.gap:
            return inconclusive(Reason.GAP, "the sequence was not complete in what was seen, and part of the window was not", evidence)
        found = f"saw {', then '.join(s.type for s in steps)}, but" if steps else "saw"
        missing = next((wanted for wanted, step in zip_longest(self.sequence, steps) if step is None or step.type != wanted), None)
        return failed(f"{self.target}: {found} no {missing} in the window", evidence, steps=len(steps))

    def summary(self) -> str:
        return self.description or f"{self.target} tells {' → '.join(self.sequence)}"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        yield from target_problems("target", self.target, scope)
        if self.never or self.throughout:
            yield Problem((), "an audit sequence is either found or not", "use an event claim with `never` instead")


class SequenceMatcher(Matcher):
    """Matches a service's events of the sequence's types."""

    def __init__(self, names: frozenset[str], sequence: tuple[str, ...]) -> None:
        self._names = names
        self._sequence = sequence
        self.types = frozenset(sequence)

    @property
    def asks_for_ours(self) -> bool:
        return SOURCE in self._names

    def match(self, event: ServiceEvent) -> Found | None:
        return KEYLESS if event.source in self._names else None

    def tally(self) -> Tally:
        return SequenceTally(self._sequence)


class SequenceTally(Tally):
    """Keeps the steps found so far, each the first of its type after the one before."""

    def __init__(self, sequence: tuple[str, ...]) -> None:
        super().__init__()
        self._sequence = sequence
        self._steps: list[Match] = []

    def take(self, match: Match, *, in_grace: bool) -> None:
        super().take(match, in_grace=in_grace)
        if len(self._steps) < len(self._sequence) and match.type == self._sequence[len(self._steps)]:
            self._steps.append(match)

    @property
    def kept(self) -> tuple[Match, ...]:
        return tuple(self._steps)
