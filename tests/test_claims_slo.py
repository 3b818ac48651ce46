"""The slo claim: shares of good samples of probes and workloads, alone and beside an earlier phase. The wrong histories first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from messages.claims import FaultHistory, History, Judgement, Measured, MeasuredSpan, Scope, SloClaim, Window
from messages.claims.shares import parse_share, percent
from messages.histogram import Histogram, bucket_of, edge_of
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
NO_SAMPLES, TOO_FEW = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES), (Verdict.INCONCLUSIVE, Reason.TOO_FEW_SAMPLES)
GAP, PRECONDITION = (Verdict.INCONCLUSIVE, Reason.GAP), (Verdict.INCONCLUSIVE, Reason.PRECONDITION)
SCOPE = Scope({"s": frozenset({"s"})}, {"slow": ("s", "pause")}, "chaos", ("baseline",), ("quote",), ("buyers",), ("s",))
PARSE: TypeAdapter[SloClaim] = TypeAdapter(SloClaim)
DEADLINE = timedelta(seconds=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def slo(**words: Any) -> SloClaim:
    source = {} if "workload" in words else {"probe": "quote"}
    return PARSE.validate_python({"type": "slo", "at_least": "99%", **source, **words})


def second(start: float, *millis: float, bad: int = 0, took: float = 1000) -> MeasuredSpan:
    """A second of a probe: good samples that took so long, and so many that had no good answer and are in the histogram all the same."""
    timed = Histogram.of(timedelta(milliseconds=m) for m in (*millis, *[took] * bad))
    return MeasuredSpan(at(start), at(start + 1), timed, bad, f"observer.quote.{start}")


def tried(start: float, *millis: float, failed: int = 0, unknown: int = 0, untimed: int = 0) -> MeasuredSpan:
    """A second of a workload."""
    timed = Histogram.of(timedelta(milliseconds=m) for m in millis)
    evidence = f"observer.buyers.{start}"
    return MeasuredSpan(at(start), at(start + 1), timed, failed + unknown, evidence, beside=True, unknown=unknown, untimed=untimed)


def seconds(start: int, end: int, good: int = 100, bad: int = 0) -> tuple[MeasuredSpan, ...]:
    return tuple(second(n, *[10.0] * good, bad=bad) for n in range(start, end))


def seen(*spans: MeasuredSpan, until: float | None = 30, window: tuple[float, float | None] = (10, 20), **words: Any) -> History:
    """What is known of a probe that is sampled a hundred times a second; `baseline` was from 0 to 10 s."""
    opens, closes = window
    measured = Measured(spans, words.pop("gaps", ()), words.pop("every", timedelta(milliseconds=10)), words.pop("deadline", DEADLINE))
    return History(
        window=Window(at(opens), None if closes is None else at(closes)),
        measured=measured,
        probes_until=None if until is None else at(until),
        phases={"baseline": Window(at(0), at(10)), "chaos": Window(at(10), at(20))},
        **words,
    )


def worked(*spans: MeasuredSpan, **words: Any) -> History:
    return seen(*spans, every=None, deadline=None, **words)


def verdict(found: Judgement | None) -> tuple[Verdict, Reason | None] | None:
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


def test_nothing_was_sampled_or_only_before_and_after_the_window() -> None:
    assert verdict(slo().judge(seen())) == NO_SAMPLES
    assert verdict(slo().judge(replace(seen(), measured=None))) == NO_SAMPLES
    assert verdict(slo().judge(seen(*seconds(0, 10), *seconds(20, 25)))) == NO_SAMPLES
    assert verdict(slo(workload="buyers").judge(worked())) == NO_SAMPLES
    assert verdict(slo().judge(seen(*seconds(0, 30), window=(10, 10)))) == NO_SAMPLES


def test_too_few_were_sampled_to_tell_one_bad_sample_from_what_is_allowed() -> None:
    few = tuple(second(n, *[10.0] * 19) for n in range(10, 20))

    assert verdict(slo(at_least="99.5%").judge(seen(*few))) == TOO_FEW
    assert verdict(slo(at_least="99.5%", min_samples=200).judge(seen(*few))) == TOO_FEW
    assert verdict(slo(at_least="99%").judge(seen(*few))) == PASSED
    assert verdict(slo(at_least="99%", min_samples=191).judge(seen(*few))) == TOO_FEW


@pytest.mark.parametrize(
    ("at_least", "fewest"),
    [("99.5%", 200), ("99%", 100), ("99.99%", 10000), ("50%", 30), ("100%", 30), ("-1pp", 100), ("-0.1pp", 1000), ("+0pp", 30)],
)
def test_a_share_needs_so_many_samples(at_least: str, fewest: int) -> None:
    assert slo(at_least=at_least).fewest == fewest


def test_a_stretch_without_samples_proves_nothing_however_good_the_others_were() -> None:
    assert verdict(slo().judge(seen(*seconds(10, 13), *seconds(17, 20)))) == GAP
    assert verdict(slo().judge(seen(*seconds(10, 13), *seconds(15, 20)))) == PASSED
    assert verdict(slo(workload="buyers").judge(worked(tried(10, *[9.0] * 100), gaps=((at(12), at(16)),)))) == GAP


def test_nothing_is_said_before_the_window_is_over_looked_through_and_told() -> None:
    bad = seconds(10, 20, good=0, bad=100)

    assert slo().judge(seen(*bad, until=19.9)) is None
    assert slo().judge(seen(*bad, until=None)) is None
    assert slo().judge(seen(*bad, window=(10, None))) is None
    assert slo().judge(seen(*bad, told_until=at(19))) is None
    assert verdict(slo().judge(seen(*bad, told_until=at(20)))) == FAILED


def test_the_same_second_told_by_two_observers_counts_once() -> None:
    twice = tuple(s for n in range(10, 12) for s in (second(n, *[10.0] * 40), second(n + 0.1, *[10.0] * 40)))

    assert verdict(slo().judge(seen(*twice, window=(10, 12)))) == TOO_FEW


def test_the_share_decides_to_the_last_sample() -> None:
    just, one_more = (*seconds(10, 19), second(19, *[10.0] * 90, bad=10)), (*seconds(10, 19), second(19, *[10.0] * 89, bad=11))
    found = slo().judge(seen(*one_more))

    assert verdict(slo().judge(seen(*just))) == PASSED
    assert verdict(found) == FAILED
    assert found is not None
    assert found.message == "98.9% of quote, 989 of 1000, were good, at least 99% wanted; 11 failed or were missed"
    assert found.evidence[-1] == "observer.quote.19"


def test_all_is_all() -> None:
    assert verdict(slo(at_least="100%").judge(seen(*seconds(10, 20)))) == PASSED
    assert verdict(slo(at_least="100%").judge(seen(*seconds(10, 19), second(19, *[10.0] * 99, bad=1)))) == FAILED


def test_what_is_slower_is_not_good() -> None:
    mixed = (*seconds(10, 19), second(19, *[10.0] * 80, *[400.0] * 20))
    found = slo(below="250ms").judge(seen(*mixed))

    assert verdict(slo().judge(seen(*mixed))) == PASSED
    assert verdict(slo(below="500ms").judge(seen(*mixed))) == PASSED
    assert verdict(found) == FAILED
    assert found is not None
    assert found.message == "98% of quote, 980 of 1000, were good (at most 250ms), at least 99% wanted; 20 were too slow"


@pytest.mark.parametrize("took", [1000, 1050, 5000])
@pytest.mark.parametrize("below", ["1s", "2s", "10s"])
def test_what_had_no_good_answer_is_never_good_whatever_its_bucket(took: float, below: str) -> None:
    failing = tuple(second(n, *[10.0] * 98, bad=2, took=took) for n in range(10, 20))

    assert verdict(slo(below=below).judge(seen(*failing))) == FAILED


def test_of_answers_as_late_as_those_that_failed_nobody_can_say_whether_they_were_good() -> None:
    """Good answers that took about the deadline are in the same buckets as those that failed, and which of these are below is not known."""
    late = tuple(second(n, *[10.0] * 97, *[1100.0] * 2, bad=1, took=1000) for n in range(10, 20))

    assert verdict(slo(below="1050ms").judge(seen(*late))) == FAILED
    assert verdict(slo(below="1050ms", at_least="97%").judge(seen(*late))) == PASSED
    assert verdict(slo(below="1200ms", at_least="99%").judge(seen(*late))) == PASSED


def test_a_limit_inside_a_step_of_the_histogram_decides_only_where_that_step_does_not_matter() -> None:
    lower, upper = (edge_of(bucket_of(timedelta(milliseconds=250)) + step) for step in (-1, 0))
    near = lower + (upper - lower) / 2
    millis = near.total_seconds() * 1000
    spans = (*seconds(10, 19), second(19, *[10.0] * 80, *[millis] * 20))
    found = slo(below="250ms").judge(seen(*spans))

    assert verdict(found) == TOO_FEW
    assert found is not None
    assert "of 20 more nobody can say" in found.message
    assert verdict(slo(below="250ms", at_least="98%").judge(seen(*spans))) == PASSED
    for cure, expected in zip(found.message.rpartition("let `below` be ")[2].split(" or "), (FAILED, PASSED), strict=True):
        assert verdict(slo(below=cure).judge(seen(*spans))) == expected


def test_an_operation_of_which_nobody_knows_is_not_good_and_is_shown() -> None:
    spans = tuple(tried(n, *[10.0] * 97, failed=1, unknown=2) for n in range(10, 20))
    found = slo(workload="buyers").judge(worked(*spans))

    assert verdict(found) == FAILED
    assert found is not None
    assert found.message.endswith("; 10 failed or were missed and 20 stayed unknown")
    assert found.measured["unknown"] == 20
    assert verdict(slo(workload="buyers", at_least="97%").judge(worked(*spans))) == PASSED


def test_operations_that_do_not_say_how_long_they_took_are_good_but_not_known_to_be_quick() -> None:
    spans = tuple(tried(n, *[10.0] * 90, untimed=10) for n in range(10, 20))
    found = slo(workload="buyers", below="50ms").judge(worked(*spans))

    assert verdict(slo(workload="buyers").judge(worked(*spans))) == PASSED
    assert verdict(slo(workload="buyers").judge(worked(*(tried(n, untimed=10) for n in range(10, 20))))) == PASSED
    assert verdict(found) == TOO_FEW
    assert found is not None
    assert "say what each operation `took`" in found.message
    assert verdict(slo(workload="buyers", below="50ms", at_least="90%").judge(worked(*spans))) == PASSED


@pytest.mark.parametrize(
    ("at_least", "bad", "expected"),
    [("-1pp", 2, PASSED), ("-1pp", 3, FAILED), ("+0pp", 1, PASSED), ("+0pp", 2, FAILED), ("+1pp", 1, FAILED), ("+1pp", 0, PASSED)],
)
def test_the_share_may_be_so_many_points_below_the_one_of_an_earlier_phase(at_least: str, bad: int, expected: object) -> None:
    spans = (*seconds(0, 10, 99, 1), *seconds(10, 20, 100 - bad, bad))
    found = slo(compare="baseline", at_least=at_least).judge(seen(*spans))

    assert verdict(found) == expected
    assert found is not None
    assert f"(99% of 1000 in baseline, {at_least})" in found.message


def test_without_enough_or_with_nothing_good_in_the_earlier_phase_there_is_nothing_to_compare_with() -> None:
    claim, chaos = slo(compare="baseline", at_least="-1pp"), seconds(10, 20)
    fault = FaultHistory("slow", "s", "pause", armed=at(8), injected=at(8), gone=at(9))

    assert verdict(claim.judge(seen(*chaos))) == NO_SAMPLES
    assert verdict(claim.judge(seen(*seconds(0, 10, 5), *chaos))) == TOO_FEW
    assert verdict(claim.judge(seen(*seconds(0, 4), *chaos))) == GAP
    assert verdict(claim.judge(seen(*seconds(0, 10, 0, 100), *chaos))) == PRECONDITION
    assert verdict(claim.judge(seen(*seconds(0, 20), faults={"slow": fault}))) == PRECONDITION
    assert verdict(claim.judge(replace(seen(*seconds(0, 20)), phases={}))) == (Verdict.INCONCLUSIVE, Reason.PHASE_CUT)


@pytest.mark.parametrize("text", ["", "99", "99.5", "0%", "101%", "-1%", "+1%", "1pp", "-101pp", "2x", "fast", "-1 pp", "1e2%"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        slo(at_least=text)
    with pytest.raises(ValueError, match="percentage points less than there: -1pp"):
        parse_share(text)


def test_a_signed_percentage_is_refused_since_it_is_not_known_what_it_is_of() -> None:
    with pytest.raises(ValueError, match="could be one of the share before, or points"):
        parse_share("-1%")


def test_a_share_is_read_and_shown_exactly() -> None:
    assert parse_share("99.5%").at(None) == Fraction(995, 1000)
    assert parse_share("-1pp").at(Fraction(99, 100)) == Fraction(98, 100)
    assert parse_share("+2pp").at(Fraction(99, 100)) == 1
    assert (percent(Fraction(1)), percent(Fraction(99999, 100000)), percent(Fraction(995, 1000))) == ("100%", "99.99%", "99.5%")


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"probe": "quotes"}, ("probe",)),
        ({"workload": "writers"}, ("workload",)),
        ({"probe": "quote", "workload": "buyers"}, ()),
        ({"probe": None}, ()),
        ({"throughout": True}, ()),
        ({"within": "2s"}, ()),
        ({"below": "0s"}, ("below",)),
        ({"at_least": "99.5%", "min_samples": 100}, ("min_samples",)),
        ({"at_least": "-1pp"}, ("at_least",)),
        ({"compare": "baseline"}, ("at_least",)),
        ({"compare": "chaos", "at_least": "-1pp"}, ("compare",)),
        ({"during": "fast"}, ("during",)),
        ({"grace": "1s"}, ("grace",)),
    ],
)
def test_what_is_wrong_in_a_document_is_named(words: dict[str, Any], path: tuple[str, ...]) -> None:
    assert [p.path for p in slo(**words).problems(SCOPE)] == [path]


def test_a_right_claim_has_no_problems_and_one_over_the_whole_run_needs_a_fault_to_compare() -> None:
    claim, whole = slo(compare="baseline", at_least="-1pp"), replace(SCOPE, phase=None)

    assert list(claim.problems(SCOPE)) == []
    assert [p.path for p in claim.problems(whole)] == [("compare",)]
    assert list(claim.model_copy(update={"during": "slow"}).problems(whole)) == []
