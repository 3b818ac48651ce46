"""An injector that loses a run in the midst of a call leaves no process that no journal knows, and ends none that another adopts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from actors.chaos_injector import ChaosInjector
from actors.chaos_injector.process_faults import ProcessFaults
from bus.share import Share
from bus.subjects import PARTITIONS
from messages.fault_events import ActionDone, FaultArmed, FaultReverted, ServiceStarted
from messages.identity import Identity
from messages.link_events import LinksOpened
from messages.run_events import ServicesReleaseRequested
from targets.find import tagged_processes
from targets.identity import is_alive
from tests.test_chaos_injector import Stand, engine, stand
from tests.test_chaos_injector_links import begin, proxies
from tests.test_injector_takeover import Death

__all__ = ["engine", "stand"]
pytestmark = pytest.mark.long


def whole() -> Share:
    share = Share(lambda _: True, range(PARTITIONS))
    share.settled.set()
    return share


@asynccontextmanager
async def losing(stand: Stand) -> AsyncIterator[ChaosInjector]:
    """An injector whose runs are another's when the block ends; it then has its time to put right what it has begun."""
    share = whole()
    async with stand.injector(share=share) as injector:
        yield injector
        share.own(())
        async with asyncio.timeout(20):
            while share.serving:
                await share.changed.wait()


async def test_a_proxy_whose_event_is_refused_is_ended(
    stand: Stand, engine: dict[str, Any], unused_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        death = Death(patch)
        death.at_line(LinksOpened, stored=False)
        async with losing(stand):
            await begin(stand, engine, unused_port())
            await death.came.wait()
            started = proxies(stand)

    assert len(started) == 1
    assert proxies(stand) == []


async def test_a_proxy_that_was_found_is_left_to_who_has_the_run(
    stand: Stand, engine: dict[str, Any], unused_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        death = Death(patch)
        death.at_line(LinksOpened, stored=False)
        async with stand.injector():
            await begin(stand, engine, unused_port())
            await death.came.wait()
        found = proxies(stand)
        death.came.clear()
        async with losing(stand):
            await death.came.wait()
    async with stand.injector():
        opened = (await stand.until(LinksOpened)).event
        await stand.until(ActionDone, "services")
        await stand.release()

    assert [opened.identity] == found


async def test_no_proxy_is_started_while_another_may_have_the_run(
    stand: Stand, engine: dict[str, Any], unused_port: Callable[[], int]
) -> None:
    asked, known = asyncio.Event(), False

    def sure(_margin: float) -> bool:
        asked.set()
        return known

    share = Share(sure, range(PARTITIONS))
    share.settled.set()
    async with stand.injector(share=share):
        await begin(stand, engine, unused_port())
        await asked.wait()
        before = proxies(stand)
        known = True
        share.changed.send()
        await stand.until(ActionDone, "services")
        await stand.release()

    assert before == []


async def test_what_a_zombie_has_started_again_is_ended_if_the_run_was_released_meanwhile(
    stand: Stand, engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[Identity] = []

    async def started(driver: ProcessFaults, *told: Any) -> Any:
        await stand.say(ServicesReleaseRequested())
        done = await start_again(driver, *told)
        again.append(cast("Identity", done.process))
        return done

    start_again = cast("Callable[..., Any]", ProcessFaults._start_again)
    monkeypatch.setattr(ProcessFaults, "_start_again", started)
    death = Death(monkeypatch)
    async with losing(stand) as injector:
        await stand.up(engine=engine)
        death.at_call(injector._drivers["process"], done=True)
        await stand.act("kill")
        await stand.until(FaultArmed)
        await death.came.wait()
        reverted = FaultReverted(fault_id="f", took=timedelta(), ago=timedelta(), by="request")
        await stand.say(reverted, actor="chaos-injector")
        killed = (await stand.until(ServiceStarted)).event.identity

    assert len(again) == 1
    assert not is_alive(killed)
    assert not is_alive(again[0])
    assert tagged_processes(stand.run) == ()
