"""What the observer records: transitions, summaries, matches, and up to when it has looked."""

from datetime import timedelta
from typing import ClassVar, Literal

from messages.events import RunEvent
from messages.histogram import Histogram
from messages.successes import Successes
from messages.values import Instant, Message, Token

OBSERVER = ("observer",)


class ServiceDown(RunEvent):
    """A service's health failed after it had been good, or at first sight, at stored time less `ago`. Emitted by the observer."""

    EVENT = "service.down.v1"
    ACTORS = OBSERVER

    service: Token
    number: int
    """Counts the transitions of this service in this run, from 1."""
    ago: timedelta
    """From the intended start of the first failed sample to publishing."""
    error_bound: timedelta
    """It may have gone down this much earlier: the probe's interval."""
    took: timedelta
    """How long that sample took: it may have gone down as much later."""
    check: str
    """Which health check failed: http, grpc, tcp, command or process."""
    error: str

    @property
    def entity(self) -> str:
        return self.service

    @property
    def ordinal(self) -> int:
        return self.number


class ServiceUp(RunEvent):
    """A service's health was good again, or at first sight: at stored time less `ago` that sample ended. Emitted by the observer."""

    EVENT = "service.up.v1"
    ACTORS = OBSERVER

    service: Token
    number: int
    ago: timedelta
    error_bound: timedelta

    @property
    def entity(self) -> str:
        return self.service

    @property
    def ordinal(self) -> int:
        return self.number


class Summary(RunEvent):
    """What was counted in [start, end): about a second, cut at stages' ends."""

    ACTORS = OBSERVER
    GUARDED: ClassVar[bool] = False

    start: Instant
    end: Instant

    @property
    def ordinal(self) -> int:
        return round(self.start.timestamp() * 1_000_000)


class ProbeSummary(Summary):
    """A probe's samples, by their intended starts. Emitted by the observer about once a second."""

    EVENT = "probe.summary.v1"

    probe: Token
    """A service's name for its health, a probe of the system, or a claim that asks by itself."""
    count: int
    ok: int
    failed: int
    missed: int
    """Ticks that could not be sent in time; counted in `failed` too."""
    slowest: timedelta
    latency: Histogram | None = None
    """How long the samples took, from their intended starts; those that failed are in it as slow as the deadline. Not kept of health."""
    successes: Successes | None = None
    """When good answers came in the span, also to samples of the one before. Not kept of health."""

    @property
    def entity(self) -> str:
        return self.probe


class OperationsSeen(Summary):
    """What a workload said of its operations, by when they ended or, unless it says so, were read. Emitted by the observer, if any were."""

    EVENT = "operation.seen.v1"

    workload: Token
    ok: int
    failed: int
    unknown: int
    """Operations of which nobody knows whether they took effect, such as those that ran out of time."""
    latency: Histogram | None = None
    """How long those took that succeeded and said so."""
    unreadable: int = 0
    """Lines that are no operations."""
    samples: tuple[str, ...] = ()
    """Ids of operations that did not succeed, at most 10."""
    through: int = 0
    """Bytes of its output that were read by then."""
    successes: Successes | None = None
    """When operations succeeded."""

    @property
    def entity(self) -> str:
        return self.workload


class RoleSeen(RunEvent):
    """The role of a service changed, or was seen for the first time or after nobody had looked. Emitted by the observer."""

    EVENT = "role.seen.v1"
    ACTORS = OBSERVER

    service: Token
    number: int
    """Counts the roles of this service in this run, from 1."""
    role: str
    """Empty: the service did not say."""
    ago: timedelta
    """From the end of the answer to publishing."""
    error_bound: timedelta | None = None
    """It may have had this role so much earlier: until then it was seen to have the role before. None: nobody had looked before."""

    @property
    def entity(self) -> str:
        return self.service

    @property
    def ordinal(self) -> int:
        return self.number


class Match(Message):
    """One service event that a claim matched."""

    id: str
    type: str
    source: str
    sequence: int
    """In the stream that holds it."""
    at: Instant
    """Its stored time."""
    key: str | None = None


