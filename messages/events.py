"""What an event of a run is, and the journal's envelope around one."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, Protocol, TypeVar

from messages.values import Message


class RunEvent(Message):
    """A fact of one run. Each type says who emits it, and when."""

    EVENT: ClassVar[str]
    """The type with its version, such as `fault.injected.v1`."""
    ACTORS: ClassVar[tuple[str, ...]]
    """Who may emit it."""
    GUARDED: ClassVar[bool] = True
    """Whether a write checks that nobody else wrote on the same entity."""

    @property
    def entity(self) -> str:
        """A fault, action, assertion, phase, service or probe id, or `run`: one Token of the subject."""
        return "run"

    @property
    def ordinal(self) -> int:
        """Which one of several facts of this type on this entity; its id derives from it."""
        return 0

    @property
    def route(self) -> str | None:
        """A last Token of the subject, for events that only some hosts can act on."""
        return None

    @classmethod
    def type_name(cls) -> str:
        """The type without its version: the end of the subject."""
        return cls.EVENT.rsplit(".", 1)[0]


E_co = TypeVar("E_co", bound=RunEvent, covariant=True)


@dataclass(frozen=True, slots=True)
class Recorded(Generic[E_co]):
    """An event as the journal holds it. `at` is the stored time, the one clock of judgement."""

    event: E_co
    run: str
    partition: int
    actor: str
    entity: str
    sequence: int
    at: datetime
    id: str
    traceparent: str | None = None

    @property
    def evidence(self) -> str:
        """The id inside the run: `<actor>.<entity>.<type>.<ordinal>`."""
        return evidence_id(self.actor, self.event)


def evidence_id(actor: str, event: RunEvent) -> str:
    """The id of a fact inside its run. The same fact, decided twice, has the same id."""
    return f"{actor}.{event.entity}.{event.type_name()}.{event.ordinal}"


class Fold(Protocol):
    """Something that grows from a run's events, one after the other in stream order."""

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
