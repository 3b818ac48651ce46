"""`continuity`: every business key that was opened is closed once; none is lost, none closed twice."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Literal

from messages.claims.claim import Claim, Found, Matcher, Problem, Scope, ServiceEvent, Tally, expression_problems
from messages.claims.history import History, Judgement, failed, inconclusive, passed
from messages.claims.keys import key_of
from messages.expressions import compiled
from messages.observations import EventMatched, KeyCounts, Match
from messages.verdicts import Reason

NAMED = 100
"""How many keys of each kind are named; all are counted."""


class ContinuityClaim(Claim):
    """Each key that an `opened_by` event names is named by exactly one `closed_by` event, at the latest in the grace."""

    FIGURES = {"opened": "count", "closed": "count", "lost": "count", "twice": "count"}

    type: Literal["continuity"]
    key: str
    """CEL over `event` that gives the key, such as event.data.order_id."""
    opened_by: str | tuple[str, ...]
    """Types of the events that open a key."""
    closed_by: str | tuple[str, ...]
    """Types of the events that close one."""
    unknown_by: str | tuple[str, ...] = ()
    """Types of the events that leave open what became of a key, such as order.timed_out: it may then be closed or not, but never twice."""

    @property
    def follows_events(self) -> bool:
        return True

    def matcher(self, services: Mapping[str, frozenset[str]]) -> Matcher:
        del services
        return KeyMatcher(self.key, _types(self.opened_by), _types(self.closed_by), _types(self.unknown_by))

    def judge(self, history: History) -> Judgement | None:
        seen = history.matched
        if seen is None:
            return None
        keys, evidence = seen.keys or KeyCounts(opened=0, closed_once=0), history.matched_evidence or ""
        if keys.twice_count and history.surely_within(seen.last):
            return failed(f"{keys.twice_count} closed more than once: {_some(keys.twice)}", evidence, **_counts(keys))
        return self._judge_all(seen, keys, evidence) if history.events_complete else None

    def _judge_all(self, seen: EventMatched, keys: KeyCounts, evidence: str) -> Judgement:
        counts = _counts(keys)
        unread = f"; {seen.errors} events have no key that can be read: {seen.error}" if seen.errors else ""
        if seen.gap:
            return inconclusive(Reason.GAP, "part of the window was not seen, so a missing close proves nothing", evidence, **counts)
        if seen.errors and not keys.opened:
            return inconclusive(Reason.JUDGE_ERROR, f"`key` could not be evaluated: {seen.error}", evidence, **counts)
        if not keys.opened:
            return inconclusive(Reason.NO_SAMPLES, "no key was opened in the window", evidence, **counts)
        lost = max(keys.open_count, keys.opened - keys.closed_once - keys.unknown_count)
        unknown = f"; of {keys.unknown_count} nobody knows: {_some(keys.unknown)}" if keys.unknown_count else ""
        if lost:
            return failed(f"{lost} of {keys.opened} opened were never closed: {_some(keys.open)}{unknown}{unread}", evidence, **counts)
        if not keys.closed_once:
            told = f"nobody knows what became of any of the {keys.opened} that were opened: {_some(keys.unknown)}"
            return inconclusive(Reason.NO_SAMPLES, f"{told}{unread}", evidence, **counts)
        closed = f"{keys.closed_once} of {keys.opened}" if unknown else f"all {keys.opened}"
        return passed(f"{closed} opened were closed exactly once{unknown}{unread}", evidence, **counts)

    def summary(self) -> str:
        return self.description or f"every {self.key.removeprefix('event.data.')} of {_plain(self.opened_by)} is closed once"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        yield from expression_problems("key", self.key)
        both = _types(self.opened_by) & _types(self.closed_by)
        if both:
            yield Problem(("closed_by",), f"{min(both)!r} both opens and closes", "take it out of one of them")
        known = _types(self.unknown_by) & (_types(self.opened_by) | _types(self.closed_by))
        if known:
            yield Problem(("unknown_by",), f"{min(known)!r} opens or closes, so it leaves nothing unknown", "take it out of one of them")
        if self.within is not None or self.never or self.throughout:
            yield Problem(
                (), "continuity is judged at the window's end", "take `within`, `throughout` and `never` out; `grace` gives more time"
            )


class KeyMatcher(Matcher):
    """Matches the events that open, close or leave unknown, and reads their key."""

    def __init__(self, key: str, opened_by: frozenset[str], closed_by: frozenset[str], unknown_by: frozenset[str]) -> None:
        self._key = compiled(key)
        self._opened_by = opened_by
        self._unknown_by = unknown_by
        self.types = opened_by | closed_by | unknown_by

    def match(self, event: ServiceEvent) -> Found | None:
        return Found(key_of(self._key, event.bindings))

    def tally(self) -> Tally:
        return KeyTally(self._opened_by, self._unknown_by)


class KeyTally(Tally):
    """Follows each key from its opening to its closings."""

    def __init__(self, opened_by: frozenset[str], unknown_by: frozenset[str]) -> None:
        super().__init__()
        self._opened_by = opened_by
        self._unknown_by = unknown_by
        self._opened: dict[str, None] = {}
        self._unknown: set[str] = set()
        self._closings: dict[str, int] = {}

    def take(self, match: Match, *, in_grace: bool) -> None:
        super().take(match, in_grace=in_grace)
        key = match.key or ""
        if match.type in self._unknown_by:
            self._unknown.add(key)
        elif match.type not in self._opened_by:
            self._closings[key] = self._closings.get(key, 0) + 1
        elif not in_grace:
            self._opened[key] = None

    @property
    def keys(self) -> KeyCounts:
        left = [key for key in self._opened if key not in self._closings]
        open_ = [key for key in left if key not in self._unknown]
        unknown = [key for key in left if key in self._unknown]
        twice = [key for key, closings in self._closings.items() if closings > 1]
        unopened = [key for key in self._closings if key not in self._opened]
        return KeyCounts(
            opened=len(self._opened),
            closed_once=sum(1 for key in self._opened if self._closings.get(key) == 1),
            open=tuple(islice(open_, NAMED)),
            open_count=len(open_),
            twice=tuple(islice(twice, NAMED)),
            twice_count=len(twice),
            unopened=tuple(islice(unopened, NAMED)),
            unopened_count=len(unopened),
            unknown=tuple(islice(unknown, NAMED)),
            unknown_count=len(unknown),
        )


def _types(names: str | tuple[str, ...]) -> frozenset[str]:
    return frozenset({names} if isinstance(names, str) else names)


def _counts(keys: KeyCounts) -> dict[str, int]:
    unknown = {"unknown": keys.unknown_count} if keys.unknown_count else {}
    return {"opened": keys.opened, "closed": keys.closed_once, "lost": keys.open_count, "twice": keys.twice_count, **unknown}


def _plain(names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else " or ".join(names)


def _some(keys: tuple[str, ...]) -> str:
    return ", ".join(keys[:5]) + (" …" if len(keys) > 5 else "")
