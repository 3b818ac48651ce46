"""Whom a fault disturbs: what the steady state excuses, and in whose lane a report draws it. Pure."""

from messages import needs
from messages.run_events import ActionRequested
from messages.system import System


def disturbed(system: System, request: ActionRequested) -> tuple[str, ...]:
    """The services that a fault disturbs."""
    return needs.disturbed(system, request.action, request.target)


def sides(request: ActionRequested) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The services of the two sides of a partition; empty ones for any other action."""
    return needs.sides(request.action)


def cut_links(system: System, request: ActionRequested) -> tuple[str, ...]:
    """The links between the two sides of a partition, whichever side they start from."""
    return needs.cut_links(system, request.action)
