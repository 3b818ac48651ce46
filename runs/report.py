"""The report of a run: a pure fold of its journal. The same journal gives the same report."""

from messages.audit_events import AuditFed, AuditLinked, FaultPublished
from messages.control_events import ResolveRequested
from messages.events import Recorded, RunEvent
from messages.fault_events import FaultEvent
from messages.judgements import ReportPublished
from runs.history import Observations
from runs.report_announced import Announced
from runs.report_audit import audit_of
from runs.report_claims import recommendations_of, steady_of, validation_of
from runs.report_execution import execution_section, journal_facts, scenario_section, timeline, verdict_section
from runs.report_faults import faults_of
from runs.report_impact import impact_of, metrics_of
from runs.report_journal import Gathered
from runs.report_levers import Levers
from runs.report_model import Report, ReportMetadata
from runs.state import RunState

LATE = (FaultEvent, ResolveRequested, FaultPublished, AuditFed, AuditLinked)
"""What is taken in after the run's end: what clears a fault, who resolved it, and what the audit trail was told."""


class ReportFold:
    """Grows from a run's events to its report."""

    def __init__(self, run: str) -> None:
        self.state = RunState(run)
        self.seen = Observations()
        self.gathered = Gathered()
        self.levers = Levers()
        self.announced = Announced()
        self.published: ReportPublished | None = None

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        if isinstance(recorded.event, ReportPublished):
            self.published = recorded.event
            return
        if self.state.finished is not None and not isinstance(recorded.event, LATE):
            return
        self.state.apply(recorded)
        self.seen.apply(recorded)
        self.gathered.apply(recorded)
        self.levers.apply(recorded)
        self.announced.apply(recorded)

    def report(self) -> Report:
        """What the journal says so far."""
        state, gathered = self.state, self.gathered
        faults = tuple(faults_of(state, self.seen))
        impact = impact_of(state, self.seen, gathered, faults)
        metrics = metrics_of(state, gathered, faults)
        validation = validation_of(state, self.seen, gathered, impact, metrics)
        steady = steady_of(state)
        scenario = scenario_section(state)
        return Report(
            metadata=ReportMetadata(
                run_id=state.id,
                scenario=scenario.name,
                system=scenario.system,
                tags=state.scenario.metadata.tags if state.accepted else (),
                trace_id=gathered.trace,
                rehearsal=state.rehearsal,
            ),
            verdict=verdict_section(state),
            scenario=scenario,
            execution=execution_section(state, gathered),
            system_impact=impact,
            validation_results=validation,
            steady_state=steady,
            faults=faults,
            timeline=timeline(state, gathered),
            metrics=metrics,
            recommendations=recommendations_of(state, validation, steady, faults),
            evidence=gathered.named,
            journal=journal_facts(state, gathered),
            audit=audit_of(state, gathered.audited, gathered.trails, faults),
            control=tuple(self.levers.control),
            pauses=self.levers.until(state.last_at),
            gates=tuple(self.levers.gates),
            owners=tuple(self.levers.owners),
            announced=self.announced.report(state) if state.accepted is not None else None,
        )


__all__ = ["Report", "ReportFold"]
