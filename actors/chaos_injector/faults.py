"""A fault from its request to its undo: armed before the target is touched, and undone whatever happens in between."""

from collections.abc import AsyncIterator, Mapping

import structlog

from actors.chaos_injector.attending import until_attended
from actors.chaos_injector.drivers import Driver, foreseen
from actors.chaos_injector.injecting import Injecting, is_over
from actors.chaos_injector.leases import Leases, may_be_ours
from actors.chaos_injector.loose_ends import LooseEnds
from actors.chaos_injector.off_limits import OffLimits, OffLimitsOf
from actors.chaos_injector.outcomes import reason_of, service_event
from actors.chaos_injector.processes import Processes
from actors.chaos_injector.refusals import refusal, resources
from actors.chaos_injector.turns import Turns
from actors.chaos_injector.undoing import By, Undoing, is_left, is_wanted_undone
from bus.actor import Decision, Run, TimerDue
from messages.fault_events import ActionDone, ActionFailed, ActionRefused, FaultArmed
from messages.needs import Need
from messages.run_events import ActionRequested, UndoRequested
from messages.verdicts import Reason
from runs.faults import ActionState
from runs.state import RunState
from targets.errors import TargetError

_log = structlog.get_logger()


class Faults:
    """Does the actions of runs. What is done to one fault is done in turn, different faults side by side."""

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        processes: Processes,
        leases: Leases,
        loose_ends: LooseEnds,
        *,
        off_limits: OffLimitsOf,
    ) -> None:
        self._drivers = drivers
        self._processes = processes
        self._leases = leases
        self._off_limits = off_limits
        self._turns = Turns()
        self._undoing = Undoing(drivers, processes, leases, self._turns)
        self._injecting = Injecting(self._undoing, leases, self._turns, loose_ends, off_limits)
        self.notes = self._injecting.notes
        self._taken: dict[tuple[str, Need], str] = {}
        """The fault that is being injected into a resource of a run."""

    async def take(self, event: ActionRequested, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Do the action, or refuse it. One that was armed when an injector died is gone on with, and not injected twice.

        Nothing is begun while nobody attends to the run: a fault that is armed already then ends with its lease.
        """
        state = run.view.actions.states.get(event.fault_id)
        if state is None or is_over(state):
            return
        await until_attended(run, lambda: is_over(state) or state.injected is not None or state.undo_requested is not None)
        off_limits = await self._off_limits(run.view.system)
        if is_over(state):
            return
        if state.armed is not None:
            steps = self._injecting.resume(run, state)
        elif (refused := self._refusal(run, state, off_limits)) is not None:
            yield refused
            return
        else:
            steps = self._inject(run, state) if event.action.spec.fault else self._act(run, state)
        try:
            async for decision in steps:
                yield decision
        finally:
            for resource in resources(run.view.system, event):
                if self._taken.get((run.id, resource)) == event.fault_id:
                    del self._taken[run.id, resource]

    async def undo(self, event: UndoRequested, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Undo a fault on request."""
        state = run.view.actions.states.get(event.fault_id)
        if state is not None and not state.settled:
            await self._undoing.hasten(run, state)
            async for decision in self.revert(run, event.fault_id, "request"):
                yield decision

    async def keep(self, event: FaultArmed, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Renew the lease of a fault while it is wanted. One that was found without a lease, or given up, is undone at once."""
        state = run.view.actions.states.get(event.fault_id)
        if state is None:
            return
        if not state.active:
            if run.inherited and is_wanted_undone(run.view, event.fault_id):
                async for decision in self.revert(run, event.fault_id, "lease"):
                    yield decision
            return
        ended: By | None = "lease"
        if await self._leases.adopt(run, event):
            ended = await self._leases.renew(run, state, lambda: self._undoing.renewed(run, state, event.undo))
        if ended is not None:
            async for decision in self.revert(run, event.fault_id, ended):
                yield decision

    async def lapse(self, event: TimerDue, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Undo a fault whose lease ran out, also one that was given up before."""
        state = run.view.actions.states.get(event.name)
        if state is not None and is_left(run.view, state) and await may_be_ours(run):
            _log.warning("lease.lapsed", run=run.id, fault=event.name)
            async for decision in self.revert(run, event.name, "lease"):
                yield decision

    async def revert(self, run: Run[RunState], fault: str, by: By) -> AsyncIterator[Decision]:
        """Undo a fault if it is active; cancel it if it was not yet armed."""
        state = run.view.actions.states[fault]
        if _is_not_begun(state):
            async with self._turns.of(run.id, fault):  # it may be just being armed
                if _is_not_begun(state):
                    yield ActionRefused(action_id=fault, reason=Reason.CANCELLED, message="undone before it was injected")
        async for decision in self._undoing.undo(run, state, by):
            yield decision

    def forget(self, run: str) -> None:
        """The run is over."""
        self._turns.forget(run)
        for key in [key for key in self.notes if key[0] == run]:
            del self.notes[key]
        self._taken = {key: fault for key, fault in self._taken.items() if key[0] != run}
        for driver in self._drivers.values():
            driver.forget(run)

    def _refusal(self, run: Run[RunState], state: ActionState, off_limits: OffLimits) -> ActionRefused | None:
        """Why it is not tried; else the target is its own until it is injected."""
        request = state.request
        able, rival = request.action.spec.means in self._drivers, self._rival(run, request)
        refused = refusal(run.view, state, able=able, rival=rival, off_limits=off_limits)
        if refused is None and request.action.spec.fault:
            self._taken.update({(run.id, resource): request.fault_id for resource in resources(run.view.system, request)})
        return refused

    def _rival(self, run: Run[RunState], request: ActionRequested) -> str | None:
        wanted, system = resources(run.view.system, request), run.view.system
        taken = (self._taken.get((run.id, resource)) for resource in wanted)
        active = (name for name, other in run.view.actions.faults().items() if other.active and wanted & resources(system, other.request))
        return next((name for name in (*taken, *active) if name is not None), None)

    async def _inject(self, run: Run[RunState], state: ActionState) -> AsyncIterator[Decision]:
        async with self._turns.of(run.id, state.request.fault_id):
            async for decision in self._injecting.arm(run, state):
                yield decision
        async for decision in self._injecting.disturb(run, state):
            yield decision

    async def _act(self, run: Run[RunState], state: ActionState) -> AsyncIterator[Decision]:
        request = state.request
        name, fault = request.action.action, request.fault_id
        target, driver = self._undoing.reach(run, request)
        await run.hold()
        try:
            with foreseen():
                done = await driver.act(target)
        except TargetError as error:
            yield ActionFailed(action_id=fault, reason=reason_of(error), message=f"{name} failed: {error}")
            return
        service = service_event(run, request.target, done)
        if service is not None:
            with self._processes.vouched(run, service):
                yield service
        yield ActionDone(action_id=fault, message=done.message)


def _is_not_begun(state: ActionState) -> bool:
    return state.armed is None and not state.settled
