"""Waiting for facts that nobody announces."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta


async def until(fact: Callable[[], bool], *, poll: float) -> None:
    """Returns when the fact holds, looking every `poll` seconds; the caller bounds it."""
    while True:
        if fact():
            return
        await asyncio.sleep(poll)


async def first(look: Callable[[], str | None], within: timedelta, *, poll: float) -> str | None:
    """What a look shows, looking every `poll` seconds; None if it showed nothing in this time. There is always one look."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            while True:
                if (seen := look()) is not None:
                    return seen
                await asyncio.sleep(poll)
    return None


async def comes_true(look: Callable[[], Awaitable[bool]], within: timedelta, *, poll: float) -> bool:
    """Whether what a look asks about came true in this time. There is always one look."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            while not await look():  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(poll)
            return True
    return False
