"""What a runtime does when partitions come and go."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from bus.actor import Decision, Run
from bus.clock import ServerClock
from bus.connection import Connection
from bus.errors import LostRace
from bus.feeding import Reading
from bus.handling import NoMetrics
from bus.journal import Journal
from bus.runtime import ActorRuntime
from bus.share import Place, Share
from bus.subjects import PARTITIONS, Subjects, partition_of
from bus.topology import Names, ensure_topology
from messages.events import RunEvent
from messages.fault_events import ActionDone, HandlerFailed, OwnerChanged
from messages.run_events import AbortRequested
from tests.test_bus_runtime import Bench, Injector, Seen

NAMESPACE = "test-coordinator"
EVERYTHING = range(PARTITIONS)
Handler = Callable[[AbortRequested, Run[Seen]], object]


@pytest.fixture
async def journal(connection: Connection) -> AsyncIterator[Bench]:
    await ensure_topology(connection.js, NAMESPACE)
    written = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
    await written.last_sequence()
    bench = Bench(written)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(written.follow(0, bench.deliver).run())
        yield bench
        task.cancel()


class Closing(Injector):
    """Remembers which runs were dropped."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        self.dropped: list[str] = []

    def closed(self, run: str, _view: Seen) -> None:
        self.dropped.append(run)


@asynccontextmanager
async def host(bench: Bench, name: str, actor: Injector, owned: range = EVERYTHING) -> AsyncIterator[ActorRuntime]:
    share = Share(lambda _: True, owned)
    share.settled.set()
    runtime = ActorRuntime(actor, bench.journal, NoMetrics(), Place(share, name, name))
    reading = Reading(bench.journal, [runtime])
    async with runtime.working(), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reading.run())
        await reading.caught_up.wait()
        yield runtime
        task.cancel()


async def test_who_loses_a_partition_ends_the_handlers_of_its_runs_and_forgets_them(journal: Bench) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(event: AbortRequested, run: Run[Seen]) -> AsyncIterator[Decision]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        yield ActionDone(action_id="never")

    actor = Closing(wait)
    async with host(journal, "one", actor) as runtime:
        run = await journal.submit()
        await journal.ask()
        await begun.wait()
        other = {partition for partition in EVERYTHING if partition != partition_of("k")}
        await runtime.share.give(other)
        kept = runtime.busy(), ended.is_set()

        async with asyncio.timeout(8):
            await runtime.share.give({partition_of("k")})

        assert kept == (1, False)
        assert (ended.is_set(), runtime.busy(), actor.dropped, runtime.share.serving) == (True, 0, [run], frozenset())


async def test_who_gains_a_partition_says_so_once_in_each_open_run_and_goes_on(journal: Bench) -> None:
    inherited: dict[str, bool] = {}

    def answer(event: AbortRequested, run: Run[Seen]) -> Iterator[RunEvent]:
        inherited[run.id] = run.inherited
        yield ActionDone(action_id="a")

    found = [await journal.submit() for _ in range(2)]
    await journal.ask()
    async with host(journal, "two", Injector(answer), range(0)) as runtime:
        runtime.share.own(EVERYTHING)
        first = await journal.until(OwnerChanged, 2)
        (done,) = await journal.until(ActionDone)
        new = await journal.submit()
        await journal.ask()
        await journal.until(ActionDone, 2)

    assert {line.run for line in first} == set(found)
    assert [line.event.host for line in first if isinstance(line.event, OwnerChanged)] == ["two", "two"]
    assert next(line.sequence for line in first if line.run == done.run) < done.sequence
    assert inherited == {found[1]: True, new: False}
    assert len(await journal.until(OwnerChanged, 2)) == 2


async def test_what_is_lost_and_gained_again_in_one_go_is_taken_up_anew(journal: Bench) -> None:
    begun: list[bool] = []
    runs: list[Run[Seen]] = []

    async def wait(event: AbortRequested, run: Run[Seen]) -> AsyncIterator[Decision]:
        begun.append(run.inherited)
        runs.append(run)
        if not run.inherited:
            await asyncio.Event().wait()
        yield ActionDone(action_id="a")

    async with host(journal, "one", Injector(wait)) as runtime:
        await journal.submit()
        await journal.ask()
        while not begun:
            await asyncio.sleep(0.005)

        runtime.share.lose(EVERYTHING)
        runtime.share.own(EVERYTHING)
        await journal.until(ActionDone)
        lost = [run.lost for run in runs]

    assert begun == [False, True]
    assert lost == [True, False]


