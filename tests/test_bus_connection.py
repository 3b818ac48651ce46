import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import uvloop
from structlog.testing import capture_logs

from bus.connection import Connection, connect, without_secrets
from bus.errors import BusError, JetStreamMissing, PermissionViolation, Unreachable
from bus.server import Server, embedded_server, find_binary

SHORT = timedelta(milliseconds=400)
IN_TIME = 2
"""Seconds that a busy machine may take for what is given up after SHORT."""
LONG = timedelta(seconds=20)
AT_ONCE = 8
"""Seconds that a busy machine may take for what needs none of LONG."""
USERS = """
authorization { users = [
  { user: all, password: right }
  { user: few, password: right, permissions: { publish: ["$JS.API.>", "fine.>"], subscribe: ["_INBOX.>"] } }
] }
"""


@asynccontextmanager
async def plain_server(folder: Path, port: int, configuration: str, *arguments: str) -> AsyncIterator[None]:
    """A nats-server with its own configuration, as somebody else would run it."""
    (folder / "conf").write_text(configuration)
    command = [str(find_binary()), "-c", str(folder / "conf"), "-a", "127.0.0.1", "-p", str(port), *arguments]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            await process.stderr.readuntil(b"Server is ready\n")
        yield
    finally:
        process.terminate()
        await process.communicate()


async def refused(url: str, limit: timedelta = SHORT) -> tuple[Unreachable, float]:
    """How connecting fails, and after how many seconds."""
    started = time.monotonic()
    with pytest.raises(Unreachable) as failed:
        async with connect(url, name="nobody", timeout=limit):
            pytest.fail("connected")
    return failed.value, time.monotonic() - started


async def test_a_port_that_refuses_is_unreachable_in_time(unused_port: Callable[[], int]) -> None:
    error, took = await refused(f"nats://127.0.0.1:{unused_port()}")

    assert "Connect call failed" in error.why
    assert took < IN_TIME


async def test_a_port_that_says_nothing_is_unreachable_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error, took = await refused(f"nats://127.0.0.1:{silent.getsockname()[1]}")

    assert "no answer within 0.4 s" in error.why
    assert took < IN_TIME


async def test_a_name_that_nobody_knows_is_unreachable_in_time() -> None:
    error, took = await refused("nats://nowhere.invalid:4222")

    assert "no answer within 0.4 s" in error.why
    assert took < IN_TIME


@pytest.mark.parametrize("url", ["", " , ", "nats://", "nats://host:port", "nats://127.0.0.1:99999"])
async def test_what_is_no_address_is_unreachable_at_once(url: str) -> None:
    _, took = await refused(url, LONG)

    assert took < AT_ONCE


