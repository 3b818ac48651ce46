"""Which service events each claim matches, and what is counted of them in its window. Pure."""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from sys import intern

from messages.claims import Claim, LatencyClaim, Matcher, ServiceEvent, Tally, Window
from messages.claims.latency import DurationTally
from messages.expressions import ExpressionError
from messages.histogram import Histogram
from messages.observations import EventMatched, Match
from runs.windows import counts_until

KEPT = 200_000
"""Matches that are kept for each claim; later ones are only counted."""
LONGEST_KEY = 512
"""Characters that a key may have."""
_at = itemgetter(4)

Row = tuple[str, str, str, int, datetime, str | None]
"""A match as it is kept: id, type, source, sequence, stored time, key. A sixth of the size of a `Match`."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a claim has matched in its window."""

    tally: Tally
    count: int
    evaluated: int
    """Events on which its expression was evaluated: those of the types that it names."""
    errors: int
    error: str | None
    cut: bool
    """Matches beyond those that are kept were counted alone, though the claim needs to know each."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far the events were read."""

    until: datetime
    through: int
    final: bool
    """Through the window's end."""
    reference: Histogram | None = None
    """The durations in the phase that a latency claim is compared with, once they are known."""
    before: int | None = None
    """Events of any kind in the phase that a claim's are to be unlike, once all of them were read."""


class Instants:
    """Many instants, in order, in little space."""

    def __init__(self) -> None:
        self._seconds = array("d")

    def add(self, seconds: float) -> None:
        """Add one, in seconds since 1970; cheap when it is the latest."""
        if not self._seconds or seconds >= self._seconds[-1]:
            self._seconds.append(seconds)
        else:
            self._seconds.insert(bisect_right(self._seconds, seconds), seconds)

    def count(self, start: datetime, end: datetime | None) -> int:
        """How many lie in [start, end)."""
        last = len(self._seconds) if end is None else bisect_left(self._seconds, end.timestamp())
        return max(0, last - bisect_left(self._seconds, start.timestamp()))


class Followed:
    """What one claim matches in a run, and its count over the window as far as that is known."""

    def __init__(self, name: str, claim: Claim, phase: str | None, matcher: Matcher) -> None:
        self.name = name
        self.claim = claim
        self.phase = phase
        self.types = matcher.types
        self.asks_for_ours = matcher.asks_for_ours
        self._matcher = matcher
        self.rows: list[Row] = []
        self._beyond = Instants()
        self._ours = Instants()
        self._full = False
        self._evaluated = Instants()
        self._errors = Instants()
        self._error: str | None = None
        self.known: frozenset[str | None] | None = None
        """The keys that are nothing new; None as long as nobody knows, or asks."""
        self._tally = matcher.tally()
        self._bounds: tuple[datetime | None, ...] = ()
        self._next = 0

    def see(self, event: ServiceEvent, seconds: float) -> None:
        """Look at the next event, stored so many seconds since 1970."""
        self._evaluated.add(seconds)
        try:
            found = self._matcher.match(event)
            if found is not None and found.key is not None and len(found.key) > LONGEST_KEY:
                raise ExpressionError(f"the key is longer than {LONGEST_KEY} characters")
        except (ExpressionError, OverflowError, RecursionError) as error:
            self._errors.add(seconds)
            self._error = self._error or str(error)
            return
        if found is not None:
            self._keep(event, found.key)
            if event.ours:
                self._ours.add(seconds)

    def seen_of_ours(self, start: datetime, end: datetime | None) -> int:
        """Events of our own that it asked for, in [start, end)."""
        return self._ours.count(start, end)

    def leave_out(self, start: datetime, end: datetime) -> None:
        """Count no more what has a key that matched in [start, end)."""
        self.known, self._bounds = frozenset(row[5] for row in self.between(start, end)), ()

    def advance(self, window: Window, before: datetime | None = None) -> None:
        """Take what was matched in the window into the tally, up to an instant: what is counted soon need not be counted at once."""
        opens, closes, grace = window.opens, window.closes, counts_until(self.claim, window)
        bounds = (opens, closes, grace)
        if bounds != self._bounds and self._stale(opens, closes, grace):
            self._tally, self._next = self._matcher.tally(), bisect_left(self.rows, opens, key=_at) if opens else 0
        self._bounds = bounds
        limit = min((end for end in (closes, before) if end is not None), default=None)
        while self._next < len(self.rows) and (limit is None or _at(self.rows[self._next]) < limit):
            row = self.rows[self._next]
            new = self.known is None or row[5] not in self.known
            if new and (opens is None or row[4] >= opens):  # one from before may be read only after the window was known to be open
                self._tally.see(as_match(row), in_grace=grace is not None and row[4] >= grace)
            self._next += 1

    def count(self, window: Window, opens: datetime) -> Counted:
        """What was matched so far in this window, which has opened."""
        self.advance(window)
        closes = window.closes
        beyond = self._beyond.count(opens, closes)
        evaluated, errors = self._evaluated.count(opens, closes), self._errors.count(opens, closes)
        cut = beyond > 0 and type(self._tally) is not Tally
        return Counted(self._tally, self._tally.count + beyond, evaluated, errors, self._error if errors else None, cut)

    def between(self, start: datetime, end: datetime) -> list[Row]:
        """The kept matches stored in [start, end)."""
        return self.rows[bisect_left(self.rows, start, key=_at) : bisect_left(self.rows, end, key=_at)]

    def _stale(self, opens: datetime | None, closes: datetime | None, grace: datetime | None) -> bool:
        """Whether something was counted that now lies elsewhere."""
        if not self._bounds or self._bounds[0] != opens:
            return True
        counted = _at(self.rows[self._next - 1]) if self._next else None
        ends = [end for end in (closes, grace, *self._bounds[1:]) if end is not None]
        return counted is not None and any(counted >= end for end in ends)

    def _keep(self, event: ServiceEvent, key: str | None) -> None:
        if self._full or len(self.rows) >= KEPT:
            self._full = True
            self._beyond.add(event.at.timestamp())
            return
        row = (event.id, intern(event.type), intern(event.source), event.sequence, event.at, key)
        if not self.rows or event.at >= _at(self.rows[-1]):
            self.rows.append(row)
        else:  # of several streams one may be read ahead of another
            insort(self.rows, row, key=_at)
            self._bounds = ()


