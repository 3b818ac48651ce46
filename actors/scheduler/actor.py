"""The scheduler at work: turns decisions into events, and takes and frees the system that a run needs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from actors.scheduler.decide import decide, start
from bus.actor import Actor, Decision, Run, Subscription, whenever
from bus.keys import Keys
from messages.events import RunEvent
from messages.run_events import (
    ActionExpired,
    ActionRequested,
    AssertionExpired,
    AssertionOpened,
    PhaseFinished,
    PhaseStarted,
    RunAborting,
    RunAccepted,
    RunFinished,
    RunStarted,
    RunWaiting,
    ServicesReleaseRequested,
    ServicesRequested,
    TargetResolved,
    UndoRequested,
)
from runs.state import RunState

_log = structlog.get_logger()
LOOK_AGAIN = timedelta(seconds=5)
"""How often a run that waits for its system looks whether it is free, should the news of that be lost."""


class Scheduler(Actor[RunState]):
    """Decides what happens next.

    State: which runs wait for which system, rebuilt from the journal; the systems themselves are keys in KV.
    """

    name = "scheduler"
    one_writer = True
    emits = (
        RunAccepted,
        RunWaiting,
        RunStarted,
        PhaseStarted,
        PhaseFinished,
        TargetResolved,
        ActionRequested,
        UndoRequested,
        AssertionOpened,
        AssertionExpired,
        ActionExpired,
        RunAborting,
        ServicesRequested,
        ServicesReleaseRequested,
        RunFinished,
    )

    def __init__(self, systems: Keys, finished: Callable[[str], Awaitable[bool]]) -> None:
        self._systems = systems
        self._finished = finished
        self._waiting: dict[str, dict[str, Run[RunState]]] = {}

    def fold(self, run: str) -> RunState:
        return RunState(run)

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (whenever(self.advance, of=("scheduler", "chaos-injector", "validator", "control")),)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch_systems())
            yield
            watch.cancel()

    async def advance(self, _event: RunEvent | None, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Store what follows from the journal as it is now."""
        state = run.view
        decision = decide(state, run.now())
        if decision.wake is not None:
            run.wake_at(decision.wake)
        if decision.wants_system:
            behind = await self._take(state, run)
            if behind is None:
                yield start(state)
                return
            run.wake_at(run.now() + LOOK_AGAIN)
            if state.waiting is None:
                yield RunWaiting(behind=behind, why=f"one run at a time on {state.system.name}")
            return
        if decision.events:
            yield decision.events
        if run.view.finished is not None:
            await self._free(run.view)

    async def _take(self, state: RunState, run: Run[RunState]) -> str | None:
        """Take the run's system; None when it has it, else the run that has it."""
        system = state.system.name
        queue = self._waiting.setdefault(system, {})
        queue[state.id] = run
        first = min(queue.values(), key=lambda waiting: waiting.view.accepted_sequence)
        if first.id != state.id:
            return first.id
        if await self._systems.create(system, state.id.encode()) is None:
            behind = await self._holder(system)
            if behind is None:
                return await self._take(state, run)
            if behind != state.id:
                return behind
        queue.pop(state.id, None)
        self._wake(system)
        return None

    async def _holder(self, system: str) -> str | None:
        """The run that has the system; one that is finished and was not freed, because its scheduler died, is freed here."""
        held = await self._systems.get(system)
        if held is None:
            return None
        holder = held.value.decode()
        if await self._finished(holder):
            await self._systems.delete(system, held.revision)
            return None
        return holder

    async def _free(self, state: RunState) -> None:
        """Free the system of a finished run, so that the next one can have it."""
        system = state.system.name
        self._waiting.get(system, {}).pop(state.id, None)
        held = await self._systems.get(system)
        if held is not None and held.value.decode() == state.id:
            await self._systems.delete(system, held.revision)
        self._wake(system)

    async def _watch_systems(self) -> None:
        async for system, value in self._systems.watch(">"):
            if value is None:
                self._wake(system)

    def _wake(self, system: str) -> None:
        waiting = self._waiting.get(system)
        if waiting:
            first = min(waiting.values(), key=lambda run: run.view.accepted_sequence)
            first.wake_at(first.now())

    def closed(self, run: str) -> None:
        for waiting in self._waiting.values():
            waiting.pop(run, None)
