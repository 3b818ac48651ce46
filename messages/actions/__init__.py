"""The actions of the language, each with its targets, its parameters and whether it has an undo. One module for each means.

To add one: its line in the table of its module.
"""

from messages.actions.processes import PROCESS_ACTIONS
from messages.actions.spec import ActionSpec, Means, Parameters, TargetKind

ACTIONS: dict[str, ActionSpec] = {**PROCESS_ACTIONS}
"""Every action by its name."""

__all__ = ["ACTIONS", "ActionSpec", "Means", "Parameters", "TargetKind"]
