"""Expressions that are evaluated without CEL: they say what CEL says, or leave it to CEL."""

from typing import Any

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.expressions import Bindings, ExpressionError, compiled
from messages.plain_expressions import UNSURE, plain

EVENT: dict[str, Any] = {
    "type": "order.filled",
    "data": {
        "side": "buy",
        "order_id": "o-1",
        "n": 7,
        "x": -2.5,
        "yes": True,
        "huge": 2**70,
        "nan": float("nan"),
        "none": None,
        "deep": {"er": "x"},
    },
}
PATHS = (
    *("event.type", "event.data", "event.data.side", "event.data.side.more", "event.data.order_id", "event.data.none", "event.data.gone"),
    *("event.data.deep", "event.data.deep.er", "event.data.n", "event.data.x", "event.data.yes", "event.data.huge", "event.data.nan"),
)
TEXTS = ("order.filled", "buy", "o-1", "7", "x", "", "ä")


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("event.type == 'order.filled'", True),
        ('event.type=="order.filled"', True),
        ("event.type == 'other'", False),
        ("event.type == 'order.filled' && event.data.side == 'sell'", False),
        ("event.data.gone == 'x' && event.type == 'other'", False),
        ("event.data.deep.er", "x"),
        ("event.data.n > 6", True),
        ("event.data.n<7", False),
        ("event.type == 'order.filled' && event.data.x >= -2.5", True),
        ("event.data.gone > 3 && event.data.x > 0.0", False),
    ],
)
def test_what_is_plain_is_known_at_once(source: str, value: Any) -> None:
    known = plain(source)

    assert known is not None
    assert known({"event": EVENT}) == value


@pytest.mark.parametrize(
    "source",
    [
        "event.data.n",
        "event.data.none",
        "event.data.gone",
        "event.data.n == 'x'",
        "event.data.gone == 'x'",
        "event.data.n > 6.5",
        "event.data.x > 6",
        "event.data.yes > 0",
        "event.data.huge > 0",
        "event.data.nan < 1.0",
        "event.data.side > 1",
    ],
)
def test_what_is_not_as_simple_as_it_looks_is_left_to_cel(source: str) -> None:
    known = plain(source)

    assert known is not None
    assert known({"event": EVENT}) is UNSURE


@pytest.mark.parametrize(
    "source",
    ["event", "true", "event.type != 'x'", "event.type == 'x' || true", "event.type == 'a\\n'", "event.data.n > 3u", "3 < event.data.n",
     "event.data.n > 1e3", "event.data.n == 7", "event['type'] == 'x'", "(event.type == 'x')", "event.type == event.data.side",
     "event.type == r'x'", "size(event.type) == 1", "event.type == 'it''s'"],
)  # fmt: skip
def test_anything_else_is_not_plain(source: str) -> None:
    assert plain(source) is None


def by_cel(source: str) -> Any:
    """What CEL alone says, or that it raises."""
    try:
        return cel.compile(source).execute(cel.Context({"event": EVENT}))
    except Exception as error:  # noqa: BLE001 - the package raises what it likes
        return type(error)


QUOTED = st.tuples(st.sampled_from(TEXTS), st.sampled_from(("'", '"'))).map(lambda text: f"== {text[1]}{text[0]}{text[1]}")
BOUNDS = st.tuples(st.sampled_from(("<", "<=", ">", ">=")), st.sampled_from(("7", "6", "-2.5", "0.0", "-3", "8.25"))).map(" ".join)


@given(st.lists(st.tuples(st.sampled_from(PATHS), QUOTED | BOUNDS).map(" ".join), min_size=1, max_size=3))
def test_it_says_what_cel_says(parts: list[str]) -> None:
    source = " && ".join(parts)
    known = plain(source)
    assert known is not None
    said = known({"event": EVENT})

    assert said is UNSURE or said == by_cel(source)
    try:
        assert compiled(source).evaluate(Bindings({"event": EVENT})) == by_cel(source)
    except ExpressionError:
        assert isinstance(by_cel(source), type)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_has_the_value_that_cel_finds(path: str) -> None:
    known = plain(path)

    assert known is not None
    assert known({"event": EVENT}) is UNSURE or known({"event": EVENT}) == by_cel(path)