async def test_a_silent_address_does_not_hide_a_living_one(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"127.0.0.1:{silent.getsockname()[1]}, {server.url.removeprefix('nats://')}"
        async with connect(url, name="two") as connection:
            await connection.js.account_info()


async def test_a_server_without_jetstream_is_named(tmp_path: Path, unused_port: Callable[[], int]) -> None:
    port = unused_port()
    async with plain_server(tmp_path, port, ""):
        error, took = await refused(f"nats://127.0.0.1:{port}", LONG)

    assert isinstance(error, JetStreamMissing)
    assert took < AT_ONCE


async def test_a_wrong_password_fails_at_once_and_is_not_shown(tmp_path: Path, unused_port: Callable[[], int]) -> None:
    port = unused_port()
    async with plain_server(tmp_path, port, USERS, "-js", "-sd", str(tmp_path)):
        with capture_logs() as logs:
            error, took = await refused(f"nats://all:wr0ng@127.0.0.1:{port}", LONG)

    assert "Authorization Violation" in error.why
    assert took < AT_ONCE
    assert "wr0ng" not in f"{error} {error.url} {logs}"


async def test_the_right_password_connects_and_is_not_kept_for_show(tmp_path: Path, unused_port: Callable[[], int]) -> None:
    port = unused_port()
    async with (
        plain_server(tmp_path, port, USERS, "-js", "-sd", str(tmp_path)),
        connect(f"nats://all:right@127.0.0.1:{port}", name="all") as connection,
    ):
        assert connection.url == f"nats://127.0.0.1:{port}"


async def test_a_missing_permission_is_told_once_with_the_subject(tmp_path: Path, unused_port: Callable[[], int]) -> None:
    port, told = unused_port(), asyncio.Queue[BusError]()
    async with (
        plain_server(tmp_path, port, USERS, "-js", "-sd", str(tmp_path)),
        connect(f"nats://few:right@127.0.0.1:{port}", name="few", on_closed=told.put_nowait) as connection,
    ):
        await connection.nc.publish("evil.one", b"")
        await connection.nc.publish("evil.two", b"")
        await connection.nc.flush()
        async with asyncio.timeout(10):
            error = await told.get()
        await connection.nc.flush()

        assert isinstance(error, PermissionViolation)
        assert error.subject == "evil.one"
        assert told.empty()


async def test_a_client_comes_back_after_a_restart_and_says_so(server: Server) -> None:
    with capture_logs() as logs:
        async with connect(server.url, name="client") as connection:
            os.kill(server.pid, signal.SIGKILL)
            await server.watch()
            await server.restart()
            async with asyncio.timeout(10):
                await connection.js.account_info()

    assert [log["event"] for log in logs if log["log_level"] != "debug"] == ["connection.lost", "connection.restored"]


async def test_the_inbox_prefix_is_used(server: Server) -> None:
    async with connect(server.url, name="own", inbox_prefix="_INBOX_own") as connection:
        assert connection.nc.new_inbox().startswith("_INBOX_own.")


async def test_what_was_published_last_arrives_before_the_end(server: Server, connection: Connection) -> None:
    subscription = await connection.nc.subscribe("last")
    await connection.nc.flush()

    async with connect(server.url, name="brief") as brief:
        await brief.nc.publish("last", b"words")

    assert (await subscription.next_msg(timeout=10)).data == b"words"


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_end_is_bounded_when_the_server_is_dead_or_hangs(server: Server, blow: signal.Signals) -> None:
    async with connect(server.url, name="client") as connection:
        await connection.js.pull_subscribe("$JS.EVENT.>", stream=(await connection.js.add_stream(name="S", subjects=["s"])).config.name)
        os.kill(server.pid, blow)
        started = time.monotonic()

    took = time.monotonic() - started
    if blow == signal.SIGSTOP:
        os.kill(server.pid, signal.SIGCONT)
    assert took < 10  # otherwise a pull would be waited for for 30 s


def test_the_end_is_quiet_on_uvloop_too_when_the_server_has_just_died(tmp_path: Path) -> None:
    async def use() -> bool:
        async with embedded_server(tmp_path / "nats") as server, connect(server.url, name="client") as connection:
            os.kill(server.pid, signal.SIGKILL)
            await connection.nc.publish("last", b"words")
        return True

    assert uvloop.run(use())


async def test_a_cancelled_user_ends_in_time_and_stays_cancelled(server: Server) -> None:
    connected = asyncio.Event()

    async def use() -> None:
        async with connect(server.url, name="client"):
            connected.set()
            await asyncio.sleep(60)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        user = tasks.create_task(use())
        await connected.wait()
        user.cancel()

    assert user.cancelled()


async def test_an_error_of_the_caller_passes_unchanged(server: Server) -> None:
    with pytest.raises(ZeroDivisionError):
        async with connect(server.url, name="client"):
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://me:p@ss@h:1,nats://tok@g", "nats://h:1,nats://g"),
        ("me:pw@h:1", "h:1"),
        ("h:1", "h:1"),
        ("tls://h", "tls://h"),
    ],
)
def test_secrets_are_left_out_of_addresses(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
