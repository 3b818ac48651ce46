"""When faults of a phase are on what: no two may be on the same thing at the same time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from messages.scenario import Action
from messages.system import System
from messages.targets import Selection, picked
from scenarios.fitting import links_between
from scenarios.parts import Group, actions_of
from scenarios.sheet import Sheet
from scenarios.timing import lots, pace

Thing = tuple[str, ...]
"""What a fault takes for itself: a service, link or volume by its kind and name, or the way between two services."""


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
            if any(_meet(mine, other) for other in beside):
                what = f"a second fault on {_told(mine, action)} at the same time"
                sheet.add((*path, "target"), what, "start it later with `after` or `delay`")
                break
            beside.append(mine)


def spans_of(action: Action, system: System | None) -> Iterator[Span]:
    """What a fault is on when, lot by lot if it is a rolling one."""
    length = timedelta() if action.spec.ends_itself and action.for_ is None else action.for_
    if isinstance(action.target, Selection) and action.target.is_live:
        names = action.target.names
        least = picked(action.target.pick, len(names)) if action.target.where is None else 0
        end = action.delay + length if length is not None and action.at_once is None else None
        things = frozenset(("service", name) for name in names)
        yield Span(things, least, action.after, action.delay, end, exact=action.at_once is None)
        return
    each = things_of(action, system)
    at_once = action.at_once or max(len(each), 1)
    for lot in range(lots(len(each), at_once)):
        start = action.delay + lot * pace(action)
        for thing in each[lot * at_once : (lot + 1) * at_once]:
            yield Span(frozenset({thing}), 1, action.after, start, start + length if length is not None else None, exact=lot == 0)


def things_of(action: Action, system: System | None) -> list[Thing]:
    """What a fault takes for itself, in the order of its targets."""
    if not isinstance(action.target, Selection) or action.target.between is None:
        return [(action.kind, name) for name in dict.fromkeys(action.targets)]
    one, other = (list((side,) if isinstance(side, str) else side) for side in action.target.between)
    if action.spec.means == "link":
        return [("link", name) for name in (links_between(system, one, other) if system is not None else ())]
    return [("way", *sorted((left, right))) for left in one for right in other]


def _meet(one: Span, two: Span) -> bool:
    """Whether they are certainly on one thing at once: there are fewer things than they take together."""
    if one.after != two.after or one.least + two.least <= len(one.things | two.things):
        return False
    early, late = sorted((one, two), key=lambda span: span.start)
    if not (one.exact and two.exact):
        return early.exact and early.end is None
    return early.start == late.start or early.end is None or late.start < early.end


def _told(span: Span, action: Action) -> str:
    names = sorted(" and ".join(thing[1:]) for thing in span.things)
    if action.is_live:
        return f"the same service, one of {', '.join(names[:8])},"
    kind, *_ = next(iter(span.things))
    return {"way": "the way between {}", "link": "the same link {!r}"}.get(kind, "the same target {!r}").format(names[0])
