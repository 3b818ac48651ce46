"""The process driver: services that are processes of this machine, whichever injector started them."""

import asyncio
import os
import shutil
import signal as signals
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from messages import system
from messages.identity import Identity
from messages.ids import is_run_id
from targets.errors import CannotRun, NotThere, StartFailed, StopFailed
from targets.find import RUN_TAG, has_tags, tagged_processes
from targets.group import halting, is_left, members, signal_group
from targets.identity import is_alive
from targets.polling import until
from targets.spawn import spawn
from targets.watch import Watch

AFTER_KILL = timedelta(seconds=5)
"""How long a group may take to go after SIGKILL; longer means stuck in the kernel."""
TO_HALT = timedelta(milliseconds=200)
GROUP_POLL = 0.01
EXITS_KEPT = 256
KEPT_LOGS, AT_ONCE = 50, 100
"""Runs whose services' output is kept, beside those that something still runs of; and how many more come before the oldest are removed."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a process came to its end."""

    killed: bool
    """Something of it had to be ended by SIGKILL."""
    took: timedelta
    """Zero if it was gone already."""
    exit_code: int | None
    """Negative for a signal; None for a process that is not a child of ours."""


class ProcessDriver:
    """Starts, stops and disturbs processes. It owns none of them: they live on without it, and every call takes any identity.

    Signals go to the whole process group, and only after the identity was checked: a pid that is used again is never signalled. Children
    are reaped as they end.
    """

    def __init__(self, *, environment: Mapping[str, str], logs: Path | None = None) -> None:
        self._environment = dict(environment)
        self._logs = logs
        self._children: dict[Identity, Watch] = {}
        self._exits: dict[Identity, int | None] = {}

    async def start(
        self, service: str, spec: system.ProcessDriver, env: Mapping[str, str], tags: Mapping[str, str], *, output: Path | None = None
    ) -> Identity:
        """Starts the service in a session of its own; one that exits at once counts as started. Its output is appended to its log.

        With `output` its standard output is appended to that file instead. `env` holds `spec.env` with its secrets resolved; `tags` go
        into the environment so that the process can be found again.

        Raises:
            StartFailed: program, directory or log cannot be used. A retry helps only after a change.
        """
        full = {**self._environment, **env, **tags}
        try:
            await self._make_room_for_logs()
            with self._log(service, tags.get(RUN_TAG, "")) as log, _apart(output, log) as out:
                identity = spawn(_command(spec), env=full, directory=spec.directory, stdout=out, stderr=log)
        except CannotRun as error:
            raise StartFailed(service, str(error)) from error
        except OSError as error:
            raise StartFailed(service, f"its log cannot be written: {error.strerror} ({error.filename})") from error
        watch = Watch(identity, self._ended)
        if not watch.ended:
            self._children[identity] = watch
        return identity

    async def stop(self, identity: Identity, *, signal: str, grace: timedelta) -> Stopped:
        """Ends the group by a signal (a name such as TERM), and what is left of it after `grace` by SIGKILL. Halted ones are resumed.

        Raises:
            StopFailed: something is still there after SIGKILL.
            NotPermitted: it belongs to someone else.
        """
        begin = time.monotonic()
        with self._watching(identity) as watch:
            # Of a leader that was gone before, the rest of the group is ours only if it says so.
            if watch.ended and not any(has_tags(member.pid) for member in members(identity)):
                return Stopped(killed=False, took=timedelta(), exit_code=self.exit_code(identity))
            if signal != "KILL":
                signal_group(identity, signals.Signals[f"SIG{signal}"])
                # A halted process takes the signal when it runs again; others do not notice.
                signal_group(identity, signals.SIGCONT)
                if await _group_gone(watch, grace):
                    return self._stopped(watch, begin, killed=False)
            signal_group(identity, signals.SIGKILL)
            if not await _group_gone(watch, AFTER_KILL):
                raise StopFailed(identity)
            return self._stopped(watch, begin, killed=True)

    async def kill(self, identity: Identity) -> Stopped:
        """Ends the group by SIGKILL.

        Raises:
            StopFailed: something is still there after it.
            NotPermitted: it belongs to someone else.
        """
        return await self.stop(identity, signal="KILL", grace=timedelta())

    async def pause(self, identity: Identity) -> None:
        """Halts the group by SIGSTOP; done when all of it stands still (or after 200 ms: a process in the kernel's hands stops later).

        Raises:
            NotThere: the process is gone.
            NotPermitted: it belongs to someone else.
        """
        self._signal(identity, signals.SIGSTOP)
        with suppress(TimeoutError):
            async with asyncio.timeout(TO_HALT.total_seconds()):
                await until(halting(identity), poll=0.001)

    async def resume(self, identity: Identity) -> None:
        """Lets the group run again; nothing happens to one that runs.

        Raises:
            NotThere: the process is gone.
            NotPermitted: it belongs to someone else.
        """
        self._signal(identity, signals.SIGCONT)

    async def gone(self, identity: Identity, within: timedelta) -> bool:
        """Waits until the process (not its group) is gone, at most this long; whether it is."""
        with self._watching(identity) as watch:
            return await watch.wait_for(within)

    def exit_code(self, identity: Identity) -> int | None:
        """How a child of ours ended; None while it runs, for others, and for children long gone."""
        return self._exits.get(identity)

    def has_started(self, identity: Identity) -> bool:
        """Whether it is a child of ours, or was one not long ago; one that was found is not."""
        return identity in self._children or identity in self._exits

    async def aclose(self) -> None:
        """Stops watching. Services live on."""
        for watch in self._children.values():
            watch.close()
        self._children.clear()

    def _signal(self, identity: Identity, number: signals.Signals) -> None:
        if not is_alive(identity) or not signal_group(identity, number):
            raise NotThere(identity)

    def _stopped(self, watch: Watch, begin: float, *, killed: bool) -> Stopped:
        code = watch.exit_code if watch.exit_code is not None else self.exit_code(watch.identity)
        return Stopped(killed=killed, took=timedelta(seconds=time.monotonic() - begin), exit_code=code)

    def _ended(self, watch: Watch) -> None:
        self._children.pop(watch.identity, None)
        self._exits[watch.identity] = watch.exit_code
        while len(self._exits) > EXITS_KEPT:
            del self._exits[next(iter(self._exits))]

    @contextmanager
    def _watching(self, identity: Identity) -> Iterator[Watch]:
        """The watch on our child, or a passing one on anybody's."""
        child = self._children.get(identity)
        if child is not None:
            yield child
            return
        with closing(Watch(identity)) as watch:
            yield watch

    async def _make_room_for_logs(self) -> None:
        """In a thread, for it looks at all processes."""
        if self._logs is None:
            return
        with suppress(FileNotFoundError):
            names = [name for name in os.listdir(self._logs) if is_run_id(name)]  # noqa: PTH208 - called at each start
            if len(names) >= KEPT_LOGS + AT_ONCE:
                await asyncio.to_thread(_forget_old_logs, self._logs, names)

    @contextmanager
    def _log(self, service: str, run: str) -> Iterator[int]:
        path = Path(os.devnull) if self._logs is None else log_of(self._logs, run, service)
        if self._logs is not None:
            path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        with path.open("ab") as file:
            yield file.fileno()


