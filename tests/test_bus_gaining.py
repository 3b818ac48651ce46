"""What a host reads of the partitions that it gains."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from bus.actor import Run
from bus.clock import ServerClock
from bus.connection import Connection
from bus.errors import NoAnswer
from bus.feeding import Reading
from bus.handling import NoMetrics
from bus.journal import Journal
from bus.runtime import ActorRuntime
from bus.share import Place, Share
from bus.subjects import PARTITIONS, Subjects, partition_of
from bus.topology import Names, ensure_topology
from messages.events import RunEvent
from messages.fault_events import ActionDone
from messages.ids import new_run_id
from messages.run_events import AbortRequested, SubmitRequested
from tests.test_bus_handover import host
from tests.test_bus_runtime import Bench, Injector, Seen, accepted

NAMESPACE = "test-coordinator"
EVERYTHING = range(PARTITIONS)


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


async def submit(bench: Bench) -> str:
    """A run that is not accepted yet."""
    bench.run = new_run_id(bench.journal.clock.now())
    await bench.journal.write(partition_of("k"), bench.run, "control", SubmitRequested(principal="me"), None, None)
    return bench.run


async def accept(bench: Bench) -> None:
    await bench.journal.write(partition_of("k"), bench.run, "scheduler", accepted(), None, None)


class Counting(Injector):
    """Says how many lines of each run it knew when it was asked."""

    def __init__(self) -> None:
        super().__init__(self.count)
        self.known: dict[str, list[str]] = {}

    def count(self, event: AbortRequested, run: Run[Seen]) -> Iterator[RunEvent]:
        if not run.view.count(ActionDone):
            self.known[run.id] = [known.type_name() for known in run.view.events if not known.type_name().startswith("owner.")]
            yield ActionDone(action_id="a")


WHOLE = ["run.submit.requested", "run.accepted", "run.abort.requested"]


async def test_a_run_that_was_submitted_before_its_host_came_and_accepted_after_is_known_whole(journal: Bench) -> None:
    run, actor = await submit(journal), Counting()

    async with host(journal, "two", actor):
        await accept(journal)
        await journal.ask()
        await journal.until(ActionDone)

    assert actor.known == {run: WHOLE}


@pytest.mark.parametrize("by_another", [True, False])
async def test_a_request_that_was_heard_before_its_partition_was_lost_and_gained_again_counts_once(
    journal: Bench, *, by_another: bool
) -> None:
    actor = Counting()
    async with host(journal, "one", actor) as runtime:
        run = await submit(journal)
        while run not in runtime._asked:
            await asyncio.sleep(0.005)

        runtime.share.lose({partition_of("k")})
        while partition_of("k") in runtime.serving:
            await asyncio.sleep(0.005)
        if by_another:
            await accept(journal)
        runtime.share.own(EVERYTHING)
        while partition_of("k") not in runtime.serving:
            await asyncio.sleep(0.005)
        if not by_another:
            await accept(journal)
        await journal.ask()
        await journal.until(ActionDone)

    assert actor.known == {run: WHOLE}


async def test_a_request_counts_once_for_an_actor_beside_which_another_gains_its_partition(journal: Bench) -> None:
    class Other(Counting):
        name = "observer"

    actors, shares = (Counting(), Other()), [Share(lambda _: True, EVERYTHING), Share(lambda _: True, ())]
    runtimes = [
        ActorRuntime(actor, journal.journal, NoMetrics(), Place(share, "one", "one")) for actor, share in zip(actors, shares, strict=True)
    ]
    for share in shares:
        share.settled.set()
    async with runtimes[0].working(), runtimes[1].working(), asyncio.TaskGroup() as tasks:
        reading = Reading(journal.journal, runtimes)
        task = tasks.create_task(reading.run())
        await reading.caught_up.wait()
        run = await submit(journal)
        while run not in runtimes[0]._asked:
            await asyncio.sleep(0.005)
        shares[1].own(EVERYTHING)
        while not runtimes[1].serving:
            await asyncio.sleep(0.005)
        await accept(journal)
        await journal.ask()
        await journal.until(ActionDone, 2)
        task.cancel()

    assert [actor.known for actor in actors] == [{run: WHOLE}] * 2


@pytest.mark.parametrize("question", ["last_sequence", "runs_with"])
@pytest.mark.parametrize("error", [TimeoutError(), NoAnswer("ask")])
async def test_what_is_gained_while_nobody_answers_is_taken_up_later_and_what_is_in_hand_goes_on(
    journal: Bench, monkeypatch: pytest.MonkeyPatch, question: str, error: Exception
) -> None:
    actor, ask, asked = Counting(), getattr(journal.journal, question), 0

    async def fail(*rest: str) -> object:
        nonlocal asked
        asked += 1
        if asked in {1, 3}:
            raise error
        return await ask(*rest)

    mine = partition_of("k")
    async with host(journal, "one", actor, range(0)) as runtime:
        found = await journal.submit()
        await journal.ask()
        runtime.share.own(set(EVERYTHING) - {mine})
        while not runtime.serving:
            await asyncio.sleep(0.005)

        monkeypatch.setattr(journal.journal, question, fail)
        runtime.share.own(EVERYTHING)
        async with asyncio.timeout(8):
            await journal.until(ActionDone)

    assert asked > 1
    assert actor.known == {found: WHOLE}
