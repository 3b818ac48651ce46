"""A judgement as a function of the journal: what the validator says, and what says it again later. Pure."""

from collections.abc import Callable, Iterator

from messages.claims import FaultHistory, Judgement, inconclusive
from messages.events import Recorded, RunEvent
from messages.judgements import AssertionJudged
from messages.run_events import RunFinished
from messages.verdicts import Reason, Verdict
from runs.history import Observations, history_of
from runs.rehearsals import control_of
from runs.state import AssertionState, RunState
from runs.verdict import verdict_of

Raised = Callable[[RunState, AssertionState, Exception], None]
"""Told what a judge raised, and of which claim of which run."""


class Evidence:
    """The validator's view of a run: its state, and what was observed in it."""

    def __init__(self, run: str) -> None:
        self.state = RunState(run)
        self.seen = Observations()

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        self.state.apply(recorded)
        if self.state.finished is None:
            self.seen.apply(recorded)


def judge(state: RunState, seen: Observations, assertion: AssertionState, raised: Raised | None = None) -> Judgement | None:
    """What the history says of a claim; None while nobody can say. A judge that raises is inconclusive."""
    history = history_of(state, seen, assertion)
    claim = assertion.claim
    try:
        found = claim.judge_stable(history) if assertion.mode in {"settle", "recover"} else claim.judge(history)
    except Exception as error:  # noqa: BLE001 - the border around a judge: what it raises is its verdict
        if raised is not None:
            raised(state, assertion, error)
        return inconclusive(Reason.JUDGE_ERROR, f"the judge raised {type(error).__name__}: {error}")
    if found is not None and state.links_lost is not None:
        told = "the proxy of the links ended by itself, and nothing that is seen without it counts"
        return inconclusive(Reason.GAP, told, state.links_lost.evidence)
    if found is not None and found.verdict is Verdict.PASSED:
        return _effect_missed(claim.faults_named(), history.faults) or _line_missed(seen) or found
    return found


def _effect_missed(named: Iterator[str], faults: dict[str, FaultHistory]) -> Judgement | None:
    """A claim about a fault that had no effect says nothing."""
    for name in named:
        fault = faults.get(name)
        if fault is not None and fault.effect_missed:
            why = "had no effect that could be seen" if fault.effective is None else "ended before it was told to"
            evidence = fault.evidence.get("unseen") or fault.evidence.get("failed", "")
            return inconclusive(Reason.NO_EFFECT, f"{name} {why}, so what is claimed about it was not tested", evidence)
    return None


def _line_missed(seen: Observations) -> Judgement | None:
    """Nothing passes by a journal that is known not to be whole."""
    missing = seen.numbering.missing()
    return inconclusive(Reason.GAP, missing) if missing else None


def judged(assertion: AssertionState, judgement: Judgement) -> AssertionJudged:
    """The judgement as an event."""
    return AssertionJudged(
        assertion=assertion.id,
        verdict=judgement.verdict,
        reason=judgement.reason,
        message=judgement.message,
        evidence=judgement.evidence,
        measured=judgement.measured,
        control=control_of(assertion.role, judgement.verdict),
    )


def finished(state: RunState) -> RunFinished:
    """The end of the run as an event."""
    found = verdict_of(state)
    return RunFinished(
        verdict=found.verdict, reason=found.reason, message=found.message, cause=found.cause, hint=found.hint, position=state.sequence
    )
