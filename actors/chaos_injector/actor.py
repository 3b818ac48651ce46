"""The chaos-injector at work: which event leads to what."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import gettempdir

from actors.chaos_injector.chaos_faults import ChaosFaults
from actors.chaos_injector.drivers import Driver
from actors.chaos_injector.faults import Faults
from actors.chaos_injector.leases import Leases
from actors.chaos_injector.limit_faults import LimitFaults
from actors.chaos_injector.link_watching import LinkWatching
from actors.chaos_injector.links import LinkFaults, Links
from actors.chaos_injector.loose_ends import LooseEnds
from actors.chaos_injector.network_faults import NetworkFaults
from actors.chaos_injector.off_limits import Address, Surroundings
from actors.chaos_injector.process_faults import ProcessFaults
from actors.chaos_injector.processes import Processes
from actors.chaos_injector.services import Services
from actors.chaos_injector.sweeping import IsOver, Sweep
from actors.chaos_injector.undoing import is_wanted_undone
from actors.chaos_injector.volume_faults import VolumeFaults
from actors.chaos_injector.watching import Watching
from actors.chaos_injector.workloads import Workloads
from bus.actor import Actor, Decision, Run, Subscription, TimerDue, on
from bus.cancelling import end
from messages.fault_events import (
    ActionDone,
    ActionFailed,
    ActionRefused,
    FaultArmed,
    FaultEffective,
    FaultGone,
    FaultInjected,
    FaultReverted,
    FaultRevertFailed,
    FaultUnseen,
    ServiceAdopted,
    ServiceStarted,
    ServiceStopped,
    WorkloadDied,
    WorkloadStarted,
    WorkloadStopped,
)
from messages.link_events import LinksLost, LinksOpened
from messages.run_events import ActionRequested, ServicesReleaseRequested, ServicesRequested, UndoRequested
from runs.state import RunState
from targets.find import NAMESPACE_TAG
from targets.health import HealthProber
from targets.machine import Machine
from targets.process import ProcessDriver

LEASE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Around:
    """What an injector is to know of the host that it works in."""

    listening: Callable[[], Iterable[str]] = tuple
    """Where the host itself listens: URLs, or HOST:PORT. That is never disturbed."""
    servers: Callable[[], Iterable[Address]] = tuple
    """The servers of the bus that are known by now, beside those that it was told to connect to. Neither are they."""
    is_over: IsOver | None = None
    """With it, what runs that are over have left on this machine is removed: when the injector starts, and when it learns of more."""
    volumes: tuple[str, ...] = ()
    """The folders of the volumes that may be full."""


NOTHING = Around()


class ChaosInjector(Actor[RunState]):
    """Brings services up and down, disturbs targets on request, and always knows how to undo it.

    State: which leases it renews. What is active is a fold of the journal; when this process dies, the next injector
    adopts the leases, and without one they undo it.
    """

    name = "chaos-injector"
    emits = (
        ServiceStarted,
        ServiceAdopted,
        ServiceStopped,
        LinksOpened,
        LinksLost,
        WorkloadStarted,
        WorkloadDied,
        WorkloadStopped,
        FaultArmed,
        FaultInjected,
        FaultEffective,
        FaultUnseen,
        FaultReverted,
        FaultRevertFailed,
        FaultGone,
        ActionDone,
        ActionRefused,
        ActionFailed,
    )

    def __init__(
        self,
        driver: ProcessDriver,
        prober: HealthProber,
        *,
        environment: Mapping[str, str],
        nats_url: str,
        lease: timedelta = LEASE,
        logs: Path | None = None,
        around: Around = NOTHING,
    ) -> None:
        """Secrets come from `environment`; services are given `nats_url`; `logs` is where the driver writes their output."""
        self._loose_ends, self._around = LooseEnds(), around
        folder = logs.parent if logs is not None else Path(gettempdir()) / f"test-coordinator-{os.getuid()}"
        self._machine = Machine(folder)
        processes = Processes(
            driver,
            prober,
            environment=environment,
            nats_url=nats_url,
            logs=logs,
            loose_ends=self._loose_ends,
            machine=self._machine,
        )
        links, surroundings = Links(driver, folder / "links"), Surroundings(nats_url, around.listening, around.servers)
        self._drivers: dict[str, Driver] = {
            "process": ProcessFaults(processes),
            "limit": LimitFaults(),
            "link": LinkFaults(links),
            "volume": VolumeFaults((folder,), surroundings.bus_ports),
            "chaos": ChaosFaults(environment),
            "network": NetworkFaults(environment),
        }
        self._leases = Leases(lease)
        self._workloads = Workloads(processes, folder / "logs" if logs is None else logs)
        self._link_watching = LinkWatching(processes)
        self._services = Services(processes, links, self._workloads, self._link_watching)
        self._faults = Faults(self._drivers, processes, self._leases, self._loose_ends, off_limits=surroundings.off_limits)
        self._watching = Watching(self._drivers, processes, self._faults.notes)
        self._sweep = Sweep(environment.get(NAMESPACE_TAG, ""), driver, links=folder / "links", volumes=around.volumes)

    def fold(self, run: str) -> RunState:
        return RunState(run)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Nothing waits for the sweep; another injector that comes after does it, if this one leaves before."""
        self._machine.remember()
        async with asyncio.TaskGroup() as tasks, self._loose_ends.tied():
            is_over = self._around.is_over
            sweeping = [tasks.create_task(self._sweep.keep(is_over))] if is_over is not None else []
            try:
                yield
            finally:
                await end(sweeping)

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (
            on(ServicesRequested, self._services.bring_up, lane="entity"),
            on(ServicesReleaseRequested, self._services.release, lane="entity"),
            on(WorkloadStarted, self._workloads.watch, lane="entity"),
            on(LinksOpened, self._link_watching.watch, lane="entity"),
            on(ActionRequested, self._faults.take, lane="entity"),
            on(UndoRequested, self._faults.undo, lane="entity"),
            on(TimerDue, self._faults.lapse, lane="entity"),
            on(FaultArmed, self._faults.keep, lane="entity"),
            on(FaultInjected, self._watching.effect, lane="entity"),
            on(FaultReverted, self.see_off, lane="entity"),
        )

    def active(self) -> tuple[tuple[str, str], ...]:
        """Run and fault of every fault that this injector keeps up."""
        return self._leases.held()

    async def see_off(self, event: FaultReverted, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Give the lease back, and say when the target is as it was."""
        state = run.view.actions.states.get(event.fault_id)
        if state is None or state.gone is not None:
            return
        await self._leases.give_back(run, event.fault_id)
        async for decision in self._watching.normal(event, run):
            yield decision

    def keeps(self, view: RunState) -> bool:
        """A fault whose undo was given up is undone when its lease is over, or by the next injector, also after the report."""
        return any(is_wanted_undone(view, fault) for fault in view.actions.left)

    def closed(self, run: str, view: RunState) -> None:
        """What is left of a run is looked for once more: it may have been given up while no injector lived."""
        if view.left:
            self._sweep.again()
        self._loose_ends.forget(run)
        self._services.forget(run)
        self._faults.forget(run)
        self._leases.forget(run)
