"""The validator: judges every open claim by the history, as soon as the history allows."""

from collections.abc import Iterator

import structlog

from bus.actor import Actor, Run, Subscription, whenever
from messages.events import RunEvent
from messages.judgements import AssertionJudged
from runs.judging import Evidence, judge, judged
from runs.state import AssertionState, RunState

_log = structlog.get_logger()


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
                judgement = judge(state, seen, assertion, _raised)
                if judgement is not None:
                    yield judged(assertion, judgement)
                    return


def _raised(state: RunState, assertion: AssertionState, error: Exception) -> None:
    _log.warning("judge.failed", run=state.id, assertion=assertion.id, error=repr(error), exc_info=error)
