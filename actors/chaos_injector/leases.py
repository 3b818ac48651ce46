"""Leases: a fault is undone at a set time whoever is alive then, unless the injector that armed it keeps renewing."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from bus.actor import Run
from messages.fault_events import FaultArmed
from messages.undo import AnyUndo
from runs.faults import ActionState
from runs.state import RunState
from targets.polling import until

_log = structlog.get_logger()
OTHER_ONE = timedelta(seconds=1)
"""How long another injector, whose lease timer is there already, may take to say that the fault is armed."""
POLL = 0.02


class Leases:
    """The leases that this injector keeps alive. A lease is a durable timer named for its fault; its body is the undo."""

    def __init__(self, span: timedelta) -> None:
        self._span = span
        self._sequences: dict[tuple[str, str], int] = {}

    def holds(self, run: str, fault: str) -> bool:
        """Whether this injector armed the fault."""
        return (run, fault) in self._sequences

    def held(self) -> tuple[tuple[str, str], ...]:
        """Run and fault of every lease that is kept alive here."""
        return tuple(self._sequences)

    async def arm(self, run: Run[RunState], fault: str, undo: AnyUndo) -> datetime | None:
        """When the fault will be undone; None if another injector has armed it."""
        body = undo.model_dump_json().encode()
        end = run.now() + self._span
        sequence = await run.arm_timer(fault, end, body)
        if sequence is None and not await _armed_by_another(run, fault):
            # Left by an injector that died before it could say so.
            await run.cancel_timer(fault)
            end = run.now() + self._span
            sequence = await run.arm_timer(fault, end, body)
        if sequence is None:
            return None
        self._sequences[run.id, fault] = sequence
        return end

    async def renew(self, run: Run[RunState], state: ActionState, renewed: Callable[[], bool]) -> bool:
        """Renew every third of the lease while the fault is active and wanted; returns at the next third after it was undone.

        Each time `renewed` is called and says whether the fault is still there; False, at once, when it is not.
        """
        fault, key = state.request.fault_id, (run.id, state.request.fault_id)
        body = state.armed.undo.model_dump_json().encode() if state.armed is not None else b""
        while True:
            await asyncio.sleep(self._span.total_seconds() / 3)
            if not state.active or key not in self._sequences or run.now() > self._last(run, state):
                return True
            sequence = await run.renew_timer(fault, run.now() + self._span, body, self._sequences[key])
            if sequence is None:
                _log.warning("lease.lost", run=run.id, fault=fault)
                return True
            if key in self._sequences:
                self._sequences[key] = sequence
                if not renewed():
                    return False

    def _last(self, run: Run[RunState], state: ActionState) -> datetime:
        """Beyond its `for`, or the run's timeout, a fault lives on its last lease: whoever had to end it is not there."""
        span = state.request.action.for_
        if span is not None:
            return (state.injected or run.now()) + span + self._span
        return (run.view.started or run.now()) + run.view.scenario.timeout

    async def has_lapsed(self, run: Run[RunState], event: FaultArmed) -> bool:
        """Whether the lease of another injector is over; else its timer is there and will fire."""
        timer = await run.arm_timer(event.fault_id, run.now() + self._span, event.undo.model_dump_json().encode())
        return timer is not None

    async def give_back(self, run: Run[RunState], fault: str) -> None:
        """The fault is undone."""
        self._sequences.pop((run.id, fault), None)
        await run.cancel_timer(fault)

    def forget(self, run: str) -> None:
        """The run is over."""
        for key in [key for key in self._sequences if key[0] == run]:
            del self._sequences[key]


async def _armed_by_another(run: Run[RunState], fault: str) -> bool:
    state = run.view.actions.states[fault]
    try:
        async with asyncio.timeout(OTHER_ONE.total_seconds()):
            await until(lambda: state.armed is not None, poll=POLL)
    except TimeoutError:
        return False
    return True
