"""An injector that dies in the middle of a fault is replaced by one that knows nothing but the plan: at every half-way point it goes on."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from actors.chaos_injector.chaos_faults import ChaosFaults
from actors.chaos_injector.drivers import Done, Driver, Plan, Target, UndoTooLate, undo_once
from actors.chaos_injector.limit_faults import LimitFaults
from actors.chaos_injector.links import LinkFaults, Links
from actors.chaos_injector.network_faults import NetworkFaults as PacketFaults
from actors.chaos_injector.process_faults import ProcessFaults
from actors.chaos_injector.processes import Processes
from actors.chaos_injector.volume_faults import VolumeFaults
from actors.chaos_injector.watching import Watching
from bus.actor import Decision, Run
from messages.actions.limits import GroupUndo, ResourceUndo
from messages.actions.network import Delay, NetworkDrop, NetworkLatency, NetworkUndo
from messages.actions.volumes import FillerUndo
from messages.fault_events import ActionFailed, FaultArmed, FaultEffective, FaultGone, FaultInjected, FaultReverted, ServiceStarted
from messages.identity import Identity
from messages.ids import new_run_id
from messages.link_events import LinksOpened
from messages.run_events import ActionRequested
from messages.scenario import Action
from messages.system import ChaosEndpoint, System
from messages.undo import AnyUndo, LinkUndo, Undo
from messages.verdicts import Reason
from runs.state import RunState
from targets.errors import NotThere
from targets.find import tagged_processes, tags_of
from targets.group import halting, is_halted, members
from targets.health import HealthProber
from targets.identity import is_alive
from targets.limits import supported as limits_supported
from targets.limits.groups import remove
from targets.limits.hierarchy import left_groups
from targets.network.faults import NetworkFaults
from targets.network.filters import add
from targets.network.holding import Holders, holders_of
from targets.network.namespaces import namespace_at
from targets.network.support import supported as network_supported
from targets.polling import until
from targets.process import ProcessDriver
from targets.proxy.api import LinkPlan
from targets.proxy.starting import start_proxy
from tests.chaos_service import ChaosService
from tests.test_chaos_injector import Blinking, Stand, engine, service, stand, stop_by_hand
from tests.test_links_lost import looked_at
from tests.test_targets_disk import volume
from tests.test_targets_network import Net, net, planned
from tests.test_targets_network_undo import rules_in
from tests.test_validator import BEGIN

__all__ = ["engine", "net", "stand", "volume"]
PAIR = ["sh", "-c", "sleep 1000 & sleep 1001 & wait"]
STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 1000; done"]
no_groups, no_limits, no_network = limits_supported("cpu"), limits_supported("resource"), network_supported("network_latency")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a look takes longer; nothing here depends on how long, but where that is the question."""
    for module in ("chaos_faults", "links", "network_faults"):
        monkeypatch.setattr(f"actors.chaos_injector.{module}.LOOK", 10.0)


