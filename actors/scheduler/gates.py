"""Phases that wait for somebody's word: what opens and closes their gates. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from messages.events import RunEvent
from messages.run_events import GateClosed, GateOpened, PhaseStarted, RejectRequested, RunAborting
from messages.scenario import Phase
from messages.verdicts import Reason
from runs.standing import GateState
from runs.state import RunState
from runs.verdict import precondition_failed

NOBODY = "gate"
"""Who closes a gate that nobody answered."""


def begin(state: RunState, index: int, now: datetime, wakes: list[datetime]) -> Iterator[RunEvent]:
    """Start a phase of the scenario, or ask first whether it may."""
    phase = state.scenario.spec.phases[index]
    gate = state.standing.gates.get(phase.name)
    if gate is None and phase.gate is not None:
        yield GateOpened(phase=phase.name, ask=phase.gate.ask, approve=phase.gate.approve, until=now + phase.gate.timeout)
        return
    if gate is not None and gate.closed is None:
        outcome = _outcome(state, gate, now)
        if outcome is None:
            ends = state.standing.gate_ends(gate)
            wakes += [ends] if ends is not None else []
            return
        yield _closed(gate, outcome)
    yield PhaseStarted(phase=phase.name, kind="phase", bound=phase.duration)


def refused(state: RunState, now: datetime) -> Iterator[RunEvent]:
    """The end of a run whose gate was answered with no, or by nobody where that means no."""
    for phase in state.scenario.spec.phases:
        gate = state.standing.gates.get(phase.name)
        outcome = _outcome(state, gate, now) if gate is not None else None
        if gate is None or outcome is None or not _ends(phase, outcome):
            continue
        if gate.closed is None:
            yield _closed(gate, outcome)
        yield _aborting(phase, gate, outcome)
        return


def dropped(state: RunState) -> Iterator[RunEvent]:
    """A gate that waits though its phase will not come: the run stops."""
    gate, stopped = state.standing.gate, state.stopped_by
    if gate is None:
        return
    if state.aborting is not None:
        yield _dropped(gate, state.aborting.by)
    elif stopped is not None or state.actions.given_up or precondition_failed(state):
        yield _dropped(gate, stopped.id if stopped is not None else "scheduler")


def _outcome(state: RunState, gate: GateState, now: datetime) -> Literal["approved", "rejected", "expired"] | None:
    """What became of a gate; None while it waits, and of one that was dropped."""
    if gate.closed is not None:
        return gate.closed.outcome if gate.closed.outcome != "dropped" else None
    if gate.answer is not None:
        return "rejected" if isinstance(gate.answer, RejectRequested) else "approved"
    ends = state.standing.gate_ends(gate)
    return "expired" if ends is not None and now >= ends else None


def _ends(phase: Phase, outcome: str) -> bool:
    given_up = phase.gate is not None and phase.gate.otherwise == "abort"
    return outcome == "rejected" or (outcome == "expired" and given_up)


def _closed(gate: GateState, outcome: Literal["approved", "rejected", "expired"]) -> GateClosed:
    if gate.answer is None:
        return GateClosed(phase=gate.asked.phase, outcome=outcome, by=NOBODY)
    return GateClosed(phase=gate.asked.phase, outcome=outcome, by=gate.answer.principal, note=gate.answer.note)


def _dropped(gate: GateState, by: str) -> GateClosed:
    return GateClosed(phase=gate.asked.phase, outcome="dropped", by=by)


def _aborting(phase: Phase, gate: GateState, outcome: str) -> RunAborting:
    by = gate.closed.by if gate.closed is not None else gate.answer.principal if gate.answer is not None else NOBODY
    if outcome == "expired":
        return RunAborting(reason=Reason.TIMEOUT, by=by, message=f"nobody said in time whether {phase.name} may start: {gate.asked.ask}")
    note = f": {gate.answer.note}" if gate.answer is not None and gate.answer.note else ""
    return RunAborting(reason=Reason.CANCELLED, by=by, message=f"{by} did not let {phase.name} start{note}")
