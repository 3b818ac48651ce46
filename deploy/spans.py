"""The trace of a run, as a fold of its journal: which spans each line completes.

The ids of spans follow from the run and from what they are about, their times are stored times. So what the hosts of five actors
export makes one trace though none knows of another, and a line that is read again gives the same span again.
"""

from collections.abc import Iterator
from datetime import datetime

from bus.journal import Line
from deploy.fault_spans import action_span, fault_spans
from deploy.span import BAD, ROOT, Span, Value, action_key, outage_key, said, stage_key
from messages.fault_events import ActionOutcome
from messages.judgements import AssertionJudged, ReportPublished
from messages.observations import ObservedUntil, ServiceDown, ServiceUp
from messages.run_events import ActionExpired, AssertionExpired, PhaseFinished, RunFinished, RunStarted
from runs.faults import ActionState
from runs.state import AssertionState, RunState, StageState

_STEADY_STAGES = {"settle": "settle", "recover": "recover"}
"""The stages in which the steady state is claimed; in between it belongs to the whole run."""


class RunTrace:
    """The spans of one run, each told once."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._told: set[str] = set()
        self._faults: set[str] = set()
        """Faults of which an injector of this host has written."""
        self._down: dict[str, tuple[ServiceDown, datetime]] = {}

    def take(self, line: Line, *, ours: bool) -> list[Span]:
        """What the line completes: by an actor of this host (`ours`), else only what ends with the run."""
        if line.actor == "chaos-injector" and ours:
            self._faults.add(line.entity)
        spans = {span.key: span for span in self._completed(line, ours=ours) if span.key not in self._told}
        self._told |= spans.keys()
        return list(spans.values())

    def _completed(self, line: Line, *, ours: bool) -> Iterator[Span]:
        event = line.event
        if isinstance(event, ServiceDown | ServiceUp):
            yield from self._outage(line, ours=ours)
        if isinstance(event, RunFinished):
            yield from self._left(line.at)
        if not ours:
            return
        match event:
            case RunStarted() | PhaseFinished() | RunFinished():
                yield from self._scheduled(line)
            case AssertionJudged() | AssertionExpired() if (assertion := self._state.assertions.get(event.assertion)) is not None:
                if assertion.judged_by == line.evidence:
                    yield self._assertion(assertion, line)
            case ObservedUntil() if event.kind == "end" and event.stage in self._state.stages:
                yield _observed(self._state.stages[event.stage], event, line)
            case ReportPublished():
                yield self._report(event, line)
            case ActionOutcome() | ActionExpired() if line.entity in self._state.requests:
                yield self._services(line)
            case _:
                yield from fault_spans(self._state, line)

    def _scheduled(self, line: Line) -> Iterator[Span]:
        state, event = self._state, line.event
        match event:
            case RunStarted() if state.waiting is not None and state.accepted_at is not None:
                told: dict[str, Value] = {"behind": state.waiting.behind, "message": state.waiting.why}
                yield Span(key="wait", name="wait", start=state.accepted_at, end=line.at, actor=line.actor, attributes=told)
            case PhaseFinished() if event.phase in state.stages:
                yield _stage(state.stages[event.phase], line.at)
            case RunFinished():
                yield from (_stage(stage, line.at) for stage in state.stages.values() if stage.finished is None)
                yield self._root(event, line.at)

    def _root(self, event: RunFinished, at: datetime) -> Span:
        state = self._state
        told: dict[str, Value] = {"system": state.system.name, "principal": state.principal, "hint": event.hint or ""}
        told |= {"rehearsal": True} if state.rehearsal else {}
        return Span(
            key=ROOT,
            name=f"run {state.scenario.name}",
            start=state.accepted_at or at,
            end=at,
            actor="scheduler",
            parent=None,
            attributes=said(event.verdict, event.reason, event.message) | told,
            good=event.verdict.exit_code == 0,
            error=event.message if event.verdict in BAD else None,
        )

    def _left(self, at: datetime) -> Iterator[Span]:
        """Faults of this host that were never seen gone end with the run."""
        for fault in sorted(self._faults & self._state.actions.states.keys()):
            action = self._state.actions.states[fault]
            if action.gone is None:
                yield action_span(self._state, action, _last(action) or at, "chaos-injector")

    def _assertion(self, assertion: AssertionState, line: Line) -> Span:
        stage = assertion.phase or _STEADY_STAGES.get(assertion.mode)
        verdict = assertion.verdict
        told = said(verdict, assertion.reason, assertion.message) if verdict is not None else {}
        told |= {"control": assertion.control} if assertion.control is not None else {}
        return Span(
            key=f"assertion/{assertion.id}",
            name=f"assertion {assertion.claim.type} {assertion.id}",
            start=assertion.opened,
            end=line.at,
            actor=line.actor,
            parent=stage_key(stage) if stage in self._state.stages else ROOT,
            attributes={"assertion.id": assertion.id, "assertion.type": assertion.claim.type, "mode": assertion.mode} | told,
            links=tuple(dict.fromkeys(self._rests_on(assertion))),
            good=verdict is not None and verdict.exit_code == 0,
            error=assertion.message if verdict in BAD else None,
        )

    def _rests_on(self, assertion: AssertionState) -> Iterator[str]:
        """The faults and outages that a judgement names, or its claim."""
        yield from (action_key(fault) for fault in assertion.claim.faults_named() if fault in self._state.actions.states)
        for evidence in assertion.evidence:
            actor, _, fact = evidence.partition(".")
            entity, _, kind = fact.partition(".")
            if actor == "chaos-injector" and entity in self._state.actions.states:
                yield action_key(entity)
            elif actor == "observer" and kind.startswith("service.down."):
                yield outage_key(entity, int(kind.rpartition(".")[2]))

    def _services(self, line: Line) -> Span:
        request = self._state.requests[line.entity]
        bad = None if request.outcome == "done" else request.message
        return Span(
            key=f"services/{line.entity}",
            name="stop services" if line.entity == "release" else "start services",
            start=request.requested,
            end=line.at,
            actor=line.actor,
            attributes={"outcome": request.outcome or "", "message": request.message},
            good=bad is None,
            error=bad,
        )

    def _outage(self, line: Line, *, ours: bool) -> Iterator[Span]:
        event = line.event
        if isinstance(event, ServiceDown):
            self._down[event.service] = (event, line.at - event.ago)
            return
        if not isinstance(event, ServiceUp) or event.service not in self._down:
            return
        down, since = self._down.pop(event.service)
        if ours:
            told: dict[str, Value] = {"service": event.service, "check": down.check, "message": down.error}
            active = (a for a in self._state.actions.faults().values() if a.request.target == event.service)
            yield Span(
                key=outage_key(event.service, down.number),
                name=f"down {event.service}",
                start=since,
                end=line.at - event.ago,
                actor=line.actor,
                attributes=told | {"error_bound": down.error_bound.total_seconds()},
                links=tuple(action_key(a.request.fault_id) for a in active if a.called is not None and a.called <= since),
            )

    def _report(self, event: ReportPublished, line: Line) -> Span:
        told: dict[str, Value] = {f"size.{artefact.format}": artefact.size for artefact in event.artefacts}
        return Span(key="report", name="report", start=self._state.finished_at or line.at, end=line.at, actor=line.actor, attributes=told)


def _stage(stage: StageState, over: datetime) -> Span:
    return Span(
        key=stage_key(stage.name),
        name=f"phase {stage.name}" if stage.kind == "phase" else stage.name,
        start=stage.started,
        end=stage.finished or over,
        actor="scheduler",
        attributes={"phase": stage.name, "kind": stage.kind, "cut": stage.cut},
    )


def _observed(stage: StageState, event: ObservedUntil, line: Line) -> Span:
    """From the stage's start until all that it needs had been looked at."""
    return Span(
        key=f"observe/{stage.name}",
        name=f"observe {stage.name}",
        start=stage.started,
        end=line.at,
        actor=line.actor,
        parent=stage_key(stage.name),
        attributes={"phase": stage.name, "stream.sequence": event.through},
    )


def _last(action: ActionState) -> datetime | None:
    """The last that is known of an action that is over."""
    return None if action.active else action.reverted
