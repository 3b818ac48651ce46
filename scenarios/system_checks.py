"""What a system's structure does not say: names, addresses, subjects and expressions that can be used."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bus.subjects import covers
from messages.audit_events import ENDED, STARTED, subject_of
from messages.claims import Scope, nearest
from messages.claims.claim import as_tuple
from messages.claims.health import HealthClaim
from scenarios.asking import check_probes, check_prometheus, check_service_questions, check_traces, mapping
from scenarios.correlation_checks import check_correlation
from scenarios.errors import shown
from scenarios.limit_checks import check_limits
from scenarios.naming import unique
from scenarios.nodes import Path
from scenarios.parts import readable_claim
from scenarios.selections import ALL, Names, resolve_target
from scenarios.sheet import Sheet
from scenarios.wiring import check_environment, check_wiring, groups_of

MAX_SERVICES = 200
"""Services that a system may have."""
MAX_STEADY = 100
"""Claims that a steady state may have."""
MAX_STEADY_ID = 49
"""Characters of a steady-state claim's id: it is opened under longer ones."""
_ALIAS = re.compile(r"[A-Za-z0-9._:/-]{1,128}")


def check_system(sheet: Sheet) -> None:
    """Resolve the names in a system, give ids to its claims, and note what is wrong with it."""
    services = mapping(sheet.spec.get("services"))
    if len(services) > MAX_SERVICES:
        sheet.add(("spec", "services"), f"{len(services)} services are too many", f"at most {MAX_SERVICES}")
        return
    names = _names(sheet, services)
    for name, service in services.items():
        if isinstance(service, dict):
            _check_service(sheet, ("spec", "services", name), service, names)
    _check_circles(sheet, services)
    _check_subjects(sheet)
    check_wiring(sheet, names)
    check_limits(sheet, names)
    names = replace(names, groups=groups_of(sheet))
    check_probes(sheet)
    check_prometheus(sheet)
    check_correlation(sheet, names)
    check_traces(sheet)
    _steady(sheet, names)


def _names(sheet: Sheet, services: dict[str, Any]) -> Names:
    aliases: dict[str, str] = {}
    if ALL in services:
        sheet.add(("spec", "services", ALL), f"{ALL!r} stands for every service", "take another name", at_key=True)
    for name, service in services.items():
        for index, alias in enumerate(_list(service, "aliases")):
            path = ("spec", "services", name, "aliases", index)
            if not isinstance(alias, str):
                continue
            if not _ALIAS.fullmatch(alias) or alias == ALL:
                sheet.add(path, f"{shown(alias)} cannot be an alias", "letters, digits and . _ : / - without spaces, and not `all`")
            elif alias in services:
                sheet.add(path, f"{shown(alias)} is a service itself", "take another alias")
            elif alias in aliases:
                sheet.add(path, f"{shown(alias)} is already an alias of {aliases[alias]!r}", "keep one of them")
            aliases.setdefault(alias, name)
    monitored = tuple(name for name, service in services.items() if isinstance(service, dict) and isinstance(service.get("health"), dict))
    return Names(tuple(services), monitored, aliases)


def _check_service(sheet: Sheet, path: Path, service: dict[str, Any], names: Names) -> None:
    needs = _list(service, "depends_on")
    for index, need in enumerate(needs):
        if isinstance(need, str) and not sheet.full:
            needs[index] = names.resolve(need)
            if needs[index] not in names.services:
                sheet.add((*path, "depends_on", index), f"the system has no service {shown(need)}", nearest(need[:80], names.services))
            elif needs[index] == path[-1]:
                sheet.add((*path, "depends_on", index), f"{need!r} depends on itself", "leave it out")
    process = mapping(mapping(service.get("driver")).get("process"))
    check_environment(sheet, (*path, "driver", "process", "env"), process)
    check_service_questions(sheet, path, service)


def _check_circles(sheet: Sheet, services: dict[str, Any]) -> None:
    left = {name: {n for n in _list(s, "depends_on") if isinstance(n, str) and n in services and n != name} for name, s in services.items()}
    while any(not needs for needs in left.values()):
        left = {name: {n for n in needs if left.get(n)} for name, needs in left.items() if needs}
    if left:
        name = next(iter(left))
        what = f"services depend on each other in a circle: {', '.join(sorted(left))}"
        sheet.add(("spec", "services", name, "depends_on"), what, "take one of them out")


