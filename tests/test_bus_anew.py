"""A decision that the bus keeps from being stored: whoever wants that makes it anew."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from bus.actor import Decision, Run, Subscription, whenever
from bus.server import Server
from messages.events import RunEvent
from messages.fault_events import ActionDone
from tests.test_bus_runtime import Bench, Injector, Seen, bench, working

__all__ = ["bench"]
AWAY = 1.5
"""Seconds: longer than such a decision is good for."""


class Anew(Injector):
    """Decides once, and says the how-manieth thought it was."""

    decides_anew = True

    def __init__(self) -> None:
        super().__init__(lambda _event, _run: None)
        self.thinking, self.decide = asyncio.Event(), asyncio.Event()
        self.thoughts = 0

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (whenever(self.look),)

    async def look(self, _event: RunEvent | None, run: Run[Seen]) -> AsyncIterator[Decision]:
        self.thinking.set()
        await self.decide.wait()
        if not run.view.count(ActionDone):
            self.thoughts += 1
            yield ActionDone(action_id=f"thought-{self.thoughts}")


class Once(Anew):
    decides_anew = False


@pytest.mark.parametrize(("kind", "first"), [(Anew, False), (Once, True)])
async def test_what_was_decided_while_the_server_was_away_is_stored_only_by_who_stands_by_it(
    bench: Bench, server: Server, kind: type[Anew], *, first: bool
) -> None:
    actor = kind()
    async with working(bench, actor):
        await bench.submit()
        await actor.thinking.wait()
        os.kill(server.pid, signal.SIGKILL)
        actor.decide.set()

        await asyncio.sleep(AWAY)
        await server.restart()

        (done,) = await bench.until(ActionDone)
    assert (done.entity == "thought-1") is first
