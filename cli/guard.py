"""What a start has to do with the process before it on the same state folder: wait for its guard, and say what became of its runs."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog

from bus.connection import Connection
from bus.journal import Journal
from bus.state import holder
from cli.errors import CliError, Exit
from cli.output import complain
from deploy.guarding import EndedRun, Guard, take_note
from deploy.settings import Settings

_log = structlog.get_logger("cli.guard")
GUARD_LIMIT = 330.0
"""Seconds that the guard of a killed process may have the folder: it undoes, stops and reports, each with its own bound."""
_ASK_LIMIT = 5.0


def guard_at_work(folder: Path) -> int | None:
    """The process id of a guard that has the folder."""
    found = holder(folder)
    return found.pid or 0 if found is not None and found.guard else None


async def guard_over(folder: Path) -> None:
    """Wait while the guard of a killed process has the folder: it takes no new runs, and leaves when it has ended the old ones.

    Raises:
        CliError: that takes too long.
    """
    until = asyncio.get_running_loop().time() + GUARD_LIMIT
    said = False
    while (pid := guard_at_work(folder)) is not None:
        if asyncio.get_running_loop().time() > until:
            raise CliError(
                f"the guard of a killed process (pid {pid}) has not given {folder} free within {GUARD_LIMIT:.0f} s",
                f"{folder / 'guard.log'} says what it does; or choose another folder with --state",
                Exit.UNREACHABLE,
            )
        if not said:
            complain(f"the last process on this folder was killed: waiting for its guard (pid {pid}) to undo what is left of it")
        said = True
        await asyncio.sleep(0.1)


async def dismiss(guard: Guard, connection: Connection, journal: Journal) -> None:
    """The guard ends, unless a run is open or nobody can say."""
    from deploy.draining import open_runs

    if not connection.nc.is_connected:
        return
    try:
        async with asyncio.timeout(_ASK_LIMIT):
            if not await open_runs(journal, limit=0):
                guard.dismiss()
    except Exception as error:  # noqa: BLE001 - a border: this is the last that a command does, and must not take the place of its exit code
        _log.warning("guard.kept", error=str(error) or type(error).__name__)


def tell_what_the_guard_did(folder: Path) -> None:
    """Once, at the first start after it."""
    note = take_note(folder)
    if note is None:
        return
    for run in note.runs:
        complain(f"the last process on this folder (pid {note.pid}) was killed; its guard {_ended(run)} ({_report(run.run_id, folder)})")


async def end_left_open(url: str, settings: Settings, killed: int | None, folder: Path) -> None:
    """Abort what the process that was `killed` left open, reject what it had not accepted yet, and say so. Before a host starts."""
    from deploy.left_open import end_left

    why = f"its process {killed} was killed" if killed else "its process is gone"
    left = await end_left(url, settings, "run", why, waiting=True)
    tell_left_open([state.id for state in left.runs], killed, "it is aborted and undone now", folder)
    for file in left.scenarios:
        complain(f"{_who(killed)} left {file} waiting, which had not become a run: it is dropped")


def tell_left_open(runs: Iterable[str], pid: int | None, becomes: str, folder: Path) -> None:
    """That these runs were open when their process died, without a guard, and what becomes of them now."""
    for run in runs:
        complain(f"{_who(pid)} left run {run} open: {becomes} ({_report(run, folder)})")


def _who(pid: int | None) -> str:
    return f"the last process on this folder (pid {pid}) was killed and" if pid else "a process that is gone"


def _ended(run: EndedRun) -> str:
    undone = f"{run.undone} {'fault' if run.undone == 1 else 'faults'} undone"
    stopped = f"{run.stopped} {'service' if run.stopped == 1 else 'services'} stopped"
    if run.verdict is None:
        return f"could not end run {run.run_id} in time: {undone}, {stopped}"
    return f"ended run {run.run_id}: {run.verdict}, {undone}, {stopped}"


def _report(run: str, folder: Path) -> str:
    return f"test-coordinator report {run} --state {folder}"
