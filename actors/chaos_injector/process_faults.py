"""Stopping, killing, halting and restarting the processes of services."""

from datetime import timedelta
from typing import Literal, cast

import structlog

from actors.chaos_injector.drivers import UNDO_WITHIN, Done, Driver, Plan, Target
from actors.chaos_injector.processes import Processes, spec_of
from messages.identity import Identity
from messages.undo import AnyUndo, Undo
from messages.values import format_duration
from targets.effects import saw_effect, saw_normal
from targets.errors import NotThere, Unsupported
from targets.group import is_halted, is_left
from targets.identity import is_alive

_log = structlog.get_logger()
LONGEST_GRACE = timedelta(seconds=15)
"""How long an undo waits for a process to end that was asked to: a run gives 30 s to all undos."""
Disturbing = Literal["stop", "kill", "restart", "pause"]


class ProcessFaults(Driver):
    """Does to processes what signals can do, and starts them again."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def plan(self, target: Target) -> Plan:
        if target.service.driver.process is None:
            raise Unsupported(f"{target.action.action} is not possible on {target.name}, whose driver is {target.service.driver.kind}")
        before = target.process()
        kind: Literal["process.resume", "process.start"] = "process.resume" if target.action.action == "pause" else "process.start"
        return Plan(Undo(kind=kind, service=target.name, identity=before), before)

    async def inject(self, target: Target, plan: Plan) -> str:
        driver, spec, before = self._processes.driver, spec_of(target.service), plan.before
        if before is None or not (is_alive(before) or is_left(before)):
            raise NoProcessAnyMore(target.name)
        if target.action.action == "pause":
            await driver.pause(before)
        elif target.action.action == "kill":
            await driver.kill(before)
        else:
            await self._processes.let_go(target.service)
            stopped = await driver.stop(before, signal=spec.stop_signal, grace=spec.stop_grace)
            if stopped.killed and spec.stop_signal != "KILL":
                _log.info("target.killed", run=target.run, service=target.name, grace=format_duration(spec.stop_grace))
                return f"{target.name} outlived SIG{spec.stop_signal} by {format_duration(spec.stop_grace)} and was killed"
        return ""

    async def was_injected(self, target: Target, plan: Plan) -> bool:
        if plan.before is None:
            return False
        if target.action.action == "pause":
            return is_halted(plan.before)
        return not is_left(plan.before)

    async def hasten(self, target: Target, plan: Plan) -> None:
        if target.action.action in {"stop", "restart"} and plan.before is not None:
            _log.info("target.hastened", run=target.run, service=target.name)
            await self._processes.driver.kill(plan.before)

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        if not isinstance(undo, Undo):
            return Done(found=True)
        if undo.kind == "process.resume":
            return await self._resume(undo.identity, target)
        return await self._start_again(undo.identity, target)

    async def renew(self, undo: AnyUndo, target: Target) -> bool:
        """Whoever is halted still is. One that was ended and is back has recovered, which is what is looked for."""
        return not isinstance(undo, Undo) or undo.kind != "process.resume" or undo.identity is None or is_halted(undo.identity)

    async def act(self, target: Target) -> Done:
        if target.action.action == "resume":
            current = target.process()
            await self._processes.driver.resume(current)
            return Done(current)
        running = target.current(target.name)
        if running is not None or await self._processes.answers(target.service.health):
            return Done(running, found=True, message="already running")
        return Done(await self._processes.start(target.run, target.name, target.system, target.links), started=True)

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        if plan.before is None:
            return None
        action = cast("Disturbing", target.action.action)
        look = saw_effect(
            action,
            plan.before,
            target.service,
            self._processes.prober,
            current=lambda: target.current(target.name),
            within=within,
        )
        return await look

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        del plan
        return await saw_normal(target.service, self._processes.prober, current=lambda: target.current(target.name), within=within)

    def undo_takes(self, target: Target) -> timedelta:
        return UNDO_WITHIN + min(spec_of(target.service).stop_grace, LONGEST_GRACE)

    async def _resume(self, halted: Identity | None, target: Target) -> Done:
        if halted is None:
            return Done(found=True)
        try:
            await self._processes.driver.resume(halted)
        except NotThere:
            if target.current(target.name) is not None or await self._processes.answers(target.service.health):
                return Done(found=True)
            return Done(found=True, lost=f"{target.name} went away while it was paused: {halted} is not there any more")
        return Done(halted)

    async def _start_again(self, before: Identity | None, target: Target) -> Done:
        # One that was asked to stop and has not yet done so would only look alive.
        grace = min(spec_of(target.service).stop_grace, LONGEST_GRACE)
        if before is not None and is_alive(before) and not await self._processes.driver.gone(before, grace):
            return Done(before, found=True)
        back = target.current(target.name)
        if back is not None or await self._processes.answers(target.service.health):
            return Done(back, found=True)
        return Done(await self._processes.start(target.run, target.name, target.system, target.links), started=True)


class NoProcessAnyMore(NotThere):
    """The process that was to be disturbed has gone."""

    def __init__(self, service: str) -> None:
        Exception.__init__(self, f"{service} has just gone")
