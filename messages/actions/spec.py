"""What an action is: on what it works, by what means, with which parameters."""

from dataclasses import dataclass
from typing import Literal

from messages.values import Document

TargetKind = Literal["service", "link", "volume", "partition"]
Means = Literal["process", "limit", "link", "network", "volume", "chaos", "nothing"]
"""Who does it: the process driver, limits on a process, the proxy of a link, rules in a network namespace, a filler file, the
service's own chaos API; or nothing that there is."""


class Parameters(Document):
    """What an action may be told. Many take nothing."""


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """What an action is."""

    summary: str
    """One sentence for people, present tense."""
    fault: bool
    """It disturbs, and has an undo."""
    means: Means
    on: tuple[TargetKind, ...] = ("service",)
    """The kinds of targets on which it works."""
    ends_itself: bool = False
    """It is undone at once, by itself."""
    parameters: type[Parameters] = Parameters
    """Its typed parameters, each with its bounds."""
