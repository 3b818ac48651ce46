"""What each kind of driver can do to a target, and how that is undone."""

from dataclasses import dataclass
from typing import Protocol

import structlog

from actors.chaos_injector.processes import Processes, spec_of
from messages.fault_events import Identity, Undo
from messages.system import Service
from messages.values import format_duration
from targets.errors import NotThere
from targets.find import find_tagged
from targets.identity import is_alive

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Target:
    """A service of a run."""

    run: str
    name: str
    service: Service


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an undo, or of an action that is no fault."""

    process: Identity | None = None
    """The target as it is now, if it is known."""
    started: bool = False
    """That process is a new one, started for this."""
    found: bool = False
    """Nothing was left to do."""


class Driver(Protocol):
    """Disturbs the targets of one kind. Every method but the undo is called once per fault, the undo until it succeeds."""

    actions: frozenset[str]

    def undo_of(self, action: str, target: Target, before: Identity) -> Undo:
        """What will undo the fault, whoever does it."""

    async def prepare(self, action: str, target: Target) -> None:
        """Let go of what would keep the fault from taking hold."""

    async def inject(self, action: str, target: Target, before: Identity) -> str:
        """Disturb the target; returns when that is confirmed, with a remark if there is one.

        Raises:
            TargetError: it did not work; the target may have been touched.
        """

    async def hasten(self, action: str, target: Target, before: Identity) -> None:
        """End an injection that takes too long, by force."""

    async def undo(self, undo: Undo, target: Target) -> Done:
        """Undo the fault; safe to repeat, and for a target that was never touched.

        Raises:
            TargetError: it did not work; a retry may help.
        """

    async def act(self, action: str, target: Target, current: Identity | None) -> Done:
        """Do what is no fault.

        Raises:
            TargetError: it did not work.
        """


class ProcessFaults:
    """Stops, kills, halts and restarts processes."""

    actions = frozenset({"stop", "kill", "pause", "restart", "start", "resume"})

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def undo_of(self, action: str, target: Target, before: Identity) -> Undo:
        return Undo(kind="process.resume" if action == "pause" else "process.start", service=target.name, identity=before)

    async def prepare(self, action: str, target: Target) -> None:
        if action in {"stop", "restart"}:
            await self._processes.let_go(target.service)

    async def inject(self, action: str, target: Target, before: Identity) -> str:
        driver, spec = self._processes.driver, spec_of(target.service)
        if not is_alive(before):
            raise NotThere(before)
        if action == "pause":
            await driver.pause(before)
        elif action == "kill":
            await driver.kill(before)
        else:
            stopped = await driver.stop(before, signal=spec.stop_signal, grace=spec.stop_grace)
            if stopped.killed and spec.stop_signal != "KILL":
                told = f"{target.name} outlived SIG{spec.stop_signal} by {format_duration(spec.stop_grace)} and was killed"
                _log.info("target.killed", run=target.run, service=target.name, grace=format_duration(spec.stop_grace))
                return told
        return ""

    async def hasten(self, action: str, target: Target, before: Identity) -> None:
        if action in {"stop", "restart"}:
            _log.info("target.hastened", run=target.run, service=target.name)
            await self._processes.driver.kill(before)

    async def undo(self, undo: Undo, target: Target) -> Done:
        if undo.kind == "process.resume":
            return await self._resume(undo.identity)
        return await self._start_again(undo.identity, target)

    async def act(self, action: str, target: Target, current: Identity | None) -> Done:
        if action == "resume":
            if current is None:
                raise NoProcess(target.name)
            await self._processes.driver.resume(current)
            return Done(current)
        if current is not None or await self._processes.answers(target.service.health):
            return Done(current, found=True)
        return Done(await self._processes.start(target.run, target.name, target.service), started=True)

    async def _resume(self, halted: Identity | None) -> Done:
        if halted is None:
            return Done(found=True)
        try:
            await self._processes.driver.resume(halted)
        except NotThere:
            return Done(found=True)
        return Done(halted)

    async def _start_again(self, before: Identity | None, target: Target) -> Done:
        # One that was asked to stop and has not yet done so would only look alive.
        grace = spec_of(target.service).stop_grace
        if before is not None and is_alive(before) and not await self._processes.driver.gone(before, grace):
            return Done(before, found=True)
        back = find_tagged(target.run).get(target.name)
        if back is not None or await self._processes.answers(target.service.health):
            return Done(back, found=True)
        return Done(await self._processes.start(target.run, target.name, target.service), started=True)


class NoProcess(NotThere):
    """The service has no process that could be reached."""

    def __init__(self, service: str) -> None:
        Exception.__init__(self, f"{service} is not running")
