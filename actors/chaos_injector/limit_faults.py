"""Denying processes of services what they need."""

import asyncio
from datetime import timedelta

from actors.chaos_injector.drivers import Done, Driver, Plan, Target
from messages.actions.limits import GroupUndo, LimitCpu, LimitFds, LimitFileSize, LimitMemory, ResourceUndo
from messages.undo import AnyUndo
from targets.errors import Unsupported
from targets.group import is_left
from targets.limits import GroupLimits, ResourceLimits, need_of, supported
from targets.polling import comes_true

POLL = 0.02


class LimitFaults(Driver):
    """Limits the CPU time, memory, file descriptors and file sizes of a service's processes."""

    def __init__(self) -> None:
        self._resources = ResourceLimits()
        self._groups = GroupLimits()

    async def plan(self, target: Target) -> Plan:
        before, told = target.process(), target.action.told
        missing = await asyncio.to_thread(supported, need_of(told))
        if missing is not None:
            raise Unsupported(missing)
        names = {"run": target.run, "fault": target.fault}
        if isinstance(told, LimitCpu) or (isinstance(told, LimitMemory) and told.how == "kill"):
            return Plan(await self._groups.undo_of(told, before, **names), before)
        if isinstance(told, LimitFds | LimitFileSize | LimitMemory):
            return Plan(await self._resources.undo_of(told, before, **names), before)
        raise Unsupported(f"{target.action.action} is no limit")

    async def inject(self, target: Target, plan: Plan) -> str:
        if isinstance(plan.undo, GroupUndo):
            await self._groups.inject(plan.undo)
        elif isinstance(plan.undo, ResourceUndo):
            await self._resources.inject(plan.undo)
        return ""

    async def was_injected(self, target: Target, plan: Plan) -> bool:
        if isinstance(plan.undo, GroupUndo):
            return self._groups.is_in_place(plan.undo)
        return isinstance(plan.undo, ResourceUndo) and self._resources.is_in_place(plan.undo)

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        found = await self._is_normal(undo)
        if isinstance(undo, GroupUndo):
            await self._groups.undo(undo)
        elif isinstance(undo, ResourceUndo):
            await self._resources.undo(undo)
        return Done(found=found, lost=_went_away(undo, target))

    async def renew(self, undo: AnyUndo, target: Target) -> bool:
        """Of processes that live some are limited still. That none lives any more is told at the undo."""
        lives = isinstance(undo, GroupUndo | ResourceUndo) and is_left(undo.leader)
        return not lives or not await self._is_normal(undo)

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        if isinstance(plan.undo, GroupUndo):
            return await self._groups.effect(plan.undo, within)
        return await self._resources.effect(plan.undo, within) if isinstance(plan.undo, ResourceUndo) else None

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        return await comes_true(lambda: self._is_normal(plan.undo), within, poll=POLL)

    async def _is_normal(self, undo: AnyUndo) -> bool:
        if isinstance(undo, GroupUndo):
            return await self._groups.normal(undo)
        return await self._resources.normal(undo) if isinstance(undo, ResourceUndo) else True


def _went_away(undo: AnyUndo, target: Target) -> str:
    """What is to be said of a service that has ended since it was limited; nothing where ending it is what the limit does."""
    if not isinstance(undo, GroupUndo | ResourceUndo) or (isinstance(undo, GroupUndo) and undo.controller == "memory"):
        return ""
    if is_left(undo.leader) or target.current(target.name) is not None:
        return ""
    return f"{target.name} went away while it was limited: {undo.leader} is not there any more"
