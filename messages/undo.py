"""What undoes a fault: enough for any injector that reaches the target. It is durable before the target is touched."""

from typing import Literal

from messages.identity import Identity
from messages.values import Message, Token


class Undo(Message):
    """What must be done to undo a fault; enough for any injector that reaches the target."""

    kind: Literal["process.start", "process.resume"]
    service: Token
    identity: Identity | None = None
    """The process that was disturbed."""


AnyUndo = Undo
