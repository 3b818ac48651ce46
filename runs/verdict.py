"""The verdict of a run: the worst that its journal holds, with the event that caused it."""

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import shorten

from messages.verdicts import HINTS, Reason, Verdict
from runs.faults import ActionState
from runs.rehearsals import WORDS
from runs.state import AssertionState, RunState
from runs.windows import STEADY

DESCRIBED = 120
"""Characters of a claim's description that a finding repeats."""
_ALL_VACUOUS = "passed without the faults that they are about, so they prove nothing of them"


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
        if state.rehearsal:
            return RunVerdict(Verdict.PASSED, None, _rehearsed_well(state), None, None)
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
    yield from _refused_by_limits(state)
    if state.links_lost is None:
        yield from _vacuous(state)
        yield from _assertions(state)
    yield from _cut(state)
    yield from _actions(state)
    yield from _never_started(state)
    yield from _not_tidied(state)
    if not precondition_failed(state) and state.aborting is None:
        yield from _unproven(state)
    yield from _not_gone(state)


def _unsafe(state: RunState) -> Iterator[Finding]:
    for name, action in state.actions.states.items():
        if action.revert_failed is not None:
            cause = action.evidence.get("revert_failed") or action.evidence.get("expired")
            yield Finding(Verdict.UNSAFE, Reason.REVERT_FAILED, f"{name} could not be undone: {action.revert_failed}", cause)
    release = state.services_left
    if release is not None:
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
        if assertion.mode == "settle" or assertion.verdict in {None, Verdict.PASSED} or assertion.control is not None:
            continue
        verdict, name = assertion.verdict or Verdict.INCONCLUSIVE, _named(assertion)
        if assertion.mode != "claim":
            sick = "was not back" if assertion.mode == "recover" else "was broken"
            told = sick if verdict is Verdict.FAILED else "could not be judged"
            name = f"the steady state {told} ({assertion.id.removeprefix(STEADY[assertion.mode])})"
        without = " (without any fault)" if state.rehearsal and verdict is Verdict.FAILED else ""
        yield Finding(verdict, assertion.reason or Reason.JUDGE_ERROR, f"{name}{without}: {assertion.message}", assertion.judged_by)


def _vacuous(state: RunState) -> Iterator[Finding]:
    """The claims that a rehearsal shows to prove nothing, together."""
    found = [assertion for assertion in state.assertions.values() if assertion.control == "vacuous"]
    if found:
        told = f"{', '.join(_named(assertion) for assertion in found)} {WORDS['vacuous'] if len(found) == 1 else _ALL_VACUOUS}"
        yield Finding(Verdict.INCONCLUSIVE, Reason.VACUOUS, told, found[0].judged_by)


def _rehearsed_well(state: RunState) -> str:
    """What a rehearsal that found nothing has shown."""
    own = [a for a in state.assertions.values() if a.mode == "claim"]
    parts = (
        ("hold", sum(1 for a in own if a.verdict is Verdict.PASSED)),
        ("do not, as they should not", sum(1 for a in own if a.control == "needs_fault")),
        ("cannot be judged", sum(1 for a in own if a.control == "control")),
    )
    told = ", ".join(f"{count} {word}" for word, count in parts if count)
    return f"rehearsed without faults: of {len(own)} assertion{'s' if len(own) != 1 else ''} {told}"


def _named(assertion: AssertionState) -> str:
    """A claim's id, and what it says in its own words."""
    says = shorten(assertion.claim.description, DESCRIBED, placeholder="…")
    return f"{assertion.id} ({says})" if says else assertion.id


