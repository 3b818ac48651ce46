"""The JSON Schema of documents (draft 2020-12), for editors: completion, descriptions, and mistakes while they are typed."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, TypeAdapter

from messages.actions import ACTIONS
from messages.descriptions import Described
from messages.scenario import Scenario
from messages.system import System
from messages.values import RATE_HINT, SIZE_HINT, format_duration
from scenarios.asserting import Asserted
from scenarios.reference.said import DESCRIPTIONS
from scenarios.schema import as_written
from scenarios.templates import Template
from scenarios.vocabulary import Assertions

Schema = dict[str, Any]

KINDS: tuple[type[BaseModel], ...] = (Scenario, Template, System, Assertions)
EXPRESSION = "expression"
_DURATION = "^([0-9]+(\\.[0-9]+)?(us|ms|s|m|h|d))+$"
_SIZE = "^[0-9]+(\\.[0-9]+)?(B|kB|KiB|MB|MiB|GB|GiB)$"
_RATE = "^[0-9]+(\\.[0-9]+)?/(s|m|h)$"
_DURATION_EXAMPLES = ["500ms", "10s", "2m"]
_REWRITTEN = frozenset({"title", "discriminator", "default", "properties", "patternProperties"})
_SCENARIO_WORDS = frozenset({"kind", "apiVersion", "type"})
"""Keys that say what the others mean: no expression can stand there."""


def json_schema() -> Schema:
    """The schema: one of the kinds of documents, each of its parts under `$defs`."""
    defs: Schema = {}
    for model in KINDS:
        schema = model.model_json_schema(by_alias=True, schema_generator=Described)
        defs |= {name: _clean(one) for name, one in schema.pop("$defs").items()}
        defs[model.__name__] = _clean(schema)
        defs[model.__name__]["required"] = ["kind", *defs[model.__name__]["required"]]
    use = Asserted.model_json_schema(by_alias=True, schema_generator=Described)
    defs[Asserted.__name__] = _clean({key: value for key, value in use.items() if key != "$defs"})
    _take_words(defs)
    for name, spec in ACTIONS.items():
        defs[told_of(name)] = _clean(spec.parameters.model_json_schema(by_alias=True, schema_generator=Described)) | {
            "title": f"Parameters of {name}"
        }
    _describe(defs)
    _type_actions(defs)
    for name in _with_expressions(defs):
        for key, one in defs[name].get("properties", {}).items():
            defs[name]["properties"][key] = _or_expression(key, one)
    defs[EXPRESSION] = {"type": "string", "pattern": "\\{\\{.*\\}\\}", "description": "An expression over `variables` or `parameters`."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scenarios, templates, systems and assertions of test-coordinator",
        "type": "object",
        "properties": {"kind": {"enum": [model.__name__ for model in KINDS], "description": "What the document is."}},
        "required": ["kind"],
        "oneOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in KINDS],
        "$defs": dict(sorted(defs.items())),
    }


def _take_words(defs: Schema) -> None:
    """A word may stand where a scenario's claim may, and what a word stands for is a claim."""
    claims = defs["Phase"]["properties"]["assertions"]["items"]["oneOf"]
    for holder in ("Phase", "ScenarioSpec"):
        items = defs[holder]["properties"]["assertions"]["items"]
        items["oneOf"] = [*items["oneOf"], {"$ref": f"#/$defs/{Asserted.__name__}"}]
    own = defs["Word"]["properties"]["claim"]
    defs["Word"]["properties"]["claim"] = {"oneOf": claims, "description": own["description"]}


def told_of(action: str) -> str:
    """The name of the definition of an action's parameters."""
    return f"{action}.parameters"


