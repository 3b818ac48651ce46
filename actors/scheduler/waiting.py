"""Which runs wait for which place, here and in other hosts, in the order in which they were accepted."""

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta

import structlog
from pydantic import ValidationError

from bus.actor import Run
from bus.keys import Keys
from messages.values import Message
from runs.state import RunState

TICKETS = "=next/"
"""Begins the keys of tickets: of those that wait for a place the first of each host has one, so that no host passes over another's."""
LOOK_AGAIN = timedelta(seconds=5)
"""How often a run that waits looks whether it still must, should the news of that be lost."""
_TICKET_TTL = timedelta(seconds=10)
"""A ticket whose host died is in nobody's way for longer than this, and until they look again: no news comes of its expiry."""


_log = structlog.get_logger()


class Ticket(Message):
    """A run that waits for a place: a system, or one of a group's."""

    run: str
    place: str
    sequence: int
    """That of its `run.accepted`: who has a lower one is served before."""
    shared: bool
    """Whether it may have the place beside others that share it."""

    def comes_after(self, other: "Ticket") -> bool:
        """Whether it has to wait until the other one is served."""
        together = self.shared and other.shared
        return other.place == self.place and other.sequence < self.sequence and other.run != self.run and not together


class Waiting:
    """The queues, one per place. What other hosts' runs wait for is known from their tickets in KV."""

    def __init__(self, keys: Keys) -> None:
        self.turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Held while a run looks whether there is room in a group: one that comes meanwhile is not told that it waits."""
        self._keys = keys
        self._here: defaultdict[str, dict[str, tuple[Ticket, Run[RunState]]]] = defaultdict(dict)
        self._tickets: dict[str, Ticket] = {}
        """The tickets of all hosts, as the watch of the bucket tells them."""
        self._written: dict[str, tuple[Ticket, int, datetime]] = {}
        """Our own, with their revisions and when they were written."""

    async def join(self, ticket: Ticket, run: Run[RunState]) -> Ticket | None:
        """Stand in the queue of a place, and in no other; the nearest of those that are served before."""
        if ticket.run not in self._here[ticket.place]:
            self.drop(ticket.run)
        self._here[ticket.place][ticket.run] = ticket, run
        while True:
            here = [other for other, _ in self._here.get(ticket.place, {}).values()]
            ahead = [other for other in (*here, *self._tickets.values()) if ticket.comes_after(other)]
            nearest = max(ahead, key=lambda other: other.sequence, default=None)
            if nearest is None or nearest in here or await self._keys.get(TICKETS + nearest.run) is not None:
                return nearest
            self._tickets.pop(nearest.run, None)

    async def announce(self, ticket: Ticket, now: datetime) -> None:
        """Tell the other hosts of a run that has to wait, if it is the first here. To be repeated as long as it waits."""
        if any(ticket.comes_after(other) for other, _ in self._here.get(ticket.place, {}).values()):
            return
        key, value = TICKETS + ticket.run, ticket.model_dump_json().encode()
        written = self._written.pop(ticket.run, None)
        if written is None:
            revision = await self._keys.create_lease(key, value, _TICKET_TTL)
        elif written[0] == ticket and now < written[2] + LOOK_AGAIN / 2:
            self._written[ticket.run] = written
            return
        else:
            revision = await self._keys.put_lease(key, value, _TICKET_TTL, written[1])
        if revision is not None:
            self._written[ticket.run] = ticket, revision, now

    async def leave(self, run: str) -> None:
        """The run waits no more: it was served, or it is over."""
        self.drop(run)
        if (self._written.pop(run, None) or self._tickets.get(run)) is not None:
            entry = await self._keys.get(TICKETS + run)
            if entry is not None:
                await self._keys.delete(TICKETS + run, entry.revision)

    def drop(self, run: str) -> set[str]:
        """Take the run out of the queues here, and say out of which; its ticket stays until it expires, for whoever has the run then."""
        places = {place for place, queue in self._here.items() if queue.pop(run, None) is not None}
        for place in [place for place, queue in self._here.items() if not queue]:
            del self._here[place]
        return places

    def forget(self, run: str) -> set[str]:
        """The run is no longer ours. The places for which it waited."""
        self._written.pop(run, None)
        return self.drop(run)

    def saw(self, key: str, value: bytes | None) -> str | None:
        """Take in a change of a ticket; the place that somebody has ceased to wait for, if so."""
        run = key.removeprefix(TICKETS)
        before, ticket = self._tickets.pop(run, None), _read(run, value)
        if ticket is not None:
            self._tickets[run] = ticket
        gone = before is not None and (ticket is None or ticket.place != before.place)
        return before.place if before is not None and gone else None

    def wake(self, place: str) -> None:
        """Let the first that waits here look again, and with one that shares all that do up to one that does not."""
        for ticket, run in sorted(self._here.get(place, {}).values(), key=lambda waiter: waiter[0].sequence):
            run.wake_at(run.now())
            if not ticket.shared:
                break


def _read(run: str, value: bytes | None) -> Ticket | None:
    """What a ticket's key says; one that cannot be read is in nobody's way."""
    try:
        return Ticket.model_validate_json(value) if value is not None else None
    except ValidationError as error:
        _log.warning("ticket.unreadable", run=run, error=str(error))
        return None
