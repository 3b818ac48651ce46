"""A run's own clock: what it says when the run stood still for a while. Pure."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.pauses import Pauses

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = st.integers(0, 1000)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def paused(*spans: tuple[float, float | None]) -> Pauses:
    pauses = Pauses()
    for start, end in spans:
        pauses.begin("pause", at(start))
        if end is not None:
            pauses.end("pause", at(end))
    return pauses


@pytest.mark.parametrize(
    ("pauses", "since", "length", "expected"),
    [
        (paused(), 0, 10, 10),
        (paused((20, 30)), 0, 10, 10),
        (paused((10, 30)), 0, 10, 10),
        (paused((5, 8)), 0, 10, 13),
        (paused((5, 8)), 6, 10, 18),
        (paused((5, 8)), 8, 10, 18),
        (paused((5, 8), (12, 20)), 0, 10, 21),
        (paused((5, None)), 0, 5, 5),
        (paused((5, None)), 0, 6, None),
        (paused((5, None)), 7, 1, None),
    ],
)
def test_a_span_is_over_when_the_clock_has_gone_on_by_it(pauses: Pauses, since: float, length: float, expected: float | None) -> None:
    assert pauses.later(at(since), span(length)) == (at(expected) if expected is not None else None)


def test_the_clock_goes_on_when_every_cause_is_gone() -> None:
    pauses = paused((10, None))
    pauses.begin("gate", at(12))
    pauses.end("pause", at(20))
    before = pauses.later(at(0), span(15))
    pauses.end("gate", at(30))
    pauses.end("gate", at(40))

    assert before is None
    assert pauses.spans == ((at(10), at(30)),)


@st.composite
def spans(draw: st.DrawFn) -> list[tuple[int, int]]:
    edges = sorted(draw(st.sets(SECONDS, max_size=12)))
    return list(zip(edges[::2], edges[1::2], strict=False))


@given(spans(), SECONDS, SECONDS)
def test_what_passes_until_then_without_the_pauses_is_the_span(stood: list[tuple[int, int]], since: int, length: int) -> None:
    found = paused(*stood).later(at(since), span(length))

    assert found is not None
    end = (found - BEGIN).total_seconds()
    still = sum(max(0.0, min(stop, end) - max(start, since)) for start, stop in stood)
    assert end - since - still == length


@given(spans(), SECONDS, SECONDS, SECONDS)
def test_two_spans_one_after_the_other_are_as_long_as_both(stood: list[tuple[int, int]], since: int, first: int, second: int) -> None:
    pauses = paused(*stood)
    middle = pauses.later(at(since), span(first))

    assert middle is not None
    assert pauses.later(middle, span(second)) == pauses.later(at(since), span(first + second))
