"""The actions of the language, each with its targets, its parameters and whether it has an undo. One module for each means.

To add one: its line in the table of its module.
"""

from messages.actions.chaos import CHAOS_ACTIONS
from messages.actions.limits import LIMIT_ACTIONS
from messages.actions.links import LINK_ACTIONS
from messages.actions.network import NETWORK_ACTIONS
from messages.actions.partition import PARTITION_ACTIONS
from messages.actions.processes import PROCESS_ACTIONS
from messages.actions.spec import ActionSpec, Means, Parameters, TargetKind
from messages.actions.unsupported import UNSUPPORTED_ACTIONS
from messages.actions.volumes import VOLUME_ACTIONS

ACTIONS: dict[str, ActionSpec] = {
    **PROCESS_ACTIONS,
    **LIMIT_ACTIONS,
    **LINK_ACTIONS,
    **PARTITION_ACTIONS,
    **NETWORK_ACTIONS,
    **VOLUME_ACTIONS,
    **CHAOS_ACTIONS,
    **UNSUPPORTED_ACTIONS,
}
"""Every action by its name."""

__all__ = ["ACTIONS", "ActionSpec", "Means", "Parameters", "TargetKind"]
