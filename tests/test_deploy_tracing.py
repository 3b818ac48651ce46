"""Traces as a collector sees them: five processes, a real OTLP receiver, and what becomes of a run when there is none."""

import asyncio
import os
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc.aio
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.control import ControlClient
from bus.errors import NoAnswer
from bus.journal import Journal, Line
from bus.server import Server
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from deploy.settings import Collector, read_collector, read_settings
from deploy.tracing import FLUSH_LIMIT, resource, tracing
from deploy.watching import Watch
from messages.events import Recorded
from messages.fault_events import FaultArmed, FaultInjected
from messages.ids import new_run_id, trace_id_of
from messages.judgements import ReportPublished
from messages.run_events import RunAccepted, RunFinished
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Verdict

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NAMESPACE = "test-coordinator"
ACTORS = ("scheduler", "chaos-injector", "observer", "validator", "reporter")
SERVICE = Path(__file__).parent / "end_to_end" / "service.py"
PUBLISHER = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: restart}
spec:
  system: small
  phases:
    - {name: chaos, duration: 1s, actions: [{id: kill, target: one, action: kill, for: 400ms}]}
  assertions: [{id: back, type: recovery, target: one, of: kill, by: undo, within: 10s}]
"""


def system(port: int) -> str:
    return f"""
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: small}}
spec:
  services:
    one:
      driver: {{process: {{command: [python, {SERVICE}], env: {{PORT: "{port}"}}}}}}
      health: {{http: {{url: "http://127.0.0.1:{port}/health"}}, every: 50ms, deadline: 1500ms}}
  steady_state: {{stable: 200ms}}
