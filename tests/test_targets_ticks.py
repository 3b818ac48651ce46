import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from messages.checks import Health, HttpCheck
from targets.health import HealthProber, Sample
from targets.ticks import OpenLoop, Tick

EVERY = timedelta(milliseconds=20)
DEADLINE = timedelta(milliseconds=200)
GOOD = Sample(ok=True, took=timedelta())


class Ticks:
    """What a loop handed on, and waiting for more of it."""

    def __init__(self) -> None:
        self.all: list[Tick] = []
        self._came = asyncio.Event()

    def __call__(self, tick: Tick) -> None:
        self.all.append(tick)
        self._came.set()

    async def until(self, fact: Callable[[list[Tick]], bool]) -> None:
        async with asyncio.timeout(20):
            while not fact(self.all):
                self._came.clear()
                await self._came.wait()


@asynccontextmanager
async def running(probe: Callable[[], Awaitable[Sample]]) -> AsyncIterator[tuple[OpenLoop, Ticks]]:
    ticks = Ticks()
    loop = OpenLoop(probe, every=EVERY, deadline=DEADLINE)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(loop.run(ticks))
        yield loop, ticks
        task.cancel()


async def good() -> Sample:
    return GOOD


def assert_in_order(ticks: list[Tick]) -> None:
    assert [tick.index for tick in ticks] == list(range(len(ticks)))
    spans = [later.intended - earlier.intended for earlier, later in itertools.pairwise(ticks)]
    assert spans == pytest.approx([EVERY.total_seconds()] * len(spans))


async def test_good_ticks_come_at_the_rate_and_in_order() -> None:
    async with running(good) as (_, ticks):
        await ticks.until(lambda all_: len(all_) >= 10)

    assert_in_order(ticks.all)
    assert all(tick.ok and not tick.missed for tick in ticks.all)


async def test_the_rate_is_kept_against_a_server_that_never_answers() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, HealthProber() as prober:
        health = Health(http=HttpCheck(url=url), every=EVERY, deadline=DEADLINE)
        begin = time.monotonic()
        async with running(lambda: prober.check(health)) as (_, ticks):
            await ticks.until(lambda all_: len(all_) >= 20)
            span = time.monotonic() - begin

    assert_in_order(ticks.all)
    assert not any(tick.ok for tick in ticks.all)
    assert {tick.error for tick in ticks.all if not tick.missed} == {"no answer within 200ms"}
    # One after the other they would take 4 s.
    assert span < 3.5


async def test_ticks_are_handed_on_in_order_though_later_answers_come_first() -> None:
    release = asyncio.Event()
    asked = 0

    async def probe() -> Sample:
        nonlocal asked
        asked += 1
        if asked == 1:
            await release.wait()
        elif asked == 4:
            release.set()
        return GOOD

    async with running(probe) as (_, ticks):
        await ticks.until(lambda all_: len(all_) >= 4)

    assert_in_order(ticks.all)
    assert ticks.all[0].took >= 2 * EVERY


async def test_a_loop_that_was_held_up_has_missed_the_ticks_of_that_time() -> None:
    async with running(good) as (_, ticks):
        await ticks.until(lambda all_: len(all_) >= 2)
        hold = time.monotonic() + 0.2
        while time.monotonic() < hold:
            pass
        await ticks.until(lambda all_: all_[-1].ok and any(tick.missed for tick in all_))

    missed = [tick for tick in ticks.all if tick.missed]
    assert_in_order(ticks.all)
    assert len(missed) >= 5
    assert not any(tick.ok for tick in missed)
    assert missed[0].error.startswith("not sent: the probe was late by ")


async def test_a_probe_that_ignores_its_deadline_is_bounded() -> None:
    out = most = 0

    async def probe() -> Sample:
        nonlocal out, most
        out += 1
        most = max(most, out)
        try:
            await asyncio.Event().wait()
        finally:
            out -= 1
        return GOOD

    async with running(probe) as (_, ticks):
        await ticks.until(lambda all_: len(all_) >= 15)

    assert_in_order(ticks.all)
    assert most <= 12
    assert out == 0


async def test_ticks_are_decided_until_the_first_that_is_unanswered() -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def probe() -> Sample:
        asked.set()
        await release.wait()
        return GOOD

    async with running(probe) as (loop, ticks):
        await asked.wait()
        before = loop.decided_until

        release.set()
        await ticks.until(lambda all_: len(all_) >= 2)

    assert before == ticks.all[0].intended
    assert loop.decided_until == pytest.approx(ticks.all[-1].intended + EVERY.total_seconds())
