"""The http claim: what it was answered while its window was open. The wrong histories first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from messages.claims import FaultHistory, History, HttpClaim, Judgement, Sampled, Scope, ServiceHistory, Transition, Window
from messages.measurements import KeysListed
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
NO_SAMPLES, GAP = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES), (Verdict.INCONCLUSIVE, Reason.GAP)
HOW: tuple[dict[str, Any], ...] = ({}, {"throughout": True}, {"never": True}, {"within": "10s"})
PARSE: TypeAdapter[HttpClaim] = TypeAdapter(HttpClaim)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def http(**words: Any) -> HttpClaim:
    return PARSE.validate_python({"type": "http", "url": "http://h:1/", **words})


def changed(seconds: float, *, ok: bool) -> Transition:
    return Transition(at(seconds), ok, f"observer.a.answer.seen.{seconds}", None if ok else "status 503 'sold out', expected status == 200")


def asked(start: int, end: int, *, ok: int = 2, failed: int = 0) -> tuple[Sampled, ...]:
    return tuple(Sampled(at(n), at(n + 1), ok, failed, f"observer.a.probe.summary.{n}") for n in range(start, end))


def seen(
    *changes: Transition, samples: tuple[Sampled, ...] = (), until: float | None = 30, window: tuple[float, float | None] = (0, 10)
) -> History:
    return History(
        window=Window(at(window[0]), None if window[1] is None else at(window[1])),
        answers=ServiceHistory(changes, samples),
        probes_until=None if until is None else at(until),
    )


GOOD = seen(changed(0.1, ok=True), samples=asked(0, 10))
BAD = seen(changed(0.1, ok=False), samples=asked(0, 10, ok=0, failed=2))


def verdict(found: Judgement | None) -> tuple[Verdict, Reason | None] | None:
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


@pytest.mark.parametrize("how", HOW)
def test_what_was_never_asked_proves_nothing(how: dict[str, Any]) -> None:
    assert verdict(http(**how).judge(seen())) == NO_SAMPLES
    assert verdict(http(**how).judge(seen(samples=asked(0, 10, ok=0)))) == NO_SAMPLES
    assert verdict(http(**how).judge(replace(GOOD, window=Window(at(5), at(5))))) == NO_SAMPLES


@pytest.mark.parametrize("how", [{"throughout": True}, {"never": True}])
def test_a_stretch_in_which_nobody_asked_is_a_gap(how: dict[str, Any]) -> None:
    ok = "throughout" in how
    samples = (*asked(0, 3, ok=2 * ok, failed=2 * (not ok)), *asked(7, 10, ok=2 * ok, failed=2 * (not ok)))

    assert verdict(http(**how).judge(seen(changed(0.1, ok=ok), samples=samples))) == GAP


def test_what_was_answered_long_before_the_end_says_nothing_of_the_end() -> None:
    assert verdict(http().judge(seen(changed(0.1, ok=True), samples=asked(0, 5)))) == GAP


@pytest.mark.parametrize("how", HOW)
def test_what_rests_on_absence_waits_for_the_windows_end(how: dict[str, Any]) -> None:
    silent = replace(GOOD if "throughout" in how else BAD, probes_until=at(9))

    assert http(**how).judge(silent) is None
    assert http(**how).judge(replace(silent, window=Window(at(0), None), probes_until=at(99))) is None
    assert http(**how).judge(replace(silent, window=Window())) is None


@pytest.mark.parametrize(
    ("how", "good", "bad"), list(zip(HOW, [PASSED, PASSED, FAILED, PASSED], [FAILED, FAILED, PASSED, FAILED], strict=True))
)
def test_good_and_bad_answers_decide(how: dict[str, Any], good: object, bad: object) -> None:
    assert verdict(http(**how).judge(GOOD)) == good
    assert verdict(http(**how).judge(BAD)) == bad


def test_a_wrong_answer_is_named_and_decides_at_once_where_it_may_not_come() -> None:
    now = seen(changed(0.1, ok=True), changed(4, ok=False), samples=asked(0, 4), until=None, window=(0, None))
    found = http(throughout=True).judge(now)

    assert verdict(found) == FAILED
    assert found is not None
    assert "status 503 'sold out'" in found.message
    assert found.evidence == ("observer.a.answer.seen.4",)


def test_the_end_decides_whatever_was_before() -> None:
    back = seen(changed(0.1, ok=False), changed(8, ok=True), samples=asked(0, 10))
    gone = seen(changed(0.1, ok=True), changed(8, ok=False), samples=asked(0, 10))

    assert verdict(http().judge(back)) == PASSED
    assert verdict(http().judge(gone)) == FAILED
    assert verdict(http().judge(seen(changed(0.1, ok=True), changed(10.1, ok=False), samples=asked(0, 10)))) == PASSED


def test_good_answers_count_for_never_though_their_change_was_said_after_the_end() -> None:
    assert verdict(http(never=True).judge(seen(changed(10.05, ok=True), samples=(*asked(0, 9, ok=0, failed=2), *asked(9, 10))))) == FAILED


@pytest.mark.parametrize("how", [{"within": "10s"}, {"throughout": True}, {"never": True}])
def test_of_answers_that_were_summed_up_across_the_windows_end_nobody_knows_whether_they_came_in_it(how: dict[str, Any]) -> None:
    """The end became known late. What would decide may have come after it."""
    bad = "throughout" in how
    calm, torn = (asked(0, 9), asked(9, 11, ok=2, failed=2)) if bad else (asked(0, 9, ok=0, failed=2), asked(9, 11, ok=2, failed=2))
    late = seen(changed(0.1, ok=bad), changed(10.5, ok=not bad), samples=(*calm, *torn[:1]), window=(0, 9.5))
    found = http(**how).judge(late)

    assert verdict(found) == GAP
    assert verdict(
        http(**how).judge(replace(late, answers=seen(changed(0.1, ok=bad), samples=calm).answers, window=Window(at(0), at(9))))
    ) == (FAILED if "within" in how else PASSED)


def test_the_same_second_told_by_two_observers_counts_once() -> None:
    found = http(throughout=True).judge(replace(GOOD, answers=ServiceHistory(GOOD.answers.transitions, (*asked(0, 10), *asked(9, 10)))))

    assert found is not None
    assert found.measured == {"answers": 20}


NEWS: dict[str, Any] = {"unlike": "calm", "key": "json.map(a, a.alert_id)", "within": "10s"}


def listed(start: float = -9.9, end: float = -0.3, **words: Any) -> KeysListed:
    return KeysListed(assertion="a", start=at(start), end=at(end), **{"answers": 19, "keys": ("alert_001",), **words})


def compared(found: KeysListed | None, **words: Any) -> History:
    """`calm` was from -10 to 0 s. In the window there was something new."""
    evidence = None if found is None else "observer.a.keys.listed.0"
    phases = {"calm": Window(at(-10), at(0))}
    return replace(GOOD, **{"phases": phases, "listed": found, "listed_evidence": evidence, **words})


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        pytest.param(compared(None), GAP, id="nobody asked before"),
        pytest.param(compared(listed(answers=0, keys=())), NO_SAMPLES, id="no answer before"),
        pytest.param(compared(listed(start=-5)), GAP, id="asked from the middle on"),
        pytest.param(compared(listed(end=-5)), GAP, id="asked to the middle"),
        pytest.param(compared(listed(beyond=1)), (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR), id="more than can be kept"),
        pytest.param(compared(listed(), phases={}), (Verdict.INCONCLUSIVE, Reason.PHASE_CUT), id="no such phase"),
        pytest.param(compared(listed(), phases={"calm": Window(at(-10), at(5))}), (Verdict.INCONCLUSIVE, Reason.PHASE_CUT), id="not over"),
        pytest.param(
            compared(listed(), faults={"slow": FaultHistory("slow", "s", "pause", armed=at(-3))}),
            (Verdict.INCONCLUSIVE, Reason.PRECONDITION),
            id="disturbed before",
        ),
        pytest.param(compared(listed(), answers=ServiceHistory()), NO_SAMPLES, id="nobody asked in the window"),
        pytest.param(compared(listed(), answers=BAD.answers), FAILED, id="nothing new"),
        pytest.param(compared(listed()), PASSED, id="something new"),
        pytest.param(compared(listed(keys=())), PASSED, id="there was nothing before"),
    ],
)
def test_an_answer_has_something_new_only_if_what_was_there_before_is_known(past: History, expected: object) -> None:
    found = http(**NEWS).judge(past)

    assert verdict(found) == expected
    assert found is not None
    assert found.verdict is not Verdict.PASSED or "observer.a.keys.listed.0" in found.evidence


def test_what_is_new_waits_for_the_windows_end_as_long_as_nobody_knows_what_was_there() -> None:
    assert http(**NEWS).judge(compared(None, probes_until=at(9))) is None
    assert verdict(http(**NEWS).judge(compared(listed(), probes_until=at(1)))) == PASSED


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"unlike": "calm"}, ()),
        ({"key": "json"}, ()),
        ({"unlike": "later", "key": "json"}, ("unlike",)),
        ({"unlike": "calm", "key": "event.id"}, ("key",)),
        ({"unlike": "calm", "key": "json["}, ("key",)),
    ],
)
def test_a_comparison_that_makes_no_sense_is_told_with_its_place(words: dict[str, str], path: tuple[str, ...]) -> None:
    assert [problem.path for problem in http(**words).problems(Scope({}, {}, "chaos", ("calm",)))] == [path]


def test_what_is_wrong_in_a_document_is_named() -> None:
    scope = Scope({}, {}, "chaos")

    assert [p.path for p in http(expect="code == 200").problems(scope)] == [("expect",)]
    assert [p.path for p in http(every="5ms", deadline="2m").problems(scope)] == [("every",), ("deadline",)]
    assert [p.path for p in http(grace="1s").problems(scope)] == [("grace",)]
    assert list(http(expect="json.open == true && headers['x'] == 'y'").problems(scope)) == []
