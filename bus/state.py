"""The folder of the embedded server's state: one process holds it at a time, and says in it where its server is."""

import fcntl
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from bus.errors import StateInUse, StateUnusable

_ATTEMPTS = 5
"""`live_server` holds the lock for a moment: who opens then tries again."""


class StateFolder:
    """A state folder that this process holds until it closes it, or dies."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Take the folder, making it if need be. What a killed process left in it is no hindrance.

        Raises:
            StateInUse: a live process holds it; its server's address, once announced, is in the error.
            StateUnusable: it cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateUnusable(folder, _reason(error)) from error
        held = cls(folder, lock)
        try:
            held._take()
            held._write(None)
        except BaseException:
            os.close(lock)
            raise
        return held

    def announce(self, url: str) -> None:
        """Say where the server of this folder listens, for `live_server`."""
        self._write(url)

    def close(self) -> None:
        """Give the folder free."""
        with suppress(OSError):
            os.ftruncate(self._lock, 0)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _take(self) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if attempt < _ATTEMPTS - 1:
                    time.sleep(0.005)
            except OSError as error:
                raise StateUnusable(self.folder, _reason(error)) from error
            else:
                return
        pid, url = _holder(self._lock)
        raise StateInUse(self.folder, pid, url)

    def _write(self, url: str | None) -> None:
        started = datetime.now(UTC).isoformat(timespec="seconds")  # noqa: TID251  for people who look into the file
        note = json.dumps({"pid": os.getpid(), "url": url, "started": started}).encode()
        try:
            os.pwrite(self._lock, note.ljust(256) + b"\n", 0)
        except OSError as error:
            raise StateUnusable(self.folder, _reason(error)) from error


def live_server(folder: Path) -> str | None:
    """The address of the server whose process holds the folder; None if nobody does, or if it has not announced one yet."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(lock)[1]
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(lock)


def default_folder(namespace: str, environ: Mapping[str, str]) -> Path:
    """Where the state of a namespace lives unless told otherwise (XDG Base Directory Specification: relative values do not count)."""
    configured = environ.get("XDG_STATE_HOME", "")
    home = Path(environ.get("HOME") or "~").expanduser()
    root = Path(configured) if configured.startswith("/") else home / ".local" / "state"
    return root / "test-coordinator" / namespace


def _holder(lock: int) -> tuple[int | None, str | None]:
    try:
        note = json.loads(os.pread(lock, 4096, 0))
        return int(note["pid"]), note["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _reason(error: OSError) -> str:
    return f"{error.strerror or error} ({error.filename})" if error.filename else error.strerror or str(error)
