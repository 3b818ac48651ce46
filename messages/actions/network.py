"""What can be done to the packets of a service that has a network namespace of its own."""

import ipaddress
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from messages.actions.spec import ActionSpec, Parameters
from messages.values import Duration, Message, Token

Port = Annotated[int, Field(ge=1, le=65535)]
Direction = Literal["in", "out", "both"]
LONGEST_DELAY = timedelta(seconds=60)


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        msg = f"{text[:60]!r} is no address; it is like 10.0.0.7, 10.0.0.0/24 or fd00::7"
        raise ValueError(msg) from None
    return text


Address = Annotated[str, AfterValidator(_network)]
"""An IP address, or a network of them."""


class Traffic(Parameters):
    """Which packets. Without ports and peers all, except what the service says to itself."""

    direction: Direction = "both"
    """Seen from the service: what comes in, what goes out, or both."""
    port: Port | None = None
    """The service's own port, TCP and UDP."""
    peer_port: Port | None = None
    """The port of the other end, TCP and UDP."""
    peers: Annotated[tuple[Address, ...], Field(max_length=256)] = ()
    """The other ends."""


class NetworkDrop(Traffic):
    """Which packets vanish."""


class NetworkReject(Traffic):
    """Which packets are refused: TCP with a reset, UDP with ICMP port unreachable."""

    direction: Direction = "in"


class NetworkLoss(Traffic):
    """Which packets vanish now and then."""

    direction: Direction = "in"
    rate: Annotated[float, Field(gt=0, le=1)]
    """The share of packets that vanish, each by chance."""


class NetworkLatency(Traffic):
    """Which packets come late, and by how much."""

    direction: Direction = "in"
    """`out` costs TCP much of its throughput: delayed packets count as unsent."""
    delay: Annotated[Duration, Field(gt=timedelta(), le=LONGEST_DELAY)]
    """Added to each packet once."""
    jitter: Annotated[Duration, Field(ge=timedelta(), le=LONGEST_DELAY)] = timedelta()
    """How far the delay strays at most, either way; packets may overtake each other."""

    @model_validator(mode="after")
    def _never_early(self) -> Self:
        if self.jitter > self.delay:
            raise ValueError("the jitter is longer than the delay; no packet can come before it was sent")
        return self


class NetworkPartition(Parameters):
    """How the sides are parted."""

    one_way: bool = False
    """Only what the first side sends to the second is lost (which ends TCP both ways, datagrams only one way)."""


Table = Literal["filter", "mangle"]
"""Tables of the packet filter. Packets meet `mangle` first; of those that pass there, `filter` still decides."""


class Namespace(Message):
    """A network namespace."""

    path: str
    """Where it was found."""
    device: int
    inode: int
    """Which one it is."""


class Rules(Message):
    """Our rules of the packet filter in one namespace, as iptables-restore reads them after `-I` or `-A`."""

    namespace: Namespace
    table: Table = "filter"
    v4: tuple[str, ...] = ()
    v6: tuple[str, ...] = ()


class Probe(Message):
    """A TCP connection that shows what the packet filter does."""

    host: str
    port: int
    namespace: Namespace | None = None
    """From where it is made; None from the injector's own."""
    before: Literal["answered", "refused", "unreachable", "silent"]
    """What came of it before the fault."""
    round_trip: timedelta
    """How long that took."""


class Delay(Message):
    """What the program that holds packets back is told."""

    queue: int
    delay: timedelta
    jitter: timedelta
    lease: timedelta
    """It ends by itself when it was not renewed for this long."""


def comment_of(run: str, fault: str) -> str:
    """What the rules of a fault say of themselves."""
    return f"chaos:{run}:{fault}"


class NetworkUndo(Message):
    """Removes our rules from the packet filter, and ends what holds packets back."""

    kind: Literal["network.rules"] = "network.rules"
    run: Token
    fault: Token
    effect: Literal["silence", "refusal", "loss", "delay"]
    """What probes meet."""
    rules: Annotated[tuple[Rules, ...], Field(min_length=1)]
    probes: tuple[Probe, ...] = ()
    hold: Delay | None = None

    @property
    def comment(self) -> str:
        """What our rules say of themselves."""
        return comment_of(self.run, self.fault)


def _on_service(summary: str, parameters: type[Parameters]) -> ActionSpec:
    return ActionSpec(summary, fault=True, means="network", parameters=parameters)


NETWORK_ACTIONS: dict[str, ActionSpec] = {
    "network_drop": _on_service("Loses packets of the service: connections time out.", NetworkDrop),
    "network_reject": _on_service("Refuses packets of the service: connections are refused.", NetworkReject),
    "network_loss": _on_service("Loses a share of the service's packets, by chance.", NetworkLoss),
    "network_latency": _on_service("Holds back packets of the service.", NetworkLatency),
    "network_partition": ActionSpec(
        "Parts two groups of services: what one sends to the other is lost.",
        fault=True,
        means="network",
        on=("partition",),
        parameters=NetworkPartition,
    ),
}
