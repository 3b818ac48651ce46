"""The bus goes away in the middle of a fault's life: the fault ends with its lease all the same, and the journal learns it later."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from actors.chaos_injector.leases import Leases
from bus.active_run import ActiveRun
from bus.server import Server
from bus.share import Share
from bus.subjects import PARTITIONS, partition_of
from messages.fault_events import (
    FaultArmed,
    FaultEffective,
    FaultGone,
    FaultInjected,
    FaultReverted,
    OwnerChanged,
    ServiceStarted,
)
from targets.find import find_tagged
from targets.group import is_halted
from targets.identity import is_alive
from targets.polling import until
from tests.test_chaos_injector import KEY, Stand, service, stand

__all__ = ["stand"]
pytestmark = pytest.mark.long


class Doubtful:
    """A share of everything that can be put in doubt, as that of a host whose lease was not renewed in time."""

    def __init__(self) -> None:
        self.sure = True
        self.share = Share(lambda _: self.sure, range(PARTITIONS))
        self.share.settled.set()

    def say(self, *, sure: bool) -> None:
        self.sure = sure
        self.share.changed.send()


@pytest.mark.parametrize("action", ["pause", "restart"])
async def test_a_fault_whose_bus_went_away_in_the_call_ends_with_its_lease(
    stand: Stand, server: Server, unused_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    async with stand.injector(lease=1) as injector:
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
        driver, called = injector._drivers["process"], asyncio.Event()
        inject = driver.inject

        async def last_deed(*told: Any) -> str:
            said = await inject(*told)
            await server.stop()
            called.set()
            return said

        monkeypatch.setattr(driver, "inject", last_deed)
        await stand.act(action)
        await called.wait()
        disturbed = is_halted(identity) if action == "pause" else not is_alive(identity)
        await until(lambda: not is_halted(identity) if action == "pause" else "engine" in find_tagged(stand.run), poll=0.01)
        await server.start()
        reverted = (await stand.until(FaultReverted)).event
        await stand.until(FaultGone)
        await stand.release()

    fault = stand.about()
    assert disturbed
    assert reverted.by == "lease"
    assert [fault.count(kind) for kind in (FaultArmed, FaultInjected, FaultReverted, FaultGone)] == [1] * 4
    assert fault.index(FaultInjected) < fault.index(FaultReverted)
    assert len(stand.all(ServiceStarted, "engine")) == (1 if action == "pause" else 2)


async def test_an_undo_that_was_asked_for_does_not_wait_for_the_bus_beyond_the_lease(
    stand: Stand, server: Server, unused_port: Callable[[], int]
) -> None:
    host = Doubtful()
    async with stand.injector(lease=1, share=host.share):
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
        await stand.act("pause")
        await stand.until(FaultEffective)
        host.say(sure=False)
        await stand.undo()
        await server.stop()
        before = is_halted(identity)
        await until(lambda: not is_halted(identity), poll=0.01)
        host.say(sure=True)
        await server.start()
        await stand.until(FaultGone)

    assert before
    assert [line.event.by for line in stand.all(FaultReverted)] == ["lease"]


async def test_what_was_measured_while_nobody_could_write_keeps_its_instant(stand: Stand, unused_port: Callable[[], int]) -> None:
    host = Doubtful()
    async with stand.injector(lease=1, share=host.share):
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
        await stand.act("pause")
        await stand.until(FaultEffective)
        host.say(sure=False)
        await until(lambda: not is_halted(identity), poll=0.01)
        resumed = stand.journal.clock.now()
        await asyncio.sleep(1)  # the measured time itself
        host.say(sure=True)
        reverted = await stand.until(FaultReverted)
        await stand.until(FaultGone)

    assert reverted.at - reverted.event.ago < resumed + timedelta(milliseconds=500)


async def test_who_wakes_as_he_was_arming_a_fault_does_not_touch_the_lease_of_his_successor(
    stand: Stand, unused_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, halted, wake, looked = Doubtful(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    write, look, lasts = Leases._write, ActiveRun.timer, list[int]()

    async def halting(leases: Leases, run: Any, fault: str, undo: Any, last: int) -> Any:
        lasts.append(last)
        halted.set()
        await wake.wait()
        return await write(leases, run, fault, undo, last)

    async def looking(run: ActiveRun, name: str) -> Any:
        found = await look(run, name)
        looked.set()
        return found

    monkeypatch.setattr(Leases, "_write", halting)
    monkeypatch.setattr(ActiveRun, "timer", looking)
    async with stand.injector(lease=10, share=host.share):
        await stand.up(engine=service(unused_port()))
        await stand.act("pause")
        await halted.wait()
        timer, due = names(stand)
        await stand.say(OwnerChanged(host="other", instance="other", sequence=1), actor="chaos-injector")
        armed = await stand.journal.schedule(timer, due, stand.journal.clock.now() + timedelta(seconds=10), b"{}", 0)
        host.say(sure=False)
        wake.set()
        await looked.wait()
        found = await stand.journal.scheduled(timer)

    assert armed is not None
    assert found is not None
    assert (found[0], lasts) == (armed, [0])
    assert stand.all(FaultArmed) == []


async def test_a_lease_that_another_process_of_ours_wrote_late_is_kept_all_the_same(stand: Stand, unused_port: Callable[[], int]) -> None:
    async with stand.injector(lease=1):
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
        await stand.act("pause")
        await stand.until(FaultEffective)
        (timer, due), journal = names(stand), stand.journal
        undo = stand.all(FaultArmed)[0].event.undo.model_dump_json().encode()
        late, ends = None, journal.clock.now()
        while late is None:  # it is being renewed at the same time
            sequence, ends = await journal.scheduled(timer) or (0, ends)
            late = await journal.schedule(timer, due, ends, undo, sequence)
        while (now := await journal.scheduled(timer)) is not None and now[1] <= ends + timedelta(seconds=2):
            await asyncio.sleep(0.05)
        kept = is_halted(identity)
        await stand.undo()
        await stand.until(FaultGone)

    assert now is not None
    assert kept
    assert [line.event.by for line in stand.all(FaultReverted)] == ["request"]


def names(stand: Stand) -> tuple[str, str]:
    """The subjects of the fault's timer, and of its firing."""
    subjects, share = stand.journal.subjects, partition_of(KEY)
    return subjects.timer(share, stand.run, "chaos-injector", "f"), subjects.timer_due(share, stand.run, "chaos-injector", "f")
