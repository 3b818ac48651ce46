"""What the audit trail says of a run's faults, said at the end of each stage, and what correlation claims count in it."""

from collections.abc import Iterator
from datetime import datetime

from actors.observer.events import EventReading
from actors.observer.view import ObserverView
from actors.observer.watermarks import finished_stages
from bus.actor import Decision
from messages.events import RunEvent
from messages.ids import trace_id
from runs.correlation.counting import LATE, Counting, counted
from runs.correlation.faults import first_touch
from runs.correlation.findings import Findings
from runs.windows import window_of


class Correlating:
    """Joins the events that were read with the faults that the journal knows."""

    def __init__(self, view: ObserverView, events: EventReading) -> None:
        self._view = view
        self._events = events
        self._counting = Counting(view.state.scenario, lambda claim, phase: window_of(view.state, claim, phase))

    def counts(self) -> Iterator[Decision]:
        """What claims whose windows are over have counted in them."""
        until, found = self._until, None
        if until is None:
            return
        for name, claim, opens, closes in self._counting.over(until - LATE):
            said = self._view.matched.get(name)
            if said is None or (said.opens, said.closes) != (opens, closes):
                found, number = found or self._findings(until), said.number + 1 if said is not None else 1
                gap = self._has_gap(closes)
                yield counted(found, name, claim, (opens, closes), number, through=self._events.through, gap=gap)

    def trail(self) -> Iterator[Decision]:
        """At the end of each stage that was read through, once there was a fault; the last when the steady state is there again."""
        until, said = self._until, self._view.audited
        if until is None:
            return
        over = [stage for stage, finished in finished_stages(self._view.state) if stage.kind != "settle" and finished <= until]
        if not over or (said is not None and said.number >= len(over)):
            return
        number, final, gap = len(over), over[-1].kind == "recover", self._has_gap(until)
        if not final and first_touch(self._view.state) is None:
            return
        found = self._findings(until)
        trails: list[RunEvent] = [found.of_fault(fault, number, final=final, gap=gap) for fault in found.faults]
        yield (*trails, found.beside(number, self._events.unreadable, final=final, gap=gap))

    @property
    def _until(self) -> datetime | None:
        """Every event stored before this instant was read; None as long as nothing was, or if there is nothing to read."""
        return self._events.until if self._events.subjects else None

    def _findings(self, until: datetime) -> Findings:
        return Findings(self._events.trail, self._view.state, until, trace_id(self._view.traceparent))

    def _has_gap(self, until: datetime) -> bool:
        """Whether something that was told before is known to be lost."""
        return any(lost.start < until for lost in self._events.lost)
