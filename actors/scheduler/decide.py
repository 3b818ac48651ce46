"""What happens next in a run: a pure function of its state and the time. The order of the steps is the order of a run's life."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from actors.scheduler.claims import deadlines, open_claims, waiting_for
from actors.scheduler.phases import advance_phase, finish_phases, undo_all
from messages.events import RunEvent
from messages.run_events import (
    ActionExpired,
    PhaseFinished,
    PhaseStarted,
    RunAborting,
    RunFinished,
    RunStarted,
    ServicesReleaseRequested,
    ServicesRequested,
)
from messages.verdicts import Reason, Verdict
from runs.state import RunState
from runs.verdict import died_early, precondition_failed, verdict_of

NO_ANSWER = timedelta(seconds=5)
"""How long an injector may take to take a request."""
FIRST_START = timedelta(seconds=15)
"""How long an injector may take until the first service has started; with links their proxy comes before it."""
PROXY_START = timedelta(seconds=20)
UNDO_BUDGET = timedelta(seconds=30)
FINALLY_BUDGET = timedelta(seconds=60)
RELEASE_BUDGET = timedelta(seconds=60)


@dataclass
class Decision:
    """Events to store, and when to look again."""

    events: list[RunEvent] = field(default_factory=list)
    wakes: list[datetime] = field(default_factory=list)
    wants_system: bool = False
    """The run must have its system before it can go on."""

    @property
    def wake(self) -> datetime | None:
        """When to look again if nothing else happens."""
        return min(self.wakes, default=None)


def decide(state: RunState, now: datetime) -> Decision:
    """The next events of an accepted run that is not finished."""
    decision = Decision()
    if state.accepted is None or state.finished is not None:
        return decision
    decision.events += _abort(state, now)
    if decision.events:
        return decision
    if state.started is None:
        _before_start(state, decision)
        return decision
    _watch_clocks(state, now, decision)
    for step in (_services, _settle, _phases, _finally, _recover, _seen_off, _judging, _release):
        if decision.events or not step(state, now, decision):
            break
    decision.events += open_claims(state, decision.events, now)
    return decision


def start(state: RunState) -> list[RunEvent]:
    """The events with which a run that has got its system begins."""
    events: list[RunEvent] = [RunStarted()]
    return [*events, ServicesRequested(levels=state.system.start_levels())] if state.system.brings_up else events


def _before_start(state: RunState, decision: Decision) -> None:
    if state.aborting is not None:
        decision.events.append(_finish(state))
    else:
        decision.wants_system = True


def _abort(state: RunState, now: datetime) -> Iterator[RunEvent]:
    if state.aborting is not None or "release" in state.requests:
        return
    stopped = next((a for a in state.assertions.values() if a.verdict is Verdict.FAILED and a.claim.on_fail == "abort"), None)
    if state.abort_requested is not None:
        principal, message = state.abort_requested
        told = f"ended by {principal}" + (f": {message}" if message else "")
        yield RunAborting(reason=Reason.CANCELLED, by=principal, message=told)
    elif stopped is not None:
        yield RunAborting(reason=Reason.CLAIM_FAILED, by=stopped.id, message=f"{stopped.id} failed: {stopped.message}")
    elif state.started is not None and now >= state.started + state.scenario.timeout:
        yield RunAborting(reason=Reason.TIMEOUT, by="timeout", message="the run took longer than its timeout")


def _watch_clocks(state: RunState, now: datetime, decision: Decision) -> None:
    """Whatever was asked for and not answered in time."""
    if state.started is not None and state.aborting is None and "release" not in state.requests:
        decision.wakes.append(state.started + state.scenario.timeout)
    for name, action in state.actions.states.items():
        if not action.taken:
            _expire(decision, now, action.requested + NO_ANSWER, name, Reason.NO_TARGET, "no injector that can reach the target answered")
        elif action.active and action.undo_requested is not None:
            limit = action.undo_requested + UNDO_BUDGET
            _expire(decision, now, limit, name, Reason.REVERT_FAILED, "the undo was not confirmed in time")
    services = state.requests.get("services")
    if services is not None and services.outcome is None and not (state.services or state.workloads):
        limit = services.requested + FIRST_START + (PROXY_START if state.system.spec.links else timedelta())
        _expire(decision, now, limit, "services", Reason.NO_TARGET, "no injector that can start the services answered")
    release = state.requests.get("release")
    if release is not None and release.outcome is None:
        budget = RELEASE_BUDGET + _grace(state) if state.services or state.workloads or state.links else NO_ANSWER
        _expire(decision, now, release.requested + budget, "release", Reason.REVERT_FAILED, "the services were not stopped in time")
    decision.events += deadlines(state, now, decision.wakes)


def _grace(state: RunState) -> timedelta:
    """What the services may need to stop, one level after the other."""
    drivers = {name: service.driver.process for name, service in state.system.spec.services.items()}
    graces = [[process.stop_grace for name in level if (process := drivers[name])] for level in state.system.start_levels()]
    return sum((max(level, default=timedelta()) for level in graces), timedelta())


def _expire(decision: Decision, now: datetime, limit: datetime, name: str, reason: Reason, message: str) -> None:
    if now >= limit:
        decision.events.append(ActionExpired(fault_id=name, reason=reason, message=message))
    else:
        decision.wakes.append(limit)


def _services(state: RunState, now: datetime, decision: Decision) -> bool:
    """Whether the services are up, or the run goes on without them."""
    del now
    services = state.requests.get("services")
    if services is None and state.system.brings_up and state.aborting is None:
        decision.events.append(ServicesRequested(levels=state.system.start_levels()))
        return False
    return services is None or services.outcome is not None or state.aborting is not None


def _settle(state: RunState, now: datetime, decision: Decision) -> bool:
    """The steady state must hold before anything is disturbed."""
    del now
    if precondition_failed(state) and "settle" not in state.stages:
        return True
    stage = state.stages.get("settle")
    claims = state.system.steady_claims()
    if stage is None:
        if state.aborting is not None or not claims:
            return True
        decision.events.append(PhaseStarted(phase="settle", kind="settle", bound=state.system.spec.steady_state.settle))
        return False
    if stage.finished is not None:
        return True
    judged = [a for a in state.assertions.values() if a.mode == "settle"]
    ends = state.aborting is not None or died_early(state)
    if not ends and (len(judged) < len(claims) or any(a.verdict is None for a in judged)):
        return False
    good = not ends and all(a.verdict is Verdict.PASSED for a in judged)
    decision.events.append(PhaseFinished(phase="settle", kind="settle", cut=not good))
    if good:
        decision.events.append(_phase_started(state, 0))
    return False


def _phases(state: RunState, now: datetime, decision: Decision) -> bool:
    """Phase after phase; whether the last one is over, or none comes any more."""
    if precondition_failed(state):
        return True
    if state.aborting is not None or state.stopped_by is not None or state.actions.left:
        return finish_phases(state, decision.events)
    phases = state.scenario.spec.phases
    for index, phase in enumerate(phases):
        stage = state.stages.get(phase.name)
        if stage is None:
            decision.events.append(_phase_started(state, index))
            return False
        if stage.finished is None:
            if advance_phase(state, phase, stage, now, decision.events, decision.wakes) and not decision.events:
                decision.events.append(PhaseFinished(phase=phase.name, kind="phase"))
                if index + 1 < len(phases):
                    decision.events.append(_phase_started(state, index + 1))
            return False
    return True


def _finally(state: RunState, now: datetime, decision: Decision) -> bool:
    """Every fault is undone first; then what is always done."""
    if not undo_all(state, decision.events):
        return False
    actions = state.scenario.spec.finally_
    stage = state.stages.get("finally")
    if stage is None:
        if not actions or state.first_phase_started is None:
            return True
        decision.events.append(PhaseStarted(phase="finally", kind="finally", bound=FINALLY_BUDGET))
        return False
    if stage.finished is not None:
        return True
    done = advance_phase(state, None, stage, now, decision.events, decision.wakes)
    late = now >= stage.started + FINALLY_BUDGET
    if (done or late) and not decision.events:
        decision.events.append(PhaseFinished(phase="finally", kind="finally", cut=not done))
    decision.wakes.append(stage.started + FINALLY_BUDGET)
    return False


def _recover(state: RunState, now: datetime, decision: Decision) -> bool:
    """The steady state must hold again. Not asked of a run that is aborted or never got to its phases."""
    del now
    stage = state.stages.get("recover")
    if stage is None:
        if state.aborting is not None or precondition_failed(state) or state.first_phase_started is None:
            return True
        decision.events.append(PhaseStarted(phase="recover", kind="recover", bound=state.system.spec.steady_state.recover))
        return False
    if stage.finished is not None:
        return True
    judged = [a for a in state.assertions.values() if a.mode == "recover"]
    waiting = len(judged) < len(state.system.steady_claims()) or any(a.verdict is None for a in judged)
    if waiting and state.aborting is None:
        return False
    decision.events.append(PhaseFinished(phase="recover", kind="recover", cut=waiting))
    return False


def _seen_off(state: RunState, now: datetime, decision: Decision) -> bool:
    """Every fault that was undone is seen to be gone, or had the time for that."""
    limits = [fault.reverted + state.system.spec.steady_state.recover for fault in state.actions.unseen_off() if fault.reverted is not None]
    waiting = [limit for limit in limits if now < limit]
    decision.wakes += waiting
    return not waiting or state.aborting is not None or precondition_failed(state)


def _judging(state: RunState, now: datetime, decision: Decision) -> bool:
    """Every claim whose window opened is judged, or has run out of time."""
    return state.aborting is not None or precondition_failed(state) or not waiting_for(state, now, decision.wakes)


def _release(state: RunState, now: datetime, decision: Decision) -> bool:
    """The services that are ours are stopped; then the journal ends."""
    del now
    release = state.requests.get("release")
    if release is None and "services" in state.requests:
        decision.events.append(ServicesReleaseRequested())
    elif release is None or release.outcome is not None:
        decision.events.append(_finish(state))
    return False


def _phase_started(state: RunState, index: int) -> PhaseStarted:
    phase = state.scenario.spec.phases[index]
    return PhaseStarted(phase=phase.name, kind="phase", bound=phase.duration)


def _finish(state: RunState) -> RunFinished:
    found = verdict_of(state)
    return RunFinished(
        verdict=found.verdict, reason=found.reason, message=found.message, cause=found.cause, hint=found.hint, position=state.sequence
    )
