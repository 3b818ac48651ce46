"""Ending tasks for sure: before Python 3.12 `asyncio.wait_for`, which nats-py uses, swallows a cancellation that comes with its result."""

import asyncio
from collections.abc import Collection
from typing import Any


def leave_if_cancelled() -> None:
    """Raise CancelledError if this task was cancelled and something swallowed that. For loops that would otherwise go on."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel the tasks until every one has ended."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.2)
