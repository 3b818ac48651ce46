"""What the observer knows of a run from its journal: the run's state, and what was already said of it."""

from datetime import datetime

from messages.audit_events import AuditFed, AuditLinked, FaultPublished
from messages.correlations import AuditCorrelated
from messages.events import Recorded, RunEvent
from messages.measurements import AnswerSeen, KeysListed, LogMatched, SetRead
from messages.observations import (
    EventCounted,
    EventMatched,
    EvidenceStored,
    ObservedUntil,
    OperationsSeen,
    ProbeSummary,
    RoleSeen,
    ServiceDown,
    ServiceUp,
    StreamGap,
)
from runs.state import RunState


class ObserverView:
    """A fold of one run's journal. What the observer numbers goes on where the journal ends."""

    def __init__(self, run: str) -> None:
        self.state = RunState(run)
        self.up: dict[str, bool] = {}
        """What was last said of each service."""
        self.transitions: dict[str, int] = {}
        self.gaps: dict[str, int] = {}
        self.marks: dict[str, int] = {}
        self.matched: dict[str, EventMatched] = {}
        """The newest of each claim."""
        self.sampled_until: dict[str, datetime] = {}
        """The end of each probe's newest summary."""
        self.answered: dict[str, AnswerSeen] = {}
        """How the answers to each claim that asks by itself have changed last."""
        self.roles: dict[str, int] = {}
        """How often each service's role was said."""
        self.operated: dict[str, OperationsSeen] = {}
        """The newest of each workload."""
        self.logged: dict[str, LogMatched] = {}
        """The newest of each log claim."""
        self.listed: dict[str, KeysListed] = {}
        """What the http claims that compare are to be unlike."""
        self.read: set[str] = set()
        """The set claims for which it was read what is there."""
        self.audited: AuditCorrelated | None = None
        """What was last said of the audit trail."""
        self.counted_until: datetime | None = None
        self.read_first: int | None = None
        """Through which sequence the event stream was read when that was said first."""
        self.mark: ObservedUntil | None = None
        self.probes_until: datetime | None = None
        """The furthest that a watermark has said of what is sampled."""
        self.ended: set[str] = set()
        """The stages whose end was observed."""
        self.stored: set[str] = set()
        """The stages whose evidence is stored."""
        self.published: set[tuple[str, str]] = set()
        """The faults, and their moments, of which it is said that they were published."""
        self.fed: dict[tuple[str, str], AuditFed] = {}
        """What became of each moment of a fault, or of the run, of which an audit correlator was told."""
        self.linked: set[str] = set()
        """The faults whose start and end an audit correlator was told to link."""
        self.traceparent: str | None = None

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        self.state.apply(recorded)
        self.traceparent = self.traceparent or recorded.traceparent
        event = recorded.event
        match event:
            case ServiceDown() | ServiceUp():
                self.up[event.service] = isinstance(event, ServiceUp)
                self.transitions[event.service] = event.number
            case ProbeSummary():
                self.sampled_until[event.probe] = event.end
            case RoleSeen():
                self.roles[event.service] = event.number
            case OperationsSeen():
                self.operated[event.workload] = event
            case EventCounted():
                self.counted_until = event.end
            case StreamGap():
                self.gaps[event.source] = event.number
            case AuditCorrelated():
                self.audited = event
            case EvidenceStored():
                self.stored.add(event.stage)
            case ObservedUntil():
                self._marked(event)
            case FaultPublished() | AuditFed() | AuditLinked():
                self._apply_audit(event)
            case _:
                self._apply_claim(event)

    def _apply_claim(self, event: RunEvent) -> None:
        """What is said of one claim."""
        match event:
            case AnswerSeen():
                self.answered[event.assertion] = event
            case EventMatched():
                self.matched[event.assertion] = event
            case LogMatched():
                self.logged[event.assertion] = event
            case KeysListed():
                self.listed[event.assertion] = event
            case SetRead():
                self.read.add(event.assertion)

    def _apply_audit(self, event: FaultPublished | AuditFed | AuditLinked) -> None:
        """What is said of our telling the audit trail."""
        match event:
            case FaultPublished():
                self.published.add((event.fault_id, event.moment))
            case AuditFed():
                self.fed[event.about, event.moment] = event
            case AuditLinked():
                self.linked.add(event.fault_id)

    def _marked(self, event: ObservedUntil) -> None:
        self.marks[event.stage] = event.number
        self.mark = event
        if event.probes is not None:
            self.probes_until = max(event.probes, self.probes_until or event.probes)
        if event.kind == "end":
            self.ended.add(event.stage)
        if self.read_first is None and event.events is not None:
            self.read_first = event.through
