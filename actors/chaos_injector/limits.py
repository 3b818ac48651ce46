"""The limits of a system, and what is never a target whatever a system says. Pure."""

from collections.abc import Iterator

from actors.chaos_injector.off_limits import OffLimits
from messages.needs import cut_links, disturbed
from messages.run_events import ActionRequested
from messages.system import Group, System
from messages.values import format_duration
from runs.faults import ActionState
from runs.state import RunState

_SHOWN = 8
"""Names that a message tells at most."""


def beyond_limits(view: RunState, state: ActionState, off_limits: OffLimits) -> str | None:
    """Why the action may not be done to its target, and what would help; None if it may."""
    found = _never(view, state, off_limits)
    if found is None and state.request.action.spec.fault:
        found = next(
            (why for why in (_protected(view, state), _longest(view, state), _at_once(view, state), _healthy(view, state)) if why), None
        )
    return found


def ahead(view: RunState, state: ActionState) -> dict[str, ActionState]:
    """The faults that count beside this one: those that may disturb something, and those that were requested before it and may yet.

    Of two that are requested together only the later one counts the other, whoever looks first and however often.
    """
    found: dict[str, ActionState] = {}
    earlier = True
    for name, other in view.actions.faults().items():
        if name == state.request.fault_id:
            earlier = False
        elif other.armed is not None:
            if other.reverted is None:
                found[name] = other
        elif earlier and other.outcome is None:
            found[name] = other
    return found


def _never(view: RunState, state: ActionState, off_limits: OffLimits) -> str | None:
    """What carries the run is no target: without it nobody could undo anything."""
    spec, request = view.system.spec, state.request
    for name in _links(view.system, request):
        what = off_limits.at(spec.links[name].host, spec.links[name].port)
        if what is not None:
            return f"{name} leads to {spec.links[name].host}:{spec.links[name].port}, which is {what}; choose another link"
    for name in dict.fromkeys((request.target, *disturbed(view.system, request.action, request.target))):
        service, started = spec.services.get(name), view.services.get(name)
        what = None if service is None else off_limits.of(service, started.identity if started is not None else None)
        if what is not None:
            return f"{name} is {what}; choose another target"
    return None


def _links(system: System, request: ActionRequested) -> tuple[str, ...]:
    if request.action.spec.means != "link":
        return ()
    return cut_links(system, request.action) or ((request.target,) if request.target in system.spec.links else ())


def _protected(view: RunState, state: ActionState) -> str | None:
    request, protected = state.request, view.system.spec.limits.protected
    hit = next((name for name in disturbed(view.system, request.action, request.target) if name in protected), None)
    if hit is None:
        return None
    told = (
        f"{hit} is protected"
        if hit == request.target
        else f"{request.action.action} on {request.target} disturbs {hit}, which is protected"
    )
    return f"{told} (limits.protected of the system); choose another target, or take it out of there"


def _longest(view: RunState, state: ActionState) -> str | None:
    span, longest = state.request.action.for_, view.system.spec.limits.longest
    if span is None or longest is None or span <= longest:
        return None
    told = f"a fault of {format_duration(span)} is longer than {format_duration(longest)} (limits.longest of the system)"
    return f"{told}; let it end sooner, or raise that"


def _at_once(view: RunState, state: ActionState) -> str | None:
    most, active = view.system.spec.limits.faults_at_once, ahead(view, state)
    if most is None or len(active) < most:
        return None
    told = f"{len(active)} {'fault is' if len(active) == 1 else 'faults are'} active, {_names(active)}, and no more than {most} may be"
    return f"{told} (limits.faults_at_once of the system); start it when one of them is gone, with `after`, or raise that"


def _healthy(view: RunState, state: ActionState) -> str | None:
    """A group that would have too few healthy members with this target disturbed."""
    system, request = view.system, state.request
    mine = set(disturbed(system, request.action, request.target))
    for name, group in system.spec.groups.items():
        if group.keep_healthy and mine.intersection(group.members):
            left = [member for member in group.members if member not in mine and _is_well(view, state, member)]
            if len(left) < group.keep_healthy:
                return _too_few(name, group, left, dict(_whys(view, state, group, mine)))
    return None


def _too_few(name: str, group: Group, left: list[str], others: dict[str, str]) -> str:
    because = f" ({', '.join(f'{member} {why}' for member, why in others.items())})" if others else ""
    told = f"{_names(left) if left else 'none'} of {name} would be left healthy{because}"
    return f"{told}, and {group.keep_healthy} must be (groups.{name}.keep_healthy); wait until the others are healthy, or lower that"


def _whys(view: RunState, state: ActionState, group: Group, mine: set[str]) -> Iterator[tuple[str, str]]:
    """The members that are not healthy now, each with the reason."""
    for member in group.members:
        if member not in mine and not _is_well(view, state, member):
            fault = _disturber(view, state, member)
            unwell = "is not healthy" if member in view.up else "was not yet seen healthy"
            yield member, f"is disturbed by {fault}" if fault is not None else unwell


def _is_well(view: RunState, state: ActionState, member: str) -> bool:
    """Its health checks say so, if it has any, and no fault disturbs it."""
    known = view.system.spec.services.get(member)
    checked = known is not None and known.health is not None
    return (view.up.get(member, False) or not checked) and _disturber(view, state, member) is None


def _disturber(view: RunState, state: ActionState, member: str) -> str | None:
    """The fault that disturbs it, or from which it is still to recover: its health may not have been seen since."""
    recovering = {name: other for name, other in view.actions.faults().items() if _recovers(view, other)}
    for name, other in (ahead(view, state) | recovering).items():
        if member in disturbed(view.system, other.request.action, other.request.target):
            return name
    return None


def _recovers(view: RunState, fault: ActionState) -> bool:
    if fault.injected is None or fault.reverted is None or fault.gone is not None or view.last_at is None:
        return False
    return view.last_at < fault.reverted + view.system.spec.steady_state.recover


def _names(names: list[str] | dict[str, ActionState]) -> str:
    shown = list(names)[:_SHOWN]
    return ", ".join(shown) + (" …" if len(names) > _SHOWN else "")
