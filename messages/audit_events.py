"""What the audit trail of a system is told: each fault's start and end on its event stream, and the run to an audit correlator."""

from typing import Literal

from messages.events import RunEvent
from messages.values import Token

SOURCE = "test-coordinator"
"""The `source` of what we tell."""
STARTED, ENDED = "chaos_injection_started", "chaos_injection_ended"
TYPES = {"started": STARTED, "ended": ENDED}
"""The type of a fault's event, by its moment."""
PREFIX = "chaos_injection"
RUN = "run"
"""What an event is about that is about no fault."""
Moment = Literal["started", "ended"]
Fed = Literal["stored", "dropped", "unproven", "refused", "unreachable"]
"""What an audit correlator made of an event: it was read back; it was answered with 201 and is not there; nobody could read whether it
is; it was answered otherwise; there was no answer."""


def event_id(run: str, about: str, moment: Moment) -> str:
    """The id of what is told of a moment: the same, however often it is told."""
    return f"{run}.{about}.{moment}"


def subject_of(pattern: str, event_type: str) -> str:
    """The subject that a pattern gives: its first wildcard is our name and the others are the type, `>` whatever is left of both."""
    left, words = [SOURCE, event_type], list[str]()
    for word in pattern.split("."):
        if word == ">":
            words += left
        else:
            words.append(word if word != "*" else left.pop(0) if len(left) > 1 else event_type)
    return ".".join(words)


class FaultPublished(RunEvent):
    """A fault's start or end was published on the event stream of the system, or nobody took it. Emitted by the observer."""

    EVENT = "fault.published.v1"
    ACTORS = ("observer",)

    fault_id: Token
    moment: Moment
    id: str
    """Of the CloudEvent, and of its message."""
    subject: str
    stream: str = ""
    sequence: int = 0
    """In that stream."""
    error: str = ""
    """Why it was given up; empty if it is stored."""

    @property
    def entity(self) -> str:
        return self.fault_id

    @property
    def ordinal(self) -> int:
        return 0 if self.moment == "started" else 1


class AuditFed(RunEvent):
    """An audit correlator was told of a moment of a fault, or of the run, and this came of it. Emitted by the observer."""

    EVENT = "audit.fed.v1"
    ACTORS = ("observer",)

    about: Token
    """A fault's id, or `run`."""
    moment: Moment
    id: str
    outcome: Fed
    stored_id: str = ""
    """The id that the correlator gave it, as it was read back."""
    error: str = ""
    """Why it is not known to be stored."""

    @property
    def entity(self) -> str:
        return self.about

    @property
    def ordinal(self) -> int:
        return 0 if self.moment == "started" else 1


class AuditLinked(RunEvent):
    """An audit correlator was told that a fault's start and end belong together; it cannot be read back. Emitted by the observer."""

    EVENT = "audit.linked.v1"
    ACTORS = ("observer",)

    fault_id: Token
    error: str = ""
    """Why it did not take it; empty if it did."""

    @property
    def entity(self) -> str:
        return self.fault_id
