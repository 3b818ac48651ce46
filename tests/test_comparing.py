"""Two runs beside each other."""

from dataclasses import replace
from datetime import timedelta

import pytest

from messages.histogram import Histogram
from messages.judgements import AssertionJudged
from messages.run_events import AssertionOpened, RunAccepted
from messages.verdicts import Verdict
from runs.comparing import AssertionPair, Comparison, compare
from runs.report import ReportFold
from tests.recorded import BAD, GOOD, MS, RUN, Course, Line, lined, observed, recorded, run


def fold(lines: list[Line]) -> ReportFold:
    found = ReportFold(RUN)
    for line in lines:
        found.apply(line)
    return found


def compared(one: Course, other: Course) -> Comparison:
    found = compare(fold(run(one)), fold(run(other)))
    assert found is not None
    return found


def pair(found: Comparison, assertion: str) -> AssertionPair:
    return next(pair for pair in found.assertions if pair.assertion == assertion)


def test_a_run_is_not_worse_than_itself() -> None:
    found = compared(GOOD, GOOD)

    assert not found.is_worse
    assert {pair.change for pair in found.assertions} == {"same"}
    assert all(pair.first == pair.second for pair in found.recoveries)
    assert all(pair.first == pair.second for pair in found.latencies)
    assert all(pair.first == pair.second for pair in found.events)


@pytest.mark.parametrize("name", BAD)
def test_what_failed_is_worse_and_the_other_way_round_better(name: str) -> None:
    there, back = compared(GOOD, BAD[name]), compared(BAD[name], GOOD)

    assert (there.verdict, back.verdict) == ("worse", "better")
    assert (there.is_worse, back.is_worse) == (True, False)
    assert [pair.change for pair in there.assertions if pair.change != "same"] == ["worse"]


def test_a_run_that_can_no_longer_say_is_worse() -> None:
    found = compared(GOOD, Course(effect=False))

    assert found.is_worse
    assert (found.first.verdict, found.second.verdict) == (Verdict.PASSED, Verdict.INCONCLUSIVE)
    assert pair(found, "back").second == "inconclusive"


def test_a_claim_that_got_worse_makes_it_worse_though_the_verdict_is_the_same() -> None:
    found = compared(BAD["slow"], Course(answered=300 * MS, breaches=1))

    assert found.verdict == "same"
    assert found.is_worse
    assert pair(found, "no-breach").change == "worse"


def test_recovery_times_and_what_claims_measured_stand_beside_each_other() -> None:
    found = compared(GOOD, Course(back=9.0))

    (recovery,) = found.recoveries
    assert (recovery.action, recovery.target, recovery.number, recovery.change) == ("restart", "web", 1, "same")
    assert recovery.first is not None
    assert recovery.second is not None
    assert round(recovery.second - recovery.first, 3) == 1.0
    took = pair(found, "back")
    assert isinstance(took.first_measured["took"], timedelta)
    assert took.second_measured["took"] == took.first_measured["took"] + timedelta(seconds=1)


def test_latencies_are_told_over_the_run_and_in_each_phase() -> None:
    found = compared(GOOD, BAD["slow"])

    quotes = {pair.phase: pair for pair in found.latencies if pair.name == "quote"}
    assert set(quotes) == {None, "baseline", "chaos"}
    for pair_ in quotes.values():
        assert pair_.first is not None
        assert pair_.second is not None
        assert pair_.first.p50 == pytest.approx(0.010, rel=0.05)
        assert [pair_.second.p50, pair_.second.p95, pair_.second.p99] == pytest.approx([0.3] * 3, rel=0.05)
        assert pair_.second.max == 0.3
    whole, baseline = quotes[None].first, quotes["baseline"].first
    assert whole is not None
    assert baseline is not None
    assert (whole.count, baseline.count, baseline.failed) == (800, 250, 0)


def test_samples_that_failed_are_as_slow_as_their_deadline_and_so_is_the_slowest_of_all() -> None:
    lines = run(GOOD)
    timed = Histogram.of([10 * MS] * 40 + [timedelta(seconds=1)] * 10)
    bad = [
        replace(line, event=line.event.model_copy(update={"ok": 40, "failed": 10, "latency": timed})) if line.entity == "quote" else line
        for line in lines
    ]

    found = compare(fold(lines), fold(bad))

    assert found is not None
    (whole,) = [pair for pair in found.latencies if (pair.name, pair.phase) == ("quote", None)]
    assert whole.second is not None
    assert whole.second.failed == 160
    assert [whole.second.p50, whole.second.p95, whole.second.max] == pytest.approx([0.010, 1, 1], rel=0.05)


def test_health_is_counted_though_it_has_no_histogram() -> None:
    found = compared(GOOD, BAD["sick"])

    (health,) = [pair for pair in found.latencies if (pair.name, pair.phase) == ("web", "baseline")]
    assert health.first is not None
    assert health.second is not None
    assert (health.first.failed, health.second.failed) == (0, 3)
    assert (health.first.p99, health.first.max) == (None, 0.004)


def test_what_was_never_tested_in_the_second_is_told_as_worse() -> None:
    lines = run(GOOD)
    judged = [line for line in lines if line.entity == "up" and isinstance(line.event, AssertionJudged)]
    without = [line for line in lines if line.entity != "no-breach" and line not in judged]

    found = compare(fold(lines), fold(without))

    assert found is not None
    assert pair(found, "no-breach").second == "not_reached"
    assert pair(found, "up").second == "not_judged"
    assert found.is_worse, "what was proven is no longer"


def test_a_rehearsal_is_no_worse_for_claims_that_need_their_fault() -> None:
    lines = lined(observed(BAD["too few"]))
    for index, line in enumerate(lines):
        if isinstance(line.event, RunAccepted):
            lines[index] = replace(line, event=line.event.model_copy(update={"rehearsal": True}))
        elif isinstance(line.event, AssertionOpened) and line.entity == "fills":
            needy = line.event.claim.model_copy(update={"without_fault": "fails"})
            lines[index] = replace(line, event=line.event.model_copy(update={"claim": needy}))

    found = compare(fold(run(GOOD)), fold(recorded(lines)))

    assert found is not None
    assert (pair(found, "fills").second, pair(found, "fills").change) == ("needs_fault", "same")
    assert (pair(found, "back").second, pair(found, "back").change) == ("control", "same")
    assert not found.is_worse


def test_a_run_that_is_not_over_is_not_compared() -> None:
    assert compare(fold(run(GOOD)), fold(run(GOOD)[:-1])) is None
