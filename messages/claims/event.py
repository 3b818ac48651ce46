"""`event`: service events that match an expression come, often enough, or never."""

from collections.abc import Iterator, Mapping
from typing import Literal

from messages.claims.claim import KEYLESS, Found, Matcher, Problem, Scope, ServiceEvent, Tally, expression_problems
from messages.claims.comparing import reference_of, unlike_problems
from messages.claims.counted import CountedClaim
from messages.claims.history import History, Judgement, failed, inconclusive, passed
from messages.claims.keys import key_of
from messages.expression_text import asks_for_type_alone, event_types
from messages.expressions import compiled
from messages.observations import EventMatched, Match
from messages.values import Token
from messages.verdicts import Reason


class EventClaim(CountedClaim):
    """Events for which `where` is true come: at least `at_least` (1 by default), at most `at_most`, or `never`."""

    FIGURES = {"count": "count"}
    COUNTED = "an event"

    type: Literal["event"]
    where: str
    """CEL over `event`, a CloudEvent: `event.type`, `event.source`, `event.id`, `event.data`, …"""
    unlike: Token | None = None
    """An earlier phase without faults: only what is new since then counts, each `key` once. What always says the same proves nothing."""
    key: str | None = None
    """CEL over `event`, with `unlike`: what makes two events the same, such as event.data.alert_id."""

    @property
    def follows_events(self) -> bool:
        return True

    def matcher(self, services: Mapping[str, frozenset[str]]) -> Matcher:
        del services
        return WhereMatcher(self.where, self.key)

    def judge(self, history: History) -> Judgement | None:
        seen, evidence = history.matched, history.matched_evidence or ""
        if seen is None:
            return None
        unknown = self._unknown(history, seen)
        if unknown is not None:
            return unknown if history.events_complete else None
        most, counted = self.most, self._counted(seen)
        if most is not None and seen.count > most and history.surely_within(_nth(seen, most + 1)):
            return failed(f"{counted}, at most {most} may: {_named(_nth(seen, most + 1))}", evidence, count=seen.count)
        sure = self.may_pass_early(history) and not (self.unlike is not None and seen.gap)
        enough = most is None and 0 < self.fewest <= seen.count and sure
        if enough and history.surely_within(_nth(seen, self.fewest)):
            return passed(f"{counted}, at least {self.fewest} must", evidence, count=seen.count)
        return self._judge_all(seen, evidence) if history.events_complete else None

    def _judge_all(self, seen: EventMatched, evidence: str) -> Judgement:
        evaluated = seen.seen if seen.evaluated is None else seen.evaluated
        unread = f"; `where` could not be evaluated on {seen.errors}: {seen.error}" if seen.errors else ""
        counted = self._counted(seen)
        if seen.gap:
            return inconclusive(Reason.GAP, f"{counted}, but part of the window was not seen{unread}", evidence, count=seen.count)
        if seen.seen == 0:
            return inconclusive(Reason.NO_SAMPLES, "no event of any kind came from the system in the window", evidence)
        if seen.errors and seen.errors >= evaluated:
            return inconclusive(Reason.JUDGE_ERROR, f"`where` could not be evaluated on any event: {seen.error}", evidence)
        if seen.count < self.fewest:
            return failed(f"{counted}, at least {self.fewest} must{unread}", evidence, count=seen.count)
        limit = f", at most {self.most} may" if self.most is not None else ""
        return passed(f"{counted}{limit}{unread}", evidence, count=seen.count)

    def _unknown(self, history: History, seen: EventMatched) -> Judgement | None:
        """Why nobody can say what is new, if that is so."""
        if self.unlike is None:
            return None
        before, evidence = reference_of(self.unlike, history), history.matched_evidence or ""
        if isinstance(before, Judgement):
            return before
        if seen.before is None:
            return inconclusive(Reason.GAP, f"what came in the phase {self.unlike} was not counted", evidence)
        if seen.before == 0:
            told = f"no event of any kind came in the phase {self.unlike}, so nobody can say what is new since"
            return inconclusive(Reason.NO_SAMPLES, told, evidence)
        return None

    def _counted(self, seen: EventMatched) -> str:
        if self.unlike is None:
            return f"{seen.count} of {seen.seen} events matched"
        return f"{seen.count} keys matched that did not in {self.unlike} ({seen.known} did), in {seen.seen} events"

    def summary(self) -> str:
        if self.description:
            return self.description
        return f"{self.where} ({self.amount}{f', unlike in {self.unlike}' if self.unlike is not None else ''})"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        yield from expression_problems("where", self.where)
        yield from unlike_problems(self.unlike, self.key, "event.data.alert_id", scope)
        if self.key is not None:
            yield from expression_problems("key", self.key)
        yield from self.amount_problems()


class WhereMatcher(Matcher):
    """Matches the events for which an expression is true, and reads their key if there is one."""

    def __init__(self, where: str, key: str | None = None) -> None:
        self.where = where
        self._where = compiled(where)
        self._key = compiled(key) if key is not None else None
        self.types = event_types(where)
        self._alone = self.types if asks_for_type_alone(where) else None

    def match(self, event: ServiceEvent) -> Found | None:
        if not (self._where.holds(event.bindings) if self._alone is None else event.type in self._alone):
            return None
        return Found(key_of(self._key, event.bindings)) if self._key is not None else KEYLESS

    def tally(self) -> Tally:
        return Tally() if self._key is None else NewTally()


class NewTally(Tally):
    """Counts each key once."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: set[str | None] = set()

    def take(self, match: Match, *, in_grace: bool) -> None:
        if match.key not in self._keys:
            self._keys.add(match.key)
            super().take(match, in_grace=in_grace)


def _nth(seen: EventMatched, number: int) -> Match | None:
    """The match that made the count reach this number; a later one when it is not kept."""
    return seen.kept[number - 1] if number <= len(seen.kept) else seen.last


def _named(match: Match | None) -> str:
    return f"{match.type} from {match.source} (id {match.id}, sequence {match.sequence})" if match else "see the evidence"
