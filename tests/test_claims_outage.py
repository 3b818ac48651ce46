"""The outage claim: the longest time without a success of a probe or a workload. The wrong histories first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from messages.claims import FaultHistory, History, Judgement, Measured, OutageClaim, Scope, SuccessSpan, Window
from messages.claims.outages import stretches
from messages.successes import Successes
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
NO_SAMPLES, TOO_FEW = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES), (Verdict.INCONCLUSIVE, Reason.TOO_FEW_SAMPLES)
GAP, PRECONDITION = (Verdict.INCONCLUSIVE, Reason.GAP), (Verdict.INCONCLUSIVE, Reason.PRECONDITION)
SCOPE = Scope({"s": frozenset({"s"})}, {"slow": ("s", "pause")}, "chaos", ("baseline",), ("quote",), ("buyers",), ("s",))
PARSE: TypeAdapter[OutageClaim] = TypeAdapter(OutageClaim)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def outage(**words: Any) -> OutageClaim:
    source = {} if "workload" in words else {"probe": "quote"}
    return PARSE.validate_python({"type": "outage", "at_most": "2s", **source, **words})


def span(start: float, *successes: float, end: float | None = None, count: int = 10) -> SuccessSpan:
    """A second in which something succeeded at these instants."""
    said, until = Successes.of(at(start), map(at, successes)), start + 1 if end is None else end
    first, last = (None if offset is None else at(start) + offset for offset in (said.first, said.last))
    return SuccessSpan(at(start), at(until), count, first, last, said.longest, f"observer.quote.{start:g}")


def looked(start: int, end: int, *failed: tuple[float, float], step: float = 0.1) -> tuple[SuccessSpan, ...]:
    """A summary a second, with a success in every step that lies in no outage."""
    found = []
    for second in range(start, end):
        instants = [second + n * step for n in range(round(1 / step))]
        found.append(span(second, *(i for i in instants if not any(since <= i < until for since, until in failed))))
    return tuple(found)


def seen(*spans: SuccessSpan, until: float | None = 30, window: tuple[float, float | None] = (10, 20), **words: Any) -> History:
    """What is known of a probe that is sampled ten times a second; `baseline` was from 0 to 10 s."""
    opens, closes = window
    every = words.pop("every", timedelta(milliseconds=100))
    measured = Measured((), words.pop("gaps", ()), every, successes=spans)
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


def test_nothing_was_tried_or_only_before_and_after_the_window() -> None:
    assert verdict(outage().judge(seen())) == NO_SAMPLES
    assert verdict(outage().judge(replace(seen(), measured=None))) == NO_SAMPLES
    assert verdict(outage().judge(seen(*looked(0, 10), *looked(20, 25)))) == NO_SAMPLES
    assert verdict(outage().judge(seen(*looked(0, 30), window=(10, 10)))) == NO_SAMPLES
    assert verdict(outage().judge(seen(*(span(n, count=0) for n in range(10, 20))))) == NO_SAMPLES


def test_a_workload_that_says_nothing_has_no_samples_and_its_silence_is_no_success() -> None:
    claim = outage(workload="buyers")

    assert verdict(claim.judge(seen(every=None))) == NO_SAMPLES
    assert verdict(claim.judge(seen(*looked(10, 13), *looked(16, 20), every=None))) == FAILED
    assert verdict(claim.judge(seen(*looked(10, 13), *looked(14, 20), every=None))) == PASSED


def test_a_window_no_longer_than_what_is_allowed_cannot_show_anything() -> None:
    assert verdict(outage().judge(seen(*looked(10, 12), window=(10, 12)))) == TOO_FEW
    assert verdict(outage().judge(seen(*looked(10, 13), window=(10, 13)))) == PASSED


def test_a_probe_cannot_show_what_is_shorter_than_its_interval() -> None:
    found = outage(at_most="150ms").judge(seen(*looked(10, 20)))

    assert verdict(found) == TOO_FEW
    assert found is not None
    assert "raise the probe's rate" in found.message


def test_a_gap_beyond_the_longest_that_is_allowed_proves_nothing_unless_what_was_seen_was_too_long_already() -> None:
    holed = (*looked(10, 13), *looked(17, 20))
    broken = (*looked(10, 14, (11, 14)), *looked(18, 20))

    assert verdict(outage().judge(seen(*holed))) == GAP
    assert verdict(outage(at_most="5s").judge(seen(*holed))) == GAP
    assert verdict(outage().judge(seen(*broken))) == FAILED
    assert verdict(outage(workload="buyers").judge(seen(*looked(10, 20), every=None, gaps=((at(12), at(16)),)))) == GAP


def test_a_short_gap_is_no_success_but_does_not_fail_alone() -> None:
    """An outage of 1.5 s beside 1.5 s in which nobody looked: nobody can say that it was 3 s long, and nobody that it was not."""
    short = (*looked(10, 13, (11.5, 13)), span(14.5, 14.6, 15.4, end=15.5), *looked(16, 20))

    assert verdict(outage(at_most="2s").judge(seen(*short))) == GAP
    assert verdict(outage(at_most="1s").judge(seen(*short))) == FAILED
    assert verdict(outage(at_most="3500ms").judge(seen(*short))) == PASSED


def test_what_a_workload_said_while_nobody_looked_does_not_make_the_rest_sure() -> None:
    """Of the 800 ms between two successes 500 ms lie in the gap: some that succeeded then may be lost."""
    known = (*looked(10, 12), span(12, 12.1, 12.9), *looked(13, 20))
    claim = outage(workload="buyers", at_most="500ms")

    assert verdict(claim.judge(seen(*known, every=None))) == FAILED
    assert verdict(claim.judge(seen(*known, every=None, gaps=((at(12.4), at(12.9)),)))) == GAP


def test_ticks_that_were_missed_are_no_successes() -> None:
    missed = (*looked(10, 13), *(span(n, count=10) for n in range(13, 16)), *looked(16, 20))

    assert verdict(outage().judge(seen(*missed))) == FAILED


def test_the_longest_time_without_a_success_decides_and_is_told_with_its_bound() -> None:
    found = outage().judge(seen(*looked(10, 20, (12.35, 14.55))))
    fine = outage(at_most="2500ms").judge(seen(*looked(10, 20, (12.35, 14.55))))

    assert (verdict(found), verdict(fine)) == (FAILED, PASSED)
    assert found is not None
    assert found.message == (
        "quote was without a success for 2.3s (give or take 100ms, its interval), from 2.3s into the window, at most 2s allowed"
    )
    assert found.evidence == ("observer.quote.12", "observer.quote.13", "observer.quote.14")
    assert fine is not None
    assert fine.measured["longest"] == timedelta(seconds=2.3)


def test_an_outage_inside_one_summary_is_seen() -> None:
    found = outage(at_most="300ms").judge(seen(*looked(10, 20, (12.25, 12.75))))

    assert verdict(found) == FAILED
    assert found is not None
    assert found.evidence == ("observer.quote.12",)


def test_the_windows_edges_end_an_outage_and_are_no_successes() -> None:
    """What lasted from 8 to 12.5 s is in the window from 10 s on: 2.5 s; likewise at its end."""
    early, late = looked(0, 20, (8, 12.5)), looked(10, 25, (17.8, 25))

    assert verdict(outage(at_most="2400ms").judge(seen(*early))) == FAILED
    assert verdict(outage(at_most="2600ms").judge(seen(*early))) == PASSED
    assert verdict(outage(at_most="2200ms").judge(seen(*late))) == FAILED
    assert verdict(outage(at_most="2400ms").judge(seen(*late))) == PASSED


def test_nothing_succeeded_at_all() -> None:
    assert verdict(outage().judge(seen(*(span(n) for n in range(10, 20))))) == FAILED
    assert verdict(outage(workload="buyers").judge(seen(span(12), every=None))) == FAILED


def test_the_same_second_told_by_two_observers_counts_once() -> None:
    twice = (*looked(10, 12), span(12, 12.05), span(12.1, 12.9, end=13.1), *looked(14, 20))

    assert verdict(outage(at_most="1900ms").judge(seen(*twice))) == GAP


def test_nothing_passes_before_the_window_is_over_looked_through_and_told() -> None:
    fine = looked(10, 20)

    assert outage().judge(seen(*fine, until=19.9)) is None
    assert outage().judge(seen(*fine, window=(10, None))) is None
    assert outage().judge(seen(*fine, told_until=at(19))) is None
    assert outage().judge(History(window=Window())) is None
    assert verdict(outage().judge(seen(*fine, told_until=at(20)))) == PASSED


def test_what_is_too_long_already_fails_at_once() -> None:
    broken = looked(10, 14, (11, 14))

    assert verdict(outage().judge(seen(*broken, window=(10, None)))) == FAILED
    assert verdict(outage().judge(seen(*broken, until=14))) == FAILED
    assert outage().judge(seen(*looked(10, 14, (12.2, 14)), window=(10, None))) is None
    assert outage().judge(seen(*looked(10, 11), *looked(14, 15), window=(10, None))) is None
    assert outage().judge(seen(*looked(10, 13, (11.5, 13)), *looked(15, 16), window=(10, None))) is None


def test_while_a_fault_may_have_ended_the_window_earlier_nothing_is_said() -> None:
    broken = seen(*looked(10, 14, (11, 14)), window=(10, None))

    assert outage(during="slow").judge(broken) is None
    assert outage(before="slow.gone").judge(broken) is None
    assert verdict(outage(after="slow.effective").judge(broken)) == FAILED


@pytest.mark.parametrize(
    ("at_most", "until", "expected"),
    [("+500ms", 12.9, PASSED), ("+500ms", 13.2, FAILED), ("2x", 13.4, PASSED), ("2x", 13.7, FAILED), ("+50%", 12.9, PASSED)],
)
def test_the_limit_may_be_relative_to_an_earlier_phase(at_most: str, until: float, expected: object) -> None:
    spans = (*looked(0, 10, (3.05, 3.95)), *looked(10, 20, (11.55, until)))
    found = outage(compare="baseline", at_most=at_most).judge(seen(*spans))

    assert verdict(found) == expected
    assert found is not None
    assert f"(1s in baseline, {at_most})" in found.message


def test_without_a_success_or_with_a_gap_in_the_earlier_phase_there_is_nothing_to_compare_with() -> None:
    claim, chaos = outage(compare="baseline", at_most="+1s"), looked(10, 20)
    fault = FaultHistory("slow", "s", "pause", armed=at(8), injected=at(8), gone=at(9))

    assert verdict(claim.judge(seen(*chaos))) == NO_SAMPLES
    assert verdict(claim.judge(seen(*looked(0, 4), *chaos))) == GAP
    assert verdict(claim.judge(seen(*(span(n) for n in range(10)), *chaos))) == PRECONDITION
    assert verdict(claim.judge(seen(*looked(0, 20), faults={"slow": fault}))) == PRECONDITION
    assert verdict(claim.judge(replace(seen(*looked(0, 20)), phases={}))) == (Verdict.INCONCLUSIVE, Reason.PHASE_CUT)


@given(st.lists(st.integers(0, 9999), min_size=1, max_size=40), st.sets(st.integers(1, 9999), max_size=12))
def test_the_longest_stretch_is_the_same_however_summaries_are_cut(instants: list[int], cuts: set[int]) -> None:
    known = sorted({at(10 + i / 1000) for i in instants})
    edges = sorted({at(10), at(20), *(at(10 + cut / 1000) for cut in cuts)})
    spans = []
    for start, end in pairwise(edges):
        said = Successes.of(start, (i for i in known if start <= i < end))
        first, last = (None if offset is None else start + offset for offset in (said.first, said.last))
        spans.append(SuccessSpan(start, end, 1, first, last, said.longest, "e"))
    whole = [at(10), *known, at(20)]

    found = list(stretches(tuple(spans), at(10), at(20), ()))

    assert max(s.length for s in found) == max(later - earlier for earlier, later in pairwise(whole))
    assert max(s.sure for s in found) == max(s.length for s in found)


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"probe": "quotes"}, ("probe",)),
        ({"workload": "writers"}, ("workload",)),
        ({"probe": "quote", "workload": "buyers"}, ()),
        ({"probe": None}, ()),
        ({"never": True}, ()),
        ({"within": "2s"}, ()),
        ({"at_most": "+50%"}, ("at_most",)),
        ({"compare": "baseline"}, ("at_most",)),
        ({"compare": "chaos", "at_most": "2x"}, ("compare",)),
        ({"during": "fast"}, ("during",)),
        ({"grace": "1s"}, ("grace",)),
    ],
)
def test_what_is_wrong_in_a_document_is_named(words: dict[str, Any], path: tuple[str, ...]) -> None:
    assert [p.path for p in outage(**words).problems(SCOPE)] == [path]


def test_a_right_claim_has_no_problems() -> None:
    assert list(outage(during="slow").problems(SCOPE)) == []
    assert list(outage(workload="buyers", compare="baseline", at_most="+500ms").problems(SCOPE)) == []


@pytest.mark.parametrize("text", ["", "fast", "50", "-10ms", "99%"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        outage(at_most=text)