class Ground:
    """A service of a run that is a real process, and as many drivers as one likes, none of which knows of another."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.run = new_run_id(datetime(2026, 1, 1, tzinfo=UTC))
        self.folder = folder
        self.links: LinksOpened | None = None
        self._stack = stack
        self._driver = self._another()

    def _another(self) -> ProcessDriver:
        driver = ProcessDriver(environment={"PATH": os.environ["PATH"]}, logs=self.folder / "logs")
        self._stack.push_async_callback(driver.aclose)
        return driver

    async def processes(self) -> ProcessFaults:
        """What an injector has that has just started."""
        prober = await self._stack.enter_async_context(HealthProber())
        return ProcessFaults(Processes(self._another(), prober, environment={}, nats_url="", logs=None))

    async def start(self, command: list[str]) -> Identity:
        spec = self.system(command).spec.services["engine"].driver.process
        assert spec is not None
        identity = await self._driver.start("engine", spec, {}, tags_of(self.run, "engine"))
        sleeps = command.count("sleep") + " ".join(command).count("sleep ")
        await until(lambda: len(members(identity)) >= 1 + min(sleeps, 2), poll=0.005)
        return identity

    async def kill(self, identity: Identity) -> None:
        await self._driver.kill(identity)

    def system(self, command: list[str], **spec: Any) -> System:
        process = {"command": command, "stop_grace": "200ms"}
        services = {"engine": {"driver": {"process": process}}, "bank": {"driver": {"external": {}}}}
        return System.model_validate({"metadata": {"name": "s"}, "spec": {"services": services, **spec}}, strict=False)

    def target(self, action: str, on: Any = "engine", command: list[str] = PAIR, **options: Any) -> Target:
        spec = options.pop("spec", {})
        told = Action.model_validate({"id": "f", "target": on, "action": action, **options}, strict=False)
        name = on if isinstance(on, str) else next((on[kind] for kind in ("link", "volume") if kind in on), "f")
        request = ActionRequested(fault_id="f", phase="chaos", target=name, action=told)
        return Target(self.run, request, self.system(command, **spec), self.links, self.current)

    def current(self, _name: str) -> Identity | None:
        return next((tagged.identity for tagged in tagged_processes(self.run) if tagged.service == "engine"), None)

    async def clear(self) -> None:
        while left := tagged_processes(self.run):
            for tagged in left:
                await self._driver.kill(tagged.identity)
        for folder in [folder for run, _, folder in left_groups() if run == self.run]:
            await remove(folder, folder.parent)


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with AsyncExitStack() as stack:
        ground = Ground(tmp_path, stack)
        yield ground
        await ground.clear()


def stored(plan: Plan) -> Plan:
    """What the journal says of a plan."""
    return Plan(type(plan.undo).model_validate_json(plan.undo.model_dump_json()), plan.before)


@pytest.mark.parametrize("action", ["stop", "kill", "restart", "pause"])
async def test_what_was_done_to_a_process_is_known_by_the_process(ground: Ground, action: str) -> None:
    first, second = await ground.processes(), await ground.processes()
    before, target = await ground.start(PAIR), ground.target(action)
    plan = stored(await first.plan(target))

    untouched = await second.was_injected(target, plan)
    await first.inject(target, plan)
    done = await second.was_injected(target, plan)
    undone = await (await ground.processes()).undo(plan.undo, target)

    assert (untouched, done) == (False, True)
    assert undone.process is not None
    assert (undone.process == before, undone.started) == ((True, False) if action == "pause" else (False, True))
    assert not is_halted(undone.process)


async def test_a_stop_that_was_asked_for_is_completed(ground: Ground) -> None:
    before, target = await ground.start(STUBBORN), ground.target("stop", command=STUBBORN)
    plan = stored(await (await ground.processes()).plan(target))
    os.killpg(before.pid, signal.SIGTERM)
    second = await ground.processes()

    assert not await second.was_injected(target, plan)
    await second.inject(target, plan)

    assert await second.was_injected(target, plan)
    assert not members(before)


async def test_a_kill_that_left_a_part_of_the_group_is_completed(ground: Ground) -> None:
    before, target = await ground.start(PAIR), ground.target("kill")
    plan = stored(await (await ground.processes()).plan(target))
    os.kill(before.pid, signal.SIGKILL)
    await until(lambda: not is_alive(before), poll=0.005)
    second = await ground.processes()

    assert members(before)
    assert not await second.was_injected(target, plan)
    await second.inject(target, plan)

    assert await second.was_injected(target, plan)
    assert not members(before)


async def test_a_halt_that_reached_a_part_of_the_group_is_completed(ground: Ground) -> None:
    before, target = await ground.start(PAIR), ground.target("pause")
    plan = stored(await (await ground.processes()).plan(target))
    os.kill(before.pid, signal.SIGSTOP)
    second = await ground.processes()

    assert not await second.was_injected(target, plan)
    await second.inject(target, plan)

    await until(halting(before), poll=0.005)
    assert await second.was_injected(target, plan)


@pytest.mark.skipif(no_limits is not None, reason=str(no_limits))
async def test_limits_that_some_processes_have_are_given_to_all_and_put_back_by_a_third(ground: Ground) -> None:
    await ground.start(PAIR)
    target = ground.target("limit_fds")
    plan = stored(await LimitFaults().plan(target))
    assert isinstance(plan.undo, ResourceUndo)
    half = plan.undo.model_copy(update={"lowered": plan.undo.lowered[1:]})
    await LimitFaults().inject(target, Plan(half))

    begun = await LimitFaults().was_injected(target, plan)
    await LimitFaults().inject(target, plan)
    done = await LimitFaults().was_injected(target, plan)
    undone = await LimitFaults().undo(plan.undo, target)

    assert len(plan.undo.lowered) == 3
    assert (begun, done) == (False, True)
    assert undone == Done()
    assert await LimitFaults().saw_normal(target, plan, timedelta())


@pytest.mark.skipif(no_groups is not None, reason=str(no_groups))
@pytest.mark.parametrize("point", ["made", "set", "moved"])
async def test_a_control_group_that_was_begun_is_completed_and_removed_by_a_third(ground: Ground, point: str) -> None:
    before, target = await ground.start(PAIR), ground.target("limit_cpu", parameters={"cores": 0.5})
    plan = stored(await LimitFaults().plan(target))
    assert isinstance(plan.undo, GroupUndo)
    folder = Path(plan.undo.folder)
    folder.mkdir()
    if point != "made":
        for name, value in plan.undo.settings.items():
            (folder / name).write_text(value)
    if point == "moved":
        (folder / "cgroup.procs").write_text(str(members(before)[-1].pid))

    begun = await LimitFaults().was_injected(target, plan)
    await LimitFaults().inject(target, plan)
    done = await LimitFaults().was_injected(target, plan)
    settings = [(folder / name).read_text().strip() for name in plan.undo.settings]
    inside = {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}
    await LimitFaults().undo(plan.undo, target)

    assert (begun, done) == (False, True)
    assert settings == list(plan.undo.settings.values())
    assert inside == {member.pid for member in members(before)}
    assert not folder.exists()


@asynccontextmanager
async def linked(ground: Ground) -> AsyncIterator[tuple[LinkFaults, Target]]:
    """The two links of a partition, carried by a proxy."""
    folder = ground.folder / "links"
    plans = {name: LinkPlan(service="127.0.0.1:9") for name in ("way", "back")}
    report = await start_proxy(ground._driver, ground.run, plans, folder / ground.run)
    ground.links = LinksOpened(identity=report.identity, control=report.control, addresses={})
    links = {
        "way": {"from": "engine", "to": "bank", "port": 9, "env": "A"},
        "back": {"from": "bank", "to": "engine", "port": 9, "env": "B"},
    }
    yield LinkFaults(Links(ground._driver, folder)), ground.target("partition", {"between": ["engine", "bank"]}, spec={"links": links})


async def test_a_partition_that_is_on_one_of_its_links_is_completed_and_taken_away_by_a_third(ground: Ground) -> None:
    async with linked(ground) as (first, target):
        plan = stored(await first.plan(target))
        assert isinstance(plan.undo, LinkUndo)
        one = dict(list(plan.undo.toxics.items())[:1])
        untouched = await first.was_injected(target, plan)
        await first.inject(target, Plan(LinkUndo(toxics=one)))

        second, third = (LinkFaults(Links(ground._driver, ground.folder / "links")) for _ in range(2))
        begun = await second.was_injected(target, plan)
        await second.inject(target, plan)
        done = await second.was_injected(target, plan)
        undone = [await third.undo(plan.undo, target) for _ in range(2)]

    assert len(plan.undo.toxics) == 2
    assert (untouched, begun, done) == (False, False, True)
    assert [entry.found for entry in undone] == [False, True]


async def test_a_proxy_that_does_not_answer_or_has_gone_keeps_nobody_waiting(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.chaos_injector.links.LOOK", 0.2)
    async with linked(ground) as (driver, target):
        plan = stored(await driver.plan(target))
        await driver.inject(target, plan)
        assert ground.links is not None
        proxy = ground.links.identity
        os.kill(proxy.pid, signal.SIGSTOP)
        async with asyncio.timeout(3):
            silent = await driver.was_injected(target, plan)
        await ground.kill(proxy)
        gone = await driver.was_injected(target, plan)
        undone, normal = await driver.undo(plan.undo, target), await driver.saw_normal(target, plan, timedelta(seconds=30))

    assert (silent, gone) == (False, False)
    assert undone.found
    assert not normal


async def test_a_filler_that_was_begun_is_completed_and_removed_by_a_third(ground: Ground, volume: Path) -> None:
    spec = {"volumes": {"data": {"service": "engine", "path": str(volume)}}}
    target = ground.target("disk_full", {"volume": "data"}, spec=spec)
    plan = stored(await VolumeFaults(()).plan(target))
    assert isinstance(plan.undo, FillerUndo)

    untouched = await VolumeFaults(()).was_injected(target, plan)
    Path(plan.undo.path).write_bytes(b"x" * 5000)
    begun = await VolumeFaults(()).was_injected(target, plan)
    await VolumeFaults(()).inject(target, plan)
    done = await VolumeFaults(()).was_injected(target, plan)
    free = os.statvfs(volume).f_bfree
    undone = await VolumeFaults(()).undo(plan.undo, target)

    assert (untouched, begun, done, free) == (False, False, True, 0)
    assert undone == Done()
    assert list(volume.iterdir()) == []


async def test_a_volume_whose_filler_somebody_removes_is_known_not_to_be_full_any_more(ground: Ground, volume: Path) -> None:
    spec = {"volumes": {"data": {"service": "engine", "path": str(volume)}}}
    target = ground.target("disk_full", {"volume": "data"}, spec=spec)
    plan = stored(await VolumeFaults(()).plan(target))
    assert isinstance(plan.undo, FillerUndo)

    await VolumeFaults(()).inject(target, plan)
    kept = await VolumeFaults(()).renew(plan.undo, target)
    Path(plan.undo.path).unlink()
    lifted = await VolumeFaults(()).renew(plan.undo, target)

    assert (kept, lifted) == (True, False)


async def test_a_volume_that_somebody_else_has_filled_was_not_filled_by_us(ground: Ground, volume: Path) -> None:
    target = ground.target("disk_full", {"volume": "data"}, spec={"volumes": {"data": {"service": "engine", "path": str(volume)}}})
    plan = stored(await VolumeFaults(()).plan(target))
    with (volume / "theirs").open("wb") as theirs:
        os.posix_fallocate(theirs.fileno(), 0, 2**20)

    assert not await VolumeFaults(()).was_injected(target, plan)


async def test_a_volume_that_is_unmounted_while_it_is_full_is_told_at_once(ground: Ground, volume: Path) -> None:
    target = ground.target("disk_full", {"volume": "data"}, spec={"volumes": {"data": {"service": "engine", "path": str(volume)}}})
    plan = stored(await VolumeFaults(()).plan(target))
    await VolumeFaults(()).inject(target, plan)
    subprocess.run(["umount", "--lazy", str(volume)], check=True)  # noqa: ASYNC221 - it takes no time
    undone = await VolumeFaults(()).undo(plan.undo, target)
    normal = await VolumeFaults(()).saw_normal(target, plan, timedelta(seconds=30))
    subprocess.run(["mount", "-t", "tmpfs", "chaos-test", str(volume)], check=True)  # noqa: ASYNC221 - for who unmounts it

    assert undone.found
    assert "unmounted" in undone.lost
    assert normal


packets = pytest.mark.skipif(no_network is not None, reason=str(no_network))


@contextmanager
def disturbing(undo: NetworkUndo) -> Iterator[None]:
    """What a fault may leave goes with the test."""
    try:
        yield
    finally:
        for identity in holders_of(undo.comment):
            os.killpg(identity.pid, signal.SIGKILL)


@packets
@pytest.mark.parametrize("point", ["nothing", "held", "v4", "all"])
async def test_rules_that_were_begun_are_completed_once_and_removed_by_a_third(ground: Ground, net: Net, point: str) -> None:
    undo = await planned(NetworkFaults(environment=os.environ), net, NetworkLatency(delay=timedelta(milliseconds=50)))
    undo, target = NetworkUndo.model_validate_json(undo.model_dump_json()), ground.target("network_latency", parameters={"delay": "50ms"})
    plan = Plan(undo)
    with disturbing(undo):
        await begin_packets(undo, point)
        begun = await PacketFaults(os.environ).was_injected(target, plan)
        held = holders_of(undo.comment)
        await PacketFaults(os.environ).inject(target, plan)
        done, rules, holding = await PacketFaults(os.environ).was_injected(target, plan), rules_in(net.server), holders_of(undo.comment)
        undone = [await PacketFaults(os.environ).undo(undo, target) for _ in range(2)]
        left = rules_in(net.server)

    assert (begun, done) == (point == "all", True)
    assert len(rules) == len(undo.rules[0].v4) + len(undo.rules[0].v6) == 2
    assert len(holding) == 1
    assert (holding == held) == (point in {"v4", "all"})
    assert undone == [Done(), Done(found=True)]
    assert left == []


@packets
async def test_packets_whose_rules_somebody_removes_are_known_not_to_be_lost_any_more(ground: Ground, net: Net) -> None:
    undo = await planned(NetworkFaults(environment=os.environ), net, NetworkDrop())
    target = ground.target("network_drop")

    await PacketFaults(os.environ).inject(target, Plan(undo))
    kept = await PacketFaults(os.environ).renew(undo, target)
    await PacketFaults(os.environ).undo(undo, target)
    lifted = await PacketFaults(os.environ).renew(undo, target)

    assert (kept, lifted) == (True, False)


async def begin_packets(undo: NetworkUndo, point: str) -> None:
    """What somebody did who died at this point."""
    assert isinstance(undo.hold, Delay)
    if point != "nothing":
        await Holders(os.environ).start(undo.rules[0].namespace, undo.hold, undo.comment)
    if point in {"v4", "all"}:
        await add(undo.rules[0] if point == "all" else undo.rules[0].model_copy(update={"v6": ()}), undo.comment)


@packets
async def test_a_namespace_that_vanishes_while_its_packets_are_lost_is_told_at_once(ground: Ground) -> None:
    name = f"chaos-{os.getpid()}-gone"
    subprocess.run(["ip", "netns", "add", name], check=True)  # noqa: ASYNC221 - it takes no time
    there = namespace_at(f"/run/netns/{name}")
    undo = await NetworkFaults(environment=os.environ).undo_of(NetworkDrop(), there, run=ground.run, fault="f")
    target, plan = ground.target("network_drop"), Plan(undo)
    await PacketFaults(os.environ).inject(target, plan)
    subprocess.run(["ip", "netns", "del", name], check=True)  # noqa: ASYNC221

    injected = await PacketFaults(os.environ).was_injected(target, plan)
    undone = await PacketFaults(os.environ).undo(undo, target)

    assert not injected
    assert undone.found
    assert "went away" in undone.lost


def asked(ground: Ground, base: str) -> Target:
    target = ground.target("inject_latency", "bank", parameters={"delay_ms": 5})
    service = target.system.spec.services["bank"].model_copy(update={"chaos": ChaosEndpoint(http=base)})
    services = {**target.system.spec.services, "bank": service}
    system = target.system.model_copy(update={"spec": target.system.spec.model_copy(update={"services": services})})
    return Target(target.run, target.request, system, None, lambda _: None)


@pytest.mark.parametrize("spelling", [str, str.upper, lambda _: "something"])
async def test_a_call_of_a_chaos_api_is_known_by_what_that_says_is_active(ground: Ground, spelling: Callable[[str], str]) -> None:
    async with ChaosService(spelling=spelling).serving() as service:
        service.begin("theirs")
        target = asked(ground, service.base)
        plan = stored(await ChaosFaults({}).plan(target))
        untouched = await ChaosFaults({}).was_injected(target, plan)
        await ChaosFaults({}).inject(target, plan)
        done = await ChaosFaults({}).was_injected(target, plan)
        await ChaosFaults({}).undo(plan.undo, target)
        left = list(service.active)

    assert (untouched, done) == (False, True)
    assert left == ["n1"]


async def test_what_a_later_fault_of_the_same_kind_does_is_not_taken_for_an_earlier_one(ground: Ground) -> None:
    async with ChaosService().serving() as service:
        target = asked(ground, service.base)
        earlier = stored(await ChaosFaults({}).plan(target))
        await ChaosFaults({}).inject(target, earlier)
        await ChaosFaults({}).undo(earlier.undo, target)
        later = await ChaosFaults({}).plan(target)
        await ChaosFaults({}).inject(target, later)
        armed = FaultArmed(fault_id="g", target="bank", action="inject_latency", until=BEGIN, undo=later.undo)
        beside = replace(target, others=lambda: (armed,))

        normal = await ChaosFaults({}).saw_normal(beside, earlier, timedelta(seconds=5))
        await ChaosFaults({}).undo(earlier.undo, beside)
        left = list(service.active)

    assert normal
    assert left == ["n2"]


@pytest.mark.parametrize("lists", [True, False])
async def test_where_nobody_knows_whether_a_call_was_made_it_is_not_made_again(
    ground: Ground,
    monkeypatch: pytest.MonkeyPatch,
    lists: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr("actors.chaos_injector.chaos_faults.LOOK", 0.2)
    async with ChaosService(lists=lists).serving() as service:
        target = asked(ground, service.base)
        plan = stored(await ChaosFaults({}).plan(target))
        service.answering.clear()

        try:
            async with asyncio.timeout(3):
                assumed = await ChaosFaults({}).was_injected(target, plan)
        finally:
            service.answering.set()

    assert assumed


async def test_a_paused_process_that_somebody_kills_is_told_at_once(ground: Ground) -> None:
    before, target = await ground.start(PAIR), ground.target("pause")
    plan = stored(await (await ground.processes()).plan(target))
    await (await ground.processes()).inject(target, plan)
    await ground.kill(before)
    driver = await ground.processes()

    with pytest.raises(NotThere):
        await driver.inject(target, plan)
    undone = await driver.undo(plan.undo, target)
    normal = await driver.saw_normal(target, plan, timedelta(milliseconds=200))

    assert undone.found
    assert undone.lost.startswith("engine went away while it was paused")
    assert not normal


async def test_a_paused_process_in_whose_place_another_one_serves_has_come_back_by_itself(ground: Ground) -> None:
    before, target = await ground.start(PAIR), ground.target("pause")
    plan = stored(await (await ground.processes()).plan(target))
    await (await ground.processes()).inject(target, plan)
    await ground.kill(before)
    await ground.start(PAIR)

    assert await (await ground.processes()).undo(plan.undo, target) == Done(found=True)


@pytest.mark.skipif(no_limits is not None, reason=str(no_limits))
async def test_a_limited_process_that_exits_is_told_at_once(ground: Ground) -> None:
    before, target = await ground.start(PAIR), ground.target("limit_fds")
    plan = stored(await LimitFaults().plan(target))
    await LimitFaults().inject(target, plan)
    await ground.kill(before)

    assert not await LimitFaults().was_injected(target, plan)
    undone = await LimitFaults().undo(plan.undo, target)

    assert undone.found
    assert undone.lost.startswith("engine went away while it was limited")
    assert await LimitFaults().saw_normal(target, plan, timedelta(seconds=30))


class Hanging(Driver):
    """Its undo never ends."""

    async def plan(self, target: Target) -> Plan:
        raise NotImplementedError

    async def inject(self, target: Target, plan: Plan) -> str:
        raise NotImplementedError

    async def was_injected(self, target: Target, plan: Plan) -> bool:
        raise NotImplementedError

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        await asyncio.Event().wait()
        return Done()

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        raise NotImplementedError

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        raise NotImplementedError


async def test_an_undo_that_hangs_has_a_deadline_and_holds_up_no_other(ground: Ground) -> None:
    before, target = await ground.start(PAIR), ground.target("pause")
    driver = await ground.processes()
    plan = await driver.plan(target)
    await driver.inject(target, plan)

    async def hangs() -> None:
        with pytest.raises(UndoTooLate, match=r"not undone within 0\.3 s"):
            await undo_once(Hanging(), Undo(kind="process.resume", service="engine"), target, timedelta(milliseconds=300))

    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(hangs())
        undone = await undo_once(driver, plan.undo, target)
        first = not hanging.done()

    assert undone == Done(before)
    assert first


class Noting(Hanging):
    """Notes how long it was given to look for an effect."""

    def __init__(self) -> None:
        self.within: list[timedelta] = []

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        self.within.append(within)
        return "something"


class Looking:
    """A run of which an injector has just read that a fault was injected a minute ago."""

    def __init__(self, *, inherited: bool) -> None:
        looked = looked_at()
        self.id, self.inherited, self.view = "r", inherited, looked.view.state
        self.state = self.view.actions.states["f"]
        self.state.effective = None

    def now(self) -> datetime:
        return (self.state.injected or BEGIN) + timedelta(minutes=1)


@pytest.mark.parametrize(("inherited", "least", "most"), [(True, 4.0, 5.0), (False, 0.0, 0.05)])
async def test_the_time_in_which_no_injector_lived_is_no_time_in_which_nothing_was_seen(inherited: bool, least: float, most: float) -> None:  # noqa: FBT001
    driver, run = Noting(), Looking(inherited=inherited)
    nothing = Processes(ProcessDriver(environment={}), HealthProber(), environment={}, nats_url="", logs=None)
    watching = Watching({"process": driver}, nothing, {})
    event = FaultInjected(fault_id="f", took=timedelta(), ago=timedelta())

    said = [decision async for decision in watching.effect(event, cast("Run[RunState]", run))]

    assert [type(decision) for decision in said] == [FaultEffective]
    assert least <= driver.within[0].total_seconds() <= most


async def test_a_fault_of_which_all_is_known_is_not_looked_at_again() -> None:
    run = Looking(inherited=True)
    watching = Watching({}, cast("Processes", None), {})
    injected, reverted = (
        FaultInjected(fault_id="f", took=timedelta(), ago=timedelta()),
        FaultReverted(fault_id="f", took=timedelta(), ago=timedelta(), by="request"),
    )
    said: list[Decision] = []
    for known in ("effective", "unseen", "gone"):
        setattr(run.state, known, BEGIN)
        look = (
            watching.normal(reverted, cast("Run[RunState]", run))
            if known == "gone"
            else watching.effect(injected, cast("Run[RunState]", run))
        )
        said += [decision async for decision in look]
        setattr(run.state, known, None)

    assert said == []


@pytest.mark.parametrize("action", ["pause", "limit_fds"])
async def test_a_target_that_goes_away_while_it_is_disturbed_is_what_the_run_tells(
    stand: Stand, engine: dict[str, Any], action: str
) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
        before = (await stand.until(ServiceStarted)).event.identity
        await stand.act(action)
        await stand.until(FaultInjected)
        await stop_by_hand(before)
        await stand.undo()
        failed = (await stand.until(ActionFailed, "f")).event

    assert failed.reason is Reason.NO_EFFECT
    assert failed.message.startswith("engine went away while it was")
    assert stand.all(FaultReverted)[-1].event.found_undone


class Stuck(Blinking):
    """Its undo never ends."""

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        await asyncio.Event().wait()
        return Done()


async def test_a_fault_whose_undo_hangs_holds_up_no_other_ones_undo(
    stand: Stand, engine: dict[str, Any], unused_port: Callable[[], int]
) -> None:
    async with stand.injector() as injector:
        injector._drivers["limit"] = Stuck(blinks=0)
        await stand.up(engine=engine, desk=service(unused_port()))
        await stand.act("limit_fds", id_="stuck")
        await stand.act("pause", target="desk", id_="free")
        await stand.until(FaultInjected, count=2)
        await stand.undo("stuck")
        await stand.undo("free")
        await stand.until(FaultGone, "free")

    assert [line.event.fault_id for line in stand.all(FaultReverted)] == ["free"]
