"""The chaos-injector at work: which event leads to what."""

import os
from collections.abc import AsyncIterator, Mapping
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
from actors.chaos_injector.network_faults import NetworkFaults
from actors.chaos_injector.process_faults import ProcessFaults
from actors.chaos_injector.processes import Processes
from actors.chaos_injector.services import Services
from actors.chaos_injector.volume_faults import VolumeFaults
from actors.chaos_injector.watching import Watching
from actors.chaos_injector.workloads import Workloads
from bus.actor import Actor, Decision, Run, Subscription, TimerDue, on
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
from targets.health import HealthProber
from targets.process import ProcessDriver

LEASE = timedelta(seconds=10)


class ChaosInjector(Actor[RunState]):
    """Brings services up and down, disturbs targets on request, and always knows how to undo it.

    State: which leases it renews. What is active is a fold of the journal; when this process dies, the leases undo it.
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
    ) -> None:
        """Secrets come from `environment`; services are given `nats_url`; `logs` is where the driver writes their output."""
        processes = Processes(driver, prober, environment=environment, nats_url=nats_url, logs=logs)
        folder = logs.parent if logs is not None else Path(gettempdir()) / f"test-coordinator-{os.getuid()}"
        links = Links(driver, folder / "links")
        self._drivers: dict[str, Driver] = {
            "process": ProcessFaults(processes),
            "limit": LimitFaults(),
            "link": LinkFaults(links),
            "volume": VolumeFaults((folder,)),
            "chaos": ChaosFaults(environment),
            "network": NetworkFaults(environment),
        }
        self._leases = Leases(lease)
        self._workloads = Workloads(processes, folder / "logs" if logs is None else logs)
        self._link_watching = LinkWatching(processes)
        self._services = Services(processes, links, self._workloads, self._link_watching)
        self._faults = Faults(self._drivers, processes, self._leases)
        self._watching = Watching(self._drivers, processes, self._faults.notes)

    def fold(self, run: str) -> RunState:
        return RunState(run)

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (
            on(ServicesRequested, self._services.bring_up, lane="entity"),
            on(ServicesReleaseRequested, self._services.release, lane="entity"),
            on(WorkloadStarted, self._workloads.watch, lane="entity"),
            on(LinksOpened, self._link_watching.watch, lane="entity"),
            on(ActionRequested, self._faults.take, lane="entity"),
            on(UndoRequested, self._faults.undo, lane="entity"),
            on(TimerDue, self._faults.lapse, lane="entity"),
            on(FaultArmed, self.keep, lane="entity"),
            on(FaultInjected, self._watching.effect, lane="entity"),
            on(FaultReverted, self.see_off, lane="entity"),
        )

    def active(self) -> tuple[tuple[str, str], ...]:
        """Run and fault of every fault that this injector keeps up."""
        return self._leases.held()

    async def keep(self, event: FaultArmed, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Renew the lease of a fault of ours; one that another injector left without a lease is undone at once."""
        state = run.view.actions.states.get(event.fault_id)
        if state is None or not state.active:
            return
        if self._leases.holds(run.id, event.fault_id):
            driver = self._drivers[state.request.action.spec.means]
            if not await self._leases.renew(run, state, lambda: state.injected is None or driver.renew(event.undo)):
                async for decision in self._faults.revert(run, event.fault_id, "itself"):
                    yield decision
        elif await self._leases.has_lapsed(run, event):
            async for decision in self._faults.revert(run, event.fault_id, "lease"):
                yield decision

    async def see_off(self, event: FaultReverted, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Give the lease back, and say when the target is as it was."""
        state = run.view.actions.states.get(event.fault_id)
        if state is None or state.gone is not None:
            return
        await self._leases.give_back(run, event.fault_id)
        async for decision in self._watching.normal(event, run):
            yield decision

    def closed(self, run: str) -> None:
        self._services.forget(run)
        self._faults.forget(run)
        self._leases.forget(run)
