"""The actions and claims of a scenario that can be read, whatever else is wrong with it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from messages.actions import ACTIONS
from messages.claims import AnyClaim, Claim
from messages.claims.claim import ONE_OF_THEM
from messages.scenario import Action, RandomAction, RandomPlan
from messages.targets import Selection
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


def raw_plan(group: Group) -> tuple[Path, dict[str, Any]] | None:
    """The random plan of a phase as it stands there, if something is still to be drawn from it."""
    raw = group.raw.get("random") if group.is_phase else None
    return ((*group.path, "random"), raw) if isinstance(raw, dict) and raw.get("drawn") is not True else None


def raw_choices(group: Group) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The actions that the random plan of a phase draws from, as they stand there."""
    path, raw = raw_plan(group) or ((), {})
    for index, choice in enumerate(_list(raw, "among")):
        if isinstance(choice, dict):
            yield (*path, "among", index), choice


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


def plan_of(raw: dict[str, Any]) -> RandomPlan | None:
    """The random plan, if it can be read and all of its actions are known."""
    plan = _readable(_plan_type(), raw)
    return plan if plan is not None and all(choice.action in ACTIONS for choice in plan.among) else None


def choice_of(raw: dict[str, Any]) -> RandomAction | None:
    """One of the actions of a random plan, if it can be read and is known."""
    choice = _readable(_choice_type(), raw)
    return choice if choice is not None and choice.action in ACTIONS else None


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
            action = raw.get("action")
            if group.is_phase and isinstance(action, str) and (action not in ACTIONS or ACTIONS[action].fault):
                found.update({fault: (target, action) for fault, target in faults_of(raw).items()})
    return found


def faults_of(raw: dict[str, Any]) -> dict[str, str]:
    """The id of the fault on each target of an action, as `Action.faults` has it; empty when the action has no id."""
    name, target = raw.get("id"), raw.get("target")
    if not isinstance(name, str):
        return {}
    if isinstance(target, dict) and target.get("pick") == 1:
        return {name: ONE_OF_THEM}
    targets = [name] if isinstance(target, dict) and target.get("between") is not None else named(target)
    return {name if len(targets) == 1 else f"{name}-{one}": one for one in targets}


def named(target: Any) -> list[str]:
    """The services, links or volumes that a target names; candidates, if it is chosen later."""
    if not isinstance(target, dict):
        return texts(target)
    return next((texts(target[key]) for key in ("of", "link", "volume") if target.get(key) is not None), [])


def selection_of(target: Any) -> Selection | None:
    """The target as a selection; None if it is none that can be read."""
    return _readable(_selection_type(), target) if isinstance(target, dict) else None


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
def _selection_type() -> TypeAdapter[Selection]:
    return TypeAdapter(Selection)


@lru_cache
def _plan_type() -> TypeAdapter[RandomPlan]:
    return TypeAdapter(RandomPlan)


@lru_cache
def _choice_type() -> TypeAdapter[RandomAction]:
    return TypeAdapter(RandomAction)


@lru_cache
def _claim_type() -> TypeAdapter[Claim]:
    return TypeAdapter(AnyClaim)
