"""Limits of all processes of a service together: a control group of ours into which they are moved, cgroups(7) version 1 or 2."""

import asyncio
import errno
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from messages.actions.limits import Controller, GroupUndo, LimitCpu, LimitMemory
from messages.identity import Identity
from targets.errors import NotPermitted, NotThere
from targets.group import members
from targets.identity import is_alive, read_proc
from targets.limits.errors import LimitFailed, NoControlGroup
from targets.limits.hierarchy import PREFIX, Place, home_of, place_of
from targets.polling import first

PERIOD = 100_000
"""Microseconds over which CPU time is counted out."""
ROUNDS = 50
"""How often a group that goes on forking is moved."""
TO_LEAVE = timedelta(seconds=3)
POLL = 0.02
SHARE_OVER = timedelta(milliseconds=500)
"""How long the CPU time is measured for its share."""
SLACK = 0.05
"""Cores by which a measured share may be off: CPU time is shown in steps of 10 ms."""


class GroupLimits:
    """Limits CPU time, or memory until a process is killed. The group of ours stands beside or below the one where they were."""

    async def undo_of(self, parameters: LimitCpu | LimitMemory, leader: Identity, *, run: str, fault: str) -> GroupUndo:
        """What will undo the fault, and what it is to do.

        Raises:
            NotThere: the service has no process.
            NoControlGroup: there is none that we may write to, or its processes are in several.
        """
        controller: Controller = "cpu" if isinstance(parameters, LimitCpu) else "memory"
        place, homes = place_of(controller, leader.pid), {home_of(controller, member.pid) for member in members(leader)} - {None}
        if not homes:
            raise NotThere(leader)
        if homes != {place.home}:
            raise NoControlGroup("the service's processes are in several control groups; start them in one")
        limit = parameters.cores if isinstance(parameters, LimitCpu) else float(parameters.headroom)
        return GroupUndo(
            run=run,
            fault=fault,
            leader=leader,
            controller=controller,
            version=place.version,
            home=str(place.home),
            folder=str(place.parent / f"{PREFIX}{run}.{fault}"),
            settings=settings_of(controller, place, limit),
            limit=limit,
        )

    async def inject(self, undo: GroupUndo) -> None:
        """Make the group, if it is not there yet, and move all processes into it that are not.

        Raises:
            NotThere: none of the processes is there any more.
            LimitFailed: the system did not do it.
        """
        folder = Path(undo.folder)
        create(folder, undo.settings)
        for _ in range(ROUNDS):
            outside = [member for member in members(undo.leader) if home_of(undo.controller, member.pid) not in {folder, None}]
            if not outside:
                break
            try:
                for member in outside:
                    _move(member.pid, folder)
            except OSError as error:
                raise LimitFailed(f"processes cannot be moved into {folder}: {error.strerror}") from error
        if not _pids(folder):
            raise NotThere(undo.leader)

    def is_in_place(self, undo: GroupUndo) -> bool:
        """Whether all processes are in the group, or some were and the kernel has ended them."""
        folder = Path(undo.folder)
        if any(home_of(undo.controller, member.pid) not in {folder, None} for member in members(undo.leader)):
            return False
        try:
            return bool(_pids(folder)) or (undo.controller == "memory" and _memory_met(undo) is not None)
        except OSError:
            return False

    async def undo(self, undo: GroupUndo) -> None:
        """Move whoever is in the group back and remove it.

        Raises:
            LimitFailed: it cannot be removed.
            NotPermitted: it is not ours to write to.
        """
        try:
            await remove(Path(undo.folder), Path(undo.home))
        except PermissionError as error:
            raise NotPermitted(undo.leader) from error

    async def effect(self, undo: GroupUndo, within: timedelta) -> str | None:
        """What was seen of it; None if nothing was: a service that asks for less than its limit does not notice it.

        CPU time: the scheduler made it wait, and by proc(5) it used no more than its limit. Memory: it ran into its limit, or was killed.
        """
        if undo.controller == "memory":
            return await first(lambda: _memory_met(undo), within, poll=POLL)
        begin = time.monotonic()
        before = _throttled(undo)
        if await first(lambda: "more" if _throttled(undo) > before else None, within, poll=POLL) is None:
            return None
        measured, left = time.monotonic(), within.total_seconds() - (time.monotonic() - begin)
        spent = _cpu_seconds(undo.leader)
        await asyncio.sleep(max(min(SHARE_OVER.total_seconds(), left), POLL))
        share = (_cpu_seconds(undo.leader) - spent) / (time.monotonic() - measured)
        if share > undo.limit * 1.2 + SLACK:
            return None
        return f"it got {share:.2f} of {undo.limit:g} cores and was made to wait {_throttled(undo)} times"

    async def normal(self, undo: GroupUndo) -> bool:
        """Whether our group is no more, and no process of the service says that it is in it."""
        return not _is_there(undo)


