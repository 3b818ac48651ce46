"""What a report says: frozen, typed sections. Instants are stored times, or derived from them."""

from typing import Literal

from messages.scenario import Scenario
from messages.values import Instant, Message
from messages.verdicts import Reason, Verdict
from runs.report_announced import Announcements
from runs.report_audit import AuditTrail
from runs.report_control import ControlEntry, Gate, OwnerChange, Pause
from runs.report_effects import FaultReport, SystemImpact
from runs.report_figures import Metrics
from runs.report_findings import Evidence, Recommendation, SteadyState, ValidationResults
from runs.report_values import Outcome, Span

Kind = Literal["settle", "phase", "finally", "recover"]
"""What a stage is."""


class ReportMetadata(Message):
    """What the report is about, in a few words."""

    format: Literal["test-coordinator.report.v1"] = "test-coordinator.report.v1"
    run_id: str
    scenario: str
    system: str
    tags: tuple[str, ...] = ()
    trace_id: str | None = None
    rehearsal: bool = False
    """All was done but the faults: a control of what the scenario claims."""


class RunVerdict(Message):
    """What the run came to, and why. No verdict: it is not over."""

    verdict: Verdict | None
    reason: Reason | None
    message: str
    hint: str | None
    cause: str | None
    """The id of the event that decided it; `evidence` has it."""
    exit_code: int | None


class ScenarioSection(Message):
    """The scenario that was run, as it was accepted."""

    name: str
    description: str
    version: str
    author: str
    system: str
    timeout: Span | None
    document: Scenario | None


class ActionReport(Message):
    """One action on one target. `success` of a fault: its effect was seen, and it could be undone; None: not known yet."""

    id: str
    service: str
    action: str
    fault: bool
    requested: Instant
    success: bool | None
    error: str | None


class PhaseAssertion(Message):
    """A claim of a phase, and what became of it."""

    id: str
    outcome: Outcome


class PhaseReport(Message):
    """A stage of the run: settle, a phase of the scenario, finally, recover. One that never began has no start."""

    phase_name: str
    kind: Kind
    start: Instant | None
    end: Instant | None
    duration: Span | None
    cut: bool
    success: bool | None
    actions: tuple[ActionReport, ...] = ()
    assertions: tuple[PhaseAssertion, ...] = ()


class ServiceRun(Message):
    """A service that the run started."""

    service: str
    starts: int
    stopped_after: Span | None = None
    """From the stop signal to its end, at the run's end."""
    killed: bool = False


class Choice(Message):
    """What was chosen for an action whose targets were not written out."""

    action: str
    candidates: tuple[str, ...]
    values: dict[str, str]
    seed: str
    chosen: tuple[str, ...]
    protected: tuple[str, ...] = ()
    """Services that would have fitted and are protected."""


class Execution(Message):
    """The run itself."""

    execution_id: str
    scenario: str
    system: str
    principal: str
    status: str
    """The verdict; of a run that is not over its stage."""
    submitted: Instant | None
    accepted: Instant | None
    start: Instant | None
    end: Instant | None
    waited: Span | None
    """From acceptance to the start."""
    duration: Span | None
    services: tuple[ServiceRun, ...]
    phases: tuple[PhaseReport, ...]
    choices: tuple[Choice, ...] = ()


class ChaosAction(Message):
    """Whom an event of the timeline disturbed, and how."""

    service: str
    action: str


class TimelineEntry(Message):
    """Something that happened, at the instant at which it did."""

    timestamp: Instant
    offset: float | None
    """Seconds from the run's start, negative before it."""
    event: str
    text: str
    sequence: int
    id: str
    chaos_action: ChaosAction | None = None


class StoredEvidence(Message):
    """The raw matches of a stage, in the evidence store."""

    stage: str
    name: str
    matches: int
    size: int
    sha256: str


class JournalFacts(Message):
    """What the report was made from."""

    run_id: str
    position: int
    """The sequence of the last event that it takes in."""
    events: int
    first: Instant | None
    last: Instant | None
    by_type: dict[str, int]
    stored: tuple[StoredEvidence, ...] = ()


class Report(Message):
    """A run, from its journal alone: the same journal gives the same report."""

    metadata: ReportMetadata
    verdict: RunVerdict
    scenario: ScenarioSection
    execution: Execution
    system_impact: SystemImpact
    validation_results: ValidationResults
    steady_state: SteadyState
    faults: tuple[FaultReport, ...]
    timeline: tuple[TimelineEntry, ...]
    metrics: Metrics
    recommendations: tuple[Recommendation, ...]
    evidence: dict[str, Evidence]
    journal: JournalFacts
    audit: AuditTrail | None = None
    """What the events of the system say of its faults; None: it has no events."""
    control: tuple[ControlEntry, ...] = ()
    """Who asked for what."""
    pauses: tuple[Pause, ...] = ()
    gates: tuple[Gate, ...] = ()
    owners: tuple[OwnerChange, ...] = ()
    """Which host took an actor over."""
    announced: Announcements | None = None
    """What was told of it outside of the journal."""
