"""Who listens on this machine, and which files he has open, read from proc(5); and whether one can listen."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress

from targets.identity import PROC, read_proc

_LISTENS = b"0A"


def listeners(port: int) -> dict[str, tuple[int, ...]]:
    """Each socket that listens on this TCP port, at any address, with those of the processes that hold it that are ours to look at."""
    sockets = set(_listening(port))
    holders = [(pid, sockets.intersection(_open(pid))) for pid in _pids()] if sockets else []
    return {found: tuple(pid for pid, held in holders if found in held) for found in sockets}


def occupied(host: str, port: int) -> str:
    """Why nobody can listen there, if so: gRPC would not say, and would write lines of its own to standard error."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def open_files(pid: int) -> Iterator[tuple[str, int]]:
    """The path and the device of each regular file that the process has open; none if it is gone, or not ours to look at."""
    for descriptor, path in _descriptors(pid):
        with suppress(OSError):
            found = os.stat(descriptor)  # noqa: PTH116 - the file itself, though its path leads elsewhere for us
            if stat.S_ISREG(found.st_mode):
                yield path, found.st_dev


def _listening(port: int) -> Iterator[str]:
    for table in ("net/tcp", "net/tcp6"):
        with suppress(OSError):  # a machine may have no IPv6
            for line in read_proc(os.getpid(), table).splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(b":")[2], 16) == port:
                    yield f"socket:[{int(fields[9])}]"


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir(PROC) if name.isdecimal())  # noqa: PTH208 - only the names


def _open(pid: int) -> Iterator[str]:
    return (path for _, path in _descriptors(pid))


def _descriptors(pid: int) -> Iterator[tuple[str, str]]:
    """Each open descriptor, as a path in proc, and what it leads to."""
    folder = f"{PROC}/{pid}/fd"
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - only the names
            with suppress(OSError):
                yield f"{folder}/{name}", os.readlink(f"{folder}/{name}")  # noqa: PTH115 - a tenth of the cost
