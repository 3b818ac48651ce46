"""Names in a document: aliases become services, `all` the services it stands for, and what has no id gets one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from messages.claims import nearest
from messages.system import System
from scenarios.nodes import Path
from scenarios.parts import fault_table, groups, raw_actions, raw_claims, texts
from scenarios.sheet import Sheet

ALL = "all"
LONGEST = 64
"""Characters of an id."""
MAX_TARGETS = 200
"""Services that an action or claim may name."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the services of a system are called."""

    services: tuple[str, ...]
    monitored: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, system: System) -> "Names":
        """The names in a system."""
        aliases = {alias: name for name, service in system.spec.services.items() for alias in service.aliases}
        return cls(tuple(system.spec.services), system.monitored(), aliases)

    def resolve(self, word: str) -> str:
        """The service that goes by this word; the word itself if none does."""
        return word if word in self.services else self.aliases.get(word, word)


def name_everything(sheet: Sheet, names: Names | None) -> None:
    """Resolve the targets of a scenario, note the ones that do not exist, and give ids to what has none."""
    for group in groups(sheet):
        for path, action in raw_actions(group):
            resolve_target(sheet, path, action, names)
    for path, claim, _, _ in raw_claims(sheet):
        resolve_target(sheet, path, claim, names)
    _name_actions(sheet)
    _name_claims(sheet)
    _fill_recoveries(sheet)


def resolve_target(sheet: Sheet, path: Path, item: dict[str, Any], names: Names | None) -> None:
    """Bring `target` (or `service`, the same) of an action or claim into its final form."""
    if "service" in item:
        word = item.pop("service")
        if "target" in item:
            sheet.add((*path, "service"), "`service` is another word for `target`", "keep one of them", at_key=True)
        item.setdefault("target", word)
    target = item.get("target")
    if names is None or target is None:
        return
    if isinstance(target, list) and len(target) > MAX_TARGETS:
        sheet.add((*path, "target"), f"{len(target)} targets are too many", f"at most {MAX_TARGETS}")
        item["target"] = []
    elif isinstance(target, list):
        item["target"] = [new for word in target for new in _expand(word, item, names)]
    elif isinstance(target, str):
        found = list(_expand(target, item, names))
        item["target"] = found[0] if len(found) == 1 else found
    for name in texts(item["target"]):
        if name not in names.services and not sheet.full:
            sheet.add((*path, "target"), f"the system has no service {name!r}", nearest(name[:80], names.services))


def _expand(word: Any, item: dict[str, Any], names: Names) -> Iterable[Any]:
    if word == ALL and item.get("type") in {None, "health"}:
        return names.monitored if item.get("type") == "health" and names.monitored else names.services
    return [names.resolve(word)] if isinstance(word, str) else [word]


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
    taken = {name for action in actions if isinstance(action.get("id"), str) for name in _ids(action)}
    for action in actions:
        kind, targets = action.get("action"), texts(action.get("target"))
        if "id" not in action and isinstance(kind, str):
            action["id"] = unique(f"{kind}-{targets[0]}" if len(targets) == 1 else kind, taken)
            taken.update(_ids(action))


def _ids(action: dict[str, Any]) -> set[str]:
    targets = texts(action.get("target"))
    return {action["id"], *(f"{action['id']}-{target}" for target in targets if len(targets) > 1)}


def _name_claims(sheet: Sheet) -> None:
    claims = list(raw_claims(sheet))
    taken = {claim["id"] for _, claim, _, _ in claims if isinstance(claim.get("id"), str)}
    for _, claim, phase, whole in claims:
        kind = claim.get("type")
        if "id" not in claim and isinstance(kind, str):
            place = "run" if whole else phase or "phase"
            place = f"phase-{place}" if place == "steady" or place.startswith("steady-") else place
            claim["id"] = unique(f"{place[: LONGEST - len(kind[:20]) - 1]}-{kind[:20]}", taken)


def _fill_recoveries(sheet: Sheet) -> None:
    faults = fault_table(sheet)
    for _, claim, _, _ in raw_claims(sheet):
        if claim.get("type") == "recovery" and not claim.get("of"):
            mine = [name for name, (target, _) in faults.items() if target == claim.get("target")]
            if len(mine) == 1:
                claim["of"] = mine[0]
