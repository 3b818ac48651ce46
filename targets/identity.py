"""Which process it is, read from proc(5)."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from messages.identity import Identity

PROC = Path("/proc")
_PIECE = 65536
_EXEC_LOOKS, _EXEC_POLL = 500, 0.001
"""A program is loaded within microseconds, but its process may have to wait for a processor meanwhile. Who looks does nothing else for so
long, half a second: far less than the leases that it has to renew."""


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """One reading of /proc/<pid>/stat."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    threads: int
    started: int
    environ_size: int | None
    """Bytes of the environment that its program was loaded with; None in the midst of execve(2), or if it is not ours to read."""

    @property
    def ended(self) -> bool:
        """It is a zombie. A leading thread that ended before others shows as one too, but the process lives on in them."""
        return self.state in "ZX" and self.threads <= 1

    @property
    def halted(self) -> bool:
        """It is stopped by a signal."""
        return self.state == "T"

    @property
    def identity(self) -> Identity:
        """Which process was read."""
        return Identity(pid=self.pid, started=self.started, boot=boot_id())


@lru_cache(maxsize=1)
def boot_id() -> str:
    """The id of this boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()


def read_proc(pid: int, name: str) -> bytes:
    """A file of the process. Whole systems are scanned, so it takes the shortest way: a tenth of what pathlib needs.

    Raises:
        OSError: the process is gone, or the file is not ours to read.
    """
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, _PIECE)
        while len(text) % _PIECE == 0 and (more := os.read(fd, _PIECE)):
            text += more
        return text
    finally:
        os.close(fd)


def read_environ(pid: int) -> bytes:
    """The environment of a process, entries ended by NUL. In the midst of execve(2) it cannot be read, and seems empty: that is waited for.

    Raises:
        OSError: the process is gone, or it is not ours to read.
    """
    for _ in range(_EXEC_LOOKS):
        environ = read_proc(pid, "environ")
        if environ or (stat := read_stat(pid)) is None or stat.ended or stat.environ_size == 0:
            break
        time.sleep(_EXEC_POLL if stat.environ_size is None else 0)
    return environ


def read_stat(pid: int) -> ProcessStat | None:
    """The process of this pid as it is now, zombies included; None if there is none."""
    try:
        text = read_proc(pid, "stat")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcessStat(
        pid=pid,
        state=fields[0].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        threads=int(fields[17]),
        started=int(fields[19]),
        environ_size=_size(int(fields[47]), int(fields[48])),
    )


def _size(start: int, end: int) -> int | None:
    return end - start if end else None


def live_processes() -> Iterator[ProcessStat]:
    """All processes that have not ended, in no order."""
    for name in os.listdir(PROC):  # noqa: PTH208 - see read_proc
        if name.isdecimal():
            stat = read_stat(int(name))
            if stat is not None and not stat.ended:
                yield stat


def of_session(session: int) -> Iterator[ProcessStat]:
    """The processes of a session that have not ended, in no order; a tenth of the cost of reading all."""
    for name in os.listdir(PROC):  # noqa: PTH208 - see read_proc
        if name.isdecimal() and _session_of(int(name)) == session:
            stat = read_stat(int(name))
            if stat is not None and not stat.ended:
                yield stat


def session_leaders() -> Iterator[ProcessStat]:
    """The processes that lead a session and have not ended, in no order."""
    for name in os.listdir(PROC):  # noqa: PTH208 - see read_proc
        if name.isdecimal() and _session_of(int(name)) == int(name):
            stat = read_stat(int(name))
            if stat is not None and not stat.ended:
                yield stat


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def identify(pid: int) -> Identity | None:
    """The live process that has this pid; None if it is gone or a zombie."""
    stat = read_stat(pid)
    return None if stat is None or stat.ended else stat.identity


def is_alive(identity: Identity) -> bool:
    """Whether this very process is there and no zombie; another process with its pid does not count."""
    return identify(identity.pid) == identity