def _clean(schema: Any) -> Any:
    """The schema as editors can use it: no nulls, patterns that every dialect knows, values with a unit as they are written."""
    if isinstance(schema, list):
        return [_clean(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _clean(value) for key, value in schema.items() if key not in _REWRITTEN}
    if "properties" in schema:
        found["properties"] = {key: _clean(value) for key, value in schema["properties"].items()}
    if "pattern" in found and isinstance(found["pattern"], str):
        found["pattern"] = _portable(found["pattern"])
    if "patternProperties" in schema:
        found["patternProperties"] = {_portable(key): _clean(value) for key, value in schema["patternProperties"].items()}
        found["additionalProperties"] = False
    found = _without_null(found) | _measure(found)
    default = schema.get("default")
    if default not in (None, "", [], {}) or default is False or default == 0:
        found["default"] = _written(found, default)
    if "properties" in schema and schema.get("title"):
        found["title"] = schema["title"]
    return found


def _without_null(schema: Schema) -> Schema:
    alternatives = schema.get("anyOf")
    if not isinstance(alternatives, list):
        return schema
    left = [one for one in alternatives if one.get("type") != "null"]
    if len(left) > 1:
        return schema | {"anyOf": left}
    return {**left[0], **{key: value for key, value in schema.items() if key != "anyOf"}}


def _measure(schema: Schema) -> Schema:
    """The pattern of values that have a unit."""
    if schema.get("examples") == _DURATION_EXAMPLES:
        return {"pattern": _DURATION}
    patterns = {"20MiB": _SIZE, "50/s": _RATE, "100kB/s": "^[0-9]{1,9}(B|kB|MB)/s$"}
    return next(({"pattern": pattern} for example, pattern in patterns.items() if example in schema.get("examples", ())), {})


def _written(schema: Schema, default: Any) -> Any:
    """A default as people write it."""
    if schema.get("examples") == _DURATION_EXAMPLES:
        return format_duration(TypeAdapter(timedelta).validate_python(default))
    return as_written([schema], default) if "examples" in schema and isinstance(default, int | float) else default


def _portable(pattern: str) -> str:
    return re.sub(r"\\z$", "$", re.sub(r"^\\A", "^", pattern))


def _describe(defs: Schema) -> None:
    """Give keys a description that have none of their own."""
    defs["JsonValue"]["description"] = "Any value."
    for name, schema in defs.items():
        for key, one in schema.get("properties", {}).items():
            own = one.get("description", "")
            if not own or own.startswith(
                ("a duration is", RATE_HINT[:9], SIZE_HINT[:9], "seconds,", "milliseconds,", "minutes,", "hours,")
            ):
                said = DESCRIPTIONS.get(f"{name.partition('.')[0]}.{key}", DESCRIPTIONS.get(key, own))
                one["description"] = said if not own or said == own else f"{said} ({own})"


def _type_actions(defs: Schema) -> None:
    """Which actions there are, and which parameters each has; `service` is another word for `target`."""
    action, faults = defs["Action"], [name for name, spec in ACTIONS.items() if spec.fault]
    action["properties"]["action"] |= {"enum": list(ACTIONS)}
    action["properties"]["parameters"] = {"type": "object", "description": action["properties"]["parameters"]["description"]}
    action["allOf"] = [_then(name) for name, spec in ACTIONS.items() if spec.parameters.model_fields]
    defs["RandomAction"]["properties"]["action"] |= {"enum": faults}
    for name, schema in defs.items():
        if name in {"Action", "RandomAction"} or name.endswith("Claim"):
            _with_service(schema)


def _then(action: str) -> Schema:
    needs = [name for name, one in ACTIONS[action].parameters.model_fields.items() if one.is_required()]
    typed: Schema = {"properties": {"parameters": {"$ref": f"#/$defs/{told_of(action)}"}}}
    if needs:
        typed["required"] = ["parameters"]
    return {"if": {"properties": {"action": {"const": action}}, "required": ["action"]}, "then": typed}


def _with_service(schema: Schema) -> None:
    properties = schema["properties"]
    if "target" not in properties:
        return
    properties["service"] = {"type": "string", "description": "Another word for `target`."}
    if "target" in schema.get("required", ()):
        schema["required"] = [key for key in schema["required"] if key != "target"]
        schema["anyOf"] = [{"required": ["target"]}, {"required": ["service"]}]


def _with_expressions(defs: Schema) -> Iterator[str]:
    """The parts in which values may be expressions: those of scenarios, not those of systems."""
    found, left = set[str](), ["Scenario", "Template", "Assertions", *(told_of(name) for name in ACTIONS)]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [reference for reference in _references(defs[name]) if reference in defs]
            yield name


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for one in schema:
            yield from _references(one)


def _or_expression(key: str, schema: Schema) -> Schema:
    """The value, or an expression that gives it."""
    if key in _SCENARIO_WORDS or _takes_any_text(schema) or not _is_plain(schema):
        return schema
    outer: Schema = {name: schema[name] for name in ("description", "default") if name in schema}
    inner = {name: value for name, value in schema.items() if name not in outer}
    alternatives = inner["anyOf"] if set(inner) == {"anyOf"} else [inner]
    return {"anyOf": [*alternatives, {"$ref": f"#/$defs/{EXPRESSION}"}], **outer}


def _takes_any_text(schema: Schema) -> bool:
    if "anyOf" in schema:
        return any(_takes_any_text(one) for one in schema["anyOf"])
    kinds = schema.get("type", ())
    return "string" in ([kinds] if isinstance(kinds, str) else kinds) and not set(schema) & {"pattern", "enum", "const"}


def _is_plain(schema: Schema) -> bool:
    """Whether it is a value, or several, and not keys and values that have expressions of their own."""
    if "anyOf" in schema:
        return any(_is_plain(one) for one in schema["anyOf"])
    return "$ref" not in schema and schema.get("type") not in {"object", "array", None}
