"""A coordinator with a bus of its own has a guard: a process that outlives it, to end what it leaves open when it is killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import structlog
from pydantic import ValidationError

from deploy.settings import Settings
from messages.values import Message
from messages.verdicts import Verdict

_log = structlog.get_logger("deploy.guarding")
_ROOT = Path(__file__).resolve().parent.parent
_BECOME = "import sys; sys.path.insert(0, sys.argv.pop(1)); from deploy.guard_process import main; main()"
_LEAVE_LIMIT = 5.0
NOTE = "guard.json"
"""What the last guard did, until a start has told it."""


class EndedRun(Message):
    """A run that a guard found open."""

    run_id: str
    scenario: str
    verdict: Verdict | None
    """None: it was not over in time."""
    undone: int
    """Faults that were active when their process died, and are not any more."""
    stopped: int
    """Services that ran when their process died, and do not any more."""


class GuardNote(Message):
    """What a guard did."""

    pid: int
    """The process that died."""
    runs: tuple[EndedRun, ...]


class Guard:
    """The guard of this process, while it only waits. Made by `guarded`."""

    def __init__(self, process: "subprocess.Popen[bytes]", pipe: int) -> None:
        self.pid = process.pid
        self._process = process
        self._pipe = pipe
        self._dismissed = False

    def dismiss(self) -> None:
        """Say that nothing is left open: the guard ends."""
        self._dismissed = True
        with suppress(OSError):
            os.write(self._pipe, b"\n")

    def close(self) -> None:
        """Wait for the end of a guard that was dismissed. Any other begins, and takes the state folder when it is free."""
        os.close(self._pipe)
        if self._dismissed:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LEAVE_LIMIT)
        # One that is at work outlives this process: Popen would warn that it was forgotten.
        self._process.returncode = 0


@contextmanager
def guarded(folder: Path, settings: Settings, patience: timedelta = timedelta()) -> Iterator[Guard]:
    """A guard for as long as the block lasts, and longer if it is not dismissed by then. Enter it before anything is disturbed.

    It begins `patience` after the end of this process, if by then nobody else has taken the folder, who goes on with what is open.
    It has this process's environment, so that it can start a service again, but none of its files, and a session of its own.
    """
    folder = folder.absolute()
    reading, writing = os.pipe()
    become = [sys.executable, "-P", "-c", _BECOME, str(_ROOT), str(os.getpid()), str(folder), str(patience.total_seconds())]
    waiting = Path(__file__).with_name("guard_waiting.py")
    try:
        with (folder / "guard.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(waiting), str(reading), str(os.getpid()), *become],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(reading,),
                start_new_session=True,
                env={**os.environ, **({"SERVICE_INSTANCE_NAME": name} if (name := settings.service_instance_name) else {})},
            )
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    guard = Guard(process, writing)
    try:
        yield guard
    finally:
        guard.close()


def write_note(folder: Path, note: GuardNote) -> None:
    """Leave it for the next start."""
    draft = folder / f"{NOTE}.new"
    draft.write_text(note.model_dump_json(), encoding="utf-8")
    draft.replace(folder / NOTE)


def take_note(folder: Path) -> GuardNote | None:
    """What the last guard did, if no start has told it yet; it is gone then."""
    try:
        text = (folder / NOTE).read_bytes()
        (folder / NOTE).unlink()
        return GuardNote.model_validate_json(text)
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        _log.warning("guard.unreadable", error=str(error))
        return None
