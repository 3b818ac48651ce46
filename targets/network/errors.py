"""What can go wrong with faults in a network namespace.

TargetError
├── NoNamespace      there is no such namespace (any more); final
├── HostNamespace    it is the machine's own, which is never disturbed; final
└── NetworkFailed    a program of the system did not do it; a retry may help
"""

from targets.errors import TargetError


class NoNamespace(TargetError):
    """The network namespace is not there, or not ours to look at."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no network namespace at {path} that this process can reach")
        self.path = path


class HostNamespace(TargetError):
    """The service runs in the network namespace of the machine, or of this process, with everything else."""

    def __init__(self, path: str) -> None:
        cure = "start the service in one of its own: ip netns add NAME, and nsenter --net=/run/netns/NAME before its command"
        super().__init__(f"{path} is the network namespace of the machine itself, which is never disturbed; {cure}")
        self.path = path


class NetworkFailed(TargetError):
    """Rules could not be set, listed or removed, or packets not be held back; the text says why."""