@contextmanager
def _apart(output: Path | None, log: int) -> Iterator[int]:
    if output is None:
        yield log
        return
    output.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    with output.open("ab") as file:
        yield file.fileno()


def _command(spec: system.ProcessDriver) -> tuple[str, ...]:
    """The command, entering its network namespace first; nsenter becomes the program, so the pid stays."""
    if spec.namespace is None:
        return spec.command
    program = sys.executable if spec.command[0] == "python" else spec.command[0]
    return ("nsenter", f"--net=/run/netns/{spec.namespace}", program, *spec.command[1:])


def log_of(logs: Path, run: str, service: str) -> Path:
    """Where a service of a run writes its output: each run apart, for one must not be told what another's services said."""
    return logs / (run or "none") / f"{service}.log"


def _forget_old_logs(logs: Path, names: Iterable[str]) -> None:
    """Of those that are left of older runs. What a run that is on writes stays, however old it is."""
    on = {tagged.run for tagged in tagged_processes()}
    for folder in sorted((logs / name for name in names if name not in on), key=_age)[:-KEPT_LOGS]:
        shutil.rmtree(folder, ignore_errors=True)


def _age(folder: Path) -> float:
    with suppress(OSError):
        return folder.stat().st_mtime
    return 0.0


async def _group_gone(watch: Watch, within: timedelta) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            await watch.wait()
            await until(lambda: not is_left(watch.identity), poll=GROUP_POLL)
            return True
    return False
