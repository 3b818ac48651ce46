"""Declared parameters, of templates and of words: what each may be, and whether a value is that."""

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

from messages.claims import nearest
from messages.values import DURATION_HINT, Document, Token
from scenarios.errors import shown
from scenarios.nodes import Path
from scenarios.parts import read_duration, texts
from scenarios.sheet import Sheet

MAX_TEXT = 2048
"""Characters that a value may have, a list all together."""
MAX_ITEMS = 100
"""Elements that a list may have."""

Kind = Literal["string", "enum", "duration", "float", "number", "integer", "boolean", "list"]
Value = timedelta | float | int | bool | str | list[str]


class Parameter(Document):
    """What a template, or a word of an Assertions document, must be told, or may be."""

    name: Token
    """What `{{ parameters.name }}` calls it, and for a template `--var name=…`."""
    type: Kind
    """`float` and `number` are the same; an `enum` is one of its `values`; a `list` is one of texts."""
    description: str = ""
    required: bool = False
    """It must be given. One that is not must have a `default`."""
    default: str | int | float | bool | tuple[str, ...] | None = None
    values: tuple[str, ...] = ()
    """What an enum may be."""
    min: str | int | float | None = None
    """The least that a number or duration may be."""
    max: str | int | float | None = None
    """The most that a number or duration may be."""


def is_sound(sheet: Sheet, path: Path, parameter: Parameter) -> bool:
    """Whether the declaration makes sense; what does not is noted."""
    before = len(sheet.findings)
    if parameter.type == "enum" and not parameter.values:
        sheet.add(path, "an enum needs its values", "add values: [one, other]")
    if parameter.type != "enum" and parameter.values:
        sheet.add((*path, "values"), f"a {parameter.type} has no list of values", "write type: enum, or take it out", at_key=True)
    for key, bound in (("min", parameter.min), ("max", parameter.max)):
        if bound is not None and not isinstance(typed(parameter, bound), timedelta | int | float):
            what = f"{key} of a {parameter.type} cannot be {shown(bound)}"
            sheet.add((*path, key), what, f"{words_of(parameter)}, or take it out")
    if parameter.default is None and not parameter.required:
        sheet.add(path, f"nobody has to give {shown(parameter.name)}, and it has no default", "add default: or required: true")
    if len(sheet.findings) == before and parameter.default is not None:
        wrong = problem_of(parameter, typed(parameter, parameter.default))
        if wrong:
            sheet.add((*path, "default"), f"{shown(parameter.name)} cannot be {shown(parameter.default)}", wrong)
    return len(sheet.findings) == before


def typed(parameter: Parameter, raw: Any) -> Value | None:
    """A value of the document in the parameter's type; None when it is none."""
    match parameter.type:
        case "duration":
            return read_duration(raw)
        case "boolean":
            return raw if isinstance(raw, bool) else None
        case "string" | "enum":
            return raw if isinstance(raw, str) and len(raw) <= MAX_TEXT else None
        case "list":
            return _list(raw)
        case _:
            whole = isinstance(raw, int) or (parameter.type != "integer" and isinstance(raw, float) and math.isfinite(raw))
            return raw if whole and not isinstance(raw, bool | str) else None


def _list(raw: Any) -> list[str] | None:
    if not isinstance(raw, list | tuple) or len(raw) > MAX_ITEMS or len(texts(list(raw))) < len(raw):
        return None
    return list(raw) if sum(map(len, raw)) <= MAX_TEXT else None


def problem_of(parameter: Parameter, value: Value | None) -> str:
    """What would be right instead of the value; empty if it is right."""
    if value is None:
        return words_of(parameter)
    if parameter.type == "enum" and value not in parameter.values:
        return nearest(str(value)[:80], parameter.values)
    low = typed(parameter, parameter.min) if parameter.min is not None else None
    high = typed(parameter, parameter.max) if parameter.max is not None else None
    return words_of(parameter) if _beyond(value, low) or _beyond(high, value) else ""


def _beyond(one: Value | None, other: Value | None) -> bool:
    """Whether the one is less than the other, both of a kind."""
    if isinstance(one, timedelta) and isinstance(other, timedelta):
        return one < other
    return isinstance(one, int | float) and isinstance(other, int | float) and one < other


def words_of(parameter: Parameter) -> str:
    """What a value looks like."""
    kinds = {"string": "a text", "duration": DURATION_HINT, "boolean": "true or false", "integer": "a whole number"}
    kinds["list"] = "a list of texts"
    words = f"one of {', '.join(parameter.values)}" if parameter.type == "enum" else kinds.get(parameter.type, "a number")
    bounds = [f"at {word} {bound}" for word, bound in (("least", parameter.min), ("most", parameter.max)) if bound is not None]
    return ", ".join([words, *bounds])


def example_of(parameter: Parameter) -> str:
    """A value that would do."""
    examples = {"duration": "10s", "boolean": "true", "integer": "3", "list": "one,other"}
    if parameter.type == "enum":
        return parameter.values[0]
    return "…" if parameter.type == "string" else str(parameter.min or examples.get(parameter.type, "0.5"))


def check_declared(sheet: Sheet, path: Path, parameters: Iterable[Parameter]) -> bool:
    """Note what is wrong with declarations that stand as a list at this path; whether there is nothing."""
    good, seen = True, set[str]()
    for index, parameter in enumerate(parameters):
        if parameter.name in seen:
            sheet.add((*path, index, "name"), f"a second parameter {shown(parameter.name)}", "names must differ")
            good = False
        seen.add(parameter.name)
        good = is_sound(sheet, (*path, index), parameter) and good
    return good


def values_of(
    sheet: Sheet, path: Path, word: str, parameters: Iterable[Parameter], given: Mapping[str, tuple[Any, Path]]
) -> dict[str, Value] | None:
    """The value of each parameter, by what was given (and where it stands) or its default; None when something is wrong, which is noted."""
    known, found = {parameter.name: parameter for parameter in parameters}, dict[str, Value]()
    for name, (_, at) in given.items():
        if name not in known:
            sheet.add(at, f"unknown parameter {shown(name)}", nearest(name[:80], known), at_key=True)
    for name, parameter in known.items():
        raw, at = given.get(name, (parameter.default, path))
        if raw is None and name not in given:
            right = f"add parameters: {{{name}: {example_of(parameter)}}}"
            sheet.add(path, f"{shown(word)} needs the parameter {shown(name)} ({words_of(parameter)})", right)
            continue
        value = typed(parameter, raw)
        wrong = problem_of(parameter, value)
        if wrong or value is None:
            sheet.add(at, f"{shown(name)} cannot be {shown(raw)}", wrong)
        else:
            found[name] = float(value) if parameter.type in {"number", "float"} and isinstance(value, int) else value
    return found if set(found) == set(known) >= set(given) else None


def sample_of(parameter: Parameter) -> Value:
    """A value of the parameter's type: its default, or one that stands for whatever will be given."""
    samples: dict[str, Value] = {"duration": timedelta(seconds=10), "boolean": True, "integer": 1, "list": ["sample"], "string": "sample"}
    written = parameter.default if parameter.default is not None else parameter.min
    value = typed(parameter, written) if written is not None else None
    if value is None:
        value = parameter.values[0] if parameter.type == "enum" else samples.get(parameter.type, 1.0)
    return float(value) if parameter.type in {"number", "float"} and isinstance(value, int) else value
