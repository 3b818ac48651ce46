"""What runs that are over have left is removed; what belongs to anybody else, or to a run that is open, stays."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actors.chaos_injector.sweeping import IsOver, Kind, Orphan, Sweep
from bus.errors import NoAnswer
from messages.actions.limits import LimitCpu
from messages.actions.network import NetworkDrop, NetworkLatency
from messages.actions.volumes import DiskFull
from messages.identity import Identity
from messages.ids import new_run_id
from messages.system import ProcessDriver as Described
from targets.disk import DiskFaults
from targets.find import NAMESPACE_TAG, tags_of
from targets.group import halting, is_left
from targets.identity import is_alive
from targets.limits import GroupLimits
from targets.limits import supported as limits_supported
from targets.limits.hierarchy import home_of
from targets.network.faults import NetworkFaults
from targets.network.holding import FAULT_TAG, programs
from targets.network.support import supported as network_supported
from targets.polling import until
from targets.process import ProcessDriver
from targets.proxy.api import LinkPlan
from targets.proxy.starting import find_proxy, start_proxy
from tests.test_targets_disk import volume
from tests.test_targets_network import Net, net
from tests.test_targets_network_undo import rules_in

__all__ = ["net", "volume"]
OURS = "sweep-ours"
SLEEPER = Described(command=("sleep", "1000"))
no_groups = limits_supported("cpu")
no_network = network_supported("network_latency")


class Journal:
    """What a namespace's journal knows: runs, and whether they are over."""

    def __init__(self) -> None:
        self.over, self.open, self.foreign = (new_run_id(datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2, 3))
        self.asked: list[str] = []

    async def is_over(self, run: str) -> bool:
        self.asked.append(run)
        return run == self.over


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[ProcessDriver]:
    driver = ProcessDriver(environment={"PATH": os.environ["PATH"]}, logs=tmp_path / "logs")
    yield driver
    for identity in list(driver._children):
        await driver.kill(identity)
    await driver.aclose()


@pytest.fixture
def sweep(driver: ProcessDriver, tmp_path: Path) -> Sweep:
    return Sweep(OURS, driver, links=tmp_path / "links")


