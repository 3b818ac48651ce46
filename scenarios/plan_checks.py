"""What a random plan's structure does not say: draws that fit into their phase, faults with an end, ranges that are in order."""

from datetime import timedelta
from typing import Any

from messages.actions import ACTIONS
from messages.scenario import RandomPlan
from messages.system import System
from messages.values import format_duration
from scenarios.errors import shown
from scenarios.fitting import check_fitting
from scenarios.limit_checks import check_choice_against_limits
from scenarios.nodes import Path
from scenarios.parts import Group, choice_of, plan_of, raw_choices, read_duration, selection_of
from scenarios.ranges import drawer_of, is_range
from scenarios.sheet import Sheet

MAX_DRAWS = 200
"""Draws of one plan."""
MAX_CHOICES = 20
"""Actions that a plan may draw from."""
LEAST = timedelta(milliseconds=100)
"""The shortest time from one draw to the next."""


def check_plan(sheet: Sheet, group: Group, path: Path, raw: dict[str, Any], system: System | None) -> None:
    """Note what is wrong with a random plan."""
    choices = list(raw_choices(group))
    if len(choices) > MAX_CHOICES:
        sheet.add(
            (*path, "among"), f"{len(choices)} actions to draw from are too many", f"at most {MAX_CHOICES}; one may have many targets"
        )
        return
    for at, choice in choices:
        check_fitting(sheet, at, choice, system, ranges=True)
        _check_choice(sheet, at, choice)
        known = choice_of(choice)
        if known is not None and system is not None:
            check_choice_against_limits(sheet, at, known, system)
    plan = plan_of(raw)
    if plan is not None:
        _check_draws(sheet, group, path, plan)


def draws_of(plan: RandomPlan, group: Group) -> int | None:
    """How many draws there are: as many as it says, else as the phase's duration holds; None if that is not known."""
    length = read_duration(group.raw.get("duration"))
    if plan.count is not None or length is None or plan.every < LEAST:
        return plan.count
    return max(1, -(-length // plan.every))


def _check_draws(sheet: Sheet, group: Group, path: Path, plan: RandomPlan) -> None:
    length = read_duration(group.raw.get("duration"))
    if plan.every < LEAST:
        sheet.add((*path, "every"), f"{format_duration(plan.every)} is too short", f"at least {format_duration(LEAST)}")
        return
    count = draws_of(plan, group)
    if count is None:
        if group.raw.get("duration") is None:
            sheet.add(path, "nobody knows how often to draw", "add count: 5, or give the phase a duration")
    elif count > MAX_DRAWS:
        sheet.add((*path, "every"), f"the phase holds {count} draws", f"at most {MAX_DRAWS}: set `count`, or a longer `every`")
    elif length is not None and plan.every * (count - 1) >= length:
        last = plan.every * (count - 1)
        what = f"the last draw would be {format_duration(last)} into a phase of {format_duration(length)}, so never"
        sheet.add((*path, "count"), what, f"at most {max(1, -(-length // plan.every))}")


def _check_choice(sheet: Sheet, path: Path, raw: dict[str, Any]) -> None:
    kind, target = raw.get("action"), selection_of(raw.get("target"))
    if not isinstance(kind, str) or kind not in ACTIONS:
        return
    if not ACTIONS[kind].fault:
        sheet.add((*path, "action"), f"{kind} is no fault, and a random plan draws faults", "do it in `actions` or `finally`")
    if target is not None and target.is_live:
        sheet.add((*path, "target"), "a random plan draws from its targets itself", "take `where` and `pick` out")
    if read_duration(raw.get("for")) == timedelta():
        sheet.add((*path, "for"), "a fault cannot end at once", "give it a duration, like 5s")
    parameters = raw.get("parameters")
    for key, value in parameters.items() if isinstance(parameters, dict) else ():
        if is_range(value, ACTIONS[kind].parameters, key) and drawer_of(value, ACTIONS[kind].parameters, key) is None:
            right = "two durations, sizes, rates or numbers, the smaller one first"
            sheet.add((*path, "parameters", key), f"{shown(value[0])} to {shown(value[1])} is no range", right)
