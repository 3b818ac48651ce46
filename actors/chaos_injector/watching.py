"""Seeing, by other means than the driver's, that a fault took hold and that its target is normal again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Literal, TypeVar

import structlog

from actors.chaos_injector.drivers import Driver, Target, foreseen, plan_of, target_of
from actors.chaos_injector.out_of_reach import OutOfReach
from actors.chaos_injector.outcomes import since
from actors.chaos_injector.processes import Processes
from bus.actor import Decision, Run
from messages.fault_events import ActionDone, FaultEffective, FaultGone, FaultInjected, FaultReverted, FaultUnseen
from messages.scenario import Action
from runs.faults import ActionState
from runs.state import RunState
from targets.errors import TargetError

T = TypeVar("T")
POLL = 0.05
LAST_LOOK = timedelta(milliseconds=50)
"""The least time for a look at an effect, however late it is."""
SLACK = timedelta(seconds=10)
"""How much longer than the recovery's bound the target is watched."""
PAUSE = 0.25
"""Seconds between a look that failed and the next."""
_log = structlog.get_logger()


class Watching:
    """Watches faults from outside."""

    def __init__(self, drivers: Mapping[str, Driver], processes: Processes, notes: dict[tuple[str, str], str]) -> None:
        self._drivers = drivers
        self._processes = processes
        self._notes = notes

    async def effect(self, event: FaultInjected, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Say what was seen of the fault, or that nothing was in the time in which it had to be."""
        state = run.view.actions.states.get(event.fault_id)
        if state is None or state.armed is None or state.effective is not None or state.unseen:
            return
        bound, driver = _effect_within(state.request.action), self._driver(run, state)
        # While nobody was there to look, nothing could be seen.
        spent = timedelta() if run.inherited else run.now() - (state.injected or run.now())
        left = max(bound - spent, LAST_LOOK)
        target, plan = self._target(run, state), plan_of(state.armed)
        look = _looking(lambda within: driver.saw_effect(target, plan, within), left)
        how = await _unless(look, lambda: _undone(state))
        seen = time.monotonic()
        if how is None:
            yield FaultUnseen(fault_id=event.fault_id, within=_stayed(state, bound))
        else:
            yield FaultEffective(fault_id=event.fault_id, how=how, ago=since(seen))

    async def normal(self, event: FaultReverted, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Say when the target is normal again, as long as anybody asks."""
        state = run.view.actions.states[event.fault_id]
        if state.armed is None or state.gone is not None:
            return
        driver, bound = self._driver(run, state), run.view.system.spec.steady_state.recover + SLACK
        target, plan = self._target(run, state), plan_of(state.armed)
        look = _looking(lambda within: driver.saw_normal(target, plan, within), bound)
        back = await _unless(look, lambda: "release" in run.view.requests or run.view.finished is not None)
        seen = time.monotonic()
        if not back:
            return
        identity = self._processes.current(run, state.request.target) if state.request.action.kind == "service" else None
        by: Literal["itself", "undo"] = "itself" if event.found_undone else "undo"
        yield FaultGone(fault_id=event.fault_id, restored_by=by, identity=identity, ago=since(seen))
        note = self._notes.pop((run.id, event.fault_id), "")
        if note:
            yield ActionDone(action_id=event.fault_id, message=note)

    def _driver(self, run: Run[RunState], state: ActionState) -> Driver:
        away = self._processes.elsewhere(run)
        return self._drivers[state.request.action.spec.means] if away is None else OutOfReach(away)

    def _target(self, run: Run[RunState], state: ActionState) -> Target:
        return target_of(run, state.request, lambda name: self._processes.current(run, name))


def _effect_within(action: Action) -> timedelta:
    return action.effect_within if action.for_ is None else min(action.effect_within, action.for_)


def _undone(state: ActionState) -> bool:
    """Nothing can be seen of it any more; a restart is proved by its new process later too."""
    return state.reverted is not None and not state.request.action.spec.ends_itself


def _stayed(state: ActionState, bound: timedelta) -> timedelta:
    if state.reverted is None or state.injected is None:
        return bound
    return min(bound, max(state.reverted - state.injected, timedelta()))


async def _looking(look: Callable[[timedelta], Coroutine[None, None, T]], within: timedelta) -> T | None:
    """What a driver sees in this time. A look that fails has seen nothing, and there is another one."""
    end, told = time.monotonic() + within.total_seconds(), ""
    while True:
        try:
            with foreseen():
                return await look(max(timedelta(seconds=end - time.monotonic()), LAST_LOOK))
        except TargetError as error:
            if str(error) != told:
                told = str(error)
                _log.warning("look.failed", error=told)
        if time.monotonic() >= end:
            return None
        await asyncio.sleep(PAUSE)


async def _unless(look: Coroutine[None, None, T], over: Callable[[], bool]) -> T | None:
    """What the look found; None when it is over before. There is always time for a first glance."""
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(look)
        while not looking.done():
            await asyncio.wait({looking}, timeout=POLL)
            if over() and not looking.done():
                looking.cancel()
                await asyncio.wait({looking})
    return None if looking.cancelled() else looking.result()
