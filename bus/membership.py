"""The hosts of a namespace: each keeps a lease, sees who else has one, and looks whether its neighbour still lives."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from datetime import timedelta

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from bus.cancelling import leave_if_cancelled
from bus.connection import Connection
from bus.errors import BusError, NameTaken, NoAnswer
from bus.keys import Keys
from bus.share import Signal
from bus.subjects import Subjects
from messages.values import Message

TTL = timedelta(seconds=2)
"""How long a lease outlives its last renewal; the server counts whole seconds."""
RENEW = 0.4
MARGIN = 1.0
"""Seconds that a lease must still last when something is begun that its successor must not do too."""
PING = 0.1
"""Seconds from one look at the neighbour to the next."""
PATIENCE = 0.2
"""Seconds that the neighbour may take to answer before it is looked again."""
DEAD = 0.3
"""Seconds without a connection after which the neighbour is dead; a client that only lost its server is back after 0.1."""
STEADY = 1.0
"""Seconds that our own lease lasts without break before we call another dead: after an outage of the server all come back."""
_TICK = 0.05
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine is suspended, as leases do."""
_log = structlog.get_logger("bus.membership")


class Member(Message):
    """One host, as its lease says."""

    host: str
    instance: str
    derived: dict[str, str] = {}
    """The names that no other instance may have, each by what it is."""
    machine: str = ""
    """Hosts of one machine reach each other's processes."""
    offers: dict[str, str] = {}
    """The actors that it runs, each with the partitions that it takes: `auto`, or numbers such as `0-3,7`."""


