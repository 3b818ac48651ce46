"""The observer's probes, workloads, roles and what it asks for claims: a real nats-server, a real HTTP server, and real files."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

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
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from messages.claims import AnyClaim, Claim, GrpcClaim, History, HttpClaim, LatencyClaim, MetricClaim, RoleClaim, RoleHistory
from messages.events import Recorded, RunEvent
from messages.fault_events import WorkloadStarted
from messages.identity import Identity
from messages.judgements import AssertionJudged
from messages.measurements import AnswerSeen, KeysListed, MetricSampled
from messages.observations import ObservedUntil, OperationsSeen, ProbeSummary, RoleSeen, StreamGap
from messages.run_events import AssertionOpened, PhaseFinished, PhaseStarted, RunAccepted, RunStarted, ServicesReleaseRequested
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Reason, Verdict
from runs.history import Observations, history_of
from runs.state import RunState
from targets.health import HealthProber
from tests.grpc_shop import Shop, mirrored, serving

NAMESPACE, RUN, PARTITION = "test-coordinator", "01JD0000000000000000000000", 3
E = TypeVar("E", bound=RunEvent)


class Server:
    """Answers what it is told to, and counts what it is asked."""

    def __init__(self) -> None:
        self.port = 0
        self.status, self.body = 200, "fine"
        self.hold = asyncio.Event()
        self.asked = 0
        self.open = 0
        self._idle = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        self.open += 1
        self._idle.clear()
        try:
            await reader.readline()
            await self.hold.wait()
            head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
            writer.write((head + self.body).encode())
        finally:
            self.open -= 1
            writer.close()
            if not self.open:
                self._idle.set()

    async def idle(self) -> None:
        self.hold.set()
        if self.open:
            await self._idle.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


class Stage:
    """A run, with the test as its scheduler and its injector."""

    def __init__(self, connection: Connection, journal: Journal) -> None:
        self.connection = connection
        self.journal = journal
        self.lines: list[Line] = []
        self.state = RunState(RUN)
        self.seen = Observations()
        self._news = asyncio.Event()

    def deliver(self, line: Line) -> None:
        self.lines.append(line)
        self.state.apply(line)
        self.seen.apply(line)
        self._news.set()

    async def write(self, event: RunEvent, actor: str = "scheduler") -> datetime:
        sequence = await self.journal.write(PARTITION, RUN, actor, event, None, None)
        return (await self.until(RunEvent, lambda line: line.sequence == sequence)).at

    async def begin(self, *claims: Claim, **parts: Any) -> None:
        """A run of a system with these parts, beside one service that nobody checks."""
        service = {"driver": {"external": {}}, **parts.pop("service", {})}
        spec = {"services": {"engine": service}, "max_gap": "1m", **parts}
        phases: list[dict[str, Any]] = [
            {"name": "baseline"},
            {"name": "chaos", "assertions": [json.loads(c.model_dump_json()) for c in claims]},
        ]
        scenario = {"metadata": {"name": "s"}, "spec": {"system": "trading", "phases": phases}}
        accepted = RunAccepted(
            key="trading",
            scenario=Scenario.model_validate_json(json.dumps(scenario)),
            system=System.model_validate_json(json.dumps({"metadata": {"name": "trading"}, "spec": spec})),
            submitted=self.journal.clock.now(),
        )
        await self.write(accepted)
        await self.write(RunStarted())

    async def start(self, phase: str = "chaos", kind: str = "phase") -> datetime:
        return await self.write(PhaseStarted.model_validate({"phase": phase, "kind": kind}))

    async def finish(self, phase: str = "chaos", kind: str = "phase") -> datetime:
        return await self.write(PhaseFinished.model_validate({"phase": phase, "kind": kind}))

    async def open(self, claim: AnyClaim, opens: datetime) -> None:
        await self.write(AssertionOpened(assertion=claim.id, claim=claim, phase="chaos", opens=opens))

    def found(self, type_: type[E]) -> list[Recorded[E]]:
        return [line for line in self.lines if isinstance(line.event, type_)]  # type: ignore[misc]

    async def until(self, type_: type[E], fits: Callable[[Recorded[E]], bool] = lambda _: True, after: int = 0) -> Recorded[E]:
        """The first line of this type that fits, once it is there."""
        while True:
            found = next((line for line in self.found(type_) if line.sequence > after and fits(line)), None)
            if found is not None:
                return found
            self._news.clear()
            await self._news.wait()

    async def looked(self, instant: datetime) -> None:
        """The watermark has passed this instant."""
        await self.until(ObservedUntil, lambda line: line.event.probes is not None and line.event.probes >= instant)

    def history(self, claim: Claim) -> History:
        return history_of(self.state, self.seen, self.state.assertions[claim.id])

    @asynccontextmanager
    async def observer(self) -> AsyncIterator[None]:
        evidence = ObjectStore(self.connection, Names(NAMESPACE).evidence)
        async with AsyncExitStack() as stack:
            prober = await stack.enter_async_context(HealthProber())
            trail = AuditTrail(EventPublisher(self.connection), None, {})
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
async def http() -> AsyncIterator[Server]:
    server = Server()
    server.hold.set()
    async with await asyncio.start_server(server.answer, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server
        listening.close()
        await server.idle()


def quote(server: Server, rate: str = "50/s", deadline: str = "300ms") -> dict[str, Any]:
    return {"quote": {"http": {"url": server.url}, "rate": rate, "deadline": deadline}}


def latency(**words: Any) -> LatencyClaim:
    return LatencyClaim.model_validate({"id": "a", "type": "latency", "probe": "quote", "percentile": 90, "at_most": "200ms", **words})


def summaries(stage: Stage) -> list[ProbeSummary]:
    return [line.event for line in stage.found(ProbeSummary)]


async def test_a_probe_is_sampled_from_settle_to_release_and_its_summaries_leave_no_hole(stage: Stage, http: Server) -> None:
    async with stage.observer():
        await stage.begin(probes=quote(http))
        await stage.until(ObservedUntil)
        before = http.asked
        settled = await stage.start("settle", "settle")
        await stage.finish("settle", "settle")
        opens = await stage.start()
        await stage.until(ProbeSummary, lambda line: line.event.start >= opens and line.event.count > 30)
        closes = await stage.finish()
        await stage.looked(closes)
        await stage.write(ServicesReleaseRequested())
        await stage.until(ObservedUntil, lambda line: line.event.probes is not None and line.event.probes > closes)

    found = sorted(summaries(stage), key=lambda summary: summary.start)
    assert before == 0
    assert settled <= found[0].start
    assert [summary.end for summary in found[:-1]] == [summary.start for summary in found[1:]]
    assert {opens, closes} <= {summary.end for summary in found}
    assert all(summary.latency is not None and summary.latency.count == summary.count for summary in found if summary.count)
    assert sum(summary.failed for summary in found) == 0


@pytest.mark.long
async def test_a_server_that_hangs_cannot_hide_it(stage: Stage, http: Server) -> None:
    """Closed loop, one slow answer would be one sample; open loop, every tick that came due meanwhile is slow too."""
    async with stage.observer():
        await stage.begin(latency(), probes=quote(http, deadline="200ms"))
        opens = await stage.start()
        await stage.open(latency(), opens)
        await stage.until(ProbeSummary, lambda line: line.event.count > 20)
        http.hold.clear()
        await stage.until(ProbeSummary, lambda line: line.event.failed > 20)
        closes = await stage.finish()
        await stage.looked(closes)
        http.hold.set()

    judged = latency(at_most="10s").judge(stage.history(latency()))
    hanging = next(summary for summary in summaries(stage) if summary.failed > 20)
    assert judged is not None
    assert (judged.verdict, judged.reason) == (Verdict.FAILED, Reason.CLAIM_FAILED)
    assert hanging.latency is not None
    assert (hanging.latency.quantile(1.0) or timedelta()) >= timedelta(milliseconds=200)


@pytest.mark.long
async def test_an_observer_that_was_away_leaves_a_gap_in_which_nothing_counts(stage: Stage, http: Server) -> None:
    await stage.begin(latency(), probes=quote(http), max_gap="800ms")
    opens = await stage.start()
    await stage.open(latency(), opens)
    async with stage.observer():
        await stage.until(ProbeSummary, lambda line: line.event.count > 20)
    gone = http.asked
    await asyncio.sleep(1)  # what is tested is that nobody looks for longer than `max_gap`
    assert http.asked == gone
    async with stage.observer():
        gap = await stage.until(StreamGap)
        await stage.until(ProbeSummary, lambda line: line.event.count > 20, after=gap.sequence)
        closes = await stage.finish()
        await stage.looked(closes)

    judged = latency().judge(stage.history(latency()))
    assert gap.event.source == "quote"
    assert judged is not None
    assert (judged.verdict, judged.reason) == (Verdict.INCONCLUSIVE, Reason.GAP)


async def test_two_hundred_samples_a_second_over_a_few_probes_are_all_sent(stage: Stage, http: Server) -> None:
    probes = {f"p{n}": quote(http)["quote"] for n in range(4)}
    async with stage.observer():
        await stage.begin(probes=probes)
        opens = await stage.start()
        for name in probes:
            await stage.until(ProbeSummary, lambda line, name=name: line.event.probe == name and whole(line.event, opens))  # type: ignore[misc]
        closes = await stage.finish()
        await stage.looked(closes)

    found = [summary for summary in summaries(stage) if whole(summary, opens)]
    assert {summary.probe for summary in found} == set(probes)
    assert all(summary.count >= 45 for summary in found)


def whole(summary: ProbeSummary, since: datetime) -> bool:
    """Whether it is of a second of which all was sent: there may be none while the machine has too much else to do."""
    return summary.start >= since and summary.end - summary.start > timedelta(seconds=0.9) and summary.missed == 0


def news(server: Server) -> HttpClaim:
    words = {"every": "40ms", "within": "2s", "unlike": "baseline", "key": "json.map(a, a.alert_id)"}
    return HttpClaim.model_validate({"id": "a", "type": "http", "url": server.url, **words})


@pytest.mark.parametrize("new", [False, True])
async def test_an_alert_that_is_always_there_is_nothing_new_and_another_one_is(stage: Stage, http: Server, new: object) -> None:
    """Its id counts, not its time: the risk monitor says of its one alert that it is from now, at each call."""
    http.body, claim = '[{"alert_id": "alert_001", "timestamp": 1}]', news(http)
    async with stage.observer():
        await stage.begin(claim)
        began = await stage.start("baseline")
        await stage.looked(began + timedelta(milliseconds=200))
        await stage.finish("baseline")
        await stage.until(KeysListed)
        opens = await stage.start()
        await stage.open(claim, opens)
        await stage.until(AnswerSeen, lambda line: not line.event.ok)
        http.body = f'[{{"alert_id": "{"alert_002" if new else "alert_001"}", "timestamp": 2}}]'
        if new:
            await stage.until(AnswerSeen, lambda line: line.event.ok)
        await stage.looked(opens + timedelta(seconds=2))

    (listed,) = stage.found(KeysListed)
    judged = claim.judge(stage.history(claim))
    assert listed.event.keys == ("alert_001",)
    assert judged is not None
    assert judged.verdict is (Verdict.PASSED if new else Verdict.FAILED), judged
    assert stage.found(AnswerSeen)[0].event.got == "nothing new: alert_001"


async def test_an_expression_that_fits_no_answer_shows_no_absence(stage: Stage, http: Server) -> None:
    """The alerts have no field that is called so. That none has this value proves nothing."""
    http.body, claim = (
        '[{"alert_id": "alert_001"}]',
        asking(http, throughout=False, never=True, expect="json.exists(a, a.kind == 'breach')"),
    )
    async with stage.observer():
        await stage.begin(claim)
        opens = await stage.start()
        await stage.open(claim, opens)
        await stage.until(AnswerSeen)
        closes = await stage.finish()
        await stage.looked(closes)

    judged = claim.judge(stage.history(claim))
    assert judged is not None
    assert (judged.verdict, judged.reason) == (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)
    assert "cannot be evaluated" in judged.message


def asking(server: Server, **words: Any) -> HttpClaim:
    return HttpClaim.model_validate({"id": "a", "type": "http", "url": server.url, "every": "40ms", "throughout": True, **words})


@pytest.mark.long
async def test_a_claim_asks_while_its_window_is_open_and_not_a_moment_longer(stage: Stage, http: Server) -> None:
    claim = asking(http)
    async with stage.observer():
        await stage.begin(claim)
        await stage.start("baseline")
        await stage.until(ObservedUntil)
        before = http.asked
        await stage.finish("baseline")
        opens = await stage.start()
        await stage.open(claim, opens)
        await stage.until(ProbeSummary, lambda line: line.event.probe == "a" and line.event.count > 10)
        closes = await stage.finish()
        await stage.looked(closes)
        after = http.asked
        await stage.until(ObservedUntil, lambda line: (line.event.probes or opens) >= closes + timedelta(milliseconds=300))

    judged = claim.judge(stage.history(claim))
    assert before == 0
    assert http.asked <= after + 1
    assert judged is not None
    assert judged.verdict is Verdict.PASSED
    assert opens <= min(summary.start for summary in summaries(stage))
    assert closes == max(summary.end for summary in summaries(stage))


async def test_a_wrong_answer_is_journalled_with_what_was_got_and_so_is_the_next_good_one(stage: Stage, http: Server) -> None:
    claim = asking(http)
    async with stage.observer():
        await stage.begin(claim)
        await stage.open(claim, await stage.start())
        good = await stage.until(AnswerSeen)
        http.status, http.body = 503, "no stock " * 50
        bad = await stage.until(AnswerSeen, lambda line: not line.event.ok)
        http.status = 200
        back = await stage.until(AnswerSeen, lambda line: line.event.number == 3)

    judged = claim.judge(stage.history(claim))
    assert (good.event.ok, bad.event.number, back.event.ok) == (True, 2, True)
    assert bad.event.got.startswith("status 503 'no stock no stock")
    assert 200 < len(bad.event.got) < 320
    assert judged is not None
    assert (judged.verdict, judged.evidence) == (Verdict.FAILED, (bad.evidence,))


async def test_a_claim_that_was_judged_asks_no_more(stage: Stage, http: Server) -> None:
    claim = asking(http, throughout=False, within="1m")
    async with stage.observer():
        await stage.begin(claim)
        await stage.open(claim, await stage.start())
        await stage.until(AnswerSeen)
        judged = await stage.write(judged_now(claim), "validator")
        await stage.until(ObservedUntil, lambda line: (line.event.probes or judged) > judged + timedelta(milliseconds=300))
        asked = http.asked
        await stage.until(ObservedUntil, lambda line: (line.event.probes or judged) > judged + timedelta(milliseconds=1200))

    assert http.asked == asked


def judged_now(claim: Claim) -> RunEvent:
    return AssertionJudged(assertion=claim.id, verdict=Verdict.PASSED, reason=None, message="seen", evidence=("x",), measured={})


def counter(server: Server, **words: Any) -> MetricClaim:
    limit = {"id": "a", "type": "metric", "target": "engine", "metric": 'orders_total{status="filled"}', "every": "50ms", **words}
    return MetricClaim.model_validate(limit)


@pytest.mark.long
async def test_metrics_are_scraped_in_the_window_and_in_the_phase_that_it_is_compared_with(stage: Stage, http: Server) -> None:
    claim = counter(http, of="rate", at_least="-50%", compare="baseline")
    http.body = '# TYPE orders_total counter\norders_total{status="filled"} 3\norders_total{status="rejected"} 9\n'
    async with stage.observer():
        await stage.begin(claim, service={"metrics": {"http": http.url}})
        await stage.start("baseline")
        await stage.until(MetricSampled)
        http.body = http.body.replace("} 3", "} 5")
        last = stage.lines[-1].sequence
        await stage.until(MetricSampled, lambda line: 5.0 in line.event.series.values(), after=last)
        await stage.finish("baseline")
        await stage.open(claim, await stage.start())
        seen = await stage.until(MetricSampled, after=stage.lines[-1].sequence)
        http.status = 500
        broken = await stage.until(MetricSampled, lambda line: line.event.error != "", after=seen.sequence)
        closes = await stage.finish()
        await stage.looked(closes)

    assert seen.event.series == {'orders_total{status="filled"}': 5.0}
    assert (broken.event.error, broken.event.series) == ("status 500", {})
    judged = claim.judge(stage.history(claim))
    assert judged is not None
    assert judged.verdict in {Verdict.FAILED, Verdict.INCONCLUSIVE}


async def test_a_role_is_said_when_it_is_first_seen_and_when_it_changes(stage: Stage, http: Server) -> None:
    http.body = '{"role": "leader"}'
    role = {"http": {"url": http.url, "value": "json.role"}, "every": "30ms"}
    async with stage.observer():
        await stage.begin(service={"role": role})
        await stage.start()
        await stage.until(RoleSeen)
        asked = http.asked
        while http.asked < asked + 5:
            await asyncio.sleep(0.01)
        http.body = '{"role": "follower"}'
        await stage.until(RoleSeen, lambda line: line.event.number == 2)
        http.status, http.body = 200, "nonsense"
        await stage.until(RoleSeen, lambda line: line.event.number == 3)

    assert [(line.event.role, line.event.number) for line in stage.found(RoleSeen)] == [("leader", 1), ("follower", 2), ("", 3)]
    assert stage.state.roles == {"engine": ""}


def leads(**words: Any) -> RoleClaim:
    return RoleClaim.model_validate({"id": "a", "type": "role", "group": "db", "role": "leader", "exactly": 1, **words})


def verdict_of(claim: Claim, stage: Stage) -> tuple[Verdict, Reason | None]:
    judged = claim.judge(stage.history(claim))
    assert judged is not None
    return judged.verdict, judged.reason


GROUP = {"groups": {"db": {"members": ["engine"]}}}


@pytest.mark.long
async def test_an_observer_that_was_away_says_the_role_again_and_since_when_nobody_knew_it(stage: Stage, http: Server) -> None:
    http.body = "leader"
    claim = leads(throughout=True)
    await stage.begin(claim, service={"role": {"http": {"url": http.url}, "every": "30ms"}}, max_gap="800ms", **GROUP)
    async with stage.observer():
        await stage.until(RoleSeen)
        opens = await stage.start()
        await stage.open(claim, opens)
        await stage.looked(opens + timedelta(milliseconds=200))
    await asyncio.sleep(1)  # what is tested is that nobody looks for longer than `max_gap`
    async with stage.observer():
        again = await stage.until(RoleSeen, lambda line: line.event.number == 2)
        closes = await stage.finish()
        await stage.looked(closes)

    first, said = stage.found(RoleSeen)[0], stage.history(claim).roles["engine"].said
    assert (again.event.role, first.event.error_bound) == ("leader", None)
    assert [role.evidence for role in said] == [first.evidence, again.evidence]
    assert again.event.error_bound is not None
    assert again.event.error_bound >= timedelta(seconds=1)
    assert opens < said[1].at - again.event.error_bound < said[1].at
    assert verdict_of(claim, stage) == (Verdict.PASSED, None)
    long = [said[0], replace(said[1], error_bound=timedelta(minutes=1))]
    assert RoleHistory(tuple(long)).at(opens, timedelta(seconds=1)) is None


async def test_a_window_waits_for_the_roles_that_a_claim_asks_for(stage: Stage, http: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a member does not answer nobody knows its role: the watermark does not pass what was not asked yet."""
    monkeypatch.setattr("actors.observer.roles.LONGEST", timedelta(seconds=30))
    http.body, claim = "leader", leads()
    async with stage.observer():
        await stage.begin(claim, service={"role": {"http": {"url": http.url}, "every": "30ms"}}, **GROUP)
        opens = await stage.start()
        await stage.open(claim, opens)
        await stage.until(RoleSeen)
        await stage.looked(opens)
        http.hold.clear()
        closes = await stage.finish()
        while not http.open:
            await asyncio.sleep(0.01)
        held = max(line.event.probes for line in stage.found(ObservedUntil) if line.event.probes is not None)
        early = claim.judge(stage.history(claim))
        http.hold.set()
        await stage.looked(closes)

    judged = claim.judge(stage.history(claim))
    assert (held < closes, early) == (True, None)
    assert judged is not None
    assert (judged.verdict, judged.evidence) == (Verdict.PASSED, (stage.found(RoleSeen)[0].evidence,))


