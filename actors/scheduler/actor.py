"""The scheduler at work: turns decisions into events, and takes and frees the system that a run needs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from actors.scheduler.decide import decide, start
from actors.scheduler.systems import Systems
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
        self._keys = systems
        self._systems = Systems(systems, finished)
        self._waiting: dict[str, dict[str, Run[RunState]]] = {}
        self._freed: set[str] = set()

    def fold(self, run: str) -> RunState:
        return RunState(run)

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (whenever(self.advance, of=("scheduler", "chaos-injector", "validator", "control"), own=False),)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch_systems())
            yield
            watch.cancel()

    async def advance(self, _event: RunEvent | None, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Store what follows from the journal as it is now, and what follows from that."""
        while True:
            state = run.view
            decision = decide(state, run.now())
            if decision.wake is not None:
                run.wake_at(decision.wake)
            if decision.wants_system:
                behind = await self._take(state, run)
                if behind is None:
                    yield start(state)
                    continue
                run.wake_at(run.now() + LOOK_AGAIN)
                if state.waiting is None:
                    yield RunWaiting(behind=behind, why=_why(state))
                return
            if not decision.events:
                break
            yield decision.events
        if run.view.finished is not None:
            await self._free(run.view)

    async def _take(self, state: RunState, run: Run[RunState]) -> str | None:
        """Take the run's system; None when it has it, else a run that it waits for. First accepted is first served."""
        system, shared = state.system.name, is_shared(state)
        queue = self._waiting.setdefault(system, {})
        queue[state.id] = run
        ahead = [other.view for other in queue.values() if other.view.accepted_sequence < state.accepted_sequence]
        first = min((view for view in ahead if not (shared and is_shared(view))), key=lambda view: view.accepted_sequence, default=None)
        behind = first.id if first is not None else await self._systems.take(system, state.id, shared=shared)
        if behind is None:
            queue.pop(state.id, None)
        return behind

    async def _free(self, state: RunState) -> None:
        """Free the system of a finished run, so that the next one can have it."""
        system = state.system.name
        self._waiting.get(system, {}).pop(state.id, None)
        if state.id not in self._freed:
            await self._systems.leave(system, state.id)
            self._freed.add(state.id)
        self._wake(system)

    async def _watch_systems(self) -> None:
        async for system, value in self._keys.watch(">"):
            if value is None:
                self._wake(system)

    def _wake(self, system: str) -> None:
        """Let the first that waits look again, and with one that shares all that do."""
        waiting = sorted(self._waiting.get(system, {}).values(), key=lambda run: run.view.accepted_sequence)
        for run in waiting:
            run.wake_at(run.now())
            if not is_shared(run.view):
                break

    def closed(self, run: str) -> None:
        self._freed.discard(run)
        for waiting in self._waiting.values():
            waiting.pop(run, None)


def is_shared(state: RunState) -> bool:
    """Whether the run goes on beside others of its system: both documents must say so."""
    return state.scenario.spec.concurrency == state.system.spec.concurrency == "shared"


def _why(state: RunState) -> str:
    return (
        f"one run at a time on {state.system.name}" if not is_shared(state) else f"{state.system.name} is not shared by the run that has it"
    )
