"""The watch over one run: what its probes and its reading of events have found, as events in the order in which they may be said."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from actors.observer.correlating import Correlating
from actors.observer.events import EventReading
from actors.observer.health import Probe, Probing, bound_of
from actors.observer.hearing import Hearing
from actors.observer.matching import Followed, Reached, reference_of
from actors.observer.sources import Sources
from actors.observer.transitions import Change
from actors.observer.view import ObserverView
from actors.observer.watermarks import OFTEN, SELDOM, edges, ends, finished_stages, interval, next_after, stage_name
from bus.actor import Decision, Run
from bus.cancelling import end
from bus.event_streams import EventStreams
from messages.claims import Window
from messages.observations import (
    EventCounted,
    EventMatched,
    EvidenceStored,
    ObservedUntil,
    ProbeSummary,
    ServiceDown,
    ServiceUp,
    StreamGap,
)
from runs.history import phase_windows
from runs.windows import window_of
from targets.health import HealthProber
from targets.span_receiver import SpanReceivers

RECENT = timedelta(milliseconds=500)
"""A window's end may become known this late; events since then wait with being counted until they must be."""


class Watch:
    """Observes one run from its start on. Probing and reading never wait for the journal; what they find waits to be said."""

    def __init__(
        self,
        run: Run[ObserverView],
        prober: HealthProber,
        streams: EventStreams,
        receivers: SpanReceivers,
        environment: Mapping[str, str],
    ) -> None:
        self._run = run
        self._view = run.view
        self._probing = Probing(prober, run, self._news)
        self._hearing = Hearing(receivers, run, environment)
        self._sources = Sources(prober, run, self._hearing, self._news, environment)
        self.events = EventReading(streams, run, self._news, self._fresh)
        self._correlating = Correlating(run.view, self.events)
        self.evidence: dict[str, EvidenceStored] = {}
        """What was stored and is still to be said."""
        self._unmatched: set[str] = set()
        self._matched_at: dict[str, datetime] = {}
        self._marked_at: datetime | None = None
        self._told: datetime | None = None
        self._stopped = asyncio.Event()

    async def work(self) -> None:
        """Observe until stopped."""
        async with asyncio.TaskGroup() as tasks:
            parts = (self._probing.run(), self._sources.run(), self.events.run(), self._hearing.listen())
            work = [tasks.create_task(part) for part in parts]
            try:
                await self._stopped.wait()
            finally:
                await end(work)

    def stop(self) -> None:
        """The run is over."""
        self._stopped.set()
        self.events.stop()

    def say_stored(self, stored: EvidenceStored) -> None:
        """Say that evidence is stored."""
        self.evidence[stored.stage] = stored
        self._news()

    def nothing_to_store(self, stage: str) -> None:
        """Nothing was matched in this stage."""
        self._unmatched.add(stage)
        self._news()

    @property
    def all_stored(self) -> bool:
        """Whether the evidence of every stage that is over is stored, if it has any."""
        done = self._view.stored | self._unmatched
        return not self.events.matching.followed or all(stage.name in done for stage, _ in finished_stages(self._view.state))

    def decisions(self) -> Iterator[Decision]:
        """What is to be said now. Each is made when the one before is stored; a watermark comes after all that it covers."""
        state = self._view.state
        if "release" in state.requests or state.finished is not None:
            self._probing.stop()
            self._sources.stop()
        probes, events, through = self._sampled_until(), self.events.until, self.events.through
        self._told = self._sources.told(probes)
        self.events.pause = interval(state).total_seconds()
        if state.finished is None:
            yield from self._changes()
            yield from self._gaps()
            yield from self._sources.decisions()
            yield (*self._summaries(), *self._matched(events, through), *self._counted(events))
            yield from self._correlating.counts()
            yield from self._marks(probes, events if self.events.subjects else None, through)
            yield from self._correlating.trail()
        yield from self._stored()

    def plan(self) -> datetime:
        """Aim at the next known end; when to look again if nothing happens."""
        known, now = ends(self._view.state), self._run.now()
        mark = self._view.mark
        goal = next_after(known, mark.probes if mark else None)
        self._probing.aim(goal)
        self._sources.plan(goal)
        self.events.aim(next_after(known, self.events.until))
        coming = next_after(known, now)
        soon = now + interval(self._view.state)
        return min(soon, coming) if coming is not None else soon

    def _sampled_until(self) -> datetime | None:
        """Every sample that was due before this instant was judged, and what workloads say read; None where nothing is sampled yet."""
        known = [part.until for part, is_there in ((self._probing, self._probing.probes), (self._sources, self._sources.any)) if is_there]
        found = [until for until in known if until is not None]
        return min(found) if found and len(found) == len(known) else None

    def _news(self) -> None:
        self._run.wake_at(self._run.now())

    def _fresh(self) -> None:
        self._run.wake_at(self._run.now() + OFTEN)

    def _changes(self) -> Iterator[Decision]:
        for probe in self._probing.probes:
            while probe.changes and not self._held_back(probe):
                if self._view.up.get(probe.name) is not probe.changes[0].up:
                    yield self._transition(probe, probe.changes[0])
                probe.changes.popleft()

    def _held_back(self, probe: Probe) -> bool:
        """A service that was never up need not be called down while the run is starting it: only a sample taken after that counts."""
        if probe.changes[0].up or probe.name in self._view.up:
            return False
        if len(probe.changes) > 1:
            probe.changes.popleft()
            return False
        begun = next((stage.started for stage in self._view.state.stages.values()), None)
        return begun is None or probe.until is None or probe.until <= begun + probe.every

    def _transition(self, probe: Probe, change: Change) -> ServiceUp | ServiceDown:
        at, number = self._run.instant(change.at), self._view.transitions.get(probe.name, 0) + 1
        looked = self._view.sampled_until.get(probe.name, at)
        bound, ago = bound_of(change, probe.every, at - looked), max(self._run.now() - at, timedelta())
        if change.up:
            return ServiceUp(service=probe.name, number=number, ago=ago, error_bound=bound)
        return ServiceDown(
            service=probe.name, number=number, ago=ago, error_bound=bound, took=change.took, check=change.check, error=change.error
        )

    def _gaps(self) -> Iterator[Decision]:
        for probe in self._probing.probes:
            while probe.unsent:
                start, until = probe.unsent[0]
                yield self._gap(probe.name, start, until, "no sample was sent")
                probe.unsent.popleft()
        while self.events.untold:
            lost = self.events.untold[0]
            yield self._gap("events", lost.start, min(lost.end, self._run.now()), lost.why)
            self.events.untold.popleft()

    def _gap(self, source: str, start: datetime, until: datetime, why: str) -> StreamGap:
        return StreamGap(source=source, number=self._view.gaps.get(source, 0) + 1, start=start, end=until, why=why)

    def _summaries(self) -> Iterator[ProbeSummary]:
        cuts = edges(self._view.state)
        for probe in self._probing.probes:
            until = probe.until
            if until is not None:
                yield from probe.summaries(until, cuts, rest=self._probing.over)

    def _matched(self, until: datetime | None, through: int) -> Iterator[EventMatched]:
        if until is None:
            return
        for followed in self.events.matching.followed:
            window = window_of(self._view.state, followed.claim, followed.phase)
            if window.opens is None:
                continue
            final = window.closes is not None and until >= window.closes
            if not self._is_due(followed, window, final=final):
                followed.advance(window, self._run.now() - RECENT)
                continue
            event = self._match(followed, window, window.opens, (until, through, final))
            if final or _differs(event, self._view.matched.get(followed.name)):
                self._matched_at[followed.name] = self._run.now()
                yield event

    def _is_due(self, followed: Followed, window: Window, *, final: bool) -> bool:
        said = self._view.matched.get(followed.name)
        if said is not None and said.final and (said.opens, said.closes) == (window.opens, window.closes):
            return False
        opened = self._view.state.assertions.get(followed.name)
        if final or opened is None or opened.verdict is None:
            last = self._matched_at.get(followed.name)
            return final or last is None or self._run.now() - last >= SELDOM
        return False

    def _match(self, followed: Followed, window: Window, opens: datetime, read: tuple[datetime, int, bool]) -> EventMatched:
        said, closes, (until, through, final) = self._view.matched.get(followed.name), window.closes, read
        lost = any(lost.end > opens and (closes is None or lost.start < closes) for lost in self.events.lost)
        matching, phases = self.events.matching, phase_windows(self._view.state)
        reached = Reached(
            until, through, final, reference_of(followed, phases) if final else None, matching.before(followed, phases, until)
        )
        return matching.matched(followed, window, opens, reached, said.number + 1 if said else 1, lost=lost)

    def _counted(self, until: datetime | None) -> list[EventCounted]:
        return self.events.counting.through(until, self._view.counted_until) if until is not None else []

    def _marks(self, probes: datetime | None, events: datetime | None, through: int) -> Iterator[Decision]:
        view, now = self._view, self._run.now()
        for stage, finished in finished_stages(view.state):
            if stage.name not in view.ended and self._passed(probes, events, finished):
                yield self._mark(stage.name, (probes, events, through), end_of_stage=True)
                self._marked_at = now
        late = self._marked_at is None or now - self._marked_at >= interval(view.state)
        known = (view.mark.probes, view.mark.events) if view.mark else (None, None)
        learnt = (probes is None, events is None) != (known[0] is None, known[1] is None)
        if (late or learnt or self._crossed(probes)) and (probes, events) != known:
            yield self._mark(stage_name(view.state), (probes, events, through), end_of_stage=False)
            self._marked_at = now

    def _passed(self, probes: datetime | None, events: datetime | None, instant: datetime) -> bool:
        probed = not (self._probing.probes or self._sources.any) or self._probing.over or (probes is not None and probes >= instant)
        return probed and (not self.events.subjects or (events is not None and events >= instant))

    def _crossed(self, probes: datetime | None) -> bool:
        """Whether a known end was passed since the last watermark."""
        mark = self._view.mark
        passed = next_after(ends(self._view.state), mark.probes if mark else None)
        return probes is not None and passed is not None and passed <= probes

    def _mark(self, stage: str, reached: tuple[datetime | None, datetime | None, int], *, end_of_stage: bool) -> ObservedUntil:
        probes, events, through = reached
        number = self._view.marks.get(stage, 0) + 1
        return ObservedUntil(
            stage=stage,
            number=number,
            probes=probes,
            events=events,
            through=through,
            told=self._told,
            kind="end" if end_of_stage else "progress",
        )

    def _stored(self) -> Iterator[Decision]:
        for stage, stored in list(self.evidence.items()):
            if stage not in self._view.stored:
                yield stored
            del self.evidence[stage]


def _differs(event: EventMatched, said: EventMatched | None) -> bool:
    if said is None:
        return event.count > 0 or event.errors > 0
    old = (said.opens, said.closes, said.count, said.seen, said.errors, said.gap, said.final)
    return old != (event.opens, event.closes, event.count, event.seen, event.errors, event.gap, event.final)
