"""Variables and the expressions over them."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.values import format_duration
from scenarios import DocumentErrors, Resolved, load_systems, resolve

SYSTEMS = load_systems(Path(__file__).parent / "documents")
START = "kind: Scenario\nmetadata: {name: x}\nspec:\n  system: shop\n"


def load(value: str, *, variables: dict[str, str] | None = None, key: str = "description") -> Resolved:
    text = f"""kind: Scenario
metadata: {{name: x}}
spec:
  system: shop
  variables: {{slo: 10s, rate: 20, ratio: 0.5, label: night, kinds: [a, b], with-hyphen: 1}}
  phases: [{{name: p, duration: 1s}}]
  assertions:
    - {{id: c, type: audit, target: web, sequence: [a], {key}: {value}}}
"""
    return resolve(text, file="f.yaml", systems=SYSTEMS, variables=variables or {})


def valued(expression: str, **variables: str) -> Any:
    return load(f'"{expression}"', variables=variables).scenario.claims()["c"][0].description


def refused(value: str, *, variables: dict[str, str] | None = None, key: str = "description") -> list[str]:
    with pytest.raises(DocumentErrors) as raised:
        load(value, variables=variables, key=key)
    return [str(found) for found in raised.value.findings]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("at {{ variables.slo + duration('5s') }}", "at 15s"),
        ("{{ variables.slo + 500ms }}", "10s500ms"),
        ("{{ variables.slo + 1m30s }}", "1m40s"),
        ("{{ 2d }}", "2d"),
        ("a {{ variables.rate * 2 }} b {{ variables.label }}", "a 40 b night"),
        ("{{ variables.label }}{{ variables.label }}", "nightnight"),
        ("{{ variables.label + ' 10s' }}", "night 10s"),
        ("{{ variables.slo > 5s ? 'slow' : 'fast' }}", "slow"),
        ("{{ variables.kinds[1] }}", "b"),
        ("is {{ variables.rate > 3 }}", "is true"),
        ("{{ variables['with-hyphen'] }} one", "1 one"),
    ],
)
def test_an_expression_has_its_value_in_its_place(expression: str, value: str) -> None:
    assert valued(expression) == value


def test_a_whole_scalar_keeps_the_type_of_its_value() -> None:
    assert load('"{{ variables.slo }}"', key="within").scenario.claims()["c"][0].within == timedelta(seconds=10)
    assert load('"{{ variables.rate == 20 && !true }}"', key="never").scenario.claims()["c"][0].never is False
    text = """kind: Scenario
metadata: {name: x, tags: "{{ variables.kinds }}"}
spec:
  system: shop
  variables: {kinds: [a, b], few: 3}
  phases: [{name: p, duration: 1s, assertions: [{type: event, where: "true", at_least: "{{ variables.few + 1 }}"}]}]