class Matching:
    """The claims of a run that follow events, found by the types that they can match."""

    def __init__(self, claims: Mapping[str, tuple[Claim, str | None]], names: Mapping[str, frozenset[str]]) -> None:
        found = ((name, claim, phase, claim.matcher(names)) for name, (claim, phase) in claims.items() if claim.follows_events)
        self.followed = [Followed(name, claim, phase, matcher) for name, claim, phase, matcher in found if matcher is not None]
        self._by_type: dict[str, list[Followed]] = {}
        self._any = [followed for followed in self.followed if followed.types is None]
        for name in {name for followed in self.followed for name in followed.types or ()}:
            self._by_type[name] = [f for f in self.followed if f.types is None or name in f.types]
        self.seen = Instants()
        """Events of the system: what we say ourselves on its streams is no evidence that it said something."""

    def see(self, event: ServiceEvent) -> None:
        """Look at the next event for every claim that may match it."""
        seconds, ours = event.at.timestamp(), event.ours
        if not ours:
            self.seen.add(seconds)
        for followed in self._by_type.get(event.type, self._any):
            if followed.asks_for_ours or not ours:
                followed.see(event, seconds)

    def matched(self, followed: Followed, window: Window, opens: datetime, reached: Reached, number: int, *, lost: bool) -> EventMatched:
        """What a claim has matched so far in its window, which has opened, as an event. `lost`: a part of the window was not seen."""
        counted = followed.count(window, opens)
        return EventMatched(
            assertion=followed.name,
            number=number,
            opens=opens,
            closes=window.closes,
            until=reached.until,
            through=reached.through,
            final=reached.final,
            count=counted.count,
            seen=self._seen(followed, opens, window.closes),
            evaluated=counted.evaluated,
            errors=counted.errors,
            error=counted.error,
            gap=lost or counted.cut,
            first=counted.tally.first,
            last=counted.tally.last,
            kept=counted.tally.kept,
            keys=counted.tally.keys,
            values=counted.tally.values,
            reference=reached.reference,
            known=len(followed.known) if followed.known is not None else None,
            before=reached.before,
        )

    def before(self, followed: Followed, phases: Mapping[str, Window], until: datetime) -> int | None:
        """Events of any kind in the phase that a claim's are to be unlike. What matched there counts no more, once all of it was read."""
        phase = phases.get(getattr(followed.claim, "unlike", None) or "", Window())
        if phase.opens is None or phase.closes is None or until < phase.closes:
            return None
        if followed.known is None:
            followed.leave_out(phase.opens, phase.closes)
        return self._seen(followed, phase.opens, phase.closes)

    def _seen(self, followed: Followed, start: datetime, end: datetime | None) -> int:
        return self.seen.count(start, end) + followed.seen_of_ours(start, end)

    def between(self, start: datetime, end: datetime) -> Iterable[tuple[str, list[Row]]]:
        """Per claim its kept matches stored in [start, end)."""
        return [(followed.name, followed.between(start, end)) for followed in self.followed]


def reference_of(followed: Followed, phases: Mapping[str, Window]) -> Histogram | None:
    """The durations in the phase that a latency claim is compared with; None while it is not over."""
    phase = phases.get(followed.claim.compare or "") if isinstance(followed.claim, LatencyClaim) else None
    if phase is None or phase.opens is None or phase.closes is None:
        return None
    tally = DurationTally()
    for row in followed.between(phase.opens, phase.closes):
        tally.see(as_match(row))
    return tally.values


def as_match(row: Row) -> Match:
    """A kept match as the journal has it."""
    name, type_, source, sequence, at, key = row
    return Match(id=name, type=type_, source=source, sequence=sequence, at=at, key=key)