"""


@dataclass
class Got:
    """A span as it came over the wire."""

    span: trace_pb2.Span
    resource: dict[str, str | int]

    @property
    def told(self) -> dict[str, str | int]:
        return plain(self.span.attributes)

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def start(self) -> datetime:
        return instant(self.span.start_time_unix_nano)

    @property
    def end(self) -> datetime:
        return instant(self.span.end_time_unix_nano)

    @property
    def moments(self) -> dict[str, datetime]:
        return {event.name: instant(event.time_unix_nano) for event in self.span.events}


def plain(attributes: Iterable[KeyValue]) -> dict[str, str | int]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in attributes}


def instant(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC) + timedelta(microseconds=nanoseconds % 1_000_000_000 // 1000)


@dataclass
class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """A collector that keeps what it is given."""

    address: str = ""
    spans: list[Got] = field(default_factory=list)

    async def Export(  # noqa: N802 - gRPC's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: object
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        for group in request.resource_spans:
            resource = plain(group.resource.attributes)
            self.spans += [Got(span, resource) for scope in group.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def of(self, actor: str) -> dict[str, Got]:
        return {got.name: got for got in self.spans if got.told["actor"] == actor}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver, server = Receiver(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]  # generated
    receiver.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield receiver
    await server.stop(0)


@asynccontextmanager
async def serve(actor: str, url: str, folder: Path, **env: str) -> AsyncIterator[Process]:
    """A host as a process, which is told to stop at the end and killed if it does not."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "HTTP_PORT": "0", "GRPC_PORT": "0", "LOG_FORMAT": "json", **env}
    arguments = ("serve", "--actors", actor, "--nats", url, "--systems", str(folder))
    with (folder / f"{actor}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli.main", *arguments, cwd=folder, env=environment, stdout=PIPE, stderr=log
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def when_answering(connection: Connection) -> ControlClient:
    client = ControlClient(connection, Subjects(NAMESPACE), "test")
    while True:
        try:
            await client.runs()
        except NoAnswer:
            await asyncio.sleep(0.05)
        else:
            return client


async def publish(connection: Connection, traceparent: str | None = None) -> tuple[Journal, str]:
    """Publish the scenario; the journal, and the run's id."""
    await when_answering(connection)
    await ensure_topology(connection.js, NAMESPACE)
    journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
    await journal.last_sequence()
    run = new_run_id(journal.clock.now())
    headers = {"Nats-Msg-Id": run} | ({"traceparent": traceparent} if traceparent else {})
    await connection.js.publish(f"{NAMESPACE}.scenarios.k", SCENARIO.encode(), headers=headers)
    return journal, run


async def reported(journal: Journal, run: str) -> list[Line]:
    """Every line of the run, once its report is there."""
    while await journal.find(run, "reporter", "run", ReportPublished) is None:
        await asyncio.sleep(0.05)
    lines: list[Line] = []
    await journal.read_runs([run], await journal.last_sequence(), lines.append)
    return lines


async def terminate(processes: list[Process]) -> None:
    for process in processes:
        process.terminate()
    async with asyncio.timeout(20):
        for process in processes:
            await process.wait()


@pytest.mark.long
async def test_five_processes_export_one_trace_whose_spans_are_joined_and_have_the_journals_times(
    server: Server, receiver: Receiver, tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    (tmp_path / "small.yaml").write_text(system(unused_port()))
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address, "SERVICE_INSTANCE_NAME": "test-coordinator-Chaos1"}
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(serve(actor, server.url, tmp_path, **env)) for actor in ACTORS]
        connection = await stack.enter_async_context(connect(server.url, name="foreign"))
        lines = await reported(*await publish(connection, f"00-{PUBLISHER[0]}-{PUBLISHER[1]}-01"))
        await terminate(processes)

    spans = {got.span.span_id.hex(): got for got in receiver.spans}
    roots = [got for got in spans.values() if got.span.parent_span_id.hex() not in spans]
    by_actor = {actor: receiver.of(actor) for actor in ACTORS}
    assert len(spans) == len(receiver.spans), "no span came twice"
    assert {got.span.trace_id.hex() for got in spans.values()} == {PUBLISHER[0]}
    assert [(got.name, got.span.parent_span_id.hex()) for got in roots] == [("run restart", PUBLISHER[1])]
    assert len({got.resource["process.pid"] for got in spans.values()}) == 5
    assert {got.resource["service.instance.id"] for got in spans.values()} == {"test-coordinator-Chaos1"}
    assert by_actor["scheduler"].keys() == {"run restart", "settle", "phase chaos", "recover"}
    assert {"fault kill one", "arm", "inject", "revert", "start services", "stop services"} == by_actor["chaos-injector"].keys()
    assert {"observe settle", "observe chaos", "observe recover", "down one"} <= by_actor["observer"].keys()
    assert "assertion recovery back" in by_actor["validator"]
    assert by_actor["reporter"].keys() == {"report"}

    fault, arm, inject = (by_actor["chaos-injector"][name] for name in ("fault kill one", "arm", "inject"))
    armed = next(line for line in lines if isinstance(line.event, FaultArmed))
    injected = next(line for line in lines if isinstance(line.event, FaultInjected))
    assert isinstance(injected.event, FaultInjected)
    assert {spans[got.span.parent_span_id.hex()].name for got in (arm, inject)} == {"fault kill one"}
    assert spans[fault.span.parent_span_id.hex()].name == "phase chaos"
    assert arm.end == armed.at
    assert inject.end == injected.at - injected.event.ago
    assert inject.start == inject.end - injected.event.took
    assert fault.start < arm.end <= inject.start <= inject.end < fault.end
    assert fault.moments["gone"] == fault.end
    assert list(fault.moments) == ["armed", "injected", "effective", "undo requested", "reverted", "gone"]
    assert fault.told["run.id"] == lines[0].run
    assert (fault.told["target"], fault.told["action"], fault.told["scenario"]) == ("one", "kill", "restart")
    linked = {spans[link.span_id.hex()].name for link in by_actor["validator"]["assertion recovery back"].span.links}
    assert "fault kill one" in linked
    assert f'"trace_id": "{PUBLISHER[0]}"' in "".join(file.read_text() for file in tmp_path.glob("*.log"))


