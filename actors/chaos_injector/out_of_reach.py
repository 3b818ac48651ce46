"""Runs whose processes are on another machine: nothing of them can be disturbed, undone or seen from here, and nothing is said of it."""

from datetime import timedelta
from typing import NoReturn

from actors.chaos_injector.drivers import Done, Driver, Plan, Target
from messages.undo import AnyUndo
from runs.state import RunState
from targets.errors import Elsewhere
from targets.machine import Machine


def elsewhere(view: RunState, machine: Machine) -> Elsewhere | None:
    """Why nothing can be known here of what the run has started; None if it runs, or ran, on this machine."""
    known = [state.identity for state in view.services.values()] + [state.identity for state in view.workloads.values()]
    if view.links is not None:
        known.append(view.links.identity)
    return next((Elsewhere(identity) for identity in known if identity is not None and not machine.had(identity.boot)), None)


class OutOfReach(Driver):
    """Stands for any driver of such a run. What looks like nothing left to do here would be said of the wrong machine."""

    def __init__(self, why: Elsewhere) -> None:
        self._why = why

    async def plan(self, target: Target) -> Plan:
        self._refuse(target)

    async def inject(self, target: Target, plan: Plan) -> str:
        self._refuse(target, plan)

    async def was_injected(self, target: Target, plan: Plan) -> bool:
        self._refuse(target, plan)

    async def hasten(self, target: Target, plan: Plan) -> None:
        self._refuse(target, plan)

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        self._refuse(undo, target)

    async def act(self, target: Target) -> Done:
        self._refuse(target)

    async def renew(self, undo: AnyUndo, target: Target) -> bool:
        self._refuse(undo, target)

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        self._refuse(target, plan, within)

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        self._refuse(target, plan, within)

    def _refuse(self, *_: object) -> NoReturn:
        raise self._why
