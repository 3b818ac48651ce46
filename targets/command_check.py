"""The command health check: a program runs and ends as expected, or is ended with all that it started."""

import fcntl
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from messages.checks import CommandCheck
from messages.expressions import Bindings, ExpressionError, compiled
from targets.errors import CannotRun
from targets.group import is_left, signal_group
from targets.spawn import spawn
from targets.watch import Watch
from targets.wording import no_answer, shortened

MAX_OUTPUT = 1024 * 1024
"""Bytes that each output may have."""
TO_DIE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Output:
    """How a program ended, and what it said."""

    code: int | None
    stdout: str
    stderr: str

    @property
    def bindings(self) -> Bindings:
        """The variables of an expression over it."""
        return Bindings({"code": self.code, "stdout": self.stdout, "stderr": self.stderr})


async def check_command(check: CommandCheck, deadline: timedelta, environment: Mapping[str, str]) -> str:
    """What is wrong with how the program ended; empty when it is as expected. Nothing of its group outlives the check."""
    output = await run(check.argv, deadline, environment)
    return output if isinstance(output, str) else _judge(check.expect, output)


async def run(argv: Sequence[str], deadline: timedelta, environment: Mapping[str, str], *, most: int = MAX_OUTPUT) -> Output | str:
    """What a program said, at most so many bytes on each output, or why it said nothing. Nothing of its group outlives the call."""
    # Files in memory, not pipes: nobody waits for a reader, or for a descendant that keeps its end open.
    with _memory_file("stdout", most) as stdout, _memory_file("stderr", most) as stderr:
        try:
            identity = spawn(argv, env=environment, stdout=stdout, stderr=stderr)
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
        return Output(watch.exit_code, _text(stdout, most), _text(stderr, most))


def _judge(expect: str, output: Output) -> str:
    try:
        if compiled(expect).holds(output.bindings):
            return ""
    except (ExpressionError, OverflowError) as error:
        return shortened(f"code {output.code}, {expect} cannot be evaluated: {error}")
    said = output.stderr or output.stdout
    return shortened(f"code {output.code}{f' {shortened(said, 60)!r}' if said else ''}, expected {expect}")


@contextmanager
def _memory_file(name: str, most: int) -> Iterator[int]:
    """A file that cannot grow beyond its bound: writing more is an error of the program."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.truncate(fd, most)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        yield fd
    finally:
        os.close(fd)


def _text(fd: int, most: int) -> str:
    return os.pread(fd, most, 0).rstrip(b"\0").decode(errors="replace").strip()
