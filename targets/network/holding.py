"""Starting, finding, renewing and ending the program that holds packets back. It lives on when its starter dies, and has a lease."""

import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta

from messages.actions.network import Delay, Namespace
from messages.identity import Identity
from targets.errors import CannotRun
from targets.find import tag_of
from targets.group import signal_group
from targets.identity import live_processes, read_environ, session_leaders
from targets.network.delay import READY
from targets.network.errors import NetworkFailed, NoNamespace
from targets.network.namespaces import path_to
from targets.spawn import spawn
from targets.threads import to_the_end
from targets.watch import Watch

FAULT_TAG = "TEST_COORDINATOR_FAULT"
"""In the environment of programs that belong to a fault."""
TO_START = timedelta(seconds=10)
TO_END = timedelta(seconds=2)


class Holders:
    """The programs that hold packets back, found by the comment of the rules that feed them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._ours: set[Watch] = set()

    async def start(self, namespace: Namespace, hold: Delay, comment: str) -> None:
        """Start one; returns when it is ready.

        Raises:
            NoNamespace: the namespace is gone.
            NetworkFailed: it did not start.
        """
        path = path_to(namespace)
        if path is None:
            raise NoNamespace(namespace.path)
        command = [
            *("nsenter", f"--net={path}", sys.executable, "-P", "-m", "targets.network.delay"),
            *("--queue", str(hold.queue), "--delay", str(hold.delay.total_seconds())),
            *("--jitter", str(hold.jitter.total_seconds()), "--for", str(hold.lease.total_seconds())),
        ]
        reader, writer = os.pipe()
        try:
            try:
                identity = spawn(command, env={**self._environment, FAULT_TAG: comment}, stdout=writer, stderr=writer)
            except CannotRun as error:
                raise NetworkFailed(str(error)) from error
            finally:
                os.close(writer)
            watch = Watch(identity, self._ours.discard)
            if not watch.ended:
                self._ours.add(watch)
            said = await to_the_end(lambda: _until_ready(reader))
        finally:
            os.close(reader)
        if READY not in said.split():
            await self.end(comment)
            raise NetworkFailed(f"packets cannot be held back: {said.strip()[-200:] or 'the program did not start'}")

    async def end(self, comment: str) -> None:
        """End all of this comment; what they held goes on its way.

        Raises:
            NetworkFailed: one is still there after SIGKILL.
            NotPermitted: one belongs to someone else.
        """
        await end_all(comment)

    def renew(self, comment: str) -> bool:
        """Begin the lease of those of this comment anew; whether there is one."""
        found = holders_of(comment)
        for identity in found:
            signal_group(identity, signal.SIGUSR1)
        return bool(found)

    def close(self) -> None:
        """Stop watching. They live on."""
        for watch in self._ours:
            watch.close()
        self._ours.clear()


async def end_all(comment: str, tag: str = FAULT_TAG) -> None:
    """End all programs with this comment in their environment.

    Raises:
        NetworkFailed: one is still there after SIGKILL.
        NotPermitted: one belongs to someone else.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        found = holders_of(comment, tag)
        if not found:
            return
        for identity in found:
            signal_group(identity, number)
        for identity in found:
            with Watch(identity) as watch:
                await watch.wait_for(TO_END)
    if holders_of(comment, tag):
        raise NetworkFailed("a program that belongs to the fault is still there after SIGKILL")


def holders_of(comment: str, tag: str = FAULT_TAG) -> tuple[Identity, ...]:
    """The live programs of this comment."""
    return tuple(stat.identity for stat in live_processes() if stat.pid == stat.session and _is_of(stat.pid, comment, tag))


def programs(tag: str) -> Iterator[tuple[str, Identity]]:
    """The live programs of any comment, each with its comment: what an injector that starts may find left."""
    for stat in session_leaders():
        comment = tag_of(stat.pid, tag)
        if comment is not None:
            yield comment, stat.identity


def _is_of(pid: int, comment: str, tag: str) -> bool:
    try:
        return f"{tag}={comment}".encode() in read_environ(pid).split(b"\0")
    except OSError:
        return False


def _until_ready(reader: int) -> str:
    """What the program says until it is ready, has ended, or takes too long."""
    said, end = b"", time.monotonic() + TO_START.total_seconds()
    while READY.encode() not in said and (left := end - time.monotonic()) > 0:
        with suppress(InterruptedError):
            if select.select([reader], [], [], left)[0]:
                piece = os.read(reader, 4096)
                if not piece:
                    break
                said += piece
    return said.decode(errors="replace")
