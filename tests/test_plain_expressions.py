"""Expressions that are evaluated without CEL: they say what CEL says, or leave it to CEL."""

from typing import Any

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.expressions import Bindings, ExpressionError, compiled
from messages.plain_expressions import UNSURE, plain

EVENT: dict[str, Any] = {"type": "order.filled", "data": {"side": "buy", "order_id": "o-1", "n": 7, "none": None, "deep": {"er": "x"}}}
PATHS = ("event.type", "event.data.side", "event.data.order_id", "event.data.n", "event.data.none", "event.data.deep.er", "event.data.gone",
         "event.data.side.more", "event.data", "event.data.deep")  # fmt: skip
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
    ],
)
def test_what_is_plain_is_known_at_once(source: str, value: Any) -> None:
    known = plain(source)

    assert known is not None
    assert known({"event": EVENT}) == value


@pytest.mark.parametrize("source", ["event.data.n", "event.data.none", "event.data.gone", "event.data.n == 'x'", "event.data.gone == 'x'"])
def test_what_is_not_as_simple_as_it_looks_is_left_to_cel(source: str) -> None:
    known = plain(source)

    assert known is not None
    assert known({"event": EVENT}) is UNSURE


@pytest.mark.parametrize(
    "source",
    ["event", "true", "event.type != 'x'", "event.type == 'x' || true", "event.type == 'a\\n'", "event.data.n > 3", "event['type'] == 'x'",
     "(event.type == 'x')", "event.type == event.data.side", "event.type == r'x'", "size(event.type) == 1", "event.type == 'it''s'"],
)  # fmt: skip
def test_anything_else_is_not_plain(source: str) -> None:
    assert plain(source) is None


def by_cel(source: str) -> Any:
    """What CEL alone says, or that it raises."""
    try:
        return cel.compile(source).execute(cel.Context({"event": EVENT}))
    except Exception as error:  # noqa: BLE001 - the package raises what it likes
        return type(error)


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(TEXTS), st.sampled_from(("'", '"'))), min_size=1, max_size=3))
def test_it_says_what_cel_says(parts: list[tuple[str, str, str]]) -> None:
    source = " && ".join(f"{path} == {quote}{text}{quote}" for path, text, quote in parts)
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
