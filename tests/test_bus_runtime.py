import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from bus.actor import Actor, Decision, Run, Subscription, TimerDue, on, whenever
from bus.clock import ServerClock
from bus.connection import Connection
from bus.errors import LostRace
from bus.feeding import Reading
from bus.handling import NoMetrics
from bus.journal import Guard, Journal, Line
from bus.runtime import ActorRuntime
from bus.subjects import Subjects, partition_of
from bus.topology import Names, ensure_topology
from messages.events import Recorded, RunEvent
from messages.fault_events import ActionDone, ActionFailed, HandlerFailed, OwnerChanged
from messages.ids import new_run_id
from messages.judgements import ReportPublished
from messages.run_events import AbortRequested, RunAborting, RunAccepted, RunFinished, SubmitRequested
from messages.verdicts import Reason, Verdict

NAMESPACE = "test-coordinator"


class Seen:
    """A view that only remembers."""

    def __init__(self) -> None:
        self.events: list[RunEvent] = []

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        self.events.append(recorded.event)

    def count(self, type_: type[RunEvent]) -> int:
        return sum(isinstance(event, type_) for event in self.events)


class Injector(Actor[Seen]):
    """Answers an abort request with whatever the test wants."""

    name = "chaos-injector"
    emits = (ActionDone, ActionFailed)

    def __init__(self, handler: Callable[[AbortRequested, Run[Seen]], object]) -> None:
        self._handler = handler

    def fold(self, run: str) -> Seen:
        return Seen()

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (on(AbortRequested, self._handler),)  # type: ignore[arg-type]