@asynccontextmanager
async def sweeping(sweep: Sweep, is_over: IsOver) -> AsyncIterator[None]:
    """Swept until the block ends, which may not take long."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(sweep.keep(is_over))
        yield
        task.cancel()


def told(orphans: tuple[Orphan, ...]) -> list[tuple[Kind, str, str]]:
    return [(orphan.kind, orphan.run, orphan.name) for orphan in orphans]


async def started(driver: ProcessDriver, *, run: str = "", namespace: str = OURS) -> Identity:
    tags = tags_of(run, "engine", namespace) if run else {}
    identity = await driver.start("engine", SLEEPER, {}, tags)
    await until(lambda: b"sleep" in Path(f"/proc/{identity.pid}/cmdline").read_bytes(), poll=0.005)
    return identity


async def test_processes_of_a_run_that_is_over_are_stopped_even_halted_ones_and_no_others(
    sweep: Sweep, driver: ProcessDriver, journal: Journal
) -> None:
    left, halted = await started(driver, run=journal.over), await started(driver, run=journal.over, namespace="")
    await driver.pause(halted)
    await until(halting(halted), poll=0.005)
    others = [
        await started(driver, run=journal.open),
        await started(driver, run=journal.foreign),
        await started(driver, run=journal.over, namespace="sweep-theirs"),
        await started(driver),
    ]

    removed = await sweep.sweep(journal.is_over)

    assert told(removed) == [("process", journal.over, "engine")] * 2
    assert not is_left(left)
    assert not is_left(halted)
    assert all(is_alive(other) for other in others)
    assert await sweep.sweep(journal.is_over) == ()


async def test_a_sweep_that_the_bus_did_not_answer_is_done_again_until_it_has_gone_through(
    sweep: Sweep, driver: ProcessDriver, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.chaos_injector.sweeping.FIRST_PAUSE", 0.01)
    left, election = await started(driver, run=journal.over), [NoAnswer("find"), TimeoutError(), NoAnswer("find")]

    async def is_over(run: str) -> bool:
        if election:
            raise election.pop()
        return await journal.is_over(run)

    async with sweeping(sweep, is_over):
        await until(lambda: not is_left(left), poll=0.01)

    assert election == []


async def test_what_is_left_later_is_looked_for_when_somebody_says_so(sweep: Sweep, driver: ProcessDriver, journal: Journal) -> None:
    first = await started(driver, run=journal.over)
    async with sweeping(sweep, journal.is_over):
        await until(lambda: not is_left(first), poll=0.01)
        second = await started(driver, run=journal.over)
        sweep.again()
        await until(lambda: not is_left(second), poll=0.01)


async def test_a_process_that_an_orphan_has_started_apart_goes_too(sweep: Sweep, driver: ProcessDriver, journal: Journal) -> None:
    wrapper = Described(command=("sh", "-c", "setsid sleep 1000 & echo $! > child; wait"), directory=str(sweep._links.parent))
    await driver.start("engine", wrapper, {}, tags_of(journal.over, "engine", OURS))
    file = sweep._links.parent / "child"
    await until(lambda: file.exists() and file.read_text().endswith("\n"), poll=0.005)

    await sweep.sweep(journal.is_over)

    with suppress(FileNotFoundError):
        assert b"sleep" not in Path(f"/proc/{file.read_text().strip()}/cmdline").read_bytes()


async def test_the_process_that_sweeps_is_never_its_own_orphan(
    sweep: Sweep, journal: Journal, driver: ProcessDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    itself = await started(driver, run=journal.over)
    monkeypatch.setattr("actors.chaos_injector.sweeping.os.getpid", lambda: itself.pid)

    assert await sweep.sweep(journal.is_over) == ()
    assert is_alive(itself)


async def test_a_proxy_of_a_run_that_is_over_is_stopped_and_its_secret_removed(
    sweep: Sweep, driver: ProcessDriver, journal: Journal, tmp_path: Path
) -> None:
    links = {"way": LinkPlan(service="127.0.0.1:1")}
    left = await start_proxy(driver, journal.over, links, tmp_path / "links" / journal.over)
    other = await start_proxy(driver, journal.open, links, tmp_path / "links" / journal.open)

    removed = await sweep.sweep(journal.is_over)

    assert told(removed) == [("process", journal.over, "_links"), ("report", journal.over, "links")]
    assert not is_alive(left.identity)
    assert [folder.name for folder in (tmp_path / "links").iterdir()] == [journal.open]
    assert find_proxy(tmp_path / "links" / journal.open) == other


async def test_fillers_of_a_run_that_is_over_are_removed_and_no_other_file(journal: Journal, driver: ProcessDriver, volume: Path) -> None:
    disk = DiskFaults()
    left, other = [await disk.undo_of(DiskFull(leave=2**19), str(volume), run=run, fault="full") for run in (journal.over, journal.open)]
    await disk.inject(left)
    Path(other.path).touch()
    lookalikes = [volume / "theirs", volume / f".chaos.{journal.over}.filler", volume / f".chaos.{journal.over}.link.filler"]
    lookalikes[0].touch()
    lookalikes[1].touch()
    lookalikes[2].symlink_to(lookalikes[0])
    sweep = Sweep(OURS, driver, links=volume / "links", volumes=[str(volume)])

    await sweep.sweep(journal.is_over)

    assert not Path(left.path).exists()
    assert {path.name for path in volume.iterdir()} == {Path(other.path).name, *(path.name for path in lookalikes)}


@pytest.mark.skipif(no_network is not None, reason=str(no_network))
async def test_rules_and_held_packets_of_a_run_that_is_over_are_let_go_and_no_others(sweep: Sweep, journal: Journal, net: Net) -> None:
    environment = {**os.environ, NAMESPACE_TAG: OURS}
    faults = NetworkFaults(environment=environment)
    late = NetworkLatency(delay=timedelta(milliseconds=20))
    left = await faults.undo_of(late, net.server.namespace, run=journal.over, fault="late")
    lost = await faults.undo_of(NetworkDrop(port=net.other), net.server.namespace, run=journal.over, fault="lost")
    other = await faults.undo_of(NetworkDrop(port=9), net.server.namespace, run=journal.open, fault="lost")
    for undo in (left, lost, other):
        await faults.inject(undo)
    net.server.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "7", "-m", "comment", "--comment", "theirs", "-j", "DROP")

    removed = await sweep.sweep(journal.is_over)
    rules = rules_in(net.server)
    stays = await faults.is_in_place(other)
    await faults.undo(other)
    await faults.aclose()

    assert sorted({(kind, name) for kind, _, name in told(removed)}) == [("program", "late"), ("rules", "late"), ("rules", "lost")]
    assert stays
    assert [rule for rule in rules if journal.over in rule] == []
    assert any("theirs" in rule for rule in rules)
    assert left.comment not in [comment for comment, _ in programs(FAULT_TAG)]


@pytest.mark.skipif(no_groups is not None, reason=str(no_groups))
async def test_control_groups_of_a_run_that_is_over_are_removed_and_no_others(
    sweep: Sweep, driver: ProcessDriver, journal: Journal
) -> None:
    limits, limited = GroupLimits(), await started(driver)
    home = home_of("cpu", limited.pid)
    left = await limits.undo_of(LimitCpu(cores=0.5), limited, run=journal.over, fault="cpu")
    other = await limits.undo_of(LimitCpu(cores=0.5), limited, run=journal.open, fault="cpu")
    await limits.inject(left)
    theirs = [Path(other.folder), Path(left.folder).parent / f"theirs.{journal.over}.cpu"]
    for folder in theirs:
        folder.mkdir()
    try:
        removed = await sweep.sweep(journal.is_over)
        stay = [folder.exists() for folder in theirs]
    finally:
        for folder in theirs:
            folder.rmdir()

    assert told(removed) == [("group", journal.over, "cpu")]
    assert (stay, Path(left.folder).exists()) == ([True, True], False)
    assert home_of("cpu", limited.pid) == home
    assert is_alive(limited)


async def test_one_that_cannot_be_removed_keeps_none_of_the_others(sweep: Sweep, journal: Journal) -> None:
    removed: list[str] = []

    async def fails() -> None:
        raise PermissionError("not yours")

    async def works() -> None:
        removed.append("it")

    orphans = [Orphan("filler", journal.over, name, name, how) for name, how in (("one", fails), ("two", works))]
    worked = await sweep._remove_all(orphans)

    assert removed == ["it"]
    assert [orphan.name for orphan in worked] == ["two"]


async def test_the_journal_is_asked_only_about_what_may_be_a_run(sweep: Sweep, driver: ProcessDriver, journal: Journal) -> None:
    await started(driver, run="probe")

    assert await sweep.orphans(journal.is_over) == ()
    assert "probe" not in journal.asked
