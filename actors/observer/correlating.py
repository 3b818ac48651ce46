"""What the audit trail says of a run's faults, said at the end of each stage, and what correlation claims count in it."""

from collections.abc import Iterator
from datetime import datetime

from actors.observer.events import EventReading
from actors.observer.view import ObserverView
from actors.observer.watermarks import finished_stages
from bus.actor import Decision
from messages.claims import CorrelationClaim
from messages.correlations import AuditCorrelated
from messages.events import RunEvent
from messages.ids import trace_id
from runs.correlation.counting import LATE, counted
from runs.correlation.findings import Findings
from runs.windows import window_of


class Correlating:
    """Joins the events that were read with the faults that the journal knows."""

    def __init__(self, view: ObserverView, events: EventReading) -> None:
        self._view = view
        self._events = events
        claims = view.state.scenario.claims()
        self._claims = {name: (claim, phase) for name, (claim, phase) in claims.items() if isinstance(claim, CorrelationClaim)}

    def decisions(self) -> Iterator[Decision]:
        """What is to be said now."""
        until = self._events.until
        if until is None or not self._events.subjects:
            return
        yield from self._counts(until)
        yield from self._trail(until)

    def _counts(self, until: datetime) -> Iterator[Decision]:
        state = self._view.state
        for name, (claim, phase) in self._claims.items():
            window, said = window_of(state, claim, phase), self._view.matched.get(name)
            if window.closes is None or until < window.closes + LATE:
                continue
            if said is not None and (said.opens, said.closes) == (window.opens, window.closes):
                continue
            number, gap = said.number + 1 if said is not None else 1, self._has_gap(window.closes)
            event = counted(self._findings(until), name, claim, window, number, through=self._events.through, gap=gap)
            if event is not None:
                yield event

    def _trail(self, until: datetime) -> Iterator[Decision]:
        """At the end of each stage that was read through, but for settling; the last when the steady state is there again."""
        over = [stage for stage, finished in finished_stages(self._view.state) if stage.kind != "settle" and finished <= until]
        said = self._view.audited
        if not over or (said is not None and said.number >= len(over)):
            return
        found, number, final = self._findings(until), len(over), over[-1].kind == "recover"
        gap = self._has_gap(until)
        trails: list[RunEvent] = [found.of_fault(fault, number, final=final, gap=gap) for fault in found.faults]
        beside: AuditCorrelated = found.beside(number, self._events.unreadable, final=final, gap=gap)
        yield (*trails, beside)

    def _findings(self, until: datetime) -> Findings:
        return Findings(self._events.trail, self._view.state, until, trace_id(self._view.traceparent))

    def _has_gap(self, until: datetime) -> bool:
        """Whether something that was told before is known to be lost."""
        return any(lost.start < until for lost in self._events.lost)
