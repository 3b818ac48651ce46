"""Asking services to disturb themselves, through their own chaos APIs."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from actors.chaos_injector.drivers import Done, Driver, Plan, Target
from messages.actions.chaos import ChaosSpec, ChaosUndo
from messages.actions.chaos_parameters import Remedy, Strategy
from messages.fault_events import FaultArmed
from messages.undo import AnyUndo
from targets.chaos_api import Active, ChaosApi, ChaosApiFailed
from targets.errors import SecretMissing, Unsupported
from targets.polling import comes_true

POLL = 0.05
OVER = timedelta(seconds=5)
"""How much longer than its `for` a service is told to disturb itself: the undo comes first, and the end comes without us."""


class ChaosFaults(Driver):
    """One call to begin and one to end; keys of the APIs come from `environment`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    async def plan(self, target: Target) -> Plan:
        api, told = self._api(target), target.action.told
        strategy = told.strategy if isinstance(told, Strategy) else None
        base = target.service.chaos.http if target.service.chaos is not None else ""
        undo = ChaosUndo(service=target.name, base=base, action=target.action.action, strategy=strategy)
        return Plan(undo.model_copy(update={"known": tuple(one.id for one in await _ours(api, undo))}))

    async def inject(self, target: Target, plan: Plan) -> str:
        name = await self._api(target).start(_spec(target).path, _body(target))
        return f"its id is {name}" if name is not None else ""

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        if not isinstance(undo, ChaosUndo):
            return Done(found=True)
        api, spec = self._api(target), _spec(target)
        if spec.ended_by:
            return await self._stop_strategy(api, spec, undo)
        if await api.active() is None:
            await self._clear(api, undo, target)
            return Done()
        ours = await _ours(api, undo)
        left = [one for one in ours if not await api.stop(one)]
        if left:
            await self._clear(api, undo, target)
        return Done(found=not ours)

    async def act(self, target: Target) -> Done:
        api, spec, told = self._api(target), _spec(target), target.action.told
        if spec.path == "clear-all":
            await api.clear()
        elif spec.path == "stop-scenario":
            wanted = told.id if isinstance(told, Remedy) else None
            if wanted is None:
                raise Unsupported("stop_scenario needs the `id` of what is to be ended")
            if not await api.stop(Active(wanted, "")):
                raise ChaosApiFailed(f"{wanted} could not be ended")
        else:
            await api.start(spec.path, _body(target))
        return Done()

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        undo = plan.undo
        if not isinstance(undo, ChaosUndo):
            return None
        seen: list[str] = []

        async def look() -> bool:
            seen[:] = [one.id for one in await _ours(self._api(target), undo)]
            return bool(seen)

        return f"{target.name} says that {', '.join(seen)} is active" if await comes_true(look, within, poll=POLL) else None

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        undo = plan.undo

        async def look() -> bool:
            try:
                return not isinstance(undo, ChaosUndo) or not await _ours(self._api(target), undo)
            except ChaosApiFailed:
                return False  # it may be starting again

        return await comes_true(look, within, poll=POLL)

    def _api(self, target: Target) -> ChaosApi:
        chaos = target.service.chaos
        if chaos is None:
            raise Unsupported(f"{target.name} has no chaos API; give it `chaos: {{http: …}}` in the system")
        if chaos.key is not None and chaos.key.secret not in self._environment:
            raise SecretMissing([chaos.key.secret])
        return ChaosApi(chaos.http, self._environment[chaos.key.secret] if chaos.key is not None else None)

    async def _clear(self, api: ChaosApi, undo: ChaosUndo, target: Target) -> None:
        """End all that the API does, unless other faults of the run need it still: then the last of them does it."""
        if not any(_on(other, undo.service) for other in target.others()):
            await api.clear()

    async def _stop_strategy(self, api: ChaosApi, spec: ChaosSpec, undo: ChaosUndo) -> Done:
        try:
            await api.start(spec.ended_by, {"strategy": undo.strategy})
        except Unsupported:
            if await _ours(api, undo):
                raise
            return Done(found=True)
        return Done()


def _spec(target: Target) -> ChaosSpec:
    if not isinstance(target.action.spec, ChaosSpec):
        raise Unsupported(f"{target.action.action} is no call of a chaos API")
    return target.action.spec


async def _ours(api: ChaosApi, undo: ChaosUndo) -> list[Active]:
    """What is active of the type that the action starts, without what was there before it."""
    words = {undo.strategy} if undo.strategy is not None else {undo.action, undo.action.removeprefix("exchange_")}
    kinds = {word.replace("_", "-") for word in words}
    return [one for one in await api.active() or () if one.type in kinds and one.id not in undo.known]


def _body(target: Target) -> dict[str, Any]:
    """What is sent: the parameters as they were told, and how long it lasts if only the action says so."""
    body: dict[str, Any] = json.loads(target.action.told.model_dump_json(exclude_none=True))
    lasts, span = _spec(target).lasts, target.action.for_
    if lasts and lasts not in body and span is not None:
        seconds = (span + OVER).total_seconds()
        body[lasts] = seconds / 3600 if lasts.endswith("_hours") else seconds
    return body


def _on(armed: FaultArmed, service: str) -> bool:
    return isinstance(armed.undo, ChaosUndo) and armed.undo.service == service
