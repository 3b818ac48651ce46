"""The process group that a service's first process leads: all of it is signalled, and nobody else."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from messages.identity import Identity
from targets.errors import NotPermitted
from targets.identity import boot_id, is_alive, of_session, read_stat


def members(leader: Identity) -> tuple[Identity, ...]:
    """The live processes of the group that `leader` leads or led; none when its pid is now another process."""
    if not _is_its_own(leader):
        return ()
    return tuple(
        stat.identity for stat in of_session(leader.pid) if stat.group == stat.session == leader.pid and stat.started >= leader.started
    )


def is_left(leader: Identity) -> bool:
    """Whether anything of the group lives; cheap when nothing does."""
    try:
        os.killpg(leader.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return bool(members(leader))
    return bool(members(leader))


def is_halted(leader: Identity) -> bool:
    """Whether the group is there and every process of it is stopped by a signal."""
    return halting(leader)()


def halting(leader: Identity) -> Callable[[], bool]:
    """`is_halted` for who looks again and again: the machine is searched only when those that are known stand still, for new ones."""
    known: tuple[Identity, ...] = (leader,)

    def look() -> bool:
        nonlocal known
        if any(_runs(member) for member in known):
            return False
        known = members(leader)
        return bool(known) and not any(_runs(member) for member in known)

    return look


def signal_group(leader: Identity, number: signal.Signals) -> bool:
    """Sends the signal to the whole group and says whether anybody was there to get it.

    A leader that is there keeps the group's number its own; of a group without one each process is signalled by itself.

    Raises:
        NotPermitted: they belong to someone else.
    """
    try:
        if not is_alive(leader):
            return [_signal_one(member, number) for member in members(leader)].count(True) > 0
        os.killpg(leader.pid, number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise NotPermitted(leader) from error
    return True


def _runs(identity: Identity) -> bool:
    stat = read_stat(identity.pid)
    return stat is not None and stat.identity == identity and not stat.ended and not stat.halted


def _is_its_own(leader: Identity) -> bool:
    """Whether the group's number still means this group: it is not given out again while a process of the group lives."""
    stat = read_stat(leader.pid)
    return leader.boot == boot_id() and (stat is None or stat.started == leader.started)


def _signal_one(identity: Identity, number: signal.Signals) -> bool:
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(identity.pid)
        try:
            if is_alive(identity):
                signal.pidfd_send_signal(fd, number)
                return True
        finally:
            os.close(fd)
    return False
