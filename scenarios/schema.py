"""What the language allows at a place of a document, in plain words; read off the models' JSON schema."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from messages.actions import links
from messages.checks import Address, GrpcMethod, Url
from messages.system import ServiceName
from messages.targets import Percentage
from messages.values import RATE_HINT, SIZE_HINT, TOKEN_PATTERN, format_duration, format_rate, format_size
from scenarios.nodes import Path

Schema = dict[str, Any]

_NAME = "a name of letters, digits, - and _, at most 64"
_WORDS = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "object": "keys and values"}
_MEASURES: dict[tuple[str, ...], tuple[str, Callable[[Any], str]]] = {
    ("500ms", "10s", "2m"): ("a duration, like 500ms, 10s or 2m", format_duration),
    ("512B", "100kB", "20MiB"): (SIZE_HINT, format_size),
    ("50/s", "6/m"): (RATE_HINT, format_rate),
    ("100kB/s", "1MB/s"): (links.RATE_HINT, links.format_rate),
}
"""What is written with a unit, by the examples in its schema: in words, and how a value is written."""
_PARTS = re.compile(r"(days|seconds|microseconds)=(-?\d+)")
"""A span as an error of the model names it."""


@lru_cache
def schema_of(model: type[BaseModel]) -> Schema:
    """The JSON schema of a document."""
    return model.model_json_schema(by_alias=True)


def allowed_at(model: type[BaseModel], data: Any, path: Path) -> list[Schema]:
    """The alternatives for the value at this path; for a claim only those of its type."""
    root = schema_of(model)
    found, value = list(_flat(root, root, data)), data
    for part in path:
        value = child(value, part)
        found = [alternative for schema in found for below in _below(schema, part) for alternative in _flat(root, below, value)]
    return found


def child(value: Any, part: str | int) -> Any:
    """What stands under a key or index; None if nothing does."""
    if isinstance(value, dict):
        return value.get(part)
    return value[part] if isinstance(value, list) and isinstance(part, int) and part < len(value) else None


def keys_of(allowed: list[Schema]) -> list[str]:
    """The keys that a mapping may have here."""
    return [key for schema in allowed for key in schema.get("properties", ())]


def expected(allowed: list[Schema]) -> str:
    """What may stand here, in words."""
    return " or ".join(dict.fromkeys(filter(None, (_words(schema) for schema in allowed)))) or "something else"


def example(allowed: list[Schema]) -> str:
    """Something that may stand here."""
    return next((examples[0] for schema in allowed if (examples := _examples(schema))), "…")


def as_written(allowed: list[Schema], bound: Any) -> str:
    """A bound as people write a value that may stand here."""
    measure = next((_MEASURES[examples] for schema in allowed if (examples := _examples(schema)) in _MEASURES), None)
    if isinstance(bound, timedelta) or str(bound).startswith("datetime.timedelta("):
        return format_duration(bound if isinstance(bound, timedelta) else timedelta(**{k: int(v) for k, v in _PARTS.findall(str(bound))}))
    return measure[1](bound) if measure is not None and isinstance(bound, int | float) else str(bound)


def _examples(schema: Schema) -> tuple[str, ...]:
    return tuple(str(example) for example in schema.get("examples", ()))


def pattern_words(pattern: str) -> str:
    """What a text of this form looks like."""
    if TOKEN_PATTERN in pattern:
        return _NAME
    return _patterns().get(pattern, "text of another form")


@lru_cache
def _patterns() -> dict[str, str]:
    forms: tuple[tuple[Any, str], ...] = (
        (ServiceName, "a name of small letters, digits and inner hyphens, at most 63"),
        (Address, "a host and a port, like 127.0.0.1:18083"),
        (Percentage, "a percentage, like 50%"),
        (Url, "a URL, like http://127.0.0.1:18083/api/v1/health"),
        (GrpcMethod, "a service with its package and a method, like grpc.health.v1.Health/Check"),
    )
    return {form.__metadata__[0].pattern: words for form, words in forms}


def _flat(root: Schema, schema: Schema, value: Any) -> Iterator[Schema]:
    """The schema without references and alternatives."""
    if "$ref" in schema:
        yield from _flat(root, root["$defs"][schema["$ref"].rpartition("/")[2]], value)
    elif "discriminator" in schema:
        mapping = schema["discriminator"]["mapping"]
        kind = value.get("type") if isinstance(value, dict) else None
        chosen = mapping.get(kind) if isinstance(kind, str) else None
        for reference in [chosen] if chosen else mapping.values():
            yield from _flat(root, {"$ref": reference}, value)
    elif "anyOf" in schema:
        for alternative in schema["anyOf"]:
            yield from _flat(root, alternative, value)
    else:
        yield schema


def _below(schema: Schema, part: str | int) -> Iterator[Schema]:
    if part in schema.get("properties", ()):
        yield schema["properties"][part]
    elif isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]
    elif isinstance(part, int) and "items" in schema:
        yield schema["items"]
    elif isinstance(part, str):
        yield from schema.get("patternProperties", {}).values()


def _words(schema: Schema) -> str:
    if (examples := _examples(schema)) in _MEASURES:
        return _MEASURES[examples][0]
    if "enum" in schema or "const" in schema:
        return ", ".join(schema.get("enum") or [schema["const"]])
    if "pattern" in schema:
        return pattern_words(schema["pattern"])
    if schema.get("type") == "array":
        return f"a list of {_plural(_words(schema.get('items', {})))}"
    kinds = schema.get("type", "")
    return " or ".join(_WORDS.get(kind, "") for kind in (kinds if isinstance(kinds, list) else [kinds]))


def _plural(words: str) -> str:
    return {"text": "texts", _NAME: "names"}.get(words, "items")
