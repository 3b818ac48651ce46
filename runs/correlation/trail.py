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
"""Events of each kind that are kept, and of each side of a rule; of later ones only the instants."""
KINDS = 1_000
"""Kinds (service and type) that are told apart; the events of further ones belong to their service alone."""
KEYS = 200_000
"""Business keys that are followed; later ones are not."""

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

    rows: list[Seen] = field(default_factory=list)
    seconds: "array[float]" = field(default_factory=lambda: array("d"))
    """When each was stored, in seconds since 1970; also of those that are not kept."""

    @property
    def full(self) -> bool:
        """No more are kept."""
        return len(self.rows) >= KEPT

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
        return bisect_left(self.seconds, end.timestamp()) - bisect_left(self.seconds, start.timestamp())


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
        self._kept = Kept()

    @property
    def rows(self) -> list[Seen]:
        """Them, as far as they are kept."""
        return self._kept.rows

    def see(self, event: ServiceEvent, row: Seen) -> None:
        """Look at an event of its service and one of its types. One on which `where` cannot be evaluated is not meant."""
        try:
            if self._where is None or self._where.holds(event.bindings):
                self._kept.keep(row)
        except ExpressionError:
            return


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
        self.sources: dict[str, Source] = {}
        self.flows: dict[str, Flow] = {}
        self.events = 0

    def see(self, event: ServiceEvent) -> None:
        """Take in the next event."""
        self.events += 1
        service = self._names.get(event.source, event.source)
        source = self.sources.get(service)
        if source is None:
            source = self.sources[service] = Source()
        attributes, at = event.attributes, event.at
        seconds = at.timestamp()
        if not source.see(event, attributes, seconds):
            return
        kind, key = (service, event.type), self._key_of(event, attributes)
        kept = self.kinds.get(kind) or self._new_kind(kind)
        sides = self._sides.get(kind, ())
        in_order(kept.seconds, seconds)
        if sides or not kept.full:
            row = Seen(at, event.sequence, event.id, service, event.type, event.source, _trace_of(attributes), key)
            kept.keep(row)
            for side in sides:
                side.see(event, row)
        if key:
            self._follow(key, at, kind)

    def told(self, service: str) -> list[float]:
        """When a service told anything, in seconds since 1970, in order."""
        return sorted(second for (name, _), kept in self.kinds.items() if name == service for second in kept.seconds)

    def _new_kind(self, kind: Kind) -> Kept:
        """A place for events of this kind; those of too many are kept as one that has no name."""
        return self.kinds.setdefault(kind if len(self.kinds) < KINDS else (kind[0], ""), Kept())

    def mask(self, services: Iterable[str]) -> int:
        """The bits of services, as flows have them."""
        return sum(self._bits.get(name, 0) for name in set(services))

    def _key_of(self, event: ServiceEvent, attributes: Mapping[str, Any]) -> str:
        if self._key is None:
            found = attributes.get("correlationid")
            return found if isinstance(found, str) else ""
        try:
            return key_of(self._key, event.bindings)
        except ExpressionError:
            return ""

    def _follow(self, key: str, at: datetime, kind: Kind) -> None:
        flow = self.flows.get(key)
        if flow is not None:
            flow.last, flow.kind = at, kind
            flow.services |= self._bits.get(kind[0], 0)
        elif len(self.flows) < KEYS:
            self.flows[key] = Flow(at, at, kind, self._bits.get(kind[0], 0))


def _trace_of(attributes: Mapping[str, Any]) -> str:
    """The trace that an event belongs to: its `traceid`, or that in its `traceparent` (CloudEvents' distributed tracing extension)."""
    known = attributes.get("traceid")
    return known if isinstance(known, str) else trace_id(attributes.get("traceparent"))
