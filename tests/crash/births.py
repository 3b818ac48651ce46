"""Hosts without the second that each would take to load the same modules: one process has them and forks for every host."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

HOST = Path(__file__).with_name("host.py")


class Host:
    """A process that is not a child of this one; known by a descriptor, so that no other is ever taken for it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._over = asyncio.Event()
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._over.set()
        else:
            asyncio.get_running_loop().add_reader(self._descriptor, self._end)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._over.set()

    async def wait(self) -> None:
        """Until it has ended."""
        await self._over.wait()

    async def kill(self) -> None:
        """End it with -9, if it has not ended; returns when it has."""
        if not self._over.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        await self.wait()


class Mother:
    """The process that forks."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._in_use = asyncio.Lock()

    async def bear(self, *arguments: str, environment: dict[str, str], log: Path) -> Host:
        """A host with these arguments on its command line, and these variables beside ours; its output goes into the log."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("no pipes")
        wanted = {"arguments": arguments, "environment": environment, "log": str(log)}
        async with self._in_use:
            self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
            return Host(int(await self._process.stdout.readline()))


@asynccontextmanager
async def mother() -> AsyncIterator[Mother]:
    """Until the block ends; its hosts outlive it."""
    process = await asyncio.create_subprocess_exec(sys.executable, str(HOST), stdin=PIPE, stdout=PIPE)
    try:
        yield Mother(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
