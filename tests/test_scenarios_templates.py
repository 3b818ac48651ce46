"""Templates: their parameters, declared and given."""

from datetime import timedelta
from pathlib import Path

import pytest

from scenarios import DocumentErrors, Resolved, check_text, load_systems, resolve

SYSTEMS = load_systems(Path(__file__).parent / "documents")
TEMPLATE = """
kind: Template
metadata: {name: outage, tags: [outage]}
parameters:
  - {name: target, type: string, required: true}
  - {name: how, type: enum, values: [stop, kill, pause], default: stop}
  - {name: outage, type: duration, default: 5s, min: 1s, max: 1m}
  - {name: share, type: float, default: 0.5, min: 0.0, max: 1.0}
  - {name: orders, type: integer, default: 20, min: 1}
  - {name: loud, type: boolean, default: false}
spec:
  system: shop
  variables: {slack: 10s}
  phases:
    - name: outage
      duration: "{{ parameters.outage + variables.slack }}"
      description: "{{ parameters.loud ? 'loud' : 'quiet' }}, {{ parameters.share * 100.0 }} %"
      actions:
        - {id: outage, target: "{{ parameters.target }}", action: "{{ parameters.how }}", for: "{{ parameters.outage }}"}
      assertions:
        - {type: event, where: "event.type == 'order.filled'", at_least: "{{ parameters.orders }}"}
"""


def load(text: str = TEMPLATE, **given: str) -> Resolved:
    return resolve(text, file="f.yaml", systems=SYSTEMS, variables=given)


def refused(text: str = TEMPLATE, **given: str) -> list[str]:
    with pytest.raises(DocumentErrors) as raised:
        load(text, **given)
    return [str(found) for found in raised.value.findings]


def told(text: str) -> list[str]:
    return [str(found) for found in check_text(text, file="f.yaml", systems=SYSTEMS)]


def place(text: str, part: str) -> str:
    before = text[: text.index(part)]
    return f"f.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def test_a_template_becomes_a_scenario_with_the_values_that_are_given_and_the_defaults_of_the_others() -> None:
    scenario = load(target="db", outage="20s", loud="true").scenario
    (phase,) = scenario.spec.phases

    assert scenario.kind == "Scenario"
    assert phase.duration == timedelta(seconds=30)
    assert phase.description == "loud, 50.0 %"
    assert (phase.actions[0].target, phase.actions[0].action, phase.actions[0].for_) == ("db", "stop", timedelta(seconds=20))
    assert phase.assertions[0].model_dump()["at_least"] == 20


def test_what_was_given_stands_in_the_resolved_scenario() -> None:
    scenario = load(target="db", share="0.25", slack="1s").scenario

    assert scenario.spec.variables == {
        "target": "db",
        "how": "stop",
        "outage": timedelta(seconds=5),
        "share": 0.25,
        "orders": 20,
        "loud": "false",
        "slack": timedelta(seconds=1),
    }
    again = resolve(scenario.model_dump_json(by_alias=True), file="f.json", systems=SYSTEMS)
    assert again.scenario == scenario


def test_a_template_cannot_be_run_without_what_it_requires_and_is_valid_nevertheless() -> None:
    assert refused() == [
        f"{place(TEMPLATE, 'target, type')}: the template needs a value for 'target' (a text); add --var target=…",
    ]
    assert told(TEMPLATE) == []


def test_what_is_wrong_beside_an_unknown_value_is_told_all_the_same() -> None:
    text = TEMPLATE.replace('for: "{{ parameters.outage }}"', "four: 5s")

    assert told(text)[0].startswith(f"{place(text, 'four')}: unknown key 'four'")


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("how", "stpo", "how cannot be 'stpo'; did you mean 'stop'?"),
        (
            "outage",
            "2m",
            "outage cannot be '2m'; a duration is a number and a unit, like 500ms, 10s, 2m, 36h or 1m30s, at least 1s, at most 1m",
        ),
        ("outage", "soon", "outage cannot be 'soon'; a duration is"),
        ("share", "1.5", "share cannot be '1.5'; a number, at least 0.0, at most 1.0"),
        ("share", "half", "share cannot be 'half'; a number"),
        ("orders", "0", "orders cannot be '0'; a whole number, at least 1"),
        ("orders", "2.5", "orders cannot be '2.5'; a whole number"),
        ("loud", "1", "loud cannot be '1'; true or false"),
        ("outages", "5s", "the scenario has no variable 'outages'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_would(name: str, value: str, right: str) -> None:
    (found,) = refused(TEMPLATE, **{"target": "db", name: value})

    assert found.startswith(f"--var:1:1: {right}")


@pytest.mark.parametrize(
    ("part", "wrong", "at", "what"),
    [
        ("type: duration, default: 5s", "type: duration, default: 5 s", "5 s", "'outage' cannot be '5 s'; a duration is"),
        ("default: 5s", "default: 5m", "5m", "'outage' cannot be '5m'"),
        ("default: stop", "default: halt", "halt", "'how' cannot be 'halt'"),
        ("values: [stop, kill, pause], default: stop", "default: stop", "{name: how", "an enum needs its values"),
        ("type: boolean", "type: bool", "bool,", "'bool' is not known here; did you mean 'boolean'?"),
        ("max: 1.0", "max: 1 kg", "1 kg", "max of a float cannot be '1 kg'"),
        ("required: true", "require: true", "require:", "unknown key 'require'; did you mean 'required'?"),
        ("name: loud", "name: orders", "orders, type: boolean", "a second parameter 'orders'"),
        ("default: 20, ", "", "{name: orders", "nobody has to give 'orders', and it has no default"),
        ("slack: 10s", "outage: 10s", "outage: 10s", "'outage' is a parameter as well"),
        ("{{ parameters.how }}", "{{ parameters.hows }}", '"{{ parameters.hows', "there is no parameter 'hows'; did you mean 'how'?"),
    ],
)
def test_a_mistake_in_a_template_has_its_place(part: str, wrong: str, at: str, what: str) -> None:
    text = TEMPLATE.replace(part, wrong, 1)

    found = refused(text, target="db")

    assert any(line.startswith(f"{place(text, at)}: {what}") for line in found), found


def test_a_template_without_parameters_is_a_scenario_with_the_wrong_kind() -> None:
    text = TEMPLATE[: TEMPLATE.index("parameters:")] + TEMPLATE[TEMPLATE.index("spec:") :]

    assert "a template has parameters" in told(text)[0]


def test_parameters_may_stand_in_the_spec_as_well() -> None:
    start, end = TEMPLATE.index("parameters:"), TEMPLATE.index("spec:")
    inside = "".join(f"  {line}\n" for line in TEMPLATE[start:end].splitlines())
    text = TEMPLATE[:start] + TEMPLATE[end:].replace("spec:\n", f"spec:\n{inside}", 1)

    assert load(text, target="db").scenario == load(target="db").scenario
    assert refused(text)[0].startswith(place(text, "target, type"))


def test_a_scenario_has_no_parameters() -> None:
    text = "kind: Scenario\nmetadata: {name: x}\nspec:\n  system: shop\n  phases: [{name: p, duration: '{{ parameters.long }}'}]\n"

    assert "there is no parameter 'long'" in told(text)[0]
