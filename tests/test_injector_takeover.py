"""An injector dies at a line of its work, and the next one brings that to its end: nothing is done twice, and nothing stays."""

import asyncio
import os
import resource
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from actors.chaos_injector import Around, ChaosInjector
from actors.chaos_injector.drivers import Done, Driver, Target
from bus.actor import LostRace, Run, TimerDue
from bus.journal import Journal
from bus.server import Server
from bus.share import Share
from bus.subjects import PARTITIONS
from messages.control_events import ResolveRequested
from messages.events import RunEvent
from messages.fault_events import (
    ActionDone,
    FaultArmed,
    FaultEffective,
    FaultGone,
    FaultInjected,
    FaultReverted,
    FaultRevertFailed,
    FaultUnseen,
    HandlerFailed,
    ServiceAdopted,
    ServiceStarted,
    ServiceStopped,
)
from messages.identity import Identity
from messages.ids import new_run_id
from messages.judgements import ReportPublished
from messages.pause_events import RunPausing
from messages.run_events import ActionExpired, RunFinished, ServicesReleaseRequested, UndoRequested
from messages.system import ProcessDriver as Described
from messages.undo import AnyUndo
from messages.verdicts import Reason, Verdict
from runs.state import RunState
from runs.verdict import verdict_of
from targets.errors import Unsupported
from targets.find import tagged_processes, tags_of
from targets.group import is_halted
from targets.identity import is_alive
from targets.polling import until
from targets.process import ProcessDriver
from targets.proxy.client import control_proxy
from targets.proxy.starting import read_report
from tests.test_chaos_injector import NAMESPACE, Blinking, Stand, disturbable, service, stand

__all__ = ["stand"]
pytestmark = pytest.mark.long
POINTS = ("leased", "armed", "called", "injected", "undone", "reverted")
LIFE = (FaultArmed, FaultInjected, FaultReverted, FaultGone)
MEANS = {"stop": "process", "kill": "process", "restart": "process", "pause": "process", "limit_fds": "limit", "latency": "link"}