def settings_of(controller: Controller, place: Place, limit: float) -> dict[str, str]:
    """What is written to the files of the group."""
    if controller == "cpu":
        quota = max(1000, round(limit * PERIOD))
        if place.version == 1:
            return {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": str(quota)}
        return {"cpu.max": f"{place.at_most(quota, PERIOD)} {PERIOD}"}
    # What is in use stays charged to the old group, so the limit of the new one is the headroom.
    size = str(int(limit))
    if place.version == 2:
        return {"memory.max": size, "memory.swap.max": "0"} if (place.home / "memory.swap.max").exists() else {"memory.max": size}
    swap = {"memory.memsw.limit_in_bytes": size} if (place.home / "memory.memsw.limit_in_bytes").exists() else {}
    return {"memory.limit_in_bytes": size, **swap}


def create(folder: Path, settings: Mapping[str, str]) -> None:
    """Make a control group with these settings, or give them to the one that is there.

    Raises:
        LimitFailed: the system did not do it.
    """
    try:
        folder.mkdir(exist_ok=True)
        for name, value in settings.items():
            (folder / name).write_text(value, "ascii")
    except OSError as error:
        raise LimitFailed(f"{error.filename} cannot be written: {error.strerror}") from error


async def remove(folder: Path, home: Path) -> None:
    """Remove a control group; its processes are moved to their home, or the nearest group that is left of it.

    Raises:
        LimitFailed: it cannot be removed.
        PermissionError: it is not ours to write to.
    """
    begin = time.monotonic()
    while not _removed(folder, home):
        # A process that ends keeps its group busy for some milliseconds.
        if time.monotonic() - begin > TO_LEAVE.total_seconds():
            raise LimitFailed(f"{folder} cannot be removed: it is in use")
        await asyncio.sleep(POLL)


def _move(pid: int, folder: Path) -> None:
    # One that ended meanwhile cannot be moved, and need not be.
    with suppress(ProcessLookupError):
        (folder / "cgroup.procs").write_text(str(pid), "ascii")


def _pids(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "cgroup.procs").read_text("ascii").split()]


def _removed(folder: Path, home: Path) -> bool:
    while not home.is_dir() and home != home.parent:
        home = home.parent
    try:
        for pid in _pids(folder):
            _move(pid, home)
        folder.rmdir()
    except FileNotFoundError:
        return True
    except PermissionError:
        raise
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise LimitFailed(f"{folder} cannot be removed: {error.strerror}") from error
        return False
    return True


def _is_there(undo: GroupUndo) -> bool:
    folder = Path(undo.folder)
    return folder.exists() or any(home_of(undo.controller, member.pid) == folder for member in members(undo.leader))


def _counter(path: Path, name: str) -> int:
    """A line `name value` of a file; a file with one number is that number. 0 if there is none."""
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines()]
    except OSError:
        return 0
    return next((int(words[-1]) for words in lines if len(words) == 1 or words[0] == name), 0)


def _throttled(undo: GroupUndo) -> int:
    return _counter(Path(undo.folder) / "cpu.stat", "nr_throttled")


def _memory_met(undo: GroupUndo) -> str | None:
    folder = Path(undo.folder)
    kills = _counter(folder / ("memory.oom_control" if undo.version == 1 else "memory.events"), "oom_kill")
    if kills:
        return f"{kills} killed for want of memory{'' if is_alive(undo.leader) else ', the first process of the service among them'}"
    met = _counter(folder / "memory.failcnt", "") if undo.version == 1 else _counter(folder / "memory.events", "max")
    return f"it ran into its limit of memory {met} times" if met else None


def _cpu_seconds(leader: Identity) -> float:
    """CPU time that the live processes of the group have used."""
    ticks = 0
    for member in members(leader):
        with suppress(OSError):
            text = read_proc(member.pid, "stat")
            fields = text[text.rindex(b")") + 2 :].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