def _cut(state: RunState) -> Iterator[Finding]:
    """Faults that a pause ended before their time, or before they began."""
    for name, pausing in state.standing.cut.items():
        action = state.actions.states[name]
        in_time = action.reverted_by == "itself" or action.outcome in {"done", "failed", "expired"}
        cancelled = action.outcome == "refused" and action.reason is Reason.CANCELLED
        if not in_time and (cancelled or action.armed is not None or action.rehearsed is not None):
            did = "paused the run" if pausing.why == "pause" else "held all runs"
            note = f" ({pausing.note})" if pausing.note else ""
            told = f"{name} was ended before its time: {pausing.by} {did}{note}"
            yield Finding(Verdict.INCONCLUSIVE, Reason.PHASE_CUT, told, f"scheduler.run.run.pausing.{pausing.number}")


def _actions(state: RunState) -> Iterator[Finding]:
    for name, action in state.actions.states.items():
        if action.outcome in {"refused", "failed", "expired"} and action.revert_failed is None:
            cause = action.evidence.get(action.outcome)
            yield Finding(Verdict.INCONCLUSIVE, action.reason or Reason.NO_TARGET, f"{name}: {action.message}", cause)
        elif _missed_by_us(state, action):
            told = f"{name} was injected, but its injector died before an effect was seen on {action.request.target}"
            yield Finding(Verdict.INCONCLUSIVE, Reason.GAP, told, action.evidence.get("unseen") or action.evidence.get("injected"))
        elif action.unseen and action.effective is None:
            told = f"{name} was injected, but no effect was seen on {action.request.target}"
            yield Finding(Verdict.INCONCLUSIVE, Reason.NO_EFFECT, told, action.evidence.get("unseen"))
        elif action.armed is not None and action.effective is None and action.request.action.spec.fault:
            told = f"{name} was undone before an effect was seen on {action.request.target}"
            yield Finding(Verdict.INCONCLUSIVE, Reason.NO_EFFECT, told, action.evidence.get("injected") or action.evidence.get("armed"))
        elif action.cut_short:
            away = "ended with its lease, before its time: the injector that kept it up was away"
            told = f"{name} {away if action.reverted_by == 'lease' else 'ended before its time, and nobody of this run ended it'}"
            yield Finding(Verdict.INCONCLUSIVE, Reason.GAP, told, action.evidence.get("reverted"))


def _missed_by_us(state: RunState, action: ActionState) -> bool:
    """Whether nobody saw an effect while one injector took the place of another: the target is not to blame."""
    since, until = action.injected, action.reverted or state.last_at
    if since is None or until is None or action.effective is not None or not action.request.action.spec.fault:
        return False
    return any(since <= at <= until for at in state.injectors)


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


def _not_tidied(state: RunState) -> Iterator[Finding]:
    stage = state.stages.get("finally")
    if stage is not None and stage.cut:
        yield Finding(Verdict.INCONCLUSIVE, Reason.PHASE_CUT, "what is always to be done at the end was not done in its time", None)


def _choices(state: RunState) -> Iterator[Finding]:
    for name, resolved in state.actions.resolved.items():
        if not resolved.event.chosen and resolved.event.protected:
            only = ", ".join(resolved.event.protected)
            told = f"{name}: only {only} fitted, and what is protected is never chosen (limits.protected of the system)"
            yield Finding(Verdict.INCONCLUSIVE, Reason.REFUSED_LIMIT, told, resolved.evidence)
        elif not resolved.event.chosen:
            known = ", ".join(f"{of} ({value})" for of, value in resolved.event.values.items()) or ", ".join(resolved.event.candidates)
            yield Finding(Verdict.INCONCLUSIVE, Reason.NO_TARGET, f"{name}: no service fitted among {known}", resolved.evidence)


def _refused_by_limits(state: RunState) -> Iterator[Finding]:
    """Before the claims that could not be judged for it."""
    for name, action in state.actions.states.items():
        if action.outcome == "refused" and action.reason is Reason.REFUSED_LIMIT and action.revert_failed is None:
            yield Finding(Verdict.INCONCLUSIVE, Reason.REFUSED_LIMIT, f"{name}: {action.message}", action.evidence.get("refused"))


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
