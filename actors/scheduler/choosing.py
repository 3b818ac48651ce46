"""Which targets a live action gets: chosen from what the journal says when it starts, so that nobody has to ask again. Pure."""

import random

from messages.expressions import Bindings, ExpressionError, compiled
from messages.needs import candidates
from messages.run_events import TargetResolved
from messages.scenario import Action
from messages.targets import Selection, picked
from runs.state import RunState


def choose(state: RunState, action: Action) -> TargetResolved:
    """The targets of a live action as things are now."""
    selection = action.target if isinstance(action.target, Selection) else Selection(of=action.targets)
    seed, open_to = f"{state.id}/{action.id}", candidates(state.system, action)
    all_fitting = [name for index, name in enumerate(selection.names) if _fits(state, selection.where, name, index)]
    fitting = [name for name in all_fitting if name in open_to]
    count = picked(selection.pick, len(fitting))
    drawn = set(random.Random(seed).sample(fitting, count))  # noqa: S311 - a choice that anybody can repeat, no secret
    return TargetResolved(
        action_id=action.id,
        candidates=open_to,
        values={name: _value(state, name) for name in open_to} if selection.where is not None else {},
        seed=seed,
        chosen=tuple(name for name in fitting if name in drawn),
        protected=tuple(name for name in all_fitting if name not in open_to),
    )


def _fits(state: RunState, where: str | None, name: str, index: int) -> bool:
    """Whether a candidate fits; one on which the expression cannot be evaluated does not."""
    if where is None:
        return True
    known = {"name": name, "role": state.roles.get(name, ""), "up": state.up.get(name, False), "index": index}
    try:
        return compiled(where).evaluate(Bindings(known)) is True
    except ExpressionError:
        return False


def _value(state: RunState, name: str) -> str:
    role, up = state.roles.get(name), state.up.get(name)
    return ", ".join(filter(None, (role, {True: "up", False: "down", None: ""}[up])))
