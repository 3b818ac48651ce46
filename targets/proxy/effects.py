"""Seeing that a fault on a link acts, and that it is gone, by other means than put it there.

Whoever looks makes connections of its own. A link carries any protocol, so what passes cannot be asked for an answer: all but `refuse` is
measured on the link's measuring lane, another port of the proxy that leads to an echo and on which the same faults act.
"""

import asyncio
import math
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from messages.actions.links import Bandwidth, Blackhole, Cut, Latency, LimitBytes, Refuse, Reset, SlowClose, ways_of
from messages.actions.spec import Parameters
from messages.values import brief
from targets.proxy.api import LinkAddresses
from targets.proxy.lookout import Lookout
from targets.wording import REFUSED, no_answer

POLL = 0.02
SILENCE = 1.0
"""Seconds without an answer that count as none."""
LEAST_SILENCE = 0.2
"""Less says nothing, however short the time to look is."""
TO_ANSWER = 2.0
"""Seconds in which a link that is normal does anything that is asked of it here."""
TRIPS = 3
FAST = 20_000_000
"""Bytes a second that any link without a fault reaches."""
BLOCK = 65536


async def saw_link_effect(parameters: Parameters, addresses: LinkAddresses, *, within: timedelta) -> str | None:
    """What was seen of the fault, such as "round trip 203ms"; None if nothing was in this time. Looks from the call on.

    A delay that is longer than the time there is to look shows as the absence of an answer.
    """
    deadline = time.monotonic() + within.total_seconds()
    while (left := deadline - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                seen = await _look(parameters, addresses, left)
        except OSError:
            seen = None
        if seen is not None:
            return seen
        await asyncio.sleep(POLL)
    return None


async def saw_link_normal(parameters: Parameters, addresses: LinkAddresses, *, within: timedelta | None = None) -> bool:
    """Waits until the link does what this fault would keep it from; whether it did in this time, None for no bound.

    After `refuse` it takes a connection to the service itself, closed at once; after `reset` with `after`, as long as that. After
    `bandwidth` of 20 MB/s and more it is normal from 20 MB/s on.
    """
    try:
        async with asyncio.timeout(None if within is None else within.total_seconds()):
            while True:
                if await _is_normal(parameters, addresses):
                    return True
                await asyncio.sleep(POLL)
    except TimeoutError:
        return False


async def _look(parameters: Parameters, addresses: LinkAddresses, left: float) -> str | None:
    match parameters:
        case Latency():
            look = _delayed(parameters, addresses.probe, left)
        case Bandwidth():
            look = _throttled(parameters.rate, addresses.probe)
        case Reset():
            look = _reset(addresses.probe)
        case Blackhole() | Cut():
            look = _silent(addresses.probe, min(SILENCE, left * 0.8))
        case Refuse():
            look = _refused(addresses.address)
        case SlowClose():
            look = _closed_late(parameters.delay.total_seconds(), addresses.probe, left)
        case LimitBytes():
            look = _limited(parameters.bytes, addresses.probe)
        case _:
            raise TypeError(parameters)
    return await look


async def _delayed(parameters: Latency, probe: str, left: float) -> str | None:
    ways = len(ways_of(parameters.direction))
    usual, spread = (span.total_seconds() * ways for span in (parameters.delay, parameters.jitter))
    async with Lookout.at(probe) as lookout:
        trips = await _trips(lookout, left * 0.9)
    if not trips:
        # Set-up, a first round trip and a second one would have been over, were the delay shorter.
        waited = left * 0.9
        return _nothing(waited) if LEAST_SILENCE < waited < 3 * (usual + spread) else None
    median = statistics.median(trips)
    return f"round trip {_brief(median)}" if min(trips) >= usual - spread and median >= usual * 0.75 else None


async def _trips(lookout: Lookout, limit: float) -> list[float]:
    trips: list[float] = []
    try:
        async with asyncio.timeout(limit):
            await lookout.trip()
            while len(trips) < TRIPS:
                trips.append(await lookout.trip())
    except TimeoutError:
        pass
    return trips


async def _throttled(rate: int, probe: str) -> str | None:
    size = max(rate * 3 // 10, 32)
    async with Lookout.at(probe) as lookout:
        await lookout.trip()
        seen = size / await lookout.exchange(size)
    return f"{seen / 1000:.3g} kB/s" if seen <= rate * 1.1 else None


async def _reset(probe: str) -> str:
    begun = time.monotonic()
    # It may come so soon that the connect itself meets it.
    with suppress(ConnectionResetError):
        async with Lookout.at(probe) as lookout:
            await lookout.reset_by_peer()
    return f"connection reset after {_brief(time.monotonic() - begun)}"


async def _limited(size: int, probe: str) -> str | None:
    async with Lookout.at(probe) as lookout:
        came = await lookout.sends_back(size + 1)
    return None if came is None else f"connection closed after {came} bytes came back"


async def _silent(probe: str, silence: float) -> str | None:
    if silence < LEAST_SILENCE:
        return None
    async with Lookout.at(probe) as lookout:
        return await _nothing_of(lookout.trip, silence)


async def _nothing_of(wait: Callable[[], Awaitable[float]], limit: float) -> str | None:
    try:
        async with asyncio.timeout(limit):
            await wait()
    except TimeoutError:
        return _nothing(limit)
    return None


async def _refused(address: str) -> str | None:
    try:
        async with Lookout.at(address):
            return None
    except ConnectionRefusedError:
        return REFUSED


async def _closed_late(delay: float, probe: str, left: float) -> str | None:
    # The end is late on its way there, and again on its way back.
    least, limit = delay * 2, left * 0.8
    async with Lookout.at(probe) as lookout:
        await lookout.trip()
        if LEAST_SILENCE < limit < least:
            return await _nothing_of(lookout.close, limit)
        took = await lookout.close()
    return f"close passed on after {_brief(took)}" if took >= least else None


async def _is_normal(parameters: Parameters, addresses: LinkAddresses) -> bool:
    lives = parameters.after.total_seconds() if isinstance(parameters, Reset) else 0.0
    try:
        async with asyncio.timeout(lives + TO_ANSWER):
            if isinstance(parameters, Refuse) and await _refused(addresses.address):
                return False
            async with Lookout.at(addresses.probe) as lookout:
                if lives:
                    await _lives(lookout, lives + LEAST_SILENCE)
                await lookout.exchange(BLOCK)
                return await _shows_nothing(parameters, lookout)
    except OSError:
        return False


async def _lives(lookout: Lookout, lives: float) -> None:
    end = time.monotonic() + lives
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(left, LEAST_SILENCE))
        await lookout.trip()


async def _shows_nothing(parameters: Parameters, lookout: Lookout) -> bool:
    match parameters:
        case Latency():
            usual = parameters.delay.total_seconds() * len(ways_of(parameters.direction))
            return max([await lookout.trip() for _ in range(TRIPS)]) < usual / 2
        case Bandwidth():
            least = min(parameters.rate * 1.5, FAST)
            size = max(math.ceil(least * 0.1), BLOCK)
            return size / await lookout.exchange(size) >= least
        case SlowClose():
            return await lookout.close() < parameters.delay.total_seconds()
        case LimitBytes():
            return await lookout.sends_back(parameters.bytes + 1) is None
    return True


def _nothing(seconds: float) -> str:
    return no_answer(timedelta(milliseconds=round(seconds * 1000)))


def _brief(seconds: float) -> str:
    return brief(timedelta(seconds=seconds))
