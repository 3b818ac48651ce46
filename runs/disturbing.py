"""Whom a fault disturbs: what the steady state excuses, and in whose lane a report draws it. Pure."""

from messages.claims.claim import as_tuple
from messages.run_events import ActionRequested
from messages.system import System
from messages.targets import Selection


def disturbed(system: System, request: ActionRequested) -> tuple[str, ...]:
    """The services that a fault disturbs: its target; of a link the one that connects, of a volume the one that writes there.

    Of a partition those that connect over the links that it cuts, and where it is made of packets all services of both sides.
    """
    spec, target = system.spec, request.target
    match request.action.kind:
        case "service":
            return (target,)
        case "link":
            found = [spec.links[target].from_] if target in spec.links else []
        case "volume":
            found = [spec.volumes[target].service] if target in spec.volumes else []
        case "partition":
            cut = cut_links(system, request) if request.action.spec.means == "link" else ()
            found = [spec.links[name].from_ for name in cut] or [name for side in sides(request) for name in side]
    return tuple(dict.fromkeys(name for name in found if name in spec.services))


def sides(request: ActionRequested) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The services of the two sides of a partition; empty ones for any other action."""
    target = request.action.target
    if not isinstance(target, Selection) or target.between is None:
        return (), ()
    one, other = target.between
    return as_tuple(one), as_tuple(other)


def cut_links(system: System, request: ActionRequested) -> tuple[str, ...]:
    """The links between the two sides of a partition, whichever side they start from."""
    one, other = (frozenset(side) for side in sides(request))
    return tuple(
        name
        for name, link in system.spec.links.items()
        if (link.from_ in one and link.to in other) or (link.from_ in other and link.to in one)
    )
