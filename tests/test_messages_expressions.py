"""CEL with a bound: what may be compiled, what evaluation may cost, and that only `ExpressionError` comes out."""

import json
import time
from typing import Any

import cel
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from messages.expression_text import asks_for_type_alone, code
from messages.expressions import MAX_COMPREHENSIONS, MAX_SOURCE, Bindings, Expression, ExpressionError, compiled, event_types

EVENT = {
    "type": "a",
    "source": "s",
    "id": "1",
    "data": {"l": [1, "a", None, 1.5, {}], "s": "añb", "n": 2**63 - 1, "z": 0, "nan": float("nan")},
}


def bindings(**data: Any) -> Bindings:
    return Bindings({"event": {**EVENT, "data": {**EVENT["data"], **data}}})  # type: ignore[dict-item]


def nested(word: str, depth: int, inner: str = "1") -> str:
    source = inner
    for number in range(depth):
        source = f"[1,2,3,4,5,6,7,8,9,0].{word}(v{number}, {source})"
    return source


TOO_COSTLY = {
    "six deep": nested("map", 6),
    "two deep": nested("map", 2),
    "two deep all": nested("all", 2, "true"),
    "existsOne in all": "[1].all(a, [1].existsOne(b, true))",
    "exists_one in filter": "[1].filter(a, [1].exists_one(b, true))",
    "white space": "[1] . all\n(a, [1]\t.\texists  (b, true))",
    "behind a raw text": r"r'\' == '' || [1].all(a, [1].all(b, true)) || r'\' == ''",
    "behind raw bytes": r"br'\' == b'' || [1].all(a, [1].all(b, true)) || bR'\' == b''",
    "behind a raw text in double quotes": r'R"\" == "" || [1].all(a, [1].all(b, true)) || r"\" == ""',
    "behind a raw text in three quotes": r"r'''\''' == '' || [1].all(a, [1].all(b, true)) || r'''\''' == ''",
    "behind quotes in quotes": """ "'" == "" || [1].all(a, [1].all(b, true)) || "'" == "" """,
    "behind three quotes": "''' ' ''' == '' || [1].all(a, [1].all(b, true)) || ''' ' ''' == ''",
    "in an index": "[1].all(a, [true][[0].filter(b, true)[0]])",
    "in brackets of other kinds": "[1].all(a, {'k': ([[1].all(b, true)])}['k'][0])",
    "growth in a chain": "[1].map(a, [a,a]).map(b, [b,b])",
    "too many in a row": " && ".join(["[1].all(a, true)"] * (MAX_COMPREHENSIONS + 1)),
    "filters in a chain": "[1]" + ".filter(a, true)" * 20,
    "deep brackets": "[" * 41 + "1" + "]" * 41,
    "deep parentheses": "(" * 41 + "1" + ")" * 41,
    "a comment": "true // && false",
    "a comment that hides a quote": "[1].all(a, // '\n[1].all(b, true)) // '\n",
    "too long": "1" + "+1" * (MAX_SOURCE // 2),
}


@pytest.mark.parametrize("source", TOO_COSTLY.values(), ids=TOO_COSTLY.keys())
def test_an_expression_that_could_cost_too_much_is_refused_at_once(source: str) -> None:
    start = time.thread_time()

    with pytest.raises(ExpressionError):
        Expression(source)

    assert time.thread_time() - start < 0.1


@pytest.mark.parametrize(
    "source",
    [
        "'//' == '//'",
        "'http://x/y'.startsWith('http://')",
        "'[[[[[.map(x, .map(y, 1))' != ''",
        r"'it\'s // not' != r'a\' && true",
        "'''//'''.size() == 2",
        "[1, 2].filter(a, a > 1).all(b, b > 1) && [3].exists(c, c == 3)",
        "[[1].all(a, true)].all(b, b)",
        "[1, 2].map(a, a + 1).exists(b, b == 3)",
        "1 == 1" + " && 1 == 1" * 100,
        "!" * 100 + "true",
        "[" * 40 + "]" * 40 + " != []",
    ],
)
def test_what_is_cheap_is_taken(source: str) -> None:
    assert Expression(source).holds(Bindings({})) is True


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("event.data.l.all(x, true)", {"l": [0] * 10_001}),
        ("event.data.l.map(x, x) == []", {"l": [0] * 2_001}),
        ("event.data.l.filter(x, true) == []", {"l": [0] * 2_001}),
        ("event.data.l.all(k, true)", {"l": {str(n): n for n in range(10_001)}}),
        ("event.data.l.all(x, event.data.l == event.data.l)", {"l": [0] * 5_000}),
        ("event.data.l.all(x, (event.data.s + event.data.s) != '')", {"l": [0] * 1000, "s": "x" * 1_000_000}),
        ("event.data.l.all(x, 'a'.matches('a|b'))", {"l": [0] * 101}),
        ("event.data.s.matches('(a{100}){99}c')", {"s": "a" * 100_000}),
        ("event.data.s.matches(event.data.p)", {"s": "a" * 100_000, "p": "(a{100}){99}c"}),
    ],
)
def test_what_would_take_long_on_these_values_is_refused_before(source: str, data: dict[str, Any]) -> None:
    expression, values = Expression(source), bindings(**data)
    start = time.thread_time()

    with pytest.raises(ExpressionError):
        expression.evaluate(values)

    assert time.thread_time() - start < 0.5


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("event.data.l.all(x, x == 0)", {"l": [0] * 10_000}),
        ("event.data.l.filter(x, x == 0).size() == 2000", {"l": [0] * 2_000}),
        ("event.data.l.exists(x, x == event.data.n)", {"l": list(range(1000)), "n": 999}),
        ("event.data.s.matches('^(a+)+$') == false", {"s": "a" * 100_000 + "!"}),
        ("event.data.s.matches('(a|a)*b') == false", {"s": "a" * 100_000}),
        ("event.data.s.matches('(a{10}){10}c') == false", {"s": "a" * 10_000}),
        ("event.data.s.contains('yy') == false", {"s": "x" * 1_000_000}),
    ],
)
def test_what_is_taken_is_quick(source: str, data: dict[str, Any]) -> None:
    values = bindings(**data)
    start = time.thread_time()

    assert Expression(source).holds(values) is True
    assert time.thread_time() - start < 2


