"""What a report counted and timed: service events, probes, workloads, and all of them per stage."""

from messages.values import Instant, Message
from runs.report_values import Span


class RatePoint(Message):
    """How many service events came in a span of time."""

    start: Instant
    end: Instant
    total: int
    types: dict[str, int]


class ServiceEvents(Message):
    """What was seen on the system's event streams."""

    total: int
    by_type: dict[str, int]
    unreadable: int
    series: tuple[RatePoint, ...]
    """In order of time, at most 600 points: of a long run each sums several seconds."""


class LatencyPoint(Message):
    """A probe's samples in a span of time; times in seconds. Without a histogram only the slowest is known."""

    start: Instant
    end: Instant
    count: int
    failed: int
    p50: float | None
    p99: float | None
    slowest: float


class ProbeTotals(Message):
    """The samples of one probe; of a service's health under the service's name."""

    samples: int
    ok: int
    failed: int
    missed: int
    slowest: Span
    p50: Span | None = None
    p99: Span | None = None
    series: tuple[LatencyPoint, ...] = ()
    """In order of time, at most 240 points."""


class OperationPoint(Message):
    """A workload's operations in a span of time."""

    start: Instant
    end: Instant
    ok: int
    failed: int
    unknown: int


class WorkloadTotals(Message):
    """The operations of one workload."""

    ok: int
    failed: int
    unknown: int
    series: tuple[OperationPoint, ...] = ()
    """In order of time, at most 240 points."""


class ProbeFigures(Message):
    """A probe in one stage; times in seconds."""

    count: int
    failed: int
    p50: float | None
    p99: float | None
    slowest: float


class StageFigures(Message):
    """What was counted in one stage of the run."""

    stage: str
    seconds: float
    rates: dict[str, float]
    """Service events per second, by type."""
    probes: dict[str, ProbeFigures]


class FaultCounts(Message):
    """How many faults came how far."""

    planned: int
    requested: int
    injected: int
    effective: int
    reverted: int
    gone: int


class Metrics(Message):
    """Figures of the run."""

    service_events: ServiceEvents
    probes: dict[str, ProbeTotals]
    faults: FaultCounts
    workloads: dict[str, WorkloadTotals] = {}
    stages: tuple[StageFigures, ...] = ()
