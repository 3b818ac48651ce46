"""The scheduler at work: turns decisions into events, and takes and frees the system that a run needs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog
from pydantic import ValidationError

from actors.scheduler.decide import decide, start
from actors.scheduler.decision import LONG_AGO
from actors.scheduler.decision import Decision as Decided
from actors.scheduler.order import Order
from actors.scheduler.places import SEEN_WITHIN, Places, places_of
from actors.scheduler.waiting import LOOK_AGAIN
from bus.actor import Actor, Decision, Run, Subscription, whenever
from bus.keys import Keys
from bus.patience import asked_again
from messages.control import HOLD, Hold
from messages.correlations import AuditCorrelated
from messages.events import RunEvent
from messages.rehearsal_events import FaultRehearsalEnded, FaultRehearsed
from messages.run_events import (
    ActionExpired,
    ActionRequested,
    AssertionExpired,
    AssertionOpened,
    GateClosed,
    GateOpened,
    PhaseFinished,
    PhaseStarted,
    RunAborting,
    RunAccepted,
    RunFinished,
    RunPausing,
    RunResumed,
    RunStarted,
    RunWaiting,
    ServicesReleaseRequested,
    ServicesRequested,
    TargetResolved,
    UndoRequested,
)
from messages.verdicts import Reason
from runs.state import RunState

_log = structlog.get_logger()
_MARGIN = timedelta(milliseconds=50)
_PATIENCE = 15.0
"""Seconds for which the bucket is asked again who holds the runs: a cluster has a new leader by then."""


class Scheduler(Actor[RunState]):
    """Decides what happens next.

    State: which runs wait for what, rebuilt from the journal; who has a system or a place in a group, and whether runs are held, is in KV.
    """

    name = "scheduler"
    decides_anew = True
    emits = (
        RunAccepted,
        RunWaiting,
        RunStarted,
        RunPausing,
        RunResumed,
        GateOpened,
        GateClosed,
        PhaseStarted,
        PhaseFinished,
        TargetResolved,
        ActionRequested,
        FaultRehearsed,
        FaultRehearsalEnded,
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
        self._places = Places(systems, finished)
        self._order = Order()
        self._open: dict[str, Run[RunState]] = {}
        self._hold: Hold | None = None
        self._held_at = 0
        """The revision of the key of the hold that is known here."""
        self._back = LONG_AGO
        """The bus has been there without a break since then, when that was asked last."""

    def fold(self, run: str) -> RunState:
        view = RunState(run)
        self._order.add(view)
        return view

    def subscriptions(self) -> tuple[Subscription, ...]:
        of = ("scheduler", "chaos-injector", "validator", "control")
        return (whenever(self.advance, of=of, own=False, also=(AuditCorrelated,)),)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        await self._held()
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch())
            yield
            watch.cancel()

    async def advance(self, _event: RunEvent | None, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Store what follows from the journal as it is now, and what follows from that."""
        if run.view.finished is None:
            self._open[run.id] = run
        while True:
            lost = await self._lost(run)
            decision = await self._decide(run)
            # Nothing is waited for from here to the `yield`: what is decided rests on all that is known when it is stored.
            state = run.view
            if decision.wake is not None:
                run.wake_at(decision.wake)
            if decision.wants_system:
                obstacle = await self._obstacle(run)
                if obstacle is None:
                    yield start(state)
                    self._order.leave(state.id)
                    self._wake_next(state)
                    await self._places.started(state.id)
                    continue
                run.wake_at(run.now() + LOOK_AGAIN)
                if _is_news(obstacle, state.waiting) and not self._order.is_about_to_start(state):
                    yield _numbered(obstacle, state.waiting)
                    self._wake_next(state)
                return
            if not (decision.events or lost):
                break
            yield lost or decision.events
        if run.view.finished is not None:
            self._open.pop(run.id, None)
            self._order.leave(run.id)
            self._wake_next(run.view)
            await self._places.free(run.view)

    async def _decide(self, run: Run[RunState]) -> Decided:
        """What follows now. That somebody is late is believed when all that is stored is known, and the bus was there all the time;
        that nobody holds the runs, before one is disturbed, when the bucket itself says so.
        """
        sure = set[str]()
        while True:
            decision = decide(run.view, run.now(), self._hold, self._back)
            if decision.late and decision.events and "late" not in sure:
                sure.add("late")
                self._back = max(self._back, await run.caught_up())
            elif decision.disturbs and "free" not in sure:
                sure.add("free")
                await self._held()
            else:
                return decision

    async def _obstacle(self, run: Run[RunState]) -> RunWaiting | None:
        """Why the run cannot start yet; None when nothing is in its way. Runs may have been held while it took what it needs."""
        return _told(self._hold) or self._order.obstacle(run.view) or await self._places.take(run) or _told(await self._held())

    def _wake_next(self, state: RunState) -> None:
        """Let the next runs of its key look again: this one has started, is over, or has to wait."""
        for name in self._open.keys() & self._order.next_to(state):
            self._open[name].wake_at(self._open[name].now())

    async def _held(self) -> Hold | None:
        """The hold, by the bucket's own word where none is known here: a watch may be silent for seconds after a node has died."""
        if self._hold is None and (found := await asked_again(lambda: self._keys.get(HOLD), "read the hold", _PATIENCE)):
            self._learn_hold(found.value, found.revision)
        return self._hold

    def _learn_hold(self, value: bytes | None, revision: int) -> None:
        """Take in what the key holds, if that is not older than what is known."""
        if revision >= self._held_at:
            self._hold, self._held_at = _read_hold(value), revision

    async def _lost(self, run: Run[RunState]) -> RunAborting | None:
        """The end of a run whose system another one has: neither could tell any more who disturbed it."""
        state = run.view
        if state.started is None or state.finished is not None or state.aborting is not None or "release" in state.requests:
            return None
        other = await self._places.keep(state, run.now())
        if other is None:
            return None
        return RunAborting(reason=Reason.CANCELLED, by="scheduler", message=f"it lost {state.system.name}, which run {other} has now")

    async def _watch(self) -> None:
        async with aclosing(self._keys.changes()) as changes:
            async for change in changes:
                if change is None:
                    continue
                if change.key == HOLD:
                    self._learn_hold(change.value, change.revision)
                    for run in self._open.values():
                        run.wake_at(run.now())
                else:
                    self._places.changed(change.key, change.value)
                    self._look_after(change.key, change.value)

    def _look_after(self, key: str, value: bytes | None) -> None:
        """Let runs that have started look whether they have lost what fell free or changed hands."""
        for run in self._open.values() if value is None else ():
            if run.view.started is not None and key in places_of(run.view):
                run.wake_at(run.now() + SEEN_WITHIN + _MARGIN)

    def closed(self, run: str, _view: RunState) -> None:
        self._open.pop(run, None)
        self._order.leave(run)
        self._places.forget(run)


def _read_hold(value: bytes | None) -> Hold | None:
    """What a key's value says; one that cannot be read holds as well."""
    try:
        return Hold.model_validate_json(value) if value is not None else None
    except ValidationError as error:
        _log.warning("hold.unreadable", error=str(error))
        return Hold(principal="unknown", note="its note cannot be read", since=datetime.fromtimestamp(0, UTC))


def _told(hold: Hold | None) -> RunWaiting | None:
    return RunWaiting(behind="", why=f"held by {hold.principal}" + (f": {hold.note}" if hold.note else "")) if hold is not None else None


def _is_news(obstacle: RunWaiting, told: RunWaiting | None) -> bool:
    return told is None or (obstacle.behind, obstacle.why) != (told.behind, told.why)


def _numbered(obstacle: RunWaiting, told: RunWaiting | None) -> RunWaiting:
    """The same as a further fact of its kind."""
    return obstacle.model_copy(update={"number": told.number + 1 if told is not None else 0})