@pytest.mark.parametrize(
    "source",
    [
        "nope",
        "event.nope",
        "event.data.nope.deeper",
        "event.data.l[99]",
        "event.data.l[-1]",
        "1 / event.data.z",
        "1 % event.data.z",
        "event.data.n + 1",
        "-9223372036854775807 - 2",
        "1u - 2u",
        "int(1e30)",
        "uint(-1)",
        "int('nine')",
        "event.data.s > 1",
        "event.data.s.matches('(')",
        "event.data.s.matches('(a{1000}){1000}')",
        "'a' in 'abc'",
        "event[event]",
        "{[1]: 2}",
        "timestamp('never')",
        "timestamp('9999-12-31T23:59:59Z') + duration('100000h')",
        "event.type()",
        "google.protobuf.Any{}",
    ],
)
def test_what_cannot_be_evaluated_is_an_expression_error(source: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        Expression(source).holds(bindings())

    assert 0 < len(str(raised.value)) <= 320


@pytest.mark.parametrize(
    "source",
    ["", " ", "1 +", "9223372036854775808", "99999999999999999999999999", "'a", "'\ud800'", "💥", "\x00", "has(1)", "a.`map`(b, 1)"],
)
def test_what_is_not_cel_is_an_expression_error(source: str) -> None:
    with pytest.raises(ExpressionError):
        compiled(source)


@pytest.mark.parametrize("value", ["\ud800", 2**70, {1: 2**70}, object(), {"a": {1, 2}}, json.loads("[" * 900 + "]" * 900)])
def test_values_that_cel_does_not_have_are_an_expression_error(value: Any) -> None:
    values = Bindings({"event": value})

    for source in ("event == 1", "[1].all(x, true)"):
        try:
            Expression(source).evaluate(values)
        except ExpressionError as error:
            assert str(error)  # noqa: PT017 - some are values after all


@pytest.mark.parametrize("source", ["1", "event", "'true'", "null", "[true]", "optional.of(true)"])
def test_only_a_truth_value_holds(source: str) -> None:
    with pytest.raises(ExpressionError, match="not true or false"):
        Expression(source).holds(bindings())


def test_a_panic_of_the_interpreter_is_an_expression_error_and_an_interrupt_is_not() -> None:
    class PanicException(BaseException):
        pass

    def fail(error: type[BaseException]) -> Bindings:
        class Failing(Bindings):
            @property
            def context(self) -> cel.Context:
                raise error

        return Failing({})

    with pytest.raises(ExpressionError, match="gave up"):
        Expression("true").evaluate(fail(PanicException))
    with pytest.raises(KeyboardInterrupt):
        Expression("true").evaluate(fail(KeyboardInterrupt))


# fmt: off
WORDS = [
    "event", ".type", ".data", ".l", ".s", ".n", ".z", "[0]", "['a']", "(", ")", "[", "]", "{", "}", ",", ":", "?",
    "||", "&&", "==", "!=", "<", ">", "in", "+", "-", "*", "/", "%", "!", "1", "0", "1u", "9223372036854775807", "1.5",
    "1e308", "'a'", '"b"', "r'\\'", "b'x'", "'''q'''", "'\\n'", "'\\377'", "null", "true", "x", ".map(x,",
    ".filter(x,", ".all(x,", ".exists(x,", ".existsOne(x,", "has(", "size(", "string(", "int(", "uint(", "double(",
    "bytes(", "timestamp(", "duration(", ".matches(", ".contains(", "type(", "dyn(", "optional.of(",
    "'2020-01-01T00:00:00Z'", "'1h'", ".getFullYear()", ".orValue(", "//", "\\", "é", "💥", "`", ".?", "\x00",
]
# fmt: on


def closed(words: list[str]) -> str:
    source = "".join(words)
    for opening, closing in ("()", "[]", "{}"):
        source += closing * max(0, source.count(opening) - source.count(closing))
    return source


@settings(max_examples=700, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=14).map(closed) | st.text(max_size=40))
@example("1/0")
@example("event.data.l[9]")
@example("'\ud800'")
def test_nothing_but_an_expression_error_comes_out(source: str) -> None:
    try:
        Expression(source).holds(bindings())
    except ExpressionError as error:
        assert str(error)  # noqa: PT017 - whether it raises depends on the text


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=14).map("".join))
def test_the_code_of_a_source_is_as_long_as_the_source(source: str) -> None:
    assert len(code(source)) == len(source)


