"""When faults of a phase are on what: no two may be on the same thing at the same time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from messages.needs import candidates, needs
from messages.scenario import Action
from messages.system import System
from messages.targets import Selection, picked
from scenarios.parts import Group, actions_of
from scenarios.sheet import Sheet
from scenarios.timing import lots, pace

Thing = tuple[str, str]
"""What a fault takes: what it needs, and of a fault on one thing that thing itself, by its kind and name."""
_TOLD = {
    "link": "the same link {!r}",
    "service": "the same target {!r}",
    "volume": "the same target {!r}",
    "network": "the network namespace {!r}",
}
"""How what two faults share is told, the kinds that say most first."""


@dataclass(frozen=True, slots=True)
class Span:
    """Things that a fault may be on, from when to when, counted from the end of what it comes after."""

    things: frozenset[Thing]
    least: int
    """How many of them it is certainly on."""
    after: str | None
    start: timedelta
    end: timedelta | None
    """None: the phase's end."""
    exact: bool = True
    """It starts then; otherwise not before."""
    crowded: bool = False
    """There are fewer things than faults in it."""


def check_overlaps(sheet: Sheet, group: Group, system: System | None) -> None:
    """Note faults that start from the same moment and are certainly on one thing at once.

    What a chaos API is asked for is on the service beside everything else but the same call.
    """
    spans: dict[str, list[Span]] = {}
    for path, action in actions_of(group):
        if not action.spec.fault or not group.is_phase:
            continue
        beside = spans.setdefault(action.action if action.spec.means == "chaos" else "", [])
        for mine in spans_of(action, system):
            met = mine if mine.crowded else next((other for other in beside if _meet(mine, other)), None)
            if met is not None:
                what = f"a second fault on {_told(mine, met, action)} at the same time"
                sheet.add((*path, "target"), what, "start it later with `after` or `delay`, or choose another target")
                break
            beside.append(mine)


def spans_of(action: Action, system: System | None) -> Iterator[Span]:
    """What a fault is on when, lot by lot if it is a rolling one."""
    length = timedelta() if action.spec.ends_itself and action.for_ is None else action.for_
    if isinstance(action.target, Selection) and action.target.is_live:
        names = candidates(system, action) if system is not None else action.target.names
        least = picked(action.target.pick, len(names)) if action.target.where is None else 0
        end = action.delay + length if length is not None and action.at_once is None else None
        exact = action.at_once is None
        needed = needs_of(action, names, system)
        for things in [frozenset(("service", name) for name in names), *([needed] if needed else [])]:
            yield Span(things, least, action.after, action.delay, end, exact=exact, crowded=exact and least > len(things))
        return
    each = things_of(action, system)
    at_once = action.at_once or max(len(each), 1)
    for lot in range(lots(len(each), at_once)):
        start = action.delay + lot * pace(action)
        for things in each[lot * at_once : (lot + 1) * at_once]:
            end = start + length if length is not None else None
            yield Span(things, len(things), action.after, start, end, exact=lot == 0)


def things_of(action: Action, system: System | None) -> list[frozenset[Thing]]:
    """What a fault takes on each of its targets, in their order. Without a system a partition takes nothing that is known."""
    if action.kind == "partition":
        return [needs_of(action, action.targets, system)]
    return [needs_of(action, (name,), system) | {(action.kind, name)} for name in dict.fromkeys(action.targets)]


def needs_of(action: Action, names: Iterable[str], system: System | None) -> frozenset[Thing]:
    """What the action needs on any of these targets, as the injector sees it."""
    return frozenset(need for name in names for need in needs(system, action, name)) if system is not None else frozenset()


def _meet(one: Span, two: Span) -> bool:
    """Whether they are certainly on one thing at once: there are fewer things than they take together."""
    if one.after != two.after or one.least + two.least <= len(one.things | two.things):
        return False
    early, late = sorted((one, two), key=lambda span: span.start)
    if not (one.exact and two.exact):
        return early.exact and early.end is None
    return early.start == late.start or early.end is None or late.start < early.end


def _told(span: Span, met: Span, action: Action) -> str:
    shared = span.things & met.things
    if action.is_live and any(kind == "service" for kind, _ in shared):
        return f"the same service, one of {', '.join(name for _, name in sorted(span.things)[:8])},"
    kind, name = min(shared, key=lambda thing: (list(_TOLD).index(thing[0]) if thing[0] in _TOLD else len(_TOLD), thing[1]))
    return _TOLD.get(kind, "the same target {!r}").format(name)
