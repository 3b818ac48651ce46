"""The structure of an original document in the language's own form; everything keeps its place in the text."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, get_args

from messages.actions import ACTIONS
from messages.claims import AnyClaim, nearest
from messages.values import TOKEN_PATTERN
from scenarios.asserting import claim_of
from scenarios.errors import shown
from scenarios.naming import taken_ids, unique
from scenarios.nodes import Path
from scenarios.original.expectations import BREACHES, EXPECTATIONS, TYPES, word_of
from scenarios.parts import groups, raw_claims
from scenarios.sheet import Sheet

SYSTEM = "trading"
"""What a document is about that does not say it."""
ON_A_SERVICE = {"latency": "exchange_latency"}
"""Actions whose names mean something else here: what the exchange does to itself."""
OWN_TYPES = frozenset(get_args(claim.model_fields["type"].annotation)[0] for claim in get_args(get_args(AnyClaim)[0]))
"""Types of the language's own claims, which keep their meaning."""
IMPLIED = ("all_phases_completed", "no_critical_system_failures", "system_recovered_within_sla")
"""Criteria that every verdict implies: a phase that was cut is inconclusive, and the steady state is claimed all through and at the end."""
BREACHES_IDENTIFIED = "risk_system_correctly_identified_all_breaches"
"""A criterion that the verdict implies where the document says which breaches: each of its assertions about them must pass."""
_ROLLBACK = ("on_failure", "actions", "enabled", "timeout", "aggressive_cleanup", "notify_on_rollback")
_MARKS = ("rollback", "success_criteria", "reporting", "duration")
_TOKEN = re.compile(TOKEN_PATTERN)
_TYPO = 0.8
"""How like a known word an unknown one must be to be a misspelling of it."""


def is_original(data: Any) -> bool:
    """Whether a document says something that only the original ones say."""
    spec = _mapping(_mapping(data).get("spec"))
    if any(spec.get(mark) for mark in _MARKS):
        return True
    for phase in _items(spec.get("phases")):
        claims = _items(phase.get("assertions"))
        if "parallel_actions" in phase or any(str(claim.get("type")) in TYPES for claim in claims):
            return True
    return False


def translate(sheet: Sheet) -> None:
    """Bring an original document into the language's own form, and note what is wrong with its own words. Others stay as they are."""
    if not is_original(sheet.data):
        return
    sheet.spec.setdefault("system", SYSTEM)
    sequences = [
        _join(sheet, ("spec", "phases", index), phase)
        for index, phase in enumerate(sheet.spec["phases"] if isinstance(sheet.spec.get("phases"), list) else ())
        if isinstance(phase, dict)
    ]
    _roll_back(sheet)
    taken = taken_ids(groups(sheet))
    for group in groups(sheet):
        for action in _items(group.raw.get(group.key)):
            _name_action(action, taken)
    for sequence in sequences:
        _order(sequence, taken)
    breaches = any(_names_breach(claim) for _, claim, _, _ in raw_claims(sheet))
    _translate_claims(sheet)
    _take_criteria(sheet, names_breaches=breaches)


def _join(sheet: Sheet, path: Path, phase: dict[str, Any]) -> list[dict[str, Any]]:
    """Put the parallel actions behind the others, which are returned. What is no list stays where it is, for others to refuse."""
    first, second = phase.get("actions", []), phase.get("parallel_actions")
    if isinstance(first, list) and isinstance(second, list):
        for index in range(len(second)):
            sheet.moved((*path, "actions", len(first) + index), (*path, "parallel_actions", index))
        phase["actions"] = [*first, *phase.pop("parallel_actions")]
    return _items(first)


def _order(sequence: list[dict[str, Any]], taken: set[str]) -> None:
    """What follows an action that ends something on the same service waits for it."""
    ends: dict[str, dict[str, Any]] = {}
    for action in sequence:
        kind, service = action.get("action"), _service(action)
        if not isinstance(kind, str) or kind not in ACTIONS or service is None:
            continue
        if service in ends and "after" not in action and "delay" not in action:
            action["after"] = ends[service].setdefault("id", unique(f"{ends[service]['action']}-{service}", taken))
        if not ACTIONS[kind].fault:
            ends[service] = action


def _roll_back(sheet: Sheet) -> None:
    rollback = sheet.spec.get("rollback")
    if not isinstance(rollback, dict):
        return
    for key in rollback:
        if key not in _ROLLBACK:
            sheet.add(("spec", "rollback", key), f"unknown key {shown(key)}", nearest(key[:80], _ROLLBACK), at_key=True)
    actions, before = rollback.get("actions", []), sheet.spec.get("finally", [])
    if not isinstance(actions, list):
        sheet.add(("spec", "rollback", "actions"), f"'actions' cannot be {shown(actions)}", "a list of actions")
        actions = []
    if isinstance(before, list):
        for index in range(len(actions)):
            sheet.moved(("spec", "finally", len(before) + index), ("spec", "rollback", "actions", index))
        sheet.spec["finally"] = [*before, *(actions if rollback.get("on_failure") is not False else ())]
    del sheet.spec["rollback"]


def _name_action(action: dict[str, Any], taken: set[str]) -> None:
    """Give the action the name that it has here; one that nobody here can do loads, unless it is only misspelt."""
    name, told = action.get("action"), action.get("parameters")
    if not isinstance(name, str):
        return
    if _service(action) is not None:
        action["action"] = ON_A_SERVICE.get(name, name)
    if name not in ACTIONS and _TOKEN.fullmatch(name) and not _misspelt(name, ACTIONS):
        action.setdefault("id", unique(f"{name}-{_service(action) or 'unknown'}", taken))
        action |= {"action": "unsupported", "parameters": {"wanted": name, "told": told if isinstance(told, dict) else {}}}


