"""Templates: scenarios with declared parameters, which become scenarios when each parameter has its value."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from messages.claims import nearest
from messages.control import Finding
from messages.scenario import ScenarioSpec
from messages.system import Metadata
from messages.values import DURATION_HINT, Document, Token, format_duration
from scenarios.errors import finding, shown
from scenarios.nodes import Path
from scenarios.parts import read_duration, texts
from scenarios.scalars import plain_value
from scenarios.sheet import Sheet
from scenarios.wording import check_part

TEMPLATE = "Template"
MAX_TEXT = 2048
"""Characters that a value may have."""
MAX_PARAMETERS = 100
_FILE = "--var"

Kind = Literal["string", "enum", "duration", "float", "number", "integer", "boolean"]
Value = timedelta | float | int | bool | str


class Parameter(Document):
    """What a template must be told, or may be."""

    name: Token
    """What `{{ parameters.name }}` and `--var name=…` call it."""
    type: Kind
    """`float` and `number` are the same; an `enum` is one of its `values`."""
    description: str = ""
    required: bool = False
    """It must be given. One that is not must have a `default`."""
    default: str | int | float | bool | None = None
    values: tuple[str, ...] = ()
    """What an enum may be."""
    min: str | int | float | None = None
    """The least that a number or duration may be."""
    max: str | int | float | None = None
    """The most that a number or duration may be."""


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
    if not _is_sound(sheet, path, parameter):
        return
    if name in given:
        value = _parse(parameter, given[name])
        wrong = _problem(parameter, value)
        if wrong:
            sheet.findings.append(_refused(name, given[name], wrong))
    elif parameter.default is not None:
        value, wrong = _typed(parameter, parameter.default), ""
    else:
        value, wrong = None, "missing"
        if needed:
            right = f"add --var {name}={_example(parameter)}"
            sheet.add((*path, "name"), f"the template needs a value for {shown(name)} ({_words(parameter)})", right)
    if value is not None and not wrong:
        found.values[name] = value
        found.unknown.discard(name)


def _is_sound(sheet: Sheet, path: Path, parameter: Parameter) -> bool:
    """Whether the declaration makes sense; what does not is noted."""
    before = len(sheet.findings)
    if parameter.type == "enum" and not parameter.values:
        sheet.add(path, "an enum needs its values", "add values: [one, other]")
    if parameter.type != "enum" and parameter.values:
        sheet.add((*path, "values"), f"a {parameter.type} has no list of values", "write type: enum, or take it out", at_key=True)
    for key, bound in (("min", parameter.min), ("max", parameter.max)):
        if bound is not None and not isinstance(_typed(parameter, bound), timedelta | int | float):
            what = f"{key} of a {parameter.type} cannot be {shown(bound)}"
            sheet.add((*path, key), what, f"{_words(parameter)}, or take it out")
    if parameter.default is None and not parameter.required:
        sheet.add(path, f"nobody has to give {shown(parameter.name)}, and it has no default", "add default: or required: true")
    if len(sheet.findings) == before and parameter.default is not None:
        wrong = _problem(parameter, _typed(parameter, parameter.default))
        if wrong:
            sheet.add((*path, "default"), f"{shown(parameter.name)} cannot be {shown(parameter.default)}", wrong)
    return len(sheet.findings) == before


def _typed(parameter: Parameter, raw: Any) -> Value | None:
    """A value of the document in the parameter's type; None when it is none."""
    match parameter.type:
        case "duration":
            return read_duration(raw)
        case "boolean":
            return raw if isinstance(raw, bool) else None
        case "string" | "enum":
            return raw if isinstance(raw, str) and len(raw) <= MAX_TEXT else None
        case _:
            whole = isinstance(raw, int) or (parameter.type != "integer" and isinstance(raw, float) and math.isfinite(raw))
            return raw if whole and not isinstance(raw, bool | str) else None


def _parse(parameter: Parameter, text: str) -> Value | None:
    """A text of the command line in the parameter's type; None when it is none."""
    if parameter.type in {"string", "enum", "duration"}:
        return _typed(parameter, text)
    try:
        value = plain_value(text)
    except ValueError:
        return None
    return _typed(parameter, value) if value is not None else None


def _problem(parameter: Parameter, value: Value | None) -> str:
    """What would be right instead of the value; empty if it is right."""
    if value is None:
        return _words(parameter)
    if parameter.type == "enum" and value not in parameter.values:
        return nearest(str(value)[:80], parameter.values)
    low = _typed(parameter, parameter.min) if parameter.min is not None else None
    high = _typed(parameter, parameter.max) if parameter.max is not None else None
    return _words(parameter) if _beyond(value, low) or _beyond(high, value) else ""


def _beyond(one: Value | None, other: Value | None) -> bool:
    """Whether the one is less than the other, both of a kind."""
    if isinstance(one, timedelta) and isinstance(other, timedelta):
        return one < other
    return isinstance(one, int | float) and isinstance(other, int | float) and one < other


def _words(parameter: Parameter) -> str:
    """What a value looks like."""
    kinds = {"string": "a text", "duration": DURATION_HINT, "boolean": "true or false", "integer": "a whole number"}
    words = f"one of {', '.join(parameter.values)}" if parameter.type == "enum" else kinds.get(parameter.type, "a number")
    bounds = [f"at {word} {bound}" for word, bound in (("least", parameter.min), ("most", parameter.max)) if bound is not None]
    return ", ".join([words, *bounds])


def _example(parameter: Parameter) -> str:
    examples = {"duration": "10s", "boolean": "true", "integer": "3"}
    if parameter.type == "enum":
        return parameter.values[0]
    return "…" if parameter.type == "string" else str(parameter.min or examples.get(parameter.type, "0.5"))


def _refused(name: str, text: str, right: str) -> Finding:
    return finding(_FILE, (1, 1), f"{name} cannot be {shown(text)}", right)


def _names(raw: list[Any]) -> set[str]:
    return set(texts([one.get("name") for one in raw if isinstance(one, dict)]))


def _written(value: Value) -> float | int | str:
    if isinstance(value, timedelta):
        return format_duration(value)
    return str(value).lower() if isinstance(value, bool) else value
