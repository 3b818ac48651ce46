"""What a report says of the faults, and of what the system suffered."""

from typing import Literal

from messages.values import Instant, Message
from runs.report_values import Span

FaultStatus = Literal[
    "not reached", "refused", "failed", "expired", "requested", "unseen", "active", "undone", "gone", "not undone", "rehearsed"
]
"""How far a fault has come."""


class ExcusedSpan(Message):
    """When the steady state did not count for the target, since it was disturbed. No end: to the run's end."""

    start: Instant
    end: Instant | None


class FaultReport(Message):
    """The life of a fault. Instants are None until they have come."""

    id: str
    target: str
    action: str
    phase: str
    status: FaultStatus
    requested: Instant | None = None
    armed: Instant | None = None
    called: Instant | None = None
    """The start of the driver's call."""
    injected: Instant | None = None
    effective: Instant | None = None
    effect: str = ""
    """What was seen of it."""
    reverted: Instant | None = None
    reverted_by: str = ""
    found_undone: bool = False
    gone: Instant | None = None
    restored_by: str | None = None
    time_to_effect: Span | None = None
    """From the driver's call."""
    time_to_recover: Span | None = None
    """From the driver's call to the first healthy sample, or to being seen normal again."""
    recovered: Instant | None = None
    """When that was."""
    undo_to_recover: Span | None = None
    """From the undo to that; of a fault that is held for a while, the part that the target needed by itself."""
    error_bound: Span | None = None
    """How exact the time to recover is."""
    excused: ExcusedSpan | None = None
    error: str | None = None
    kind: str = "service"
    """What the target is: a service, a link, a volume, a partition."""
    parameters: dict[str, str] = {}
    lasts: Span | None = None
    """Its `for`; None: to the end of its phase, or it ends by itself."""
    disturbs: tuple[str, ...] = ()
    """The services that it disturbs; its lane is the first one's."""
    repair: str | None = None
    """Of one that could not be undone: what to do by hand."""
    rehearsed: Instant | None = None
    """When it would have been injected, in a rehearsal: nothing was done to its target."""
    rehearsal_ended: Instant | None = None


class Downtime(Message):
    """A service was not healthy. No end: until the end of what was observed."""

    start: Instant
    end: Instant | None
    duration: Span
    error: str
    error_bound: Span
    faults: tuple[str, ...]
    """Whose doing it may be; of none: the service went down undisturbed."""


class AffectedService(Message):
    """What a run did to one service."""

    service: str
    faults: tuple[str, ...]
    downtimes: tuple[Downtime, ...]
    downtime: Span
    recovery: Span | None
    """The longest measured."""
    availability: float | None
    """Share of the observed time in which it was healthy, 0 to 1."""


class Throughput(Message):
    """Service events per second, undisturbed and while a fault was on."""

    before: float
    during: float
    change_percent: float | None


class SystemImpact(Message):
    """What the system suffered."""

    services_affected: tuple[str, ...]
    performance_impact: dict[str, dict[str, float]]
    """Per affected service its `availability_percent`; under `system` the `throughput_change_percent` while a fault was on."""
    recovery_times: dict[str, Span]
    alerts_generated: tuple[str, ...]
    """Event types that tell of an alert or a breached limit."""
    circuit_breakers_triggered: tuple[str, ...]
    """Event types that tell of a circuit breaker."""
    services: tuple[AffectedService, ...]
    observed_from: Instant | None
    """From here services count as down; before, they were still starting."""
    observed_until: Instant | None
    throughput: Throughput | None
