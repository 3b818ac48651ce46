"""What an actor is: a name, what it emits, and one table of typed subscriptions."""

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from bus.errors import LostRace
from messages.events import Fold, Recorded, RunEvent

E = TypeVar("E", bound=RunEvent)
V = TypeVar("V", bound=Fold)
V_co = TypeVar("V_co", bound=Fold, covariant=True)

Decision = RunEvent | Sequence[RunEvent]
"""Events that follow from one look at the journal: the first is guarded, the rest follow at once, in order."""
Outcome = Iterable[RunEvent] | AsyncIterable[Decision] | None
"""What a handler returns: one decision, or (an async generator) decisions one after the other. What follows a `yield` runs only
when its events are stored; where another writer was first, or owns the run by now, `LostRace` is raised at the `yield`."""


class TimerDue(RunEvent):
    """A durable timer of the actor fired. Not a line of the journal."""

    EVENT = "timer.due.v1"
    ACTORS = ()

    name: str
    body: bytes = b""
    reach: str = ""

    @property
    def entity(self) -> str:
        return self.name


class Unreadable(RunEvent):
    """A line of the journal that this version cannot read. It counts when it is asked who wrote last, and for nothing else."""

    EVENT = "unreadable.v1"
    ACTORS = ()


class Run(Protocol[V_co]):
    """One run, as an actor's handlers see it."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def partition(self) -> int:
        """Its share."""

    @property
    def view(self) -> V_co:
        """The actor's fold, advanced to the newest line that has been read, which may be newer than the event at hand."""

    @property
    def inherited(self) -> bool:
        """Whether it was found in the journal, not seen to begin: others may have worked on it, and have died at any line of theirs."""

    @property
    def lost(self) -> bool:
        """Whether another host owns it by now."""

    async def hold(self) -> None:
        """Returns when nobody else can own the run for the next second: to be called before a target is touched.

        Raises:
            LostRace: another host owns it.
        """

    async def latest(self) -> V_co:
        """A view of the run as its journal is now, for one that has lost it."""

    def is_attended(self, actor: str) -> bool:
        """Whether a host that lives does this actor's work on the run."""

    async def caught_up(self) -> datetime:
        """Returns when the view knows all that is stored of the run; since when the bus takes what is written, without a break."""

    def now(self) -> datetime:
        """The server's time."""

    def instant(self, local: float) -> datetime:
        """The server's time at a reading of this process's monotonic clock."""

    def wake_at(self, instant: datetime) -> None:
        """Call the `whenever` handlers again at this instant of the server's clock; the earliest counts."""

    async def arm_timer(self, name: str, at: datetime, body: bytes) -> int | None:
        """Create a durable timer once; its sequence, or None if it was there already."""

    async def renew_timer(self, name: str, at: datetime, body: bytes, last: int) -> int | None:
        """Overwrite the timer of this sequence; the new one, or None if it has fired or someone else renewed it."""

    async def timer(self, name: str) -> tuple[int, datetime] | None:
        """The sequence of the timer as it is now, whoever armed it, and when it fires; None if there is none, or it has fired."""

    async def cancel_timer(self, name: str) -> None:
        """Take the timer back. It may fire all the same."""


Types = tuple[type[RunEvent], ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A line of an actor's table."""

    type: type[RunEvent]
    handler: Callable[[Any, Any], Outcome]
    lane: Literal["run", "entity", "latest"]
    of: tuple[str, ...] | None = None
    """Only what these actors wrote is news; None: what anybody wrote."""
    own: bool = True
    """Whether what the handler itself has stored is news to it."""
    also: Types = ()
    """Events that are news whoever wrote them."""


def on(type_: type[E], handler: Callable[[E, Any], Outcome], *, lane: Literal["run", "entity"] = "run") -> Subscription:
    """Call the handler for every event of this type (or of a type below it), those of one run (or entity) one after the other."""
    return Subscription(type_, handler, lane)


def whenever(
    handler: Callable[[RunEvent | None, Any], Outcome],
    *,
    of: tuple[str, ...] | None = None,
    own: bool = True,
    also: Types = (),
) -> Subscription:
    """Call the handler after news in a run (of these actors, and `also` these events), and when it asked to be woken.

    Several news make one call. Without `own` it is not called for what it stored itself: for one that looks again after each `yield`.
    """
    return Subscription(RunEvent, handler, "latest", of, own, also)


class Actor(Generic[V]):
    """One of the five. Holds nothing that matters: what it knows of a run is a fold of the journal."""

    name: ClassVar[str]
    emits: ClassVar[tuple[type[RunEvent], ...]]
    decides_anew: ClassVar[bool] = False
    """Whether what could not be stored within a second is decided again: `LostRace` is raised. Of use with `whenever` handlers only."""

    def fold(self, run: str) -> V:
        """A new, empty view of a run."""
        raise NotImplementedError

    def subscriptions(self) -> tuple[Subscription, ...]:
        """What it reacts to, all in one place."""
        raise NotImplementedError

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """What it needs open while it works."""
        return nullcontext()

    def keeps(self, view: V) -> bool:
        """Whether something is left to be done about a run that is reported, so that it stays in hand."""
        del view
        return False

    def closed(self, run: str, view: V) -> None:
        """The run is over, or another's, and its view is dropped."""


__all__ = ["Actor", "Decision", "LostRace", "Outcome", "Recorded", "Run", "Subscription", "TimerDue", "Unreadable", "on", "whenever"]
