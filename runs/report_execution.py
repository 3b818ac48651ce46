"""What a report says of the run itself: its verdict, scenario, stages, timeline and journal."""

from collections.abc import Iterator
from datetime import datetime

from messages.events import RunEvent
from messages.fault_events import FaultArmed, FaultEvent, OwnerChanged
from messages.rehearsal_events import FaultRehearsed
from messages.run_events import ActionRequested
from runs.faults import ActionState
from runs.report_claims import outcome_of
from runs.report_faults import error_of
from runs.report_journal import Gathered, Happened
from runs.report_model import (
    ActionReport,
    ChaosAction,
    Choice,
    Execution,
    JournalFacts,
    Kind,
    PhaseAssertion,
    PhaseReport,
    RunVerdict,
    ScenarioSection,
    ServiceRun,
    StoredEvidence,
    TimelineEntry,
)
from runs.report_text import describe
from runs.report_values import between, span
from runs.state import RunState, StageState


def verdict_section(state: RunState) -> RunVerdict:
    """What `run.finished` says; of a run that is not over, where it is."""
    finished = state.finished
    if finished is None:
        told = f"the run is not over: {state.stage_name()}" if state.accepted else "the journal holds no accepted run"
        return RunVerdict(verdict=None, reason=None, message=told, hint=None, cause=None, exit_code=None)
    return RunVerdict(
        verdict=finished.verdict,
        reason=finished.reason,
        message=finished.message,
        hint=finished.hint,
        cause=finished.cause,
        exit_code=finished.verdict.exit_code,
    )


def scenario_section(state: RunState) -> ScenarioSection:
    """The scenario as it was accepted."""
    if state.accepted is None:
        return ScenarioSection(name="unknown", description="", version="", author="", system="unknown", timeout=None, document=None)
    scenario = state.scenario
    about = scenario.metadata
    return ScenarioSection(
        name=about.name,
        description=about.description,
        version=about.version,
        author=about.author,
        system=state.system.name,
        timeout=span(scenario.timeout),
        document=scenario,
    )


def execution_section(state: RunState, gathered: Gathered) -> Execution:
    """Who ran what, when, and its stages."""
    accepted = state.accepted
    ended = state.finished_at or state.last_at
    return Execution(
        execution_id=state.id,
        scenario=accepted.scenario.name if accepted else "unknown",
        system=accepted.system.name if accepted else "unknown",
        principal=state.principal,
        status=state.finished.verdict.value if state.finished else state.stage_name(),
        submitted=accepted.submitted if accepted else None,
        accepted=state.accepted_at,
        start=state.started,
        end=state.finished_at,
        waited=between(state.accepted_at, state.started or ended),
        duration=between(state.started, ended),
        services=tuple(_services(state, gathered)),
        phases=tuple(_phases(state)) if accepted else (),
        choices=tuple(_choices(state)),
    )


def _choices(state: RunState) -> Iterator[Choice]:
    for name, resolved in state.actions.resolved.items():
        told = resolved.event
        yield Choice(action=name, **told.model_dump(include={"candidates", "values", "seed", "chosen", "protected"}))


def _services(state: RunState, gathered: Gathered) -> Iterator[ServiceRun]:
    for name, service in state.services.items():
        stop = gathered.stops.get(name)
        yield ServiceRun(
            service=name,
            starts=service.starts,
            stopped_after=span(stop.took) if stop else None,
            killed=stop is not None and stop.killed,
        )


def _phases(state: RunState) -> Iterator[PhaseReport]:
    planned = [phase.name for phase in state.scenario.spec.phases]
    ended = [name for name in ("finally", "recover") if name in state.stages]
    for name in (*(["settle"] if "settle" in state.stages else []), *planned, *ended):
        yield _phase(state, name, state.stages.get(name))


def _phase(state: RunState, name: str, stage: StageState | None) -> PhaseReport:
    assertions = tuple(PhaseAssertion(id=i, outcome=outcome_of(state.assertions.get(i))) for i in _claims(state, name))
    if stage is None:
        return PhaseReport(
            phase_name=name, kind="phase", start=None, end=None, duration=None, cut=False, success=None, assertions=assertions
        )
    actions = tuple(action_report(a) for a in state.actions.states.values() if a.request.phase == name)
    bad = stage.cut or any(a.success is False for a in actions) or any(a.outcome not in _GOOD for a in assertions)
    return PhaseReport(
        phase_name=name,
        kind=_KINDS.get(stage.kind, "phase"),
        start=stage.started,
        end=stage.finished,
        duration=between(stage.started, stage.finished or state.last_at),
        cut=stage.cut,
        success=None if stage.finished is None else not bad,
        actions=actions,
        assertions=assertions,
    )


_GOOD = {"passed", "needs_fault", "control"}
_KINDS: dict[str, Kind] = {"settle": "settle", "finally": "finally", "recover": "recover"}


def _claims(state: RunState, stage: str) -> Iterator[str]:
    mode = stage if stage in {"settle", "recover"} else None
    if mode is not None:
        yield from (a.id for a in state.assertions.values() if a.mode == mode)
    else:
        yield from (name for name, (_, phase) in state.scenario.claims().items() if phase == stage)


def action_report(action: ActionState) -> ActionReport:
    """One action, and whether it did what it should."""
    fault, error = action.request.action.spec.fault, error_of(action)
    done = action.effective is not None if fault else action.outcome == "done"
    return ActionReport(
        id=action.request.fault_id,
        service=action.request.target,
        action=action.request.action.action,
        fault=fault,
        requested=action.requested,
        success=False if error is not None else True if done else None,
        error=error,
    )


def timeline(state: RunState, gathered: Gathered) -> tuple[TimelineEntry, ...]:
    """What happened, in order of the instants at which it did."""
    zero = state.started or state.accepted_at
    ordered = sorted(gathered.happened, key=lambda h: (h.at, h.sequence))
    return tuple(_entry(state, line, zero) for line in ordered)


def _entry(state: RunState, line: Happened, zero: datetime | None) -> TimelineEntry:
    return TimelineEntry(
        timestamp=line.at,
        offset=round((line.at - zero).total_seconds(), 6) if zero else None,
        event=line.event.type_name(),
        text=f"{line.actor}: {describe(line.event)}" if isinstance(line.event, OwnerChanged) else describe(line.event),
        sequence=line.sequence,
        id=line.id,
        chaos_action=_chaos(state, line.event),
    )


def _chaos(state: RunState, event: RunEvent) -> ChaosAction | None:
    if isinstance(event, FaultArmed):
        return ChaosAction(service=event.target, action=event.action)
    if isinstance(event, ActionRequested | FaultRehearsed):
        return ChaosAction(service=event.target, action=event.action.action)
    known = state.actions.states.get(event.fault_id) if isinstance(event, FaultEvent) else None
    return ChaosAction(service=known.request.target, action=known.request.action.action) if known else None


def journal_facts(state: RunState, gathered: Gathered) -> JournalFacts:
    """What the report was made from."""
    stored = (StoredEvidence(stage=e.stage, name=e.name, matches=e.matches, size=e.size, sha256=e.sha256) for e in gathered.stored)
    return JournalFacts(
        run_id=state.id,
        position=gathered.position,
        events=gathered.events,
        first=gathered.first,
        last=gathered.last,
        by_type=dict(sorted(gathered.by_type.items())),
        stored=tuple(stored),
    )
