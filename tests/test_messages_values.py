"""Durations, tokens and verdicts."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from messages.values import DURATION_HINT, Duration, Token, format_duration, parse_duration
from messages.verdicts import HINTS, Reason, Verdict, worst

DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)
TOKEN: TypeAdapter[str] = TypeAdapter(Token)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=366)))
def test_a_duration_is_read_back_as_it_was_written(span: timedelta) -> None:
    assert parse_duration(format_duration(span)) == span
    assert DURATION.validate_json(DURATION.dump_json(span)) == span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("10s", timedelta(seconds=10)),
        ("1.5s", timedelta(seconds=1.5)),
        ("1m30s", timedelta(seconds=90)),
        ("36h", timedelta(hours=36)),
        ("2d", timedelta(days=2)),
        ("0s", timedelta()),
        ("7us", timedelta(microseconds=7)),
        ("0.001ms", timedelta(microseconds=1)),
        ("366d", timedelta(days=366)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "-5s",
        "+5s",
        " 5s",
        "5 s",
        "5s ",
        "5S",
        "1e3s",
        "5s1",
        ".5s",
        "5.s",
        "\u0665s",
        "5s\n",
        "1" * 50 + "s",
        "5sec",
        "x" * 10_000_000,
    ],
)
def test_what_is_not_a_duration_is_told_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration") as raised:
        parse_duration(text)

    assert DURATION_HINT in str(raised.value)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("text", "told"), [("367d", "longer than 366 days"), ("9" * 35 + "d", "longer than"), ("0.1us", "finer"), ("1.0000005s", "finer")]
)
def test_a_duration_that_cannot_be_kept_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_duration(text)


@pytest.mark.parametrize("value", [5, 1.5, None, True, ["5s"]])
def test_a_number_without_a_unit_is_no_duration(value: object) -> None:
    with pytest.raises(ValidationError, match="is not a duration; a duration is a number and a unit"):
        DURATION.validate_python(value)


def test_a_negative_span_is_written_as_none() -> None:
    assert format_duration(timedelta(seconds=-1)) == "0s"


@pytest.mark.parametrize("text", ["", "a.b", "a b", "a*", ">", "a\n", "ä", "x" * 65, "a/b"])
def test_a_token_is_safe_in_a_subject(text: str) -> None:
    with pytest.raises(ValidationError):
        TOKEN.validate_python(text)


def test_a_run_has_the_worst_of_its_verdicts_and_inconclusive_of_none() -> None:
    assert worst() is Verdict.INCONCLUSIVE
    assert worst(Verdict.PASSED, Verdict.PASSED) is Verdict.PASSED
    assert worst(Verdict.PASSED, Verdict.INCONCLUSIVE) is Verdict.INCONCLUSIVE
    assert worst(Verdict.INCONCLUSIVE, Verdict.FAILED) is Verdict.FAILED
    assert worst(Verdict.ABORTED, Verdict.FAILED) is Verdict.ABORTED
    assert worst(*Verdict) is Verdict.UNSAFE


def test_each_verdict_has_its_exit_code_and_each_reason_its_hint() -> None:
    assert {verdict.value: verdict.exit_code for verdict in Verdict} == {
        "passed": 0,
        "inconclusive": 3,
        "failed": 1,
        "aborted": 4,
        "unsafe": 5,
    }
    assert set(HINTS) == set(Reason)


def test_the_hint_of_a_timeout_is_true_of_a_gates_and_that_of_an_end_of_a_guards() -> None:
    assert "gate" in HINTS[Reason.TIMEOUT]
    assert "Someone" not in HINTS[Reason.CANCELLED]
