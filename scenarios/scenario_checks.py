"""What a scenario's structure does not say: names that exist, ids that differ, faults that end and do not meet."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from messages.claims import Claim, Problem, Scope, nearest
from messages.scenario import STAGES, Action
from messages.system import System
from scenarios.errors import shown
from scenarios.fitting import check_fitting, check_rolling
from scenarios.limit_checks import check_against_limits
from scenarios.naming import LONGEST
from scenarios.nodes import Path
from scenarios.overlaps import check_overlaps
from scenarios.parts import (
    Group,
    actions_of,
    claims_of,
    fault_table,
    faults_of,
    groups,
    named,
    raw_actions,
    raw_claims,
    read_duration,
    texts,
)
from scenarios.sheet import Sheet

MAX_ITEMS = 500
"""Actions that a scenario may have, and claims."""
_NAMED_LATER = {("during",), ("after",), ("before",), ("of",), ("fault",)}
"""What names a fault: without the system nobody knows the ids that are made from its services."""


def check_scenario(sheet: Sheet, system: System | None) -> None:
    """Note what is wrong with the names, actions and claims of a scenario; without a system what needs none."""
    _check_phase_names(sheet)
    _check_action_ids(sheet)
    _check_claim_ids(sheet)
    for group in groups(sheet):
        _check_gate(sheet, group)
        for path, raw in raw_actions(group):
            check_fitting(sheet, path, raw, system)
            check_rolling(sheet, path, raw)
        _check_order(sheet, group, names_are_known=system is not None)
        for path, action in actions_of(group):
            _check_action(sheet, group, path, action)
            _check_company(sheet, path, action, system)
            if system is not None:
                check_against_limits(sheet, group, path, action, system)
        check_overlaps(sheet, group, system)
    _check_claims(sheet, system)


def is_bounded(sheet: Sheet) -> bool:
    """Whether there are few enough actions and claims to look at them; noted if not."""
    actions = sum(1 for group in groups(sheet) for _ in raw_actions(group))
    claims = sum(1 for _ in raw_claims(sheet))
    if max(actions, claims) > MAX_ITEMS:
        sheet.add(("spec",), f"{actions} actions and {claims} claims are too many", f"at most {MAX_ITEMS} of each")
    return max(actions, claims) <= MAX_ITEMS


def _check_phase_names(sheet: Sheet) -> None:
    seen: set[str] = set()
    for group in groups(sheet):
        if group.name is None:
            continue
        if group.name in STAGES:
            sheet.add((*group.path, "name"), f"{group.name!r} is the name of a stage that every run has", "take another name")
        if group.name in seen:
            sheet.add((*group.path, "name"), f"a second phase with the name {shown(group.name)}", "names of phases must differ")
        seen.add(group.name)


def _check_gate(sheet: Sheet, group: Group) -> None:
    gate = group.raw.get("gate") if group.is_phase else None
    if not isinstance(gate, dict):
        return
    path = (*group.path, "gate")
    if isinstance(gate.get("ask"), str) and not gate["ask"].strip():
        sheet.add((*path, "ask"), "the gate asks nothing", "say what people are to decide")
    if read_duration(gate.get("timeout")) == timedelta():
        sheet.add((*path, "timeout"), "nobody can answer in no time", "give people some, like 30m")
    listed = list(texts(gate.get("approve")))
    for name in sorted({name for name in listed if listed.count(name) > 1}):
        sheet.add((*path, "approve"), f"{shown(name)} stands here twice", "name each once")


def _check_action_ids(sheet: Sheet) -> None:
    seen: set[str] = set()
    for group in groups(sheet):
        for path, raw in raw_actions(group):
            name, targets = raw.get("id"), named(raw.get("target"))
            if not isinstance(name, str):
                continue
            faults = [fault for fault in faults_of(raw) if fault != name]
            for taken in sorted(seen.intersection({name, *faults})):
                sheet.add((*path, "id"), f"a second action with the id {shown(taken)}", "ids of actions and of their faults must differ")
            if len(set(targets)) < len(targets):
                twice = next(t for t in targets if targets.count(t) > 1)
                sheet.add((*path, "target"), f"{twice!r} stands here twice", "name each once")
            elif faults and len(max(faults, key=len)) > LONGEST:
                what = f"the fault's id {max(faults, key=len)!r} has more than {LONGEST} characters"
                sheet.add((*path, "id"), what, "give the action a shorter `id`")
            seen.update((name, *faults))


def _check_claim_ids(sheet: Sheet) -> None:
    seen: set[str] = set()
    for path, raw, _, _ in raw_claims(sheet):
        name = raw.get("id")
        if not isinstance(name, str):
            continue
        if name.startswith("steady-"):
            sheet.add((*path, "id"), "`steady-` begins the ids of the steady state", "take another id")
        if name in seen:
            sheet.add((*path, "id"), f"a second claim with the id {shown(name)}", "ids of claims must differ")
        seen.add(name)


def _check_order(sheet: Sheet, group: Group, *, names_are_known: bool) -> None:
    """`after` names another action of the group, and nothing waits for itself."""
    actions = {raw["id"]: raw for _, raw in raw_actions(group) if isinstance(raw.get("id"), str)}
    for path, raw in raw_actions(group):
        name, after = raw.get("id"), raw.get("after")
        if not isinstance(after, str):
            continue
        if after not in actions and not names_are_known:
            continue
        if after not in actions:
            others = [other for other in actions if other != name]
            sheet.add(
                (*path, "after"),
                f"there is no action {shown(after)} in this {'phase' if group.is_phase else 'list'}",
                nearest(after[:80], others),
            )
        elif name in _chain(actions, after):
            sheet.add((*path, "after"), f"{shown(name)} waits for itself", "let one of the circle's actions start without `after`")


def _chain(actions: dict[str, dict[str, Any]], start: str) -> dict[str, None]:
    """The action, what it comes after, what that comes after, and so on."""
    found: dict[str, None] = {}
    name: Any = start
    while isinstance(name, str) and name in actions and name not in found:
        found[name] = None
        name = actions[name].get("after")
    return found


def _check_action(sheet: Sheet, group: Group, path: Path, action: Action) -> None:
    if action.spec.fault and not group.is_phase:
        sheet.add((*path, "action"), f"{action.action} is a fault, and `finally` may hold none", "do it in a phase")
        return
    if not action.spec.fault and action.for_ is not None:
        sheet.add((*path, "for"), f"{action.action} is no fault and has no end", "leave `for` out", at_key=True)
    if action.for_ == timedelta():
        sheet.add((*path, "for"), "a fault cannot end at once", "give it a duration, like 5s")
    if action.spec.fault and not action.spec.ends_itself and action.for_ is None and group.raw.get("duration") is None:
        sheet.add(path, "a fault without an end", "add for: 5s, or give the phase a duration")


def _check_company(sheet: Sheet, path: Path, action: Action, system: System | None) -> None:
    """Runs that share a system know nothing of each other's faults: the undo of one would end the other's as well."""
    shared = system is not None and sheet.spec.get("concurrency") == system.spec.concurrency == "shared"
    if shared and action.spec.fault:
        what = f"{action.action} is a fault, and a run that shares its system may hold none: it would disturb the runs beside it"
        sheet.add((*path, "action"), what, "take `concurrency: shared` out of the scenario")


def _check_claims(sheet: Sheet, system: System | None) -> None:
    faults, phases = fault_table(sheet), [group.name for group in groups(sheet) if group.is_phase and group.name is not None]
    by_id = _claims_by_id(sheet)
    homes = {fault: group.name for group in groups(sheet) for _, raw in raw_actions(group) for fault in faults_of(raw)}
    for path, claim, phase in claims_of(sheet):
        if sheet.full:
            return
        starts = [phases.index(name) for name in _opened_in(claim, phase, homes) if name in phases]
        earlier = tuple(phases[: max(starts, default=0)])
        scope = _scope(claim, system, faults, phase, earlier)
        scope = replace(scope, phases=phases, claims=by_id) if system is not None else scope
        sheet.add_problems(path, _problems(claim, scope, system))
        if system is not None and claim.id in _measured(system):
            what = f"{claim.id!r} is the name of a service, probe or workload, and what is measured for it is told under that name"
            sheet.add((*path, "id"), what, "give the claim another id")
        if claim.follows_health and system is not None:
            for target in _targets(claim):
                if target in system.spec.services and target not in system.monitored():
                    sheet.add((*path, "target"), f"{target!r} has no health checks", "give the service `health` in the system")


def _claims_by_id(sheet: Sheet) -> dict[str, Claim | None] | None:
    """Every claim, None for one that cannot be read; None at all if a word stands there of which nobody knows the claim."""
    written = [raw for _, raw, _, _ in raw_claims(sheet)]
    named: dict[str, Claim | None] = {raw["id"]: None for raw in written if isinstance(raw.get("id"), str)}
    return named | {claim.id: claim for _, claim, _ in claims_of(sheet)} if all(written) else None


def _measured(system: System) -> set[str]:
    spec = system.spec
    return {*spec.services, *spec.probes, *spec.workloads}


def _opened_in(claim: Claim, phase: str | None, homes: dict[str, str | None]) -> list[str | None]:
    """The phases in which the claim's window may open: its own, and those of the faults that it waits for."""
    waited = [reference.partition(".")[0] for reference in (claim.during, claim.after) if reference is not None]
    return [phase, *(homes.get(fault) for fault in waited)]


