"""The actions and claims of a scenario that can be read, whatever else is wrong with it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from messages.claims import AnyClaim, Claim
from messages.scenario import ACTIONS, Action
from messages.values import parse_duration
from scenarios.nodes import Path
from scenarios.sheet import Sheet

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Group:
    """A phase, or what is done finally: actions that start together."""

    path: Path
    """Of the phase; of `spec` for finally."""
    key: str
    """Under which the actions stand."""
    name: str | None
    """The phase's; None for finally, or when it cannot be read."""
    raw: dict[str, Any]

    @property
    def is_phase(self) -> bool:
        """Whether it is a phase."""
        return self.key == "actions"


def groups(sheet: Sheet) -> Iterator[Group]:
    """The phases, then `finally`."""
    for index, phase in enumerate(_list(sheet.spec, "phases")):
        if isinstance(phase, dict):
            name = phase.get("name")
            yield Group(("spec", "phases", index), "actions", name if isinstance(name, str) else None, phase)
    yield Group(("spec",), "finally", None, sheet.spec)


def raw_actions(group: Group) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The actions of a group as they stand there, with their paths."""
    for index, action in enumerate(_list(group.raw, group.key)):
        if isinstance(action, dict):
            yield (*group.path, group.key, index), action


def raw_claims(sheet: Sheet) -> Iterator[tuple[Path, dict[str, Any], str | None, bool]]:
    """The claims as they stand there: path, data, the phase's name, and whether it is one over the whole run."""
    holders = [(group.path, group.raw, group.name, False) for group in groups(sheet) if group.is_phase]
    for path, holder, name, whole in [*holders, (("spec",), sheet.spec, None, True)]:
        for index, claim in enumerate(_list(holder, "assertions")):
            if isinstance(claim, dict):
                yield (*path, "assertions", index), claim, name, whole


def actions_of(group: Group) -> Iterator[tuple[Path, Action]]:
    """The actions of a group that can be read and are known."""
    for path, raw in raw_actions(group):
        action = _readable(_action_type(), raw)
        if action is not None and action.action in ACTIONS:
            yield path, action


def claims_of(sheet: Sheet) -> Iterator[tuple[Path, Claim, str | None]]:
    """The claims that can be read, each with its phase's name (None: over the whole run)."""
    for path, raw, name, _ in raw_claims(sheet):
        claim = _readable(_claim_type(), raw)
        if claim is not None:
            yield path, claim, name


def readable_claim(raw: Any) -> Claim | None:
    """The claim, or None."""
    return _readable(_claim_type(), raw)


def fault_table(sheet: Sheet) -> dict[str, tuple[str, str]]:
    """Every fault's id, its target and its action; an action that nobody knows may be one."""
    found: dict[str, tuple[str, str]] = {}
    for group in groups(sheet):
        for _, raw in raw_actions(group):
            action, name, targets = raw.get("action"), raw.get("id"), texts(raw.get("target"))
            if not group.is_phase or not isinstance(action, str) or not isinstance(name, str):
                continue
            if action not in ACTIONS or ACTIONS[action].fault:
                found.update({name if len(targets) == 1 else f"{name}-{target}": (target, action) for target in targets})
    return found


def texts(value: Any) -> list[str]:
    """The texts of a value that is one, or a list of them."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]


def read_duration(value: Any) -> timedelta | None:
    """The value as a duration; None if it is none."""
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _list(holder: dict[str, Any], key: str) -> list[Any]:
    value = holder.get(key)
    return value if isinstance(value, list) else []


def _readable(adapter: TypeAdapter[T], raw: Any) -> T | None:
    try:
        return adapter.validate_json(json.dumps(raw))
    except ValidationError:
        return None


@lru_cache
def _action_type() -> TypeAdapter[Action]:
    return TypeAdapter(Action)


@lru_cache
def _claim_type() -> TypeAdapter[Claim]:
    return TypeAdapter(AnyClaim)
