"""Runs that wait: for their system, for a place in their group, for the end of a hold. Two schedulers share a namespace."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from actors.scheduler import Scheduler
from actors.scheduler.systems import place_of_group
from actors.scheduler.waiting import TICKETS, Ticket
from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.feeding import Reading
from bus.handling import NoMetrics
from bus.journal import Journal, Line
from bus.keys import Change, Keys
from bus.runtime import ActorRuntime
from bus.server import Server
from bus.share import Place, Share
from bus.subjects import PARTITIONS, Subjects
from bus.topology import Names, ensure_topology
from deploy.host import Plan, host
from deploy.settings import read_settings
from messages.control import HOLD, Hold, SubmitRequest
from messages.events import RunEvent
from messages.ids import new_run_id
from messages.run_events import AbortRequested, ActionRequested, RunAborting, RunAccepted, RunFinished, RunPausing, RunStarted, RunWaiting
from messages.scenario import Scenario
from messages.system import System
from scenarios import check_text

NAMES = Names("ns")
HERE, THERE = range(PARTITIONS // 2), range(PARTITIONS // 2, PARTITIONS)
NIGHTLY = '{"group": "nightly", "limit": 2}'
LONG = "20s"


def accepted(system: str, concurrency: str = '"exclusive"', lasts: str = "30ms") -> RunAccepted:
    """A run that only lets its time pass; a scheduler alone brings it to its end."""
    kind = "shared" if concurrency == '"shared"' else "exclusive"
    spec = f'"system": "{system}", "concurrency": {concurrency}, "phases": [{{"name": "only", "duration": "{lasts}"}}]'
    services = '{"idle": {"driver": {"external": {}}}}'
    return RunAccepted(
        key="k",
        scenario=Scenario.model_validate_json(f'{{"metadata": {{"name": "s"}}, "spec": {{{spec}}}}}'),
        system=System.model_validate_json(
            f'{{"metadata": {{"name": "{system}"}}, "spec": {{"concurrency": "{kind}", "services": {services}}}}}'
        ),
        submitted=datetime(2026, 1, 1, tzinfo=UTC),
    )


def shared_by_others(event: RunAccepted) -> RunAccepted:
    """The same run, on a system that others share."""
    return event.model_copy(update={"system": accepted(event.system.name, '"shared"').system})


def of_key(key: str, event: RunAccepted) -> RunAccepted:
    """The same run under another key."""
    return event.model_copy(update={"key": key})


def disturbing(event: RunAccepted, after: str) -> RunAccepted:
    """The same run with a fault, some time after it begins."""
    fault = f'{{"id": "stop", "target": "idle", "action": "stop", "for": "1s", "delay": "{after}"}}'
    spec = f'"system": "{event.system.name}", "phases": [{{"name": "only", "actions": [{fault}]}}]'
    return event.model_copy(update={"scenario": Scenario.model_validate_json(f'{{"metadata": {{"name": "s"}}, "spec": {{{spec}}}}}')})


class Town:
    """The journal of a namespace, its keys, and the shares of its schedulers."""

    def __init__(self, connection: Connection) -> None:
        self.journal = journal_of(connection)
        self.keys = Keys(connection, NAMES.systems)
        self.shares: list[Share] = []
        self.lines: list[Line] = []
        self._news = asyncio.Event()

    def deliver(self, line: Line) -> None:
        self.lines.append(line)
        self._news.set()

    def of(self, type_: type[RunEvent], run: str | None = None) -> list[Line]:
        return [line for line in self.lines if isinstance(line.event, type_) and line.run in (run or line.run)]

    async def until(self, type_: type[RunEvent], run: str | None = None, count: int = 1) -> list[Line]:
        while len(found := self.of(type_, run)) < count:
            self._news.clear()
            await self._news.wait()
        return found

    async def submit(self, event: RunAccepted, partition: int) -> str:
        run = new_run_id(self.journal.clock.now())
        await self.journal.write(partition, run, "scheduler", event, None, None)
        return run

    async def abort(self, run: str, partition: int) -> None:
        await self.journal.write(partition, run, "control", AbortRequested(principal="me"), None, None)

    async def hold(self, note: str = "deploy is on") -> None:
        hold = Hold(principal="anna", note=note, since=datetime(2026, 1, 1, tzinfo=UTC))
        assert await self.keys.create(HOLD, hold.model_dump_json().encode())

    async def release(self) -> None:
        entry = await self.keys.get(HOLD)
        assert entry is not None
        assert await self.keys.delete(HOLD, entry.revision)

    async def until_free(self, key: str) -> None:
        while await self.keys.get(key) is not None:
            await asyncio.sleep(0.01)

    def most_at_once(self, runs: Iterable[str]) -> int:
        among, now, most = set(runs), 0, 0
        for line in self.lines:
            if line.run in among:
                now += isinstance(line.event, RunStarted) - isinstance(line.event, RunFinished)
                most = max(most, now)
        return most

    def reasons(self, run: str) -> list[str]:
        return [line.event.why for line in self.of(RunWaiting, run) if isinstance(line.event, RunWaiting)]


def journal_of(connection: Connection) -> Journal:
    return Journal(connection, Subjects(NAMES.namespace), NAMES.runs, ServerClock())


@pytest.fixture
async def town(connection: Connection) -> AsyncIterator[Town]:
    await ensure_topology(connection.js, NAMES.namespace)
    town = Town(connection)
    await town.journal.last_sequence()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(town.journal.follow(0, town.deliver).run())
        yield town
        task.cancel()


class Late(Keys):
    """Keys whose watch has not told of anything yet."""

    async def changes(self, pattern: str = ">") -> AsyncGenerator[Change | None, None]:
        await asyncio.Event().wait()
        yield None


@asynccontextmanager
async def scheduler(server: Server, partitions: Iterable[int], keys: type[Keys] = Keys) -> AsyncIterator[Share]:
    """A scheduler in a runtime of its own, with a connection of its own."""
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(connect(server.url, name="scheduler"))
        journal = journal_of(connection)
        await journal.last_sequence()

        async def finished(run: str) -> bool:
            return await journal.find(run, Scheduler.name, "run", RunFinished) is not None

        share = Share(lambda _: True, tuple(partitions))
        share.settled.set()
        runtime = ActorRuntime(Scheduler(keys(connection, NAMES.systems), finished), journal, NoMetrics(), Place(share))
        await stack.enter_async_context(runtime.working())
        reading = Reading(journal, [runtime])
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(reading.run())
            await reading.caught_up.wait()
            yield share
            task.cancel()


@pytest.fixture
async def both(server: Server, town: Town) -> AsyncIterator[None]:
    async with scheduler(server, HERE) as here, scheduler(server, THERE) as there:
        town.shares = [here, there]
        yield


def halves() -> Iterator[int]:
    while True:
        yield HERE[0]
        yield THERE[0]


@pytest.mark.usefixtures("both")
async def test_one_run_at_a_time_has_a_system_over_two_schedulers(town: Town) -> None:
    runs = [await town.submit(accepted("shop"), partition) for partition, _ in zip(halves(), range(12), strict=False)]

    await town.until(RunFinished, count=len(runs))

    assert town.most_at_once(runs) == 1


@pytest.mark.usefixtures("both")
async def test_as_many_runs_of_a_group_are_on_at_once_as_its_limit_allows_over_two_schedulers(town: Town) -> None:
    submitted = [(accepted(f"shop-{number}", NIGHTLY), part) for number, part in zip(range(10), halves(), strict=False)]
    runs = [await town.submit(*one) for one in submitted]

    await town.until(RunFinished, count=len(runs))

    assert town.most_at_once(runs) == 2
    await town.until_free(place_of_group("nightly"))


@pytest.mark.usefixtures("both")
async def test_runs_that_need_the_same_systems_and_groups_in_every_mixture_all_come_to_their_end(town: Town) -> None:
    chance = random.Random(7)
    kinds = ['"exclusive"', *(f'{{"group": "g{group}", "limit": {limit}}}' for group in range(2) for limit in (1, 2))]
    mixture = [(f"shop-{chance.randrange(3)}", chance.choice(kinds)) for _ in range(40)]
    runs = [await town.submit(accepted(system, kind, "5ms"), part) for (system, kind), part in zip(mixture, halves(), strict=False)]

    await town.until(RunFinished, count=len(runs))

    by_system = {name: [run for run, (system, _) in zip(runs, mixture, strict=True) if system == name] for name, _ in mixture}
    by_group = [[run for run, (_, kind) in zip(runs, mixture, strict=True) if f'"g{group}"' in kind] for group in range(2)]
    assert {town.most_at_once(of_system) for of_system in by_system.values()} == {1}
    assert all(town.most_at_once(of_group) <= 2 for of_group in by_group)


@pytest.mark.usefixtures("both")
async def test_a_run_is_not_passed_over_by_another_schedulers_backlog(town: Town) -> None:
    first = await town.submit(accepted("shop", lasts="300ms"), HERE[0])
    await town.until(RunStarted, first)
    second = await town.submit(accepted("shop"), THERE[0])
    await town.until(RunWaiting, second)
    backlog = [await town.submit(accepted("shop"), HERE[0]) for _ in range(10)]

    await town.until(RunFinished, count=12)

    assert [line.run for line in town.of(RunStarted)] == [first, second, *backlog]
    for run in (second, *backlog):
        await town.until_free(TICKETS + run)


@pytest.mark.usefixtures("both")
async def test_a_run_that_wants_a_system_alone_is_not_passed_over_by_those_of_another_scheduler_that_share_it(town: Town) -> None:
    sharing = '"shared"'
    first = await town.submit(accepted("shop", sharing, lasts="300ms"), HERE[0])
    await town.until(RunStarted, first)
    alone = await town.submit(shared_by_others(accepted("shop")), THERE[0])
    await town.until(RunWaiting, alone)
    later = [await town.submit(accepted("shop", sharing), HERE[0]) for _ in range(3)]

    await town.until(RunFinished, count=5)

    assert [line.run for line in town.of(RunStarted)][:2] == [first, alone]
    assert town.most_at_once([alone, *later]) == len(later)


@pytest.mark.usefixtures("both")
async def test_a_run_that_waits_where_nobody_is_at_work_any_more_is_in_the_way_for_a_bounded_time(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.scheduler.actor.LOOK_AGAIN", timedelta(seconds=0.3))
    owner = await town.submit(accepted("shop", lasts=LONG), HERE[0])
    await town.until(RunStarted, owner)
    ghost = Ticket(run="ghost", place="shop", sequence=0, shared=False)
    await town.keys.create_lease(TICKETS + ghost.run, ghost.model_dump_json().encode(), timedelta(seconds=1))
    run = await town.submit(accepted("shop"), HERE[0])

    await town.until(RunWaiting, run)
    await town.abort(owner, HERE[0])
    await town.until(RunFinished, run)

    assert town.reasons(run)[-1] == "one run at a time on shop: behind ghost"


@pytest.mark.parametrize(("place", "holds"), [("shop", ""), (place_of_group("nightly"), "shared ")], ids=["system", "group"])
async def test_who_has_a_place_does_not_wait_behind_one_that_was_accepted_before_and_waits_for_it(
    town: Town, server: Server, place: str, holds: str
) -> None:
    run = new_run_id(town.journal.clock.now())
    assert await town.keys.create(place, f"{holds}{run}".encode())
    before = Ticket(run="before", place=place, sequence=0, shared=False)
    await town.keys.create_lease(TICKETS + before.run, before.model_dump_json().encode(), timedelta(seconds=600))

    async with scheduler(server, range(PARTITIONS)):
        await town.journal.write(HERE[0], run, "scheduler", accepted("shop", NIGHTLY), None, None)
        await town.until(RunFinished, run)

    assert town.reasons(run) == []


async def test_a_ticket_that_cannot_be_read_is_in_nobodys_way(town: Town, server: Server) -> None:
    async with scheduler(server, range(PARTITIONS)):
        ghost = Ticket(run="ghost", place="shop", sequence=0, shared=False)
        first = await town.keys.create_lease(TICKETS + ghost.run, ghost.model_dump_json().encode(), timedelta(seconds=10))
        run = await town.submit(accepted("shop"), HERE[0])
        await town.until(RunWaiting, run)

        await town.keys.put_lease(TICKETS + ghost.run, b"of another version", timedelta(seconds=10), first or 0)
        async with asyncio.timeout(8):
            await town.until(RunFinished, run)


@pytest.mark.usefixtures("both")
async def test_a_run_that_waits_for_its_system_takes_no_place_in_its_group(town: Town) -> None:
    one = '{"group": "nightly", "limit": 1}'
    owner = await town.submit(accepted("shop", lasts=LONG), HERE[0])
    await town.until(RunStarted, owner)
    waiting = await town.submit(accepted("shop", one), THERE[0])
    await town.until(RunWaiting, waiting)

    other = await town.submit(accepted("mall", one), HERE[0])
    await town.until(RunFinished, other)

    assert town.reasons(waiting) == [f"one run at a time on shop: behind {owner}"]


@pytest.mark.usefixtures("both")
async def test_a_run_says_that_its_group_is_full_once_however_often_the_others_change(town: Town) -> None:
    first = [await town.submit(accepted(f"shop-{number}", NIGHTLY, lasts=LONG), HERE[0]) for number in range(2)]
    runs = first + [await town.submit(accepted(f"shop-{number}", NIGHTLY), HERE[0]) for number in range(2, 6)]
    await town.until(RunWaiting, count=4)

    for run in first:
        await town.abort(run, HERE[0])
    await town.until(RunFinished, count=len(runs))

    assert [town.reasons(run) for run in runs] == [[], [], *[["2 runs at a time in group nightly"]] * 4]
    assert [line.run for line in town.of(RunStarted)] == runs


@pytest.mark.usefixtures("both")
async def test_each_of_a_queue_says_once_behind_whom_it_stands(town: Town) -> None:
    runs = [await town.submit(accepted("shop"), HERE[0]) for _ in range(5)]

    await town.until(RunFinished, count=len(runs))

    assert [town.reasons(run) for run in runs[1:]] == [[f"one run at a time on shop: behind {before}"] for before, _ in pairwise(runs)]


@pytest.mark.usefixtures("both")
async def test_nothing_starts_while_runs_are_held_and_each_says_by_whom(town: Town) -> None:
    owner = await town.submit(accepted("shop", lasts=LONG), HERE[0])
    await town.until(RunStarted, owner)
    behind = await town.submit(accepted("shop"), THERE[0])
    await town.until(RunWaiting, behind)

    await town.hold()
    await town.until(RunWaiting, behind, count=2)
    await town.until(RunPausing, owner)
    free = await town.submit(accepted("mall"), HERE[0])
    await town.until(RunWaiting, free)
    await town.abort(owner, HERE[0])
    await town.until(RunFinished, owner)
    await town.until_free("shop")
    started_while_held = {line.run for line in town.of(RunStarted)}
    await town.release()
    await town.until(RunFinished, count=3)

    assert started_while_held == {owner}
    assert town.reasons(free) == ["held by anna: deploy is on"]
    assert town.reasons(behind) == [f"one run at a time on shop: behind {owner}", "held by anna: deploy is on"]
    assert len({line.id for line in town.of(RunWaiting, behind)}) == 2


async def test_a_scheduler_that_starts_knows_of_a_hold_before_it_starts_a_run(town: Town, server: Server) -> None:
    await town.hold(note="")
    run = await town.submit(accepted("shop"), HERE[0])

    async with scheduler(server, range(PARTITIONS), Late):
        while not town.of(RunWaiting, run) and not town.of(RunStarted, run):
            await asyncio.sleep(0.01)

    assert town.reasons(run) == ["held by anna"]


@pytest.mark.parametrize("concurrency", ['"exclusive"', '"shared"'])
async def test_runs_of_one_key_start_in_order_on_whatever_systems(town: Town, server: Server, concurrency: str) -> None:
    async with scheduler(server, range(PARTITIONS)):
        owner = await town.submit(of_key("other", accepted("shop", lasts=LONG)), HERE[0])
        await town.until(RunStarted, owner)
        first = await town.submit(of_key("mine", accepted("shop")), HERE[1])
        await town.until(RunWaiting, first)
        second, third = [await town.submit(of_key("mine", accepted("mall", concurrency)), HERE[1]) for _ in range(2)]
        await town.until(RunWaiting, third)
        free = await town.submit(of_key("free", accepted("plaza")), HERE[0])
        await town.until(RunFinished, free)
        started_while_waiting = {line.run for line in town.of(RunStarted)}

        await town.abort(owner, HERE[0])
        await town.until(RunFinished, third)

    assert started_while_waiting == {owner, free}
    assert [line.run for line in town.of(RunStarted) if line.run in {first, second, third}] == [first, second, third]
    assert town.reasons(second)[0] == f"runs of key mine start in order: behind {first}"


async def test_a_run_that_ends_before_it_starts_keeps_the_next_of_its_key_no_longer(town: Town, server: Server) -> None:
    async with scheduler(server, range(PARTITIONS)):
        owner = await town.submit(of_key("other", accepted("shop", lasts=LONG)), HERE[0])
        await town.until(RunStarted, owner)
        first = await town.submit(of_key("mine", accepted("shop")), HERE[1])
        second = await town.submit(of_key("mine", accepted("mall")), HERE[1])
        await town.until(RunWaiting, second)

        await town.abort(first, HERE[1])
        await town.until(RunFinished, second)

    assert town.of(RunStarted, first) == []
    assert town.of(RunFinished, owner) == []


async def test_a_scheduler_that_takes_over_keeps_the_order_of_a_key(town: Town, server: Server) -> None:
    runs = [await town.submit(of_key("mine", accepted(f"shop-{number}")), HERE[0]) for number in range(8)]

    async with scheduler(server, range(PARTITIONS)):
        await town.until(RunFinished, count=len(runs))

    assert [line.run for line in town.of(RunStarted)] == runs


async def test_a_hold_that_the_watch_has_not_told_of_yet_lets_no_run_start(town: Town, server: Server) -> None:
    async with scheduler(server, range(PARTITIONS), Late):
        await town.hold()
        run = await town.submit(accepted("shop"), HERE[0])
        while not town.of(RunWaiting, run) and not town.of(RunStarted, run):
            await asyncio.sleep(0.01)

    assert town.reasons(run) == ["held by anna: deploy is on"]


async def test_a_hold_that_the_watch_has_not_told_of_yet_lets_no_fault_happen(town: Town, server: Server) -> None:
    async with scheduler(server, range(PARTITIONS), Late):
        run = await town.submit(disturbing(accepted("shop"), after="500ms"), HERE[0])
        await town.until(RunStarted, run)
        await town.hold()
        while not town.of(RunPausing, run) and not town.of(ActionRequested, run):
            await asyncio.sleep(0.01)

    assert town.of(ActionRequested, run) == []


async def test_a_hold_that_ends_while_a_scheduler_starts_keeps_no_run(town: Town, server: Server) -> None:
    await town.hold()
    run = await town.submit(accepted("shop"), HERE[0])

    async with scheduler(server, range(PARTITIONS)):
        await town.release()
        await town.until(RunFinished, run)

    assert await town.keys.get(HOLD) is None


@pytest.mark.usefixtures("both")
async def test_what_waits_goes_on_waiting_elsewhere_and_comes_back_when_its_partition_does(town: Town) -> None:
    here, there = town.shares
    owner = await town.submit(accepted("shop", lasts=LONG), HERE[0])
    await town.until(RunStarted, owner)
    waiting = await town.submit(accepted("shop"), HERE[0])
    await town.until(RunWaiting, waiting)

    for giver, taker in ((here, there), (there, here)):
        await giver.give(HERE)
        held = await town.keys.get("shop")
        assert held is not None
        assert held.value.decode() == owner
        taker.own({*taker.owned, *HERE})
        giver.own(giver.owned)
        while not taker.serving >= set(HERE):
            await taker.changed.wait()
    await town.abort(owner, HERE[0])
    await town.until(RunFinished, waiting)

    assert [line.run for line in town.of(RunStarted)] == [owner, waiting]
    assert town.reasons(waiting) == [f"one run at a time on shop: behind {owner}"]
    await town.until_free("shop")


@pytest.mark.usefixtures("both")
async def test_a_run_that_lost_its_system_takes_it_again_when_it_is_free(town: Town) -> None:
    run = await town.submit(accepted("shop", NIGHTLY, lasts=LONG), HERE[0])
    await town.until(RunStarted, run)

    for place in ("shop", place_of_group("nightly")):
        entry = await town.keys.get(place)
        assert entry is not None
        await town.keys.delete(place, entry.revision)

    async for key, value in town.keys.watch(place_of_group("nightly")):
        if value is not None and await town.keys.get("shop") is not None:
            assert (key, value.decode()) == (place_of_group("nightly"), f"shared {run}")
            break


@pytest.mark.usefixtures("both")
async def test_a_run_whose_system_another_one_has_is_aborted(town: Town) -> None:
    run = await town.submit(accepted("shop", lasts=LONG), HERE[0])
    await town.until(RunStarted, run)
    entry = await town.keys.get("shop")
    assert entry is not None
    await town.keys.delete("shop", entry.revision)

    other = await town.submit(accepted("shop", lasts=LONG), THERE[0])
    (aborting,) = await town.until(RunAborting, run)

    assert isinstance(aborting.event, RunAborting)
    assert aborting.event.message == f"it lost shop, which run {other} has now"
    assert (await town.until(RunFinished, run))[0].at - aborting.at < timedelta(seconds=5)
    assert not town.of(RunAborting, other)


@pytest.mark.parametrize("group", [None, NIGHTLY])
async def test_two_hosts_of_one_namespace_keep_to_what_runs_need(server: Server, connection: Connection, group: str | None) -> None:
    names = [f"shop-{number}" if group else "shop" for number in range(8)]
    plan = Plan(actors=("scheduler",), systems={name: accepted(name).system for name in names})
    async with (
        host(read_settings(namespace="ns", partitions="0-7"), server.url, plan) as here,
        host(read_settings(namespace="ns", partitions="8-15"), server.url, plan) as there,
    ):
        town = Town(connection)
        await town.journal.last_sequence()
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(town.journal.follow(0, town.deliver).run())
            for running in (here, there):
                await running.ready()
            for number, name in enumerate(names):
                document = accepted(name, group or '"exclusive"').scenario.model_dump_json(by_alias=True)
                reply = await here.control.submit(SubmitRequest(document=document, key=f"key-{number}"))
                assert reply.run_id, reply.findings
            finished = await town.until(RunFinished, count=len(names))
            reading.cancel()

    assert town.most_at_once(line.run for line in finished) == (2 if group else 1)
    assert {line.partition in HERE for line in finished} == {True, False}


@pytest.mark.parametrize(
    ("concurrency", "says"),
    [
        ("{group: nightly, limit: 0}", "f.yaml:5:40: 0 is too small; at least 1"),
        ("{group: nightly, limit: 1001}", "f.yaml:5:40: 1001 is too large; at most 1000"),
        ("{group: a.b, limit: 2}", "f.yaml:5:24: 'a.b' cannot stand here; a name of letters, digits, - and _, at most 64"),
        ("{group: nightly}", "f.yaml:5:16: 'limit' is missing; add limit: …"),
        ("alone", "f.yaml:5:16: 'alone' is not known here; known: exclusive, shared"),
    ],
)
def test_a_mistake_in_a_scenarios_concurrency_is_told_where_it_stands(concurrency: str, says: str) -> None:
    head = f"kind: Scenario\nmetadata: {{name: x}}\nspec:\n  system: shop\n  concurrency: {concurrency}"
    text = f"{head}\n  phases: [{{name: only, duration: 1s}}]\n"

    (found,) = check_text(text, file="f.yaml", systems={"shop": accepted("shop").system})

    assert str(found) == says
