"""A JetStream that fails when a test wants it to."""

from collections.abc import Callable
from typing import Any

from nats.js import JetStreamContext
from nats.js.api import PubAck, RawStreamMsg

from bus.connection import Connection

When = Callable[[str], Exception | None]
"""What goes wrong with what is on a subject, if anything."""


def never(_subject: str) -> None:
    """Nothing does."""


def first(part: str, error: Exception, times: int = 1) -> When:
    """This error the first times that a subject has this part."""
    left = [error] * times

    def when(subject: str) -> Exception | None:
        return left.pop() if part in subject and left else None

    return when


class Lossy(JetStreamContext):
    """Fails before a message is sent, or loses the answer to one that is stored; or fails at questions."""

    def __init__(self, connection: Connection, *, before: When = never, after: When = never, asked: When = never) -> None:
        super().__init__(connection.nc)
        self._before, self._after, self._asked = before, after, asked

    async def publish(self, subject: str, *args: Any, **more: Any) -> PubAck:
        _raise(self._before(subject))
        stored = await super().publish(subject, *args, **more)
        _raise(self._after(subject))
        return stored

    async def get_last_msg(self, stream_name: str, subject: str, *args: Any, **more: Any) -> RawStreamMsg:
        _raise(self._asked(subject))
        return await super().get_last_msg(stream_name, subject, *args, **more)


def lossy(connection: Connection, *, before: When = never, after: When = never, asked: When = never) -> Connection:
    """The same connection, with such a JetStream."""
    return Connection(connection.nc, Lossy(connection, before=before, after=after, asked=asked), connection.url)


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error
