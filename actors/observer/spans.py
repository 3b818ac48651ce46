"""Spans of services, matched for claims as they are received, and summed up. Pure."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from messages.claims import TraceClaim
from messages.claims.keys import key_of
from messages.expressions import Bindings, ExpressionError, compiled
from messages.measurements import TraceMatched
from messages.values import brief
from targets.spans import Span

KNOWN = 50_000
"""Spans that are known again when they are sent twice, or when their children come."""
WAITING, HOLD = 2_000, timedelta(seconds=10)
"""How many spans wait for their parents, for each claim, and how long."""
KEYS, LONGEST_KEY = 100, 200
"""How many keys a line of the journal tells, and how many characters each may have."""
STRETCH, QUIET = timedelta(seconds=1), timedelta(seconds=10)
"""How long a stretch is in which spans came, and at most one in which none did."""
NAMED, SHOWN = 3, 300
"""How many matches a stretch names, and how many characters of each."""
ROOT: Mapping[str, str] = {"name": "", "service": ""}
"""The parent of a span that has none."""
_PARENT = re.compile(r"\bparent\b")


@dataclass(slots=True)
class _Found:
    """What a claim has found at one instant."""

    at: datetime
    spans: int = 0
    count: int = 0
    errors: int = 0
    error: str = ""
    refused: int = 0
    beyond: int = 0
    keys: dict[str, None] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Child:
    """A span that waits for its parent."""

    at: datetime
    span: Span


class SpanMatches:
    """What one claim matches, from the instant on at which somebody listens."""

    def __init__(self, claim: TraceClaim, start: datetime, hide: Callable[[str], str]) -> None:
        self._claim = claim
        self._hide = hide
        self._where = compiled(claim.where)
        self._key = compiled(claim.key) if claim.key is not None else None
        self._asks_parent = _PARENT.search(f"{claim.where} {claim.key}") is not None
        self._found: deque[_Found] = deque()
        self._waiting: dict[str, _Child] = {}
        self._children: dict[str, list[str]] = {}
        """Those that wait for each parent."""
        self._given_up = 0
        """Those that wait no more, and of which nothing is told yet."""
        self.start = start
        """Nothing earlier is told any more."""

    def see(self, at: datetime, span: Span, values: Bindings, *, whole: bool) -> None:
        """Look at the next span; `whole` unless its parent is not known."""
        found = self._at(at)
        found.spans += 1
        if not self._look(found, span, values, whole=whole):
            self._wait(found.at, span)

    def parent_came(self, at: datetime, identity: str, parent: Mapping[str, str]) -> None:
        """Look again at the spans that have waited for it."""
        for name in self._children.pop(identity, ()):
            child = self._waiting.pop(name, None)
            if child is not None:
                self._look(self._at(at), child.span, Bindings({"span": child.span.told(parent)}), whole=True)

    def refuse(self, at: datetime) -> None:
        """A request could not be read."""
        self._at(at).refused += 1

    def through(self, until: datetime, edges: Iterable[datetime]) -> list[TraceMatched]:
        """The stretches that end at `until` or before, cut at the edges, with no hole between them."""
        ends = deque(sorted(edge for edge in edges if edge > self.start))
        told: list[TraceMatched] = []
        while (end := self._end(ends)) <= until:
            told.append(self._take(end))
            self.start = end
        while self._waiting and next(iter(self._waiting.values())).at + HOLD <= until:
            self._drop()
        return told

    def _at(self, at: datetime) -> _Found:
        """Where to count; never before what is there already, whatever the clock says."""
        last = self._found[-1].at if self._found else self.start
        if not self._found or at > last:
            self._found.append(_Found(max(at, last)))
        return self._found[-1]

    def _look(self, found: _Found, span: Span, values: Bindings, *, whole: bool) -> bool:
        """Whether it can be said if the span matches."""
        try:
            if not self._where.holds(values):
                return True
            key = self._key_of(values)
        except (ExpressionError, OverflowError, RecursionError) as error:
            if self._asks_parent and not whole:
                return False
            found.errors += 1
            found.error = found.error or self._hide(str(error))[:SHOWN]
            return True
        found.count += 1
        if key is not None and key not in found.keys:
            if len(found.keys) < KEYS:
                found.keys[key] = None
            else:
                found.beyond += 1
        if len(found.samples) < NAMED:
            found.samples.append(self._hide(_described(span))[:SHOWN])
        return True

    def _key_of(self, values: Bindings) -> str | None:
        if self._key is None:
            return None
        key = self._hide(key_of(self._key, values))
        if len(key) > LONGEST_KEY:
            raise ExpressionError(f"the key is longer than {LONGEST_KEY} characters")
        return key

    def _wait(self, at: datetime, span: Span) -> None:
        self._waiting[span.identity] = _Child(at, span)
        self._children.setdefault(span.parent, []).append(span.identity)
        if len(self._waiting) > WAITING:
            self._drop()

    def _drop(self) -> None:
        """The one that waits longest waits no more."""
        name = next(iter(self._waiting))
        parent = self._waiting.pop(name).span.parent
        left = [child for child in self._children.pop(parent, ()) if child != name]
        if left:
            self._children[parent] = left
        self._given_up += 1

    def _end(self, ends: deque[datetime]) -> datetime:
        """Where the next stretch ends: at the next edge, or after about a second, later while nothing comes."""
        while ends and ends[0] <= self.start:
            ends.popleft()
        head = self._found[0].at if self._found else None
        if head is not None and head < self.start + STRETCH:
            return min([self.start + STRETCH, *list(ends)[:1]])
        return min(instant for instant in (self.start + QUIET, head, *list(ends)[:1]) if instant is not None)

    def _take(self, end: datetime) -> TraceMatched:
        taken: list[_Found] = []
        while self._found and self._found[0].at < end:
            taken.append(self._found.popleft())
        matched = [found for found in taken if found.count]
        given_up, self._given_up = self._given_up, 0
        keys = dict.fromkeys(key for found in matched for key in found.keys)
        return TraceMatched(
            assertion=self._claim.id,
            start=self.start,
            end=end,
            spans=sum(found.spans for found in taken),
            count=sum(found.count for found in taken),
            first=matched[0].at if matched else None,
            last=matched[-1].at if matched else None,
            errors=sum(found.errors for found in taken),
            error=next((found.error for found in taken if found.error), ""),
            given_up=given_up,
            waiting=sum(child.at < end for child in self._waiting.values()),
            refused=sum(found.refused for found in taken),
            keys=tuple(keys)[:KEYS],
            beyond=sum(found.beyond for found in taken) + max(0, len(keys) - KEYS),
            samples=tuple(sample for found in matched for sample in found.samples)[:NAMED],
        )


class SpanMatching:
    """Gives each span to the claims of a run, once, and its parent's name and service with it where these are known."""

    def __init__(self, claims: Iterable[TraceClaim], start: datetime, hide: Callable[[str], str]) -> None:
        self.claims = {claim.id: SpanMatches(claim, start, hide) for claim in claims}
        self._known: dict[str, Mapping[str, str]] = {}

    def see(self, at: datetime, span: Span) -> None:
        """Take in the next span."""
        if span.identity in self._known:
            return
        self._known[span.identity] = told = {"name": span.name, "service": span.service}
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        parent = self._known.get(span.parent) if span.parent_id else ROOT
        values = Bindings({"span": span.told(parent)})
        for matches in self.claims.values():
            matches.see(at, span, values, whole=parent is not None)
            matches.parent_came(at, span.identity, told)

    def refuse(self, at: datetime) -> None:
        """A request could not be read: nobody knows which spans were in it."""
        for matches in self.claims.values():
            matches.refuse(at)


def _described(span: Span) -> str:
    status = "" if span.status == "unset" else f", {span.status}"
    return f"{span.name} of {span.service or 'an unnamed service'}, {brief(timedelta(seconds=span.duration))}{status}"
