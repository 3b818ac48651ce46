"""Injecting faults, and going on with one at which another injector stopped."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog

from actors.chaos_injector.drivers import Plan, Target, foreseen, plan_of
from actors.chaos_injector.leases import Leases
from actors.chaos_injector.loose_ends import LooseEnds
from actors.chaos_injector.off_limits import OffLimitsOf
from actors.chaos_injector.outcomes import reason_of, since
from actors.chaos_injector.refusals import refusal
from actors.chaos_injector.turns import Turns
from actors.chaos_injector.undoing import Undoing
from bus.actor import Decision, Run
from messages.fault_events import ActionFailed, ActionRefused, FaultArmed, FaultInjected
from runs.faults import ActionState
from runs.state import RunState
from targets.errors import TargetError

_log = structlog.get_logger()


class Injecting:
    """Disturbs targets, each once."""

    def __init__(self, undoing: Undoing, leases: Leases, turns: Turns, loose_ends: LooseEnds, off_limits: OffLimitsOf) -> None:
        self.notes: dict[tuple[str, str], str] = {}
        """What is to be told of a fault when it is over."""
        self._undoing = undoing
        self._leases = leases
        self._turns = turns
        self._loose_ends = loose_ends
        self._off_limits = off_limits

    async def arm(self, run: Run[RunState], state: ActionState) -> AsyncIterator[Decision]:
        """Promise the undo of a fault, before its target is touched; or refuse it."""
        request = state.request
        target, driver = self._undoing.reach(run, request)
        try:
            with foreseen():
                plan = await driver.plan(target)
        except TargetError as error:
            yield ActionRefused(action_id=request.fault_id, reason=reason_of(error), message=str(error))
            return
        off_limits = await self._off_limits(run.view.system)
        if is_over(state):
            return
        if (refused := refusal(run.view, state, able=True, rival=None, off_limits=off_limits)) is not None:
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

    async def disturb(self, run: Run[RunState], state: ActionState) -> AsyncIterator[Decision]:
        """Disturb the target of a fault that was just armed."""
        if state.armed is None:
            return
        # Nobody would undo what was given up in the meantime.
        given_up = state.outcome is not None
        steps = self._undoing.undo(run, state, "itself") if given_up else self._touch(run, state, plan_of(state.armed))
        async for decision in steps:
            yield decision

    async def resume(self, run: Run[RunState], state: ActionState) -> AsyncIterator[Decision]:
        """Go on with a fault at which an injector died: nothing is injected twice."""
        if state.armed is None or not state.active:
            return
        if state.injected is not None:
            steps = self._undoing.undo(run, state, "itself") if state.request.action.spec.ends_itself else _nothing()
        elif state.undo_requested is not None or not await self._leases.adopt(run, state.armed):
            steps = self._undoing.undo(run, state, "lease" if state.undo_requested is None else "request")
        else:
            steps = self._go_on(run, state, plan_of(state.armed))
        async for decision in steps:
            yield decision

    async def _touch(self, run: Run[RunState], state: ActionState, plan: Plan, *, resumed: bool = False) -> AsyncIterator[Decision]:
        target, _ = self._undoing.reach(run, state.request)
        await run.hold()
        with self._loose_ends.left(run, target.fault, lambda: self._undoing.take_back(run, target, plan)):
            async for decision in self._disturb(run, state, target, plan, resumed=resumed):
                yield decision
        if state.injected is not None and target.action.spec.ends_itself:
            async for decision in self._undoing.undo(run, state, "itself"):
                yield decision

    async def _disturb(
        self, run: Run[RunState], state: ActionState, target: Target, plan: Plan, *, resumed: bool
    ) -> AsyncIterator[Decision]:
        _, driver = self._undoing.reach(run, state.request)
        try:
            async with self._turns.of(run.id, target.fault):
                if self._undoing.is_undone(run.id, state):
                    return
                begin = time.monotonic()
                with foreseen():
                    self.notes[run.id, target.fault] = await driver.inject(target, plan)
                done = time.monotonic()
        except TargetError as error:
            async for decision in self._undoing.undo(run, state, "itself"):
                yield decision
            message = f"{target.action.action} failed: {error}"
            yield ActionFailed(action_id=target.fault, reason=reason_of(error), message=message)
            return
        took = timedelta(seconds=done - begin)
        yield FaultInjected(fault_id=target.fault, took=took, ago=since(done), resumed=resumed)

    async def _go_on(self, run: Run[RunState], state: ActionState, plan: Plan) -> AsyncIterator[Decision]:
        """It was armed, and perhaps injected: what is there already is only recorded."""
        target, driver = self._undoing.reach(run, state.request)
        await run.hold()
        try:
            with foreseen():
                there = await driver.was_injected(target, plan)
        except TargetError as error:
            _log.warning("look.failed", run=run.id, fault=target.fault, error=str(error))
            there = False
        if not there:
            async for decision in self._touch(run, state, plan, resumed=True):
                yield decision
            return
        yield FaultInjected(fault_id=target.fault, took=timedelta(), ago=timedelta(), resumed=True)
        if target.action.spec.ends_itself:
            async for decision in self._undoing.undo(run, state, "itself"):
                yield decision


def is_over(state: ActionState) -> bool:
    """Nothing more is to be done to its target."""
    return state.settled or state.outcome is not None


async def _nothing() -> AsyncIterator[Decision]:
    return
    yield
