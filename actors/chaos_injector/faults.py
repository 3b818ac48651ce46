"""A fault from its request to its undo: armed before the target is touched, and undone whatever happens in between."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Literal

import structlog

from actors.chaos_injector.drivers import Driver, Plan, Target, foreseen, plan_of, target_of
from actors.chaos_injector.leases import Leases
from actors.chaos_injector.outcomes import reason_of, service_event, since
from actors.chaos_injector.processes import Processes
from actors.chaos_injector.refusals import refusal, resources
from bus.actor import Decision, Run, TimerDue
from messages.fault_events import ActionDone, ActionFailed, ActionRefused, FaultArmed, FaultInjected, FaultReverted, FaultRevertFailed
from messages.needs import Need
from messages.run_events import ActionRequested, UndoRequested
from messages.verdicts import Reason
from runs.faults import ActionState
from runs.state import RunState
from targets.errors import TargetError

_log = structlog.get_logger()
By = Literal["request", "lease", "itself"]
PAUSES = (0.25, 0.5, 1.0, 2.0)
"""Seconds between the attempts to undo."""
PATIENCE = timedelta(seconds=5)
"""How long an undo waits for the injection that it is to undo before that is ended by force."""
INTERRUPTED = "the injector was restarted while injecting"


class Faults:
    """Does the actions of runs. What is done to one fault is done in turn, different faults side by side."""

    def __init__(self, drivers: Mapping[str, Driver], processes: Processes, leases: Leases) -> None:
        self.notes: dict[tuple[str, str], str] = {}
        """What is to be told of a fault when it is over."""
        self._drivers = drivers
        self._processes = processes
        self._leases = leases
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._taken: dict[tuple[str, Need], str] = {}
        """The fault that is being injected into a resource of a run."""

    async def take(self, event: ActionRequested, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Do the action, or refuse it. One that was under way when an injector died is not done again but undone."""
        state = run.view.actions.states.get(event.fault_id)
        if state is None or _is_over(state):
            return
        async with self._turns[run.id, event.fault_id]:
            if _is_over(state):
                return
            if state.armed is not None:
                steps = self._resume(run, state)
            elif (refused := self._refusal(run, state)) is not None:
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
            await self._hasten(run, state)
            async for decision in self.revert(run, event.fault_id, "request"):
                yield decision

    async def lapse(self, event: TimerDue, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Undo a fault whose lease ran out, also one that was given up before."""
        state = run.view.actions.states.get(event.name)
        if state is not None and _is_left(run.view, state):
            _log.warning("lease.lapsed", run=run.id, fault=event.name)
            async for decision in self.revert(run, event.name, "lease"):
                yield decision

    async def revert(self, run: Run[RunState], fault: str, by: By) -> AsyncIterator[Decision]:
        """Undo a fault if it is active; cancel it if it was not yet armed."""
        state = run.view.actions.states[fault]
        async with self._turns[run.id, fault]:
            if state.armed is None and not state.settled:
                yield ActionRefused(action_id=fault, reason=Reason.CANCELLED, message="undone before it was injected")
            elif state.active or (by == "lease" and _is_left(run.view, state)):
                async for decision in self._undo(run, state, by):
                    yield decision

    def forget(self, run: str) -> None:
        """The run is over."""
        for known in (self.notes, self._turns):
            for key in [key for key in known if key[0] == run]:
                del known[key]
        self._taken = {key: fault for key, fault in self._taken.items() if key[0] != run}
        for driver in self._drivers.values():
            driver.forget(run)

    def _refusal(self, run: Run[RunState], state: ActionState) -> ActionRefused | None:
        """Why it is not tried; else the target is its own until it is injected."""
        request = state.request
        refused = refusal(run.view, state, able=request.action.spec.means in self._drivers, rival=self._rival(run, request))
        if refused is None and request.action.spec.fault:
            self._taken.update({(run.id, resource): request.fault_id for resource in resources(run.view.system, request)})
        return refused

    def _rival(self, run: Run[RunState], request: ActionRequested) -> str | None:
        wanted, system = resources(run.view.system, request), run.view.system
        taken = (self._taken.get((run.id, resource)) for resource in wanted)
        active = (name for name, other in run.view.actions.faults().items() if other.active and wanted & resources(system, other.request))
        return next((name for name in (*taken, *active) if name is not None), None)

    async def _inject(self, run: Run[RunState], state: ActionState) -> AsyncIterator[Decision]:
        request = state.request
        target, driver = self._reach(run, request)
        try:
            with foreseen():
                plan = await driver.plan(target)
        except TargetError as error:
            yield ActionRefused(action_id=request.fault_id, reason=reason_of(error), message=str(error))
            return
        if _is_over(state):
            return
        if (refused := refusal(run.view, state, able=True, rival=None)) is not None:
            yield refused
            return
        until = await self._leases.arm(run, request.fault_id, plan.undo)
        if until is None:
            return
        yield FaultArmed(
            fault_id=request.fault_id,
            target=request.target,
            action=request.action.action,
            until=until,
            undo=plan.undo,
            before=plan.before,
        )
        # Nobody would undo what was given up in the meantime.
        steps = self._undo(run, state, "itself") if state.outcome is not None else self._touch(run, state, target, plan)
        async for decision in steps:
            yield decision

    async def _touch(self, run: Run[RunState], state: ActionState, target: Target, plan: Plan) -> AsyncIterator[Decision]:
        action, fault = state.request.action, state.request.fault_id
        begin = time.monotonic()
        try:
            with foreseen():
                self.notes[run.id, fault] = await self._drivers[action.spec.means].inject(target, plan)
        except TargetError as error:
            async for decision in self._give_up(run, state, reason_of(error), f"{action.action} failed: {error}"):
                yield decision
            return
        done = time.monotonic()
        yield FaultInjected(fault_id=fault, took=timedelta(seconds=done - begin), ago=since(done))
        if action.spec.ends_itself:
            async for decision in self._undo(run, state, "itself"):
                yield decision

    async def _resume(self, run: Run[RunState], state: ActionState) -> AsyncIterator[Decision]:
        """Go on with a fault at which an injector died: nothing is injected twice."""
        if state.active and state.injected is None:
            async for decision in self._give_up(run, state, Reason.NO_EFFECT, INTERRUPTED):
                yield decision
        elif state.active and state.request.action.spec.ends_itself:
            async for decision in self._undo(run, state, "itself"):
                yield decision

    async def _give_up(self, run: Run[RunState], state: ActionState, reason: Reason, message: str) -> AsyncIterator[Decision]:
        async for decision in self._undo(run, state, "itself"):
            yield decision
        yield ActionFailed(action_id=state.request.fault_id, reason=reason, message=message)

    async def _undo(self, run: Run[RunState], state: ActionState, by: By) -> AsyncIterator[Decision]:
        fault, armed = state.request.fault_id, state.armed
        if armed is None:
            return
        target, driver = self._reach(run, state.request)
        for attempt, pause in enumerate((*PAUSES, 0.0), start=1):
            begin = time.monotonic()
            try:
                with foreseen():
                    done = await driver.undo(armed.undo, target)
                break
            except TargetError as error:
                _log.warning("undo.failed", run=run.id, fault=fault, attempt=attempt, error=str(error))
                message = str(error)
            await asyncio.sleep(pause)
            if not (_is_left(run.view, state) if by == "lease" else state.active):
                return
        else:
            if state.revert_failed is None:
                yield FaultRevertFailed(fault_id=fault, message=message, attempts=attempt)
            return
        end = time.monotonic()
        service = service_event(run, armed.target, done)
        if service is not None:
            yield service
        found = done.found and not (done.process not in {None, armed.before} and not self._leases.holds(run.id, fault))
        reverted = FaultReverted(fault_id=fault, took=timedelta(seconds=end - begin), ago=since(end), by=by, found_undone=found)
        if done.lost and state.injected is not None:
            yield reverted, ActionFailed(action_id=fault, reason=Reason.NO_EFFECT, message=done.lost)
        else:
            yield reverted

    async def _act(self, run: Run[RunState], state: ActionState) -> AsyncIterator[Decision]:
        request = state.request
        name, fault = request.action.action, request.fault_id
        target, driver = self._reach(run, request)
        try:
            with foreseen():
                done = await driver.act(target)
        except TargetError as error:
            yield ActionFailed(action_id=fault, reason=reason_of(error), message=f"{name} failed: {error}")
            return
        service = service_event(run, request.target, done)
        if service is not None:
            yield service
        yield ActionDone(action_id=fault, message=done.message)

    async def _hasten(self, run: Run[RunState], state: ActionState) -> None:
        """Give an injection that is under way some time, then end it by force."""
        turn = self._turns[run.id, state.request.fault_id]
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()), turn:
                return
        except TimeoutError:
            armed = state.armed
        if armed is not None and state.injected is None:
            target, driver = self._reach(run, state.request)
            try:
                with foreseen():
                    await driver.hasten(target, plan_of(armed))
            except TargetError as error:
                _log.warning("hasten.failed", run=run.id, fault=armed.fault_id, error=str(error))

    def _reach(self, run: Run[RunState], request: ActionRequested) -> tuple[Target, Driver]:
        target = target_of(run, request, lambda name: self._processes.current(run, name))
        return target, self._drivers[request.action.spec.means]


def _is_over(state: ActionState) -> bool:
    return state.settled or state.outcome is not None


def _is_left(view: RunState, state: ActionState) -> bool:
    """Its target may be as the fault left it, whatever was said of that. Nothing is started again that was released, or it would stay."""
    if state.armed is None or state.reverted is not None:
        return False
    return state.active or state.armed.undo.kind != "process.start" or "release" not in view.requests
