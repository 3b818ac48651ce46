"""What can go wrong with limits.

TargetError
├── LimitFailed       the system did not do it; a retry may help
├── NoControlGroup    there is no control group that we may write to; final on this machine
└── NothingToLower    the process may already do less than the fault would leave it; final for this fault
"""

from targets.errors import TargetError


class LimitFailed(TargetError):
    """A limit could not be set or put back; the text says why."""


class NoControlGroup(TargetError):
    """The process cannot be put into a control group of ours; the text says why and what helps."""


class NothingToLower(TargetError):
    """No process of the service has a limit above the one asked for."""

    def __init__(self, resource: str) -> None:
        super().__init__(f"no process of the service has a limit on {resource} above the one asked for: there is nothing to lower")
        self.resource = resource
