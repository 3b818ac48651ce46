"""Open loop probing: ticks at a fixed rate whatever the answers do, so that a slow target cannot hide its slowness."""

import asyncio
import math
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from messages.values import format_duration
from targets.health import Sample
from targets.wording import no_answer

Probe = Callable[[], Awaitable[Sample]]


@dataclass(frozen=True, slots=True)
class Tick:
    """What became of one tick."""

    index: int
    intended: float
    """Monotonic seconds at which it was due."""
    took: timedelta
    """From the intended start to the decision."""
    ok: bool
    missed: bool
    """It could not be sent in time: it counts as failed, and nothing was asked."""
    check: str = ""
    error: str = ""
    asked: bool = True
    """False: it was sent, and nothing could be asked."""


class OpenLoop:
    """Asks a probe every `every`, without waiting for answers, and hands on the ticks in the order of their intended starts.

    A tick is decided when it is answered, has run out of time, or could not be sent: the loop was late by more than an interval (or
    `patience`, if that is longer), or `deadline / every + 2` (at most `most`) are still out.
    """

    def __init__(
        self, probe: Probe, *, every: timedelta, deadline: timedelta, patience: timedelta = timedelta(), most: int | None = None
    ) -> None:
        self._probe = probe
        self._every = every.total_seconds()
        self._patience = max(every, patience).total_seconds()
        self._deadline = deadline
        self._most = min(math.ceil(deadline / every) + 2, most or sys.maxsize)
        self._out = 0
        self._start = -math.inf
        self._held: dict[int, Tick] = {}
        self._next = 0

    @property
    def decided_until(self) -> float:
        """Every tick that is due before this instant (monotonic seconds) was decided and handed on."""
        return self._intended(self._next)

    async def run(self, decided: Callable[[Tick], None]) -> NoReturn:
        """Ticks from now on until it is cancelled; `decided` gets every tick once, in order."""
        self._start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            index = 0
            while True:
                await self._until(self._intended(index))
                obstacle = self._obstacle(index)
                if obstacle:
                    self._decide(index, Sample(ok=False, took=timedelta(), error=obstacle), decided, missed=True)
                else:
                    self._out += 1
                    group.create_task(self._ask(index, decided))
                index += 1

    def _intended(self, index: int) -> float:
        return self._start + index * self._every

    async def _until(self, instant: float) -> None:
        # At least one turn of the event loop, so that answers come in while late ticks are passed over.
        await asyncio.sleep(0)
        while True:
            left = instant - time.monotonic()
            if left <= 0:
                return
            # Some event loops round to milliseconds and wake too early: look again.
            await asyncio.sleep(left)

    def _obstacle(self, index: int) -> str:
        late = time.monotonic() - self._intended(index)
        if late > self._patience:
            return f"not sent: the probe was late by {format_duration(timedelta(milliseconds=round(late * 1000)))}"
        return f"not sent: {self._out} are unanswered" if self._out >= self._most else ""

    async def _ask(self, index: int, decided: Callable[[Tick], None]) -> None:
        try:
            # The probe meets its deadline itself; this bounds one that does not.
            async with asyncio.timeout(self._deadline.total_seconds() + self._every):
                sample = await self._probe()
        except TimeoutError:
            sample = Sample(ok=False, took=self._deadline, error=no_answer(self._deadline))
        finally:
            self._out -= 1
        self._decide(index, sample, decided, missed=False)

    def _decide(self, index: int, sample: Sample, decided: Callable[[Tick], None], *, missed: bool) -> None:
        intended = self._intended(index)
        took = timedelta(seconds=time.monotonic() - intended)
        self._held[index] = Tick(index, intended, took, sample.ok, missed, sample.check, sample.error, sample.asked)
        while self._next in self._held:
            decided(self._held.pop(self._next))
            self._next += 1
