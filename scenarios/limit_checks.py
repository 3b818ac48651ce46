"""Limits of a system: whether they make sense, and what of a scenario is certainly beyond them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from messages.claims import nearest
from messages.needs import candidates, disturbed, protected_by
from messages.scenario import Action, RandomAction
from messages.system import System
from messages.targets import Selection, picked
from messages.values import format_duration
from scenarios.asking import entries, mapping
from scenarios.errors import shown
from scenarios.nodes import Path
from scenarios.parts import Group, read_duration, texts
from scenarios.selections import Names
from scenarios.sheet import Sheet

_ELSEWHERE = "choose another target, or take it out of `limits.protected` of the system"


def check_limits(sheet: Sheet, names: Names) -> None:
    """Resolve the services that limits name, and note limits that cannot be held."""
    limits = mapping(sheet.spec.get("limits"))
    protected = limits.get("protected")
    if isinstance(protected, list):
        _check_protection(sheet, ("spec", "limits", "protected"), protected, names)
    if read_duration(limits.get("longest")) == timedelta():
        sheet.add(("spec", "limits", "longest"), "no fault could last at all", "give it a duration, like 10m")
    for name, group in entries(sheet, "groups"):
        _check_group(sheet, ("spec", "groups", name, "keep_healthy"), group)


def _check_protection(sheet: Sheet, path: Path, protected: list[Any], names: Names) -> None:
    seen: set[str] = set()
    for index, word in enumerate(protected):
        if not isinstance(word, str) or sheet.full:
            continue
        protected[index] = names.resolve(word)
        if protected[index] not in names.services:
            sheet.add((*path, index), f"the system has no service {shown(word)}", nearest(word[:80], names.services))
        elif protected[index] in seen:
            sheet.add((*path, index), f"{protected[index]!r} stands here twice", "name each once")
        seen.add(protected[index])


def _check_group(sheet: Sheet, path: Path, group: dict[str, Any]) -> None:
    keep, members = group.get("keep_healthy"), texts(group.get("members"))
    if isinstance(keep, int) and members and keep > len(members):
        sheet.add(path, f"{keep} members cannot stay healthy where there are {len(members)}", f"from 0 to {len(members)}")


def check_against_limits(sheet: Sheet, group: Group, path: Path, action: Action, system: System) -> None:
    """Note why a fault would certainly be refused. What depends on when other faults are active, or on what is chosen, shows in the run."""
    if not action.spec.fault or not group.is_phase:
        return
    _check_length(sheet, path, action.for_, system)
    length, longest = read_duration(group.raw.get("duration")), system.spec.limits.longest
    lasting = action.for_ is None and action.after is None and not action.spec.ends_itself
    if lasting and length is not None and longest is not None and length - action.delay > longest:
        what = f"a fault to the phase's end, {format_duration(length - action.delay)}, is longer than the {format_duration(longest)}"
        sheet.add(path, f"{what} that the system allows", f"add for: {format_duration(longest)}, or raise `limits.longest` of the system")
    _check_protected(sheet, path, action, system)
    _check_lot(sheet, path, action, system)


def check_choice_against_limits(sheet: Sheet, path: Path, choice: RandomAction, system: System) -> None:
    """Note why what a random plan may draw would be refused."""
    action = Action.model_validate({"target": choice.target, "action": choice.action})
    if action.spec.fault:
        _check_length(sheet, path, choice.for_, system)
        found = list(_reaching_protected(action, system))
        if found and len(found) == len(dict.fromkeys(action.targets)):
            sheet.add((*path, "target"), found[0], _ELSEWHERE)


def _check_length(sheet: Sheet, path: Path, span: timedelta | None, system: System) -> None:
    longest = system.spec.limits.longest
    if span is not None and longest is not None and span > longest:
        what = f"a fault of {format_duration(span)} is longer than the {format_duration(longest)} that the system allows"
        sheet.add((*path, "for"), what, f"at most {format_duration(longest)}, or raise `limits.longest` of the system")


def _check_protected(sheet: Sheet, path: Path, action: Action, system: System) -> None:
    """Of what is chosen later only when too few are left to choose from."""
    found = list(_reaching_protected(action, system))
    if found and (not action.is_live or _wanted(action) > len(candidates(system, action))):
        sheet.add((*path, "target"), found[0], _ELSEWHERE)


def _wanted(action: Action) -> int:
    """On how many of however many candidates it certainly is to be, if it is on any."""
    target = action.target
    return target.pick if isinstance(target, Selection) and target.where is None and isinstance(target.pick, int) else 1


def _least(action: Action, system: System) -> int:
    """On how many targets it certainly is, if it is on any."""
    count = len(candidates(system, action))
    if not isinstance(action.target, Selection) or not action.is_live:
        return count
    return 1 if action.target.where is not None else picked(action.target.pick, count)


def _reaching_protected(action: Action, system: System) -> Iterator[str]:
    """What is wrong with each target that would disturb a protected service."""
    for target in dict.fromkeys(action.targets):
        hit = protected_by(system, action, target)
        if hit == target:
            yield f"{hit!r} is protected in the system, and never disturbed"
        elif hit is not None:
            on = "" if action.kind == "partition" else f" on {target!r}"
            yield f"{action.action}{on} disturbs {hit!r}, which is protected in the system"


def _check_lot(sheet: Sheet, path: Path, action: Action, system: System) -> None:
    """Faults of one action that start together are together within the limits."""
    if action.spec.ends_itself:
        return
    most, together = system.spec.limits.faults_at_once, min(action.at_once or len(action.targets), _sure(action, system))
    if most is not None and together > most:
        what = f"{together} faults at once are more than the {most} that the system allows"
        sheet.add((*path, "target"), what, f"add at_once: {most}, choose fewer, or raise `limits.faults_at_once` of the system")
        return
    for name, group in system.spec.groups.items():
        left = len(group.members) - max((len(lot) for lot in _lots(action, group.members, system)), default=0)
        if left < group.keep_healthy:
            what = f"{left} of the group {name!r} would be left healthy, and its `keep_healthy` is {group.keep_healthy}"
            sheet.add((*path, "target"), what, "choose fewer of them, or do it to some after others with `at_once` and `for`")
            return


def _sure(action: Action, system: System) -> int:
    chosen_later = isinstance(action.target, Selection) and action.target.where is not None
    return 0 if chosen_later else _least(action, system)


def _lots(action: Action, members: tuple[str, ...], system: System) -> Iterator[set[str]]:
    """The members that are certainly disturbed at once, for each lot of targets."""
    reached = {target: set(disturbed(system, action, target)).intersection(members) for target in dict.fromkeys(candidates(system, action))}
    if action.is_live:
        # Each target beyond those that reach no member reaches at least one, and no two of services the same one.
        inside = [hit for hit in reached.values() if hit]
        least = min(action.at_once or len(reached), _sure(action, system)) - (len(reached) - len(inside))
        if action.spec.means != "network" and least > 0:
            yield set().union(*inside[:least])
        return
    targets, step = list(reached), action.at_once or len(reached) or 1
    for start in range(0, len(targets), step):
        yield set().union(*(reached[target] for target in targets[start : start + step]))
