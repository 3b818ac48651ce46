"""Who has a place: a system, which one run has or several share, or one of a group's. A key in KV names them, so every scheduler knows."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable

from bus.keys import Keys

_SHARED = "shared"
"""Begins what a key holds when its runs share the place: no run's id is this word."""
_GROUP = "=group/"
"""Begins the keys of groups: no system's name has these characters."""


def place_of_group(group: str) -> str:
    """The key that says which runs are in the group."""
    return _GROUP + group


def has_place(text: bytes, run: str) -> bool:
    """Whether the run is among those that a key holds."""
    return run.encode() in text.split()


class Systems:
    """The systems that runs have, and their places in groups. A run is added and taken out once, however often that is asked for."""

    def __init__(self, keys: Keys, finished: Callable[[str], Awaitable[bool]]) -> None:
        """`finished` says whether a run is over: one whose scheduler died may still be in a key."""
        self._keys = keys
        self._finished = finished
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._held: dict[str, tuple[str, int]] = {}
        """What the keys hold as far as was seen here, and since which revision. No more than a hint."""
        self._coming: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._going: defaultdict[str, set[str]] = defaultdict(set)

    async def take(self, system: str, run: str, *, shared: bool) -> str | None:
        """Give the run its system; None when it has it, else a run that is in the way."""
        if shared:
            return await self._join(system, run)
        async with self._turns[system]:
            while True:
                revision = await self._keys.create(system, run.encode())
                if revision is not None:
                    self._held[system] = run, revision
                    return None
                holders = await self._holders(system)
                if holders == [run]:
                    return None
                if holders:
                    return next(holder for holder in holders if holder != run)

    async def enter(self, place: str, run: str, limit: int) -> list[str]:
        """Give the run one of so many places of a group; empty when it has one, else the runs that have them."""
        async with self._turns[place]:
            while True:
                held = self._held.get(place) or await self._read(place)
                inside = _runs(held[0]) if held is not None else []
                if run not in inside and len(inside) >= limit:
                    inside = await self._holders(place)
                    if run not in inside and len(inside) >= limit:
                        return inside
                if run in inside or await self._add(place, [run]):
                    return []

    async def has(self, place: str, run: str) -> bool:
        """Whether the run has the place."""
        entry = await self._keys.get(place)
        return entry is not None and has_place(entry.value, run)

    def doubt(self, place: str) -> None:
        """The key may not hold what was seen or written here: read it before the next write."""
        self._held.pop(place, None)

    def forget(self, run: str) -> None:
        """The run is no longer ours: ask for nothing more in its name. What it has it keeps."""
        for coming in self._coming.values():
            coming.pop(run, None)

    async def leave(self, system: str, run: str) -> None:
        """Take the run out; the last one frees the place."""
        self._coming[system].pop(run, None)
        self._going[system].add(run)
        async with self._turns[system]:
            while run in self._going[system]:
                going = set(self._going[system])
                held = await self._look(system, going)
                if held is None or await self._replace(system, held, [one for one in _runs(held[0]) if one not in going]):
                    self._going[system] -= going

    async def _join(self, system: str, run: str) -> str | None:
        """Add the run to those that share the system, and with it all that have asked meanwhile: one write for many."""
        self._coming[system][run] = None
        async with self._turns[system]:
            while run in self._coming[system]:
                coming = list(self._coming[system])
                if not await self._add(system, coming):
                    holders = await self._holders(system)
                    if holders and not await self._is_shared(system):
                        self._coming[system].pop(run, None)
                        return None if holders == [run] else holders[0]
                    continue
                for one in coming:
                    self._coming[system].pop(one, None)
        return None

    async def _add(self, system: str, coming: Iterable[str]) -> bool:
        held = self._held.get(system) or await self._read(system)
        if held is None:
            revision = await self._keys.create(system, _text(coming).encode())
            if revision is not None:
                self._held[system] = _text(coming), revision
            return revision is not None
        return held[0].startswith(_SHARED) and await self._replace(system, held, dict.fromkeys([*_runs(held[0]), *coming]))

    async def _replace(self, system: str, held: tuple[str, int], runs: Iterable[str]) -> bool:
        """Change what a key holds; False when somebody else was first, or it is as it was."""
        self._held.pop(system, None)
        left = list(runs)
        if not left:
            return await self._keys.delete(system, held[1])
        text = _text(left)
        if text == held[0]:
            self._held[system] = held
            return True
        revision = await self._keys.put(system, text.encode(), held[1])
        if revision is not None:
            self._held[system] = text, revision
        return revision is not None

    async def _look(self, system: str, runs: Iterable[str]) -> tuple[str, int] | None:
        """What the key holds, if any of these runs is in it."""
        held = self._held.get(system)
        if held is None or not set(_runs(held[0])) & set(runs):
            held = await self._read(system)
        return held if held is not None and set(_runs(held[0])) & set(runs) else None

    async def _read(self, system: str) -> tuple[str, int] | None:
        found = await self._keys.get(system)
        if found is None:
            self._held.pop(system, None)
            return None
        self._held[system] = found.value.decode(), found.revision
        return self._held[system]

    async def _is_shared(self, system: str) -> bool:
        held = self._held.get(system)
        return held is None or held[0].startswith(_SHARED)

    async def _holders(self, system: str) -> list[str]:
        """The runs that have the system now. Finished ones that were not taken out, because their scheduler died, are taken out here."""
        held = await self._read(system)
        if held is None:
            return []
        runs = _runs(held[0])
        left = [run for run in runs if not await self._finished(run)]
        if len(left) < len(runs) and not await self._replace(system, held, left):
            return await self._holders(system)
        return left


def _runs(text: str) -> list[str]:
    words = text.split()
    return words[1:] if words[:1] == [_SHARED] else words


def _text(runs: Iterable[str]) -> str:
    return " ".join([_SHARED, *runs])
