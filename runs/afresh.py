"""An old run judged by new claims, from what was recorded of it. Pure.

Health, recovery, probes and workloads are in the journal whatever was claimed. Service events are not: who has them still
counts them for the new claims. What the observer asked for one claim alone (over HTTP, of metrics) is there for that claim only.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any

from messages.claims import (
    AnsweredClaim,
    Claim,
    ExpressionClaim,
    Judgement,
    LogClaim,
    MetricClaim,
    SetClaim,
    TraceClaim,
    Window,
    inconclusive,
)
from messages.events import Recorded, RunEvent, evidence_id
from messages.judgements import AssertionJudged
from messages.observations import EventCounted, EventMatched
from messages.run_events import RunFinished
from messages.scenario import Scenario
from messages.values import Message
from messages.verdicts import Reason
from runs.judging import Evidence, finished, judge
from runs.state import AssertionState
from runs.windows import window_of

_ASKS = (AnsweredClaim, LogClaim, MetricClaim, SetClaim, TraceClaim)
"""Claims for which the observer asks somebody, or reads something, while they are open."""
_JUDGES_ONLY = frozenset({
    "description", "on_fail", "within", "throughout", "never", "during", "after", "before", "grace",
    "at_least", "at_most", "equals", "of", "compare", "percentile", "min_samples",
})  # fmt: skip
"""Words of a claim that change nothing in what is asked for it."""
RECALLED = "recalled"
"""In the place of the actor in the ids of evidence that was counted anew, and is in no journal."""


class Afresh(Message):
    """A run that is over, judged by other claims."""

    run_id: str
    claims: tuple[AssertionJudged, ...]
    run: RunFinished
    """What the run would have come to with these claims instead of its own."""
    recalled: dict[str, EventMatched] = {}
    """What was counted anew for the claims that follow events."""


def known_at_end(run: str, lines: Iterable[Recorded[RunEvent]]) -> Evidence:
    """All that was known when the run ended."""
    view = Evidence(run)
    for line in lines:
        if isinstance(line.event, RunFinished):
            break
        view.apply(line)
    return view


def counted_in(lines: Iterable[Recorded[RunEvent]]) -> list[EventCounted]:
    """What the observer counted on the event streams, second by second."""
    return [line.event for line in lines if isinstance(line.event, EventCounted)]


def judge_afresh(view: Evidence, scenario: Scenario, recalled: Mapping[str, EventMatched], missing: str = "") -> Afresh:
    """Judge a run by the claims of a scenario that is else its own. `missing`: why its service events cannot be counted anew.

    Changes the view, which is of no use any more after that.
    """
    state, old = view.state, {name: claim for name, (claim, _) in view.state.scenario.claims().items()}
    view.seen.matched = {name: (event, evidence_id(RECALLED, event)) for name, event in recalled.items()}
    begun = state.first_phase_started or state.started or state.accepted_at
    if state.accepted is None or begun is None:
        raise LookupError(f"run {state.id} was never accepted")
    found: dict[str, AssertionJudged] = {}
    steady = {name: assertion for name, assertion in state.assertions.items() if assertion.mode != "claim"}
    asked = {name: AssertionState(name, claim, "claim", phase, begun) for name, (claim, phase) in scenario.claims().items()}
    state.accepted = state.accepted.model_copy(update={"scenario": scenario})
    state.assertions = {**steady, **asked}
    for name in _in_order(asked):
        assertion = asked[name]
        judgement = _judge(view, assertion, old.get(name), missing)
        found[name] = AssertionJudged(
            assertion=name,
            verdict=judgement.verdict,
            reason=judgement.reason,
            message=judgement.message,
            evidence=judgement.evidence,
            measured=judgement.measured,
        )
        assertion.verdict, assertion.reason, assertion.message = judgement.verdict, judgement.reason, judgement.message
        assertion.evidence, assertion.measured = judgement.evidence, dict(judgement.measured)
    end = finished(state)
    end = end.model_copy(update={"cause": end.cause or None})
    return Afresh(run_id=state.id, claims=tuple(found[name] for name in asked), run=end, recalled={**recalled})


def _in_order(asked: Mapping[str, AssertionState]) -> Iterator[str]:
    """Every claim after those that it names."""
    claims = {name: assertion.claim for name, assertion in asked.items()}
    named = {name: claim.claims_named() if isinstance(claim, ExpressionClaim) else () for name, claim in claims.items()}
    return iter(TopologicalSorter(named).static_order())


def _judge(view: Evidence, assertion: AssertionState, old: Claim | None, missing: str) -> Judgement:
    claim = assertion.claim
    if claim.follows_events and missing:
        return inconclusive(Reason.GAP, missing)
    if not same_question(claim, old):
        if isinstance(claim, _ASKS):
            return inconclusive(
                Reason.GAP, f"nobody asked this during the run: what a {claim.type} claim needs is only recorded for itself"
            )
        if not claim.follows_events:
            assertion = replace(assertion, id=f"{assertion.id}.afresh")  # what was recorded for another claim of this id is not its own
    return judge(view.state, view.seen, assertion) or _never_over(view, assertion)


def same_question(claim: Claim, old: Claim | None) -> bool:
    """Whether what was recorded for a claim of the run is what another of its id asks for."""
    return old is not None and _question(claim) == _question(old)


def _question(claim: Claim) -> dict[str, Any]:
    return {word: value for word, value in claim.model_dump(mode="json", by_alias=True).items() if word not in _JUDGES_ONLY}


def _never_over(view: Evidence, assertion: AssertionState) -> Judgement:
    window: Window = window_of(view.state, assertion.claim, assertion.phase)
    if window.opens is None:
        return inconclusive(Reason.PHASE_CUT, "its window did not open in this run")
    if window.closes is None:
        return inconclusive(Reason.PHASE_CUT, "its window was not over when the run ended")
    return inconclusive(Reason.GAP, "its window closes after the last thing that was recorded; give it less time, or less grace")
