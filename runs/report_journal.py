"""What a report needs of a journal beside the state of the run: the timeline, the counts, and the facts that judgements name."""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime

from messages.audit_events import AuditFed, AuditLinked, FaultPublished
from messages.correlations import AuditCorrelated, FaultCorrelated
from messages.events import Recorded, RunEvent
from messages.fault_events import (
    ActionFailed,
    ActionRefused,
    FaultRevertFailed,
    FaultUnseen,
    HandlerFailed,
    ServiceStopped,
    WorkloadDied,
    WorkloadStopped,
)
from messages.ids import trace_id
from messages.judgements import AssertionJudged
from messages.link_events import LinksLost
from messages.measurements import LogMatched, MetricSampled, TraceMatched
from messages.observations import EventCounted, EventMatched, EvidenceStored, ObservedUntil, OperationsSeen, ProbeSummary, StreamGap
from messages.run_events import ActionExpired, AssertionExpired, AssertionOpened, RunFinished
from runs.report_findings import Evidence, Oddity, Unexpected
from runs.report_text import describe, instant_of

_RECENT = 64
"""How many events of a frequent type are kept per entity, for a judgement to name."""
SAMPLES = 50
"""How many service events an evidence names at most."""
_QUIET = (
    ProbeSummary,
    EventCounted,
    EventMatched,
    OperationsSeen,
    MetricSampled,
    LogMatched,
    TraceMatched,
    ObservedUntil,
    EvidenceStored,
    FaultCorrelated,
    AuditCorrelated,
    AssertionOpened,
)
"""Events that tell no part of the story."""


def _told_well(event: RunEvent) -> bool:
    """Whether the audit trail was told as it should be, which is in a place of its own."""
    return isinstance(event, FaultPublished | AuditFed | AuditLinked) and not event.error


@dataclass(frozen=True, slots=True)
class Happened:
    """A line of the timeline."""

    at: datetime
    event: RunEvent
    sequence: int
    id: str
    actor: str = ""


@dataclass
class Gathered:
    """A fold of everything that only a report asks for."""

    happened: list[Happened] = field(default_factory=list)
    counted: list[EventCounted] = field(default_factory=list)
    probes: dict[str, list[ProbeSummary]] = field(default_factory=dict)
    unexpected: list[Unexpected] = field(default_factory=list)
    operations: dict[str, list[OperationsSeen]] = field(default_factory=dict)
    stored: list[EvidenceStored] = field(default_factory=list)
    audited: AuditCorrelated | None = None
    trails: dict[str, FaultCorrelated] = field(default_factory=dict)
    """The newest of each fault."""
    stops: dict[str, ServiceStopped] = field(default_factory=dict)
    named: dict[str, Evidence] = field(default_factory=dict)
    """What judgements rest on, and the event that decided the run."""
    by_type: Counter[str] = field(default_factory=Counter)
    events: int = 0
    first: datetime | None = None
    last: datetime | None = None
    position: int = 0
    trace: str | None = None
    """The trace that the run belongs to."""
    _lasting: dict[str, Recorded[RunEvent]] = field(default_factory=dict)
    _frequent: dict[str, deque[Recorded[RunEvent]]] = field(default_factory=dict)

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        event = recorded.event
        self.events += 1
        self.by_type[event.type_name()] += 1
        self.first, self.last, self.position = self.first or recorded.at, recorded.at, recorded.sequence
        self.trace = self.trace or trace_id(recorded.traceparent) or None
        self._keep(recorded)
        self._count(event)
        if isinstance(event, _QUIET) or _told_well(event):
            return
        self.happened.append(Happened(instant_of(recorded), event, recorded.sequence, recorded.evidence, recorded.actor))
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
        event = found.event
        at, told = instant_of(found), describe(event)
        if not isinstance(event, EventMatched):
            return Evidence(event=event.type_name(), sequence=found.sequence, timestamp=at, text=told)
        known = {(m.source, m.id) for m in event.kept}
        matches = (*event.kept, *(m for m in (event.last,) if m is not None and (m.source, m.id) not in known))
        return Evidence(
            event=event.type_name(), sequence=found.sequence, timestamp=at, text=told, matches=matches[:SAMPLES], matched=event.count
        )

    def _count(self, event: RunEvent) -> None:
        match event:
            case EventCounted():
                self.counted.append(event)
            case ProbeSummary():
                self.probes.setdefault(event.probe, []).append(event)
            case OperationsSeen():
                self.operations.setdefault(event.workload, []).append(event)
            case EvidenceStored():
                self.stored.append(event)
            case FaultCorrelated():
                self.trails[event.fault] = event
            case AuditCorrelated():
                self.audited = event
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
            case WorkloadDied():
                self._odd("workload died", describe(event), recorded)
            case LinksLost():
                self._odd("links lost", describe(event), recorded)
            case WorkloadStopped() if event.killed:
                self._odd("killed", describe(event), recorded)
            case ActionRefused() | ActionFailed():
                self._odd("action", describe(event), recorded)
            case FaultPublished() | AuditFed() | AuditLinked():
                self._odd("audit", describe(event), recorded)
            case _:
                pass

    def _odd(self, kind: Oddity, text: str, recorded: Recorded[RunEvent]) -> None:
        self.unexpected.append(Unexpected(kind=kind, text=text, timestamp=instant_of(recorded), evidence=recorded.evidence))
