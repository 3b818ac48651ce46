"""The trace claim: spans that were received, in stretches without a hole. The wrong histories first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from messages.claims import FaultHistory, History, Judgement, Scope, TraceClaim, Traced, Window
from messages.measurements import TraceMatched
from messages.observations import StreamGap
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
NO_SAMPLES, GAP = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES), (Verdict.INCONCLUSIVE, Reason.GAP)
JUDGE_ERROR, CUT = (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR), (Verdict.INCONCLUSIVE, Reason.PHASE_CUT)
SCOPE = Scope({"s": frozenset({"s"})}, {"kill": ("s", "kill")}, "chaos", earlier=("calm",), traces=True)
PARSE: TypeAdapter[TraceClaim] = TypeAdapter(TraceClaim)
COMES: tuple[dict[str, Any], ...] = ({}, {"at_least": 1}, {"within": "5s"}, {"at_least": 1, "at_most": 9})
"""What must come."""
STAYS_AWAY: tuple[dict[str, Any], ...] = ({"never": True}, {"at_most": 0})
TAKEN = "nobody can listen at 127.0.0.1:14317: Address already in use"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def trace(**words: Any) -> TraceClaim:
    return PARSE.validate_python({"id": "t", "type": "trace", "where": "span.name == 'submit'", **words})


def told(start: float, end: float, count: int = 0, *, spans: int = 10, **words: Any) -> Traced:
    """A stretch of which the first match came at its start, the last in its middle."""
    found: dict[str, Any] = {"first": at(start), "last": at((start + end) / 2), "samples": (f"submit of s, {start}",)} if count else {}
    event = TraceMatched(assertion="t", start=at(start), end=at(end), spans=spans, count=count, **{**found, **words})
    return Traced(event, f"observer.t.trace.matched.{start}")


def every(count: int = 0, *, start: int = 10, end: int = 15, spans: int = 10, **words: Any) -> tuple[Traced, ...]:
    """One stretch a second."""
    return tuple(told(n, n + 1, count, spans=spans, **words) for n in range(start, end))


def seen(*stretches: Traced, until: float | None = 30, window: tuple[float, float | None] = (10, 15), **words: Any) -> History:
    opens, closes = window
    return History(
        window=Window(at(opens), None if closes is None else at(closes)),
        traced=stretches,
        probes_until=None if until is None else at(until),
        **words,
    )


def changed(stretches: tuple[Traced, ...], index: int, **words: Any) -> tuple[Traced, ...]:
    return tuple(replace(one, told=one.told.model_copy(update=words)) if number == index else one for number, one in enumerate(stretches))


def verdict(found: Judgement | None) -> tuple[Verdict, Reason | None] | None:
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


@pytest.mark.parametrize("words", [*COMES, *STAYS_AWAY])
@pytest.mark.parametrize("stretches", [(), every(2, start=0, end=10), every(2, start=15, end=20)], ids=["nothing", "before", "after"])
def test_a_window_in_which_nobody_listened_says_nothing(words: dict[str, Any], stretches: tuple[Traced, ...]) -> None:
    assert verdict(trace(**words).judge(seen(*stretches))) == GAP
    assert verdict(trace(**words).judge(replace(seen(*every(2)), window=Window(at(12), at(12))))) == NO_SAMPLES
    assert trace(**words).judge(replace(seen(*every(2)), window=Window())) is None


@pytest.mark.parametrize("words", [*COMES, *STAYS_AWAY])
def test_a_window_without_any_span_says_nothing(words: dict[str, Any]) -> None:
    assert verdict(trace(**words).judge(seen(*every(spans=0)))) == NO_SAMPLES
    assert verdict(trace(**words).judge(seen(told(9, 15, spans=0)))) == NO_SAMPLES


@pytest.mark.parametrize("words", COMES)
def test_a_span_that_came_before_or_after_the_window_did_not_come_in_it(words: dict[str, Any]) -> None:
    around = (*every(3, start=8, end=10), *every(), *every(3, start=15, end=17))

    assert verdict(trace(**words).judge(seen(*around))) == FAILED


@pytest.mark.parametrize("words", [*COMES, *STAYS_AWAY])
def test_what_came_while_nobody_listened_nobody_knows(words: dict[str, Any]) -> None:
    quiet = every()

    for part in (quiet[1:], (*quiet[:2], *quiet[3:]), quiet[:-1]):
        assert verdict(trace(**words).judge(seen(*part))) == GAP
    assert verdict(trace(**words).judge(seen(*quiet))) == (PASSED if words in STAYS_AWAY else FAILED)


def test_why_nobody_listened_is_told() -> None:
    gaps = tuple(StreamGap(source="spans", number=n, start=at(n), end=at(n + 1), why=why) for n, why in ((8, "x"), (12, TAKEN), (15, "y")))
    for stretches in ((), (*every()[:2], *every()[3:])):
        found = trace().judge(seen(*stretches, unheard=gaps))

        assert verdict(found) == GAP
        assert found is not None
        assert found.message.endswith(TAKEN)


@pytest.mark.parametrize("words", [*COMES, *STAYS_AWAY])
def test_what_rests_on_absence_waits_until_all_is_told(words: dict[str, Any]) -> None:
    assert trace(**words).judge(seen(*every(), until=14.9)) is None
    assert trace(**words).judge(seen(*every(), until=None)) is None
    assert trace(**words).judge(seen(*every(), window=(10, None))) is None
    assert trace(**words).judge(seen(*every(), told_until=at(14.9))) is None


@pytest.mark.parametrize("words", COMES[:3])
def test_enough_spans_pass_at_once_whatever_is_not_known_of_the_rest(words: dict[str, Any]) -> None:
    assert verdict(trace(**words).judge(seen(told(12, 13, 1), until=None))) == PASSED
    assert verdict(trace(**words).judge(seen(told(12, 13, 1, refused=3), until=None, window=(10, None)))) == PASSED
    assert trace(before="kill", **words).judge(seen(told(12, 13, 1), until=None, window=(10, None))) is None
    assert verdict(trace(before="kill", **words).judge(seen(told(12, 13, 1)))) == PASSED


@pytest.mark.parametrize("words", STAYS_AWAY)
def test_one_span_too_many_fails_at_once_and_is_told(words: dict[str, Any]) -> None:
    found = trace(**words).judge(seen(told(10, 11), told(11, 12, 1), until=None, window=(10, None)))

    assert verdict(found) == FAILED
    assert found is not None
    assert found.message == "1 of 20 spans matched, at most 0 may; 1s into the window: submit of s, 11"
    assert found.evidence == ("observer.t.trace.matched.11",)


def test_limits_count_all_spans_of_the_window() -> None:
    assert verdict(trace(at_least=10).judge(seen(*every(2)))) == PASSED
    assert verdict(trace(at_least=11).judge(seen(*every(2)))) == FAILED
    assert verdict(trace(at_least=1, at_most=10).judge(seen(*every(2)))) == PASSED
    assert verdict(trace(at_least=1, at_most=9).judge(seen(*every(2)))) == FAILED
    assert trace(at_least=1, at_most=10).judge(seen(*every(2), until=12)) is None


@pytest.mark.parametrize("words", [*COMES, *STAYS_AWAY])
@pytest.mark.parametrize("unknown", ["given_up", "beyond", "refused"])
def test_a_span_of_which_nobody_knows_whether_it_matches_decides_nothing(words: dict[str, Any], unknown: str) -> None:
    assert verdict(trace(**words).judge(seen(*changed(every(), 2, **{unknown: 1})))) == GAP
    if words not in STAYS_AWAY and "at_most" not in words:
        assert verdict(trace(**words).judge(seen(*changed(every(1), 2, **{unknown: 1})))) == PASSED


def test_a_span_that_still_waits_for_its_parent_decides_nothing_and_one_whose_parent_came_is_forgotten() -> None:
    assert verdict(trace(never=True).judge(seen(*changed(every(), 4, waiting=1)))) == GAP
    assert verdict(trace().judge(seen(*changed(every(), 4, waiting=1)))) == GAP
    assert verdict(trace(never=True).judge(seen(*changed(every(), 2, waiting=1)))) == PASSED
    assert verdict(trace(at_most=5).judge(seen(*changed(every(), 4, waiting=5)))) == PASSED


def test_a_stretch_that_meets_the_edge_counts_where_its_matches_surely_lie() -> None:
    """The end of a window may become known when its last stretch is told already."""
    rest = every(start=11, end=14)
    surely_in = (told(9.5, 11, 1, first=at(10.2), last=at(10.4)), *rest, told(14, 15.5, 1, first=at(14.1), last=at(14.9)))
    surely_out = (told(9.5, 11, 1, first=at(9.6), last=at(9.9)), *rest, told(14, 15.5, 1, first=at(15), last=at(15.2)))
    unknown = (*every(end=14), told(14, 15.5, 2, first=at(14.1), last=at(15.2)))

    assert verdict(trace(at_least=2).judge(seen(*surely_in))) == PASSED
    assert verdict(trace().judge(seen(*surely_out))) == FAILED
    assert verdict(trace(never=True).judge(seen(*surely_out))) == PASSED
    assert verdict(trace(at_most=1).judge(seen(*unknown))) == GAP
    assert verdict(trace(at_least=3).judge(seen(*unknown))) == FAILED


def test_two_observers_at_once_count_a_span_once() -> None:
    twice = (*every(1, end=13), told(12.5, 13.5, 1), *every(1, start=13))

    assert verdict(trace(at_least=6).judge(seen(*twice))) == FAILED
    assert verdict(trace(at_least=1, at_most=5).judge(seen(*twice))) == PASSED


def test_spans_on_which_where_errs_are_no_match_and_are_told() -> None:
    found = trace(at_most=9).judge(seen(*every(1, errors=3, error="there is no 'venue'")))

    assert verdict(trace(never=True).judge(seen(*every(errors=10, error="there is no 'venue'")))) == JUDGE_ERROR
    assert verdict(found) == PASSED
    assert found is not None
    assert "could not be evaluated on 15: there is no 'venue'" in found.message


NEW = {"unlike": "calm", "key": "span.name"}
CALM = {"calm": Window(at(0), at(10))}


def both(before: tuple[Traced, ...], inside: tuple[Traced, ...]) -> History:
    return seen(*before, *inside, phases=CALM)


def calm(*keys: str, **words: Any) -> tuple[Traced, ...]:
    return every(len(keys), start=0, end=10, keys=keys, **words)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ((), GAP),
        (calm()[1:], GAP),
        (calm()[:-1], GAP),
        (calm(spans=0), NO_SAMPLES),
        (changed(calm(), 3, refused=1), GAP),
        (changed(calm(), 3, given_up=1), GAP),
        (changed(calm("submit"), 3, beyond=1), GAP),
        ((*calm()[:-1], told(9, 10.5, 1, keys=("cancel",), last=at(10.2))), GAP),
        (calm("submit"), FAILED),
        (calm("submit", "cancel"), FAILED),
        (calm("cancel"), PASSED),
        (calm(), PASSED),
    ],
)
def test_only_keys_that_surely_did_not_come_before_are_new(before: tuple[Traced, ...], expected: object) -> None:
    inside = every(2, keys=("submit",)) if not before or before[-1].told.end <= at(10) else every(2, start=11, keys=("submit",))

    assert verdict(trace(**NEW).judge(both(before, inside))) == expected


def test_each_new_key_counts_once() -> None:
    inside = every(2, keys=("submit", "cancel"))

    assert verdict(trace(at_least=2, **NEW).judge(both(calm(), inside))) == PASSED
    assert verdict(trace(at_least=3, **NEW).judge(both(calm(), inside))) == FAILED
    assert verdict(trace(at_least=2, **NEW).judge(both(calm("cancel"), inside))) == FAILED
    assert verdict(trace(never=True, **NEW).judge(both(calm("cancel"), inside))) == FAILED
    assert verdict(trace(never=True, **NEW).judge(both(calm("cancel", "submit"), inside))) == PASSED


def test_an_earlier_phase_that_was_not_over_or_not_calm_says_nothing() -> None:
    later = {"calm": Window(at(0), at(11))}
    fault = FaultHistory("kill", "s", "kill", armed=at(3), evidence={"injected": "injector.kill"})

    assert verdict(trace(**NEW).judge(replace(both(calm(), every(2, keys=("submit",))), phases=later))) == CUT
    disturbed = trace(**NEW).judge(replace(both(calm(), every(2, keys=("submit",))), faults={"kill": fault}))
    assert verdict(disturbed) == (Verdict.INCONCLUSIVE, Reason.PRECONDITION)


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        ({"where": "span.name =="}, [("where",)]),
        ({"where": "event.type == 'x'"}, [("where",)]),
        ({"key": "line", "unlike": "calm"}, [("key",)]),
        ({"key": "span.name"}, [()]),
        ({"unlike": "calm"}, [()]),
        ({"unlike": "clam", "key": "span.name"}, [("unlike",)]),
        ({"throughout": True}, [("throughout",)]),
        ({"never": True, "at_most": 3}, [("never",)]),
        ({"at_least": 0}, [("at_least",)]),
        ({"at_least": 5, "at_most": 3}, [("at_most",)]),
        ({"during": "nothing"}, [("during",)]),
        ({"grace": "6s", "after": "kill", **NEW}, []),
        ({"within": "6s", "where": "span.parent.name == 'x' || 'venue' in span.attributes"}, []),
    ],
)
def test_what_is_wrong_in_a_document_is_named(words: dict[str, Any], paths: list[tuple[str, ...]]) -> None:
    problems = list(trace(**words).problems(SCOPE))

    assert [problem.path for problem in problems] == paths
    assert all(problem.what and problem.right for problem in problems)


def test_a_system_that_receives_no_spans_is_an_error_that_says_what_to_add() -> None:
    (problem,) = trace().problems(replace(SCOPE, traces=False))

    assert problem.right == 'add traces: {listen: "127.0.0.1:14317"} to its spec'
    assert list(trace().problems(replace(SCOPE, traces=None))) == []


def test_a_negative_number_is_no_claim() -> None:
    with pytest.raises(ValidationError):
        trace(at_least=-1)


def test_a_claim_without_words_of_its_own_says_what_it_looks_for() -> None:
    assert trace(never=True).summary() == "span.name == 'submit' (never)"
    assert trace(at_most=3, **NEW).summary() == "span.name == 'submit' (0 to 3, unlike in calm)"
    assert trace(description="orders are traced").summary() == "orders are traced"
    assert list(trace(after="kill").faults_named()) == ["kill"]
