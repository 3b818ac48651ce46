"""What a judge gets to see, on hand-made journals."""

from datetime import UTC, datetime, timedelta

import pytest

from messages.claims import EventClaim
from messages.events import Recorded, RunEvent
from messages.observations import EventMatched, StreamGap
from messages.run_events import AssertionOpened, PhaseFinished, PhaseStarted, RunAccepted
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Reason
from runs.history import Observations, history_of
from runs.state import RunState

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = EventClaim(id="c", type="event", where="true", never=True)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


class Journal:
    """A run whose phase `chaos`, and with it the window of the claim, begins at 10 s."""

    def __init__(self) -> None:
        self.state = RunState("r")
        self.seen = Observations()
        self._sequence = 0
        scenario = Scenario.model_validate_json('{"metadata": {"name": "s"}, "spec": {"system": "y", "phases": [{"name": "chaos"}]}}')
        system = System.model_validate_json("""{"metadata": {"name": "y"}, "spec": {"services": {"a": {
          "driver": {"process": {"command": ["a"]}}, "health": {"tcp": {"address": "h:1"}}}}}}""")
        self.add(0, RunAccepted(key="k", scenario=scenario, system=system, submitted=BEGIN))
        self.add(10, PhaseStarted(phase="chaos", kind="phase"))
        self.add(10, AssertionOpened(assertion="c", claim=NEVER, phase="chaos", opens=at(10)))

    def add(self, seconds: float, event: RunEvent) -> None:
        self._sequence += 1
        recorded = Recorded(event, "r", 0, "any", event.entity, self._sequence, at(seconds), "")
        self.state.apply(recorded)
        self.seen.apply(recorded)

    def gap(self, start: float, end: float, source: str = "events") -> None:
        self.add(21, StreamGap(source=source, number=1, start=at(start), end=at(end), why="it was deleted"))

    def finish(self) -> None:
        """The window ends at 20 s, and an observer that knows of no gap has seen nothing that matches in it."""
        self.add(20, PhaseFinished(phase="chaos", kind="phase"))
        self.add(22, matched(closes=20, final=True))

    def matched(self) -> EventMatched | None:
        return history_of(self.state, self.seen, self.state.assertions["c"]).matched


def matched(*, closes: float | None, final: bool) -> EventMatched:
    return EventMatched(
        assertion="c",
        number=2,
        opens=at(10),
        closes=None if closes is None else at(closes),
        until=at(21),
        through=9,
        final=final,
        count=0,
        seen=5,
        evaluated=5,
    )


@pytest.mark.parametrize(
    ("start", "end", "gap"),
    [(12, 13, True), (5, 10.5, True), (19.5, 25, True), (5, 25, True), (5, 10, False), (20, 25, False)],
)
def test_a_gap_in_the_window_counts_though_the_observer_that_counted_does_not_know_of_it(start: float, end: float, gap: object) -> None:
    journal = Journal()
    journal.gap(start, end)
    journal.finish()

    found = journal.matched()

    assert found is not None
    assert found.gap is gap


def test_a_gap_counts_while_the_window_is_open() -> None:
    journal = Journal()
    journal.gap(12, 13)
    journal.add(14, matched(closes=None, final=False))

    found = journal.matched()

    assert found is not None
    assert found.gap


def test_a_gap_of_the_samples_is_none_of_the_events() -> None:
    journal = Journal()
    journal.gap(12, 13, "a")
    journal.finish()

    found = journal.matched()

    assert found is not None
    assert not found.gap


def test_a_gap_alone_matches_nothing() -> None:
    journal = Journal()
    journal.gap(12, 13)

    assert journal.matched() is None


def test_absence_is_not_judged_from_a_window_with_a_gap_that_was_recorded_before_a_restart() -> None:
    journal = Journal()
    journal.gap(12, 13)
    journal.finish()

    judgement = NEVER.judge(history_of(journal.state, journal.seen, journal.state.assertions["c"]))

    assert judgement is not None
    assert judgement.reason is Reason.GAP
