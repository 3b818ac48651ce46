"""Why an action is not tried. Pure."""

from actors.chaos_injector.limits import beyond_limits
from actors.chaos_injector.off_limits import OffLimits
from messages.fault_events import ActionRefused
from messages.needs import Need, needs
from messages.run_events import ActionRequested
from messages.system import System
from messages.verdicts import Reason
from runs.faults import ActionState
from runs.state import RunState

NOTHING = OffLimits()


def refusal(view: RunState, state: ActionState, *, able: bool, rival: str | None, off_limits: OffLimits = NOTHING) -> ActionRefused | None:
    """The refusal of an action, or None.

    `able`: there is a driver for it; `rival` is another fault on what it would disturb; `off_limits` is what the run itself stands on.
    """
    found = _why_not(view, state, able=able, rival=rival) or _beyond(view, state, off_limits)
    return None if found is None else ActionRefused(action_id=state.request.fault_id, reason=found[0], message=found[1])


def resources(system: System, request: ActionRequested) -> frozenset[Need]:
    """What only one fault at a time may have."""
    return needs(system, request.action, request.target)


def _why_not(view: RunState, state: ActionState, *, able: bool, rival: str | None) -> tuple[Reason, str] | None:
    action, target, fault = state.request.action.action, state.request.target, state.request.action.spec.fault
    why: tuple[Reason, str] | None = None
    if state.undo_requested is not None:
        why = Reason.CANCELLED, "undone before it was injected"
    elif "release" in view.requests or (fault and view.aborting is not None):
        why = Reason.CANCELLED, f"the run is ending, so {target} is left alone"
    elif not _exists(view.system, state.request):
        why = Reason.NO_TARGET, f"the system has no {state.request.action.kind} {target}"
    elif not able:
        why = Reason.UNSUPPORTED_HERE, f"{state.request.action.parameters.get('wanted', action)} is not possible here"
    elif fault and rival is not None:
        why = Reason.REFUSED_LIMIT, f"a second fault on {target} while {rival} is active; let that end first, or choose another target"
    return why


def _beyond(view: RunState, state: ActionState, off_limits: OffLimits) -> tuple[Reason, str] | None:
    message = beyond_limits(view, state, off_limits)
    return None if message is None else (Reason.REFUSED_LIMIT, message)


def _exists(system: System, request: ActionRequested) -> bool:
    spec = system.spec
    known = {"service": set(spec.services), "link": set(spec.links), "volume": set(spec.volumes), "partition": {request.target}}
    return request.target in known[request.action.kind]
