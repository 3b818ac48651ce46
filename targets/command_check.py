"""The command health check: a program runs and ends as expected, or is ended with all that it started."""

import fcntl
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from messages.expressions import Bindings, ExpressionError, compiled
from messages.checks import CommandCheck
from targets.errors import CannotRun
from targets.group import is_left, signal_group
from targets.spawn import spawn
from targets.watch import Watch
from targets.wording import no_answer, shortened

MAX_OUTPUT = 1024 * 1024
"""Bytes that each output may have."""
TO_DIE = timedelta(seconds=1)


async def check_command(check: CommandCheck, deadline: timedelta, environment: Mapping[str, str]) -> str:
    """What is wrong with how the program ended; empty when it is as expected. Nothing of its group outlives the check."""
    # Files in memory, not pipes: nobody waits for a reader, or for a descendant that keeps its end open.
    with _memory_file("stdout") as stdout, _memory_file("stderr") as stderr:
        try:
            identity = spawn(check.argv, env=environment, stdout=stdout, stderr=stderr)
        except CannotRun as error:
            return shortened(str(error))
        # Left to itself: it reaps the program even when this check is cancelled.
        watch = Watch(identity)
        try:
            in_time = await watch.wait_for(deadline)
        finally:
            if is_left(identity):
                signal_group(identity, signal.SIGKILL)
        if not in_time:
            await watch.wait_for(TO_DIE)
            return no_answer(deadline)
        return _judge(check.expect, watch.exit_code, _text(stdout), _text(stderr))


def _judge(expect: str, code: int | None, stdout: str, stderr: str) -> str:
    try:
        if compiled(expect).holds(Bindings({"code": code, "stdout": stdout, "stderr": stderr})):
            return ""
    except (ExpressionError, OverflowError) as error:
        return shortened(f"code {code}, {expect} cannot be evaluated: {error}")
    said = stderr or stdout
    return shortened(f"code {code}{f' {shortened(said, 60)!r}' if said else ''}, expected {expect}")


@contextmanager
def _memory_file(name: str) -> Iterator[int]:
    """A file that cannot grow beyond its bound: writing more is an error of the program."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.truncate(fd, MAX_OUTPUT)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        yield fd
    finally:
        os.close(fd)


def _text(fd: int) -> str:
    return os.pread(fd, MAX_OUTPUT, 0).rstrip(b"\0").decode(errors="replace").strip()
