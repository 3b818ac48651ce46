"""What a report needs of a journal beside the state of the run: the timeline, the counts, and the facts that judgements name."""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from messages.events import Recorded, RunEvent
from messages.fault_events import ActionFailed, ActionRefused, FaultRevertFailed, FaultUnseen, HandlerFailed, ServiceStopped
from messages.judgements import AssertionJudged
from messages.observations import EventCounted, EventMatched, EvidenceStored, ObservedUntil, ProbeSummary, StreamGap
from messages.run_events import ActionExpired, AssertionExpired, AssertionOpened, RunFinished
from runs.report_findings import Evidence, Oddity, Unexpected
from runs.report_text import describe, instant_of

_RECENT = 64
"""How many events of a frequent type are kept per entity, for a judgement to name."""
_QUIET = (ProbeSummary, EventCounted, EventMatched, ObservedUntil, EvidenceStored, AssertionOpened)
"""Events that tell no part of the story."""


@dataclass
class ProbeCount:
    """The samples of one probe so far."""

    samples: int = 0
    ok: int = 0
    failed: int = 0
    missed: int = 0
    slowest: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Happened:
    """A line of the timeline."""

    at: datetime
    event: RunEvent
    sequence: int
    id: str


@dataclass
class Gathered:
    """A fold of everything that only a report asks for."""

    happened: list[Happened] = field(default_factory=list)
    counted: list[EventCounted] = field(default_factory=list)
    probes: dict[str, ProbeCount] = field(default_factory=dict)
    unexpected: list[Unexpected] = field(default_factory=list)
    stops: dict[str, ServiceStopped] = field(default_factory=dict)
    named: dict[str, Evidence] = field(default_factory=dict)
    """What judgements rest on, and the event that decided the run."""
    by_type: Counter[str] = field(default_factory=Counter)
    events: int = 0
    first: datetime | None = None
    last: datetime | None = None
    position: int = 0
    _lasting: dict[str, Recorded[RunEvent]] = field(default_factory=dict)
    _frequent: dict[str, deque[Recorded[RunEvent]]] = field(default_factory=dict)

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        event = recorded.event
        self.events += 1
        self.by_type[event.type_name()] += 1
        self.first, self.last, self.position = self.first or recorded.at, recorded.at, recorded.sequence
        self._keep(recorded)
        if not isinstance(event, _QUIET):
            self.happened.append(Happened(instant_of(recorded), event, recorded.sequence, recorded.evidence))
        self._count(event)
        self._wonder(recorded)
        if isinstance(event, AssertionJudged):
            self._name(recorded.evidence, *event.evidence)
        elif isinstance(event, AssertionExpired):
            self._name(recorded.evidence)
        elif isinstance(event, RunFinished) and event.cause is not None:
            self._name(event.cause)

    def _keep(self, recorded: Recorded[RunEvent]) -> None:
        if recorded.event.GUARDED:
            self._lasting[recorded.evidence] = recorded
        else:
            key = f"{recorded.event.type_name()} {recorded.entity}"
            self._frequent.setdefault(key, deque(maxlen=_RECENT)).append(recorded)

    def _name(self, *ids: str) -> None:
        for name in ids:
            if name not in self.named or self.named[name].sequence is None:
                self.named[name] = self._fact(name)

    def _fact(self, name: str) -> Evidence:
        found = self._lasting.get(name) or next((r for kept in self._frequent.values() for r in reversed(kept) if r.evidence == name), None)
        if found is None:
            return Evidence(event=name)
        matches = found.event.kept if isinstance(found.event, EventMatched) else ()
        text = describe(found.event)
        return Evidence(event=found.event.type_name(), sequence=found.sequence, timestamp=instant_of(found), text=text, matches=matches)

    def _count(self, event: RunEvent) -> None:
        match event:
            case EventCounted():
                self.counted.append(event)
            case ProbeSummary():
                probe = self.probes.setdefault(event.probe, ProbeCount())
                probe.samples, probe.ok, probe.failed = probe.samples + event.count, probe.ok + event.ok, probe.failed + event.failed
                probe.missed, probe.slowest = probe.missed + event.missed, max(probe.slowest, event.slowest)
            case ServiceStopped():
                self.stops[event.service] = event
            case _:
                pass

    def _wonder(self, recorded: Recorded[RunEvent]) -> None:
        """Take down what should not be."""
        event = recorded.event
        match event:
            case HandlerFailed():
                self._odd("dead letter", f"{recorded.actor}: {describe(event)}", recorded)
            case FaultUnseen():
                self._odd("no effect", describe(event), recorded)
            case FaultRevertFailed():
                self._odd("undo", describe(event), recorded)
            case ActionExpired():
                self._odd("action", describe(event), recorded)
            case StreamGap():
                self._odd("gap", describe(event), recorded)
            case ServiceStopped() if event.killed:
                self._odd("killed", describe(event), recorded)
            case ActionRefused() | ActionFailed():
                self._odd("action", describe(event), recorded)
            case _:
                pass

    def _odd(self, kind: Oddity, text: str, recorded: Recorded[RunEvent]) -> None:
        self.unexpected.append(Unexpected(kind=kind, text=text, timestamp=instant_of(recorded), evidence=recorded.evidence))
