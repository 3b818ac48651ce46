"""Asking services to disturb themselves, through their own chaos APIs."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from actors.chaos_injector.drivers import Done, Driver, Plan, Target
from messages.actions.chaos import ChaosSpec, ChaosUndo
from messages.actions.chaos_parameters import Remedy, Strategy
from messages.fault_events import FaultArmed
from messages.undo import AnyUndo
from targets.chaos_api import Active, ChaosApi, ChaosApiFailed
from targets.errors import SecretMissing, Unsupported
from targets.identity import is_alive
from targets.polling import comes_true

_log = structlog.get_logger()
POLL = 0.05
LOOK = 1.0
"""Seconds that an API may take to say what is active, where nobody knows whether it was told to begin: it is not told twice."""
OVER = timedelta(seconds=5)
"""How much longer than its `for` a service is told to disturb itself: the undo comes first, and the end comes without us."""


@dataclass(slots=True)
class _Call:
    """What this process knows of a fault's call."""

    id: str | None = None
    """Its id, if the API gave one."""
    refused: bool = False
    """The API did not do it."""
    listed: bool = False
    """The API lists it by its id or type, so that whatever else is new there is somebody else's."""
    ending: bool = False
    """Its undo has begun: the fault does not keep others from a clear-all any more."""


class ChaosFaults(Driver):
    """One call to begin and one to end; keys of the APIs come from `environment`.

    What it remembers of a call helps to find what that started; without it (the injector was restarted) the types must do.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._calls: defaultdict[tuple[str, str], _Call] = defaultdict(_Call)

    def forget(self, run: str) -> None:
        """The run is over."""
        for key in [key for key in self._calls if key[0] == run]:
            del self._calls[key]

    async def plan(self, target: Target) -> Plan:
        api, told = self._api(target), target.action.told
        strategy = told.strategy if isinstance(told, Strategy) else None
        base = target.service.chaos.http if target.service.chaos is not None else ""
        active = await api.active()
        undo = ChaosUndo(
            service=target.name,
            base=base,
            action=target.action.action,
            known=tuple(one.id for one in active or ()),
            strategy=strategy,
            lists=active is not None,
            identity=target.current(target.name),
        )
        return Plan(undo)

    async def inject(self, target: Target, plan: Plan) -> str:
        call = self._calls[target.run, target.fault]
        try:
            call.id = await self._api(target).start(_spec(target).path, _body(target))
        except Unsupported:
            call.refused = True
            raise
        return f"its id is {call.id}" if call.id is not None else ""

    async def was_injected(self, target: Target, plan: Plan) -> bool:
        undo = plan.undo
        if not isinstance(undo, ChaosUndo) or not undo.lists:
            return True
        try:
            async with asyncio.timeout(LOOK):
                active = await self._api(target).active()
        except (ChaosApiFailed, TimeoutError):
            return True
        return active is None or bool(self._ours(active, target.fault, undo, target))

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        if not isinstance(undo, ChaosUndo):
            return Done(found=True)
        try:
            return await self._end(undo, target)
        except ChaosApiFailed:
            if undo.identity is None or is_alive(undo.identity):
                raise
            return Done(found=True)  # what it did to itself has ended with it

    async def _end(self, undo: ChaosUndo, target: Target) -> Done:
        api, spec = self._api(target), _spec(target)
        self._calls[target.run, target.fault].ending = True
        if spec.ended_by:
            return await self._stop_strategy(api, spec, undo, target)
        active = await api.active() if undo.lists else None
        if active is None:
            await self._clear(api, undo, target)
            return Done()
        ours = self._ours(active, target.fault, undo, target)
        left = [one for one in ours if not await api.stop(one)]
        if left or await self._is_owed(api, undo, target):
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
            active = await self._api(target).active() or ()
            seen[:] = [one.id for one in self._named(active, target.fault, undo, target)]
            return bool(seen)

        return f"{target.name} says that {', '.join(seen)} is active" if await self._sees(look, within) else None

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        undo = plan.undo

        async def look() -> bool:
            if not isinstance(undo, ChaosUndo):
                return True
            active = await self._api(target).active()
            if active is None:  # only a clear-all has ended it, and that waits for the last fault on the service
                return not any(_on(other, undo.service) for other in target.others())
            return not self._ours(active, target.fault, undo, target)

        return await self._sees(look, within)

    async def _sees(self, look: Callable[[], Awaitable[bool]], within: timedelta) -> bool:
        """Whether a look came true in this time. A service that does not answer may be starting again, or be slow."""

        async def patiently() -> bool:
            try:
                return await look()
            except ChaosApiFailed:
                return False

        return await comes_true(patiently, within, poll=POLL)

    def _api(self, target: Target) -> ChaosApi:
        chaos = target.service.chaos
        if chaos is None:
            raise Unsupported(f"{target.name} has no chaos API; give it `chaos: {{http: …}}` in the system")
        if chaos.key is not None and chaos.key.secret not in self._environment:
            raise SecretMissing([chaos.key.secret])
        return ChaosApi(chaos.http, self._environment[chaos.key.secret] if chaos.key is not None else None)

    async def _clear(self, api: ChaosApi, undo: ChaosUndo, target: Target) -> None:
        """End all that the API does, unless other faults of the run need it still: then the last of them does it."""
        if not any(_on(other, undo.service) and not self._is_ending(target, other) for other in target.others()):
            await api.clear()

    async def _is_owed(self, api: ChaosApi, undo: ChaosUndo, target: Target) -> bool:
        """Whether a fault that was undone waits for the clear-all of this one."""
        waiting = [other for other in target.undone() if _on(other, undo.service)]
        waiting += [other for other in target.others() if _on(other, undo.service) and self._is_ending(target, other)]
        if not waiting:
            return False
        active = await api.active() or ()
        return any(self._named(active, other.fault_id, other.undo, target) for other in waiting if isinstance(other.undo, ChaosUndo))

    def _is_ending(self, target: Target, other: FaultArmed) -> bool:
        call = self._calls.get((target.run, other.fault_id))
        return call is not None and call.ending

    async def _stop_strategy(self, api: ChaosApi, spec: ChaosSpec, undo: ChaosUndo, target: Target) -> Done:
        try:
            await api.start(spec.ended_by, {"strategy": undo.strategy})
        except Unsupported:
            if self._named(await api.active() or (), target.fault, undo, target):
                raise
            return Done(found=True)
        return Done()

    def _ours(self, active: Sequence[Active], fault: str, undo: ChaosUndo, target: Target) -> list[Active]:
        """What the fault does; what is new and no other fault's if the API never listed it by its id or type."""
        call = self._calls[target.run, fault]
        named = self._named(active, fault, undo, target)
        if named or call.listed or call.refused or (undo.identity is not None and not is_alive(undo.identity)):
            return named
        theirs = {one.id for name, other in _beside(target, undo.service) for one in self._named(active, name, other, target)}
        new = [one for one in active if one.id not in undo.known and one.id not in theirs]
        if new:
            _log.warning("chaos.unnamed", run=target.run, fault=fault, ids=[one.id for one in new], types=[one.type for one in new])
        return new

    def _named(self, active: Sequence[Active], fault: str, undo: ChaosUndo, target: Target) -> list[Active]:
        """What is active by the id that the call gave, or of its type, without what was there before it or is another fault's."""
        call = self._calls[target.run, fault]
        theirs = {other.id for key, other in self._calls.items() if key[0] == target.run and other is not call} - {call.id}
        theirs |= _begun_later(active, fault, undo, target)
        words = {undo.strategy} if undo.strategy is not None else {undo.action, undo.action.removeprefix("exchange_")}
        kinds = {_word(word) for word in words}
        found = [
            one for one in active if one.id == call.id or (_word(one.type) in kinds and one.id not in undo.known and one.id not in theirs)
        ]
        call.listed = call.listed or bool(found)
        return found


def _spec(target: Target) -> ChaosSpec:
    if not isinstance(target.action.spec, ChaosSpec):
        raise Unsupported(f"{target.action.action} is no call of a chaos API")
    return target.action.spec


def _word(text: str) -> str:
    """A type without the ways to write it: inject_latency, INJECT-LATENCY and InjectLatency are one."""
    return re.sub(r"[\W_]+", "", text).casefold()


def _beside(target: Target, service: str) -> Iterator[tuple[str, ChaosUndo]]:
    """The other faults of the run on a service's API, those that were undone just now among them."""
    for other in (*target.others(), *target.undone()):
        if isinstance(other.undo, ChaosUndo) and other.undo.service == service:
            yield other.fault_id, other.undo


def _begun_later(active: Sequence[Active], fault: str, undo: ChaosUndo, target: Target) -> set[str]:
    """What has begun since an active fault of the same kind was planned: there are never two of a kind at once, so that is later."""
    others = [other.undo for other in target.others() if other.fault_id != fault and isinstance(other.undo, ChaosUndo)]
    same = [other for other in others if (other.service, other.action) == (undo.service, undo.action)]
    return {one.id for one in active for other in same if one.id not in other.known}


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
