"""Names in a scenario: targets get their final form, and what has no id gets one."""

import re
from collections.abc import Iterable
from typing import Any

from scenarios.parts import Group, fault_table, faults_of, groups, named, raw_actions, raw_choices, raw_claims
from scenarios.selections import Names, resolve_target
from scenarios.sheet import Sheet

LONGEST = 64
"""Characters of an id."""


def name_everything(sheet: Sheet, names: Names | None) -> None:
    """Resolve the targets of a scenario, note the ones that do not exist, and give ids to what has none."""
    for group in groups(sheet):
        for path, action in (*raw_actions(group), *raw_choices(group)):
            resolve_target(sheet, path, action, names)
    for path, claim, _, _ in raw_claims(sheet):
        resolve_target(sheet, path, claim, names)
    _name_actions(sheet)
    _name_claims(sheet)
    _fill_recoveries(sheet)


def unique(wanted: str, taken: set[str]) -> str:
    """A token like the wanted one that is not taken; it is taken then."""
    wanted = re.sub(r"[^A-Za-z0-9_-]", "-", wanted)
    name, number = wanted[:LONGEST], 1
    while name in taken:
        number += 1
        name = f"{wanted[: LONGEST - len(str(number)) - 1]}-{number}"
    taken.add(name)
    return name


def _name_actions(sheet: Sheet) -> None:
    actions = [action for group in groups(sheet) for _, action in raw_actions(group)]
    taken = taken_ids(groups(sheet))
    for action in actions:
        if "id" not in action and isinstance(action.get("action"), str):
            action["id"] = unique(_usual_id(action["action"], action.get("target")), taken)
            taken.update(faults_of(action))


def taken_ids(found: Iterable[Group]) -> set[str]:
    """The ids of the actions that have one, and of their faults."""
    actions = [action for group in found for _, action in raw_actions(group) if isinstance(action.get("id"), str)]
    return {name for action in actions for name in (action["id"], *faults_of(action))}


def _usual_id(kind: str, target: Any) -> str:
    group = target.get("group") if isinstance(target, dict) else None
    targets = [group] if isinstance(group, str) else named(target)
    return f"{kind}-{targets[0]}" if len(targets) == 1 else kind


def _name_claims(sheet: Sheet) -> None:
    claims = list(raw_claims(sheet))
    taken = {claim["id"] for _, claim, _, _ in claims if isinstance(claim.get("id"), str)}
    for _, claim, phase, whole in claims:
        kind = claim.get("type")
        if "id" not in claim and isinstance(kind, str):
            claim["id"] = claim_id("run" if whole else phase or "phase", kind, taken)


def claim_id(place: str, kind: str, taken: set[str]) -> str:
    """An id for a claim of this kind in this place that is not taken; it is taken then."""
    place = f"phase-{place}" if place == "steady" or place.startswith("steady-") else place
    return unique(f"{place[: LONGEST - len(kind[:40]) - 1]}-{kind[:40]}", taken)


def _fill_recoveries(sheet: Sheet) -> None:
    faults = fault_table(sheet)
    for _, claim, _, _ in raw_claims(sheet):
        if claim.get("type") == "recovery" and not claim.get("of"):
            mine = [name for name, (target, _) in faults.items() if target == claim.get("target")]
            if len(mine) == 1:
                claim["of"] = mine[0]
