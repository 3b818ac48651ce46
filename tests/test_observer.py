"""The observer at work: a real nats-server, real sockets as services, and a scheduler played by the test."""

import asyncio
import gzip
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeVar

import pytest

from actors.observer import AuditTrail, Observer
from bus.cancelling import end
from bus.clock import ServerClock
from bus.connection import Connection
from bus.event_publishing import EventPublisher
from bus.event_streams import EventStreams
from bus.feeding import Reading
from bus.handling import NoMetrics
from bus.journal import Journal, Line
from bus.objects import ObjectStore
from bus.runtime import ActorRuntime
from bus.server import Server
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from messages.checks import Health, HttpCheck, TcpCheck
from messages.claims import ContinuityClaim, EventClaim
from messages.events import Recorded, RunEvent
from messages.observations import EventCounted, EventMatched, EvidenceStored, ObservedUntil, ProbeSummary, ServiceDown, ServiceUp, StreamGap
from messages.run_events import AssertionOpened, PhaseFinished, PhaseStarted, RunAccepted, RunFinished, RunStarted, ServicesReleaseRequested
from messages.scenario import Phase, Scenario, ScenarioSpec
from messages.system import Driver, ExternalDriver, Metadata, Service, System, SystemSpec
from messages.verdicts import Verdict
from runs.history import Observations
from targets.audit_correlator import AuditCorrelator
from targets.health import HealthProber

NAMESPACE, RUN, PARTITION = "test-coordinator", "01JD0000000000000000000000", 3
EVERY = timedelta(milliseconds=50)
MAX_GAP = timedelta(milliseconds=800)
E = TypeVar("E", bound=RunEvent)


class Port:
    """A tiny service: accepts connections while it is open, and may never answer."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked = 0
        self.silent = False
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        if not self.silent and await reader.readline():
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif self.silent:
            await reader.read()
        writer.close()

    @property
    def tcp(self) -> Health:
        return Health(tcp=TcpCheck(address=f"127.0.0.1:{self.port}"), every=EVERY, deadline=timedelta(milliseconds=300))

    @property
    def http(self) -> Health:
        return Health(http=HttpCheck(url=f"http://127.0.0.1:{self.port}/"), every=EVERY, deadline=timedelta(milliseconds=300))


class Stage:
    """A run, with the test as its scheduler and as its services."""

    def __init__(self, connection: Connection, journal: Journal) -> None:
        self.connection = connection
        self.journal = journal
        self.lines: list[Line] = []
        self._news = asyncio.Event()

    def deliver(self, line: Line) -> None:
        self.lines.append(line)
        self._news.set()

    async def write(self, event: RunEvent) -> datetime:
        """Store an event of the scheduler; when it was stored."""
        sequence = await self.journal.write(PARTITION, RUN, "scheduler", event, None, None)
        return (await self.until(RunEvent, lambda line: line.sequence == sequence)).at

    async def begin(self, *claims: EventClaim | ContinuityClaim, health: dict[str, Health] | None = None, whole: bool = False) -> datetime:
        external = Driver(external=ExternalDriver())
        services = {name: Service(driver=external, health=checks) for name, checks in (health or {}).items()}
        spec = SystemSpec(events=("trading.events.>",), services=services or {"engine": Service(driver=external)}, max_gap=MAX_GAP)
        phase = Phase(name="chaos", assertions=() if whole else claims)
        scenario = ScenarioSpec(system="trading", phases=(phase,), assertions=claims if whole else ())
        await self.write(
            RunAccepted(
                key="trading",
                scenario=Scenario(metadata=Metadata(name="s"), kind="Scenario", spec=scenario),
                system=System(metadata=Metadata(name="trading"), kind="System", spec=spec),
                submitted=self.journal.clock.now(),
            )
        )
        started = await self.write(RunStarted())
        await self.until(ObservedUntil, lambda line: line.event.events is not None)
        return started

    async def start(self, phase: str = "chaos", kind: str = "phase") -> datetime:
        return await self.write(PhaseStarted.model_validate({"phase": phase, "kind": kind}))

    async def finish(self, phase: str = "chaos", kind: str = "phase") -> datetime:
        return await self.write(PhaseFinished.model_validate({"phase": phase, "kind": kind}))

    async def say(self, name: str, type_: str = "order.filled", **data: object) -> None:
        body = {"specversion": "1.0", "id": name, "source": "engine", "type": type_, "data": data}
        await self.connection.js.publish("trading.events.engine.x", json.dumps(body).encode())

    def found(self, type_: type[E]) -> list[Recorded[E]]:
        return [line for line in self.lines if isinstance(line.event, type_)]  # type: ignore[misc]

    async def until(self, type_: type[E], fits: Callable[[Recorded[E]], bool] = lambda _: True) -> Recorded[E]:
        """The first line of this type that fits, once it is there."""
        while True:
            found = next((line for line in self.found(type_) if fits(line)), None)
            if found is not None:
                return found
            self._news.clear()
            await self._news.wait()

    async def final(self, assertion: str = "a") -> EventMatched:
        return (await self.until(EventMatched, lambda line: line.event.final and line.event.assertion == assertion)).event

    async def up(self, service: str, number: int) -> Recorded[ServiceUp]:
        return await self.until(ServiceUp, lambda line: (line.event.service, line.event.number) == (service, number))

    async def down(self, service: str, number: int) -> Recorded[ServiceDown]:
        return await self.until(ServiceDown, lambda line: (line.event.service, line.event.number) == (service, number))

    async def sampled(self, instant: datetime) -> None:
        await self.until(ProbeSummary, lambda line: line.event.start >= instant)

    async def readers(self) -> int:
        """How many read the system's events."""
        return sum(consumer.num_waiting or 0 for consumer in await self.connection.js.consumers_info("AUDIT-trading"))

    def observed(self) -> Observations:
        seen = Observations()
        for line in self.lines:
            seen.apply(line)
        return seen

    @asynccontextmanager
    async def observer(self, correlator: AuditCorrelator | None = None) -> AsyncIterator[None]:
        """An observer at work, in a host of its own."""
        evidence = ObjectStore(self.connection, Names(NAMESPACE).evidence)
        async with AsyncExitStack() as stack:
            prober = await stack.enter_async_context(HealthProber())
            trail = AuditTrail(EventPublisher(self.connection), correlator, {})
            runtime = ActorRuntime(Observer(prober, EventStreams(self.connection), evidence, trail), self.journal, NoMetrics())
            await stack.enter_async_context(runtime.working())
            reading = Reading(self.journal, [runtime])
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(reading.run())
                await reading.caught_up.wait()
                yield
                await end([task])