@pytest.mark.parametrize(
    ("source", "types"),
    [
        ("event.type == 'a'", {"a"}),
        ('event.type == "a.b"', {"a.b"}),
        ("(event.type == 'a')", {"a"}),
        ("event.type == 'a' && event.data.n > 1", {"a"}),
        ("event.data.n > 1 && event.type == 'a'", {"a"}),
        ("event.type == 'a' && (event.data.n > 1 || event.data.z == 0)", {"a"}),
        ("((event.data.n > 1) && (event.type == 'a'))", {"a"}),
        ("event.type == 'a' && event.data.s == 'x || y'", {"a"}),
        ("event.type in ['a', \"b\"]", {"a", "b"}),
        ("event.type in ['a'] && true", {"a"}),
        ("event.type == 'a' || event.data.n > 1", None),
        ("event.type != 'a'", None),
        ("!(event.type == 'a')", None),
        ("event.data.n > 1 ? event.type == 'a' : true", None),
        ("(event.type == 'a' && true) == false", None),
        ("(true && event.type == 'a' && true) == false", None),
        ("[].all(x, false && event.type == 'a' && true)", None),
        ("event.data.s == \"q && event.type == 'a' && z\"", None),
        ("event.type in []", None),
        ("event.type in [event.data.s]", None),
        ("event.type in ['a' + 'b']", None),
        ("event.type in ['a', event.data.s]", None),
        ("event.type == 'a' + 'b'", None),
        ("event.type == 'a' == false", None),
        ("event.type == 'a\\x62'", None),
        ("event.data.s in ['x'] && event.source == 'a'", None),
        ("(event.type == 'a') == (true) && (true)", None),
        ("event.type == r'a'", None),
        ("", None),
        ("(" * 600 + ")" * 600, None),
    ],
)
def test_the_event_types_of_plain_forms_are_known(source: str, types: set[str] | None) -> None:
    assert event_types(source) == (None if types is None else frozenset(types))


ATOMS = st.sampled_from(
    (
        "event.type == 'a'",
        'event.type == "b"',
        "event.type in ['a', 'b']",
        "event.type in ['c']",
        "event.type in []",
        "event.type != 'a'",
        "event.data.s == \"x && event.type == 'a' && y\"",
        "'||' in event.data.l",
        "'a' == event.type",
        "event.data.nope",
        "true",
        "false",
        "event.type in ['a' + 'b', 'c']",
        "event.type == r'a'",
    )
)


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, st.sampled_from((" && ", " && ", "&&", " || ", " == ", " != ")), inner).map("".join)
    return st.one_of(
        two,
        inner.map(lambda e: f"({e})"),
        inner.map(lambda e: f" ( {e} ) "),
        inner.map(lambda e: f"!({e})"),
        inner.map(lambda e: f"[].all(x, {e})"),
        inner.map(lambda e: f"[1].exists(event, {e})"),
        st.tuples(inner, inner, inner).map(lambda e: f"{e[0]} ? {e[1]} : {e[2]}"),
    )


@settings(max_examples=400, deadline=None)
@given(st.recursive(ATOMS, _combined, max_leaves=5), st.sampled_from(("a", "b", "c", "ab", "d", "")))
def test_an_expression_holds_for_no_type_but_those_that_it_names(source: str, kind: str) -> None:
    types = event_types(source)
    try:
        holds = Expression(source).holds(Bindings({"event": {**EVENT, "type": kind}}))
    except ExpressionError:
        holds = False

    assert types is None or kind in types or not holds
    assert not asks_for_type_alone(source) or holds == (kind in (types or ()))


@pytest.mark.parametrize(
    ("source", "unknown"),
    [
        ("event.type == 'a' && has(event.data.n)", set()),
        ("event.data.l.exists(x, x > 1) && event.data.l.all(y,\n y.z != event.id)", set()),
        ("type(event.data.n) == int || string(event.data.n) == '1'", set()),
        ("event.type == 'a' && evnt.data.n > 1", {"evnt"}),
        ("event.data.l.exists(x, y > 1)", {"y"}),
        ("has(evnt.data)", {"evnt"}),
    ],
)
def test_variables_that_nobody_gives_are_known_before_any_event_comes(source: str, unknown: set[str]) -> None:
    assert Expression(source).unknown(frozenset({"event"})) == unknown
