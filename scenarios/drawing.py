"""Random plans: a monkey with a seed, whose every action is drawn before the run and then stands in the document."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from messages.actions import ACTIONS
from messages.needs import protected_by
from messages.scenario import Action, RandomAction, RandomPlan
from messages.system import System
from messages.values import format_duration
from scenarios.naming import taken_ids, unique
from scenarios.nodes import Path
from scenarios.overlaps import Thing, spans_of, things_of
from scenarios.parts import Group, actions_of, groups, plan_of, raw_actions, raw_plan
from scenarios.plan_checks import check_plan, draws_of
from scenarios.ranges import drawer_of
from scenarios.scenario_checks import MAX_ITEMS
from scenarios.sheet import Sheet

REST = timedelta(seconds=2)
"""How long a target is left alone after a fault, so that its undo is over before the next one."""
_TRIES = 50
"""How often the parameters of an action are drawn again that do not fit each other."""


@dataclass(frozen=True, slots=True)
class _Option:
    """One thing that may be drawn."""

    choice: int
    target: Any
    things: frozenset[Thing]


@dataclass(frozen=True, slots=True)
class _Busy:
    """Things that must be left alone for a while, counted from the phase's start."""

    things: frozenset[Thing]
    start: timedelta
    end: timedelta


class _NothingFits(Exception):
    """No draw from the ranges of a choice fits its action."""

    def __init__(self, choice: int) -> None:
        self.choice = choice
        super().__init__(str(choice))


def draw_plans(sheet: Sheet, system: System | None, seed: int) -> bool:
    """Note what is wrong with random plans, and put what the others draw into the actions of their phases.

    A plan without a seed is drawn with this one (counted on from plan to plan); whether there was one.
    """
    asked, taken, number = False, taken_ids(groups(sheet)), 0
    total = sum(1 for group in groups(sheet) for _ in raw_actions(group))
    for index, group in enumerate(list(groups(sheet))):
        path, raw = raw_plan(group) or ((), None)
        if raw is None:
            continue
        known = len(sheet.findings)
        check_plan(sheet, group, path, raw, system)
        plan = plan_of(raw)
        if plan is None or system is None or len(sheet.findings) > known or sheet.full:
            continue
        total += draws_of(plan, group) or 0
        if total > MAX_ITEMS:
            sheet.add(path, f"{total} actions are too many", f"at most {MAX_ITEMS}: draw less, or less often")
            continue
        asked = asked or plan.seed is None
        raw["seed"] = plan.seed if plan.seed is not None else seed + index
        number = _put(sheet, group, path, _Monkey(plan, raw, group, system), taken, number)
        raw["drawn"] = True
    return asked


def _put(sheet: Sheet, group: Group, path: Path, monkey: "_Monkey", taken: set[str], number: int) -> int:
    """Put the actions that are drawn into the phase; the number of the last one."""
    actions = group.raw.get("actions")
    written = actions if isinstance(actions, list) else []
    try:
        drawn = list(monkey.draw())
    except _NothingFits as error:
        what = "whatever is drawn from these ranges, the parameters do not fit each other"
        sheet.add((*path, "among", error.choice, "parameters"), what, "make the ranges narrower")
        return number
    for action in drawn:
        number += 1
        action["id"] = unique(f"random-{number}-{action['action']}", taken)
    group.raw["actions"] = [*written, *drawn]
    return number


class _Monkey:
    """Draws the actions of one phase. Uses nothing of its generator but `random()`, whose numbers no version of Python changes."""

    def __init__(self, plan: RandomPlan, raw: dict[str, Any], group: Group, system: System) -> None:
        self._plan = plan
        self._written = raw["among"]
        self._random = random.Random(raw["seed"])  # noqa: S311 - a plan that anybody can repeat, no secret
        self._count = draws_of(plan, group) or 0
        self._options = list(self._all_options(system))
        self._busy = [busy for _, action in actions_of(group) if action.spec.fault for busy in _kept_by(action, system)]

    def draw(self) -> Iterator[dict[str, Any]]:
        """The actions, in the order of their times; where every target is busy nothing is drawn.

        Raises:
            _NothingFits: the parameters of a choice never fit each other.
        """
        for tick in range(self._count):
            delay = tick * self._plan.every
            free = self._free(delay)
            if not free:
                continue
            option = self._pick(free)
            choice = self._plan.among[option.choice]
            self._busy.append(_Busy(option.things, delay, delay + choice.for_))
            yield {
                "target": option.target,
                "action": choice.action,
                "parameters": self._parameters(option.choice, choice),
                "for": format_duration(choice.for_),
                "delay": format_duration(delay),
            }

    def _all_options(self, system: System) -> Iterator[_Option]:
        for index, choice in enumerate(self._plan.among):
            action = Action(target=choice.target, action=choice.action)
            each = things_of(action, system)
            if action.kind == "partition":
                yield _Option(index, self._written[index]["target"], each[0])
            else:
                for name, things in zip(dict.fromkeys(action.targets), each, strict=True):
                    if protected_by(system, action, name) is None:
                        yield _Option(index, name if action.kind == "service" else {action.kind: name}, things)

    def _free(self, start: timedelta) -> list[_Option]:
        taken = [self._taken(start, choice.for_) for choice in self._plan.among]
        return [option for option in self._options if not option.things & taken[option.choice]]

    def _taken(self, start: timedelta, length: timedelta) -> set[Thing]:
        """What is busy at some time of a fault that starts then and lasts so long."""
        near = [busy for busy in self._busy if busy.start < start + length + REST and start < _later(busy.end)]
        return {thing for busy in near for thing in busy.things}

    def _pick(self, free: Sequence[_Option]) -> _Option:
        choices = sorted({option.choice for option in free})
        weights = [self._plan.among[choice].weight for choice in choices]
        left = self._random.random() * sum(weights)
        chosen = choices[-1]
        for choice, weight in zip(choices, weights, strict=True):
            left -= weight
            if left < 0:
                chosen = choice
                break
        mine = [option for option in free if option.choice == chosen]
        return mine[int(self._random.random() * len(mine))]

    def _parameters(self, index: int, choice: RandomAction) -> dict[str, Any]:
        model = ACTIONS[choice.action].parameters
        drawers = {key: drawer_of(value, model, key) for key, value in choice.parameters.items()}
        for _ in range(_TRIES):
            found = {key: draw(self._random.random()) if draw is not None else choice.parameters[key] for key, draw in drawers.items()}
            try:
                model.model_validate_json(json.dumps(found))
            except ValidationError:
                continue
            return found
        raise _NothingFits(index)


def _kept_by(action: Action, system: System) -> Iterator[_Busy]:
    """What a written action keeps busy: from its earliest start, and to the phase's end if nobody knows when it ends."""
    for span in spans_of(action, system):
        known = span.after is None and span.exact and span.end is not None
        yield _Busy(span.things, span.start, span.end if known and span.end is not None else timedelta.max)


def _later(end: timedelta) -> timedelta:
    return end if end > timedelta.max - REST else end + REST
