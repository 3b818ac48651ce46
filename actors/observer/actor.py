"""The observer at work: one watch per run, and one lane in which all that it finds is said."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from actors.observer.announcing import ended_of
from actors.observer.audit_trail import FAULT_MOMENTS, AuditTrail
from actors.observer.evidence import name_of, packed
from actors.observer.matching import Row
from actors.observer.view import ObserverView
from actors.observer.watch import Watch
from bus.actor import Actor, Decision, Run, Subscription, on, whenever
from bus.cancelling import end
from bus.errors import BusError, NoAnswer
from bus.event_streams import EventStreams
from bus.objects import ObjectStore
from messages.audit_events import AuditFed, AuditLinked, FaultPublished
from messages.correlations import AuditCorrelated, FaultCorrelated
from messages.events import RunEvent
from messages.measurements import AnswerSeen, KeysListed, LogMatched, MetricSampled, SetRead, TraceMatched
from messages.observations import (
    EventCounted,
    EventMatched,
    EvidenceStored,
    ObservedUntil,
    OperationsSeen,
    ProbeSummary,
    RoleSeen,
    ServiceDown,
    ServiceUp,
    StreamGap,
)
from messages.run_events import PhaseFinished, RunAccepted, RunFinished, RunStarted
from targets.health import HealthProber
from targets.span_receiver import SpanReceivers


class Observer(Actor[ObserverView]):
    """Records which facts matter to a run, and up to when it has looked.

    State: what was sampled and read since the last thing said; after a restart the events are read again, the samples are a gap.
    """

    name = "observer"
    emits = (
        ServiceDown,
        ServiceUp,
        RoleSeen,
        AnswerSeen,
        ProbeSummary,
        OperationsSeen,
        MetricSampled,
        LogMatched,
        KeysListed,
        TraceMatched,
        SetRead,
        EventMatched,
        EventCounted,
        StreamGap,
        EvidenceStored,
        FaultCorrelated,
        AuditCorrelated,
        ObservedUntil,
        FaultPublished,
        AuditFed,
        AuditLinked,
    )

    def __init__(
        self,
        prober: HealthProber,
        events: EventStreams,
        evidence: ObjectStore,
        trail: AuditTrail,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` holds the secrets of systems; by default that of this process."""
        self._prober = prober
        self._environment = os.environ if environment is None else environment
        self._events = events
        self._evidence = evidence
        self._trail = trail
        self._receivers = SpanReceivers()
        self._watches: dict[str, Watch] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._tasks: asyncio.TaskGroup | None = None

    def fold(self, run: str) -> ObserverView:
        return ObserverView(run)

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (
            on(RunAccepted, self.prepare, lane="entity"),
            on(PhaseFinished, self.keep_evidence, lane="entity"),
            *(on(moment, self._trail.publish, lane="entity") for moment in FAULT_MOMENTS),
            *(on(moment, self._trail.feed) for moment in (RunStarted, *FAULT_MOMENTS, RunFinished)),
            whenever(self.report, of=("scheduler", "chaos-injector"), own=False),
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                self._watches.clear()
                await end(self._working)

    def keeps(self, view: ObserverView) -> bool:
        """A fault whose undo was given up may end after the report, and that is told too, unless somebody has resolved it."""
        faults = view.state.actions.states
        return any(name in faults and ended_of(faults[name]) is None for name in view.state.left)

    def closed(self, run: str, _view: ObserverView) -> None:
        watch = self._watches.pop(run, None)
        if watch is not None:
            watch.stop()

    async def prepare(self, event: RunAccepted, _run: Run[ObserverView]) -> AsyncIterator[Decision]:
        """See to it that the system's events are captured before its services start."""
        try:
            await self._events.prepare(event.system.name, event.system.spec.events)
        except NoAnswer:
            raise
        except BusError:  # the watch meets it again, and records it as a gap
            pass
        yield ()

    async def keep_evidence(self, event: PhaseFinished, run: Run[ObserverView]) -> AsyncIterator[Decision]:
        """Put the raw matches of a stage, if it has any, into the evidence store once they were all read."""
        stage, watch = run.view.state.stages.get(event.phase), self._watch(run)
        if stage is None or stage.finished is None or watch is None or event.phase in run.view.stored:
            return
        if watch.events.matching.followed and await watch.events.passed(stage.finished):
            matches = [(claim, rows) for claim, rows in watch.events.matching.between(stage.started, stage.finished) if rows]
            if matches:
                watch.say_stored(await self._store(run.id, event.phase, matches))
            else:
                watch.nothing_to_store(event.phase)
        yield ()

    async def report(self, _event: RunEvent | None, run: Run[ObserverView]) -> AsyncIterator[Decision]:
        """Say what was found since the last call. Only this writes, so that no two lanes compete for an entity's guard."""
        watch = self._watch(run)
        if watch is None:
            return
        if run.view.state.finished is None:
            run.wake_at(watch.plan())
        for decision in watch.decisions():
            yield decision
        if run.view.state.finished is None:
            run.wake_at(watch.plan())
        elif watch.all_stored:
            watch.stop()

    async def _store(self, run: str, stage: str, matches: list[tuple[str, list[Row]]]) -> EvidenceStored:
        data = await asyncio.to_thread(packed, matches)
        stored = await self._evidence.put(name_of(run, stage), data)
        count = sum(len(rows) for _, rows in matches)
        return EvidenceStored(stage=stage, name=stored.name, size=stored.size, sha256=stored.sha256, matches=count)

    def _watch(self, run: Run[ObserverView]) -> Watch | None:
        """The watch over a run that has started and was not over when this actor came to it."""
        state = run.view.state
        if run.id not in self._watches and self._tasks is not None and state.started is not None and state.finished is None:
            watch = self._watches[run.id] = Watch(run, self._prober, self._events, self._receivers, self._environment)
            task = self._tasks.create_task(watch.work(), name=f"watch:{run.id}")
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return self._watches.get(run.id)