def _translate_claims(sheet: Sheet) -> None:
    claims = list(raw_claims(sheet))
    taken = {claim["id"] for _, claim, _, _ in claims if isinstance(claim.get("id"), str)}
    for path, claim, phase, _ in claims:
        kind, expect = claim.get("type"), claim.get("expect")
        if not isinstance(kind, str) or not (kind in TYPES or "expect" in claim) or kind in OWN_TYPES:
            continue
        if not isinstance(expect, str):
            known = [word for one, word in EXPECTATIONS if one == kind]
            what = "'expect' is missing" if expect is None else f"'expect' cannot be {shown(expect)}"
            sheet.add((*path, "expect") if expect is not None else path, what, f"one of {', '.join(known)}" if known else "a text")
            _hide(sheet, path)
            continue
        fields = _fields(sheet, path, claim, (kind, expect))
        if fields is not None:
            _rewrite(claim, fields, (kind, expect))
            claim.setdefault("id", unique(f"{phase or 'run'}-{kind}", taken))


def _names_breach(claim: dict[str, Any]) -> bool:
    """Whether a claim says that a limit is breached and the risk system says so; also one that was translated already."""
    kind, expect = claim.get("type"), claim.get("expect")
    asked = (str(kind), str(expect)) in BREACHES or str(claim.get("assert")) in {EXPECTATIONS[pair] for pair in BREACHES}
    return asked or (kind == "event" and "risk.alert_generated" in str(claim.get("where")))


def _fields(sheet: Sheet, path: Path, claim: dict[str, Any], wanted: tuple[str, str]) -> dict[str, Any] | None:
    """What the claim is made of; None where a word is only misspelt, which is noted or left for others to note."""
    kind, expect = wanted
    known = [word for one, word in EXPECTATIONS if one == kind]
    if kind not in TYPES and _misspelt(kind, TYPES):
        sheet.add((*path, "type"), f"unknown type {shown(kind)}", nearest(kind[:80], TYPES))
    elif expect not in known and _misspelt(expect, known):
        sheet.add((*path, "expect"), f"a {kind} assertion does not know {shown(expect)}", nearest(expect[:80], known))
    else:
        fields = _judged(sheet, path, claim, wanted) if wanted in EXPECTATIONS else _unsupported(claim, wanted)
        if fields is not None:
            return fields
    _hide(sheet, path)
    return None


def _judged(sheet: Sheet, path: Path, claim: dict[str, Any], wanted: tuple[str, str]) -> dict[str, Any] | None:
    """The claim that the word of the vocabulary stands for; None when it is told something wrong, which is noted."""
    name, word = EXPECTATIONS[wanted], word_of(wanted)
    given = {key: (value, (*path, "parameters", key)) for key, value in _mapping(claim.get("parameters")).items()}
    service = claim.get("service", claim.get("target"))
    if service is not None and any(parameter.name == "service" for parameter in word.parameters):
        given.setdefault("service", (service, (*path, "target")))
    fields = claim_of(sheet, path, name, word, given)
    return {key: value for key, value in fields.items() if key != "description"} if fields is not None else None


def _unsupported(claim: dict[str, Any], wanted: tuple[str, str]) -> dict[str, Any]:
    service = claim.get("service", claim.get("target"))
    of = {"target": service} if service is not None else {}
    return {"type": "unsupported", "wanted": "/".join(wanted), "parameters": _mapping(claim.get("parameters")), **of}


def _hide(sheet: Sheet, path: Path) -> None:
    """What others have against a claim that could not be translated follows from that."""
    sheet.hide(path)
    sheet.hide((*path, "type"))


def _rewrite(claim: dict[str, Any], fields: dict[str, Any], wanted: tuple[str, str]) -> None:
    parameters = claim.pop("parameters", {})
    told = ", ".join(str(value) for value in parameters.values()) if isinstance(parameters, dict) else ""
    for key in ("service", "target", "expect"):
        claim.pop(key, None)
    claim.setdefault("description", ": ".join(filter(None, (f"{wanted[0]}/{wanted[1]}", told))))
    claim |= fields


def _take_criteria(sheet: Sheet, *, names_breaches: bool) -> None:
    """Criteria that no verdict implies are claims over the whole run; their ids are the criteria."""
    criteria, claims = sheet.spec.get("success_criteria"), sheet.spec.setdefault("assertions", [])
    if not isinstance(criteria, list) or not isinstance(claims, list):
        return
    there = {claim.get("id") for claim in _items(claims)}
    implied = (*IMPLIED, BREACHES_IDENTIFIED) if names_breaches else IMPLIED
    for index, name in enumerate(criteria):
        if not isinstance(name, str) or name in implied or name in there or not _TOKEN.fullmatch(name):
            continue
        known = (*IMPLIED, BREACHES_IDENTIFIED)
        if name not in known and _misspelt(name, known):
            sheet.add(("spec", "success_criteria", index), f"unknown criterion {shown(name)}", nearest(name, known))
            continue
        sheet.moved(("spec", "assertions", len(claims)), ("spec", "success_criteria", index))
        missing = ": no assertion of the document names a breach" if name == BREACHES_IDENTIFIED else ""
        claims.append({"id": name, "type": "unsupported", "wanted": f"success_criteria/{name}{missing}"})


def _service(action: dict[str, Any]) -> str | None:
    found = action.get("service", action.get("target"))
    return found if isinstance(found, str) else None


def _misspelt(word: str, known: Iterable[str]) -> bool:
    return bool(get_close_matches(word[:80], list(known), n=1, cutoff=_TYPO))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