@pytest.mark.parametrize("reads", [True, False])
async def test_who_was_replaced_and_does_not_know_can_store_nothing(
    journal: Bench, monkeypatch: pytest.MonkeyPatch, *, reads: bool
) -> None:
    begun, go, lost = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def zombie(event: AbortRequested, run: Run[Seen]) -> AsyncIterator[Decision]:
        begun.set()
        await go.wait()
        try:
            yield ActionDone(action_id="zombie")
        except LostRace:
            lost.set()
            raise

    def nothing(event: AbortRequested, run: Run[Seen]) -> Iterator[RunEvent]:
        return iter(())

    async with host(journal, "one", Injector(zombie)) as old:
        await journal.submit()
        await journal.ask()
        await begun.wait()
        if not reads:
            monkeypatch.setattr(old, "deliver", lambda _: None)
        async with host(journal, "two", Injector(nothing)):
            (taken,) = await journal.until(OwnerChanged)
            while reads and old._runs[journal.run].position < taken.sequence:
                await asyncio.sleep(0.005)
            go.set()
            if not reads:
                await expect_fence(journal)
                return
            async with asyncio.timeout(8):
                await lost.wait()

    assert not [line for line in journal.lines if isinstance(line.event, ActionDone)]


async def expect_fence(journal: Bench) -> None:
    """It waits for what it cannot read, and nothing of it is stored."""
    last = await journal.journal.last_sequence()
    assert not [line for line in journal.lines if isinstance(line.event, ActionDone)]
    assert last == journal.lines[-1].sequence


async def test_a_handler_that_fails_for_the_last_time_when_the_run_is_anothers_stops_nobody(
    journal: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.handling.FIRST_PAUSE", 0.001)
    attempts: list[str] = []

    async def fail(event: AbortRequested, run: Run[Seen]) -> AsyncIterator[Decision]:
        if run.id == journal.run:
            yield ActionDone(action_id="other")
            return
        attempts.append(run.id)
        if len(attempts) == 5:  # another host says so before this one knows from elsewhere
            taken = OwnerChanged(host="another", instance="another", sequence=0)
            written = await journal.journal.write(run.partition, run.id, "chaos-injector", taken, None, None)
            while runtime._runs[run.id].position < written:
                await asyncio.sleep(0.005)
        raise ZeroDivisionError

    async with host(journal, "one", Injector(fail)) as runtime:
        lost = await journal.submit()
        journal.run, asked = "", AbortRequested(principal="me")
        await journal.journal.write(partition_of("k"), lost, "control", asked, None, None)
        while len(attempts) < 5:
            await asyncio.sleep(0.005)
        await journal.submit()
        await journal.ask()
        async with asyncio.timeout(8):
            await journal.until(ActionDone)

    assert len(attempts) == 5
    assert not [line for line in journal.lines if isinstance(line.event, HandlerFailed)]


async def test_of_two_who_take_a_run_over_after_the_same_line_the_second_says_it_again(
    journal: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = journal.journal.write

    async def both(partition: int, run: str, actor: str, event: RunEvent, *rest: object) -> int:
        if isinstance(event, OwnerChanged) and not any(isinstance(line.event, OwnerChanged) for line in journal.lines):
            await write(partition, run, actor, event.model_copy(update={"host": "another"}), None, None)
            await journal.until(OwnerChanged)
        return await write(partition, run, actor, event, *rest)  # type: ignore[arg-type]

    def answer(event: AbortRequested, run: Run[Seen]) -> Iterator[RunEvent]:
        yield ActionDone(action_id="a")

    await journal.submit()
    await journal.ask()
    monkeypatch.setattr(journal.journal, "write", both)
    async with host(journal, "two", Injector(answer)):
        async with asyncio.timeout(8):
            await journal.until(ActionDone)

    owners = [line.event.host for line in journal.lines if isinstance(line.event, OwnerChanged)]
    assert owners == ["another", "two"]


async def test_the_events_of_one_decision_are_stored_in_order_and_the_rest_not_when_another_writes_between(
    journal: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, lost = journal.journal.write, asyncio.Event()

    async def interrupted(partition: int, run: str, actor: str, event: RunEvent, *rest: object) -> int:
        if isinstance(event, ActionDone) and event.action_id == "c":
            taken = OwnerChanged(host="another", instance="another", sequence=0)
            await write(partition, run, actor, taken, None, None)
        return await write(partition, run, actor, event, *rest)  # type: ignore[arg-type]

    async def decide(event: AbortRequested, run: Run[Seen]) -> AsyncIterator[Decision]:
        try:
            yield [ActionDone(action_id=name) for name in "abc"]
        except LostRace:
            lost.set()

    monkeypatch.setattr(journal.journal, "write", interrupted)
    async with host(journal, "one", Injector(decide)):
        await journal.submit()
        await journal.ask()
        async with asyncio.timeout(8):
            await lost.wait()

    assert [line.entity for line in journal.lines if isinstance(line.event, ActionDone)] == ["a", "b"]
