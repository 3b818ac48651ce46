"""Blocking calls that must not be left half done."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def _nothing() -> None:
    pass


async def to_the_end(call: Callable[[], T], *, hasten: Callable[[], None] = _nothing) -> T:
    """What a call returns that runs in a thread. Who is cancelled meanwhile hastens it, and leaves only when it has ended.

    So nothing of it comes after what its caller does next, such as undoing it.
    """
    work = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(work)
    finally:
        if not work.done():
            hasten()
        while not work.done():
            # The cancellation that brought us here goes on when this is over.
            with suppress(asyncio.CancelledError):
                await asyncio.wait({work})