def _check_subjects(sheet: Sheet) -> None:
    seen: set[str] = set()
    for index, subject in enumerate(_list(sheet.spec, "events")):
        if isinstance(subject, str):
            for what, right in _subject_problems(subject):
                sheet.add(("spec", "events", index), what, right)
            if subject in seen:
                sheet.add(("spec", "events", index), f"{shown(subject)} stands here twice", "keep one of them")
            seen.add(subject)
    _check_audit(sheet, [subject for subject in seen if not any(_subject_problems(subject))])


def _check_audit(sheet: Sheet, events: list[str]) -> None:
    """Where the starts and ends of faults are published must be among the events: else nobody keeps them."""
    pattern = sheet.spec.get("audit")
    if not isinstance(pattern, str):
        return
    problems = list(_subject_problems(pattern))
    subjects = [subject_of(pattern, each) for each in (STARTED, ENDED)]
    missed = next((subject for subject in subjects if not any(covers(captured, subject) for captured in events)), None)
    if not problems and missed is not None:
        told = f"faults would be told on {missed}, which `events` do not take in, so nobody would keep it"
        problems.append((told, f"a subject within them, like {subject_of(events[0], STARTED)}" if events else "name it in `events`"))
    for what, right in problems:
        sheet.add(("spec", "audit"), what, right)


def _subject_problems(subject: str) -> Iterator[tuple[str, str]]:
    tokens = subject.split(".")
    if len(subject) > 255 or re.search(r"\s", subject) or "" in tokens:
        yield f"{shown(subject)} is not a subject", "words joined by dots, without spaces, like trading.events.>"
    elif any(("*" in token or ">" in token) and len(token) > 1 for token in tokens) or ">" in tokens[:-1]:
        yield f"{shown(subject)} has a wildcard in the wrong place", "* stands for a whole word, > for all words at the end"
    elif tokens[0] in {"*", ">"} or tokens[0].startswith(("$", "_")):
        yield f"{shown(subject)} would take in what is not the system's", "start with a word of the system's own, like trading.events.>"


def _steady(sheet: Sheet, names: Names) -> None:
    claims = _list(mapping(sheet.spec.get("steady_state")), "claims")
    if len(claims) > MAX_STEADY:
        sheet.add(("spec", "steady_state", "claims"), f"{len(claims)} claims are too many", f"at most {MAX_STEADY}")
        return
    taken = {claim["id"] for claim in claims if isinstance(claim, dict) and isinstance(claim.get("id"), str)}
    seen: set[str] = set()
    for index, raw in enumerate(claims):
        if not isinstance(raw, dict):
            continue
        path = ("spec", "steady_state", "claims", index)
        resolve_target(sheet, path, raw, names)
        if "id" not in raw:
            raw["id"] = unique("health", taken)
        elif isinstance(raw["id"], str) and (
            raw["id"] in seen or len(raw["id"]) > MAX_STEADY_ID or raw["id"].startswith(("settle-", "recover-"))
        ):
            right = f"at most {MAX_STEADY_ID} characters, not begun with settle- or recover-, and each once"
            sheet.add((*path, "id"), f"{shown(raw['id'])} cannot be the id of a steady-state claim", right)
        seen.add(raw["id"] if isinstance(raw["id"], str) else "")
        _check_steady(sheet, path, raw, names)


def _check_steady(sheet: Sheet, path: Path, raw: dict[str, Any], names: Names) -> None:
    claim = readable_claim(raw)
    if claim is None:
        return
    if not isinstance(claim, HealthClaim):
        sheet.add((*path, "type"), f"a steady-state claim cannot be {claim.type}", "only health claims are judged in the steady state")
        return
    if claim.within is not None or claim.never:
        sheet.add(path, "a steady-state claim holds throughout", "take `within` and `never` out; `settle` and `recover` are its bounds")
        return
    raw["throughout"] = True
    sheet.add_problems(path, claim.problems(Scope({name: frozenset({name}) for name in names.services}, {}, None)))
    for target in as_tuple(claim.target):
        if target in names.services and target not in names.monitored:
            sheet.add((*path, "target"), f"{target!r} has no health checks", "give the service `health`, or name the others")


def _list(holder: Any, key: str) -> list[Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, list) else []
