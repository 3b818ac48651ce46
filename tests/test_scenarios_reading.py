"""What of YAML is taken, and what is refused in bounded time."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.building import MAX_DEPTH, MAX_EXPANDED, MAX_NODES
from scenarios.nodes import place_of, plain
from scenarios.reading import MAX_BYTES, Reading, decode, read

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé😀 \"'\\:#{}\n"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc😀", min_size=1), inner, max_size=4),
    max_leaves=20,
)


def one(text: str) -> Any:
    reading = read(text, "f.yaml")
    assert not reading.findings
    (document,) = reading.documents
    return plain(document)


def told(reading: Reading) -> list[str]:
    return [str(found) for found in reading.findings]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("0777", 777),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("12:30:45", "12:30:45"),
        ("2026-01-02", "2026-01-02"),
        ("1_000", "1_000"),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("~", None),
        ("'5'", "5"),
        ("10s", "10s"),
        ("''", ""),
    ],
)
def test_scalars_are_read_as_yaml_1_2_does(written: str, value: object) -> None:
    assert one(f"k: {written}") == {"k": value}


@given(values)
def test_json_text_is_read_as_json_means_it(value: Any) -> None:
    assert one(json.dumps({"value": value})) == {"value": value}


def test_a_value_and_its_key_know_their_line_and_column() -> None:
    (document,) = read("é: 1\nlist:\n  - {a: x, b: 'y'}\n", "f.yaml").documents

    assert place_of(document, ("list", 0, "b")) == (3, 15)
    assert place_of(document, ("list", 0, "b"), at_key=True) == (3, 12)
    assert place_of(document, ("list", 0, "missing")) == (3, 5)


def test_every_duplicate_key_is_named_with_its_place() -> None:
    reading = read("a: 1\nb: {c: 1, c: 2}\na: 3\n", "f.yaml")

    assert told(reading) == [
        "f.yaml:2:11: the key 'c' stands here twice, first in line 2; keep one of them",
        "f.yaml:3:1: the key 'a' stands here twice, first in line 1; keep one of them",
    ]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [x]", "!foo x", "!!binary aGk=", "!!str x", "! x", "!!set {a}"])
def test_tags_are_refused(tag: str) -> None:
    assert told(read(f"a: {tag}", "f.yaml"))[0].startswith("f.yaml:1:4: tags are not taken")


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", "1:1", "the text is empty"),
        ("# only a comment\n---\n", "1:1", "the text is empty"),
        ("a: [1, 2\nb: 3", "2:2", "not YAML"),
        ("a:\n\t- b", "2:1", "a tab cannot indent"),
        ("a: \x07", "1:4", "the character U+0007"),
        ("ab\nc: \ud800", "2:4", "the character U+D800"),
        ('a: "\\0"', "1:4", "a control character"),
        ("<<: {a: 1}", "1:1", "merge keys"),
        ("1: x", "1:1", "a key is text, not 1"),
        ("true: x", "1:1", "a key is text, not true"),
        ("[a, b]: x", "1:1", "a key is text, not a list"),
        ("a: *b", "1:4", "nothing is anchored as &b"),
        ("a: &x [*x]", "1:8", "*x stands inside &x"),
        ("a: .inf", "1:4", ".inf is not a finite number"),
        ("a: 1e999", "1:4", "1e999 is not a finite number"),
        ("a: 1234567890123456789", "1:4", "a whole number has at most 18 digits"),
        ("a: {{ variables.x }}", "1:4", "an expression in {{ }} must be quoted"),
        ("a: {{ variables.x }} and more", "1:4", "an expression in {{ }} must be quoted"),
        ("a: [{{ x }}]", "1:5", "an expression in {{ }} must be quoted"),
    ],
)
def test_what_has_no_place_in_a_document_is_refused_at_its_place(text: str, place: str, what: str) -> None:
    assert told(read(text, "f.yaml"))[0].startswith(f"f.yaml:{place}: {what}")


def test_aliases_stand_for_copies() -> None:
    data = one("a: &x {k: [1]}\nb: *x")
    data["a"]["k"].append(2)

    assert data["b"] == {"k": [1]}


def test_a_billion_laughs_are_refused() -> None:
    laughs = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30))

    assert f"more than {MAX_EXPANDED} values" in told(read(f"a0: &a0 lol\n{laughs}", "f.yaml"))[0]


def test_a_quadratic_blow_up_is_refused() -> None:
    text = f"a: &a [{'x, ' * 20_000}]\nb: [{'*a, ' * 20_000}]"

    assert f"more than {MAX_EXPANDED} values" in told(read(text, "f.yaml"))[0]


def test_aliases_cannot_nest_deeper_than_a_text_may() -> None:
    text = f"a0: &a0 [x]\n{''.join(f'a{n}: &a{n} [*a{n - 1}]{chr(10)}' for n in range(1, 60))}"

    assert f"more than {MAX_DEPTH} lists" in told(read(text, "f.yaml"))[0]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "[{a: "])
def test_deep_nesting_is_refused(opening: str) -> None:
    reading = read((opening * 500_000)[: MAX_BYTES - 1], "f.yaml")

    assert f"more than {MAX_DEPTH} lists" in told(reading)[0]


def test_nesting_up_to_the_bound_is_taken() -> None:
    assert not read("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f.yaml").findings


def test_too_many_values_are_refused() -> None:
    assert f"more than {MAX_NODES} values" in told(read("- x\n" * (MAX_NODES + 1), "f.yaml"))[0]


def test_a_text_over_the_limit_is_refused_before_it_is_parsed() -> None:
    assert "more than 1024 KiB" in told(read("é" * (MAX_BYTES // 2 + 1), "f.yaml"))[0]
    assert "more than 1024 KiB" in told(read("[" * (MAX_BYTES + 1), "f.yaml"))[0]


def test_bytes_that_are_not_utf_8_are_named_with_their_place() -> None:
    text, wrong = decode(b"a: 1\nb: \xff", "f.yaml")

    assert (text, str(wrong)) == ("", "f.yaml:2:4: byte 0xff is not UTF-8; save the file as UTF-8")


def test_what_came_before_a_syntax_error_is_still_read() -> None:
    reading = read("a: 1\na: 2\n---\nb: [", "f.yaml")

    assert len(reading.documents) == 1
    assert [found.line for found in reading.findings] == [2, 4]


@given(st.text())
def test_reading_never_raises(text: str) -> None:
    assert isinstance(read(text, "f.yaml"), Reading)
