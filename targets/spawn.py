"""Starting a program in a session of its own, quickly and without leaving anything open."""

import errno
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from messages.identity import Identity
from targets.errors import CannotRun
from targets.identity import read_stat


def spawn(command: Sequence[str], *, env: Mapping[str, str], directory: str | None = None, stdout: int, stderr: int) -> Identity:
    """Starts the program, leader of a session and a group of its own, reading from /dev/null; the caller reaps it.

    Returns once the program runs (about a millisecond: vfork), even if it has ended by then.

    Raises:
        CannotRun: the program or the directory is missing, or cannot be used.
    """
    argv = [sys.executable if command[0] == "python" else command[0], *command[1:]]
    if directory is not None and not Path(directory).is_dir():
        raise CannotRun(f"there is no directory {directory!r}")
    try:
        process = subprocess.Popen(
            argv, env=env, cwd=directory, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
        )
    except OSError as error:
        raise CannotRun(_why(argv[0], error)) from error
    except ValueError as error:
        raise CannotRun(f"command and environment cannot be passed on: {error}") from None
    # Whoever watches it reaps it through its pidfd; Popen would warn that it was forgotten.
    process.returncode = 0
    stat = read_stat(process.pid)
    if stat is None:
        raise CannotRun("something else in this process reaps its children")
    return stat.identity


def _why(program: str, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        where = "there is no program" if "/" in program else "there is no program on the PATH called"
        return f"{where} {program!r}"
    if error.errno == errno.ENOEXEC:
        return f"{program!r} cannot be executed: it is no program (a script needs a first line like #!/bin/sh)"
    return f"{program!r} cannot be executed: {(error.strerror or str(error)).lower()}"
