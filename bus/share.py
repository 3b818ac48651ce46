"""What one actor of this host owns, and whether that is sure at the moment."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from bus.errors import LostRace
from bus.subjects import PARTITIONS


class Signal:
    """Wakes everybody who waits for something to change."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def send(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Until the next change."""
        await self._event.wait()


class Share:
    """The partitions of one actor of this host. Who owns them is said by `Ownership`, who serves them by the reader of the host."""

    def __init__(self, sure: Callable[[float], bool], owned: Collection[int] = ()) -> None:
        """`sure` says whether nobody else can own them for so many more seconds."""
        self.owned = frozenset(owned)
        self.terms: dict[int, int] = dict.fromkeys(owned, 1)
        """How often each was taken: of two terms, another may have owned it in between."""
        self.giving: frozenset[int] = frozenset()
        """Those that are handed over: nothing new is begun in them, and they are another's when they are served no more."""
        self.serving: frozenset[int] = frozenset()
        """Those whose runs are in hand."""
        self.settled = asyncio.Event()
        """It has been looked once what this actor is to own."""
        self.changed = Signal()
        self._sure = sure

    @classmethod
    def of_everything(cls) -> "Share":
        """For an actor that nobody else can stand in for."""
        whole = cls(lambda _: True, range(PARTITIONS))
        whole.settled.set()
        return whole

    def own(self, partitions: Collection[int]) -> None:
        """These are ours now, and no others."""
        for partition in frozenset(partitions) - self.owned - self.giving:
            self.terms[partition] = self.terms.get(partition, 0) + 1
        self.owned, self.giving = frozenset(partitions), frozenset()
        self.changed.send()

    def lose(self, partitions: Collection[int]) -> None:
        """Others have had these, whatever becomes of them now."""
        self.owned, self.giving = self.owned - frozenset(partitions), self.giving - frozenset(partitions)
        self.changed.send()

    async def give(self, partitions: Collection[int]) -> None:
        """Returns when these are served no more."""
        self.giving, self.owned = self.giving | frozenset(partitions), self.owned - frozenset(partitions)
        self.changed.send()
        while self.giving & self.serving:
            await self.changed.wait()

    def serve(self, partitions: Collection[int]) -> None:
        """The runs of these are in hand."""
        self.serving = frozenset(partitions)
        self.changed.send()

    def has(self, partition: int, term: int | None = None) -> bool:
        """Whether nobody is known to have taken it (since this term)."""
        return (partition in self.owned or partition in self.giving) and term in {None, self.terms.get(partition)}

    async def hold(self, partition: int, margin: float = 0.0, term: int | None = None) -> None:
        """Returns when nobody else can own it for so many seconds (nor has since this term).

        Raises:
            LostRace: somebody else owns it, or has in between.
        """
        while self.has(partition, term):
            if partition in self.owned and self._sure(margin):
                return
            await self.changed.wait()
        raise LostRace(f"partition {partition}", 0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an actor works: what it owns there, and who is beside it."""

    share: Share
    host: str = "alone"
    instance: str = ""
    attended: Callable[[str, int], bool] = lambda _actor, _partition: True
    """Whether a host that lives owns a partition for an actor."""
