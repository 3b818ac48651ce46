"""What joining the events of a system with the faults of a run has found."""

from datetime import timedelta
from typing import ClassVar, Literal

from messages.events import RunEvent
from messages.observations import OBSERVER, Match
from messages.values import Instant, Message, Token

By = Literal["trace", "correlation", "rule", "service"]


class Link(Message):
    """An event, and what it followed from. Of those alike (type, service, cause and way) the first."""

    event: Match
    service: str
    cause: str
    """The id of the event that it followed from; of a fault the fault's."""
    by: By
    """How it is known: both have one trace or correlation id, a rule says so, or it is new of a service while that was disturbed."""
    rule: Token | None = None
    depth: int
    """1: it followed from the root itself."""
    delay: timedelta
    """From the root."""
    confidence: float
    """How sure the whole way from the root is, from 0 to 1."""
    alike: int = 1
    """How many there were, this one among them."""


class Chain(Message):
    """Events that follow from one that is no fault of the run."""

    root: Match
    service: str
    links: tuple[Link, ...]


class Silence(Message):
    """A source that tells something all the time told nothing."""

    service: str
    start: Instant
    """Its last event before."""
    end: Instant | None
    """Its next; None: it stayed silent to the end of what was read."""
    usual: timedelta
    """The longest silence that is usual for it."""
    faults: tuple[str, ...] = ()
    """The faults during which it was; of none: nothing explains it."""


class Fate(Message):
    """What became of business keys: the last event of each."""

    service: str
    type: str
    keys: int
    longest: timedelta
    """The longest time from a key's first event to this one."""
    samples: tuple[str, ...]
    """Some of the keys, those of which most time passed first."""
    open: bool | None
    """Whether something more should have come; None: nobody said what a key ends with."""


class FaultCorrelated(RunEvent):
    """What the audit trail says of a fault; the newest replaces the older ones, and `final` ends them. Emitted by the observer."""

    EVENT = "fault.correlated.v1"
    ACTORS = OBSERVER
    GUARDED: ClassVar[bool] = False

    fault: Token
    number: int
    until: Instant
    """Every event stored before this instant was read."""
    final: bool
    gap: bool = False
    """Part of what happened since the fault was not read."""
    disturbed: tuple[str, ...]
    """The services that the fault disturbs."""
    seen: bool | None
    """Whether their own events show that they were disturbed; None: they tell nothing when all is well, so nothing follows."""
    silences: tuple[Silence, ...] = ()
    links: tuple[Link, ...] = ()
    """What followed, in order, at most 30 kinds."""
    followed: int = 0
    """How many events those are, with the kinds that are not listed."""
    normal: Instant | None
    """The last thing out of the ordinary in its chain and the silences. None: it still was when the reading ended, or nothing was."""
    keys: int = 0
    """Business keys that met the fault: under way, with a disturbed service, while it was on."""
    fates: tuple[Fate, ...] = ()

    @property
    def entity(self) -> str:
        return self.fault

    @property
    def ordinal(self) -> int:
        return self.number


class SourceRead(Message):
    """The events of one source."""

    source: str
    events: int
    duplicates: int = 0
    """Events that came again with the same id."""
    reordered: int = 0
    """Events that say to be older than the one before, by their `time` or their `sequence`."""
    missing: int = 0
    """Numbers that its `sequence` left out."""
    offset: timedelta | None = None
    """The shortest time from an event's `time` to its stored time: below zero, the source's clock is ahead."""
    moved: timedelta | None = None
    """How far the offset has gone since the first fault; None: nobody knows."""


class Unexplained(Message):
    """Something that no fault, rule, trace or correlation id explains."""

    what: Literal["event", "silence", "sequence", "duplicate", "clock", "unreadable"]
    service: str
    """Or the source, or nobody's."""
    text: str
    at: Instant
    """The first time."""
    count: int = 1
    event: Match | None = None


class Unreadable(Message):
    """A message on the event streams that is no CloudEvent."""

    sequence: int
    at: Instant
    subject: str
    text: str
    """Its beginning."""


class AuditCorrelated(RunEvent):
    """What the audit trail says beside the faults; the newest replaces the older ones, and `final` ends them. Emitted by the observer."""

    EVENT = "audit.correlated.v1"
    ACTORS = OBSERVER
    GUARDED: ClassVar[bool] = False

    number: int
    until: Instant
    final: bool
    gap: bool = False
    events: int
    baseline: Instant | None
    """From here to the first fault it was learnt what is ordinary; None: there was no such time, so nobody can say what is not."""
    learnt: int
    """Events in that time."""
    touched: Instant | None = None
    """When the first fault began; None: there was none, so nothing was held against what is ordinary."""
    sources: tuple[SourceRead, ...] = ()
    """At most 50."""
    sources_count: int = 0
    chains: tuple[Chain, ...] = ()
    """What followed from events that are no faults, at most 10."""
    unexplained: tuple[Unexplained, ...] = ()
    """At most 50."""
    unexplained_count: int = 0
    """How many events, silences and numbers those are, with the ones that are not listed."""
    unreadable: tuple[Unreadable, ...] = ()
    """The first 20."""

    @property
    def entity(self) -> str:
        return "audit"

    @property
    def ordinal(self) -> int:
        return self.number
