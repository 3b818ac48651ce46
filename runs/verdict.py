"""The verdict of a run: the worst that its journal holds, with the event that caused it."""

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import shorten

from messages.verdicts import HINTS, Reason, Verdict
from runs.state import AssertionState, RunState
from runs.windows import STEADY

DESCRIBED = 120
"""Characters of a claim's description that a finding repeats."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that keeps a run from having passed."""

    verdict: Verdict
    reason: Reason
    message: str
    cause: str | None


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """What a run came to, and why."""

    verdict: Verdict
    reason: Reason | None
    message: str
    cause: str | None
    hint: str | None


def verdict_of(state: RunState) -> RunVerdict:
    """The worst finding decides; of equals the first. Nothing found and something proven is `passed`."""
    findings = list(_findings(state))
    if not findings:
        count = sum(1 for a in state.assertions.values() if a.mode == "claim" and a.verdict is Verdict.PASSED)
        return RunVerdict(Verdict.PASSED, None, f"all {count} assertions passed" if count != 1 else "the assertion passed", None, None)
    first = max(findings, key=lambda f: f.verdict.rank)
    return RunVerdict(first.verdict, first.reason, first.message, first.cause, HINTS[first.reason])


def not_reached(state: RunState) -> tuple[str, ...]:
    """The claims of the scenario whose window never opened."""
    return tuple(name for name in state.scenario.claims() if name not in state.assertions)


def precondition_failed(state: RunState) -> bool:
    """The run ends before its first phase: the system is not up or not in its steady state, or a workload has ended by itself."""
    if died_early(state):
        return True
    services = state.requests.get("services")
    if services is not None and services.outcome in {"refused", "failed", "expired"}:
        return True
    return any(a.mode == "settle" and a.verdict not in {None, Verdict.PASSED} for a in state.assertions.values())


def died_early(state: RunState) -> bool:
    """Whether a workload ended by itself before the first phase."""
    return state.first_phase_started is None and any(workload.died is not None for workload in state.workloads.values())


def _findings(state: RunState) -> Iterator[Finding]:
    yield from _unsafe(state)
    yield from _aborted(state)
    yield from _lost_links(state)
    yield from _preconditions(state)
    yield from _workloads(state)
    yield from _choices(state)
    if state.links_lost is None:
        yield from _assertions(state)
    yield from _actions(state)
    yield from _never_started(state)
    if not precondition_failed(state) and state.aborting is None:
        yield from _unproven(state)
    yield from _not_gone(state)


def _unsafe(state: RunState) -> Iterator[Finding]:
    for name, action in state.actions.states.items():
        if action.revert_failed is not None:
            cause = action.evidence.get("revert_failed") or action.evidence.get("expired")
            yield Finding(Verdict.UNSAFE, Reason.REVERT_FAILED, f"{name} could not be undone: {action.revert_failed}", cause)
    release = state.requests.get("release")
    if release is not None and release.outcome in {"failed", "expired"} and (state.services or state.workloads or state.links):
        told = f"processes of the run may still be running: {release.message}"
        yield Finding(Verdict.UNSAFE, Reason.REVERT_FAILED, told, release.evidence)


def _aborted(state: RunState) -> Iterator[Finding]:
    aborting = state.aborting
    if aborting is not None and aborting.reason in {Reason.CANCELLED, Reason.TIMEOUT}:
        yield Finding(Verdict.ABORTED, aborting.reason, aborting.message, "scheduler.run.run.aborting.0")


def _preconditions(state: RunState) -> Iterator[Finding]:
    services = state.requests.get("services")
    if services is not None and services.outcome in {"refused", "failed", "expired"}:
        yield Finding(Verdict.INCONCLUSIVE, services.reason or Reason.PRECONDITION, services.message, services.evidence)
    for assertion in state.assertions.values():
        if assertion.mode == "settle" and assertion.verdict not in {None, Verdict.PASSED} and not _late(state, assertion):
            told = f"the steady state did not hold before the first fault: {assertion.message}"
            yield Finding(Verdict.INCONCLUSIVE, Reason.PRECONDITION, told, assertion.judged_by)


def _late(state: RunState, assertion: AssertionState) -> bool:
    """Whether it was judged when settling was already given up: by then services may have been stopped."""
    settle = state.stages.get("settle")
    if settle is None or settle.finished is None or assertion.judged_at is None:
        return False
    return assertion.judged_at > settle.finished


def _workloads(state: RunState) -> Iterator[Finding]:
    for name, workload in state.workloads.items():
        if workload.died is not None:
            code = f" with code {workload.died.code}" if workload.died.code is not None else ""
            said = f": {workload.died.message}" if workload.died.message else ""
            told = f"the workload {name} ended by itself{code}{said}"
            yield Finding(Verdict.INCONCLUSIVE, Reason.WORKLOAD_DIED, told, workload.evidence)


