"""Limits of single processes, setrlimit(2): address space, file descriptors, length of files. Only soft ones, only ever lowered."""

import asyncio
import os
import resource as rlimits
from collections.abc import Iterator
from datetime import timedelta

from messages.actions.limits import LimitFds, LimitFileSize, LimitMemory, Lowered, Resource, ResourceUndo
from messages.identity import Identity
from targets.errors import NotPermitted, NotThere
from targets.group import members
from targets.identity import PROC, is_alive, read_proc
from targets.limits.errors import NothingToLower
from targets.polling import first

Parameters = LimitFds | LimitFileSize | LimitMemory
POLL = 0.02
LOOKS = 5
"""How often open descriptors are counted: those of connections that come and go do not stay, so the fewest count."""
_NUMBERS: dict[Resource, int] = {"memory": rlimits.RLIMIT_AS, "fds": rlimits.RLIMIT_NOFILE, "file_size": rlimits.RLIMIT_FSIZE}
_NAMES: dict[Resource, str] = {"memory": "Max address space", "fds": "Max open files", "file_size": "Max file size"}
_WORDS: dict[Resource, str] = {"memory": "address space", "fds": "file descriptors", "file_size": "the length of files"}
_NONE = rlimits.RLIM_INFINITY


class ResourceLimits:
    """Lowers soft limits of all processes of a service, and puts them back. Needs no rights on processes of the same user."""

    async def undo_of(self, parameters: Parameters, leader: Identity, *, run: str, fault: str) -> ResourceUndo:
        """What will undo the fault, and what it is to do: the limits follow from what each process uses now.

        Raises:
            NotThere: the service has no process.
            NothingToLower: all of its limits are at most what the fault would set.
            NotPermitted: it belongs to someone else.
        """
        found = members(leader)
        if not found:
            raise NotThere(leader)
        kind = _resource(parameters)
        lowest: dict[Identity, Lowered] = {}
        for look in range(LOOKS if kind == "fds" else 1):
            await asyncio.sleep(POLL if look else 0.0)
            for entry in (entry for member in found for entry in _lowered(member, parameters)):
                known = lowest.setdefault(entry.identity, entry)
                lowest[entry.identity] = min(known, entry, key=lambda one: one.after)
        lowered = tuple(lowest.values())
        if not lowered:
            raise NothingToLower(_WORDS[kind])
        return ResourceUndo(run=run, fault=fault, leader=leader, resource=kind, lowered=lowered)

    async def inject(self, undo: ResourceUndo) -> None:
        """Lower the limits.

        Raises:
            NotThere: none of the processes is there any more.
            NotPermitted: they belong to someone else.
        """
        changed = [_change(entry.identity, undo.resource, entry.before, entry.after) for entry in undo.lowered]
        if not any(changed):
            raise NotThere(undo.leader)

    def is_in_place(self, undo: ResourceUndo) -> bool:
        """Whether every process that is left of those to be limited has its limit."""
        return _shown(undo) is not None

    async def undo(self, undo: ResourceUndo) -> None:
        """Put the limits back, also of processes that inherited them. Limits that someone else has changed since stay.

        Raises:
            NotPermitted: they belong to someone else.
        """
        for identity, before, after in _held(undo):
            _change(identity, undo.resource, after, before)

    async def effect(self, undo: ResourceUndo, within: timedelta) -> str | None:
        """What the kernel shows of it in proc(5); None if it shows nothing. What the service makes of it is for its health to say."""
        return await first(lambda: _shown(undo), within, poll=POLL)

    async def normal(self, undo: ResourceUndo) -> bool:
        """Whether no process has the limit any more."""
        return all(_soft_in_proc(identity, undo.resource) != after for identity, _, after in _held(undo))


def _resource(parameters: Parameters) -> Resource:
    if isinstance(parameters, LimitMemory):
        return "memory"
    return "fds" if isinstance(parameters, LimitFds) else "file_size"


def _lowered(process: Identity, parameters: Parameters) -> Iterator[Lowered]:
    try:
        if isinstance(parameters, LimitMemory):
            after = _address_space(process.pid) + parameters.headroom
        elif isinstance(parameters, LimitFds):
            after = _with_free(_descriptors(process.pid), parameters.free)
        else:
            after = parameters.size
        before, _ = rlimits.prlimit(process.pid, _NUMBERS[_resource(parameters)])
    except (FileNotFoundError, ProcessLookupError):
        return
    except PermissionError as error:
        raise NotPermitted(process) from error
    if before == _NONE or after < before:
        yield Lowered(identity=process, before=before, after=after)


def _held(undo: ResourceUndo) -> Iterator[tuple[Identity, int, int]]:
    """Each process that may have a limit of ours, the limit it had before, and ours."""
    known = {entry.identity for entry in undo.lowered}
    inherited = {entry.after: entry.before for entry in undo.lowered}
    for entry in undo.lowered:
        if is_alive(entry.identity):
            yield entry.identity, entry.before, entry.after
    for member in members(undo.leader):
        soft = None if member in known else _soft_in_proc(member, undo.resource)
        if soft is not None and soft in inherited:
            yield member, inherited[soft], soft


def _change(process: Identity, kind: Resource, old: int, new: int) -> bool:
    """Change the soft limit if it is the old one; whether the process was there."""
    try:
        soft, hard = rlimits.prlimit(process.pid, _NUMBERS[kind])
        if not is_alive(process):
            return False
        if soft == old:
            rlimits.prlimit(process.pid, _NUMBERS[kind], (new if hard == _NONE or 0 <= new <= hard else hard, hard))
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise NotPermitted(process) from error
    return True


def _shown(undo: ResourceUndo) -> str | None:
    alive = [entry for entry in undo.lowered if is_alive(entry.identity)]
    softs = [_soft_in_proc(entry.identity, undo.resource) for entry in alive]
    if not alive or softs != [entry.after for entry in alive]:
        return None
    shown, limit = alive[0], alive[0].after
    limited = f"pid {shown.identity.pid} is limited to {limit}"
    try:
        if undo.resource == "memory":
            return f"{limited} bytes of address space, {_address_space(shown.identity.pid)} in use"
        if undo.resource == "fds":
            free = limit - sum(number < limit for number in _descriptors(shown.identity.pid))
            return f"{limited} file descriptors, {free} of them free"
    except OSError:
        return None
    return f"{limited} bytes a file"


def _soft_in_proc(process: Identity, kind: Resource) -> int | None:
    """The soft limit as proc(5) shows it; None for a process that is gone."""
    try:
        lines = read_proc(process.pid, "limits").decode().splitlines()
    except OSError:
        return None
    line = next((line for line in lines if line.startswith(_NAMES[kind])), "")
    words = line.removeprefix(_NAMES[kind]).split()
    return None if not words else _NONE if words[0] == "unlimited" else int(words[0])


def _address_space(pid: int) -> int:
    return int(read_proc(pid, "statm").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _descriptors(pid: int) -> frozenset[int]:
    return frozenset(int(name) for name in os.listdir(PROC / str(pid) / "fd"))  # noqa: PTH208 - only the names


def _with_free(used: frozenset[int], free: int) -> int:
    """The limit under which exactly so many numbers are free: the limit is on the number of a descriptor, and there may be gaps."""
    limit = left = 0
    while left < free or limit in used:
        left += limit not in used
        limit += 1
    return limit
