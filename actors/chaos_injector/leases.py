"""Leases: a fault is undone at a set time whoever is alive then, unless the injector that has it keeps renewing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Literal

import structlog

from actors.chaos_injector.attending import is_attended
from bus.actor import LostRace, Run
from messages.fault_events import FaultArmed
from messages.undo import AnyUndo
from runs.faults import ActionState
from runs.state import RunState

_log = structlog.get_logger()
LAST_TRY = 0.5
"""Seconds that the bus has to say that a lease which is over by our own clock is another's by now."""
SETTLE = 0.1
"""The share of a lease that whoever came to it waits before it is renewed."""
_ATTEMPTS = 3


class Leases:
    """The leases that this injector keeps alive. A lease is a durable timer named for its fault; its body is the undo."""

    def __init__(self, span: timedelta) -> None:
        self._span = span
        self._sequences: dict[tuple[str, str], int] = {}
        self._ends: dict[tuple[str, str], float] = {}
        """When each is over at the earliest, by this process's monotonic clock."""
        self._alone: set[tuple[str, str]] = set()

    def holds(self, run: str, fault: str) -> bool:
        """Whether this injector keeps the fault's lease."""
        return (run, fault) in self._sequences

    def is_ours_alone(self, run: str, fault: str) -> bool:
        """Whether no injector before this one can have begun to undo the fault."""
        return (run, fault) in self._alone

    def held(self) -> tuple[tuple[str, str], ...]:
        """Run and fault of every lease that is kept alive here."""
        return tuple(self._sequences)

    async def arm(self, run: Run[RunState], fault: str, undo: AnyUndo) -> datetime | None:
        """When the fault will be undone. None: the timer cannot be had."""
        left = await run.timer(fault) if run.inherited else None
        for _ in range(_ATTEMPTS):
            await run.hold()  # what was read may be another's, who has the run by now
            end = await self._write(run, fault, undo, left[0] if left is not None else 0)
            if end is not None:
                self._alone.add((run.id, fault))
                return end
            # One that is there was left by an injector, or a try of ours, that ended before it could say that the fault is armed.
            left = await run.timer(fault)
        return None

    async def adopt(self, run: Run[RunState], event: FaultArmed) -> bool:
        """Keep a lease from now on that an injector which has gone left behind; it ends when it did. False if it is over already."""
        if self.holds(run.id, event.fault_id):
            return True
        timer = await run.timer(event.fault_id)
        if timer is None or timer[1] <= run.now():
            return False
        self._keep(run, event.fault_id, timer)
        state = run.view.actions.states[event.fault_id]
        if state.undo_requested is None and not (state.injected is not None and state.request.action.spec.ends_itself):
            self._alone.add((run.id, event.fault_id))
        _log.info("lease.adopted", run=run.id, fault=event.fault_id)
        return True

    async def renew(
        self, run: Run[RunState], state: ActionState, renewed: Callable[[], Awaitable[bool]]
    ) -> Literal["itself", "lease"] | None:
        """Renew when a third of the lease is over while the fault is active and wanted; returns at the next time after it was undone.

        `itself`: it ended before it was told to, as `renewed` says, which is called each time; `lease`: it is over, as far as can be known
        while the bus is away, and has to be undone now.
        """
        fault, armed = state.request.fault_id, state.armed
        while armed is not None and self.holds(run.id, fault):
            await asyncio.sleep(self._pause(run, fault))
            if not state.active or not self.holds(run.id, fault):
                return None
            if self._left(run, fault) <= 0:
                return "lease" if await may_be_ours(run) else None
            if self._is_last(run, state):
                continue
            try:
                kept = await self._prolong(run, armed)
            except TimeoutError:
                _log.warning("lease.over", run=run.id, fault=fault)
                return "lease"
            if not kept:
                return None
            if not await renewed():
                return "itself"
        return None

    async def _prolong(self, run: Run[RunState], armed: FaultArmed) -> bool:
        """False if it is another's by now. TimeoutError: the bus does not say, and it is over."""
        fault = armed.fault_id
        try:
            async with asyncio.timeout(max(self._left(run, fault), LAST_TRY)):
                for _ in range(_ATTEMPTS):
                    await run.hold()
                    if await self._write(run, fault, armed.undo, self._sequences[run.id, fault]) is not None:
                        return True
                    # Whoever had the run before may have been stopped in a renewal, and have written it since.
                    timer = await run.timer(fault)
                    if timer is None:
                        break
                    self._keep(run, fault, timer)
        except LostRace:
            return False
        _log.warning("lease.lost", run=run.id, fault=fault)
        return False

    async def hold(self, run: Run[RunState], fault: str) -> bool:
        """Returns when nobody else can have the run; False if the lease is over before that can be known.

        Raises:
            LostRace: another host owns the run.
        """
        try:
            async with asyncio.timeout(max(self._left(run, fault), LAST_TRY)):
                await run.hold()
        except TimeoutError:
            return False
        return True

    def _keep(self, run: Run[RunState], fault: str, timer: tuple[int, datetime]) -> None:
        """The lease is as the server has it."""
        self._sequences[run.id, fault], end = timer
        self._ends[run.id, fault] = time.monotonic() + (end - run.now()).total_seconds()

    async def _write(self, run: Run[RunState], fault: str, undo: AnyUndo, last: int) -> datetime | None:
        begun, now = time.monotonic(), run.now()
        end = now + self._span
        if (longest := _longest(run, fault)) is not None:
            end = min(end, longest)
        sequence = await run.renew_timer(fault, end, undo.model_dump_json().encode(), last)
        if sequence is None:
            return None
        self._sequences[run.id, fault], self._ends[run.id, fault] = sequence, begun + (end - now).total_seconds()
        return end

    def _pause(self, run: Run[RunState], fault: str) -> float:
        """Seconds until it is to be renewed; one of another's not so soon that it cannot be known yet who died beside that one."""
        span, left = self._span.total_seconds(), self._left(run, fault)
        return max(left - span * 2 / 3, min(span * SETTLE, max(left / 2, LAST_TRY), left), 0)

    def _left(self, run: Run[RunState], fault: str) -> float:
        """Seconds, by this process's clock."""
        return self._ends.get((run.id, fault), 0.0) - time.monotonic()

    def _is_last(self, run: Run[RunState], state: ActionState) -> bool:
        """Beyond its time, or the run's timeout, or where nobody attends to the run, a fault lives on its last lease."""
        if not is_attended(run):
            _log.warning("lease.unattended", run=run.id, fault=state.request.fault_id)
            return True
        now, span, longest = run.now(), state.request.action.for_, _longest(run, state.request.fault_id)
        if longest is not None and now >= longest:
            return True
        if span is not None:
            return now > (state.injected or now) + span + self._span
        over = run.view.times_out
        return over is not None and now > over

    async def give_back(self, run: Run[RunState], fault: str) -> None:
        """The fault is undone."""
        self._drop((run.id, fault))
        await run.cancel_timer(fault)

    def forget(self, run: str) -> None:
        """The run is over, or another's."""
        for key in [key for key in self._sequences if key[0] == run]:
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        self._sequences.pop(key, None)
        self._ends.pop(key, None)
        self._alone.discard(key)


async def may_be_ours(run: Run[RunState]) -> bool:
    """False if the run is another's; where the bus does not say so soon enough it may be ours."""
    try:
        async with asyncio.timeout(LAST_TRY):
            await run.hold()
    except LostRace:
        return False
    except TimeoutError:
        return True
    return True


def _longest(run: Run[RunState], fault: str) -> datetime | None:
    """When a fault that is without an end of its own has to end, by the limits of the system."""
    state, longest = run.view.actions.states.get(fault), run.view.system.spec.limits.longest
    if state is None or longest is None or state.injected is None or state.request.action.for_ is not None:
        return None
    return state.injected + longest