@pytest.fixture
async def stage(connection: Connection) -> AsyncIterator[Stage]:
    await ensure_topology(connection.js, NAMESPACE)
    journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
    await journal.last_sequence()
    stage = Stage(connection, journal)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(journal.follow(0, stage.deliver).run())
        yield stage
        await end([task])


@pytest.fixture
async def port(unused_port: Callable[[], int]) -> AsyncIterator[Port]:
    service = Port(unused_port())
    await service.open()
    yield service
    await service.close()


def filled(**words: object) -> EventClaim:
    return EventClaim.model_validate({"id": "a", "type": "event", "where": "event.type == 'order.filled'", **words})


def instant(line: Recorded[ServiceUp] | Recorded[ServiceDown]) -> datetime:
    return line.at - line.event.ago


async def test_a_kill_and_a_return_are_told_within_the_bound(stage: Stage, port: Port) -> None:
    async with stage.observer():
        await stage.begin(health={"engine": port.tcp})
        await stage.up("engine", 1)
        killed = stage.journal.clock.now()
        await port.close()
        down = await stage.down("engine", 2)
        returned = stage.journal.clock.now()
        await port.open()
        up = await stage.up("engine", 3)

    tolerance = EVERY + timedelta(milliseconds=20)  # a sample may be sent so late
    assert killed - tolerance <= instant(down) <= killed + down.event.error_bound + tolerance
    assert returned - tolerance <= instant(up) <= returned + up.event.error_bound + tolerance
    assert down.event.check == "tcp"


async def test_a_service_that_is_being_started_is_not_called_down_before_it_was_up(stage: Stage, port: Port) -> None:
    await port.close()
    async with stage.observer():
        started = await stage.begin(health={"engine": port.tcp})
        await stage.sampled(started + timedelta(seconds=0.5))
        await port.open()
        await stage.up("engine", 1)

    assert stage.found(ServiceDown) == []


