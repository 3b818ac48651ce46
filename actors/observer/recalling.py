"""The events of a run that is over, read again for claims that it did not have. Pure."""

from collections.abc import Iterator
from datetime import datetime

from actors.observer.matching import Matching, Reached, reference_of
from messages.claims import CorrelationClaim, ServiceEvent
from messages.correlations import Unreadable
from messages.observations import EventCounted, EventMatched
from messages.scenario import Scenario
from runs.correlation.counting import Counting, counted
from runs.correlation.findings import Findings
from runs.correlation.trail import Trail
from runs.history import phase_windows
from runs.state import RunState
from runs.windows import window_of


class Recalling:
    """Takes in what the event streams still hold of a run's time, and says what each claim of a scenario matches in it."""

    def __init__(self, state: RunState, scenario: Scenario, trace: str = "") -> None:
        self._state = state
        self._matching = Matching(scenario.claims(), state.system.event_names())
        self._counting = Counting(scenario, lambda claim, phase: window_of(state, claim, phase))
        self._correlates = any(isinstance(claim, CorrelationClaim) for claim, _ in scenario.claims().values())
        self._trail = Trail(state.system.event_names(), state.system.spec.correlation)
        self._trace = trace
        self._stored: list[datetime] = []
        self._through = 0

    @property
    def wanted(self) -> bool:
        """Whether any claim follows events."""
        return bool(self._matching.followed or self._correlates)

    def see(self, at: datetime, event: ServiceEvent | Unreadable) -> None:
        """Take in the next message of the streams."""
        end = self._state.last_at
        if end is not None and at > end:
            return
        if isinstance(event, Unreadable) or not event.ours:
            self._stored.append(at)
        if isinstance(event, Unreadable):
            self._trail.refuse(at)
        else:
            self._through = max(self._through, event.sequence)
            if not event.ours:
                self._trail.see(event)
            self._matching.see(event)

    def lost(self, counted: list[EventCounted]) -> str:
        """What is missing of the events that were counted during the run, in words; empty if nothing is."""
        seconds = {one.start: one.end for one in counted}
        then = sum(sum(one.types.values()) + one.unreadable for one in counted)
        now = sum(1 for at in self._stored if at.replace(microsecond=0) in seconds)
        if now >= then:
            return ""
        return (
            f"the event streams still hold {now} of the {then} messages that were counted during the run; raw events are kept nowhere else"
        )

    def matched(self) -> dict[str, EventMatched]:
        """What each claim has matched in its window; nothing of one whose window did not open."""
        found, phases, until = dict[str, EventMatched](), phase_windows(self._state), self._state.last_at
        for followed in self._matching.followed:
            window = window_of(self._state, followed.claim, followed.phase)
            if window.opens is None or until is None:
                continue
            final = window.closes is not None and window.closes <= until
            before = self._matching.before(followed, phases, until)
            reached = Reached(until, self._through, final, reference_of(followed, phases), before)
            found[followed.name] = self._matching.matched(followed, window, window.opens, reached, 1, lost=False)
        return found | dict(self._counted(until)) if until is not None else found

    def _counted(self, until: datetime) -> Iterator[tuple[str, EventMatched]]:
        found = None
        for name, claim, opens, closes in self._counting.over(until):
            found = found or Findings(self._trail, self._state, until, self._trace)
            yield name, counted(found, name, claim, (opens, closes), 1, through=self._through, gap=False)
