"""What a guard becomes when its process was killed: a coordinator that ends what is open on the state folder, and then itself."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import structlog

from actors.control import fold_run
from bus.errors import ServerFailed, StateInUse, StateUnusable
from bus.journal import Journal
from bus.patience import asked_again
from bus.state import holder, last_holder
from deploy.draining import ended
from deploy.embedded import embedded
from deploy.guarding import EndedRun, GuardNote, write_note
from deploy.host import Host, Plan, host
from deploy.left_open import end_left
from deploy.logs import configure_logs
from deploy.settings import Settings, read_settings
from runs.state import RunState

PRINCIPAL = "guard"
TAKE_LIMIT = 600.0
"""Seconds for the state folder to be free and usable: somebody who only reads in it has it for a while, and a full disk may get room."""
LIMIT = 300.0
"""Seconds that ending, undoing and reporting may take together: each has its own bound, and services may be slow to stop."""
_REPORT_LIMIT = 20.0
_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two attempts to take the folder; more where it is not somebody else who has it."""
_log = structlog.get_logger("deploy.guard")


def main() -> None:
    """Guard the state folder that a process left.

    `PID FOLDER SECONDS DIED` are the arguments: for so many seconds since it died, by the monotonic clock, somebody else may come.
    """
    pid, folder, patience, died = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    settings = read_settings()
    configure_logs(settings.log_level or "INFO", "json", service=settings.service_name, instance=settings.instance.name)
    _log.info("guard.begun", killed=pid, pid=os.getpid())
    time.sleep(max(died + patience - time.monotonic(), 0))  # to load this program took a part of it
    asyncio.run(_guard(pid, folder, settings))
    _log.info("guard.ended", killed=pid)


async def _guard(pid: int, folder: Path, settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        url = await _take(pid, folder, stack)
        if url is None:
            return
        asking = partial(end_left, url, settings, PRINCIPAL, f"its process {pid} was killed", waiting=False)
        left = (await asked_again(asking, "end what is open", LIMIT)).runs
        if not left:
            return
        plan = Plan(logs=folder / "logs", takes=False)
        running = await asked_again(lambda: stack.enter_async_context(host(settings, url, plan)), "work on what is open", LIMIT)
        note = GuardNote(pid=pid, runs=await _ended(running, left))
        _log.info("guard.done", **note.model_dump(mode="json"))
        await asyncio.to_thread(write_note, folder, note)


async def _take(pid: int, folder: Path, stack: AsyncExitStack) -> str | None:
    """The address of a server on the folder; None if another coordinator has taken the folder, and with it what is open."""
    if last_holder(folder) not in {None, pid}:
        _log.info("guard.not_needed", holder=last_holder(folder))
        return None
    until, pause = asyncio.get_running_loop().time() + TAKE_LIMIT, _PAUSE
    while True:
        try:
            return await stack.enter_async_context(embedded(folder, guard=True, sync_always=True))
        except (StateInUse, StateUnusable, ServerFailed) as error:
            held = holder(folder)
            if held is not None and held.url is not None and held.pid != pid:
                _log.info("guard.not_needed", holder=held.pid)
                return None
            if asyncio.get_running_loop().time() > until:
                raise
            _log.info("guard.waits", why=str(error))
            pause = _PAUSE if isinstance(error, StateInUse) else min(pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause)


async def _ended(running: Host, left: Sequence[RunState]) -> tuple[EndedRun, ...]:
    """Wait until these runs are over and reported, and say what became of each."""
    runs = {state.id for state in left}
    await ended(running.journal, runs, LIMIT)
    await ended(running.journal, runs, _REPORT_LIMIT, reported=True)
    return tuple([_compared(before, await _folded(running.journal, before.id)) for before in left])


async def _folded(journal: Journal, run: str) -> RunState:
    return await asked_again(partial(fold_run, journal, run), f"read {run}", _REPORT_LIMIT)


def _compared(before: RunState, now: RunState) -> EndedRun:
    active = [fault for fault, state in before.actions.states.items() if state.active]
    ran = [name for name, service in before.services.items() if service.running]
    return EndedRun(
        run_id=now.id,
        scenario=now.scenario.name,
        verdict=now.finished.verdict if now.finished is not None else None,
        undone=sum(now.actions.states[fault].reverted is not None for fault in active),
        stopped=sum(not now.services[name].running for name in ran),
    )
