"""What undoes a fault: enough for any injector that reaches the target. It is durable before the target is touched."""

from typing import Annotated, Literal

from pydantic import Field

from messages.actions.chaos import ChaosUndo
from messages.actions.limits import GroupUndo, ResourceUndo
from messages.actions.network import NetworkUndo
from messages.actions.volumes import FillerUndo
from messages.identity import Identity
from messages.values import Message, Token


class Undo(Message):
    """Starts a process again, or lets it go on."""

    kind: Literal["process.start", "process.resume"]
    service: Token
    identity: Identity | None = None
    """The process that was disturbed."""


class LinkUndo(Message):
    """Takes what disturbs links away from them."""

    kind: Literal["link.remove"] = "link.remove"
    toxics: dict[str, Token]
    """What disturbs, by the name under which the proxy knows it, and the link that it is on."""


AnyUndo = Annotated[Undo | LinkUndo | ResourceUndo | GroupUndo | FillerUndo | NetworkUndo | ChaosUndo, Field(discriminator="kind")]
