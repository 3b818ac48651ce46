"""Filling volumes."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from actors.chaos_injector.drivers import Done, Driver, Plan, Target
from messages.actions.volumes import DiskFull, FillerUndo
from messages.undo import AnyUndo
from targets.disk import DiskFaults, supported
from targets.errors import Unsupported
from targets.polling import comes_true

POLL = 0.02


class VolumeFaults(Driver):
    """Fills the file systems of volumes. `protected` are folders whose file systems are never filled."""

    def __init__(self, protected: Iterable[Path]) -> None:
        self._disk = DiskFaults(protected=protected)

    async def plan(self, target: Target) -> Plan:
        told, missing = target.action.told, supported()
        if missing is not None or not isinstance(told, DiskFull):
            raise Unsupported(missing or f"{target.action.action} does nothing to a volume")
        path = target.system.spec.volumes[target.name].path
        return Plan(await self._disk.undo_of(told, path, run=target.run, fault=target.fault))

    async def inject(self, target: Target, plan: Plan) -> str:
        if isinstance(plan.undo, FillerUndo):
            await self._disk.inject(plan.undo)
        return ""

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        if not isinstance(undo, FillerUndo):
            return Done(found=True)
        found = await self._disk.normal(undo)
        await self._disk.undo(undo)
        return Done(found=found)

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        return await self._disk.effect(plan.undo, within) if isinstance(plan.undo, FillerUndo) else None

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        undo = plan.undo
        return not isinstance(undo, FillerUndo) or await comes_true(lambda: self._disk.normal(undo), within, poll=POLL)
