"""The log claim: lines that were read, in spans without a hole. The wrong histories first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from messages.claims import History, Judgement, LogClaim, Logged, Scope, Window
from messages.expressions import ExpressionError
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
NO_SAMPLES, GAP = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES), (Verdict.INCONCLUSIVE, Reason.GAP)
JUDGE_ERROR = (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)
SCOPE = Scope({"s": frozenset({"s"}), "t": frozenset({"t"})}, {"kill": ("s", "kill")}, "chaos", workloads=("buyers",), logs=("s",))
PARSE: TypeAdapter[LogClaim] = TypeAdapter(LogClaim)
COMES: tuple[dict[str, Any], ...] = ({}, {"at_least": 1}, {"within": "5s"}, {"at_least": 1, "at_most": 9})
"""What must come."""
STAYS_AWAY: tuple[dict[str, Any], ...] = ({"never": True}, {"at_most": 0})


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def log(**words: Any) -> LogClaim:
    way = {} if {"contains", "matches", "where"} & words.keys() else {"contains": "ERROR"}
    return PARSE.validate_python({"type": "log", "target": "s", **way, **words})


def read(start: float, end: float, count: int = 0, *, lines: int = 10, **words: Any) -> Logged:
    """A span of which the first match came at its start, the last in its middle."""
    told = {"first": at(start), "last": at((start + end) / 2), "samples": (f"ERROR {start}",)} if count and not words.get("late") else {}
    return Logged(at(start), at(end), lines, count, f"observer.a.log.matched.{start}", **{**told, **words})


def seen(*spans: Logged, until: float | None = 30, window: tuple[float, float | None] = (10, 15)) -> History:
    opens, closes = window
    return History(
        window=Window(at(opens), None if closes is None else at(closes)),
        logged=spans,
        probes_until=None if until is None else at(until),
    )


def every(count: int = 0, *, start: int = 10, end: int = 15, lines: int = 10) -> tuple[Logged, ...]:
    """One span a second."""
    return tuple(read(n, n + 1, count, lines=lines) for n in range(start, end))


def verdict(found: Judgement | None) -> tuple[Verdict, Reason | None] | None:
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


@pytest.mark.parametrize("words", [*COMES, *STAYS_AWAY])
@pytest.mark.parametrize("spans", [(), every(2, start=0, end=10), every(2, start=15, end=20)], ids=["nothing", "before", "after"])
def test_a_log_that_was_not_read_in_the_window_says_nothing(words: dict[str, Any], spans: tuple[Logged, ...]) -> None:
    assert verdict(log(**words).judge(seen(*spans))) == GAP
    assert verdict(log(**words).judge(replace(seen(*every(2)), window=Window(at(12), at(12))))) == NO_SAMPLES
    assert log(**words).judge(replace(seen(*every(2)), window=Window())) is None


@pytest.mark.parametrize("words", COMES)
def test_a_line_that_came_before_or_after_the_window_did_not_come_in_it(words: dict[str, Any]) -> None:
    around = (*every(3, start=8, end=10), *every(), *every(3, start=15, end=17))

    assert verdict(log(**words).judge(seen(*around))) == FAILED


@pytest.mark.parametrize("words", COMES)
def test_silence_is_no_line_when_somebody_read_and_a_gap_when_nobody_did(words: dict[str, Any]) -> None:
    silent = every(lines=0)

    assert verdict(log(**words).judge(seen(*silent))) == FAILED
    assert verdict(log(**words).judge(seen(read(9, 15, lines=0)))) == FAILED
    assert verdict(log(**words).judge(seen(*silent[:2], *silent[3:]))) == GAP
    assert verdict(log(**words).judge(seen(*silent[1:]))) == GAP
    assert verdict(log(**words).judge(seen(*silent[:-1]))) == GAP


@pytest.mark.parametrize("words", STAYS_AWAY)
def test_what_never_came_is_shown_by_other_lines_and_by_no_silence(words: dict[str, Any]) -> None:
    quiet = every()

    assert verdict(log(**words).judge(seen(*every(lines=0)))) == NO_SAMPLES
    assert verdict(log(**words).judge(seen(*quiet[:2], *quiet[3:]))) == GAP
    assert verdict(log(**words).judge(seen(*quiet[:-1]))) == GAP
    assert verdict(log(**words).judge(seen(*quiet))) == PASSED


@pytest.mark.parametrize("words", [*COMES, *STAYS_AWAY])
def test_what_rests_on_absence_waits_until_the_log_was_read_through_the_end(words: dict[str, Any]) -> None:
    assert log(**words).judge(seen(*every(), until=14.9)) is None
    assert log(**words).judge(seen(*every(), until=None)) is None
    assert log(**words).judge(seen(*every(), window=(10, None))) is None


@pytest.mark.parametrize("words", COMES[:3])
def test_enough_lines_pass_at_once_whatever_is_not_known_of_the_rest(words: dict[str, Any]) -> None:
    assert verdict(log(**words).judge(seen(read(12, 13, 1), until=None))) == PASSED
    assert verdict(log(**words).judge(seen(read(12, 13, 1), until=None, window=(10, None)))) == PASSED
    assert log(before="kill", **words).judge(seen(read(12, 13, 1), until=None, window=(10, None))) is None
    assert verdict(log(before="kill", **words).judge(seen(read(12, 13, 1)))) == PASSED


@pytest.mark.parametrize("words", STAYS_AWAY)
def test_one_line_too_many_fails_at_once_and_is_told(words: dict[str, Any]) -> None:
    found = log(**words).judge(seen(read(10, 11), read(11, 12, 1), until=None, window=(10, None)))

    assert verdict(found) == FAILED
    assert found is not None
    assert found.message == "1 of 20 lines matched, at most 0 may; 1s into the window: ERROR 11"
    assert found.evidence == ("observer.a.log.matched.11",)


def test_limits_count_all_lines_of_the_window() -> None:
    assert verdict(log(at_least=10).judge(seen(*every(2)))) == PASSED
    assert verdict(log(at_least=11).judge(seen(*every(2)))) == FAILED
    assert verdict(log(at_least=1, at_most=10).judge(seen(*every(2)))) == PASSED
    assert verdict(log(at_least=1, at_most=9).judge(seen(*every(2)))) == FAILED
    assert log(at_least=1, at_most=10).judge(seen(*every(2), until=12)) is None


def test_two_observers_at_once_count_a_line_once() -> None:
    twice = (*every(1, end=13), read(12.5, 13.5, 1), *every(1, start=13))

    assert verdict(log(at_least=6).judge(seen(*twice))) == FAILED
    assert verdict(log(at_least=1, at_most=5).judge(seen(*twice))) == PASSED


def test_a_span_that_meets_the_edge_counts_where_its_matches_surely_lie() -> None:
    """The end of a window may become known when its last span is told already."""
    rest = every(start=11, end=14)
    surely_in = (read(9.5, 11, 1, first=at(10.2), last=at(10.4)), *rest, read(14, 15.5, 1, first=at(14.1), last=at(14.9)))
    surely_out = (read(9.5, 11, 1, first=at(9.6), last=at(9.9)), *rest, read(14, 15.5, 1, first=at(15), last=at(15.2)))
    unknown = (*every(end=14), read(14, 15.5, 2, first=at(14.1), last=at(15.2)))

    assert verdict(log(at_least=2).judge(seen(*surely_in))) == PASSED
    assert verdict(log().judge(seen(*surely_out))) == FAILED
    assert verdict(log(never=True).judge(seen(*surely_out))) == PASSED
    assert verdict(log(at_most=1).judge(seen(*unknown))) == GAP
    assert verdict(log(at_most=2).judge(seen(*unknown))) == PASSED
    assert verdict(log(at_least=3).judge(seen(*unknown))) == FAILED


@pytest.mark.parametrize("words", [*COMES, *STAYS_AWAY])
def test_lines_that_were_read_late_count_only_where_their_whole_span_lies_in_the_window(words: dict[str, Any]) -> None:
    inside = (*every(end=12), read(12, 14, 1, late=True), *every(start=14))
    across = (*every(end=13), read(13, 16, 1, late=True))
    nothing = (*every(end=13), read(13, 16, 0, late=True))

    assert verdict(log(**words).judge(seen(*inside))) == (FAILED if words in STAYS_AWAY else PASSED)
    assert verdict(log(**words).judge(seen(*across))) == GAP
    assert verdict(log(**words).judge(seen(*nothing))) == (PASSED if words in STAYS_AWAY else FAILED)


def test_lines_on_which_where_errs_are_no_match_and_are_told() -> None:
    claim = log(where="int(line) > 5", at_most=9)
    some, all_ = (tuple(replace(span, errors=n, error="not a number") for span in every(1 if n < 10 else 0)) for n in (3, 10))

    assert verdict(claim.judge(seen(*all_))) == JUDGE_ERROR
    found = claim.judge(seen(*some))
    assert verdict(found) == PASSED
    assert found is not None
    assert "could not be evaluated on 15: not a number" in found.message


@pytest.mark.parametrize(
    ("words", "line", "matches"),
    [
        ({"contains": "a.c"}, "abc", False),
        ({"contains": "a.c"}, "x a.c x", True),
        ({"matches": "reconnected to .*:[0-9]+"}, "INFO reconnected to db:5432 in 3s", True),
        ({"matches": "^reconnected"}, "INFO reconnected", False),
        ({"matches": "took \\d{1,3}\\.[\\d_]+\\Ss$"}, "it took 12.50ms", True),
        ({"matches": "^\\w+$"}, "café", False),
        ({"matches": "(a+)+$"}, "a" * 4000 + "b", False),
        ({"where": "line.startsWith('ERROR') && !line.contains('retry')"}, "ERROR no money", True),
        ({"where": "line.matches('^[A-Z]+ retry')"}, "ERROR no retry", False),
    ],
)
def test_a_line_matches_by_text_by_pattern_or_by_expression(words: dict[str, str], line: str, matches: object) -> None:
    assert log(**words).looking(line) is matches


def test_an_expression_may_err_on_a_line() -> None:
    with pytest.raises(ExpressionError):
        log(where="int(line) > 5").looking("five")


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        ({"target": None}, [()]),
        ({"workload": "buyers"}, [()]),
        ({"target": "nobody"}, [("target",)]),
        ({"target": "t"}, [("target",)]),
        ({"target": None, "workload": "nobody"}, [("workload",)]),
        ({"contains": "x", "matches": "x"}, [()]),
        ({"matches": "(unclosed"}, [("matches",)]),
        ({"matches": "(a)\\1"}, [("matches",)]),
        ({"matches": "(x{9}y){9}"}, [("matches",)]),
        ({"matches": "((x{9})y){9}"}, [("matches",)]),
        ({"matches": "x{100}y{1,101}"}, [("matches",)]),
        ({"matches": "\\p{L}x"}, [("matches",)]),
        ({"matches": "[a\\W]"}, [("matches",)]),
        ({"matches": "[0-9a-f]{8}-([0-9a-f]{4}-)*[0-9a-f]{12} \\d{1,3}(ms|s)"}, []),
        ({"where": "event.type == 'x'"}, [("where",)]),
        ({"throughout": True}, [("throughout",)]),
        ({"never": True, "at_most": 3}, [("never",)]),
        ({"at_least": 0}, [("at_least",)]),
        ({"at_least": 5, "at_most": 3}, [("at_most",)]),
        ({"grace": "1s"}, [("grace",)]),
        ({"during": "nothing"}, [("during",)]),
        ({"target": None, "workload": "buyers", "matches": "done", "within": "3s", "after": "kill.injected"}, []),
    ],
)
def test_what_is_wrong_in_a_document_is_named(words: dict[str, Any], paths: list[tuple[str, ...]]) -> None:
    problems = list(log(**words).problems(SCOPE))

    assert [problem.path for problem in problems] == paths
    assert all(problem.what and problem.right for problem in problems)


@pytest.mark.parametrize("words", [{"matches": "x" * 201}, {"contains": ""}, {"contains": "x" * 501}, {"matches": ""}, {"at_least": -1}])
def test_what_is_too_long_or_empty_is_no_claim(words: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        log(**words)


def test_a_claim_without_words_of_its_own_says_what_it_looks_for() -> None:
    assert log(never=True).summary() == "log of s: ERROR (never)"
    assert log(target=None, workload="buyers", at_most=3).summary() == "log of buyers: ERROR (0 to 3)"
    assert log(description="it complains").summary() == "it complains"
    assert list(log(after="kill").faults_named()) == ["kill"]