async def test_a_service_that_is_down_when_settle_starts_is_called_down(stage: Stage, port: Port) -> None:
    await port.close()
    async with stage.observer():
        await stage.begin(health={"engine": port.tcp})
        settle = await stage.start("settle", "settle")
        down = await stage.down("engine", 1)

    assert instant(down) <= settle


async def test_summaries_have_no_holes_and_are_cut_where_a_stage_ends(stage: Stage, port: Port) -> None:
    async with stage.observer():
        started = await stage.begin(health={"engine": port.tcp})
        await stage.start()
        finished = await stage.finish()
        await stage.sampled(started + timedelta(seconds=1))

    summaries = [line.event for line in stage.found(ProbeSummary)]
    assert all(a.end == b.start for a, b in pairwise(summaries))
    assert finished in {summary.end for summary in summaries}
    assert all(summary.failed == 0 for summary in summaries)
    assert stage.observed().service("engine").unsampled(summaries[0].start, summaries[-1].end) < EVERY


async def test_a_stage_is_observed_to_its_end_soon_after_it(stage: Stage, port: Port) -> None:
    async with stage.observer():
        await stage.begin(filled(), health={"engine": port.tcp})
        await stage.start()
        await stage.up("engine", 1)
        finished = await stage.finish()
        mark = await stage.until(ObservedUntil, lambda line: line.event.kind == "end")

    assert mark.event.probes is not None
    assert mark.event.events is not None
    assert mark.event.stage == "chaos"
    assert min(mark.event.probes, mark.event.events) >= finished
    assert mark.at - finished < timedelta(seconds=1)


async def test_while_something_must_be_stable_the_watermark_moves_often(stage: Stage, port: Port) -> None:
    async with stage.observer():
        await stage.begin(health={"engine": port.tcp})
        settle = await stage.start("settle", "settle")
        await stage.until(ObservedUntil, lambda line: line.event.probes is not None and line.event.probes > settle + timedelta(seconds=1))

    marks = [line for line in stage.found(ObservedUntil) if line.event.stage == "settle" and line.at > settle]
    assert 4 <= len(marks) <= 14
    assert [line.event.number for line in stage.found(ObservedUntil)] == list(range(1, len(stage.found(ObservedUntil)) + 1))


