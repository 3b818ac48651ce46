"""Filling volumes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from pathlib import Path

from actors.chaos_injector.drivers import Done, Driver, Plan, Target
from messages.actions.volumes import DiskFull, FillerUndo
from messages.undo import AnyUndo
from targets.disk import DiskFaults, VolumeOffLimits, supported
from targets.errors import Unsupported
from targets.listening import listeners, open_files
from targets.polling import comes_true

POLL = 0.02
STORE = "jetstream"
"""Where a NATS server keeps its streams, in its `store_dir`: that may be mounted from elsewhere."""
PATIENCE = 2.0
"""Seconds that a server of the bus may take that starts again, until it is seen where it keeps its streams."""
AGAIN = 0.1
"""Seconds from one look at all processes of the machine to the next."""
BusPorts = Callable[[], Awaitable[Iterable[int]]]
"""The ports of this machine on which servers of the bus listen."""


async def _none() -> tuple[int, ...]:
    return ()


class VolumeFaults(Driver):
    """Fills the file systems of volumes, never one that the coordinator or its bus lives on."""

    def __init__(self, protected: Iterable[Path], bus_ports: BusPorts = _none) -> None:
        """`protected` are folders whose file systems, and those of their streams, are never filled."""
        self._disk = DiskFaults(protected=[path for folder in protected for path in (folder, folder / STORE)])
        self._bus_ports = bus_ports

    async def plan(self, target: Target) -> Plan:
        told, missing = target.action.told, supported()
        if missing is not None or not isinstance(told, DiskFull):
            raise Unsupported(missing or f"{target.action.action} does nothing to a volume")
        path = target.system.spec.volumes[target.name].path
        undo = await self._disk.undo_of(told, path, run=target.run, fault=target.fault)
        await self._spare_the_bus(undo)
        return Plan(undo)

    async def inject(self, target: Target, plan: Plan) -> str:
        if isinstance(plan.undo, FillerUndo):
            await self._disk.inject(plan.undo)
        return ""

    async def was_injected(self, target: Target, plan: Plan) -> bool:
        return isinstance(plan.undo, FillerUndo) and self._disk.is_in_place(plan.undo)

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        if not isinstance(undo, FillerUndo):
            return Done(found=True)
        if not self._disk.is_there(undo):
            return Done(found=True, lost=f"{undo.volume} is not the file system any more that was filled: it was unmounted meanwhile")
        found = await self._disk.normal(undo)
        await self._disk.undo(undo)
        return Done(found=found)

    async def renew(self, undo: AnyUndo, target: Target) -> bool:
        return not isinstance(undo, FillerUndo) or (self._disk.is_there(undo) and self._disk.has_filler(undo))

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        return await self._disk.effect(plan.undo, within) if isinstance(plan.undo, FillerUndo) else None

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        undo = plan.undo
        return not isinstance(undo, FillerUndo) or await comes_true(lambda: self._disk.normal(undo), within, poll=POLL)

    async def _spare_the_bus(self, undo: FillerUndo) -> None:
        """Raises VolumeOffLimits where a server of the bus has its files on the volume's file system, or where nobody can tell."""
        until = time.monotonic() + PATIENCE
        for port in sorted(await self._bus_ports()):
            while isinstance(files := await asyncio.to_thread(_files_of_bus, port), str):
                if time.monotonic() > until:
                    told = f"a server of the bus listens on port {port} of this machine, and {files}"
                    raise VolumeOffLimits(
                        f"{told}, so its streams may be in {undo.volume}; run the injector as the server's user, or elsewhere"
                    )
                await asyncio.sleep(AGAIN)
            beside = next((path for path, device in files if device == undo.device), None)
            if beside is not None:
                raise VolumeOffLimits.beside(f"{beside}, which the bus writes", undo.volume)


def _files_of_bus(port: int) -> list[tuple[str, int]] | str:
    """The files of the servers that listen on this port, with their devices; or why nobody can tell where they keep streams."""
    found, sockets = list[tuple[str, int]](), listeners(port)
    for pids in sockets.values():
        files = [file for pid in pids for file in open_files(pid)]
        if not any(STORE in Path(path).parts for path, _ in files):
            return "no file of a stream is seen open in its process" if pids else "its process may not be looked at"
        found += files
    return found if sockets else "nobody is seen to listen there now"
