"""What happens next in a run: a pure function of its state and the time. The order of the steps is the order of a run's life."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from actors.scheduler.claims import deadlines, open_claims, waiting_for
from actors.scheduler.decision import LONG_AGO, Decision
from actors.scheduler.gates import begin, dropped, refused
from actors.scheduler.pausing import turn
from actors.scheduler.phases import advance_phase, finish_phases, undo_all
from messages.control import Hold
from messages.events import RunEvent
from messages.run_events import (
    ActionExpired,
    PhaseFinished,
    PhaseStarted,
    RunAborting,
    RunPausing,
    RunStarted,
    ServicesReleaseRequested,
    ServicesRequested,
)
from messages.verdicts import Reason, Verdict
from runs.judging import finished
from runs.state import RunState
from runs.verdict import died_early, precondition_failed

NO_ANSWER = timedelta(seconds=5)
"""How long an injector may take to take a request."""
FIRST_START = timedelta(seconds=15)
"""How long an injector may take until the first service has started; with links their proxy comes before it."""
PROXY_START = timedelta(seconds=20)
UNDO_BUDGET = timedelta(seconds=30)
FINALLY_BUDGET = timedelta(seconds=60)
AUDIT_BUDGET = timedelta(seconds=5)
"""How long the observer may take with the audit trail; no verdict waits for it."""
RELEASE_BUDGET = timedelta(seconds=60)


def decide(state: RunState, now: datetime, hold: Hold | None = None, back: datetime = LONG_AGO) -> Decision:
    """The next events of an accepted run that is not finished. While there is a hold, one that has started stands still.

    Whoever owes an answer has his time from `back` on, since when the bus is known to be there without a break.
    """
    decision = Decision(back=back)
    if state.accepted is None or state.finished is not None:
        return decision
    decision.events += _abort(state, now)
    if decision.events:
        return decision
    if state.started is None:
        _before_start(state, decision)
        return decision
    _watch_clocks(state, now, decision)
    decision.events += (*dropped(state), *turn(state, hold)) if not decision.events else ()
    if any(isinstance(event, RunPausing) for event in decision.events) or state.standing.paused is not None:
        undo_all(state, decision.events, "pause")
    else:
        _go_on(state, now, decision)
    decision.events += open_claims(state, decision.events, now)
    return decision


def _go_on(state: RunState, now: datetime, decision: Decision) -> None:
    """The steps of a run that does not stand still, up to the first that is not done."""
    for step in (_services, _settle, _phases, _finally, _recover, _seen_off, _judging, _audited, _release):
        if decision.events or not step(state, now, decision):
            break


def start(state: RunState) -> list[RunEvent]:
    """The events with which a run that has got its system begins."""
    events: list[RunEvent] = [RunStarted()]
    return [*events, ServicesRequested(levels=state.system.start_levels())] if state.system.brings_up else events


def _before_start(state: RunState, decision: Decision) -> None:
    if state.aborting is not None:
        decision.events.append(finished(state))
    else:
        decision.wants_system = True


def _abort(state: RunState, now: datetime) -> Iterator[RunEvent]:
    if state.aborting is not None or "release" in state.requests:
        return
    stopped = next((a for a in state.assertions.values() if a.failed and a.claim.on_fail == "abort"), None)
    if state.abort_requested is not None:
        principal, message = state.abort_requested
        told = f"ended by {principal}" + (f": {message}" if message else "")
        yield RunAborting(reason=Reason.CANCELLED, by=principal, message=told)
    elif stopped is not None:
        yield RunAborting(reason=Reason.CLAIM_FAILED, by=stopped.id, message=f"{stopped.id} failed: {stopped.message}")
    elif state.times_out is not None and now >= state.times_out:
        yield RunAborting(reason=Reason.TIMEOUT, by="timeout", message="the run took longer than its timeout")
    else:
        yield from refused(state, now)


def _watch_clocks(state: RunState, now: datetime, decision: Decision) -> None:
    """Whatever was asked for and not answered in time."""
    if state.times_out is not None and state.aborting is None and "release" not in state.requests:
        decision.wakes.append(state.times_out)
    for name, action in state.actions.states.items():
        if not action.taken:
            _expire(
                decision,
                now,
                decision.asked(action.requested) + NO_ANSWER,
                name,
                Reason.NO_TARGET,
                "no injector that can reach the target answered",
            )
        elif action.active and action.undo_requested is not None:
            limit = decision.asked(action.undo_requested) + UNDO_BUDGET
            _expire(decision, now, limit, name, Reason.REVERT_FAILED, "the undo was not confirmed in time")
    services = state.requests.get("services")
    if services is not None and services.outcome is None and not (state.services or state.workloads):
        limit = decision.asked(services.requested) + FIRST_START + (PROXY_START if state.system.spec.links else timedelta())
        _expire(decision, now, limit, "services", Reason.NO_TARGET, "no injector that can start the services answered")
    release = state.requests.get("release")
    if release is not None and release.outcome is None:
        budget = RELEASE_BUDGET + _grace(state) if state.services or state.workloads or state.links else NO_ANSWER
        _expire(
            decision,
            now,
            decision.asked(release.requested) + budget,
            "release",
            Reason.REVERT_FAILED,
            "the services were not stopped in time",
        )
    unjudged = list(deadlines(state, now, decision.back, decision.wakes))
    decision.events += unjudged
    decision.late = decision.late or bool(unjudged)


def _grace(state: RunState) -> timedelta:
    """What the services may need to stop, one level after the other."""
    drivers = {name: service.driver.process for name, service in state.system.spec.services.items()}
    graces = [[process.stop_grace for name in level if (process := drivers[name])] for level in state.system.start_levels()]
    return sum((max(level, default=timedelta()) for level in graces), timedelta())


def _expire(decision: Decision, now: datetime, limit: datetime, name: str, reason: Reason, message: str) -> None:
    if now >= limit:
        decision.late = True
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
        decision.events += begin(state, 0, now, decision.wakes)
    return False


def _phases(state: RunState, now: datetime, decision: Decision) -> bool:
    """Phase after phase; whether the last one is over, or none comes any more."""
    if precondition_failed(state):
        return True
    if state.aborting is not None or state.stopped_by is not None or state.actions.given_up:
        return finish_phases(state, decision.events)
    phases = state.scenario.spec.phases
    for index, phase in enumerate(phases):
        stage = state.stages.get(phase.name)
        if stage is None:
            decision.events += begin(state, index, now, decision.wakes)
            return False
        if stage.finished is None:
            if advance_phase(state, phase, stage, now, decision.events, decision.wakes) and not decision.events:
                decision.events.append(PhaseFinished(phase=phase.name, kind="phase"))
                if index + 1 < len(phases):
                    decision.events += begin(state, index + 1, now, decision.wakes)
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
    if (done or decision.had_time(state, stage.started, FINALLY_BUDGET, now)) and not decision.events:
        decision.events.append(PhaseFinished(phase="finally", kind="finally", cut=not done))
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
    limit, undone = state.system.spec.steady_state.recover, [fault.reverted for fault in state.actions.unseen_off()]
    waiting = [at for at in undone if at is not None and not decision.had_time(state, at, limit, now)]
    return not waiting or state.aborting is not None or precondition_failed(state)


def _judging(state: RunState, now: datetime, decision: Decision) -> bool:
    """Every claim whose window opened is judged, or has run out of time."""
    ends = state.aborting is not None or precondition_failed(state) or "release" in state.requests
    return ends or not waiting_for(state, now, decision.wakes)


def _audited(state: RunState, now: datetime, decision: Decision) -> bool:
    """What the audit trail says of the faults is told, or had the time for that."""
    recover = state.stages.get("recover")
    if recover is None or recover.finished is None or state.aborting is not None or "release" in state.requests:
        return True
    tells = bool(state.system.spec.events) and any(action.injected is not None for action in state.actions.faults().values())
    return not tells or state.audited or decision.had_time(state, recover.finished, AUDIT_BUDGET, now)


def _release(state: RunState, now: datetime, decision: Decision) -> bool:
    """The services that are ours are stopped; then the journal ends."""
    del now
    release = state.requests.get("release")
    if release is None and "services" in state.requests:
        decision.events.append(ServicesReleaseRequested())
    elif release is None or release.outcome is not None:
        decision.events.append(finished(state))
    return False
