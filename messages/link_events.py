"""The life of the links of a run, as the chaos-injector records it."""

from messages.events import RunEvent
from messages.fault_events import INJECTOR
from messages.identity import Identity
from messages.values import Token


class LinksOpened(RunEvent):
    """The proxy of the run's links listens; services are started after it. Emitted by the chaos-injector."""

    EVENT = "links.opened.v1"
    ACTORS = INJECTOR

    identity: Identity
    """The proxy's process."""
    control: str
    """The address at which the proxy is told what to do, on loopback."""
    addresses: dict[Token, str]
    """The address of each link."""
    number: int = 1
    """Counts the proxies of this run, from 1."""

    @property
    def entity(self) -> str:
        return "links"

    @property
    def ordinal(self) -> int:
        return self.number


class LinksLost(RunEvent):
    """The proxy of the run's links ended before it was told to: all that goes over them is cut. Emitted by the chaos-injector."""

    EVENT = "links.lost.v1"
    ACTORS = INJECTOR

    number: int
    """Which of the run's proxies it was."""
    code: int | None
    """Its exit code (negative: the signal), where that is known."""
    message: str
    """What it said last."""

    @property
    def entity(self) -> str:
        return "links"

    @property
    def ordinal(self) -> int:
        return self.number
