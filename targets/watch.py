"""Being told when a process ends, whoever started it."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Self

from messages.identity import Identity
from targets.identity import boot_id, is_alive, read_stat

POLL = 0.02
"""Seconds between two looks where the kernel has no pidfd to wait on."""


class Watch:
    """Tells when one process ends, and reaps it at once if it is a child of this process.

    Waits on a pidfd, which works for processes that others started; where there is none, it polls.
    """

    def __init__(self, identity: Identity, on_end: Callable[["Watch"], None] | None = None) -> None:
        self.identity = identity
        self.exit_code: int | None = None
        """Negative for a signal; None while it runs, and for processes that are not our children."""
        self._on_end = on_end
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fd = _open_pidfd(identity.pid)
        if not _is_same(identity):
            self._finish()
        elif self._fd is None:
            self._poll()
        else:
            self._loop.add_reader(self._fd, self._reap)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        """Whether the process has ended, as far as was seen."""
        return self._ended.is_set()

    async def wait(self) -> None:
        """Until the process has ended."""
        await self._ended.wait()

    async def wait_for(self, within: timedelta) -> bool:
        """Until the process has ended, at most this long; whether it has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                await self._ended.wait()
        return self.ended

    def close(self) -> None:
        """Stops watching; the process is left as it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def _reap(self) -> None:
        if self._fd is not None:
            self.exit_code = _exit_code(os.P_PIDFD, self._fd)
        self._finish()

    def _poll(self) -> None:
        if is_alive(self.identity):
            self._timer = self._loop.call_later(POLL, self._poll)
            return
        if _is_same(self.identity):
            self.exit_code = _exit_code(os.P_PID, self.identity.pid)
        self._finish()

    def _finish(self) -> None:
        self.close()
        self._ended.set()
        if self._on_end is not None:
            self._on_end(self)


def _open_pidfd(pid: int) -> int | None:
    # Old kernels have none, some container runtimes forbid them, and descriptors can run out.
    with suppress(OSError):
        return os.pidfd_open(pid)
    return None


def _is_same(identity: Identity) -> bool:
    """Whether it is there, as a zombie too: our child keeps its pid until it is reaped."""
    stat = read_stat(identity.pid)
    return stat is not None and stat.started == identity.started and identity.boot == boot_id()


def _exit_code(kind: int, number: int) -> int | None:
    try:
        result = os.waitid(kind, number, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
