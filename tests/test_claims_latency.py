"""The latency claim: percentiles of probes, workloads and events, alone and beside an earlier phase. The wrong histories first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from messages.claims import FaultHistory, History, Judgement, LatencyClaim, Measured, MeasuredSpan, Scope, ServiceEvent, Window
from messages.claims.comparing import latency_limit, number_limit
from messages.claims.latency import needed
from messages.expressions import Bindings, ExpressionError
from messages.histogram import Histogram
from messages.observations import EventMatched
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
NO_SAMPLES, TOO_FEW = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES), (Verdict.INCONCLUSIVE, Reason.TOO_FEW_SAMPLES)
GAP, PRECONDITION = (Verdict.INCONCLUSIVE, Reason.GAP), (Verdict.INCONCLUSIVE, Reason.PRECONDITION)
SCOPE = Scope({"s": frozenset({"s"})}, {"slow": ("s", "pause")}, "chaos", ("baseline",), ("quote",), ("buyers",), ("s",))
PARSE: TypeAdapter[LatencyClaim] = TypeAdapter(LatencyClaim)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def latency(**words: Any) -> LatencyClaim:
    source = {} if {"workload", "event", "probe"} & words.keys() else {"probe": "quote"}
    return PARSE.validate_python({"type": "latency", "percentile": 95, "at_most": "100ms", **source, **words})


def second(start: float, *millis: float, slow: int = 0, beside: bool = False, end: float | None = None) -> MeasuredSpan:
    timed = Histogram.of(timedelta(milliseconds=m) for m in millis)
    return MeasuredSpan(at(start), at(start + 1 if end is None else end), timed, slow, f"observer.quote.{start}", beside)


def every_second(start: int, end: int, *millis: float) -> tuple[MeasuredSpan, ...]:
    return tuple(second(n, *millis) for n in range(start, end))


QUICK, SLOW = (10.0,) * 10, (300.0,) * 10
FULL = every_second(0, 20, *QUICK)


def seen(*spans: MeasuredSpan, until: float | None = 30, window: tuple[float, float | None] = (10, 20), **words: Any) -> History:
    """What is known of a probe that is sampled ten times a second; `baseline` was from 0 to 10 s."""
    opens, closes = window
    measured = Measured(spans, words.pop("gaps", ()), words.pop("every", timedelta(milliseconds=100)))
    return History(
        window=Window(at(opens), None if closes is None else at(closes)),
        measured=measured,
        probes_until=None if until is None else at(until),
        phases={"baseline": Window(at(0), at(10)), "chaos": Window(at(10), at(20))},
        **words,
    )


def verdict(found: Judgement | None) -> tuple[Verdict, Reason | None] | None:
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


def test_nothing_was_measured() -> None:
    assert verdict(latency().judge(seen())) == NO_SAMPLES
    assert verdict(latency().judge(replace(seen(), measured=None))) == NO_SAMPLES
    assert verdict(latency(workload="buyers").judge(seen(every=None))) == NO_SAMPLES


def test_too_few_were_measured() -> None:
    few = (second(10, 10, 10, end=15), second(15, 10, end=20))

    assert verdict(latency().judge(seen(*few))) == TOO_FEW
    assert verdict(latency(min_samples=20).judge(seen(*few))) == TOO_FEW
    assert verdict(latency(percentile=99).judge(seen(*every_second(10, 20, *QUICK[:9])))) == TOO_FEW
    assert verdict(latency(percentile=50, min_samples=3).judge(seen(*few))) == PASSED


def test_what_was_measured_before_or_after_the_window_says_nothing() -> None:
    assert verdict(latency().judge(seen(*every_second(0, 10, *QUICK), *every_second(20, 25, *QUICK)))) == NO_SAMPLES


def test_a_second_across_the_windows_edge_does_not_count() -> None:
    across = (second(9.5, *SLOW * 5), *(second(n + 0.5, *QUICK) for n in range(10, 19)), second(19.5, *SLOW * 5))

    assert verdict(latency().judge(seen(*across))) == PASSED


def test_a_stretch_without_samples_proves_nothing_however_quick_the_others_were() -> None:
    holed = (*every_second(10, 13, *QUICK), *every_second(17, 20, *QUICK))
    short = (*every_second(10, 13, *QUICK), *every_second(15, 20, *QUICK))

    assert verdict(latency().judge(seen(*holed))) == GAP
    assert verdict(latency().judge(seen(*short))) == PASSED


def test_a_workloads_silence_is_no_gap_but_an_observer_that_was_away_is() -> None:
    few = (second(10, *QUICK), second(19, *QUICK * 2))

    assert verdict(latency(workload="buyers").judge(seen(*few, every=None))) == PASSED
    assert verdict(latency(workload="buyers").judge(seen(*few, every=None, gaps=((at(12), at(16)),)))) == GAP


def test_the_same_second_told_by_two_observers_counts_once() -> None:
    twice = tuple(s for n in range(10, 13) for s in (second(n, *QUICK[:9]), second(n + 0.1, *QUICK[:9])))

    assert verdict(latency().judge(seen(*twice, window=(10, 13)))) == TOO_FEW


def test_nothing_is_said_before_the_window_is_over_and_looked_through() -> None:
    assert latency().judge(seen(*FULL, until=19.9)) is None
    assert latency().judge(seen(*FULL, until=None)) is None
    assert latency().judge(seen(*FULL, window=(10, None))) is None


def test_the_percentile_decides() -> None:
    mixed = every_second(10, 20, *QUICK, *QUICK, 300)

    assert verdict(latency(percentile=95).judge(seen(*mixed))) == PASSED
    assert verdict(latency(percentile=99).judge(seen(*mixed))) == FAILED
    assert verdict(latency(percentile=100).judge(seen(*mixed))) == FAILED


@pytest.mark.parametrize("at_most", ["100ms", "10s"])
def test_what_failed_or_was_missed_is_slow_whatever_the_limit(at_most: str) -> None:
    failing = tuple(second(n, *QUICK, 1000, slow=1) for n in range(10, 20))
    found = latency(at_most=at_most).judge(seen(*failing))

    assert verdict(found) == FAILED
    assert found is not None
    assert found.message.startswith("p95 of quote is among the 10 of 110 samples that failed or were missed (they count as slow), at most")


def test_one_operation_that_failed_is_told_as_one_though_it_is_the_slowest_of_all() -> None:
    mostly = (*(second(n, *QUICK, beside=True) for n in range(10, 19)), second(19, *QUICK, slow=1, beside=True))
    found = latency(probe=None, workload="buyers", percentile=100).judge(seen(*mostly, every=None))

    assert found is not None
    assert found.message.startswith("p100 of buyers is among the 1 of 101 operations that failed or stayed unknown (they count as slow), ")


def test_operations_that_failed_count_as_slow_beside_those_that_were_timed() -> None:
    few, many = (tuple(second(n, *QUICK, slow=slow, beside=True) for n in range(10, 20)) for slow in (0, 1))

    assert verdict(latency(workload="buyers", percentile=95).judge(seen(*few, every=None))) == PASSED
    assert verdict(latency(workload="buyers", percentile=95).judge(seen(*many, every=None))) == FAILED


@pytest.mark.parametrize(
    ("at_most", "millis", "expected"),
    [("+50ms", 55, PASSED), ("+50ms", 70, FAILED), ("+50%", 14, PASSED), ("+50%", 17, FAILED), ("2x", 18, PASSED), ("2x", 23, FAILED)],
)
def test_the_limit_may_be_relative_to_an_earlier_phase(at_most: str, millis: float, expected: object) -> None:
    spans = (*every_second(0, 10, *QUICK), *every_second(10, 20, *(millis,) * 10))
    found = latency(compare="baseline", at_most=at_most).judge(seen(*spans))

    assert verdict(found) == expected
    assert found is not None
    assert f"in baseline over 100 samples, {at_most}" in found.message


def test_without_enough_in_the_earlier_phase_there_is_nothing_to_compare_with() -> None:
    chaos, claim = every_second(10, 20, *QUICK), latency(compare="baseline", at_most="2x")
    slow = tuple(second(n, *QUICK, 1000, 1000, slow=2) for n in range(10))

    assert verdict(claim.judge(seen(*chaos))) == NO_SAMPLES
    assert verdict(claim.judge(seen(second(0, 10, end=5), second(5, 10, end=10), *chaos))) == TOO_FEW
    assert verdict(claim.judge(seen(*every_second(0, 4, *QUICK), *chaos))) == GAP
    assert verdict(claim.judge(seen(*slow, *chaos))) == PRECONDITION


def test_a_phase_that_was_disturbed_or_not_over_is_not_compared_with() -> None:
    claim = latency(compare="baseline", at_most="2x")
    fault = FaultHistory("slow", "s", "pause", armed=at(8), injected=at(8), gone=at(9))

    assert verdict(claim.judge(seen(*FULL, faults={"slow": fault}))) == PRECONDITION
    assert verdict(claim.judge(seen(*FULL, faults={"slow": replace(fault, armed=at(11), gone=at(12))}))) == PASSED
    assert verdict(claim.judge(replace(seen(*FULL), phases={"baseline": Window(at(0), at(11))}))) == (
        Verdict.INCONCLUSIVE,
        Reason.PHASE_CUT,
    )
    assert verdict(claim.judge(replace(seen(*FULL), phases={}))) == (Verdict.INCONCLUSIVE, Reason.PHASE_CUT)


def told(claim: LatencyClaim, *values: Any, before: int = 0, gap: bool = False, final: bool = True) -> History:
    """What an observer records of events that tell these values, the first so many of them in the earlier phase."""
    matcher = claim.matcher({})
    assert matcher is not None
    tallies, errors = (matcher.tally(), matcher.tally()), 0
    for number, value in enumerate(values):
        body = {"id": f"e{number}", "type": "order.filled", "source": "s", "data": {"took": value}}
        event = ServiceEvent(f"e{number}", "order.filled", "s", number, at(number), Bindings({"event": body}))
        try:
            found = matcher.match(event)
        except ExpressionError:
            errors += 1
            continue
        if found is not None:
            tallies[number >= before].see(event.matched(found.key))
    known: dict[str, Any] = {"count": tallies[1].count, "seen": len(values), "evaluated": len(values), "errors": errors}
    matched = EventMatched(
        assertion="a", number=1, opens=at(10), closes=at(20), until=at(20), through=9, final=final, gap=gap, **known,
        values=tallies[1].values, reference=tallies[0].values if before else None, error="no duration" if errors else None,
    )  # fmt: skip
    return replace(seen(), measured=None, matched=matched, matched_evidence="observer.a.event.matched.1")


def of_events(**words: Any) -> LatencyClaim:
    return latency(event={"where": "event.type == 'order.filled'", "value": "event.data.took", "unit": "ms"}, **words)


def test_events_tell_durations_as_numbers_and_as_text() -> None:
    assert verdict(of_events().judge(told(of_events(), *[20] * 29, "30ms"))) == PASSED
    assert verdict(of_events().judge(told(of_events(), *[20.5] * 20, *["1s"] * 10))) == FAILED


def test_events_that_tell_nothing_or_too_little_prove_nothing() -> None:
    claim = of_events()

    assert verdict(claim.judge(told(claim))) == NO_SAMPLES
    assert verdict(claim.judge(told(claim, *[20] * 29))) == TOO_FEW
    assert verdict(claim.judge(told(claim, *[20] * 30, gap=True))) == GAP
    assert verdict(claim.judge(told(claim, *["soon"] * 30))) == (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)
    assert claim.judge(told(claim, *[20] * 30, final=False)) is None


@pytest.mark.parametrize("value", [-1, True, None, "soon", [1], 1e300])
def test_what_is_no_duration_is_an_error_of_the_expression(value: Any) -> None:
    matcher = of_events().matcher({})
    assert matcher is not None
    body = {"type": "order.filled", "data": {"took": value}}

    with pytest.raises(ExpressionError):
        matcher.match(ServiceEvent("e", "order.filled", "s", 1, at(0), Bindings({"event": body})))


def test_events_are_compared_with_those_of_an_earlier_phase() -> None:
    claim = of_events(compare="baseline", at_most="2x")

    assert verdict(claim.judge(told(claim, *[20] * 30, *[35] * 30, before=30))) == PASSED
    assert verdict(claim.judge(told(claim, *[20] * 30, *[50] * 30, before=30))) == FAILED
    assert verdict(claim.judge(told(claim, *[20] * 5, *[20] * 30, before=5))) == TOO_FEW


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"probe": "quotes"}, ("probe",)),
        ({"workload": "writers"}, ("workload",)),
        ({"probe": "quote", "workload": "buyers"}, ()),
        ({"throughout": True}, ()),
        ({"within": "2s"}, ()),
        ({"percentile": 99, "min_samples": 50}, ("min_samples",)),
        ({"at_most": "+50%"}, ("at_most",)),
        ({"compare": "baseline"}, ("at_most",)),
        ({"compare": "chaos", "at_most": "2x"}, ("compare",)),
        ({"event": {"where": "events.type", "value": "1"}}, ("event", "where")),
        ({"grace": "1s"}, ("grace",)),
    ],
)
def test_what_is_wrong_in_a_document_is_named(words: dict[str, Any], path: tuple[str, ...]) -> None:
    assert [p.path for p in latency(**words).problems(SCOPE)] == [path]


def test_a_right_claim_has_no_problems_and_one_over_the_whole_run_needs_a_fault_to_compare() -> None:
    claim = latency(compare="baseline", at_most="+250ms")
    whole = replace(SCOPE, phase=None)

    assert list(claim.problems(SCOPE)) == []
    assert [p.path for p in claim.problems(whole)] == [("compare",)]
    assert list(claim.model_copy(update={"during": "slow"}).problems(whole)) == []


@pytest.mark.parametrize("text", ["", "fast", "+", "50", "-10ms", "x2", "2xx", "+5", "1e3x"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        latency(at_most=text)
    with pytest.raises(ValueError, match="a limit is"):
        latency_limit(text)


def test_limits_mean_what_they_say() -> None:
    assert latency_limit("+250ms").at(1.0) == 1.25
    assert latency_limit("1m").at(None) == 60
    assert number_limit("-10%").at(200) == 180
    assert number_limit("+5").at(200) == 205
    assert number_limit(7).at(200) == 7


@pytest.mark.parametrize(("percentile", "count"), [(50, 2), (95, 20), (99, 100), (99.9, 1000), (100, 1)])
def test_a_percentile_needs_a_sample_beyond_it(percentile: float, count: int) -> None:
    assert needed(percentile) == count
