"""A coordinator that is to stay, with a bus of its own, and is killed: the next one goes on, or its guard undoes what it left."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from actors.chaos_injector.actor import LEASE
from bus.archive import Archive
from bus.clock import ServerClock
from bus.connection import connect
from bus.journal import Journal
from bus.server import embedded_server
from bus.state import live_server
from bus.subjects import Subjects
from bus.topology import Names
from cli.serve import RESTART
from messages.fault_events import FaultEffective, FaultReverted
from messages.run_events import AbortRequested
from tests.test_guard import Place, until

pytestmark = pytest.mark.long
NAMESPACE = "test-coordinator"
FAULTS = ("down", "slow")
LATE = timedelta(seconds=0.5)
"""So much later than its lease a fault may be undone."""
MOST, LEAST = LEASE - timedelta(seconds=1), LEASE - timedelta(seconds=2)
"""What is left of the leases at the kill: enough for a guard on a busy machine, too little for one that begins after ten seconds."""


@pytest.fixture
def place(tmp_path: Path, unused_port: Callable[[], int]) -> Iterator[Place]:
    made = Place(tmp_path, unused_port(), unused_port())
    scenario, _, system = (tmp_path / "cut.yaml").read_text().partition("---")
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "small.yaml").write_text(system)
    (tmp_path / "cut.yaml").write_text(scenario)
    yield made
    for pid in made.left():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def serve(place: Place) -> "subprocess.Popen[str]":
    """A coordinator; returns when it is at work."""
    serving = place.start("serve", "--systems", "systems")
    assert serving.stderr is not None
    assert any("at work" in line for line in serving.stderr)
    return serving


@asynccontextmanager
async def journal_at(url: str) -> AsyncIterator[Journal]:
    async with connect(url, name="test") as connection:
        journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        await journal.last_sequence()
        yield journal


async def disturbed(journal: Journal, run: str) -> None:
    """Wait until both faults act."""
    for fault in FAULTS:
        while run not in await journal.runs_with("chaos-injector", fault, FaultEffective.type_name()):
            await asyncio.sleep(0.02)


async def renewed_lately(journal: Journal, run: str) -> dict[str, datetime]:
    """When the faults' leases end, as the server has it between one and two seconds after they were renewed."""
    (partition,) = (await journal.open_runs()).values()
    timers = {fault: journal.subjects.timer(partition, run, "chaos-injector", fault) for fault in FAULTS}
    while True:
        found = {fault: await journal.scheduled(timer) for fault, timer in timers.items()}
        ends = {fault: timer[1] for fault, timer in found.items() if timer is not None}
        if len(ends) == len(FAULTS) and LEAST < min(ends.values()) - journal.clock.now() < MOST:
            return ends
        await asyncio.sleep(0.02)


def test_a_guard_begins_while_a_lease_that_was_about_to_be_renewed_has_two_seconds_left() -> None:
    assert RESTART + timedelta(seconds=2) <= LEASE * 2 / 3


def loaded(place: Place) -> datetime:
    """When the guard had loaded its program, which on a busy machine may take longer than it is to wait."""
    (begun,) = [entry for entry in map(json.loads, place.log().splitlines()) if entry["event"] == "guard.begun"]
    return datetime.fromisoformat(begun["timestamp"])


async def test_no_fault_outlives_its_lease_when_a_coordinator_with_its_own_bus_is_killed_and_nobody_starts_it_again(place: Place) -> None:
    with serve(place) as serving:
        run = place.call("submit", "cut.yaml")[1].strip()
        async with journal_at(live_server(place.state) or "") as journal:
            await disturbed(journal, run)
            leases, killed = await renewed_lately(journal, run), journal.clock.now()
            serving.kill()
        serving.communicate(timeout=5)
        place.until_nothing_is_left(30)

    synced = place.syncs_always()
    async with embedded_server(place.state) as server, journal_at(server.url) as journal:
        lines = await Archive(journal).read(run)
    undone = {line.entity: line.at for line in lines if isinstance(line.event, FaultReverted)}
    late = {fault: undone[fault] - end for fault, end in leases.items()}
    assert synced, "nobody comes after a guard"
    assert max(late.values()) <= LATE + max(loaded(place) - killed - RESTART, timedelta()), f"{late}\n{place.log()}"
    assert place.runs() == [("cut", "aborted")]


async def test_a_coordinator_that_is_started_again_goes_on_and_the_guard_of_the_killed_one_leaves_it_alone(place: Place) -> None:
    with serve(place) as serving:
        run = place.call("submit", "cut.yaml")[1].strip()
        async with journal_at(live_server(place.state) or "") as journal:
            await disturbed(journal, run)
        guards = place.guards()
        for pid in guards:
            os.kill(pid, signal.SIGSTOP)
        serving.kill()
        with serve(place) as again:
            for pid in guards:
                os.kill(pid, signal.SIGCONT)
            until(lambda: not set(guards) & set(place.guards()), 30, place.log)
            async with journal_at(live_server(place.state) or "") as journal:
                asked = await journal.runs_with("control", "run", AbortRequested.type_name())
                undone = [await journal.runs_with("chaos-injector", fault, FaultReverted.type_name()) for fault in FAULTS]
            again.terminate()
            _, said = again.communicate(timeout=50)
        serving.communicate(timeout=5)

    assert "guard.not_needed" in place.log()
    assert "guard.waits" not in place.log()
    assert (asked, undone) == ({}, [{}, {}])
    assert again.returncode == 0, said
    assert place.runs() == [("cut", "aborted")]


def test_a_power_cut_takes_nothing_from_a_coordinator_that_is_to_stay_and_a_single_run_has_no_need_of_that(place: Place) -> None:
    with serve(place) as serving:
        staying = place.syncs_always()
        serving.terminate()
        serving.communicate(timeout=20)
    code, _, err = place.call("run", "quiet.yaml")

    assert (staying, place.syncs_always()) == (True, False)
    assert code == 0, err
