"""Templates: scenarios with declared parameters, which become scenarios when each parameter has its value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from messages.control import Finding
from messages.scenario import ScenarioSpec
from messages.system import Metadata
from messages.values import Document, format_duration
from scenarios.errors import finding, shown
from scenarios.nodes import Path
from scenarios.parameters import Parameter, Value, example_of, is_sound, problem_of, typed, words_of
from scenarios.parts import texts
from scenarios.scalars import plain_value
from scenarios.sheet import Sheet
from scenarios.wording import check_part

TEMPLATE = "Template"
MAX_PARAMETERS = 100
_FILE = "--var"


class Template(Document):
    """A scenario with parameters. It is run with a `--var` for each that has no default."""

    apiVersion: Literal["chaos.trading/v1"] = "chaos.trading/v1"  # noqa: N815  the language's word
    kind: Literal["Template"] = "Template"
    metadata: Metadata
    parameters: Annotated[tuple[Parameter, ...], Field(min_length=1, max_length=MAX_PARAMETERS)]
    """What it must be told, or may be."""
    spec: ScenarioSpec
    """The scenario, with `{{ parameters.name }}` wherever a value is to be filled in."""


@dataclass(slots=True)
class Given:
    """The parameters of a document; none if it is no template."""

    values: dict[str, Value] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    """Those whose value is not known: nobody gave one, or it is wrong, which was noted."""
    rest: dict[str, str] = field(default_factory=dict)
    """What was given for something else."""


def take_parameters(sheet: Sheet, given: Mapping[str, str], *, needed: bool) -> Given:
    """Turn a template into a scenario, and say what its parameters are. `needed`: one without a value is a mistake."""
    if not isinstance(sheet.data, dict) or sheet.data.get("kind") != TEMPLATE:
        return Given(rest=dict(given))
    path: Path = ("parameters",)
    if "parameters" not in sheet.data and "parameters" in sheet.spec:
        sheet.data["parameters"], path = sheet.spec.pop("parameters"), ("spec", "parameters")
    raw = sheet.data.pop("parameters", None)
    sheet.data["kind"] = "Scenario"
    if not isinstance(raw, list) or not raw:
        sheet.add(() if raw is None else path, "a template has parameters", "add parameters: [{name: target, type: string}]")
        return Given(rest=dict(given))
    found = Given(rest={name: text for name, text in given.items() if name not in _names(raw)})
    for index, one in enumerate(raw[:MAX_PARAMETERS]):
        _take(sheet, (*path, index), one, found, given, needed=needed)
    return found


def record(sheet: Sheet, found: Given) -> None:
    """Let the values stand in the scenario as variables do, for those who read it later."""
    variables = sheet.spec.get("variables", {})
    if not found.values or not isinstance(variables, dict):
        return
    for name in sorted(set(variables) & set(found.values)):
        sheet.add(("spec", "variables", name), f"{shown(name)} is a parameter as well", "names must differ", at_key=True)
    told = {name: _written(value) for name, value in found.values.items()}
    sheet.spec["variables"] = told | variables


def _take(sheet: Sheet, path: Path, raw: Any, found: Given, given: Mapping[str, str], *, needed: bool) -> None:
    if not check_part(sheet, Parameter, raw, path):
        found.unknown |= {str(raw["name"])} if isinstance(raw, dict) and "name" in raw else set()
        return
    parameter = Parameter.model_validate(raw, strict=False)
    name = parameter.name
    if name in found.values or name in found.unknown:
        sheet.add((*path, "name"), f"a second parameter {shown(name)}", "names must differ")
        return
    found.unknown.add(name)
    if not is_sound(sheet, path, parameter):
        return
    if name in given:
        value = _parse(parameter, given[name])
        wrong = problem_of(parameter, value)
        if wrong:
            sheet.findings.append(_refused(name, given[name], wrong))
    elif parameter.default is not None:
        value, wrong = typed(parameter, parameter.default), ""
    else:
        value, wrong = None, "missing"
        if needed:
            right = f"add --var {name}={example_of(parameter)}"
            sheet.add((*path, "name"), f"the template needs a value for {shown(name)} ({words_of(parameter)})", right)
    if value is not None and not wrong:
        found.values[name] = value
        found.unknown.discard(name)


def _parse(parameter: Parameter, text: str) -> Value | None:
    """A text of the command line in the parameter's type; None when it is none."""
    if parameter.type in {"string", "enum", "duration"}:
        return typed(parameter, text)
    if parameter.type == "list":
        return typed(parameter, [item.strip() for item in text.split(",")] if text.strip() else [])
    try:
        value = plain_value(text)
    except ValueError:
        return None
    return typed(parameter, value) if value is not None else None


def _refused(name: str, text: str, right: str) -> Finding:
    return finding(_FILE, (1, 1), f"{name} cannot be {shown(text)}", right)


def _names(raw: list[Any]) -> set[str]:
    return set(texts([one.get("name") for one in raw if isinstance(one, dict)]))


def _written(value: Value) -> float | int | str | list[str]:
    if isinstance(value, timedelta):
        return format_duration(value)
    return str(value).lower() if isinstance(value, bool) else value
