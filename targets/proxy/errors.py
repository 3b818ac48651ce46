"""What can go wrong between the proxy and whoever controls it.

TargetError
├── NotThere        the proxy's process is gone, and its links with it; final for this process
├── LinkBusy        another fault is on the link; a retry helps when that is gone
├── LinkRefused     the proxy does not do this: no such link or action, wrong parameters, a wrong secret; final
└── ProxySilent     its process is there but does not answer as it should; a retry may help
"""

from messages.identity import Identity
from targets.errors import TargetError


class LinkBusy(TargetError):
    """Another fault is on the link."""

    def __init__(self, message: str) -> None:
        super().__init__(f"the link is taken: {message}")


class LinkRefused(TargetError):
    """The proxy does not do what was asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the proxy of the links refuses: {message}")
        self.status = status


class ProxySilent(TargetError):
    """The proxy does not answer, or answers what nobody understands."""

    def __init__(self, identity: Identity, why: str) -> None:
        super().__init__(f"the proxy of the links, {identity}, does not answer: {why}")
        self.identity = identity
