"""What a judge gets to see of what was measured, and what the run's state knows of its workloads."""

from datetime import UTC, datetime, timedelta

import pytest

from messages.claims import AnyClaim, HttpClaim, LatencyClaim
from messages.events import Recorded, RunEvent
from messages.fault_events import WorkloadDied, WorkloadStarted, WorkloadStopped
from messages.histogram import Histogram
from messages.identity import Identity
from messages.measurements import AnswerSeen, MetricSampled
from messages.observations import EventMatched, OperationsSeen, ProbeSummary, StreamGap
from messages.run_events import AssertionOpened, PhaseFinished, PhaseStarted, RunAccepted
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Reason, Verdict
from runs.history import Observations, history_of
from runs.state import RunState
from runs.verdict import verdict_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TENTH = Histogram.of([timedelta(milliseconds=100)] * 3)
IDENTITY = Identity(pid=1, started=1, boot="b")
QUOTE = LatencyClaim(id="c", type="latency", probe="quote", percentile=50, at_most="1s")


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


class Journal:
    """A run whose phase `baseline` lasts from 0 to 10 s; the claim's phase `chaos` begins then."""

    def __init__(self, claim: AnyClaim = QUOTE) -> None:
        self.state = RunState("r")
        self.seen = Observations()
        self._sequence = 0
        phases = '[{"name": "baseline"}, {"name": "chaos"}]'
        scenario = Scenario.model_validate_json('{"metadata": {"name": "s"}, "spec": {"system": "y", "phases": ' + phases + "}}")
        system = System.model_validate_json("""{"metadata": {"name": "y"}, "spec": {
          "services": {"a": {"driver": {"external": {}}}}, "workloads": {"buyers": {"command": ["b"]}},
          "probes": {"quote": {"tcp": {"address": "h:1"}, "rate": "20/s"}}}}""")
        self.add(0, RunAccepted(key="k", scenario=scenario, system=system, submitted=BEGIN))
        self.add(0, PhaseStarted(phase="baseline", kind="phase"))
        self.add(10, PhaseFinished(phase="baseline", kind="phase"))
        self.add(10, PhaseStarted(phase="chaos", kind="phase"))
        self.add(10, AssertionOpened(assertion="c", claim=claim, phase="chaos", opens=at(10)))

    def add(self, seconds: float, event: RunEvent) -> None:
        self._sequence += 1
        recorded = Recorded(event, "r", 0, "any", event.entity, self._sequence, at(seconds), "")
        self.state.apply(recorded)
        self.seen.apply(recorded)

    def probed(self, probe: str, start: float, latency: Histogram | None, failed: int = 0) -> None:
        spans = {"start": at(start), "end": at(start + 1), "slowest": timedelta()}
        self.add(start + 1, ProbeSummary(probe=probe, count=3, ok=3 - failed, failed=failed, missed=0, latency=latency, **spans))  # type: ignore[arg-type]


def test_a_claim_on_a_probe_sees_its_latencies_gaps_and_interval_and_nobody_elses() -> None:
    journal = Journal()
    journal.probed("quote", 10, TENTH, failed=1)
    journal.probed("other", 10, TENTH)
    journal.probed("quote", 11, None)
    journal.add(13, StreamGap(source="quote", number=1, start=at(12), end=at(13), why="away"))
    journal.add(13, StreamGap(source="other", number=1, start=at(12), end=at(13), why="away"))

    measured = history_of(journal.state, journal.seen, journal.state.assertions["c"]).measured

    assert measured is not None
    assert [(span.start, span.slow, span.count) for span in measured.spans] == [(at(10), 1, 3)]
    assert measured.gaps == ((at(12), at(13)),)
    assert measured.every == timedelta(milliseconds=50)


def test_operations_that_did_not_succeed_are_beside_those_that_were_timed() -> None:
    journal = Journal(LatencyClaim(id="c", type="latency", workload="buyers", percentile=50, at_most="1s"))
    journal.add(11, OperationsSeen(workload="buyers", start=at(10), end=at(11), ok=4, failed=2, unknown=1, latency=TENTH))

    measured = history_of(journal.state, journal.seen, journal.state.assertions["c"]).measured

    assert measured is not None
    assert [(span.slow, span.count) for span in measured.spans] == [(3, 6)]
    assert measured.every is None


def test_answers_and_scrapes_belong_to_the_claim_that_asked_for_them() -> None:
    journal = Journal(HttpClaim(id="c", type="http", url="http://h:1/"))
    second = timedelta(seconds=1)
    for name in ("c", "d"):
        journal.add(12, AnswerSeen(assertion=name, number=1, ok=False, ago=second, error_bound=second, took=second, got="status 503"))
        journal.add(12, MetricSampled(assertion=name, at=at(11), took=second, series={"up": 1.0}))
    journal.probed("c", 10, None)

    history = history_of(journal.state, journal.seen, journal.state.assertions["c"])

    assert [(change.at, change.up, change.error) for change in history.answers.transitions] == [(at(11), False, "status 503")]
    assert len(history.answers.samples) == 1
    assert [scrape.at for scrape in history.scrapes] == [at(11)]


@pytest.mark.parametrize(("start", "gap"), [(5, True), (11, True), (-3, False)])
def test_events_lost_in_the_phase_that_is_compared_with_are_a_gap_too(start: float, gap: object) -> None:
    event = {"where": "true", "value": "event.data"}
    words = {"id": "c", "type": "latency", "event": event, "percentile": 50, "at_most": "2x", "compare": "baseline"}
    journal = Journal(LatencyClaim.model_validate(words))
    journal.add(12, StreamGap(source="events", number=1, start=at(start), end=at(start + 1), why="deleted"))
    matched = {"opens": at(10), "closes": None, "until": at(12), "through": 1, "final": False, "count": 0, "seen": 1}
    journal.add(12, EventMatched(assertion="c", number=1, **matched))  # type: ignore[arg-type]

    found = history_of(journal.state, journal.seen, journal.state.assertions["c"]).matched

    assert found is not None
    assert found.gap is gap


def test_a_workload_that_died_is_why_the_run_is_inconclusive_and_one_that_was_stopped_is_not() -> None:
    journal = Journal()
    journal.add(1, WorkloadStarted(workload="buyers", number=1, identity=IDENTITY, output="o"))
    running = journal.state.workloads["buyers"].running
    journal.add(2, WorkloadStopped(workload="buyers", number=1, killed=False))
    stopped = verdict_of(journal.state).reason
    journal.add(3, WorkloadDied(workload="buyers", number=1, code=-9, message="no money"))
    found = verdict_of(journal.state)

    assert running
    assert stopped is not Reason.WORKLOAD_DIED
    assert (found.verdict, found.reason, found.cause) == (Verdict.INCONCLUSIVE, Reason.WORKLOAD_DIED, "any.buyers.workload.died.1")
    assert found.message == "the workload buyers ended by itself with code -9: no money"