class Membership:
    """This host among the others."""

    def __init__(self, connection: Connection, subjects: Subjects, keys: Keys, key: str, describe: Callable[[], Member]) -> None:
        """`describe` says what the lease of this host is to hold now."""
        self.key = key
        self.members: dict[str, Member] = {}
        """Whoever has a lease, by its key."""
        self.changed = Signal()
        self.seen = asyncio.Event()
        """This host has had a lease, and knows of all that there were at that time."""
        self.generation = 0
        """Counts the leases of this host: after one that has run out it must look again what is still its own."""
        self._connection = connection
        self._subjects = subjects
        self._keys = keys
        self._describe = describe
        self._revisions: dict[str, int] = {}
        self._valid_until = 0.0
        self._since = 0.0
        self._without = True
        """There was no lease when it was last looked for, and none is known to have been taken since."""
        self._connected = 0
        """The how-manieth connection the lease was last renewed by."""

    def sure(self, margin: float = 0.0) -> bool:
        """Whether the lease of this host lasts for so many more seconds, by its own clock.

        Not when its connection broke after the last renewal: whoever saw that may have called it dead.
        """
        unbroken = self._connection.nc.is_connected and self._connection.nc.stats["reconnects"] == self._connected
        return unbroken and _now() + margin < self._valid_until

    def is_steady(self) -> bool:
        """Whether this host has had its lease for so long that whoever is there must have come back too."""
        return self.sure() and _now() - self._since > STEADY

    def check_names(self, instance: str, derived: Mapping[str, str]) -> None:
        """Of two instances each must have names of its own; those that differ only in case are one instance.

        Raises:
            NameTaken: another instance has one of ours.
        """
        for other in self.members.values():
            for what, name in derived.items():
                if other.instance.lower() != instance.lower() and other.derived.get(what) == name:
                    raise NameTaken(instance, other.instance, what, name)

    async def is_gone(self, key: str) -> bool:
        """Whether a host has no lease, by the server's own word.

        Raises:
            NoAnswer: the server does not say.
        """
        return await self._keys.get(key) is None

    async def run(self) -> None:
        """Keep the lease and watch the others until cancelled; then give it back."""
        answering = await self._connection.nc.subscribe(self._subjects.alive(self.key), cb=_answer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch())
                tasks.create_task(self._look_after_neighbour())
                tasks.create_task(self._keep())
        finally:
            with suppress(NatsError):
                await answering.unsubscribe()
            await self._give_back()

    async def _keep(self) -> None:
        told, renew_at = Member(host="", instance=""), 0.0
        while True:
            leave_if_cancelled()
            mine = self._describe()
            if mine == told and _now() < renew_at:
                await asyncio.sleep(_TICK)
                continue
            begun, connected = _now(), self._connection.nc.stats["reconnects"]
            try:
                await self._renew(mine)
            except BusError as error:
                _log.debug("lease.unrenewed", error=str(error))
                await asyncio.sleep(_TICK)
                continue
            told, renew_at, self._valid_until = mine, begun + RENEW, begun + TTL.total_seconds()
            self._connected = connected
            self.changed.send()

    async def _renew(self, mine: Member) -> None:
        body, revision = mine.model_dump_json().encode(), self._revisions.get(self.key, 0)
        renewed = await self._keys.put_lease(self.key, body, TTL, revision) if revision else None
        renewed = renewed or await self._recover(body)
        if renewed is None:
            raise NoAnswer(f"renew the lease {self.key}")
        if self._without:
            self._without, self.generation, self._since = False, self.generation + 1, _now()
            if revision:
                _log.warning("lease.lost", generation=self.generation)
        self._revisions[self.key], self.members[self.key] = renewed, mine

    async def _recover(self, body: bytes) -> int | None:
        """The lease is another than was known, or there is none: its revision, or None if it changed again meanwhile."""
        found = await self._keys.get(self.key)
        if found is not None:
            self._revisions[self.key] = found.revision
            return await self._keys.put_lease(self.key, body, TTL, found.revision)
        self._without, self._valid_until = True, 0.0
        return await self._keys.create_lease(self.key, body, TTL)

    async def _watch(self) -> None:
        """Begun when the first lease is there, so that of two hosts that come at once one at least sees the other."""
        while self.generation == 0:
            await self.changed.wait()
        while True:
            leave_if_cancelled()
            try:
                async with aclosing(self._keys.changes()) as changes:
                    async for change in changes:
                        if change is None:
                            self.seen.set()
                        elif change.key != self.key:
                            self._learn(change.key, change.value, change.revision)
            except BusError as error:
                _log.debug("members.unwatched", error=str(error))
            await asyncio.sleep(_TICK)

    def _learn(self, key: str, value: bytes | None, revision: int) -> None:
        self._revisions[key] = revision
        member = None
        if value is not None:
            with suppress(ValueError):
                member = Member.model_validate_json(value)
        before = self.members.pop(key, None)
        if member is not None:
            self.members[key] = member
        if member != before:
            _log.info("host.seen" if member is not None else "host.gone", lease=key)
            self.changed.send()

    async def _look_after_neighbour(self) -> None:
        """Each host looks after the next one: the server knows at once when a connection has ended, a lease only in its time."""
        silent: tuple[str, float] | None = None
        while True:
            leave_if_cancelled()
            await asyncio.sleep(PING)
            neighbour = self._neighbour()
            if neighbour is None or await self._is_connected(neighbour):
                silent = None
                continue
            if silent is None or silent[0] != neighbour:
                silent = neighbour, time.monotonic()
            if time.monotonic() - silent[1] >= DEAD and self.is_steady():
                await self._bury(neighbour)
                silent = None

    def _neighbour(self) -> str | None:
        others = sorted(self.members.keys() - {self.key})
        return next((key for key in others if key > self.key), others[0] if others else None)

    async def _is_connected(self, key: str) -> bool:
        """False only if the server says that nobody is there; one that does not answer may be halted, and has its lease.

        What was on its way to one that died is never answered: the next look tells.
        """
        try:
            await self._connection.nc.request(self._subjects.alive(key), b"", timeout=PATIENCE)
        except NoRespondersError:
            return False
        except (TimeoutError, NatsError, OSError):
            return True
        return True

    async def _bury(self, key: str) -> None:
        try:
            revision = self._revisions.get(key, 0)
            if await self._keys.delete(key, revision):
                _log.warning("host.died", lease=key)
            elif await self._keys.get(key) is None and self._revisions.get(key, 0) == revision:
                self._learn(key, None, revision)
        except BusError as error:
            _log.debug("lease.left", lease=key, error=str(error))

    async def _give_back(self) -> None:
        self._valid_until = 0.0
        try:
            async with asyncio.timeout(1):
                await self._keys.delete(self.key, self._revisions.get(self.key, 0))
        except (BusError, TimeoutError) as error:
            _log.debug("lease.left", error=str(error))


def _now() -> float:
    return time.clock_gettime(_CLOCK)


async def _answer(message: Msg) -> None:
    await message.respond(b"")
