"""What a judge gets to see of what was measured, and what the run's state knows of its workloads."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from messages.claims import AnyClaim, HttpClaim, LatencyClaim, OutageClaim, RoleClaim, SloClaim
from messages.events import Recorded, RunEvent
from messages.fault_events import ServiceAdopted, ServiceStarted, ServiceStopped, WorkloadDied, WorkloadStarted, WorkloadStopped
from messages.histogram import Histogram
from messages.identity import Identity
from messages.measurements import AnswerSeen, LogMatched, MetricSampled, SetRead
from messages.observations import EventMatched, ObservedUntil, OperationsSeen, ProbeSummary, RoleSeen, StreamGap
from messages.run_events import AssertionOpened, PhaseFinished, PhaseStarted, RunAccepted
from messages.scenario import Scenario
from messages.successes import Successes
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
          "services": {"a": {"driver": {"external": {}}, "role": {"command": {"argv": ["role"]}}},
            "b": {"driver": {"external": {}}}, "c": {"driver": {"external": {}}}},
          "groups": {"db": {"members": ["a", "b"]}}, "workloads": {"buyers": {"command": ["b"]}},
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


def test_operations_of_which_nothing_more_is_known_are_counted_apart() -> None:
    journal = Journal(SloClaim(id="c", type="slo", workload="buyers", at_least="99%"))
    journal.add(11, OperationsSeen(workload="buyers", start=at(10), end=at(11), ok=4, failed=2, unknown=1, latency=TENTH))

    measured = history_of(journal.state, journal.seen, journal.state.assertions["c"]).measured

    assert measured is not None
    assert [(span.slow, span.unknown, span.count, span.untimed) for span in measured.spans] == [(3, 1, 6, 1)]
    assert measured.deadline is None


def test_successes_are_seen_also_in_spans_without_a_sample_and_not_where_the_journal_does_not_tell() -> None:
    journal = Journal(OutageClaim(id="c", type="outage", probe="quote", at_most="1s"))
    half, second = timedelta(milliseconds=500), timedelta(seconds=1)
    counts = {"ok": 0, "failed": 0, "missed": 0, "slowest": timedelta()}
    for start, said in ((10, Successes(first=half, last=half)), (11, Successes()), (12, None)):
        summary = {"probe": "quote", "start": at(start), "end": at(start + 1), "count": 0, **counts}
        journal.add(start + 1, ProbeSummary(successes=said, **summary))  # type: ignore[arg-type]

    measured = history_of(journal.state, journal.seen, journal.state.assertions["c"]).measured

    assert measured is not None
    assert [(span.start, span.first, span.longest) for span in measured.successes] == [
        (at(10), at(10.5), timedelta()),
        (at(11), None, timedelta()),
    ]
    assert (measured.every, measured.deadline) == (timedelta(milliseconds=50), second)


def test_roles_are_those_of_the_members_at_the_instants_at_which_they_were_answered() -> None:
    journal = Journal(RoleClaim(id="c", type="role", group="db", role="leader", exactly=1))
    bound = timedelta(seconds=0.5)
    journal.add(5, RoleSeen(service="a", number=1, role="leader", ago=timedelta(seconds=1)))
    journal.add(5, RoleSeen(service="c", number=1, role="leader", ago=timedelta()))
    journal.add(12, RoleSeen(service="a", number=2, role="follower", ago=timedelta(seconds=0.1), error_bound=bound))

    roles = history_of(journal.state, journal.seen, journal.state.assertions["c"]).roles

    assert {name: [(said.at, said.role, said.error_bound) for said in role.said] for name, role in roles.items()} == {
        "a": [(at(4), "leader", None), (at(11.9), "follower", bound)],
        "b": [],
    }
    assert roles["a"].every == timedelta(milliseconds=500)


def test_what_is_told_reaches_as_far_as_the_furthest_watermark_says() -> None:
    journal = Journal()
    for number, told in enumerate((None, at(10), at(9)), 1):
        marks = {"stage": "chaos", "number": number, "probes": at(20), "events": None}
        journal.add(20, ObservedUntil(told=told, **marks))  # type: ignore[arg-type]
        history = history_of(journal.state, journal.seen, journal.state.assertions["c"])
        assert history.told_until == (None if told is None else at(10))

    assert history.all_told(at(10))
    assert not history.all_told(at(11))


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


def test_lines_of_a_log_and_what_was_read_belong_to_their_claim_and_what_was_read_first_counts() -> None:
    journal = Journal(HttpClaim(id="c", type="http", url="http://h:1/"))
    for name in ("c", "d"):
        for start in (10, 11):
            journal.add(start + 1, LogMatched(assertion=name, start=at(start), end=at(start + 1), lines=5, count=start, samples=("x",)))
            journal.add(start + 1, SetRead(assertion=name, at=at(start), took=timedelta(), tried=start))

    history = history_of(journal.state, journal.seen, journal.state.assertions["c"])

    assert [(span.start, span.lines, span.count, span.samples) for span in history.logged] == [
        (at(10), 5, 10, ("x",)),
        (at(11), 5, 11, ("x",)),
    ]
    assert (history.read.tried if history.read else None, history.read_evidence) == (10, "any.c.set.read.0")


def test_the_log_of_a_service_is_known_through_all_its_starts() -> None:
    journal = Journal()
    journal.add(1, ServiceStarted(service="a", number=1, identity=IDENTITY, output="/logs/a.log"))
    journal.add(2, ServiceStopped(service="a", number=1, killed=False, took=timedelta()))
    journal.add(3, ServiceAdopted(service="a", number=2, identity=IDENTITY))
    journal.add(4, WorkloadStarted(workload="buyers", number=1, identity=IDENTITY, output="o", errors="e"))

    assert journal.state.services["a"].output == "/logs/a.log"
    assert (journal.state.workloads["buyers"].output, journal.state.workloads["buyers"].errors) == ("o", "e")


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


@pytest.mark.parametrize("value", [1.5, math.inf, -math.inf])
def test_a_value_of_a_metric_is_read_from_the_journal_as_it_was_measured(value: float) -> None:
    event = MetricSampled(assertion="c", at=at(11), took=timedelta(seconds=1), series={"up": value})

    assert MetricSampled.model_validate_json(event.model_dump_json()) == event


def test_a_value_that_is_no_number_stays_one_in_the_journal() -> None:
    event = MetricSampled(assertion="c", at=at(11), took=timedelta(seconds=1), series={"up": math.nan})

    assert math.isnan(MetricSampled.model_validate_json(event.model_dump_json()).series["up"])


def test_an_answer_that_could_not_be_asked_is_told_to_the_judge_as_such() -> None:
    journal = Journal(HttpClaim(id="c", type="http", url="http://h:1/"))
    second = timedelta(seconds=1)
    seen = {"ago": second, "error_bound": second, "took": second, "got": "no such method"}
    journal.add(12, AnswerSeen(assertion="c", number=1, ok=False, asked=False, **seen))  # type: ignore[arg-type]
    journal.add(13, AnswerSeen(assertion="c", number=2, ok=False, **seen))  # type: ignore[arg-type]

    answers = history_of(journal.state, journal.seen, journal.state.assertions["c"]).answers

    assert [change.asked for change in answers.transitions] == [False, True]