async def test_events_on_both_sides_of_a_windows_edges_are_counted_exactly(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin(filled())
        await stage.say("before")
        await stage.start()
        for n in range(5):
            await stage.say(f"in{n}")
        finished = await stage.finish()
        for n in range(3):
            await stage.say(f"after{n}")
        final = await stage.final()

    assert final.closes == finished
    assert (final.count, final.seen, final.gap) == (5, 5, False)
    assert [match.id for match in final.kept] == [f"in{n}" for n in range(5)]


async def test_a_silent_stream_is_final_in_well_under_a_second(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin(filled())
        await stage.start()
        finished = await stage.finish()
        final = await stage.until(EventMatched, lambda line: line.event.final)

    assert (final.event.count, final.event.seen) == (0, 0)
    assert final.at - finished < timedelta(milliseconds=800)


async def test_a_window_that_ends_by_its_own_time_is_final_then(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin(filled(within=timedelta(milliseconds=300)))
        opened = await stage.start()
        await stage.say("in")
        final = await stage.until(EventMatched, lambda line: line.event.final)
        await stage.say("late")

    assert final.event.closes == opened + timedelta(milliseconds=300)
    assert final.event.count == 1
    assert timedelta(milliseconds=300) <= final.at - opened < timedelta(seconds=1)


async def test_a_key_may_be_closed_in_the_grace(stage: Stage) -> None:
    claim = ContinuityClaim.model_validate(
        {"id": "a", "type": "continuity", "key": "event.data.order", "opened_by": "submitted", "closed_by": "filled", "grace": "300ms"}
    )
    async with stage.observer():
        await stage.begin(claim)
        await stage.start()
        await stage.say("1", "submitted", order="x")
        await stage.say("2", "submitted", order="y")
        finished = await stage.finish()
        await stage.say("3", "filled", order="x")
        await stage.say("4", "submitted", order="later")
        final = await stage.final()

    assert final.closes == finished + timedelta(milliseconds=300)
    assert final.keys is not None
    assert (final.keys.opened, final.keys.closed_once, final.keys.open) == (2, 1, ("y",))


async def test_the_first_match_is_told_at_once_and_the_next_a_second_later(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin(filled())
        await stage.start()
        for n in range(24):
            await stage.say(str(n))
            await asyncio.sleep(0.05)
        await stage.finish()
        await stage.final()

    told = [line for line in stage.found(EventMatched) if not line.event.final]
    assert told[0].event.count < 10
    assert len(told) >= 2
    assert all(later.at - earlier.at > timedelta(seconds=0.8) for earlier, later in pairwise(told))
    assert [line.event.number for line in stage.found(EventMatched)] == list(range(1, len(told) + 2))


async def test_what_was_evaluated_are_the_events_of_the_types_that_the_claim_names(stage: Stage) -> None:
    claim = EventClaim(id="a", type="event", where="event.type == 'order.filled' && event.data.price > 5", never=True)
    async with stage.observer():
        await stage.begin(claim)
        await stage.start()
        await stage.say("foreign", type_="other")
        await stage.say("first")
        await stage.say("second")
        await stage.finish()
        final = await stage.final()

    assert (final.seen, final.evaluated, final.errors) == (3, 2, 2)


async def test_unreadable_messages_are_counted_and_an_event_without_the_field_is_an_error(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin(EventClaim(id="a", type="event", where="event.data.price > 5"))
        await stage.start()
        await stage.connection.js.publish("trading.events.engine.x", b"not an event")
        await stage.say("foreign")
        await stage.say("dear", price=6)
        await stage.finish()
        final = await stage.final()
        counted = await stage.until(EventCounted)

    assert (final.count, final.seen, final.errors) == (1, 2, 1)
    assert final.error
    assert counted.event.types == {"order.filled": 2}
    assert counted.event.unreadable == 1


async def test_the_evidence_holds_the_matches_of_the_stage(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin(filled())
        await stage.start()
        await stage.say("x")
        await stage.say("y", "other")
        await stage.finish()
        stored = (await stage.until(EvidenceStored)).event
        data = await ObjectStore(stage.connection, Names(NAMESPACE).evidence).get(stored.name)

    assert stored.name == f"{RUN}/chaos.jsonl.gz"
    assert (stored.size, stored.sha256, stored.matches) == (len(data), hashlib.sha256(data).hexdigest(), 1)
    assert [(m["assertion"], m["id"]) for m in map(json.loads, gzip.decompress(data).splitlines())] == [("a", "x")]


async def test_nothing_is_stored_of_a_stage_in_which_nothing_matched(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin(filled(), whole=True)
        await stage.start()
        await stage.say("x", "other")
        await stage.finish()
        await stage.until(ObservedUntil, lambda line: line.event.kind == "end")
        await stage.start("recover", "recover")
        await stage.say("y")
        await stage.finish("recover", "recover")
        stored = (await stage.until(EvidenceStored)).event

    objects = await (await stage.connection.js.object_store(Names(NAMESPACE).evidence)).list()
    assert (stored.stage, stored.matches) == ("recover", 1)
    assert [found.name for found in objects] == [stored.name]


async def test_the_events_are_no_longer_read_when_a_run_is_over_in_which_nothing_matched(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin(filled())
        await stage.start()
        await stage.finish()
        await stage.final()
        assert await stage.readers() == 1

        await stage.write(RunFinished(verdict=Verdict.FAILED, reason=None, message="", cause=None, hint=None, position=0))

        async with asyncio.timeout(20):
            while await stage.readers() > 0:
                await asyncio.sleep(0.01)


async def test_after_a_restart_events_are_whole_and_numbers_go_on(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin(filled(), whole=True)
        await stage.start()
        await stage.say("a")
        first = await stage.until(EventMatched, lambda line: line.event.count == 1)
    await stage.say("b")

    async with stage.observer():
        await stage.say("c")
        await stage.finish()
        await stage.start("recover", "recover")
        await stage.finish("recover", "recover")
        final = await stage.final()

    assert (final.count, final.gap) == (3, False)
    assert final.number > first.event.number
    assert stage.found(StreamGap) == []


async def test_after_a_long_absence_the_probes_have_a_gap_and_the_summaries_a_hole(stage: Stage, port: Port) -> None:
    async with stage.observer():
        started = await stage.begin(health={"engine": port.tcp})
        await stage.up("engine", 1)
        await stage.sampled(started)
    last = stage.found(ProbeSummary)[-1].event.end
    await asyncio.sleep(1)

    async with stage.observer():
        gap = (await stage.until(StreamGap)).event
        await stage.sampled(gap.end)

    assert (gap.source, gap.start) == ("engine", last)
    assert gap.end - gap.start > MAX_GAP
    history = stage.observed().service("engine")
    assert history.unsampled(last, gap.end + timedelta(seconds=1)) >= MAX_GAP
    assert len(history.transitions) == 1


async def test_probing_goes_on_while_the_server_is_killed_and_started_again(stage: Stage, port: Port, server: Server) -> None:
    async with stage.observer():
        started = await stage.begin(filled(), health={"engine": port.tcp})
        await stage.start()
        await stage.up("engine", 1)
        await stage.sampled(started)
        os.kill(server.pid, signal.SIGKILL)
        await server.watch()
        before, killed = port.asked, stage.journal.clock.now()
        await port.close()
        await asyncio.sleep(0.7)
        await port.open()
        returned = stage.journal.clock.now()
        async with asyncio.timeout(20):
            while port.asked < before + 4:  # while the server is away
                await asyncio.sleep(0.01)
        await server.restart()
        down, up = await stage.down("engine", 2), await stage.up("engine", 3)
        await stage.say("a")
        await stage.finish()
        final = await stage.final()
        await stage.sampled(returned + timedelta(seconds=1))

    tolerance = EVERY + timedelta(milliseconds=60)
    assert killed - tolerance < instant(down) < killed + down.event.error_bound + tolerance
    assert returned - tolerance < instant(up) < returned + up.event.error_bound + tolerance
    assert final.count == 1
    assert all(a.event.end == b.event.start for a, b in pairwise(stage.found(ProbeSummary)))
    assert stage.found(StreamGap) == []


async def test_a_service_that_hangs_does_not_slow_the_samples(stage: Stage, port: Port) -> None:
    async with stage.observer():
        started = await stage.begin(health={"engine": port.http})
        await stage.up("engine", 1)
        port.silent = True
        down = await stage.down("engine", 2)
        await stage.sampled(started + timedelta(seconds=2))

    hanging = [line.event for line in stage.found(ProbeSummary) if line.event.start > instant(down)]
    assert hanging[0].count in {19, 20, 21}
    assert sum(summary.missed for summary in hanging) < sum(summary.count for summary in hanging) / 2  # one after the other: 5 of 6
    assert down.event.took >= timedelta(milliseconds=300)


async def test_nothing_is_called_down_once_the_services_are_released(stage: Stage, port: Port) -> None:
    async with stage.observer():
        await stage.begin(filled(), health={"engine": port.tcp})
        await stage.start()
        await stage.up("engine", 1)
        await stage.say("x")
        await stage.finish()
        await stage.until(EvidenceStored)
        await stage.write(ServicesReleaseRequested())
        before = port.asked
        await port.close()
        await stage.until(ObservedUntil, lambda line: line.event.kind == "end")

    assert port.asked <= before + 1
    assert stage.found(ServiceDown) == []


async def test_a_stream_that_cannot_be_read_whole_is_a_gap_and_the_claim_says_so(stage: Stage) -> None:
    await stage.connection.js.add_stream(name="QUEUE", subjects=["trading.events.>"], retention="workqueue")
    async with stage.observer():
        await stage.begin(filled())
        await stage.start()
        await stage.finish()
        final = await stage.final()
        gap = (await stage.until(StreamGap)).event

    assert final.gap
    assert gap.source == "events"
    assert "work queue" in gap.why


async def test_a_steady_claims_deadline_is_passed_promptly(stage: Stage, port: Port) -> None:
    async with stage.observer():
        await stage.begin(health={"engine": port.tcp})
        settle = await stage.start("settle", "settle")
        claim = next(line.event for line in stage.found(RunAccepted)).system.steady_claims()[0]
        await stage.write(AssertionOpened(assertion="steady-settle-x", claim=claim, mode="settle", opens=settle))
        up = await stage.up("engine", 1)
        held = instant(up) + timedelta(seconds=1)
        mark = await stage.until(ObservedUntil, lambda line: line.event.probes is not None and line.event.probes >= held)

    assert mark.at - held < timedelta(milliseconds=800)
