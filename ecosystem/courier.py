"""Brings things to a peer that may be slow or away: many at once while it answers, one at a time while it does not."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

BACKOFF = 0.3
"""Seconds between a failed attempt and the next."""


class Courier(Generic[T]):
    """Takes things without ever blocking and tries each until it has arrived.

    `send` says whether it did. What was handed over while the peer is away leaves within moments of its return.
    """

    def __init__(self, send: Callable[[T], Awaitable[bool]], *, at_once: int) -> None:
        self._send = send
        self._at_once = at_once
        self._waiting: deque[T] = deque()
        self._under_way = 0
        self._failing = False
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + self._under_way

    def hand_over(self, thing: T) -> None:
        self._waiting.append(thing)
        self._wake.set()

    async def run(self) -> None:
        """Carries until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                while self._waiting and self._under_way < (1 if self._failing else self._at_once):
                    self._under_way += 1
                    group.create_task(self._carry(self._waiting.popleft()))
                await self._wake.wait()

    async def _carry(self, thing: T) -> None:
        arrived = await self._send(thing)
        self._failing = not arrived
        if not arrived:
            self._waiting.appendleft(thing)
            await asyncio.sleep(BACKOFF)
        self._under_way -= 1
        self._wake.set()
