"""Seeing what a fault did and that it is gone, by other means than the driver used."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Literal

from messages.checks import Health
from messages.identity import Identity
from messages.system import Service
from targets.group import is_halted
from targets.health import HealthProber, process_sample
from targets.identity import is_alive
from targets.polling import until
from targets.wording import NO_ANSWER, REFUSED

POLL = 0.02
LOOK_DEADLINE = timedelta(milliseconds=500)
"""A look that is not answered by then was not answered, if the service's own deadline is not shorter."""

Action = Literal["stop", "kill", "restart", "pause"]
Current = Callable[[], Identity | None]
"""Which process the service is now, as far as anybody knows."""
Look = Coroutine[None, None, str]


async def saw_effect(
    action: Action, before: Identity, service: Service, prober: HealthProber, *, current: Current, within: timedelta
) -> str | None:
    """What was seen of the fault, such as "process gone"; None if nothing was in this time. Looks from the call on.

    For stop and kill the process is gone or its port refuses; for restart it is another process, or the old one is gone; for pause its
    health runs out of time or fails twice. That its process stands still is enough only where there is no health to ask for: a halted
    wrapper whose server runs on has no effect.
    """
    health = service.health
    if action == "pause":
        looks = [_halted(before) if health is None else _unanswered(prober, health)]
    elif action == "restart":
        looks = [_replaced(before, current)]
    else:
        looks = [_gone(before)] if health is None else [_gone(before), _refused(prober, health)]
    return await _earliest(looks, within)


async def saw_normal(service: Service, prober: HealthProber, *, current: Current, within: timedelta | None = None) -> bool:
    """Waits for one good sample (without health checks: for a live process); whether it came in this time, None for no bound."""
    try:
        async with asyncio.timeout(None if within is None else within.total_seconds()):
            while True:
                sample = process_sample(current()) if service.health is None else await prober.check(service.health)
                if sample.ok:
                    return True
                await asyncio.sleep(POLL)
    except TimeoutError:
        return False


async def _earliest(looks: list[Look], within: timedelta) -> str | None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(look) for look in looks]
        done, pending = await asyncio.wait(tasks, timeout=within.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
    return next((task.result() for task in tasks if task in done), None)


async def _gone(before: Identity) -> str:
    await until(lambda: not is_alive(before), poll=POLL)
    return "process gone"


async def _replaced(before: Identity, current: Current) -> str:
    while True:
        now = current()
        if now is not None and now != before and is_alive(now):
            return f"new process pid {now.pid}"
        if not is_alive(before):
            return "process gone"
        await asyncio.sleep(POLL)


async def _halted(before: Identity) -> str:
    await until(lambda: is_halted(before), poll=POLL)
    return "process halted (no health check to see more)"


async def _refused(prober: HealthProber, health: Health) -> str:
    while True:
        sample = await prober.check(health, deadline=_deadline(health))
        if REFUSED in sample.error:
            return REFUSED
        await asyncio.sleep(POLL)


async def _unanswered(prober: HealthProber, health: Health) -> str:
    failures = 0
    while failures < 2:
        sample = await prober.check(health, deadline=_deadline(health))
        if sample.error.startswith(NO_ANSWER):
            return f"health ran out of time ({sample.check}: {sample.error})"
        failures = 0 if sample.ok else failures + 1
        if failures < 2:
            await asyncio.sleep(POLL)
    return f"health fails ({sample.check}: {sample.error})"


def _deadline(health: Health) -> timedelta:
    return min(health.deadline, LOOK_DEADLINE)