@pytest.mark.long
async def test_without_a_collector_that_answers_a_run_passes_all_the_same_and_it_is_said_once(
    server: Server, tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    (tmp_path / "small.yaml").write_text(system(unused_port()))
    dead = f"127.0.0.1:{unused_port()}"
    env = {"OTEL_EXPORTER_ENDPOINT": dead, "OTEL_INSECURE": "true", "OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_BSP_SCHEDULE_DELAY": "200"}
    async with serve("all", server.url, tmp_path, **env) as process, connect(server.url, name="foreign") as connection:
        lines = await reported(*await publish(connection))
        before = asyncio.get_running_loop().time()
        await terminate([process])
        took = asyncio.get_running_loop().time() - before

    log = (tmp_path / "all.log").read_text()
    finished = next(line.event for line in lines if isinstance(line.event, RunFinished))
    assert finished.verdict is Verdict.PASSED, finished
    assert process.returncode == 0
    assert took < 20
    assert log.count("traces.unexported") == 1
    assert "traces.lost" in log
    assert "Traceback" not in log
    assert trace_id_of(lines[0].traceparent or "") not in {"", PUBLISHER[0]}


def of_a_run(traceparent: str | None = None) -> list[Line]:
    """A journal that makes one span: that of the run."""
    scenario = Scenario.model_validate_json(
        '{"metadata": {"name": "s"}, "spec": {"system": "t", "phases": [{"name": "p", "duration": "1s"}]}}'
    )
    tested = System.model_validate_json('{"metadata": {"name": "t"}, "spec": {"services": {"one": {"driver": {"external": {}}}}}}')
    events = (
        RunAccepted(key="k", scenario=scenario, system=tested, submitted=BEGIN),
        RunFinished(verdict=Verdict.PASSED, reason=None, message="", cause=None, hint=None, position=1),
    )
    return [Recorded(event, "r", 0, "scheduler", "run", n, BEGIN, f"r.{n}", traceparent) for n, event in enumerate(events, start=1)]


class Counted:
    def __init__(self) -> None:
        self.exported = self.lost = 0

    def spans_exported(self, spans: int) -> None:
        self.exported += spans

    def spans_lost(self, spans: int) -> None:
        self.lost += spans


async def test_a_collector_that_takes_the_connection_and_never_answers_holds_nobody_up_for_more_than_two_seconds() -> None:
    counted, clock = Counted(), asyncio.get_running_loop().time
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = Collector(f"http://127.0.0.1:{silent.getsockname()[1]}", None)
        async with tracing(read_settings(), endpoint, counted) as exporting:
            watch = Watch((), (exporting,))
            watch.begin(0, ServerClock())
            for line in of_a_run():
                watch.sending(line.id)
                watch.deliver(line)
                watch.settled(line.id, ours=True)
            before = clock()
        took = clock() - before

    assert FLUSH_LIMIT - 0.1 < took < FLUSH_LIMIT + 4
    assert (counted.exported, counted.lost) == (0, 1)


@pytest.mark.parametrize(("flags", "exported"), [("01", 1), ("00", 0)])
async def test_a_publisher_that_does_not_want_its_trace_recorded_is_obeyed(receiver: Receiver, flags: str, exported: int) -> None:
    counted = Counted()
    async with tracing(read_settings(), Collector(receiver.address, None), counted) as exporting:
        watch = Watch(("scheduler",), (exporting,))
        watch.begin(2, ServerClock())
        for line in of_a_run(f"00-{PUBLISHER[0]}-{PUBLISHER[1]}-{flags}"):
            watch.deliver(line)

    assert (len(receiver.spans), counted.exported, counted.lost) == (exported, exported, 0)


@pytest.mark.long
async def test_the_trace_is_whole_though_the_scheduler_was_killed_with_spans_that_it_had_not_exported(
    server: Server, receiver: Receiver, tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    (tmp_path / "small.yaml").write_text(system(unused_port()))
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address}
    never = {**env, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(serve(actor, server.url, tmp_path, **env)) for actor in ACTORS[1:]]
        killed = await stack.enter_async_context(serve("scheduler", server.url, tmp_path, **never))
        connection = await stack.enter_async_context(connect(server.url, name="foreign"))
        journal, run = await publish(connection)
        while await journal.find(run, "chaos-injector", "kill", FaultInjected) is None:
            await asyncio.sleep(0.02)
        killed.kill()
        await killed.wait()
        assert "settle" not in receiver.of("scheduler")
        again = await stack.enter_async_context(serve("scheduler", server.url, tmp_path, **env))
        await reported(journal, run)
        await terminate([*others, again])

    spans = {got.span.span_id.hex(): got for got in receiver.spans}
    assert len(spans) == len(receiver.spans)
    assert receiver.of("scheduler").keys() == {"run restart", "settle", "phase chaos", "recover"}
    assert [got.name for got in spans.values() if not got.span.parent_span_id] == ["run restart"]
    assert all(got.span.parent_span_id.hex() in spans for got in spans.values() if got.name != "run restart")


@pytest.mark.parametrize(
    ("environ", "endpoint", "insecure"),
    [
        ({}, None, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, "http://c:4317", None),
        ({"OTEL_EXPORTER_ENDPOINT": "c:4317", "OTEL_INSECURE": "true"}, "c:4317", True),
        ({"OTEL_EXPORTER_ENDPOINT": "http://old:4317", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, "http://c:4317", None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "false"}, "c:4317", False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_SDK_DISABLED": "true"}, None, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, None, None),
    ],
)
def test_the_environment_says_where_traces_go(environ: dict[str, str], endpoint: str | None, *, insecure: bool | None) -> None:
    assert read_collector(environ) == (Collector(endpoint, insecure) if endpoint else None)


def test_without_a_collector_the_library_is_not_even_loaded() -> None:
    code = "import sys, deploy.serving; print([name for name in sys.modules if name.startswith('opentelemetry')])"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"


def test_the_environment_goes_before_what_is_said_of_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=trading-ecosystem,team=chaos")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "coordinator")

    told = resource(read_settings()).attributes

    assert (told["service.namespace"], told["team"], told["service.name"]) == ("trading-ecosystem", "chaos", "coordinator")
    assert told["service.instance.id"] == "test-coordinator"
