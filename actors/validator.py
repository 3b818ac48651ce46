"""The validator: judges every open claim by the history, as soon as the history allows."""

from collections.abc import Iterator

import structlog

from bus.actor import Actor, Run, Subscription, whenever
from messages.claims import FaultHistory, Judgement, inconclusive
from messages.events import Recorded, RunEvent
from messages.judgements import AssertionJudged
from messages.verdicts import Reason, Verdict
from runs.history import Observations, history_of
from runs.state import AssertionState, RunState

_log = structlog.get_logger()


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


class Validator(Actor[Evidence]):
    """Says of each claim whether it holds, and what that rests on. Holds no state: a judgement is a function of the journal."""

    name = "validator"
    emits = (AssertionJudged,)

    def fold(self, run: str) -> Evidence:
        return Evidence(run)

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (whenever(self.judge_open, of=("scheduler", "chaos-injector", "observer")),)

    def judge_open(self, _event: RunEvent | None, run: Run[Evidence]) -> Iterator[AssertionJudged]:
        """Judge the first open claim that can be judged; its event brings the next one."""
        state, seen = run.view.state, run.view.seen
        for assertion in list(state.assertions.values()):
            if assertion.verdict is None and state.finished is None:
                judgement = judge(state, seen, assertion)
                if judgement is not None:
                    yield judged(assertion, judgement)
                    return


def judge(state: RunState, seen: Observations, assertion: AssertionState) -> Judgement | None:
    """What the history says of a claim; None while nobody can say. A judge that raises is inconclusive."""
    history = history_of(state, seen, assertion)
    claim = assertion.claim
    try:
        found = claim.judge_stable(history) if assertion.mode in {"settle", "recover"} else claim.judge(history)
    except Exception as error:  # noqa: BLE001 - the border around a judge: what it raises is its verdict
        _log.warning("judge.failed", run=state.id, assertion=assertion.id, error=repr(error), exc_info=True)
        return inconclusive(Reason.JUDGE_ERROR, f"the judge raised {type(error).__name__}: {error}")
    if found is not None and state.links_lost is not None:
        told = "the proxy of the links ended by itself, and nothing that is seen without it counts"
        return inconclusive(Reason.GAP, told, state.links_lost.evidence)
    if found is not None and found.verdict is Verdict.PASSED:
        return _effect_missed(claim.faults_named(), history.faults) or found
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


def judged(assertion: AssertionState, judgement: Judgement) -> AssertionJudged:
    """The judgement as an event."""
    return AssertionJudged(
        assertion=assertion.id,
        verdict=judgement.verdict,
        reason=judgement.reason,
        message=judgement.message,
        evidence=judgement.evidence,
        measured=judgement.measured,
    )
