"""The folder of the embedded server's state: one process holds it at a time, and says in it who it is and where its server is."""

import fcntl
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from bus.errors import StateInUse, StateUnusable

LAYOUT = 1
"""The version of what is in the folder. Another number is another way to keep state, which this version of the program does not read."""
_ATTEMPTS = 5
"""`live_server` holds the lock for a moment: who opens then tries again."""


@dataclass(frozen=True)
class Holder:
    """The process that has a folder, as it says itself; nothing is known of one that is just taking it."""

    pid: int | None = None
    url: str | None = None
    """Where its server listens, once it does."""
    guard: bool = False
    """It only ends what a killed process left open, and then gives the folder free."""


class StateFolder:
    """A state folder that this process holds until it closes it, or dies."""

    def __init__(self, folder: Path, lock: int, *, guard: bool = False) -> None:
        self.folder = folder
        self._lock = lock
        self._guard = guard
        self._before = b""

    @classmethod
    def open(cls, folder: Path, *, guard: bool = False) -> Self:
        """Take the folder, making it if need be. What a killed process left in it is no hindrance. See `Holder` for `guard`.

        Raises:
            StateInUse: a live process holds it; its server's address, once announced, is in the error.
            StateUnusable: it cannot be written, or holds state of another layout; nothing in it was touched then.
        """
        try:
            _check_layout(folder)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateUnusable(folder, _reason(error)) from error
        held = cls(folder, lock, guard=guard)
        try:
            held._take()
            held._before = os.pread(lock, 4096, 0)
            held._write(None)
            held._write_layout()
        except BaseException:
            os.close(lock)
            raise
        return held

    def announce(self, url: str) -> None:
        """Say where the server of this folder listens, for `live_server`."""
        self._before = b""
        self._write(url)

    def close(self) -> None:
        """Give the folder free. Who announced nothing has only looked into it: the note of a holder that died stays for the next one."""
        with suppress(OSError):
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, self._before, 0)
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
        holding = _noted(self._lock)
        raise StateInUse(self.folder, holding.pid, holding.url)

    def _write_layout(self) -> None:
        file, draft = self.folder / "version", self.folder / "version.new"
        try:
            if not file.exists():
                draft.write_text(f"{LAYOUT}\n", encoding="ascii")
                draft.replace(file)
        except OSError as error:
            raise StateUnusable(self.folder, _reason(error)) from error

    def _write(self, url: str | None) -> None:
        started = datetime.now(UTC).isoformat(timespec="seconds")  # noqa: TID251  for people who look into the file
        note = json.dumps({"pid": os.getpid(), "url": url, "guard": self._guard, "started": started}).encode()
        try:
            os.pwrite(self._lock, note.ljust(256) + b"\n", 0)
        except OSError as error:
            raise StateUnusable(self.folder, _reason(error)) from error


def live_server(folder: Path) -> str | None:
    """The address of the server whose process holds the folder; None if nobody does, or if it has not announced one yet."""
    found = holder(folder)
    return found.url if found is not None else None


def holder(folder: Path) -> Holder | None:
    """The process that holds the folder; None if nobody does."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _noted(lock)
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(lock)


def last_holder(folder: Path) -> int | None:
    """The process id of the last holder if it died without giving the folder free. Ask while nobody holds it."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _noted(lock).pid
    finally:
        os.close(lock)


def default_folder(namespace: str, environ: Mapping[str, str]) -> Path:
    """Where the state of a namespace lives unless told otherwise (XDG Base Directory Specification: relative values do not count)."""
    configured = environ.get("XDG_STATE_HOME", "")
    home = Path(environ.get("HOME") or "~").expanduser()
    root = Path(configured) if configured.startswith("/") else home / ".local" / "state"
    return root / "test-coordinator" / namespace


def _check_layout(folder: Path) -> None:
    """The store is looked for first: who makes one has written the version before.

    Raises:
        StateUnusable: the folder holds state of another layout.
    """
    has_store, file = (folder / "jetstream").is_dir(), folder / "version"
    try:
        found = file.read_text(encoding="ascii", errors="replace").strip()[:20]
    except (FileNotFoundError, NotADirectoryError):
        found = "0" if has_store else str(LAYOUT)
    if found != str(LAYOUT):
        what = f"it holds state of layout {found or 'unknown'}, and this version of test-coordinator reads layout {LAYOUT} only"
        raise StateUnusable(folder, what, "use the version that wrote it")


def _noted(lock: int) -> Holder:
    try:
        note = json.loads(os.pread(lock, 4096, 0))
        return Holder(int(note["pid"]), note["url"], bool(note.get("guard")))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()


def _reason(error: OSError) -> str:
    return f"{error.strerror or error} ({error.filename})" if error.filename else error.strerror or str(error)
