"""An injector that has a run whose processes are on another machine: it says nothing of them, and starts nothing in their place."""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from messages.fault_events import (
    ActionDone,
    ActionFailed,
    ActionRefused,
    FaultEffective,
    FaultGone,
    FaultReverted,
    FaultRevertFailed,
    ServiceStarted,
    ServiceStopped,
)
from messages.run_events import ServicesReleaseRequested
from messages.verdicts import Reason
from targets.identity import boot_id, read_stat
from targets.machine import Machine
from tests.test_chaos_injector import Stand, service, stand

__all__ = ["stand"]
ELSEWHERE = "is on another machine"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.chaos_injector.undoing.PAUSES", (0.01,))


MODULES = ("identity", "group", "watch", "machine")


@pytest.fixture
def started_anew(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Who looks after this call does so after a restart of the machine, as far as the id of the boot says."""

    def start() -> None:
        for module in MODULES:
            monkeypatch.setattr(f"targets.{module}.boot_id", lambda: "another-boot")

    return start


@pytest.fixture
def moved(started_anew: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Who looks after this call is on another machine, with the same folders."""

    def move() -> None:
        monkeypatch.setattr("platform.node", lambda: "another-machine")
        started_anew()

    return move


@pytest.fixture
def engine(unused_port: Callable[[], int]) -> dict[str, Any]:
    return service(unused_port())


@pytest.mark.parametrize("action", ["pause", "kill", "limit_fds"])
async def test_an_undo_on_another_machine_fails_and_is_never_taken_for_done(
    stand: Stand, engine: dict[str, Any], moved: Callable[[], None], action: str
) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
        await stand.act(action)
        await stand.until(FaultEffective)
    moved()
    async with stand.injector():
        await stand.undo()
        failed = (await stand.until(FaultRevertFailed)).event

    assert ELSEWHERE in failed.message
    assert stand.all(FaultReverted) == []
    assert len(stand.all(ServiceStarted)) == 1


async def test_nothing_is_disturbed_or_started_on_another_machine(stand: Stand, engine: dict[str, Any], moved: Callable[[], None]) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
    (started,) = stand.all(ServiceStarted)
    moved()
    async with stand.injector():
        await stand.act("kill", id_="fault")
        await stand.act("start", id_="start")
        refused = (await stand.until(ActionRefused, "fault")).event
        failed = (await stand.until(ActionFailed, "start")).event
        await stand.say(ServicesReleaseRequested())
        released = (await stand.until(ActionFailed, "release")).event

    assert all(ELSEWHERE in message for message in (refused.message, failed.message, released.message))
    assert released.reason is Reason.REVERT_FAILED
    assert stand.all(ServiceStarted) == [started]
    assert stand.all(ServiceStopped) == []
    assert read_stat(started.event.identity.pid) is not None


async def test_that_a_target_is_normal_again_is_not_said_from_another_machine(
    stand: Stand, engine: dict[str, Any], moved: Callable[[], None]
) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
        await stand.act("limit_fds")
        await stand.until(FaultEffective)
    await stand.say(FaultReverted(fault_id="f", took=timedelta(), ago=timedelta(), by="request"), actor="chaos-injector")
    moved()
    with capture_logs() as logs:
        async with stand.injector(), asyncio.timeout(12):
            while not any(ELSEWHERE in str(log.get("error")) for log in logs if log["event"] == "look.failed"):
                await asyncio.sleep(0.01)

    assert stand.all(FaultGone) == []


async def test_after_a_restart_of_its_own_machine_an_injector_knows_that_what_ran_before_is_gone(
    stand: Stand, engine: dict[str, Any], started_anew: Callable[[], None]
) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
        await stand.act("pause")
        await stand.until(FaultEffective)
    (started,) = stand.all(ServiceStarted)
    os.killpg(started.event.identity.pid, signal.SIGKILL)
    started_anew()
    async with stand.injector():
        await stand.undo()
        failed = (await stand.until(ActionFailed, "f")).event
        await stand.say(ServicesReleaseRequested())
        await stand.until(ActionDone, "release")

    assert "went away while it was paused" in failed.message
    assert stand.all(FaultRevertFailed) == []


def test_a_machine_knows_its_earlier_boots_and_not_those_of_another_that_has_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = boot_id()
    Machine(tmp_path / "state").remember()
    Machine(tmp_path / "state").remember()
    monkeypatch.setattr("targets.machine.boot_id", lambda: "another-boot")

    assert Machine(tmp_path / "state").had(before)
    assert Machine(tmp_path / "state").had("another-boot")
    assert not Machine(tmp_path / "elsewhere").had(before)
    assert not Machine().had(before)
    monkeypatch.setattr("platform.node", lambda: "another-machine")
    assert not Machine(tmp_path / "state").had(before)
    assert len((tmp_path / "state" / "boots").read_text().splitlines()) == 1


def test_a_folder_that_cannot_be_written_keeps_nobody_from_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    machine = Machine(tmp_path / "file")

    machine.remember()

    assert machine.had(boot_id())
