"""Why an action is not tried. Pure."""

from collections.abc import Collection

from messages.fault_events import ActionRefused, Identity
from messages.verdicts import Reason
from runs.faults import ActionState
from runs.state import RunState


def refusal(
    view: RunState, state: ActionState, *, able: Collection[str], current: Identity | None, rival: str | None
) -> ActionRefused | None:
    """The refusal of an action, or None. `able` are the actions of its target's driver, `rival` another fault on the same target."""
    found = _why_not(view, state, able, current, rival)
    return None if found is None else ActionRefused(action_id=state.request.fault_id, reason=found[0], message=found[1])


def _why_not(
    view: RunState, state: ActionState, able: Collection[str], current: Identity | None, rival: str | None
) -> tuple[Reason, str] | None:
    action, target, fault = state.request.action.action, state.request.target, state.request.action.spec.fault
    why: tuple[Reason, str] | None = None
    if state.undo_requested is not None:
        why = Reason.CANCELLED, "undone before it was injected"
    elif "release" in view.requests or (fault and view.aborting is not None):
        why = Reason.CANCELLED, f"the run is ending, so {target} is left alone"
    elif target not in view.system.spec.services:
        why = Reason.NO_TARGET, f"the system has no service {target}"
    elif action not in able:
        kind = view.system.spec.services[target].driver.kind
        why = Reason.UNSUPPORTED_HERE, f"{action} is not possible on {target}, whose driver is {kind}"
    elif fault and rival is not None:
        why = Reason.REFUSED_LIMIT, f"a second fault on {target} while {rival} is active; let that end first, or choose another target"
    elif fault and current is None:
        why = Reason.NO_TARGET, f"{target} is not running"
    return why
