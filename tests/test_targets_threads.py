import asyncio
import threading

import pytest

from targets.threads import to_the_end


async def test_who_is_cancelled_leaves_only_when_the_call_has_ended_however_often_it_is_cancelled() -> None:
    begun, gate, done = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        gate.wait(10)
        done.set()

    async with asyncio.TaskGroup() as tasks:
        caller = tasks.create_task(to_the_end(call))
        await asyncio.to_thread(begun.wait, 10)
        for _ in range(3):
            caller.cancel()
            await asyncio.wait({caller}, timeout=0.02)
        waits = not caller.done()
        gate.set()
        await asyncio.wait({caller})

    assert waits
    assert done.is_set()
    assert caller.cancelled()


async def test_a_call_is_hastened_by_a_cancellation_and_only_then() -> None:
    enough = threading.Event()

    async with asyncio.TaskGroup() as tasks:
        caller = tasks.create_task(to_the_end(lambda: enough.wait(10), hasten=enough.set))
        await asyncio.wait({caller}, timeout=0.02)
        before = enough.is_set()
        caller.cancel()

    assert not before
    assert enough.is_set()


async def test_what_a_call_returns_and_raises_comes_through() -> None:
    assert await to_the_end(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await to_the_end(lambda: 1 // 0)
