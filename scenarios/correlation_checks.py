"""What the structure of a system's correlation rules does not say: services that are there, expressions that can be used."""

from collections.abc import Iterator
from typing import Any

from messages.audit_events import ENDED, SOURCE, STARTED
from messages.claims import nearest
from messages.claims.claim import expression_problems
from scenarios.asking import mapping
from scenarios.errors import shown
from scenarios.nodes import Path
from scenarios.selections import Names
from scenarios.sheet import Sheet

MAX_RULES = 200
_AT: Path = ("spec", "correlation")


def check_correlation(sheet: Sheet, names: Names) -> None:
    """Resolve the services that rules name, and note what is wrong with them."""
    found = mapping(sheet.spec.get("correlation"))
    if isinstance(found.get("key"), str):
        sheet.add_problems(_AT, expression_problems("key", found["key"]))
    rules = found.get("rules")
    if not isinstance(rules, list):
        return
    if len(rules) > MAX_RULES:
        sheet.add((*_AT, "rules"), f"{len(rules)} rules are too many", f"at most {MAX_RULES}")
        return
    taken: set[str] = set()
    for index, rule in enumerate(rules):
        if not isinstance(rule, dict):
            continue
        path = (*_AT, "rules", index)
        name = rule.get("name")
        if isinstance(name, str) and name in taken:
            sheet.add((*path, "name"), f"{shown(name)} stands here twice", "give one of them another name")
        taken.add(str(name))
        for side in ("trigger", "effect"):
            if isinstance(rule.get(side), dict):
                _check_side(sheet, (*path, side), rule[side], names, ours=side == "trigger")


def _check_side(sheet: Sheet, path: Path, side: dict[str, Any], names: Names, *, ours: bool) -> None:
    service = side.get("service")
    if isinstance(service, str) and service != SOURCE:
        side["service"] = names.resolve(service)
        if side["service"] not in names.services:
            sheet.add((*path, "service"), f"the system has no service {shown(service)}", nearest(service[:80], (*names.services, SOURCE)))
    elif service == SOURCE:
        for what, right in _problems_of_ours(side, trigger=ours):
            sheet.add((*path, "service") if not ours else (*path, "type"), what, right)
    if isinstance(side.get("where"), str):
        sheet.add_problems(path, expression_problems("where", side["where"]))


def _problems_of_ours(side: dict[str, Any], *, trigger: bool) -> Iterator[tuple[str, str]]:
    if not trigger:
        yield f"nothing makes {SOURCE} tell of a fault but the scenario", "name a service of the system"
        return
    told = side.get("type")
    for type_ in told if isinstance(told, list) else [told]:
        if isinstance(type_, str) and type_ not in {STARTED, ENDED}:
            yield f"{SOURCE} tells of no {shown(type_)}", f"{STARTED} or {ENDED}"
    if side.get("where") is not None:
        yield f"`where` is not asked of {SOURCE}'s events", "leave it out; a claim can name the `fault`"
