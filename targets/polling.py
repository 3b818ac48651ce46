"""Waiting for facts that nobody announces."""

import asyncio
from collections.abc import Callable


async def until(fact: Callable[[], bool], *, poll: float) -> None:
    """Returns when the fact holds, looking every `poll` seconds; the caller bounds it."""
    while True:
        if fact():
            return
        await asyncio.sleep(poll)
