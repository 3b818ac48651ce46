"""What the proxy is told and what it tells: its configuration, its report and the bodies of its control API."""

from datetime import timedelta
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field

from messages.actions.links import LINK_ACTIONS, Way
from messages.actions.spec import Parameters
from messages.identity import Identity
from messages.values import Document, Duration, Message, Token
from targets.wording import wrong_port

CONFIGURATION = "TEST_COORDINATOR_PROXY"
"""The environment variable that holds the configuration: only the same user can read it, unlike a command line."""
REPORT = "proxy.json"

_Port = Annotated[int, Ge(0), Le(65535)]


def _with_port(address: str) -> str:
    wrong = wrong_port(address)
    if wrong:
        raise ValueError(wrong)
    return address


class LinkPlan(Document):
    """A link that the proxy is to carry."""

    service: Annotated[str, Field(pattern=r"\A[A-Za-z0-9._-]{1,253}:[0-9]{1,5}\z"), AfterValidator(_with_port)]
    """`host:port` of the service that it leads to."""
    port: _Port = 0
    """Where it listens on 127.0.0.1; 0 takes a free one."""


class Configuration(Document):
    """What a proxy is started with."""

    secret: Annotated[str, Field(min_length=16)] = Field(repr=False)
    """Whoever controls it must send this as a bearer token."""
    folder: str
    """Where it writes its report."""
    links: dict[Token, LinkPlan]


class LinkAddresses(Message):
    """Where a link can be reached, each as `host:port`."""

    address: str
    """What its `from` connects to."""
    probe: str
    """The same faults act here, but an echo is at the far end: for measuring from outside."""


class Report(Message):
    """What a proxy that is ready says of itself. Whoever has it may control the proxy."""

    identity: Identity
    control: str
    """Where its control API listens, as `host:port`."""
    secret: str = Field(repr=False)
    links: dict[Token, LinkAddresses]


class ToxicRequest(Document):
    """A fault that is to be on a link."""

    link: Token
    action: str
    parameters: dict[str, Any] = {}
    lease: Annotated[Duration, Ge(timedelta(milliseconds=100))] | None = None
    """The proxy removes the fault by itself this long after it was last put; None for never."""


class ToxicState(Message):
    """A fault that is on a link."""

    link: Token
    action: str
    parameters: dict[str, Any]


class LinkState(Message):
    """A link as it is."""

    service: str
    addresses: LinkAddresses
    fault: str | None
    """The id of the fault that is on it."""
    accepted: int
    """Connections that ever came."""
    open: int
    """Connections that are there now."""
    passed: dict[Way, int]
    """Bytes that went through, in each direction."""


def read_parameters(action: str, parameters: dict[str, Any]) -> Parameters:
    """The typed parameters of an action on a link.

    Raises:
        ValueError: there is no such action, or its parameters are not what it takes.
    """
    spec = LINK_ACTIONS.get(action)
    if spec is None:
        msg = f"there is no action {action!r} on links; there are {', '.join(LINK_ACTIONS)}"
        raise ValueError(msg)
    return spec.parameters.model_validate(parameters)