class Bench:
    """A journal, and what was written to it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.lines: list[Line] = []
        self.run = ""
        self._news = asyncio.Event()

    def deliver(self, line: Line) -> None:
        self.lines.append(line)
        self._news.set()

    async def until(self, type_: type[RunEvent], count: int = 1) -> list[Line]:
        while len(found := [line for line in self.lines if isinstance(line.event, type_)]) < count:
            self._news.clear()
            await self._news.wait()
        return found

    async def submit(self) -> str:
        self.run = new_run_id(self.journal.clock.now())
        await self.journal.write(partition_of("k"), self.run, "control", SubmitRequested(principal="me"), None, None)
        await self.journal.write(partition_of("k"), self.run, "scheduler", accepted(), None, None)
        return self.run

    async def ask(self) -> None:
        await self.journal.write(partition_of("k"), self.run, "control", AbortRequested(principal="me"), None, None)


@pytest.fixture
async def bench(connection: Connection) -> AsyncIterator[Bench]:
    await ensure_topology(connection.js, NAMESPACE)
    journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
    await journal.last_sequence()
    bench = Bench(journal)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(journal.follow(0, bench.deliver).run())
        yield bench
        task.cancel()


@asynccontextmanager
async def working(bench: Bench, *actors: Actor[Seen]) -> AsyncIterator[list[ActorRuntime]]:
    runtimes = [ActorRuntime(actor, bench.journal, NoMetrics()) for actor in actors]
    reading = Reading(bench.journal, runtimes)
    async with AsyncExitStack() as stack:
        for runtime in runtimes:
            await stack.enter_async_context(runtime.working())
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(reading.run())
            await reading.caught_up.wait()
            yield runtimes
            task.cancel()


async def test_what_a_handler_returns_is_stored_in_its_actors_name(bench: Bench) -> None:
    def answer(event: AbortRequested, run: Run[Seen]) -> Iterator[RunEvent]:
        yield ActionDone(action_id="a", message=event.principal)
        yield ActionDone(action_id="b")

    async with working(bench, Injector(answer)):
        await bench.submit()
        await bench.ask()
        first, second = await bench.until(ActionDone, 2)

    assert (first.actor, first.entity, second.entity) == ("chaos-injector", "a", "b")
    assert first.id == f"{bench.run}.chaos-injector.a.action.done.0"


async def test_what_follows_a_yield_runs_only_when_its_event_is_stored(bench: Bench) -> None:
    seen: list[int] = []

    async def answer(event: AbortRequested, run: Run[Seen]) -> AsyncIterator[Decision]:
        yield ActionDone(action_id="a")
        seen.append(run.view.count(ActionDone))
        yield ActionDone(action_id="b")
        seen.append(run.view.count(ActionDone))

    async with working(bench, Injector(answer)):
        await bench.submit()
        await bench.ask()
        await bench.until(ActionDone, 2)
        while len(seen) < 2:
            await asyncio.sleep(0.005)

    assert seen == [1, 2]


async def test_of_two_owners_one_writes_and_the_other_stops_at_its_yield(bench: Bench) -> None:
    touched: list[str] = []

    def owner(name: str) -> Callable[[AbortRequested, Run[Seen]], AsyncIterator[Decision]]:
        async def answer(event: AbortRequested, run: Run[Seen]) -> AsyncIterator[Decision]:
            if run.view.count(ActionDone) or run.view.count(ActionFailed):
                return
            if name == "one":
                yield ActionDone(action_id="a")
            else:
                yield ActionFailed(action_id="a", reason=Reason.NO_TARGET, message=name)
            touched.append(name)

        return answer

    async with working(bench, Injector(owner("one"))), working(bench, Injector(owner("two"))):
        for _ in range(20):
            await bench.submit()
            await bench.ask()
        while len(touched) < 20:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)

    outcomes = [line for line in bench.lines if isinstance(line.event, ActionDone | ActionFailed)]
    assert len(touched) == len(outcomes) == 20


async def test_two_lanes_of_one_actor_that_write_on_the_same_entity_do_not_lose_to_each_other(bench: Bench) -> None:
    class TwoLanes(Injector):
        def subscriptions(self) -> tuple[Subscription, ...]:
            return (on(AbortRequested, self.first, lane="entity"), on(RunAccepted, self.second, lane="entity"))

        async def first(self, event: AbortRequested, run: Run[Seen]) -> AsyncIterator[Decision]:
            yield ActionDone(action_id="a")

        async def second(self, event: RunAccepted, run: Run[Seen]) -> AsyncIterator[Decision]:
            while not run.view.count(AbortRequested):
                await asyncio.sleep(0)
            yield ActionFailed(action_id="a", reason=Reason.NO_TARGET, message="")

    async with working(bench, TwoLanes(lambda e, r: None)):
        for _ in range(10):
            await bench.submit()
            await bench.ask()
        await bench.until(ActionDone, 10)
        await bench.until(ActionFailed, 10)


async def test_a_restarted_host_hands_the_events_of_open_runs_to_the_handlers_again(bench: Bench) -> None:
    await bench.submit()
    await bench.ask()
    views: list[int] = []

    def answer(event: AbortRequested, run: Run[Seen]) -> Iterator[RunEvent]:
        views.append(len(run.view.events))
        yield ActionDone(action_id="a")

    async with working(bench, Injector(answer)):
        await bench.until(ActionDone)
    async with working(bench, Injector(answer)):
        while len(views) < 2:
            await asyncio.sleep(0.005)

    first, second = await bench.until(OwnerChanged, 2)
    assert views[0] == 4
    assert first.sequence < (await bench.until(ActionDone))[0].sequence < second.sequence
    assert len(await bench.until(ActionDone)) == 1


async def test_a_handler_that_keeps_failing_ends_as_a_dead_letter_and_is_tried_again_with_its_event(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.handling.FIRST_PAUSE", 0.001)
    calls: list[int] = []

    def answer(event: AbortRequested, run: Run[Seen]) -> Iterator[RunEvent]:
        calls.append(run.view.count(HandlerFailed))
        if len(calls) < 12:
            msg = "boom"
            raise ValueError(msg)
        yield ActionDone(action_id="a", message=event.principal)

    async with working(bench, Injector(answer)):
        await bench.submit()
        await bench.ask()
        (done,) = await bench.until(ActionDone)

    letters = [line.event for line in bench.lines if isinstance(line.event, HandlerFailed)]
    assert calls == [0] * 5 + [1] * 5 + [2] * 2
    assert [letter.error for letter in letters] == ["ValueError: boom"] * 2
    assert isinstance(done.event, ActionDone)
    assert done.event.message == "me"


async def test_a_level_triggered_handler_that_always_fails_is_tried_again_with_growing_pauses(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.handling.FIRST_PAUSE", 0.02)

    class Broken(Injector):
        def subscriptions(self) -> tuple[Subscription, ...]:
            return (whenever(self.look),)

        def look(self, event: RunEvent | None, run: Run[Seen]) -> Iterator[RunEvent]:
            raise ZeroDivisionError

    async with working(bench, Broken(lambda e, r: None)):
        await bench.submit()
        letters = await bench.until(HandlerFailed, 6)

    at = [line.at for line in letters[:6]]
    assert at[5] - at[4] > at[1] - at[0]  # each pause is twice the one before, so this one outweighs a busy machine


async def test_a_handler_that_outlives_its_run_goes_on_when_the_run_is_dropped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.runtime._REPORTED", 0.05)
    monkeypatch.setattr("bus.runtime._LONGEST_WAIT", 0.1)
    ended = asyncio.Event()

    async def answer(event: AbortRequested, run: Run[Seen]) -> AsyncIterator[Decision]:
        while not getattr(run, "closed", False):
            await asyncio.sleep(0.01)
        yield ActionDone(action_id="late")
        ended.set()

    async with working(bench, Injector(answer)):
        await bench.submit()
        await bench.ask()
        await bench.journal.write(partition_of("k"), bench.run, "reporter", ReportPublished(artefacts=()), None, None)
        await ended.wait()

    assert len(await bench.until(ActionDone)) == 1


async def test_a_timer_fires_for_the_actor_that_armed_it_and_for_no_other(bench: Bench) -> None:
    fired: list[TimerDue] = []

    class Timed(Injector):
        def subscriptions(self) -> tuple[Subscription, ...]:
            return (on(AbortRequested, self.arm), on(TimerDue, self.due))

        async def arm(self, event: AbortRequested, run: Run[Seen]) -> AsyncIterator[Decision]:
            assert await run.arm_timer("lease", run.now() + timedelta(milliseconds=50), b"body") is not None
            assert await run.arm_timer("lease", run.now() + timedelta(seconds=50), b"other") is None
            yield ActionDone(action_id="armed")

        def due(self, event: TimerDue, run: Run[Seen]) -> Iterator[RunEvent]:
            fired.append(event)
            yield ActionDone(action_id="due")

    class Other(Timed):
        name = "observer"

        def subscriptions(self) -> tuple[Subscription, ...]:
            return (on(TimerDue, self.due),)

    async with working(bench, Timed(lambda e, r: None), Other(lambda e, r: None)):
        await bench.submit()
        await bench.ask()
        await bench.until(ActionDone, 2)

    assert [(timer.name, timer.body) for timer in fired] == [("lease", b"body")]


async def test_a_wake_calls_the_whenever_handler_at_its_time_and_news_are_coalesced(bench: Bench) -> None:
    calls: list[RunEvent | None] = []

    class Waking(Injector):
        def subscriptions(self) -> tuple[Subscription, ...]:
            return (whenever(self.look),)

        def look(self, event: RunEvent | None, run: Run[Seen]) -> Iterator[RunEvent]:
            calls.append(event)
            if event is not None:
                run.wake_at(run.now() + timedelta(milliseconds=20))
            else:
                yield ActionDone(action_id="woken")

    async with working(bench, Waking(lambda e, r: None)):
        await bench.submit()
        await bench.until(ActionDone)

    assert calls[0] is not None
    assert None in calls


async def test_a_handler_that_looks_again_after_its_yield_is_not_called_for_what_it_stored_itself(bench: Bench) -> None:
    calls: list[str] = []

    class Looking(Injector):
        def subscriptions(self) -> tuple[Subscription, ...]:
            return (whenever(self.look, own=False),)

        async def look(self, event: RunEvent | None, run: Run[Seen]) -> AsyncIterator[Decision]:
            calls.append(event.type_name() if event is not None else "wake")
            while run.view.count(AbortRequested) and run.view.count(ActionDone) < 3:
                yield ActionDone(action_id=f"a{run.view.count(ActionDone)}")

    async with working(bench, Looking(lambda e, r: None)):
        await bench.submit()
        await bench.ask()
        await bench.until(ActionDone, 3)
        await bench.journal.write(partition_of("k"), bench.run, "chaos-injector", ActionDone(action_id="of-another"), None, None)
        async with asyncio.timeout(8):
            while "action.done" not in calls:
                await asyncio.sleep(0.005)

    assert calls.count("action.done") == 1


async def test_news_that_are_read_in_one_go_call_a_handler_once(bench: Bench) -> None:
    calls: list[int] = []

    class Counting(Injector):
        def subscriptions(self) -> tuple[Subscription, ...]:
            return (whenever(self.look),)

        async def look(self, _event: RunEvent | None, run: Run[Seen]) -> AsyncIterator[Decision]:
            calls.append(run.view.count(AbortRequested))
            if run.view.count(AbortRequested) == 50 and not run.view.count(ActionDone):
                yield ActionDone(action_id="all")

    async with working(bench, Counting(lambda e, r: None)) as (runtime,):
        await bench.submit()
        line = (await bench.until(SubmitRequested))[0]
        while not calls:  # the runtime has read it too
            await asyncio.sleep(0.01)
        event = AbortRequested(principal="me")
        for number in range(1, 51):
            runtime.deliver(replace(line, event=event, sequence=line.sequence + 1000 + number, id=str(number)))
        await bench.until(ActionDone)

    assert calls.count(50) <= 2
    assert len(calls) <= 4


class Finisher(Actor[Seen]):
    """Ends a run when asked to; what others write is no news to it."""

    name = "scheduler"
    emits = (RunFinished,)

    def fold(self, run: str) -> Seen:
        return Seen()

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (whenever(self.finish, of=("control",)),)

    def finish(self, _event: RunEvent | None, run: Run[Seen]) -> Iterator[RunEvent]:
        if run.view.count(AbortRequested) and not run.view.count(RunFinished):
            yield RunFinished(verdict=Verdict.PASSED, reason=None, message="", cause=None, hint=None, position=0)


async def test_a_decision_that_lost_its_race_is_made_again_without_further_news(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    write, lost = bench.journal.write, 0

    async def late(partition: int, run: str, actor: str, event: RunEvent, guard: Guard | None, trace: str | None) -> int:
        nonlocal lost
        if isinstance(event, RunFinished) and not lost:
            # The guard is already chosen when somebody else writes on the run.
            lost += 1
            failed = HandlerFailed(handler="x", cause="x", sequence=1, error="x")
            await write(partition, run, "observer", failed, None, None)
        return await write(partition, run, actor, event, guard, trace)

    monkeypatch.setattr(bench.journal, "write", late)
    async with working(bench, Finisher()):
        await bench.submit()
        await bench.ask()
        async with asyncio.timeout(8):
            finished = await bench.until(RunFinished)

    assert (lost, len(finished)) == (1, 1)


async def test_who_was_first_is_asked_of_the_leader_and_not_of_a_replica_that_may_lag(bench: Bench, connection: Connection) -> None:
    info = await connection.js.stream_info(bench.journal.stream)
    await connection.js.update_stream(replace(info.config, allow_direct=False))
    run = new_run_id(bench.journal.clock.now())
    guard = Guard(bench.journal.subjects.of_actor(partition_of("k"), run, "scheduler"), 0)
    sequence = await bench.journal.write(partition_of("k"), run, "scheduler", accepted(), guard, None)

    aborting = RunAborting(reason=Reason.CANCELLED, by="me", message="")
    with pytest.raises(LostRace) as lost:
        await bench.journal.write(partition_of("k"), run, "scheduler", aborting, guard, None)

    assert lost.value.sequence == sequence


async def test_a_line_that_this_version_cannot_read_keeps_nobody_from_writing(bench: Bench, connection: Connection) -> None:
    def answer(event: AbortRequested, run: Run[Seen]) -> Iterator[RunEvent]:
        yield ActionDone(action_id=f"after-{len(run.view.events)}")

    subject = bench.journal.subjects.event(partition_of("k"), "{}", "chaos-injector", ActionDone(action_id="unread"))
    async with working(bench, Injector(answer)) as (runtime,):
        run = await bench.submit()
        for end, body in ((".levitated", b"{}"), ("", b"no json")):
            stored = await connection.js.publish(subject.format(run) + end, body)
        while runtime._runs[run].position < stored.seq:
            await asyncio.sleep(0.005)
        await bench.ask()
        async with asyncio.timeout(8):
            await bench.until(ActionDone)
    await connection.js.publish(f"{subject.format(run)}.levitated", b"{}")
    async with working(bench, Injector(answer)):
        async with asyncio.timeout(8):
            await bench.until(OwnerChanged)

    assert [line.entity for line in bench.lines if isinstance(line.event, ActionDone)] == ["after-3"]


async def test_a_guarded_write_that_lost_its_race_stores_nothing(bench: Bench) -> None:
    run = new_run_id(bench.journal.clock.now())
    guard = Guard(bench.journal.subjects.of_actor(partition_of("k"), run, "scheduler"), 0)
    aborting = RunAborting(reason=Reason.CANCELLED, by="me", message="")
    sequence = await bench.journal.write(partition_of("k"), run, "scheduler", accepted(), guard, None)

    with pytest.raises(LostRace):
        await bench.journal.write(partition_of("k"), run, "scheduler", aborting, guard, None)
    again = await bench.journal.write(partition_of("k"), run, "scheduler", accepted(), guard, None)

    assert again == sequence


def accepted() -> RunAccepted:
    return RunAccepted.model_validate_json("""{"key": "k", "submitted": "2026-01-01T00:00:00Z",
        "scenario": {"metadata": {"name": "s"}, "spec": {"system": "y", "phases": [{"name": "p"}]}},
        "system": {"metadata": {"name": "y"}, "spec": {"services": {"a": {"driver": {"external": {}}}}}}}""")
