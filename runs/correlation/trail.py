"""The events of a run's system, kept as small as correlation allows. Pure."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from messages.claims import ServiceEvent
from messages.claims.keys import key_of
from messages.expressions import ExpressionError, compiled
from messages.ids import trace_id
from messages.rules import Correlation, Occurrence
from runs.correlation.sources import Source, in_order

KEPT = 2_000
"""Events of each kind that are kept; of later ones only the instants."""
KEPT_FOR_RULES = 20_000
"""The same for each side of a rule."""
KINDS = 1_000
"""Kinds (service and type), and sources, that are told apart."""
KEYS = 200_000
"""Business keys that are followed; later ones are not."""
LONGEST_KEY = 512
"""Characters that a business key may have; what is longer is none."""

Kind = tuple[str, str]
"""The service and the type of an event."""


class Seen(NamedTuple):
    """An event as it is kept."""

    at: datetime
    sequence: int
    id: str
    service: str
    type: str
    source: str
    trace: str
    key: str


@dataclass(slots=True)
class Kept:
    """Events that are alike, in the order in which they were stored."""

    room: int = KEPT
    rows: list[Seen] = field(default_factory=list)
    seconds: "array[float]" = field(default_factory=lambda: array("d"))
    """When each was stored, in seconds since 1970; also of those that are not kept."""

    @property
    def full(self) -> bool:
        """No more are kept."""
        return len(self.rows) >= self.room

    def keep(self, row: Seen) -> None:
        """Keep one, as long as there is room."""
        if self.full:
            return
        if self.rows and row.at < self.rows[-1].at:  # of several streams one may be read ahead of another
            insort(self.rows, row)
        else:
            self.rows.append(row)

    def count(self, start: datetime, end: datetime) -> int:
        """How many came in [start, end)."""
        return max(0, bisect_left(self.seconds, end.timestamp()) - bisect_left(self.seconds, start.timestamp()))

    def is_cut(self, start: datetime, end: datetime) -> bool:
        """Whether some that came in [start, end) were not kept."""
        if len(self.seconds) == len(self.rows):
            return False
        kept = bisect_left(self.rows, end, key=_at) - bisect_left(self.rows, start, key=_at)
        return self.count(start, end) > kept


@dataclass(slots=True)
class Flow:
    """What is known of one business key."""

    first: datetime
    last: datetime
    kind: Kind
    """Of its last event."""
    services: int
    """Whose events it has, as bits."""


class Side:
    """The events that one side of a rule is about."""

    def __init__(self, occurrence: Occurrence, names: Mapping[str, str]) -> None:
        self.service = names.get(occurrence.service, occurrence.service)
        self.types = frozenset(occurrence.types)
        self._where = compiled(occurrence.where) if occurrence.where is not None else None
        self.kept = Kept(KEPT_FOR_RULES)
        self.errors: array[float] = array("d")
        """When events were stored on which `where` cannot be evaluated, in seconds since 1970: nobody knows whether they are meant."""
        self.error = ""
        """The first such error."""

    def see(self, event: ServiceEvent, row: Seen, seconds: float) -> None:
        """Look at an event of its service and one of its types."""
        try:
            meant = self._where is None or self._where.holds(event.bindings)
        except (ExpressionError, OverflowError, RecursionError) as error:
            self.error = self.error or str(error)
            in_order(self.errors, seconds)
            return
        if meant:
            in_order(self.kept.seconds, seconds)
            self.kept.keep(row)

    def failures(self, start: datetime, end: datetime) -> int:
        """On how many events of [start, end) `where` cannot be evaluated."""
        return bisect_left(self.errors, end.timestamp()) - bisect_left(self.errors, start.timestamp())


class Trail:
    """A fold of a system's events, in the order in which they were stored."""

    def __init__(self, services: Mapping[str, frozenset[str]], correlation: Correlation) -> None:
        """`services`: each one with the names that it goes by as the source of events."""
        self._names = {alias: name for name, aliases in services.items() for alias in aliases}
        self._bits = {name: 1 << index for index, name in enumerate(services)}
        self._key = compiled(correlation.key) if correlation.key is not None else None
        self.rules = [(rule, Side(rule.trigger, self._names), Side(rule.effect, self._names)) for rule in correlation.rules]
        self._sides: dict[Kind, list[Side]] = {}
        for side in (side for _, *sides in self.rules for side in sides):
            for type_ in side.types:
                self._sides.setdefault((side.service, type_), []).append(side)
        self.kinds: dict[Kind, Kept] = {}
        self._of_service: dict[str, list[Kept]] = {}
        self.sources: dict[str, Source] = {}
        self.flows: dict[str, Flow] = {}
        self.unreadable: list[datetime] = []
        """When messages were stored that are no CloudEvents."""
        self.crowded = False
        """There were more kinds or sources than are told apart: what came of them is not known."""
        self.events = 0

    def see(self, event: ServiceEvent) -> None:
        """Take in the next event."""
        self.events += 1
        source = self.sources.get(event.source) or self._new_source(event.source)
        attributes, at = event.attributes, event.at
        seconds = at.timestamp()
        if source is None or not source.see(event, attributes, seconds):
            return
        service = self._names.get(event.source, event.source)
        kind, key = (service, event.type), self._key_of(event, attributes)
        kept, sides = self.kinds.get(kind) or self._new_kind(kind), self._sides.get(kind, ())
        if kept is not None:
            in_order(kept.seconds, seconds)
        if sides or (kept is not None and not kept.full):
            row = Seen(at, event.sequence, event.id, service, event.type, event.source, _trace_of(attributes), key)
            if kept is not None:
                kept.keep(row)
            for side in sides:
                side.see(event, row, seconds)
        if key:
            self._follow(key, at, kind)

    def refuse(self, at: datetime) -> None:
        """A message that is no CloudEvent was stored."""
        self.unreadable.append(at)

    def told(self, service: str) -> list[float]:
        """When a service told anything, in seconds since 1970, in order."""
        return sorted(second for kept in self._of_service.get(service, ()) for second in kept.seconds)

    @property
    def services(self) -> tuple[str, ...]:
        """Those that told something, and the sources that are none of the system's."""
        return tuple(self._of_service)

    def mask(self, services: Iterable[str]) -> int:
        """The bits of services, as flows have them."""
        return sum(self._bits.get(name, 0) for name in set(services))

    def _new_source(self, name: str) -> Source | None:
        if len(self.sources) >= KINDS:
            self.crowded = True
            return None
        return self.sources.setdefault(name, Source())

    def _new_kind(self, kind: Kind) -> Kept | None:
        if len(self.kinds) >= KINDS:
            self.crowded = True
            return None
        kept = self.kinds[kind] = Kept()
        self._of_service.setdefault(kind[0], []).append(kept)
        return kept

    def _key_of(self, event: ServiceEvent, attributes: Mapping[str, Any]) -> str:
        if self._key is None:
            found = attributes.get("correlationid")
        else:
            try:
                found = key_of(self._key, event.bindings)
            except (ExpressionError, OverflowError, RecursionError):
                return ""
        return found if isinstance(found, str) and len(found) <= LONGEST_KEY and (found.isascii() or _is_text(found)) else ""

    def _follow(self, key: str, at: datetime, kind: Kind) -> None:
        flow = self.flows.get(key)
        if flow is not None:
            if at >= flow.last:
                flow.last, flow.kind = at, kind
            flow.first = min(flow.first, at)
            flow.services |= self._bits.get(kind[0], 0)
        elif len(self.flows) < KEYS:
            self.flows[key] = Flow(at, at, kind, self._bits.get(kind[0], 0))


def _trace_of(attributes: Mapping[str, Any]) -> str:
    """The trace that an event belongs to: its `traceid`, or that in its `traceparent` (CloudEvents' distributed tracing extension)."""
    known = attributes.get("traceid")
    return known if isinstance(known, str) else trace_id(attributes.get("traceparent"))


def _is_text(text: str) -> bool:  # JSON may hold halves of surrogate pairs, which cannot be stored
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _at(row: Seen) -> datetime:
    return row.at