def _lost_links(state: RunState) -> Iterator[Finding]:
    """What a system did without its links is not held against it."""
    lost = state.links_lost
    if lost is not None:
        code = f" with code {lost.event.code}" if lost.event.code is not None else ""
        said = f": {lost.event.message}" if lost.event.message else ""
        told = f"the proxy of the links ended by itself{code}, and so cut all that goes over them{said}"
        yield Finding(Verdict.INCONCLUSIVE, Reason.GAP, told, lost.evidence)


def _assertions(state: RunState) -> Iterator[Finding]:
    for assertion in state.assertions.values():
        if assertion.mode == "settle" or assertion.verdict in {None, Verdict.PASSED}:
            continue
        verdict, name = assertion.verdict or Verdict.INCONCLUSIVE, _named(assertion)
        if assertion.mode != "claim":
            sick = "was not back" if assertion.mode == "recover" else "was broken"
            told = sick if verdict is Verdict.FAILED else "could not be judged"
            name = f"the steady state {told} ({assertion.id.removeprefix(STEADY[assertion.mode])})"
        yield Finding(verdict, assertion.reason or Reason.JUDGE_ERROR, f"{name}: {assertion.message}", assertion.judged_by)


def _named(assertion: AssertionState) -> str:
    """A claim's id, and what it says in its own words."""
    says = shorten(assertion.claim.description, DESCRIBED, placeholder="…")
    return f"{assertion.id} ({says})" if says else assertion.id


def _actions(state: RunState) -> Iterator[Finding]:
    for name, action in state.actions.states.items():
        if action.outcome in {"refused", "failed", "expired"} and action.revert_failed is None:
            cause = action.evidence.get(action.outcome)
            yield Finding(Verdict.INCONCLUSIVE, action.reason or Reason.NO_TARGET, f"{name}: {action.message}", cause)
        elif action.unseen and action.effective is None:
            told = f"{name} was injected, but no effect was seen on {action.request.target}"
            yield Finding(Verdict.INCONCLUSIVE, Reason.NO_EFFECT, told, action.evidence.get("unseen"))
        elif action.armed is not None and action.effective is None and action.request.action.spec.fault:
            told = f"{name} was undone before an effect was seen on {action.request.target}"
            yield Finding(Verdict.INCONCLUSIVE, Reason.NO_EFFECT, told, action.evidence.get("injected") or action.evidence.get("armed"))
        elif action.cut_short:
            told = f"{name} ended with its lease, before its time: the injector that kept it up was away"
            yield Finding(Verdict.INCONCLUSIVE, Reason.GAP, told, action.evidence.get("reverted"))


def _not_gone(state: RunState) -> Iterator[Finding]:
    for fault in state.actions.unseen_off():
        told = f"{fault.request.fault_id} was undone, but nobody saw that it is gone from {fault.request.target}"
        yield Finding(Verdict.INCONCLUSIVE, Reason.GAP, told, fault.evidence.get("reverted"))


def _never_started(state: RunState) -> Iterator[Finding]:
    for phase in state.scenario.spec.phases:
        stage = state.stages.get(phase.name)
        if stage is None or stage.finished is None or stage.cut:
            continue
        for action in phase.actions:
            faults = state.actions.of(action)
            missed = [name for name in ((action.id,) if faults is None else faults) if name not in state.actions.states]
            if missed:
                told = f"{', '.join(missed)} never started: the phase {phase.name} was over before its turn came"
                yield Finding(Verdict.INCONCLUSIVE, Reason.PHASE_CUT, told, None)


def _choices(state: RunState) -> Iterator[Finding]:
    for name, resolved in state.actions.resolved.items():
        if not resolved.event.chosen:
            known = ", ".join(f"{of} ({value})" for of, value in resolved.event.values.items()) or ", ".join(resolved.event.candidates)
            yield Finding(Verdict.INCONCLUSIVE, Reason.NO_TARGET, f"{name}: no service fitted among {known}", resolved.evidence)


def _unproven(state: RunState) -> Iterator[Finding]:
    missing = not_reached(state)
    if missing:
        yield Finding(Verdict.INCONCLUSIVE, Reason.PHASE_CUT, f"never tested: {', '.join(missing)}", None)
    unfinished = [a.id for a in state.assertions.values() if a.verdict is None]
    if unfinished:
        yield Finding(Verdict.INCONCLUSIVE, Reason.PHASE_CUT, f"not judged: {', '.join(unfinished)}", None)
    if not state.scenario.claims():
        yield Finding(Verdict.INCONCLUSIVE, Reason.NO_SAMPLES, "the scenario claims nothing, so nothing was proven", None)
    cut = [s.name for s in state.stages.values() if s.kind == "phase" and s.cut]
    if cut or len([s for s in state.stages.values() if s.kind == "phase"]) < len(state.scenario.spec.phases):
        yield Finding(Verdict.INCONCLUSIVE, Reason.PHASE_CUT, f"cut short: {', '.join(cut) or 'later phases'}", None)