def _scope(claim: Claim, system: System | None, faults: dict[str, tuple[str, str]], phase: str | None, earlier: tuple[str, ...]) -> Scope:
    if system is None:
        named = {*_targets(claim), *(target for target, _ in faults.values())}
        return Scope({target: frozenset({target}) for target in named}, faults, phase, earlier)
    spec = system.spec
    metrics = [name for name, service in spec.services.items() if service.metrics is not None]
    says = {name for name, service in spec.services.items() if service.role is not None}
    return Scope(
        system.event_names(),
        faults,
        phase,
        earlier,
        probes=tuple(spec.probes),
        workloads=tuple(spec.workloads),
        metrics=metrics,
        groups={name: {member: member in says for member in group.members} for name, group in spec.groups.items()},
        prometheus=spec.prometheus is not None,
        traces=spec.traces is not None,
        logs=[name for name, service in spec.services.items() if service.driver.process is not None],
        events=bool(spec.events),
        rules=[rule.name for rule in spec.correlation.rules],
    )


def _problems(claim: Claim, scope: Scope, system: System | None) -> Iterator[Problem]:
    """What is wrong with a claim; without the system what needs none."""
    return (problem for problem in claim.problems(scope) if system is not None or problem.path[:1] not in _NAMED_LATER)


def _targets(claim: Claim) -> Iterator[str]:
    yield from texts(claim.model_dump(mode="json").get("target"))