async def test_a_watermark_says_up_to_which_windows_end_all_that_was_found_is_told(stage: Stage, http: Server) -> None:
    async with stage.observer():
        await stage.begin(probes=quote(http))
        opens = await stage.start()
        await stage.until(ProbeSummary, lambda line: line.event.count > 20)
        closes = await stage.finish()
        mark = await stage.until(ObservedUntil, lambda line: line.event.told is not None and line.event.told >= closes)

    told = [line for line in stage.found(ProbeSummary) if line.sequence < mark.sequence]
    assert mark.event.told == closes
    assert max(line.event.end for line in told) == closes
    assert opens in {line.event.told for line in stage.found(ObservedUntil)}
    assert all(line.event.successes is not None and line.event.successes.first is not None for line in told if line.event.ok > 5)


class Output:
    """What a workload writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()
        self.count = 0

    def say(self, count: int, outcome: str = "ok", took: float = 0.01) -> None:
        with self.path.open("a") as file:
            for _ in range(count):
                self.count += 1
                file.write(json.dumps({"op": "write", "id": f"w{self.count}", "outcome": outcome, "took": took}) + "\n")

    def raw(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    @property
    def started(self) -> WorkloadStarted:
        identity = Identity(pid=1, started=1, boot="elsewhere")
        return WorkloadStarted(workload="writers", number=1, identity=identity, output=str(self.path))


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path / "writers.out")


WRITERS = {"writers": {"command": ["writers"]}}


def operations(stage: Stage) -> tuple[int, int, int, int]:
    seen = [line.event for line in stage.found(OperationsSeen)]
    return sum(s.ok for s in seen), sum(s.failed for s in seen), sum(s.unknown for s in seen), sum(s.unreadable for s in seen)


@pytest.mark.long
async def test_a_workloads_operations_are_read_as_they_are_written(stage: Stage, output: Output) -> None:
    async with stage.observer():
        await stage.begin(workloads=WRITERS)
        await stage.write(output.started, "chaos-injector")
        opens = await stage.start()
        output.say(20)
        output.say(2, "failed")
        output.say(1, "unknown")
        output.raw('starting\n{"op": "write", "id": "cut", "outc')
        await stage.looked(opens + timedelta(milliseconds=300))
        output.raw('ome": "ok", "took": 0.5}\n')
        await stage.until(OperationsSeen, lambda line: bool(line.event.latency and line.event.latency.count in {1, 21}))
        while operations(stage) != (21, 2, 1, 1):
            await stage.until(OperationsSeen, after=stage.lines[-1].sequence)

    (*_, last) = stage.found(OperationsSeen)
    assert last.event.through == output.path.stat().st_size
    assert {name for line in stage.found(OperationsSeen) for name in line.event.samples} == {"w21", "w22", "w23"}


@pytest.mark.long
async def test_a_restarted_observer_reads_on_where_the_last_one_stopped(stage: Stage, output: Output) -> None:
    await stage.begin(workloads=WRITERS)
    await stage.write(output.started, "chaos-injector")
    await stage.start()
    async with stage.observer():
        output.say(20)
        await stage.until(OperationsSeen)
    output.say(5)
    async with stage.observer():
        while operations(stage)[0] < 25:
            await stage.until(OperationsSeen, after=stage.lines[-1].sequence)

    assert operations(stage) == (25, 0, 0, 0)
    assert stage.found(StreamGap) == []


async def test_a_claim_on_a_workload_that_says_nothing_has_no_samples(stage: Stage, output: Output) -> None:
    claim = latency(probe=None, workload="writers")
    async with stage.observer():
        await stage.begin(claim, workloads=WRITERS)
        await stage.write(output.started, "chaos-injector")
        output.say(50)
        await stage.start("baseline")
        await stage.until(OperationsSeen)
        await stage.finish("baseline")
        opens = await stage.start()
        await stage.open(claim, opens)
        await stage.looked(opens + timedelta(milliseconds=300))
        closes = await stage.finish()
        await stage.looked(closes)

    judged = claim.judge(stage.history(claim))
    assert judged is not None
    assert (judged.verdict, judged.reason) == (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)


def calling(address: str, **words: Any) -> GrpcClaim:
    question = {"address": address, "method": "shop.Stock/Count", "request": {"item": "tea"}, "every": "40ms"}
    return GrpcClaim.model_validate({"id": "a", "type": "grpc", **question, **words})


async def test_a_grpc_claim_asks_and_says_what_came_instead(stage: Stage) -> None:
    shop = Shop()
    async with serving(shop.handler(), mirrored(shop)) as address, stage.observer():
        claim = calling(address, expect="response.left > 0", throughout=True)
        await stage.begin(claim)
        await stage.open(claim, await stage.start())
        good = await stage.until(AnswerSeen)
        shop.answer["left"] = 0
        bad = await stage.until(AnswerSeen, lambda line: not line.event.ok)

    judged = claim.judge(stage.history(claim))
    assert (good.event.ok, bad.event.number, bad.event.asked) == (True, 2, True)
    assert bad.event.got == 'OK {"item": "tea", "sold": "5000000000", "left": 0, "ratio": 0.0}, expected response.left > 0'
    assert judged is not None
    assert (judged.verdict, judged.evidence) == (Verdict.FAILED, (bad.evidence,))


async def test_a_method_that_is_not_there_is_journalled_as_such_and_when_the_server_goes_that_is_another_answer(stage: Stage) -> None:
    shop = Shop()
    async with stage.observer():
        async with serving(shop.handler(), mirrored(shop)) as address:
            claim = calling(address, method="shop.Stock/Cont")
            await stage.begin(claim)
            await stage.open(claim, await stage.start())
            unasked = await stage.until(AnswerSeen)
            early = claim.judge(stage.history(claim))
        away = await stage.until(AnswerSeen, lambda line: line.event.asked and not line.event.got.startswith("CANCELLED"))

    assert (unasked.event.ok, unasked.event.asked, unasked.event.number) == (False, False, 1)
    assert unasked.event.got == "shop.Stock has no method 'Cont'; it has Count, Watch"
    assert early is None
    assert not away.event.ok
    assert away.event.number in {2, 3}  # a call that was on its way as the server went is cancelled first
    assert away.event.got.startswith("UNAVAILABLE: ")


async def test_promql_is_asked_in_the_window_and_errors_are_journalled(stage: Stage, http: Server) -> None:
    words = {"id": "a", "type": "metric", "promql": "sum(rate(orders_total[10s]))", "at_least": 5, "every": "50ms"}
    claim = MetricClaim.model_validate(words)
    http.body = answered("7.5")
    async with stage.observer():
        await stage.begin(claim, prometheus={"http": http.url})
        await stage.start("baseline")
        await stage.until(ObservedUntil)
        before = http.asked
        await stage.finish("baseline")
        await stage.open(claim, await stage.start())
        seen = await stage.until(MetricSampled)
        http.body = answered("+Inf")
        infinite = await stage.until(MetricSampled, lambda line: line.event.series == {"{}": float("inf")})
        http.status, http.body = 400, '{"status": "error", "error": "parse error"}'
        broken = await stage.until(MetricSampled, lambda line: line.event.error != "")
        http.status, http.body = 200, answered("7")
        await stage.until(MetricSampled, lambda line: line.event.series == {"{}": 7.0}, after=broken.sequence)
        closes = await stage.finish()
        await stage.looked(closes)

    judged = claim.judge(stage.history(claim))
    assert before == 0
    assert seen.event.series == {"{}": 7.5}
    assert infinite.event.error == ""
    assert (broken.event.error, broken.event.series) == ("Prometheus says: parse error", {})
    assert judged is not None
    assert judged.verdict is Verdict.PASSED


def answered(value: str) -> str:
    result = [{"metric": {}, "value": [1.5, value]}]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})
