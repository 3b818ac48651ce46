"""What a run needs before it starts: its system, then a place in its group.

A run has its system while it waits for the group, so nobody passes it there; who has a place in a group has all that it needs, and ends. So
no two runs wait for each other, and each is served when those that were accepted before it are.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from actors.scheduler.systems import Systems, has_place, place_of_group
from actors.scheduler.waiting import TICKETS, Ticket, Waiting
from bus.actor import Run
from bus.keys import Keys
from messages.run_events import RunWaiting
from messages.scenario import GroupLimit
from runs.state import RunState

_log = structlog.get_logger()
SEEN_WITHIN = timedelta(seconds=1)
"""How long after a run's start the watch of the bucket must have told of its places."""


class Places:
    """The systems and groups of all runs that this scheduler has."""

    def __init__(self, keys: Keys, finished: Callable[[str], Awaitable[bool]]) -> None:
        """`finished` says whether a run is over."""
        self._systems = Systems(keys, finished)
        self._waiting = Waiting(keys)
        self._seen: dict[str, bytes] = {}
        """What the keys hold, as the watch of the bucket tells it."""
        self._freed: set[str] = set()

    async def take(self, run: Run[RunState]) -> RunWaiting | None:
        """Give the run what it needs; None when it has all of it, else what it waits for. First accepted is first served."""
        state = run.view
        return await self._take_system(state, run) or await self._take_group(state, run)

    async def _take_system(self, state: RunState, run: Run[RunState]) -> RunWaiting | None:
        system, shared = state.system.name, is_shared(state)
        ticket = Ticket(run=state.id, place=system, sequence=state.accepted_sequence, shared=shared)
        ahead = await self._ahead(ticket, run)
        behind = ahead.run if ahead is not None else await self._systems.take(system, state.id, shared=shared)
        if behind is None:
            self._waiting.drop(state.id)
            return None
        await self._waiting.announce(ticket, run.now())
        if shared:
            return RunWaiting(behind=behind, why=f"{system} is not shared by the run that has it: behind {behind}")
        return system_is_taken(system, behind)

    async def _take_group(self, state: RunState, run: Run[RunState]) -> RunWaiting | None:
        bound = state.scenario.spec.concurrency
        if not isinstance(bound, GroupLimit):
            return None
        place = place_of_group(bound.group)
        ticket = Ticket(run=state.id, place=place, sequence=state.accepted_sequence, shared=False)
        async with self._waiting.turns[place]:
            ahead = await self._ahead(ticket, run)
            inside = [ahead.run] if ahead is not None else await self._systems.enter(place, state.id, bound.limit)
            if not inside:
                self._waiting.drop(state.id)
                self._waiting.wake(place)
                return None
            await self._waiting.announce(ticket, run.now())
        return group_is_full(bound, inside[0])

    async def _ahead(self, ticket: Ticket, run: Run[RunState]) -> Ticket | None:
        """Stand in the queue; the nearest that is served before. Nobody, if the run has the place: the others wait for it."""
        ahead = await self._waiting.join(ticket, run)
        return None if ahead is None or await self._systems.has(ticket.place, ticket.run) else ahead

    async def started(self, run: str) -> None:
        """The run's start is in the journal: nobody need wait behind it any more."""
        await self._waiting.leave(run)

    async def keep(self, state: RunState, now: datetime) -> str | None:
        """Look that a started run still has its places, and take again what is free; another run that has one of them, if any."""
        if state.started is None or now < state.started + SEEN_WITHIN:
            return None
        for place in places_of(state):
            if has_place(self._seen.get(place, b""), state.id):
                continue
            other = await self._take_again(place, state)
            if other is not None:
                return other
            self._seen[place] = b" ".join((self._seen.get(place, b""), state.id.encode()))
        return None

    async def _take_again(self, place: str, state: RunState) -> str | None:
        """A started run counts in its group whatever the limit is; of its system there may be another owner."""
        self._systems.doubt(place)
        if place != state.system.name:
            await self._systems.enter(place, state.id, limit=_ANY)
            return None
        other = await self._systems.take(place, state.id, shared=is_shared(state))
        if other is not None:
            _log.error("system.lost", run=state.id, system=place, to=other)
        return other

    async def free(self, state: RunState) -> None:
        """Take a finished run out of its places, so that the next ones can have them."""
        await self._waiting.leave(state.id)
        if state.id not in self._freed:
            for place in reversed(places_of(state)):
                await self._systems.leave(place, state.id)
            self._freed.add(state.id)
        for place in places_of(state):
            self._waiting.wake(place)

    def forget(self, run: str) -> None:
        """The run is over, or another host's now. What it has it keeps, and whoever waits here behind it looks again."""
        self._freed.discard(run)
        self._systems.forget(run)
        for place in self._waiting.forget(run):
            self._waiting.wake(place)

    def changed(self, key: str, value: bytes | None) -> None:
        """Take in a change of a key in the bucket."""
        if key.startswith(TICKETS):
            place = self._waiting.saw(key, value)
            if place is not None:
                self._waiting.wake(place)
            return
        if value is None:
            self._seen.pop(key, None)
        else:
            self._seen[key] = value
        if value is None or key.startswith(_GROUPS):
            self._waiting.wake(key)


_ANY = 1_000_000
_GROUPS = place_of_group("")


def places_of(state: RunState) -> list[str]:
    """The keys of what the run needs, in the order in which it takes them."""
    bound = state.scenario.spec.concurrency
    return [state.system.name, *([place_of_group(bound.group)] if isinstance(bound, GroupLimit) else [])]


def system_is_taken(system: str, behind: str) -> RunWaiting:
    """What a run is told that wants a system for itself."""
    return RunWaiting(behind=behind, why=f"one run at a time on {system}: behind {behind}")


def group_is_full(bound: GroupLimit, behind: str) -> RunWaiting:
    """What a run is told for which there is no room in its group."""
    if bound.limit > 1:
        return RunWaiting(behind="", why=f"{bound.limit} runs at a time in group {bound.group}")
    return RunWaiting(behind=behind, why=f"1 run at a time in group {bound.group}: behind {behind}")


def is_shared(state: RunState) -> bool:
    """Whether the run goes on beside others of its system: both documents must say so."""
    return state.scenario.spec.concurrency == state.system.spec.concurrency == "shared"
