"""What is worth asking for again: it only reads, or may be done twice, and a server that was lost or has lost a neighbour answers soon."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats.errors
import structlog
from nats.js.errors import NotFoundError

from bus.errors import NoAnswer, Unreachable

_log = structlog.get_logger()
_PAUSE, _LONGEST_PAUSE = 0.1, 0.5
R = TypeVar("R")


async def asked_again(ask: Callable[[], Awaitable[R]], what: str, limit: float) -> R:
    """What `ask` finds; it is asked again for this many seconds while the bus does not answer.

    Raises:
        NoAnswer: it never did.
    """
    now = asyncio.get_running_loop().time
    until, pause = now() + limit, _PAUSE
    while True:
        try:
            return await ask()
        except NotFoundError:
            raise
        except (NoAnswer, Unreachable, TimeoutError, nats.errors.Error) as error:
            if now() > until:
                raise NoAnswer(what) from error
            _log.info("lookup.again", what=what, error=str(error) or type(error).__name__)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
