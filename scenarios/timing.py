"""Whether everything in a scenario can happen before the run's timeout, computed from the earliest that it can."""

from collections.abc import Iterator
from datetime import timedelta

from messages.claims import Claim, RecoveryClaim
from messages.scenario import DEFAULT_SLACK, Action
from messages.targets import Selection, Target, picked
from messages.values import format_duration
from scenarios.nodes import Path
from scenarios.parts import Group, actions_of, claims_of, groups, read_duration
from scenarios.sheet import Sheet

ZERO = timedelta()
FINALLY_BUDGET = timedelta(seconds=60)
"""How long `finally` may take."""


class Timetable:
    """The earliest starts of phases and faults, from the start of the first phase."""

    def __init__(self, sheet: Sheet) -> None:
        self.starts: dict[str, timedelta] = {}
        self.ends: dict[str, timedelta] = {}
        self.faults: dict[str, timedelta] = {}
        self.written = ZERO
        self.total = ZERO
        self.readable = True
        for group in groups(sheet):
            if group.is_phase:
                self._add(group)
        written = sheet.spec.get("timeout")
        self.timeout = read_duration(written) if written is not None else self.written + DEFAULT_SLACK if self.readable else None
        """When the run is aborted; None when that cannot be read."""

    def _add(self, group: Group) -> None:
        length = read_duration(group.raw.get("duration"))
        spans = dict(earliest(group))
        for action_id, (action, start, _) in spans.items():
            self.faults.update(dict.fromkeys((action_id, *action.faults()), self.total + start))
        least = length if length is not None else max((end for _, _, end in spans.values()), default=ZERO)
        if group.name is not None:
            self.starts[group.name] = self.total
            self.ends[group.name] = self.total + least
        self.written += length or ZERO
        self.readable = self.readable and (length is not None or group.raw.get("duration") is None)
        self.total += least


def earliest(group: Group) -> Iterator[tuple[str, tuple[Action, timedelta, timedelta]]]:
    """Each action of a group by its id, with its earliest start and end from the group's start."""
    actions = {action.id: action for _, action in actions_of(group)}
    for name, action in actions.items():
        start, current, seen = action.delay, action, {name}
        while current.after in actions and current.after not in seen:
            current = actions[current.after]
            seen.add(current.id)
            start += current.delay + least_span(current)
        yield name, (action, start, start + least_span(action))


def least_span(action: Action) -> timedelta:
    """The least time from an action's start to the end of the last of its faults, lot by lot if it is a rolling one."""
    return (_lots_of(action) - 1) * pace(action) + (action.for_ or ZERO)


def pace(action: Action) -> timedelta:
    """The least time from one lot of a rolling action to the next."""
    return (action.for_ or ZERO) + action.settle


def lots(targets: int, at_once: int) -> int:
    """How many lots so many targets make."""
    return max(1, -(-targets // at_once))


def _lots_of(action: Action) -> int:
    if action.at_once is None:
        return 1
    return lots(least_chosen(action.target, len(action.targets)), action.at_once)


def least_chosen(target: Target, named: int) -> int:
    """On how many of the services that are named something is certainly done, if it is done at all."""
    if not isinstance(target, Selection):
        return named
    return 1 if target.where is not None else picked(target.pick, named)


def check_times(sheet: Sheet) -> None:
    """Note what would come after the run's timeout, and actions that never start."""
    table = Timetable(sheet)
    limit = table.timeout if table.timeout is not None else timedelta.max
    if table.total > limit:
        _late(sheet, ("spec", "timeout"), "the phases", table.total, limit)
    for group in groups(sheet):
        spans, actions = dict(earliest(group)), dict(actions_of(group))
        for path, action in actions.items():
            _check_action(sheet, path, action, list(actions.values()), limit)
            if action.id in spans:
                _check_start(sheet, group, path, spans[action.id][1])
                _check_last(sheet, group, path, action, spans[action.id][1])
    for path, claim, phase in claims_of(sheet):
        end = _window_end(table, claim, phase)
        if end > limit:
            _late(sheet, (*path, "within") if claim.within is not None else path, "the claim's window", end, limit)


def _check_action(sheet: Sheet, path: Path, action: Action, beside: list[Action], limit: timedelta) -> None:
    if action.for_ is not None and action.for_ > limit:
        _late(sheet, (*path, "for"), "the fault", action.for_, limit)
    elif action.delay > limit:
        _late(sheet, (*path, "delay"), "the delay", action.delay, limit)
    if action.after is not None and _never_over(beside, action.after):
        sheet.add((*path, "after"), f"{action.after!r} lasts to the phase's end, so this never starts", f"give {action.after!r} a `for`")


def _check_start(sheet: Sheet, group: Group, path: Path, start: timedelta) -> None:
    length = read_duration(group.raw.get("duration")) if group.is_phase else FINALLY_BUDGET
    if length is not None and start >= length:
        where = "a phase" if group.is_phase else "a stage"
        what = f"this starts {format_duration(start)} into {where} of {format_duration(length)}, so never"
        sheet.add(path, what, "start it earlier, or give the phase a longer duration" if group.is_phase else "start it earlier")


def _check_last(sheet: Sheet, group: Group, path: Path, action: Action, start: timedelta) -> None:
    """The last lot of a rolling action starts in the phase."""
    length, last = read_duration(group.raw.get("duration")), start + (_lots_of(action) - 1) * pace(action)
    if group.is_phase and length is not None and start < length <= last:
        what = f"its last targets would start {format_duration(last)} into a phase of {format_duration(length)}, so never"
        sheet.add((*path, "at_once"), what, "let more start at once or each take less time, or give the phase a longer duration")


def _never_over(actions: list[Action], name: str) -> bool:
    """Whether a fault lasts to the phase's end, and nothing of the phase brings its target back before."""
    fault = next((a for a in actions if a.id == name and a.spec.fault), None)
    if fault is None or fault.spec.ends_itself or fault.for_ is not None:
        return False
    return not any(set(a.targets) & set(fault.targets) for a in actions if not a.spec.fault)


def _window_end(table: Timetable, claim: Claim, phase: str | None) -> timedelta:
    """The earliest that a claim's window can end."""
    opens = table.starts.get(phase, ZERO) if phase is not None else ZERO
    for reference in (claim.during, claim.after):
        if reference is not None:
            opens = max(opens, table.faults.get(reference.partition(".")[0], ZERO))
    if isinstance(claim, RecoveryClaim):
        return table.faults.get(claim.of, opens) + claim.within
    if claim.within is not None:
        return opens + claim.within
    closes = table.ends.get(phase, ZERO) if phase is not None else table.total
    return max(opens, closes) + claim.grace


def _late(sheet: Sheet, path: Path, what: str, end: timedelta, limit: timedelta) -> None:
    told = f"{what} cannot end before {format_duration(end)}, and the run ends at its timeout of {format_duration(limit)}"
    sheet.add(path, told, f"set spec.timeout to more than {format_duration(end)}, or make it shorter")
