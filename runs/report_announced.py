"""What a report says of what the audit trail was told: what is on the event stream, and what an audit correlator holds."""

from collections.abc import Iterator

from messages.audit_events import RUN, TYPES, AuditFed, AuditLinked, FaultPublished, Fed, Moment
from messages.events import Recorded, RunEvent
from messages.values import Message
from runs.state import RunState


class Publication(Message):
    """A fault's start or end on the event stream of the system."""

    fault: str
    moment: Moment
    subject: str
    stream: str = ""
    sequence: int = 0
    error: str = ""
    """Why it is not there."""


class Feeding(Message):
    """What an audit correlator was told of a fault, or of the run."""

    about: str
    moment: Moment
    id: str
    outcome: Fed
    stored_id: str = ""
    error: str = ""


class Correlator(Message):
    """What became of all that an audit correlator was told."""

    sent: int
    outcomes: dict[Fed, int]
    events: tuple[Feeding, ...]
    links: int
    """Faults of which it took that start and end belong together; that cannot be read back."""
    unlinked: dict[str, str]
    """Faults of which it did not, and why."""


class Announcements(Message):
    """What was told of the run outside of its journal."""

    published: tuple[Publication, ...] = ()
    correlator: Correlator | None = None
    """None: there is none."""


class Announced:
    """A fold of what was told."""

    def __init__(self) -> None:
        self._published: dict[tuple[str, str], FaultPublished] = {}
        self._fed: dict[tuple[str, str], AuditFed] = {}
        self._linked: dict[str, AuditLinked] = {}

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        match recorded.event:
            case FaultPublished() as event:
                self._published[event.fault_id, event.moment] = event
            case AuditFed() as event:
                self._fed[event.about, event.moment] = event
            case AuditLinked() as event:
                self._linked[event.fault_id] = event

    @property
    def fed(self) -> bool:
        """Whether an audit correlator is told of this run."""
        return bool(self._fed)

    @property
    def ended(self) -> bool:
        """Whether it was told of the run's end."""
        return (RUN, "ended") in self._fed

    def report(self, state: RunState) -> Announcements:
        """What is known. What was to be published and is in no line of the journal was not acknowledged."""
        return Announcements(published=tuple(self._publications(state)), correlator=self._correlator() if self._fed else None)

    def _publications(self, state: RunState) -> Iterator[Publication]:
        for fault, found in state.actions.faults().items():
            come: dict[Moment, object] = {"started": found.injected, "ended": found.injected and (found.reverted or found.gone)}
            for moment, at in come.items():
                event, subject = self._published.get((fault, moment)), state.system.audit_subject(TYPES[moment])
                if event is not None:
                    yield Publication(fault=fault, **event.model_dump(exclude={"fault_id", "id"}))
                elif at is not None and subject is not None and self._published:
                    yield Publication(fault=fault, moment=moment, subject=subject, error="the event stream had not acknowledged it")

    def _correlator(self) -> Correlator:
        events = tuple(Feeding(**event.model_dump()) for event in self._fed.values())
        outcomes: dict[Fed, int] = {}
        for event in events:
            outcomes[event.outcome] = outcomes.get(event.outcome, 0) + 1
        unlinked = {fault: link.error for fault, link in self._linked.items() if link.error}
        return Correlator(sent=len(events), outcomes=outcomes, events=events, links=len(self._linked) - len(unlinked), unlinked=unlinked)
