"""The grpc claim: judged as the http claim is, and what could not be asked at all proves nothing. The wrong histories first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from messages.claims import GrpcClaim, History, Judgement, Sampled, Scope, ServiceHistory, Transition, Window
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
UNASKED, NO_SAMPLES, GAP = ((Verdict.INCONCLUSIVE, reason) for reason in (Reason.JUDGE_ERROR, Reason.NO_SAMPLES, Reason.GAP))
HOW: tuple[dict[str, Any], ...] = ({}, {"throughout": True}, {"never": True}, {"within": "10s"})
PARSE: TypeAdapter[GrpcClaim] = TypeAdapter(GrpcClaim)
SCOPE = Scope({}, {}, "chaos")
WHY = "shop.Stock has no method 'Cont'; it has Count"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def grpc(**words: Any) -> GrpcClaim:
    return PARSE.validate_python({"type": "grpc", "address": "127.0.0.1:15083", "method": "grpc.health.v1.Health/Check", **words})


def changed(seconds: float, *, ok: bool = False, asked: bool = True) -> Transition:
    error = None if ok else "UNAVAILABLE: connection refused, expected code == 'OK'" if asked else WHY
    return Transition(at(seconds), ok, f"observer.a.answer.seen.{seconds}", error, asked=asked)


def asked(start: int, end: int, *, ok: int = 2, failed: int = 0) -> tuple[Sampled, ...]:
    return tuple(Sampled(at(n), at(n + 1), ok, failed, f"observer.a.probe.summary.{n}") for n in range(start, end))


def bad(start: int, end: int) -> tuple[Sampled, ...]:
    return asked(start, end, ok=0, failed=2)


def seen(
    *changes: Transition, samples: tuple[Sampled, ...] = (), until: float | None = 30, window: tuple[float, float | None] = (0, 10)
) -> History:
    return History(
        window=Window(at(window[0]), None if window[1] is None else at(window[1])),
        answers=ServiceHistory(changes, samples),
        probes_until=None if until is None else at(until),
    )


def verdict(found: Judgement | None) -> tuple[Verdict, Reason | None] | None:
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


@pytest.mark.parametrize("how", HOW)
def test_what_was_never_asked_proves_nothing(how: dict[str, Any]) -> None:
    assert verdict(grpc(**how).judge(seen())) == NO_SAMPLES


@pytest.mark.parametrize("how", HOW)
def test_where_nothing_could_be_asked_nothing_is_said_of_the_service_but_what_would_be_right(how: dict[str, Any]) -> None:
    history = seen(changed(0.1, asked=False), samples=bad(0, 10))
    found = grpc(**how).judge(history)

    assert verdict(found) == UNASKED
    assert found is not None
    assert found.message == f"grpc.health.v1.Health/Check at 127.0.0.1:15083 could not be asked: {WHY}"
    assert found.evidence == ("observer.a.answer.seen.0.1",)


@pytest.mark.parametrize("how", HOW)
def test_nothing_is_said_of_it_before_the_windows_end(how: dict[str, Any]) -> None:
    unasked = (changed(0.1, asked=False),)

    assert grpc(**how).judge(seen(*unasked, samples=bad(0, 9), until=9)) is None
    assert grpc(**how).judge(seen(*unasked, samples=bad(0, 9), until=None, window=(0, None))) is None


@pytest.mark.parametrize(("how", "expected"), list(zip(HOW, (FAILED, FAILED, UNASKED, FAILED), strict=True)))
def test_one_answer_that_could_be_asked_makes_the_others_bad_answers_but_none_that_shows_absence(
    how: dict[str, Any], expected: object
) -> None:
    then_unasked = seen(changed(0.1), changed(4, asked=False), samples=bad(0, 10))
    then_asked = seen(changed(0.1, asked=False), changed(4), samples=bad(0, 10))

    assert verdict(grpc(**how).judge(then_unasked)) == expected
    assert verdict(grpc(**how).judge(then_asked)) == expected


def test_throughout_fails_at_once_when_a_method_goes_away_and_when_the_first_answer_comes_late() -> None:
    gone = seen(changed(0.1, ok=True), changed(4, asked=False), samples=asked(0, 4), until=None, window=(0, None))
    late = seen(changed(0.1, asked=False), changed(4, ok=True), samples=bad(0, 4), until=None, window=(0, None))

    assert verdict(grpc(throughout=True).judge(gone)) == FAILED
    assert verdict(grpc(throughout=True).judge(late)) == FAILED


@pytest.mark.parametrize(("how", "expected"), list(zip(HOW, (PASSED, FAILED, FAILED, PASSED), strict=True)))
def test_a_good_answer_counts_though_nothing_could_be_asked_before(how: dict[str, Any], expected: object) -> None:
    late = seen(changed(0.1, asked=False), changed(4, ok=True), samples=(*bad(0, 4), *asked(4, 10)))

    assert verdict(grpc(**how).judge(late)) == expected


def test_good_answers_count_though_their_change_was_said_after_the_end() -> None:
    late = seen(changed(0.1, asked=False), changed(10.05, ok=True), samples=(*bad(0, 9), *asked(9, 10)))

    assert verdict(grpc(never=True).judge(late)) == FAILED
    assert verdict(grpc(within="10s").judge(late)) == PASSED


@pytest.mark.parametrize(
    ("how", "good", "refused"), list(zip(HOW, (PASSED, PASSED, FAILED, PASSED), (FAILED, FAILED, PASSED, FAILED), strict=True))
)
def test_good_and_bad_answers_decide(how: dict[str, Any], good: object, refused: object) -> None:
    assert verdict(grpc(**how).judge(seen(changed(0.1, ok=True), samples=asked(0, 10)))) == good
    assert verdict(grpc(**how).judge(seen(changed(0.1), samples=bad(0, 10)))) == refused


def test_a_stretch_in_which_nobody_asked_is_a_gap() -> None:
    assert verdict(grpc(throughout=True).judge(seen(changed(0.1, ok=True), samples=(*asked(0, 3), *asked(7, 10))))) == GAP
    assert verdict(grpc().judge(seen(changed(0.1, ok=True), samples=asked(0, 5)))) == GAP


@pytest.mark.parametrize("method", ["", "Check", "a.B", "a.B/", "/a.B/C", "a.B/C/D", "a b/C", "a.B/C\n", "ä.B/C"])
def test_a_method_that_is_none_is_refused(method: str) -> None:
    with pytest.raises(ValidationError):
        grpc(method=method)


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"expect": "status == 200"}, ("expect",)),
        ({"expect": "code =="}, ("expect",)),
        ({"address": "127.0.0.1:0"}, ("address",)),
        ({"address": "127.0.0.1:65536"}, ("address",)),
        ({"every": "5ms"}, ("every",)),
        ({"deadline": "2m"}, ("deadline",)),
        ({"grace": "1s"}, ("grace",)),
        ({"never": True, "throughout": True}, ()),
    ],
)
def test_what_is_wrong_in_a_document_is_named(words: dict[str, Any], path: tuple[str, ...]) -> None:
    assert [problem.path for problem in grpc(**words).problems(SCOPE)] == [path]


def test_everything_that_an_answer_has_can_be_asked_about() -> None:
    expect = "code == 'OK' && message == '' && response.left > 0 && metadata['x'] == 'y'"

    assert list(grpc(expect=expect, request={"item": ["tea", {"deep": None}]}).problems(SCOPE)) == []
