"""What is wrong with a document's structure, in words that need no knowledge of how it is checked."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from messages.claims import nearest
from scenarios.errors import MAX_FINDINGS, shown
from scenarios.nodes import Path
from scenarios.schema import Schema, allowed_at, as_written, child, example, expected, keys_of, pattern_words
from scenarios.sheet import Sheet

_EXAMPLES = {
    "metadata": "{name: a-name}",
    "spec": "and what the document is about",
    "phases": "[{name: chaos, duration: 10s}]",
    "services": "{trading-engine: {driver: …}}",
    "driver": "{process: {command: […]}}",
    "command": "[python, -m, package.module]",
    "argv": "[redis-cli, ping]",
    "secret": "NAME_OF_A_VARIABLE",
    "name": "a-name",
    "system": "trading",
    "target": "trading-engine",
    "action": "restart",
    "within": "10s",
    "where": "\"event.type == 'order.filled'\"",
    "key": "event.data.order_id",
    "sequence": "[service.stopping, service.started]",
    "opened_by": "order.submitted",
    "closed_by": "order.filled",
    "url": "http://127.0.0.1:8080/health",
    "address": "127.0.0.1:8080",
}


@dataclass(frozen=True, slots=True)
class _Wrong:
    """An error of the model, with the path of the data that it is about."""

    kind: str
    path: Path
    branch: bool
    """It says why one of several alternatives does not fit."""
    message: str
    context: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Part:
    """What is held against a model: a document, or a part of one at a path."""

    sheet: Sheet
    model: type[BaseModel]
    data: Any
    path: Path
    key: str = ""
    """The key under which the part would stand, if it is not there."""

    def add(self, path: Path, what: str, right: str = "", *, at_key: bool = False) -> None:
        """Note a mistake at a path of the part."""
        if not self.sheet.full:
            self.sheet.add((*self.path, *path), what, right, at_key=at_key)

    def allowed(self, path: Path) -> list[Schema]:
        """The alternatives for the value at this path."""
        return allowed_at(self.model, self.data, path)


def check_structure(sheet: Sheet, model: type[BaseModel]) -> bool:
    """Note everything that the model has against a document; whether there is nothing."""
    return check_part(sheet, model, sheet.data, ())


def check_part(sheet: Sheet, model: type[BaseModel], data: Any, path: Path, *, key: str = "") -> bool:
    """Note everything that the model has against the data at this path of a document; whether there is nothing.

    `key`: the data is not there, and would stand under this key.
    """
    try:
        model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        part = _Part(sheet, model, data, path, key)
        for wrong in _worth_telling([_read(e, data) for e in error.errors(include_url=False)[: 4 * MAX_FINDINGS]]):
            _tell(part, wrong)
        return False
    return True


def _read(error: ErrorDetails, data: Any) -> _Wrong:
    path: list[str | int] = []
    value, branch = data, False
    parts = error["loc"]
    for index, part in enumerate(parts):
        tag = isinstance(part, str) and bool(path) and isinstance(path[-1], int) and isinstance(value, dict) and value.get("type") == part
        if tag and isinstance(parts[index - 1], int):
            continue
        if (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            path.append(part)
            value = child(value, part)
        elif index == len(parts) - 1 and error["type"] == "missing":
            path.append(part)
        elif part != "[key]":
            branch = True
    kind = "invalid_key" if parts and parts[-1] == "[key]" else error["type"]
    branch = branch and not (kind == "value_error" and isinstance(value, dict))
    return _Wrong(kind, tuple(path), branch, error["msg"], error.get("ctx", {}))


def _worth_telling(found: list[_Wrong]) -> Iterator[_Wrong]:
    """One error a path; of alternatives the one that got furthest, and of those what is wrong with the value as a whole."""
    found.sort(key=lambda wrong: wrong.kind != "value_error" or wrong.branch)
    parents = {w.path[:length] for w in found if w.branch for length in range(len(w.path))}
    told: set[Path] = set()
    for wrong in found:
        if wrong.path not in told and not (wrong.branch and wrong.path in parents):
            told.add(wrong.path)
            yield wrong


def _tell(part: _Part, wrong: _Wrong) -> None:
    path = wrong.path
    value = _value(part.data, path)
    match wrong.kind:
        case "missing":
            name = str(path[-1])
            add = f"{name}: {_EXAMPLES.get(name) or example(part.allowed(path))}"
            part.add(path[:-1], f"{name!r} is missing", f"add {part.key}: {{{add}}}" if part.key else f"add {add}")
        case "extra_forbidden":
            keys = keys_of(part.allowed(path[:-1]))
            known = [key for key in keys if key not in _value(part.data, path[:-1])] or keys
            part.add(path, f"unknown key {shown(path[-1])}", nearest(str(path[-1])[:80], known), at_key=True)
        case "invalid_key":
            part.add(path, f"{shown(path[-1])} cannot be a name here", pattern_words(str(wrong.context.get("pattern"))), at_key=True)
        case "union_tag_not_found":
            right = (
                "add type: and one of audit, continuity, event, health, recovery"
                if isinstance(value, dict)
                else "a claim is keys and values"
            )
            part.add(path, "'type' is missing" if isinstance(value, dict) else f"{shown(value)} is no claim", right)
        case "union_tag_invalid":
            part.add(
                (*path, "type"),
                f"unknown type {shown(wrong.context['tag'])}",
                nearest(wrong.context["tag"][:80], _quoted(wrong, "expected_tags")),
            )
        case "literal_error":
            part.add(path, f"{shown(value)} is not known here", nearest(str(value)[:80], _quoted(wrong, "expected")))
        case "value_error" if not wrong.branch:
            what, _, right = wrong.message.removeprefix("Value error, ").partition("; ")
            part.add(path, what if right or not isinstance(value, str) else f"{shown(value)}: {what}", right)
        case _:
            _tell_value(part, wrong, value, part.allowed(path))


def _tell_value(part: _Part, wrong: _Wrong, value: Any, allowed: list[Schema]) -> None:
    match wrong.kind:
        case "too_short" if value and len(value) >= wrong.context.get("min_length", 1):
            return
        case "too_short" if value:
            part.add(wrong.path, f"{_last(wrong.path)} has {len(value)} entries", f"at least {wrong.context.get('min_length')}")
        case "too_short":
            part.add(wrong.path, f"{_last(wrong.path)} is empty", "give it at least one entry")
        case "too_long":
            part.add(
                wrong.path,
                f"{_last(wrong.path)} has {wrong.context.get('actual_length')} entries",
                f"at most {wrong.context.get('max_length')}",
            )
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            _tell_bound(part, wrong, value, allowed)
        case "string_pattern_mismatch":
            part.add(wrong.path, f"{shown(value)} cannot stand here", expected(allowed))
        case "string_type" if isinstance(value, int | float) and not isinstance(value, bool):
            part.add(wrong.path, f"the number {value} stands where text must", f'put it into quotes: "{value}"')
        case _:
            part.add(wrong.path, f"{_last(wrong.path)} cannot be {shown(value)}", expected(allowed))


_BOUNDS = {
    "greater_than_equal": ("small", "at least {}", "ge"),
    "greater_than": ("small", "more than {}", "gt"),
    "less_than_equal": ("large", "at most {}", "le"),
    "less_than": ("large", "less than {}", "lt"),
}


def _tell_bound(part: _Part, wrong: _Wrong, value: Any, allowed: list[Schema]) -> None:
    size, words, key = _BOUNDS[wrong.kind]
    part.add(wrong.path, f"{shown(value)} is too {size}", words.format(as_written(allowed, wrong.context.get(key))))


def _last(path: Path) -> str:
    if not path:
        return "the document"
    return shown(path[-1]) if isinstance(path[-1], str) else f"entry {path[-1] + 1}"


def _value(data: Any, path: Path) -> Any:
    return reduce(child, path, data)


def _quoted(wrong: _Wrong, key: str) -> list[str]:
    return re.findall(r"'([^']*)'", str(wrong.context.get(key, "")))
