"""What a report says of people and hosts: who asked for what, when the run stood still and why, and which host took an actor over."""

from typing import Literal

from messages.values import Instant, Message
from runs.report_values import Span


class ControlEntry(Message):
    """Something that a principal asked of the run."""

    timestamp: Instant
    principal: str
    asked: str
    """The verb: submit, abort, pause, resume, approve, reject, resolve."""
    note: str = ""
    fault: str | None = None
    """The one that a `resolve` is about; None: all that were left."""
    id: str


class Pause(Message):
    """A time in which the run stood still, from the undoing of its faults until it went on. No end: it stands still yet."""

    why: Literal["pause", "hold"]
    by: str
    note: str
    start: Instant
    end: Instant | None = None
    duration: Span | None = None
    """To its end; of one that lasts, to the journal's."""
    resumed_by: str | None = None
    """None of one that has an end: the run was ended instead."""


class Gate(Message):
    """A phase that waited for a person's word. Not closed: it waits yet."""

    phase: str
    ask: str
    approve: tuple[str, ...]
    """Who may answer; none are named: anyone."""
    opened: Instant
    until: Instant | None
    closed: Instant | None = None
    waited: Span | None = None
    outcome: str | None = None
    by: str | None = None
    note: str = ""


class OwnerChange(Message):
    """A host that took the run over for an actor whose host had died or left."""

    actor: str
    host: str
    instance: str
    timestamp: Instant
    silent: Span | None
    """Since the actor's last event before it."""
