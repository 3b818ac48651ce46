"""What a fault needs for itself, and whom it disturbs: one rule for the loader, the injector and whoever judges. Pure."""

from collections.abc import Iterable

from messages.claims.claim import as_tuple
from messages.scenario import Action
from messages.system import System
from messages.targets import Selection

Need = tuple[str, str]
"""A process, a link, a volume, the packets of a network namespace, or a call of a chaos API: its kind, and its name. No two faults may have
the same one at once."""


def needs(system: System, action: Action, target: str) -> frozenset[Need]:
    """What the action takes on one of its targets. Services that share a network namespace share its packets."""
    match action.spec.means:
        case "link":
            return frozenset(("link", name) for name in cut_links(system, action)) or frozenset({("link", target)})
        case "network":
            names = [name for side in sides(action) for name in side] or [target]
            return frozenset(("network", namespace_of(system, name) or name) for name in names)
        case "chaos":
            return frozenset({(action.action, target)})
        case "limit":
            return frozenset({("process", target)})
        case _:
            return frozenset({(action.spec.means, target)})


def disturbed(system: System, action: Action, target: str) -> tuple[str, ...]:
    """The services that the action disturbs on one of its targets: that target; of a link the one that connects, of a volume the one that
    writes there.

    Of a partition those that connect over the links that it cuts, and where it is made of packets all services of both sides. What is
    done to packets disturbs every service of their network namespace.
    """
    spec = system.spec
    match action.kind:
        case "service":
            found = [target]
        case "link":
            found = [spec.links[target].from_] if target in spec.links else []
        case "volume":
            found = [spec.volumes[target].service] if target in spec.volumes else []
        case "partition":
            cut = cut_links(system, action) if action.spec.means == "link" else ()
            found = [spec.links[name].from_ for name in cut] or [name for side in sides(action) for name in side]
    if action.spec.means == "network":
        found = [other for name in found for other in _neighbours(system, name)]
    return tuple(dict.fromkeys(name for name in found if name in spec.services))


def protected_by(system: System, action: Action, target: str) -> str | None:
    """The protected service that a fault would disturb on one of its targets; None if there is none."""
    if not action.spec.fault:
        return None
    return next((name for name in disturbed(system, action, target) if name in system.spec.limits.protected), None)


def candidates(system: System, action: Action) -> tuple[str, ...]:
    """The targets that are chosen among when the action starts: none on which it would disturb a protected service.

    Of an action that chooses nothing all of its targets.
    """
    return tuple(name for name in action.targets if not action.is_live or protected_by(system, action, name) is None)


def sides(action: Action) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The services of the two sides of a partition; empty ones for any other action."""
    if not isinstance(action.target, Selection) or action.target.between is None:
        return (), ()
    one, other = action.target.between
    return as_tuple(one), as_tuple(other)


def cut_links(system: System, action: Action) -> tuple[str, ...]:
    """The links between the two sides of a partition, whichever side they start from."""
    return links_between(system, *sides(action))


def links_between(system: System, one: Iterable[str], other: Iterable[str]) -> tuple[str, ...]:
    """The links from one side to the other, in either direction."""
    here, there = frozenset(one), frozenset(other)
    return tuple(
        name
        for name, link in system.spec.links.items()
        if (link.from_ in here and link.to in there) or (link.from_ in there and link.to in here)
    )


def _neighbours(system: System, service: str) -> tuple[str, ...]:
    """The services whose packets are the service's too, itself among them."""
    namespace = namespace_of(system, service)
    if namespace is None:
        return (service,)
    return tuple(name for name in system.spec.services if namespace_of(system, name) == namespace)


def namespace_of(system: System, service: str) -> str | None:
    """The network namespace that a service is told to run in."""
    known = system.spec.services.get(service)
    return known.driver.process.namespace if known is not None and known.driver.process is not None else None