"""

    scenario = resolve(text, file="f.yaml", systems=SYSTEMS).scenario

    assert scenario.metadata.tags == ("a", "b")
    assert scenario.claims()["p-event"][0].model_dump()["at_least"] == 4


def test_an_override_has_the_type_of_the_variable() -> None:
    variables = {"slo": "5s", "rate": "7", "ratio": "0.25", "label": "day", "kinds": "x, y"}

    scenario = load('"{{ variables.slo }} {{ variables.rate }} {{ variables.label }}"', variables=variables).scenario

    assert scenario.claims()["c"][0].description == "5s 7 day"
    assert scenario.spec.variables == {
        "slo": timedelta(seconds=5),
        "rate": 7,
        "ratio": 0.25,
        "label": "day",
        "kinds": ("x", "y"),
        "with-hyphen": 1,
    }


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("slo", "five", "--var:1:1: slo cannot be 'five'; a duration is a number and a unit"),
        ("rate", "5s", "--var:1:1: rate cannot be '5s'; give a number"),
        ("rate", "1e999", "--var:1:1: rate cannot be '1e999'; give a number"),
        ("label", "5s", "--var:1:1: label cannot be '5s'; give text"),
        ("ratoi", "1", "--var:1:1: the scenario has no variable 'ratoi'; did you mean 'ratio'?"),
    ],
)
def test_an_override_that_does_not_fit_is_refused(name: str, value: str, says: str) -> None:
    assert refused("x", variables={name: value})[0].startswith(says)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("{{ variables.sol }}", "there is no variable 'sol'; did you mean 'slo'?"),
        ("{{ slo }}", "{{ slo }} has no value: Undefined variable or function: 'slo'. Check"),
        ("{{ .Variables.slo }}", "{{ .Variables.slo }} has no value:"),
        ("{{ variables.rate + 's' }}", "{{ variables.rate + 's' }} has no value: No such overload"),
        ("{{ 1 / 0 }}", "{{ 1 / 0 }} has no value: division by zero"),
        ("{{ 5s - variables.slo }}", "the value is a negative duration"),
        ("{{ variables }}", "the value is a map"),
        ("{{ null }}", "the value is nothing"),
        ("x {{ variables.kinds }}", "a list cannot stand inside a text"),
        ("{{ variables.slo", "{{ without an end; close it with }}"),
        ("{{ 9999999d }}", "'9999999d' is longer than 366 days"),
        ("{{ " + "1 + " * 300 + "1 }}", "an expression has at most 1024 characters"),
        ("{{ [1].map(a, [1].map(b, [1].map(c, [1].map(d, [1].map(e, [1].map(f, f)))))) }}", "map may be used once"),
    ],
)
def test_an_expression_without_a_value_is_refused_at_its_place(expression: str, says: str) -> None:
    (found,) = refused(f'"{expression}"')

    assert found.startswith("f.yaml:8:69: ")
    assert says in found


def test_who_forgets_the_word_variables_is_told() -> None:
    assert refused('"{{ slo }}"')[0].endswith("write variables.slo")
    assert refused('"{{ .Variables.slo }}"')[0].endswith("write variables.slo")


def test_a_variable_that_cannot_be_read_is_one_mistake_wherever_it_is_used() -> None:
    text = f"{START}  variables: {{a: true}}\n  phases: [{{name: p, duration: '{{{{ variables.a }}}}'}}]\n"

    with pytest.raises(DocumentErrors) as raised:
        resolve(text, file="f.yaml", systems=SYSTEMS)

    assert [found.what for found in raised.value.findings] == ["a variable cannot be true"]


def test_variables_are_not_made_of_others() -> None:
    text = f"{START}  variables: {{a: 1, b: '{{{{ variables.a }}}}'}}\n  phases: [{{name: p, duration: 1s}}]\n"

    with pytest.raises(DocumentErrors, match=r"f.yaml:5:24: a variable cannot be made of others"):
        resolve(text, file="f.yaml", systems=SYSTEMS)


@given(st.integers(0, 86_400_000).map(lambda ms: timedelta(milliseconds=ms)))
def test_any_duration_can_stand_in_an_expression(span: timedelta) -> None:
    assert valued(f"{{{{ {format_duration(span)} + 1s }}}}") == format_duration(span + timedelta(seconds=1))


@given(st.text(alphabet=st.characters(exclude_characters='"\\{}', exclude_categories=("C", "Zl", "Zp")), max_size=60))
def test_whatever_stands_in_an_expression_has_a_value_or_is_refused(source: str) -> None:
    with suppress(DocumentErrors):
        assert valued(f"{{{{ {source} }}}}") is not None


def test_expressions_that_go_through_a_list_are_few() -> None:
    many = ", ".join(f"'{{{{ variables.l.map(x, x + {n}).size() }}}}'" for n in range(30))

    with pytest.raises(DocumentErrors, match="more than 20 expressions go through a list"):
        resolve(f"{START}  variables: {{l: [a]}}\n  phases: [{many}]\n", file="f.yaml", systems=SYSTEMS)