class Death:
    """A place at which an injector goes no further."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.came = asyncio.Event()
        self._patch = patch

    async def here(self) -> None:
        self.came.set()
        await asyncio.Event().wait()

    def at_line(self, kind: type[RunEvent], *, stored: bool) -> None:
        """Right after the line is stored, or right before."""
        write = Journal.write

        async def dying(journal: Journal, partition: int, run: str, actor: str, event: RunEvent, *told: Any) -> int:
            mine = isinstance(event, kind) and actor == "chaos-injector"
            if mine and not stored:
                await self.here()
            sequence = await write(journal, partition, run, actor, event, *told)
            if mine:
                await self.here()
            return sequence

        self._patch.setattr(Journal, "write", dying)

    def at_call(self, driver: Driver, *, done: bool) -> None:
        """Right after the target was disturbed, or right before."""
        inject: Callable[..., Awaitable[str]] = driver.inject

        async def dying(*told: Any) -> str:
            if done:
                await inject(*told)
            await self.here()
            return ""

        self._patch.setattr(driver, "inject", dying)


def place(death: Death, injector: ChaosInjector, action: str, point: str) -> None:
    match point:
        case "leased":
            death.at_line(FaultArmed, stored=False)
        case "armed" | "called":
            death.at_call(injector._drivers[MEANS[action]], done=point == "called")
        case "injected":
            death.at_line(FaultInjected, stored=True)
        case "undone":
            death.at_line(FaultReverted, stored=False)
        case _:
            death.at_line(FaultReverted, stored=True)


def counting(port: int, file: Path) -> dict[str, Any]:
    """A service that says itself how often it was started."""
    described = service(port)
    command = described["driver"]["process"]["command"]
    described["driver"]["process"]["command"] = ["sh", "-c", f'echo started >> {file}; exec "$@"', "sh", *command]
    return described


async def act(stand: Stand, action: str) -> None:
    """The fault, of the parameters that it needs."""
    if action == "latency":
        await stand.act(action, target="way", on={"link": "way"}, parameters={"delay": "400ms"})
    else:
        await stand.act(action)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("action", MEANS)
async def test_a_fault_whose_injector_died_anywhere_is_brought_to_its_end_by_the_next(
    stand: Stand, unused_port: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, point: str
) -> None:
    port, starts = unused_port(), tmp_path / "starts"
    links = {"links": {"way": {"from": "desk", "to": "engine", "port": port, "env": "ENGINE"}}} if action == "latency" else {}
    services = {"engine": counting(port, starts), **({"desk": service(unused_port())} if links else {})}
    with monkeypatch.context() as patch:
        death = Death(patch)
        async with stand.injector() as first:
            await stand.up(spec=links, **services)
            place(death, first, action, point)
            await act(stand, action)
            if point in {"undone", "reverted"} and action != "restart":
                await stand.until(FaultInjected)
                await stand.undo()
            await death.came.wait()
    async with stand.injector():
        injected = (await stand.until(FaultInjected)).event
        if point not in {"undone", "reverted"} and action != "restart":
            await stand.until(FaultEffective)
            await stand.undo()
        gone = (await stand.until(FaultGone)).event
        fault = stand.about()
        await stand.release()

    expected = 2 if action in {"stop", "kill", "restart"} else 1
    assert [fault.count(kind) for kind in LIFE] == [1] * len(LIFE), fault
    assert fault.count(FaultEffective) + fault.count(FaultUnseen) <= 1
    assert injected.resumed == (point in {"armed", "called"})
    assert gone.restored_by == "undo"
    assert len(starts.read_text().split()) == expected
    assert len(stand.all(ServiceStarted, "engine") + stand.all(ServiceAdopted, "engine")) == expected
    assert stand.all(HandlerFailed) == []
    assert tagged_processes(stand.run) == ()


@pytest.mark.parametrize("action", ["pause", "limit_fds"])
async def test_the_next_injector_keeps_up_what_the_last_one_injected(stand: Stand, unused_port: Callable[[], int], action: str) -> None:
    async with stand.injector(lease=1):
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
        before = resource.prlimit(identity.pid, resource.RLIMIT_NOFILE)
        await stand.act(action)
        await stand.until(FaultEffective)
    async with stand.injector(lease=1) as second:
        end = stand.journal.clock.now() + timedelta(seconds=2)
        while stand.journal.clock.now() < end:
            await asyncio.sleep(0.1)
        kept, disturbed = second.active(), is_halted(identity) or resource.prlimit(identity.pid, resource.RLIMIT_NOFILE) != before
        await stand.undo()
        await stand.until(FaultGone)

    assert kept == ((stand.run, "f"),)
    assert disturbed
    assert (await stand.until(FaultReverted)).event.by == "request"
    assert resource.prlimit(identity.pid, resource.RLIMIT_NOFILE) == before


async def test_a_service_that_was_started_and_not_recorded_is_not_started_twice(
    stand: Stand, unused_port: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = tmp_path / "starts"
    with monkeypatch.context() as patch:
        death = Death(patch)
        death.at_line(ServiceStarted, stored=False)
        async with stand.injector():
            await stand.begin(engine=counting(unused_port(), starts))
            await death.came.wait()
            await until(starts.exists, poll=0.01)
    async with stand.injector():
        await stand.until(ServiceAdopted)
        await stand.release()

    assert starts.read_text().split() == ["started"]
    assert stand.all(ServiceStarted) == []
    assert tagged_processes(stand.run) == ()


async def test_a_process_that_was_started_as_the_run_became_anothers_is_ended(
    stand: Stand, unused_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    share, death = Share.of_everything(), Death(monkeypatch)
    death.at_line(ServiceStarted, stored=False)
    async with stand.injector(share=share):
        await stand.begin(engine=service(unused_port()))
        await death.came.wait()
        (started,) = tagged_processes(stand.run)
        share.own(())
        await until(lambda: not is_alive(started.identity), poll=0.01)

    assert stand.all(ServiceStarted) == []


@pytest.mark.parametrize("wanted", [True, False])
async def test_what_was_disturbed_as_the_run_became_anothers_stays_only_if_that_one_wants_it(
    stand: Stand,
    unused_port: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    wanted: bool,  # noqa: FBT001
) -> None:
    share, death = Share.of_everything(), Death(monkeypatch)
    async with stand.injector(share=share) as injector:
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
        death.at_call(injector._drivers["process"], done=True)
        await stand.act("pause")
        await death.came.wait()
        injected = FaultInjected(fault_id="f", took=timedelta(), ago=timedelta())
        reverted = FaultReverted(fault_id="f", took=timedelta(), ago=timedelta(), by="request")
        await stand.say(injected, *([] if wanted else [reverted]), actor="chaos-injector")
        share.own(())
        if not wanted:
            await until(lambda: not is_halted(identity), poll=0.01)
    halted = is_halted(identity)

    assert halted is wanted


async def test_a_release_that_was_interrupted_is_completed(
    stand: Stand, unused_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        death = Death(patch)
        async with stand.injector():
            await stand.up(bank=service(unused_port()), engine={**service(unused_port()), "depends_on": ["bank"]})
            death.at_line(ServiceStopped, stored=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await stand.release()
            await death.came.wait()
    half = [line.event.service for line in stand.all(ServiceStopped)]
    async with stand.injector():
        await stand.until(ServiceStopped, "bank")
        await until(lambda: not tagged_processes(stand.run), poll=0.01)

    assert half == ["engine"]
    assert [line.event.service for line in stand.all(ServiceStopped)] == ["engine", "bank"]


async def test_while_the_bus_is_away_a_fault_ends_with_its_lease_and_that_is_recorded_later(
    stand: Stand, server: Server, unused_port: Callable[[], int]
) -> None:
    async with stand.injector(lease=1):
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
        await stand.act("pause")
        await stand.until(FaultEffective)
        clock = asyncio.get_running_loop().time
        await server.stop()
        away = clock()
        assert is_halted(identity)
        await until(lambda: not is_halted(identity), poll=0.01)
        took = clock() - away
        while clock() < away + 2.5:
            await asyncio.sleep(0.05)
        await server.start()
        reverted = await stand.until(FaultReverted)
        await stand.until(FaultGone)

    print(f"undone {took:.2f} s after the bus went away, by a lease of 1 s")  # noqa: T201 - a figure for who reads the log
    assert took < 2.4
    assert (reverted.event.by, len(stand.all(FaultReverted))) == ("lease", 1)
    assert reverted.at - reverted.event.ago - stand.all(FaultInjected)[0].at < timedelta(seconds=6)


class Partly(Blinking):
    """One of its faults cannot be undone."""

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        if target.fault == "f13":
            raise Unsupported("stuck")
        return Done()


async def test_of_twenty_faults_the_one_that_cannot_be_undone_keeps_none_of_the_others(stand: Stand) -> None:
    names = [f"s{number}" for number in range(20)]
    async with stand.injector() as injector:
        injector._drivers["chaos"] = Partly(blinks=0)
        services: dict[str, Any] = {name: disturbable("http://127.0.0.1:1") for name in names}
        await stand.begin(**services)
        for number, name in enumerate(names):
            await stand.act("inject_latency", target=name, id_=f"f{number}", parameters={"delay_ms": 5})
        await stand.until(FaultInjected, count=20)
        asked = stand.journal.clock.now()
        await stand.say(*(UndoRequested(fault_id=f"f{number}", why="phase") for number in range(20)))
        last = await stand.until(FaultReverted, count=19)
        failed = (await stand.until(FaultRevertFailed)).event

    print(f"19 of 20 undone {(last.at - asked).total_seconds() * 1000:.0f} ms after that was asked")  # noqa: T201
    assert failed.fault_id == "f13"
    assert len(stand.all(FaultRevertFailed)) == 1
    assert "f13" not in {line.event.fault_id for line in stand.all(FaultReverted)}


async def test_a_fault_without_an_end_ends_with_the_longest_that_the_system_allows(stand: Stand, unused_port: Callable[[], int]) -> None:
    async with stand.injector(lease=0.6):
        await stand.up(spec={"limits": {"longest": "1s"}}, engine=service(unused_port()))
        await stand.act("pause")
        injected = await stand.until(FaultInjected)
        reverted = await stand.until(FaultReverted)

    assert reverted.event.by == "lease"
    assert timedelta(seconds=0.9) < reverted.at - reverted.event.ago - injected.at < timedelta(seconds=3)


async def test_what_a_run_that_is_over_has_left_is_stopped_at_the_start_of_an_injector_and_nothing_else(
    stand: Stand, tmp_path: Path
) -> None:
    async def is_over(run: str) -> bool:
        return await stand.journal.find(run, "scheduler", "run", RunFinished) is not None

    driver = ProcessDriver(environment={}, logs=tmp_path / "logs")
    sleeper, other = Described(command=("/bin/sleep", "1000")), new_run_id(stand.journal.clock.now())
    tags = [tags_of(stand.run, "a", NAMESPACE), tags_of(stand.run, "b", "theirs"), tags_of(other, "c", NAMESPACE), {}]
    async with stand.injector():
        await stand.begin(bank=disturbable("http://127.0.0.1:1"))
    left, *others = [await driver.start("engine", sleeper, {}, those) for those in tags]
    try:
        async with stand.injector(around=Around(is_over=is_over)):
            await stand.act("kill", id_="absent")
        kept = is_alive(left)
        await stand.say(RunFinished(verdict=Verdict.PASSED, reason=None, message="over", cause=None, hint=None, position=1))
        async with stand.injector(around=Around(is_over=is_over)):
            await until(lambda: not is_alive(left), poll=0.01)
        alive = [is_alive(identity) for identity in others]
    finally:
        for identity in (left, *others):
            await driver.kill(identity)
        await driver.aclose()

    assert kept
    assert alive == [True] * 3


async def test_what_was_given_up_while_no_injector_lived_is_stopped_by_one_that_takes_the_run_over(
    stand: Stand, unused_port: Callable[[], int]
) -> None:
    looked, share = asyncio.Event(), Share(lambda _: True)
    share.settled.set()

    async def is_over(run: str) -> bool:
        over = await stand.journal.find(run, "scheduler", "run", RunFinished) is not None
        looked.set()
        return over

    async with stand.injector():
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
    async with stand.injector(around=Around(is_over=is_over), share=share):
        await looked.wait()
        await stand.say(ServicesReleaseRequested())
        await stand.say(ActionExpired(fault_id="release", reason=Reason.REVERT_FAILED, message="nobody was there"))
        await end(stand)
        kept = is_alive(identity)
        share.own(range(PARTITIONS))
        async with asyncio.timeout(20):
            await until(lambda: not is_alive(identity), poll=0.01)

    assert kept


async def lift(stand: Stand, action: str, identity: Identity) -> None:
    """What ends the fault though nobody of the run asked for it."""
    if action == "pause":
        os.killpg(identity.pid, signal.SIGCONT)
    elif action == "limit_fds":
        _, hard = resource.prlimit(identity.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(identity.pid, resource.RLIMIT_NOFILE, (hard, hard))
    else:
        report = read_report(stand.logs.parent / "links" / stand.run)
        assert report is not None
        async with control_proxy(report) as proxy:
            assert await proxy.remove("f")


@pytest.mark.parametrize("action", ["pause", "limit_fds", "latency"])
async def test_a_fault_that_somebody_else_ends_is_over_at_the_next_renewal_of_its_lease(
    stand: Stand, unused_port: Callable[[], int], action: str
) -> None:
    port = unused_port()
    links = {"links": {"way": {"from": "desk", "to": "engine", "port": port, "env": "ENGINE"}}}
    async with stand.injector(lease=1):
        await stand.up(spec=links, engine=service(port), desk=service(unused_port()))
        identity = (await stand.until(ServiceStarted, "engine")).event.identity
        await act(stand, action)
        effective = await stand.until(FaultEffective)
        await lift(stand, action, identity)
        reverted = await stand.until(FaultReverted)

    assert reverted.event.by == "itself"
    assert reverted.at - effective.at < timedelta(seconds=3)


@pytest.mark.parametrize("over", [False, True])
async def test_a_fault_that_was_given_up_while_no_injector_lived_is_undone_by_the_next_even_when_the_run_is_over(
    stand: Stand,
    unused_port: Callable[[], int],
    over: bool,  # noqa: FBT001
) -> None:
    async with stand.injector(lease=1):
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
        await stand.act("pause")
        await stand.until(FaultEffective)
    await stand.until(TimerDue, "f")
    await stand.say(ActionExpired(fault_id="f", reason=Reason.REVERT_FAILED, message="nobody was there"))
    if over:
        await stand.say(ServicesReleaseRequested())
        await stand.say(ActionExpired(fault_id="release", reason=Reason.REVERT_FAILED, message="nobody was there"))
        await end(stand)
    async with stand.injector(lease=1):
        reverted = (await stand.until(FaultReverted)).event
    view = RunState(stand.run)
    await stand.journal.read_runs([stand.run], await stand.journal.last_sequence(), view.apply)

    assert reverted.by == "lease"
    assert not is_halted(identity)
    assert view.left == (("services",) if over else ())
    assert verdict_of(view).verdict is Verdict.UNSAFE


async def test_what_somebody_has_put_right_is_not_undone_again(stand: Stand, unused_port: Callable[[], int]) -> None:
    async with stand.injector(lease=1):
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
        await stand.act("pause")
        await stand.until(FaultEffective)
    await stand.until(TimerDue, "f")
    await stand.say(ActionExpired(fault_id="f", reason=Reason.REVERT_FAILED, message="nobody was there"))
    await end(stand)
    await stand.say(ResolveRequested(principal="ann", note="looked at it"), actor="control")
    async with stand.injector(lease=1):
        await watched(0.5)

    assert is_halted(identity)
    assert stand.all(FaultReverted) == []


async def test_what_was_given_up_is_undone_with_its_lease_after_the_report_too(
    stand: Stand, unused_port: Callable[[], int], tmp_path: Path
) -> None:
    home, engine = tmp_path / "home", service(unused_port())
    home.mkdir()
    engine["driver"]["process"]["directory"] = str(home)
    async with stand.injector(lease=8):
        await stand.up(engine=engine)
        await stand.act("kill")
        await stand.until(FaultEffective)
        home.rmdir()
        await stand.undo()
        await stand.until(FaultRevertFailed)
        await end(stand)
        home.mkdir()
        reverted = await stand.until(FaultReverted)

    assert reverted.event.by == "lease"
    assert reverted.at - stand.all(ReportPublished)[0].at > timedelta(seconds=2)


async def watched(seconds: float) -> None:
    """Time in which something is not to happen."""
    clock = asyncio.get_running_loop().time
    over = clock() + seconds
    while clock() < over:
        await asyncio.sleep(0.02)


async def end(stand: Stand) -> None:
    await stand.say(RunFinished(verdict=Verdict.UNSAFE, reason=Reason.REVERT_FAILED, message="f", cause=None, hint=None, position=1))
    await stand.say(ReportPublished(artefacts=()), actor="reporter")


async def test_a_lease_that_is_over_when_the_run_is_anothers_is_undone_by_that_one_only(
    stand: Stand, unused_port: Callable[[], int]
) -> None:
    known = True
    share = Share(lambda _: known, range(PARTITIONS))
    share.settled.set()
    async with stand.injector(lease=1, share=share):
        await stand.up(engine=service(unused_port()))
        identity = (await stand.until(ServiceStarted)).event.identity
        await stand.act("pause")
        await stand.until(FaultEffective)
        stand.attended = False
        known = False
        await stand.until(TimerDue, "f")
        await watched(0.2)
        halted = is_halted(identity)
        share.own(())
        await watched(0.8)
        still = is_halted(identity)

    assert (halted, still) == (True, True)
    assert stand.all(FaultReverted) == []


async def test_a_fault_lives_on_beyond_the_timeout_of_a_run_that_stood_still(stand: Stand, unused_port: Callable[[], int]) -> None:
    async with stand.injector(lease=0.6) as injector:
        await stand.begin(timeout="1s", engine=service(unused_port()))
        await stand.until(ActionDone, "services")
        await stand.act("pause")
        await stand.until(FaultEffective)
        await stand.say(RunPausing(by="ann", why="pause"))
        await watched(2.5)
        kept = injector.active()

    assert kept == ((stand.run, "f"),)
    assert stand.all(FaultReverted) == []


async def test_a_fault_whose_arming_could_not_be_written_is_armed_by_the_next_try(
    stand: Stand, unused_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, failed = Journal.write, list[RunEvent]()

    async def failing(journal: Journal, partition: int, run: str, actor: str, event: RunEvent, *told: Any) -> int:
        if isinstance(event, FaultArmed) and not failed:
            failed.append(event)
            raise OSError
        return await write(journal, partition, run, actor, event, *told)

    async with stand.injector():
        await stand.up(engine=service(unused_port()))
        monkeypatch.setattr(Journal, "write", failing)
        await stand.act("pause")
        await stand.until(FaultEffective)

    assert len(failed) == 1
    assert len(stand.all(FaultInjected)) == 1


async def test_a_process_that_has_gone_since_it_was_found_is_not_adopted(
    stand: Stand, unused_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        death = Death(patch)
        death.at_line(ServiceStarted, stored=False)
        async with stand.injector():
            await stand.begin(engine=service(unused_port()))
            await death.came.wait()
    (found,) = [tagged.identity for tagged in tagged_processes(stand.run)]
    os.killpg(found.pid, signal.SIGKILL)
    await until(lambda: not is_alive(found), poll=0.01)
    monkeypatch.setattr("actors.chaos_injector.services.find_tagged", lambda _: {"engine": found})
    async with stand.injector():
        started = (await stand.until(ServiceStarted)).event
        await stand.until(ActionDone, "services")

    assert started.identity != found
    assert stand.all(ServiceAdopted) == []


class Lost:
    """A run that has just become another's."""

    def __init__(self, view: RunState) -> None:
        self.id, self.view = view.id, view

    async def hold(self) -> None:
        raise LostRace(self.id, 1)


async def test_who_has_lost_a_run_stops_nothing_of_it_and_takes_that_for_no_failure(
    stand: Stand, unused_port: Callable[[], int], tmp_path: Path
) -> None:
    async with stand.injector() as injector:
        workload = {"command": ["sleep", "1000"]}
        await stand.up(spec={"workloads": {"orders": workload}}, engine=service(unused_port()))
        view = RunState(stand.run)
        await stand.journal.read_runs([stand.run], await stand.journal.last_sequence(), view.apply)
        run, identity = cast("Run[RunState]", Lost(view)), (await stand.until(ServiceStarted)).event.identity
        with pytest.raises(LostRace):
            await injector._services._stop_level(run, {"engine": {identity}}, [])
        with pytest.raises(LostRace):
            await anext(aiter(injector._workloads.stop(run, (), [])))
        left = {tagged.service for tagged in tagged_processes(stand.run)}

    assert left == {"engine", "orders"}
