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
from scenarios.schema import allowed_at, child, expected, keys_of, pattern_words
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


def check_structure(sheet: Sheet, model: type[BaseModel]) -> bool:
    """Note everything that the model has against a document; whether there is nothing."""
    try:
        model.model_validate_json(json.dumps(sheet.data))
    except ValidationError as error:
        for wrong in _worth_telling([_read(e, sheet.data) for e in error.errors(include_url=False)[: 4 * MAX_FINDINGS]]):
            if not sheet.full:
                _tell(sheet, model, wrong)
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
    return _Wrong(kind, tuple(path), branch, error["msg"], error.get("ctx", {}))


def _worth_telling(found: list[_Wrong]) -> Iterator[_Wrong]:
    """One error a path; of alternatives the one that got furthest."""
    parents = {w.path[:length] for w in found if w.branch for length in range(len(w.path))}
    told: set[Path] = set()
    for wrong in found:
        if wrong.path not in told and not (wrong.branch and wrong.path in parents):
            told.add(wrong.path)
            yield wrong


def _tell(sheet: Sheet, model: type[BaseModel], wrong: _Wrong) -> None:
    path = wrong.path
    allowed = allowed_at(model, sheet.data, path)
    value = _value(sheet.data, path)
    match wrong.kind:
        case "missing":
            name = str(path[-1])
            sheet.add(path[:-1], f"{name!r} is missing", f"add {name}: {_EXAMPLES.get(name, '…')}")
        case "extra_forbidden":
            keys = keys_of(allowed_at(model, sheet.data, path[:-1]))
            known = [key for key in keys if key not in _value(sheet.data, path[:-1])] or keys
            sheet.add(path, f"unknown key {shown(path[-1])}", nearest(str(path[-1])[:80], known), at_key=True)
        case "invalid_key":
            sheet.add(path, f"{shown(path[-1])} cannot be a name here", pattern_words(str(wrong.context.get("pattern"))), at_key=True)
        case "union_tag_not_found":
            right = (
                "add type: and one of audit, continuity, event, health, recovery"
                if isinstance(value, dict)
                else "a claim is keys and values"
            )
            sheet.add(path, "'type' is missing" if isinstance(value, dict) else f"{shown(value)} is no claim", right)
        case "union_tag_invalid":
            sheet.add(
                (*path, "type"),
                f"unknown type {shown(wrong.context['tag'])}",
                nearest(wrong.context["tag"][:80], _quoted(wrong, "expected_tags")),
            )
        case "literal_error":
            sheet.add(path, f"{shown(value)} is not known here", nearest(str(value)[:80], _quoted(wrong, "expected")))
        case "value_error" if not wrong.branch:
            what, _, right = wrong.message.removeprefix("Value error, ").partition("; ")
            sheet.add(path, what if right or not isinstance(value, str) else f"{shown(value)}: {what}", right)
        case _:
            _tell_value(sheet, wrong, value, expected(allowed))


def _tell_value(sheet: Sheet, wrong: _Wrong, value: Any, right: str) -> None:
    match wrong.kind:
        case "too_short" if value:
            return
        case "too_short":
            sheet.add(wrong.path, f"{_last(wrong.path)} is empty", "give it at least one entry")
        case "too_long":
            sheet.add(
                wrong.path,
                f"{_last(wrong.path)} has {wrong.context.get('actual_length')} entries",
                f"at most {wrong.context.get('max_length')}",
            )
        case "greater_than_equal":
            sheet.add(wrong.path, f"{shown(value)} is too small", f"at least {wrong.context.get('ge')}")
        case "string_pattern_mismatch":
            sheet.add(wrong.path, f"{shown(value)} cannot stand here", right)
        case "string_type" if isinstance(value, int | float) and not isinstance(value, bool):
            sheet.add(wrong.path, f"the number {value} stands where text must", f'put it into quotes: "{value}"')
        case _:
            sheet.add(wrong.path, f"{_last(wrong.path)} cannot be {shown(value)}", right)


def _last(path: Path) -> str:
    if not path:
        return "the document"
    return shown(path[-1]) if isinstance(path[-1], str) else f"entry {path[-1] + 1}"


def _value(data: Any, path: Path) -> Any:
    return reduce(child, path, data)


def _quoted(wrong: _Wrong, key: str) -> list[str]:
    return re.findall(r"'([^']*)'", str(wrong.context.get(key, "")))
