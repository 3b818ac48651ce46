"""When a claim's window opens and closes. The scheduler, the observer and the validator all ask here."""

from datetime import datetime

from messages.claims import Claim, RecoveryClaim, Window
from runs.state import RunState

STEADY = {"settle": "steady-settle-", "steady": "steady-", "recover": "steady-recover-"}
"""Prefixes of the ids under which a steady-state claim is opened for each of its parts."""


def window_of(state: RunState, claim: Claim, phase: str | None, mode: str = "claim") -> Window:
    """The claim's window, as far as the journal says by now.

    What counts by the run's clock (`within`, settle, recover) has no end while the run stands still. A recovery is the service's own
    time, and the grace that of its events: these go on.
    """
    if mode != "claim":
        return _steady_window(state, mode)
    if isinstance(claim, RecoveryClaim):
        fault = state.actions.states.get(claim.of)
        window = claim.window(fault.history() if fault else None)
        return Window(never=over(state)) if fault is None else window
    opens, closes = _base(state, phase)
    never = opens is None and over(state)
    opens, closes, missed = _narrow(state, claim, opens, closes)
    if opens is not None and claim.within is not None:
        until = state.pauses.later(opens, claim.within)
        known = (until, closes if claim.before is not None or claim.during is not None else None)
        closes = min((end for end in known if end is not None), default=None)
    elif closes is not None:
        closes += claim.grace
    return Window(opens, closes, never=never or missed)


def counts_until(claim: Claim, window: Window) -> datetime | None:
    """Where the claim's grace begins: what opens after this instant is no longer asked about."""
    if window.closes is None or claim.within is not None:
        return window.closes
    return window.closes - claim.grace


def _base(state: RunState, phase: str | None) -> tuple[datetime | None, datetime | None]:
    if phase is not None:
        stage = state.stages.get(phase)
        return (stage.started, stage.finished) if stage else (None, None)
    recover = state.stages.get("recover")
    return state.first_phase_started, recover.finished if recover else None


def _narrow(
    state: RunState, claim: Claim, opens: datetime | None, closes: datetime | None
) -> tuple[datetime | None, datetime | None, bool]:
    """The window cut to `during`, `after` and `before`; and whether what it waits for can no longer come."""
    missed = False
    for reference, default in ((claim.during, "effective"), (claim.after, "gone")):
        if reference is not None:
            moment = _moment(state, reference, default)
            missed = missed or (moment is None and (over(state) or _cannot_come(state, reference)))
            opens = max(opens, moment) if opens is not None and moment is not None else None
    for reference in (claim.during, claim.before):
        if reference is not None:
            moment = _moment(state, reference, "gone" if reference is claim.during else "requested")
            closes = min((m for m in (closes, moment) if m is not None), default=None)
    return opens, closes, missed


def _moment(state: RunState, reference: str, default: str) -> datetime | None:
    fault, _, moment = reference.partition(".")
    action = state.actions.states.get(fault)
    return action.moment(moment or default) if action else None


def _cannot_come(state: RunState, reference: str) -> bool:
    action = state.actions.states.get(reference.partition(".")[0])
    return action is not None and action.outcome in {"refused", "failed", "expired"}


def over(state: RunState) -> bool:
    """Whether the phases and the recovery are over: what has not begun by now does not come."""
    recover = state.stages.get("recover")
    return state.finished is not None or "release" in state.requests or (recover is not None and recover.finished is not None)


def _steady_window(state: RunState, mode: str) -> Window:
    settle, recover = state.stages.get("settle"), state.stages.get("recover")
    bounds = state.system.spec.steady_state
    if mode == "settle":
        return Window(settle.started, state.pauses.later(settle.started, bounds.settle)) if settle else Window()
    if mode == "recover":
        return Window(recover.started, state.pauses.later(recover.started, bounds.recover)) if recover else Window()
    opens = state.first_phase_started
    return Window(opens, recover.started if recover else None, never=opens is None and over(state))
