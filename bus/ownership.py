"""Who has which partitions: one map for each actor, changed by compare-and-set by whoever takes or gives, and read by everybody."""

import asyncio
import json
from collections.abc import Collection, Mapping
from contextlib import aclosing, suppress

import structlog

from bus.cancelling import leave_if_cancelled
from bus.errors import BusError, NoAnswer, PartitionsInvalid
from bus.keys import Keys
from bus.membership import Member, Membership
from bus.share import Share
from bus.subjects import PARTITIONS

AUTO = "auto"
EVERYTHING = frozenset(range(PARTITIONS))
_TICK = 0.5
_PAUSE = 0.05
_log = structlog.get_logger("bus.ownership")


class Ownership:
    """What this host owns, and what the others do."""

    def __init__(
        self, membership: Membership, maps: Keys, actors: Collection[str], *, near: Collection[str] = (), covered: Collection[str] = ()
    ) -> None:
        """`maps` is the bucket that holds, by actor, who owns each partition: the key of a host's lease.

        Those `near` what they work on are at work on one machine at a time: see `of_one_machine`. Of the `covered` ones no partition
        stays without an owner because nobody asks for it by its number: see `assign`.
        """
        self._membership = membership
        self._keys = maps
        self._near, self._covered = frozenset(near), frozenset(covered)
        self._standing_by: set[str] = set()
        self._maps: dict[str, tuple[dict[int, str], int]] = {}
        self._claimed = dict.fromkeys(actors, 0)
        """By which lease of this host an actor's partitions were claimed; 0: by none, or it is not known."""
        self._stirred = {actor: asyncio.Event() for actor in actors}
        self._known = asyncio.Event()
        self.shares = {actor: self._share(actor) for actor in actors}

    def _share(self, actor: str) -> Share:
        return Share(lambda margin: self._claimed[actor] == self._membership.generation and self._membership.sure(margin))

    def is_attended(self, actor: str, partition: int) -> bool:
        """Whether a host that lives owns the partition for this actor."""
        return self._maps.get(actor, ({}, 0))[0].get(partition, "") in self._membership.members

    async def run(self) -> None:
        """Take what is ours and free, give what another is to have, and know what was lost, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._pass_on())
            for actor, share in self.shares.items():
                tasks.create_task(self._tend(actor, share))

    async def _watch(self) -> None:
        while True:
            leave_if_cancelled()
            try:
                async with aclosing(self._keys.changes()) as changes:
                    async for change in changes:
                        if change is None:
                            self._known.set()
                        else:
                            self._learn(change.key, _read(change.value), change.revision)
            except BusError as error:
                _log.debug("partitions.unwatched", error=str(error))
            await asyncio.sleep(_PAUSE)

    async def _pass_on(self) -> None:
        """A lease was renewed, or another host came or went: whoever waits for that looks again."""
        while True:
            await self._membership.changed.wait()
            self._stir()
            for share in self.shares.values():
                share.changed.send()

    def _learn(self, actor: str, owners: dict[int, str], revision: int) -> None:
        if revision > self._maps.get(actor, ({}, 0))[1]:
            self._maps[actor] = owners, revision
            self._stir()

    def _stir(self) -> None:
        for stirred in self._stirred.values():
            stirred.set()

    async def _tend(self, actor: str, share: Share) -> None:
        stirred = self._stirred[actor]
        await self._known.wait()
        while True:
            stirred.clear()
            try:
                if self._membership.sure():
                    await self._settle(actor, share)
            except BusError as error:
                _log.debug("partitions.unsettled", actor=actor, error=str(error))
            leave_if_cancelled()
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await stirred.wait()

    async def _settle(self, actor: str, share: Share) -> None:
        owners, revision = self._maps.get(actor, ({}, 0))
        me, generation = self._membership.key, self._membership.generation
        mine = {partition for partition, owner in owners.items() if owner == me}
        wanted = assign(owners, self._offers(actor, owners), covered=actor in self._covered)
        taken = {partition for partition, owner in wanted.items() if owner == me and await self._is_free(owners.get(partition))}
        if taken or (mine and self._claimed[actor] != generation):
            share.lose(taken)
            if not await self._put(actor, owners | dict.fromkeys(taken, me), revision):
                return
            mine |= taken
        self._claimed[actor] = generation
        given = {partition for partition in mine if wanted.get(partition, me) != me}
        if mine != share.owned or share.giving:
            _log.info("partitions.owned", actor=actor, partitions=as_text(mine))
            share.own(mine)
        if given:
            leave_if_cancelled()
            await share.give(given)
            owners, revision = self._maps[actor]
            left = {partition: owner for partition, owner in owners.items() if partition not in given or owner != me}
            if await self._put(actor, left, revision):
                share.own(mine - given)
        share.settled.set()

    def _offers(self, actor: str, owners: Mapping[int, str]) -> dict[str, frozenset[int] | None]:
        offering = {key: member for key, member in self._membership.members.items() if actor in member.offers}
        if actor in self._near:
            offering = self._beside(actor, of_one_machine(offering, owners), offering)
        return {key: parse_partitions(member.offers[actor]) for key, member in offering.items()}

    def _beside(self, actor: str, chosen: dict[str, Member], offering: Mapping[str, Member]) -> dict[str, Member]:
        """Those that were chosen; said once, if this host is none of them."""
        if self._membership.key in chosen or self._membership.key not in offering:
            self._standing_by.discard(actor)
        elif actor not in self._standing_by:
            self._standing_by.add(actor)
            _log.warning("actor.standing_by", actor=actor, why="another machine is at work", hosts=sorted(chosen))
        return chosen

    async def _is_free(self, owner: str | None) -> bool:
        if owner is None:
            return True
        if owner == self._membership.key or owner in self._membership.members:
            return False
        # Who had its lease before an outage of the bus comes back: the first to be back waits for the others.
        may_be_back = self._membership.generation > 1 and not self._membership.is_steady()
        return not may_be_back and await self._membership.is_gone(owner)

    async def _put(self, actor: str, owners: dict[int, str], last: int) -> bool:
        """Whether the map was still the one that was looked at, and is this one now."""
        body = json.dumps({str(partition): owner for partition, owner in sorted(owners.items())}).encode()
        try:
            revision = await self._keys.put(actor, body, last)
        except NoAnswer:
            # It may have taken effect, or still do: the map that is known says what is ours only when it has been written anew.
            self._claimed[actor] = 0
            raise
        if revision is not None:
            self._learn(actor, owners, revision)
        return revision is not None


def assign(owners: Mapping[int, str], offers: Mapping[str, frozenset[int] | None], *, covered: bool = False) -> dict[int, str]:
    """Who is to have each partition: those that ask for it by its number, then all others evenly, with as few moves as can be.

    If they are to be `covered`, what nobody would have goes to those that ask for other numbers, until somebody comes who asks for it.
    """
    found: dict[int, str] = {}
    for partition in range(PARTITIONS):
        asking = sorted(key for key, numbers in offers.items() if numbers is not None and partition in numbers)
        if asking:
            owner = owners.get(partition)
            found[partition] = owner if owner in asking else asking[0]
    rest = [partition for partition in range(PARTITIONS) if partition not in found]
    anybody = [key for key, numbers in offers.items() if numbers is None] or (list(offers) if covered else [])
    return found | (_spread(rest, owners, anybody) if anybody else {})


def of_one_machine(offering: Mapping[str, Member], owners: Mapping[int, str]) -> dict[str, Member]:
    """The hosts of the machine that has partitions already, or of the first by key where none has any.

    What one machine has started and disturbed no other can reach, so its partitions stay there while a host of it is there.
    """
    having = [owner for _, owner in sorted(owners.items()) if owner in offering] or sorted(offering)
    return {key: member for key, member in offering.items() if member.machine == offering[having[0]].machine}


def _spread(partitions: list[int], owners: Mapping[int, str], hosts: list[str]) -> dict[int, str]:
    has = {key: [partition for partition in partitions if owners.get(partition) == key] for key in hosts}
    least, more = divmod(len(partitions), len(hosts))
    order = sorted(hosts, key=lambda key: (-len(has[key]), key))
    room = {key: least + (1 if place < more else 0) for place, key in enumerate(order)}
    found = {partition: key for key in order for partition in has[key][: room[key]]}
    free = iter([partition for partition in partitions if partition not in found])
    for key in order:
        for _ in range(room[key] - len(has[key][: room[key]])):
            found[next(free)] = key
    return found


def parse_partitions(text: str) -> frozenset[int] | None:
    """The partitions that `0-3,7` names; None for `auto`.

    Raises:
        PartitionsInvalid: it names none, or one that there is not.
    """
    if text == AUTO:
        return None
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise PartitionsInvalid(text, PARTITIONS)
        if not int(first) <= int(last or first) < PARTITIONS:
            raise PartitionsInvalid(text, PARTITIONS)
        found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)


def as_text(partitions: Collection[int]) -> str:
    """Such as `0-3,7`; empty for none."""
    runs: list[list[int]] = []
    for partition in sorted(partitions):
        if runs and partition == runs[-1][-1] + 1:
            runs[-1].append(partition)
        else:
            runs.append([partition])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _read(value: bytes | None) -> dict[int, str]:
    try:
        found = json.loads(value or b"{}")
        return {int(partition): str(owner) for partition, owner in found.items()}
    except (ValueError, AttributeError):
        return {}
