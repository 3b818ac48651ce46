import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import grpc.aio
import pytest
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]

from messages.checks import CommandCheck, GrpcCheck, Health, HttpCheck, TcpCheck
from targets.health import HealthProber, process_sample
from targets.identity import identify, live_processes
from targets.polling import until
from tests.ports import free_port

SHORT = timedelta(milliseconds=100)
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def prober() -> AsyncIterator[HealthProber]:
    async with HealthProber() as prober:
        yield prober


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """A server on loopback; its address. Its connections are over when it is left."""
    idle = asyncio.Event()
    idle.set()
    out = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal out
        out += 1
        idle.clear()
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        out -= 1
        if not out:
            idle.set()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with asyncio.timeout(5):
        await idle.wait()


def http(status: str, body: str = "", *headers: str) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]
        writer.write("\r\n".join(lines).encode())
        await reader.read()

    return answer


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, and never answers; ends when the client has closed."""
    await reader.read()


def refusing() -> str:
    return f"127.0.0.1:{free_port()}"


@asynccontextmanager
async def grpc_serving(status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> AsyncIterator[str]:
    servicer = health_aio.HealthServicer()
    await servicer.set("", status)
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def error_of(prober: HealthProber, health: Health) -> str:
    sample = await prober.check(health)
    assert sample.ok is (sample.check == "")
    return f"{sample.check}: {sample.error}" if sample.check else ""


@pytest.mark.parametrize(
    ("answer", "expect", "error"),
    [
        (http("200 OK"), "status == 200", ""),
        (http("503 Sad"), "status == 200", "http: status 503, expected status == 200"),
        (http("302 Found", "", "Location: /other"), "status == 302", ""),
        (http("200 OK", '{"db": "up"}'), "json.db == 'up'", ""),
        (http("200 OK", '{"db": "down"}'), "json.db == 'up'", """http: status 200 '{"db": "down"}', expected json.db == 'up'"""),
        (http("200 OK", "{}"), "json.db == 'up'", "http: status 200, json.db == 'up' cannot be evaluated: there is no 'db'"),
        (http("200 OK", "fine"), "body == 'fine' && json == null", ""),
        (http("200 OK", "x" * 200_000), "size(body) == 65536", ""),
        (http("200 OK", "", "X-Role: leader"), "headers['x-role'] == 'leader'", ""),
    ],
)
async def test_an_http_answer_is_judged_by_what_is_expected(prober: HealthProber, answer: Answer, expect: str, error: str) -> None:
    async with serving(answer) as address:
        assert await error_of(prober, Health(http=HttpCheck(url=f"http://{address}/health", expect=expect))) == error


async def test_an_http_connection_is_not_kept(prober: HealthProber) -> None:
    asked: list[bytes] = []
    closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
        await reader.read()
        closed.set()

    async with serving(answer) as address, asyncio.timeout(5):
        await prober.check(Health(http=HttpCheck(url=f"http://{address}/")))

        await closed.wait()
    assert b"connection: close" in asked[0].lower()


@pytest.mark.parametrize("kind", ["http", "grpc"])
async def test_a_server_that_never_answers_runs_out_of_time_and_is_let_go(prober: HealthProber, kind: str) -> None:
    closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        closed.set()

    async with serving(answer) as address, asyncio.timeout(5):
        checks = {"http": Health(http=HttpCheck(url=f"http://{address}/")), "grpc": Health(grpc=GrpcCheck(address=address))}
        sample = await prober.check(checks[kind], deadline=SHORT)

        await closed.wait()
    assert (sample.ok, sample.check, sample.error) == (False, kind, "no answer within 100ms")
    assert SHORT <= sample.took < checks[kind].deadline


@pytest.mark.parametrize(
    ("health", "error"),
    [
        (Health(http=HttpCheck(url="http://{}/")), "http: connection refused"),
        (Health(tcp=TcpCheck(address="127.0.0.1:1")), "tcp: connection refused"),
        (Health(grpc=GrpcCheck(address="127.0.0.1:1")), "grpc: UNAVAILABLE: connection refused"),
        (Health(http=HttpCheck(url="http://127.0.0.1:99999/")), "http: the URL is not valid"),
        (Health(tcp=TcpCheck(address="127.0.0.1:99999")), "tcp: there is no port 99999"),
        (Health(grpc=GrpcCheck(address="127.0.0.1:99999")), "grpc: there is no port 99999"),
        (Health(command=CommandCheck(argv=("no-such-program",))), "command: there is no program on the PATH called 'no-such-program'"),
    ],
)
async def test_who_cannot_be_reached_is_a_failed_sample_with_a_short_reason(prober: HealthProber, health: Health, error: str) -> None:
    if health.http is not None:
        health = Health(http=HttpCheck(url=health.http.url.replace("{}", refusing())))

    assert await error_of(prober, health) == error


@pytest.mark.parametrize(("answer", "error"), [(b"", "connection closed without an answer"), (b"hello\r\n\r\n", "the answer is not HTTP")])
async def test_what_is_no_http_server_is_told_apart(prober: HealthProber, answer: bytes, error: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with serving(talk) as address:
        assert (await error_of(prober, Health(http=HttpCheck(url=f"http://{address}/")))).startswith(f"http: {error}")


async def test_an_accepted_connection_is_a_good_tcp_check_and_closed_at_once(prober: HealthProber) -> None:
    closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()

    async with serving(answer) as address, asyncio.timeout(5):
        assert (await prober.check(Health(tcp=TcpCheck(address=address)))).ok

        await closed.wait()


async def test_grpc_health_is_read_from_a_real_server(prober: HealthProber) -> None:
    async with grpc_serving(health_pb2.HealthCheckResponse.SERVING) as address:
        assert await error_of(prober, Health(grpc=GrpcCheck(address=address))) == ""
        assert await error_of(prober, Health(grpc=GrpcCheck(address=address, service="other"))) == "grpc: NOT_FOUND"
    async with grpc_serving(health_pb2.HealthCheckResponse.NOT_SERVING) as address:
        assert await error_of(prober, Health(grpc=GrpcCheck(address=address))) == "grpc: NOT_SERVING"


async def test_a_grpc_server_that_comes_up_is_seen_at_once_after_refusals(prober: HealthProber) -> None:
    servicer = health_aio.HealthServicer()
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    health = Health(grpc=GrpcCheck(address=f"127.0.0.1:{port}"))
    for _ in range(5):
        assert not (await prober.check(health, deadline=SHORT)).ok

    await server.start()
    try:
        assert (await prober.check(health)).ok
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("script", "expect", "error"),
    [
        ("exit 0", "code == 0", ""),
        ("echo PONG", "stdout == 'PONG'", ""),
        ("echo sad >&2; exit 3", "code == 0", "command: code 3 'sad', expected code == 0"),
        ("kill -9 $$", "code == 0", "command: code -9, expected code == 0"),
        ("exit 0", "colour == 1", "command: code 0, colour == 1 cannot be evaluated: "),
    ],
)
async def test_a_command_is_judged_by_how_it_ends(prober: HealthProber, script: str, expect: str, error: str) -> None:
    result = await error_of(prober, Health(command=CommandCheck(argv=("sh", "-c", script), expect=expect)))

    assert result.startswith(error) if error else result == ""


def with_marker(marker: str) -> list[int]:
    """The pids of live processes that have this text in their command line."""
    found = []
    for stat in live_processes():
        with suppress(OSError), open(f"/proc/{stat.pid}/cmdline", "rb") as file:  # noqa: PTH123
            if marker.encode() in file.read():
                found.append(stat.pid)
    return found


async def test_a_command_is_ended_at_its_deadline_with_all_that_it_started(prober: HealthProber) -> None:
    marker = f"7000.{uuid.uuid4().int}"
    health = Health(command=CommandCheck(argv=("sh", "-c", f"sleep {marker} & sleep {marker} & wait")))

    sample = await prober.check(health, deadline=SHORT)

    assert (sample.check, sample.error) == ("command", "no answer within 100ms")
    async with asyncio.timeout(5):
        await until(lambda: with_marker(marker) == [], poll=0.005)


async def test_a_cancelled_command_check_leaves_no_process(prober: HealthProber) -> None:
    marker = f"8000.{uuid.uuid4().int}"
    health = Health(command=CommandCheck(argv=("sleep", marker)))

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(prober.check(health))
        await until(lambda: with_marker(marker) != [], poll=0.002)
        (pid,) = with_marker(marker)
        task.cancel()

    async with asyncio.timeout(5):
        await until(lambda: identify(pid) is None and not os.path.exists(f"/proc/{pid}"), poll=0.002)  # noqa: PTH110


async def test_a_command_that_floods_its_output_is_cut_off(prober: HealthProber) -> None:
    assert "Operation not permitted" in await error_of(prober, Health(command=CommandCheck(argv=("yes",))))


async def test_all_checks_must_be_good_and_the_first_bad_one_decides(prober: HealthProber) -> None:
    async with serving(silence) as hanging, serving(http("200 OK")) as good:
        both = Health(http=HttpCheck(url=f"http://{good}/"), tcp=TcpCheck(address=good))
        one = Health(http=HttpCheck(url=f"http://{hanging}/"), tcp=TcpCheck(address=refusing()))

        assert (await prober.check(both)).ok
        sample = await prober.check(one)

    assert (sample.check, sample.error) == ("tcp", "connection refused")
    assert sample.took < timedelta(seconds=1)


async def test_letting_go_waits_for_the_checks_that_are_out(prober: HealthProber) -> None:
    async with serving(silence) as address, asyncio.TaskGroup() as group:
        health = Health(http=HttpCheck(url=f"http://{address}/"), deadline=SHORT)
        task = group.create_task(prober.check(health))
        await asyncio.sleep(0)

        await prober.let_go(health)

        assert task.done()


async def test_nothing_stays_open_after_many_checks(prober: HealthProber) -> None:
    async with serving(http("200 OK")) as address:
        health = Health(http=HttpCheck(url=f"http://{address}/"), tcp=TcpCheck(address=address), command=CommandCheck(argv=("true",)))
        await prober.check(health)
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

        for _ in range(20):
            await prober.check(health)

        async with asyncio.timeout(5):
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before, poll=0.005)  # noqa: PTH208


def test_a_process_is_the_health_of_a_service_without_checks() -> None:
    here = identify(os.getpid())
    assert here is not None

    assert process_sample(here).ok
    assert process_sample(here.model_copy(update={"started": 1})).check == "process"
    assert process_sample(None).check == "process"


def test_checks_on_uvloop() -> None:
    async def run() -> list[str]:
        async with HealthProber() as prober, serving(http("200 OK")) as address:
            return [
                await error_of(prober, Health(http=HttpCheck(url=f"http://{address}/"), tcp=TcpCheck(address=address))),
                await error_of(prober, Health(command=CommandCheck(argv=("true",)))),
                await error_of(prober, Health(grpc=GrpcCheck(address=refusing()))),
            ]

    assert uvloop.run(run()) == ["", "", "grpc: UNAVAILABLE: connection refused"]
