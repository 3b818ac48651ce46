"""Undoing faults: again and again until it works, whoever armed them, and whether or not the target was ever touched."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import structlog

from actors.chaos_injector.drivers import Done, Driver, Plan, Target, foreseen, plan_of, target_of, undo_once
from actors.chaos_injector.leases import Leases, may_be_ours
from actors.chaos_injector.out_of_reach import OutOfReach
from actors.chaos_injector.outcomes import service_event, since
from actors.chaos_injector.processes import Processes
from actors.chaos_injector.turns import Turns
from bus.actor import Decision, Run
from messages.fault_events import ActionFailed, FaultArmed, FaultReverted, FaultRevertFailed
from messages.run_events import ActionRequested
from messages.undo import AnyUndo
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
LONGEST_LOOK = 1.0
"""Seconds that it may take to find out whether a fault is still there."""
LOOK = 0.05
"""Seconds from one look at a journal that is another's to the next."""


@dataclass(frozen=True, slots=True)
class _Undone:
    armed: FaultArmed
    done: Done
    by: By
    took: timedelta
    end: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class _Failed:
    message: str
    attempts: int


class Undoing:
    """Brings targets back."""

    def __init__(self, drivers: Mapping[str, Driver], processes: Processes, leases: Leases, turns: Turns) -> None:
        self._drivers = drivers
        self._processes = processes
        self._leases = leases
        self._turns = turns
        self._untold: set[tuple[str, str]] = set()
        """The faults that were undone, and of which the journal does not know it yet."""

    def reach(self, run: Run[RunState], request: ActionRequested) -> tuple[Target, Driver]:
        """The target of a request, and what disturbs it."""
        target = target_of(run, request, lambda name: self._processes.current(run, name))
        away = self._processes.elsewhere(run)
        return target, self._drivers[request.action.spec.means] if away is None else OutOfReach(away)

    async def undo(self, run: Run[RunState], state: ActionState, by: By) -> AsyncIterator[Decision]:
        """Undo a fault that was armed. By its lease it is undone even where nobody can say whose run it is.

        Nothing that is said of it holds the target's turn: the bus may be away for longer than a fault may last.
        """
        fault = run.id, state.request.fault_id
        async with self._turns.of(*fault):
            undone = await self._attempts(run, state, by) if self._is_due(run, state, by) else None
            if isinstance(undone, _Undone):
                self._untold.add(fault)
        try:
            if isinstance(undone, _Undone):
                async for decision in self._told(run, state, undone):
                    yield decision
            elif undone is not None and state.revert_failed is None:
                yield FaultRevertFailed(fault_id=fault[1], message=undone.message, attempts=undone.attempts)
        finally:
            self._untold.discard(fault)

    def is_undone(self, run: str, state: ActionState) -> bool:
        """Whether nothing of the fault is to be kept up, also if the journal does not know it yet."""
        return not state.active or (run, state.request.fault_id) in self._untold

    async def _told(self, run: Run[RunState], state: ActionState, undone: _Undone) -> AsyncIterator[Decision]:
        fault, armed, done = state.request.fault_id, undone.armed, undone.done
        service = service_event(run, armed.target, done)
        if service is not None:
            with self._processes.vouched(run, service):
                yield service
        # Of what another injector began to undo before it died nobody can say that it ended by itself.
        found = done.found and (self._leases.is_ours_alone(run.id, fault) or (done.process is not None and done.process == armed.before))
        reverted = FaultReverted(fault_id=fault, took=undone.took, ago=since(undone.end), by=undone.by, found_undone=found)
        if done.lost and state.injected is not None:
            yield reverted, ActionFailed(action_id=fault, reason=Reason.NO_EFFECT, message=done.lost)
        else:
            yield reverted

    def _is_due(self, run: Run[RunState], state: ActionState, by: By) -> bool:
        if (run.id, state.request.fault_id) in self._untold:
            return False
        return is_left(run.view, state) if by == "lease" else state.active

    async def _attempts(self, run: Run[RunState], state: ActionState, by: By) -> _Undone | _Failed | None:
        """What came of it; None if somebody else has undone it in the meantime."""
        armed, begin, message = state.armed, time.monotonic(), ""
        if armed is None:
            return None
        target, driver = self.reach(run, state.request)
        for attempt, pause in enumerate((*PAUSES, 0.0), start=1):
            if by != "lease" and not await self._leases.hold(run, target.fault):
                by = "lease"
            try:
                done = await undo_once(driver, armed.undo, target)
            except TargetError as error:
                _log.warning("undo.failed", run=run.id, fault=target.fault, attempt=attempt, error=str(error))
                message = str(error)
            else:
                end = time.monotonic()
                return _Undone(armed, done, by, timedelta(seconds=end - begin), end)
            await asyncio.sleep(pause)
            if not self._is_due(run, state, by):
                return None
        return _Failed(message, attempt)

    async def renewed(self, run: Run[RunState], state: ActionState, undo: AnyUndo) -> bool:
        """The lease was renewed: False if the fault has ended though nobody of us was told to end it. What cannot be known has not."""
        if state.injected is None:
            return True
        target, driver = self.reach(run, state.request)
        try:
            async with asyncio.timeout(LONGEST_LOOK):
                with foreseen():
                    return await driver.renew(undo, target)
        except (TargetError, TimeoutError) as error:
            _log.warning("look.failed", run=run.id, fault=target.fault, error=str(error) or type(error).__name__)
            return True

    async def hasten(self, run: Run[RunState], state: ActionState) -> None:
        """Give an injection that is under way some time, then end it by force."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()), self._turns.of(run.id, state.request.fault_id):
                return
        except TimeoutError:
            armed = state.armed
        if armed is not None and state.injected is None and await may_be_ours(run):
            target, driver = self.reach(run, state.request)
            try:
                with foreseen():
                    await driver.hasten(target, plan_of(armed))
            except TargetError as error:
                _log.warning("hasten.failed", run=run.id, fault=armed.fault_id, error=str(error))

    async def take_back(self, run: Run[RunState], target: Target, plan: Plan) -> None:
        """This process was halted as it disturbed the target, and another has the run: unless that one wants the fault, undo it."""
        if await _is_wanted(run, target.fault, time.monotonic() + PATIENCE.total_seconds()):
            return
        done = await undo_once(self._drivers[target.action.spec.means], plan.undo, target)
        if done.started and done.process is not None:
            await self._processes.end_released(run, done.process)
        _log.warning("fault.taken_back", run=run.id, fault=target.fault)


async def _is_wanted(run: Run[RunState], fault: str, until: float) -> bool:
    """Whether the owner of the run has the fault in hand, so that it will undo what was done: waits until that one has decided."""
    while True:
        view = await run.latest()
        known = view.actions.states.get(fault)
        if known is None or not known.active:
            return known is not None and known.armed is not None and known.armed.undo.kind == "process.start" and "release" in view.requests
        if (known.injected is not None and known.undo_requested is None) or time.monotonic() > until:
            return True
        await asyncio.sleep(LOOK)


def is_left(view: RunState, state: ActionState) -> bool:
    """Its target may be as the fault left it, whatever was said of that. Nothing is started again that was released, or it would stay."""
    if state.armed is None or state.reverted is not None:
        return False
    return state.active or state.armed.undo.kind != "process.start" or "release" not in view.requests


def is_wanted_undone(view: RunState, fault: str) -> bool:
    """It was given up and may be there still, and nobody has said that it was put right."""
    return fault in view.left and is_left(view, view.actions.states[fault])
