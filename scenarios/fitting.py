"""Whether an action can be done to its target, by its means, and as it is told to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from messages.actions import ACTIONS, ActionSpec, Means, TargetKind
from messages.claims import nearest
from messages.claims.claim import expression_problems
from messages.expressions import ExpressionError, compiled
from messages.needs import links_between, namespace_of
from messages.system import Service, System
from messages.targets import Selection
from scenarios.errors import shown
from scenarios.nodes import Path
from scenarios.parts import named, selection_of, texts
from scenarios.ranges import ends_of
from scenarios.selections import most_chosen
from scenarios.sheet import Sheet
from scenarios.wording import check_part

WHERE_VARIABLES = ("name", "role", "up", "index")
"""What a `where` may ask about."""
_OFFERED = {name: spec for name, spec in ACTIONS.items() if spec.means != "nothing"}
"""What a person may ask for."""
_WRITTEN: dict[TargetKind, str] = {
    "service": "the name of a service, a list, or {group: …}",
    "link": "{link: …}",
    "volume": "{volume: …}",
    "partition": "{between: [[one], [other]]}",
}


@dataclass(frozen=True, slots=True)
class Doing:
    """An action as it stands in a document, or one that a random plan draws from."""

    path: Path
    raw: dict[str, Any]
    kind: str
    target: Any

    @property
    def spec(self) -> ActionSpec:
        """What is known of the action."""
        return ACTIONS[self.kind]

    @property
    def at_target(self) -> Path:
        """Where its target stands."""
        return (*self.path, "target")


def check_fitting(sheet: Sheet, path: Path, raw: dict[str, Any], system: System | None, *, ranges: bool = False) -> None:
    """Note why an action cannot be done; without a system what can be said without one. `ranges`: parameters may be drawn."""
    kind = raw.get("action")
    if not isinstance(kind, str):
        return
    if kind not in ACTIONS:
        sheet.add((*path, "action"), f"unknown action {shown(kind)}", nearest(kind[:80], _OFFERED))
        return
    doing = Doing(path, raw, kind, raw.get("target"))
    for number in (0, 1) if ranges else (0,):
        _check_parameters(sheet, doing, number, ranges=ranges)
    if not _is_target(doing.target):
        return
    found = _kind_of(doing.target)
    if found not in doing.spec.on:
        right = f"write target: {' or '.join(_WRITTEN[kind] for kind in doing.spec.on)}"
        sheet.add(doing.at_target, f"{kind} works on a {' or '.join(doing.spec.on)}, not on a {found}", right)
    elif system is not None:
        _check_means(sheet, doing, system)
    _check_choice(sheet, doing, system)


def _is_target(target: Any) -> bool:
    return selection_of(target) is not None if isinstance(target, dict) else bool(texts(target))


def _kind_of(target: Any) -> TargetKind:
    selection = selection_of(target)
    return "service" if selection is None else selection.kind


def _check_parameters(sheet: Sheet, doing: Doing, number: int, *, ranges: bool) -> None:
    """Of a parameter that is a range, its first (0) or last (1) value is checked."""
    told = doing.raw.get("parameters", {})
    if not isinstance(told, dict):
        return
    told = {key: ends_of(value, doing.spec.parameters, key)[number] if ranges else value for key, value in told.items()}
    if "parameters" in doing.raw:
        check_part(sheet, doing.spec.parameters, told, (*doing.path, "parameters"))
    else:
        check_part(sheet, doing.spec.parameters, told, doing.path, key="parameters")


def _check_means(sheet: Sheet, doing: Doing, system: System) -> None:
    if "partition" in doing.spec.on and _kind_of(doing.target) == "partition":
        _check_partition(sheet, doing, system)
        return
    for index, name in enumerate(named(doing.target)):
        service = system.spec.services.get(name)
        missing = _missing(doing.spec.means, service) if service is not None and _kind_of(doing.target) == "service" else None
        if service is not None and missing is not None:
            what = f"{name!r} {missing[0]} and does not offer {doing.kind}"
            sheet.add(_at_name(doing, index), what, missing[1] or _offered(service))


def _at_name(doing: Doing, index: int) -> Path:
    """Where the name of a target stands; the whole target where it came from a group or `all`."""
    written = doing.target
    if isinstance(written, dict):
        return (*doing.at_target, "of", index) if written.get("of") is not None and written.get("group") is None else doing.at_target
    return (*doing.at_target, index) if isinstance(written, list) else doing.at_target


def _missing(means: Means, service: Service) -> tuple[str, str] | None:
    """What a service has not that an action by this means needs, and what would be right."""
    if means in {"process", "limit"} and service.driver.process is None:
        return f"is {service.driver.kind}", ""
    if means == "chaos" and service.chaos is None:
        return "has no chaos API", "give the service `chaos: {http: …}` in the system"
    if means == "network" and (service.driver.process is None or service.driver.process.namespace is None):
        return "runs in no network namespace", "give its process a `namespace` in the system, or use a link"
    return None


def _offered(service: Service) -> str:
    found = [name for name, spec in _OFFERED.items() if "service" in spec.on and _missing(spec.means, service) is None]
    return f"it offers {', '.join(found[:12])}" if found else "it is only observed; name other services"


def _check_partition(sheet: Sheet, doing: Doing, system: System) -> None:
    one, other = (texts(side) for side in doing.target["between"])
    if not one or not other or not {*one, *other} <= set(system.spec.services):
        return
    path = (*doing.at_target, "between")
    if both := sorted(set(one) & set(other)):
        sheet.add(path, f"{both[0]!r} stands on both sides", "a service is on one side only")
    elif doing.spec.means == "link" and not links_between(system, one, other):
        what = f"no link goes between {_names(one)} and {_names(other)}, so there is nothing to cut"
        sheet.add(path, what, f"links: {_known_links(system)}")
    elif doing.spec.means == "network":
        bare = [name for name in (*one, *other) if _missing("network", system.spec.services[name]) is not None]
        if bare:
            what = f"{_names(bare)} {'runs' if len(bare) == 1 else 'run'} in no network namespace, so packets cannot be told apart"
            sheet.add(path, what, "give their processes a `namespace` in the system, or part links")
        elif near := sorted({namespace_of(system, name) or "" for name in one} & {namespace_of(system, name) or "" for name in other}):
            what = f"both sides have a service in the network namespace {near[0]!r}, and inside it packets cannot be told apart"
            sheet.add(path, what, "give each side namespaces of its own in the system, or part links")


def _known_links(system: System) -> str:
    found = [f"{name} ({link.from_} to {link.to})" for name, link in system.spec.links.items()]
    return ", ".join(found[:8]) if found else "the system has none"


def _names(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")


def _check_choice(sheet: Sheet, doing: Doing, system: System | None) -> None:
    """`where` and `pick` can choose."""
    chosen = selection_of(doing.target)
    if chosen is None or not chosen.is_live:
        return
    if chosen.pick == "0%":
        sheet.add((*doing.at_target, "pick"), "0% of the candidates is none", "from 1% to 100%")
    if chosen.of is not None and isinstance(chosen.pick, int) and chosen.pick > len(chosen.of):
        what = f"there are {len(chosen.of)} candidates, so {chosen.pick} cannot be picked"
        sheet.add((*doing.at_target, "pick"), what, f"at most {len(chosen.of)}, or a percentage")
    if chosen.where is not None:
        for what, right in _where_problems(chosen, chosen.where, system):
            sheet.add((*doing.at_target, "where"), what, right)


def _where_problems(chosen: Selection, where: str, system: System | None) -> Iterator[tuple[str, str]]:
    for problem in expression_problems("where", where, *WHERE_VARIABLES):
        yield problem.what, f"CEL over {', '.join(WHERE_VARIABLES)}, like role == 'leader'"
        return
    without = [] if system is None else [n for n in chosen.of or () if n in system.spec.services and system.spec.services[n].role is None]
    if without and _asks_for_role(where):
        yield f"{_names(without)} cannot be asked for a role", "give each candidate a `role` in the system"


def _asks_for_role(where: str) -> bool:
    try:
        return "role" in compiled(where).unknown(frozenset(WHERE_VARIABLES) - {"role"})
    except ExpressionError:
        return False


def check_rolling(sheet: Sheet, path: Path, raw: dict[str, Any]) -> None:
    """Note why an action cannot go from some of its targets to the next."""
    kind, target = raw.get("action"), raw.get("target")
    if raw.get("at_once") is None:
        if raw.get("settle") not in {None, "0s"}:
            sheet.add((*path, "settle"), "`settle` is the pause of a rolling action", "add at_once: 1, or take it out", at_key=True)
        return
    if not isinstance(kind, str) or kind not in ACTIONS or not _is_target(target):
        return
    if len(named(target)) < 2 or most_chosen(target) == 1:
        sheet.add((*path, "at_once"), "a rolling action needs several targets", "name a list or a group, or take it out", at_key=True)
    elif ACTIONS[kind].fault and not ACTIONS[kind].ends_itself and raw.get("for") is None:
        what = "a rolling action goes on when its faults are over, and these have no end"
        sheet.add((*path, "at_once"), what, "add for: 5s", at_key=True)
