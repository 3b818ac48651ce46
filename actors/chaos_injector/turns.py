"""Turns: what is done to the target of one fault is done one after the other."""

import asyncio
from collections import defaultdict


class Turns:
    """One lock a fault. Nobody waits for the bus in his turn: whoever undoes the fault when its lease is over would wait with him."""

    def __init__(self) -> None:
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    def of(self, run: str, fault: str) -> asyncio.Lock:
        """The turn at the target of a fault."""
        return self._locks[run, fault]

    def forget(self, run: str) -> None:
        """The run is over, or another's."""
        for key in [key for key in self._locks if key[0] == run]:
            del self._locks[key]