class KeyCounts(Message):
    """What became of the keys that a continuity claim follows."""

    opened: int
    closed_once: int
    open: tuple[str, ...] = ()
    """Keys not closed, at most 100 of them."""
    open_count: int = 0
    twice: tuple[str, ...] = ()
    """Keys closed more than once, at most 100 of them."""
    twice_count: int = 0
    unopened: tuple[str, ...] = ()
    """Keys closed in the window and never opened in it, at most 100; they met the window's edge, or appeared from nowhere."""
    unopened_count: int = 0
    unknown: tuple[str, ...] = ()
    """Keys opened and not closed of which an event says that nobody knows what became of them, at most 100."""
    unknown_count: int = 0


class EventMatched(RunEvent):
    """What a claim has matched so far; the newest replaces the older ones, and `final` ends them. Emitted by the observer."""

    EVENT = "event.matched.v1"
    ACTORS = OBSERVER
    GUARDED: ClassVar[bool] = False

    assertion: Token
    number: int
    opens: Instant
    closes: Instant | None
    """The window's end that this was counted for; None while it is open."""
    until: Instant
    """Every event stored before this instant has been looked at."""
    through: int
    """The last sequence that was looked at."""
    final: bool
    count: int
    seen: int
    """Events of any kind in the window."""
    evaluated: int | None = None
    """Events on which the claim's expression was evaluated: those of the types that it names. None: all that were seen."""
    errors: int = 0
    """Events on which the claim's expression could not be evaluated: no match."""
    error: str | None = None
    """The first such error."""
    gap: bool = False
    """Part of the window was not seen."""
    first: Match | None = None
    last: Match | None = None
    kept: tuple[Match, ...] = ()
    """The first matches, at most 20; of an audit claim the steps found."""
    keys: KeyCounts | None = None
    values: Histogram | None = None
    """The durations that a latency claim read from its matches."""
    reference: Histogram | None = None
    """The same in the phase that it is compared with."""
    known: int | None = None
    """Keys that matched in the phase that it is to be unlike, and count no more."""
    before: int | None = None
    """Events of any kind in that phase. None: there is no such phase, or it was not read through."""

    @property
    def entity(self) -> str:
        return self.assertion

    @property
    def ordinal(self) -> int:
        return self.number


class EventCounted(Summary):
    """How many service events of each type came in a second; beyond 50 types they are `other`. Emitted by the observer."""

    EVENT = "event.counted.v1"

    types: dict[str, int]
    unreadable: int = 0
    """Messages on the event streams that are not CloudEvents."""

    @property
    def entity(self) -> str:
        return "events"


class StreamGap(RunEvent):
    """Part of what the observer should have seen it did not see. Emitted by the observer."""

    EVENT = "stream.gap.v1"
    ACTORS = OBSERVER

    source: Token
    """`events`, `spans`, or the name of a probe."""
    number: int
    start: Instant
    end: Instant
    why: str

    @property
    def entity(self) -> str:
        return self.source

    @property
    def ordinal(self) -> int:
        return self.number


class EvidenceStored(RunEvent):
    """The raw matches of a stage are in the object store, under `name`; nothing is stored of one without any. Emitted by the observer."""

    EVENT = "evidence.stored.v1"
    ACTORS = OBSERVER

    stage: Token
    name: str
    size: int
    sha256: str
    matches: int

    @property
    def entity(self) -> str:
        return self.stage


class ObservedUntil(RunEvent):
    """Up to when the observer has looked, at stages' ends, and often while something must be stable. Emitted by the observer."""

    EVENT = "observed.until.v1"
    ACTORS = OBSERVER
    GUARDED: ClassVar[bool] = False

    stage: Token
    number: int
    probes: Instant | None
    """Every sample that was due before this instant has been judged, and workloads' output read; None where nothing is sampled."""
    events: Instant | None
    """Every service event stored before this instant has been read; None without event streams."""
    through: int = 0
    """The event stream's sequence that has been read."""
    told: Instant | None = None
    """What probes and workloads have shown before this instant is in the journal; None where nothing need be."""
    kind: Literal["end", "progress"] = "progress"

    @property
    def entity(self) -> str:
        return self.stage

    @property
    def ordinal(self) -> int:
        return self.number
