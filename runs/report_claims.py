"""What a report says of the claims, the steady state, what should not be, and what to do about it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from messages.claims import summary_of
from messages.observations import EventMatched
from messages.values import Duration
from messages.verdicts import HINTS, Reason, Verdict
from runs.history import Observations
from runs.rehearsals import WORDS
from runs.report_effects import FaultReport, SystemImpact
from runs.report_figures import Metrics
from runs.report_findings import AssertionDetail, Part, Recommendation, SteadyPart, SteadyState, Unexpected, ValidationResults
from runs.report_journal import Gathered
from runs.report_values import Outcome, Span, span
from runs.state import AssertionState, RunState
from runs.windows import STEADY, window_of

_WORST = ("passed", "needs_fault", "control", "not_reached", "not_judged", "vacuous", "inconclusive", "failed")


def outcome_of(assertion: AssertionState | None) -> Outcome:
    """What became of a claim; None: its window never opened."""
    if assertion is None:
        return "not_reached"
    if assertion.control is not None:
        return assertion.control
    match assertion.verdict:
        case None:
            return "not_judged"
        case Verdict.PASSED:
            return "passed"
        case Verdict.FAILED:
            return "failed"
        case _:
            return "inconclusive"


def validation_of(state: RunState, seen: Observations, gathered: Gathered, impact: SystemImpact, metrics: Metrics) -> ValidationResults:
    """Every claim of the scenario, and what else was found."""
    details = tuple(_detail(state, name) for name in state.scenario.claims()) if state.accepted else ()
    count = {outcome: sum(1 for d in details if d.outcome == outcome) for outcome in _WORST}
    unexpected = (*gathered.unexpected, *_unexpected(seen, impact, metrics))
    return ValidationResults(
        total_assertions=len(details),
        passed_assertions=count["passed"],
        failed_assertions=count["failed"],
        inconclusive_assertions=count["inconclusive"],
        not_reached_assertions=count["not_reached"],
        not_judged_assertions=count["not_judged"],
        vacuous_assertions=count["vacuous"],
        needs_fault_assertions=count["needs_fault"],
        control_assertions=count["control"],
        assertion_details=details,
        unexpected_behaviors=unexpected,
    )


def targets_of(state: RunState) -> dict[str, str]:
    """On what each fault is, or will be."""
    planned = {fault: target for fault, (target, _, _) in state.scenario.faults().items()}
    return planned | {fault: action.request.target for fault, action in state.actions.states.items()}


def _detail(state: RunState, name: str) -> AssertionDetail:
    claim, phase = state.scenario.claims()[name]
    assertion = state.assertions.get(name)
    outcome = outcome_of(assertion)
    silent = {"not_reached": "its window never opened", "not_judged": "the run ended before it was judged"}.get(outcome, "")
    return AssertionDetail(
        id=name,
        type=claim.type,
        phase=phase,
        summary=summary_of(claim, targets_of(state)),
        passed=outcome == "passed",
        outcome=outcome,
        verdict=assertion.verdict if assertion else None,
        reason=assertion.reason if assertion else None,
        message=_message(assertion) or silent,
        evidence=_evidence(assertion),
        measured=_measured(assertion.measured) if assertion else {},
        opened=assertion.opened if assertion else None,
        timestamp=assertion.judged_at if assertion else None,
        closes=window_of(state, claim, phase).closes if assertion else None,
        description=claim.description or "",
    )


def _message(assertion: AssertionState | None) -> str:
    """What was said of it, in a rehearsal behind what that means."""
    if assertion is None:
        return ""
    return assertion.message if assertion.control is None else f"{WORDS[assertion.control]}: {assertion.message}"


def _evidence(assertion: AssertionState | None) -> tuple[str, ...]:
    if assertion is None or assertion.verdict is None:
        return ()
    return assertion.evidence or ((assertion.judged_by,) if assertion.judged_by.startswith("scheduler.") else ())


def _measured(measured: Mapping[str, Duration | int | str]) -> dict[str, Span | int | str]:
    return {name: span(value) if isinstance(value, timedelta) else value for name, value in measured.items()}


def steady_of(state: RunState) -> SteadyState:
    """The steady state over settle, the phases and recover: failed at the start it is a precondition, later a failure."""
    parts = tuple(_part(a) for a in state.assertions.values() if a.mode != "claim")
    worst = max(parts, key=lambda p: (_WORST.index(_counted(p)), p.part == "settle"), default=None)
    if worst is None:
        asked = state.accepted is not None and bool(state.system.steady_claims())
        told = "the run never came to it" if asked else "the system names no steady state, and no service has health checks"
        return SteadyState(outcome="not_reached", reason=None, message=told, parts=())
    if _counted(worst) == "passed":
        told = f"it held {', '.join(dict.fromkeys(_PART[p.part] for p in parts))}"
        return SteadyState(outcome="passed", reason=None, message=told, parts=parts)
    settled = worst.part == "settle" and worst.outcome in {"failed", "inconclusive"}
    reason = Reason.PRECONDITION if settled else worst.reason
    told = f"{_PART[worst.part]}: {worst.message}"
    return SteadyState(outcome=_counted(worst), reason=reason, message=told, parts=parts)


_PART = {"settle": "before the first fault", "steady": "during the phases", "recover": "after the last undo"}


def _counted(part: SteadyPart) -> Outcome:
    return "inconclusive" if part.part == "settle" and part.outcome == "failed" else part.outcome


def _part(assertion: AssertionState) -> SteadyPart:
    mode: Part = "steady" if assertion.mode == "claim" else assertion.mode
    outcome = outcome_of(assertion)
    return SteadyPart(
        id=assertion.id,
        claim=assertion.id.removeprefix(STEADY[mode]),
        part=mode,
        summary=assertion.claim.description or assertion.claim.summary(),
        outcome=outcome,
        reason=assertion.reason,
        message=assertion.message or ("not judged" if outcome == "not_judged" else ""),
        evidence=_evidence(assertion),
        opened=assertion.opened,
        timestamp=assertion.judged_at,
    )


def _unexpected(seen: Observations, impact: SystemImpact, metrics: Metrics) -> Iterator[Unexpected]:
    for service in impact.services:
        for down in service.downtimes:
            if not down.faults:
                text = f"{service.service} was down for {down.duration.text} with no fault on it" + (
                    f": {down.error}" if down.error else ""
                )
                yield Unexpected(kind="down", text=text, timestamp=down.start)
    if metrics.service_events.unreadable:
        yield Unexpected(
            kind="unreadable events", text=f"{metrics.service_events.unreadable} messages on the event streams are not CloudEvents"
        )
    for name, probe in metrics.probes.items():
        if probe.missed:
            yield Unexpected(
                kind="missed samples", text=f"{probe.missed} of {probe.samples} health samples of {name} were not sent in time"
            )
    for name, (matched, evidence) in seen.matched.items():
        if matched.errors:
            yield _errors(name, matched, evidence)


def _errors(name: str, matched: EventMatched, evidence: str) -> Unexpected:
    text = f"{name} could not be evaluated on {matched.errors} of {matched.seen} events: {matched.error}"
    return Unexpected(kind="expression errors", text=text, evidence=evidence)


def recommendations_of(
    state: RunState, validation: ValidationResults, steady: SteadyState, faults: Sequence[FaultReport]
) -> tuple[Recommendation, ...]:
    """What to change about everything that did not pass, the run's own reason first; each reason once."""
    about: dict[Reason, list[str]] = {}
    if state.finished is not None and state.finished.reason is not None:
        about[state.finished.reason] = []
    for name, request in state.requests.items():
        if request.outcome in {"refused", "failed", "expired"}:
            about.setdefault(request.reason or Reason.PRECONDITION, []).append(name)
    for detail in validation.assertion_details:
        if detail.outcome in {"failed", "vacuous", "inconclusive"}:
            reason = Reason.VACUOUS if detail.outcome == "vacuous" else detail.reason
            about.setdefault(reason or Reason.JUDGE_ERROR, []).append(detail.id)
    if steady.outcome in {"failed", "inconclusive"}:
        about.setdefault(steady.reason or Reason.CLAIM_FAILED, []).append("steady state")
    for action in state.actions.states.values():
        if action.outcome in {"refused", "failed", "expired"}:
            about.setdefault(action.reason or Reason.NO_TARGET, []).append(action.request.fault_id)
    for fault in faults:
        if fault.status == "not undone":
            about.setdefault(Reason.REVERT_FAILED, []).append(fault.id)
        elif fault.status == "unseen":
            about.setdefault(Reason.NO_EFFECT, []).append(fault.id)
    found = [Recommendation(reason=reason, text=HINTS[reason], about=tuple(dict.fromkeys(names))) for reason, names in about.items()]
    return (*found, *_further(validation))


def _further(validation: ValidationResults) -> Iterator[Recommendation]:
    kinds = {u.kind for u in validation.unexpected_behaviors}
    if "dead letter" in kinds:
        told = "A part of the coordinator gave up on an event. Look for `handler.failed` in the log of the host that ran it, and run again."
        yield Recommendation(reason=None, text=told, about=("dead letter",))
    if "down" in kinds:
        told = "A service went down without a fault on it. Look at what it depends on, and at its own log at that time."
        yield Recommendation(reason=None, text=told, about=("down",))
    if "killed" in kinds:
        told = "A service outlived its stop grace and was killed. Give it a longer `stop_grace`, or find out why it does not end."
        yield Recommendation(reason=None, text=told, about=("killed",))
