"""The claims' side of a run: which windows open now, and which claims nobody judged in time. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from actors.scheduler.pausing import reached
from messages.claims import ExpressionClaim
from messages.events import RunEvent
from messages.run_events import AssertionExpired, AssertionOpened
from messages.verdicts import Reason
from runs.state import AssertionState, RunState
from runs.windows import STEADY, window_of

JUDGE_BUDGET = timedelta(seconds=15)
"""From a window's end to the moment at which an unjudged claim is inconclusive."""


def open_claims(state: RunState, decided: list[RunEvent], now: datetime) -> Iterator[RunEvent]:
    """Openings for every window that has begun and was not opened yet; none while another decision is being stored."""
    del now
    if decided or state.aborting is not None or "release" in state.requests:
        return
    for mode in ("settle", "steady", "recover"):
        yield from _open_steady(state, mode)
    for name, (claim, phase) in state.scenario.claims().items():
        window = window_of(state, claim, phase)
        if name not in state.assertions and window.opens is not None:
            yield AssertionOpened(assertion=name, claim=claim, phase=phase, opens=window.opens)


def _open_steady(state: RunState, mode: Literal["settle", "steady", "recover"]) -> Iterator[RunEvent]:
    for claim in state.system.steady_claims():
        name = STEADY[mode] + claim.id
        window = window_of(state, claim, None, mode)
        if name not in state.assertions and window.opens is not None:
            yield AssertionOpened(assertion=name, claim=claim, mode=mode, opens=window.opens)


def deadlines(state: RunState, now: datetime, back: datetime, wakes: list[datetime]) -> Iterator[RunEvent]:
    """What was not judged within 15 s after its window's end, and after the bus was back, is inconclusive."""
    for assertion in state.assertions.values():
        if assertion.verdict is not None:
            continue
        ended = _ended(state, assertion)
        if ended is not None and reached(state, max(ended, back), JUDGE_BUDGET, now, wakes):
            told = "nobody judged it in time: the observer or the validator was away, or too far behind"
            yield AssertionExpired(assertion=assertion.id, reason=Reason.GAP, message=told)


def waiting_for(state: RunState, now: datetime, wakes: list[datetime]) -> bool:
    """Whether an opened claim is still unjudged, or one may still open."""
    del now, wakes
    if any(a.verdict is None for a in state.assertions.values()):
        return True
    for name, (claim, phase) in state.scenario.claims().items():
        if name not in state.assertions and window_of(state, claim, phase).opens is not None:
            return True
    return False


def _ended(state: RunState, assertion: AssertionState) -> datetime | None:
    """When its window closed or will; of one without an end, when recovery was over. An expression may wait till then, and for claims."""
    recover = state.stages.get("recover")
    over = recover.finished if recover is not None else None
    if isinstance(assertion.claim, ExpressionClaim):
        named = (state.assertions.get(name) for name in assertion.claim.claims_named())
        return _latest(over, *(claim.judged_at for claim in named if claim is not None))
    closes = window_of(state, assertion.claim, assertion.phase, assertion.mode).closes
    return closes if closes is not None else over


def _latest(*instants: datetime | None) -> datetime | None:
    """The last of them; None while one has not come."""
    known = [instant for instant in instants if instant is not None]
    return max(known) if len(known) == len(instants) else None
