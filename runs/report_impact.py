"""What the system suffered, and what was counted of it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from messages.observations import EventCounted
from runs.history import Observations
from runs.report_effects import (
    AffectedService,
    Downtime,
    FaultReport,
    SystemImpact,
    Throughput,
)
from runs.report_figures import FaultCounts, Metrics, ServiceEvents
from runs.report_journal import Gathered
from runs.report_series import probe_totals, rate_series, stage_figures, workload_totals
from runs.report_values import span
from runs.state import RunState


@dataclass(frozen=True, slots=True)
class Observed:
    """The time in which the services should have been healthy, were it not for the faults."""

    start: datetime
    end: datetime


def observed(state: RunState) -> Observed | None:
    """From the settling (or what came in its place) to the release of the services, or as far as the journal goes."""
    settle, release = state.stages.get("settle"), state.requests.get("release")
    start = settle.started if settle else state.first_phase_started or state.started
    end = release.requested if release else state.finished_at or state.last_at
    return Observed(start, end) if start is not None and end is not None and end > start else None


def impact_of(state: RunState, seen: Observations, gathered: Gathered, faults: Sequence[FaultReport]) -> SystemImpact:
    """Per service its downtimes, recovery and availability; and what became of the event rate."""
    services = [_service(name, state, seen, faults) for name in (state.system.spec.services if state.accepted else ())]
    hit, window = [s for s in services if s.faults or s.downtimes], observed(state)
    types = sorted({name for counted in gathered.counted for name in counted.types})
    throughput = _throughput(state, gathered.counted, faults)
    performance = {s.service: {"availability_percent": round(s.availability * 100, 1)} for s in hit if s.availability is not None}
    if throughput is not None and throughput.change_percent is not None:
        performance["system"] = {"throughput_change_percent": throughput.change_percent}
    return SystemImpact(
        services_affected=tuple(s.service for s in hit),
        performance_impact=performance,
        alerts_generated=tuple(name for name in types if "alert" in name or "breach" in name),
        circuit_breakers_triggered=tuple(name for name in types if "circuit_breaker" in name),
        recovery_times={s.service: s.recovery for s in hit if s.recovery is not None},
        services=tuple(services),
        observed_from=window.start if window else None,
        observed_until=window.end if window else None,
        throughput=throughput,
    )


def metrics_of(state: RunState, gathered: Gathered, faults: Sequence[FaultReport]) -> Metrics:
    """The figures of the run."""
    by_type: Counter[str] = Counter()
    for counted in gathered.counted:
        by_type.update(counted.types)
    events = ServiceEvents(
        total=by_type.total(),
        by_type=dict(sorted(by_type.items(), key=lambda item: (-item[1], item[0]))),
        unreadable=sum(c.unreadable for c in gathered.counted),
        series=rate_series(gathered.counted),
    )
    return Metrics(
        service_events=events,
        probes={name: probe_totals(summaries) for name, summaries in sorted(gathered.probes.items())},
        faults=_counts(faults),
        workloads={name: workload_totals(seen) for name, seen in sorted(gathered.operations.items())},
        stages=tuple(stage_figures(state, gathered.counted, gathered.probes, gathered.last)),
    )


def _counts(faults: Sequence[FaultReport]) -> FaultCounts:
    def reached(moments: Iterable[datetime | None]) -> int:
        return sum(1 for moment in moments if moment is not None)

    return FaultCounts(
        planned=len(faults),
        requested=reached(f.requested for f in faults),
        injected=reached(f.injected for f in faults),
        effective=reached(f.effective for f in faults),
        reverted=reached(f.reverted for f in faults),
        gone=reached(f.gone for f in faults),
    )


def _service(name: str, state: RunState, seen: Observations, faults: Sequence[FaultReport]) -> AffectedService:
    mine = [f for f in faults if name in f.disturbs and f.requested is not None]
    window = observed(state)
    downs = _downtimes(seen, name, window, mine) if window else ()
    total = sum((timedelta(seconds=d.duration.seconds) for d in downs), timedelta())
    known = window is not None and bool(seen.service(name).transitions)
    share = max(0.0, 1 - total / (window.end - window.start)) if window and known else None
    recoveries = [f.time_to_recover for f in mine if f.time_to_recover is not None]
    return AffectedService(
        service=name,
        faults=tuple(f.id for f in mine),
        downtimes=downs,
        downtime=span(total),
        recovery=max(recoveries, key=lambda r: r.seconds, default=None),
        availability=round(share, 6) if share is not None else None,
    )


def _downtimes(seen: Observations, name: str, window: Observed, faults: Sequence[FaultReport]) -> tuple[Downtime, ...]:
    transitions, found = seen.service(name).transitions, []
    for index, down in enumerate(transitions):
        if down.up or (index and not transitions[index - 1].up):
            continue
        up = next((t for t in transitions[index + 1 :] if t.up), None)
        start, end = max(down.at, window.start), min(up.at if up else window.end, window.end)
        if end <= start:
            continue
        told = Downtime(
            start=start,
            end=end if up else None,
            duration=span(end - start),
            error=down.error or "",
            error_bound=span(down.error_bound),
            faults=tuple(f.id for f in faults if _caused(f, down.at, down.seen)),
        )
        found.append(told)
    return tuple(found)


def _caused(fault: FaultReport, start: datetime, seen: datetime) -> bool:
    if fault.armed is None or seen < fault.armed:
        return False
    return fault.excused is None or fault.excused.end is None or start <= fault.excused.end


def _throughput(state: RunState, counted: Sequence[EventCounted], faults: Sequence[FaultReport]) -> Throughput | None:
    began, called = state.first_phase_started, [f.called for f in faults if f.called is not None]
    if began is None or not called:
        return None
    spans = [(f.called, f.called + timedelta(seconds=f.time_to_recover.seconds)) for f in faults if f.called and f.time_to_recover]
    before = _rate([c for c in counted if c.start >= began and c.end <= min(called)])
    during = _rate([c for c in counted if any(c.end > start and c.start < end for start, end in spans)])
    if before is None or during is None:
        return None
    change = round((during - before) / before * 100, 1) if before else None
    return Throughput(before=round(before, 2), during=round(during, 2), change_percent=change)


def _rate(counted: Sequence[EventCounted]) -> float | None:
    seconds = sum((c.end - c.start).total_seconds() for c in counted)
    return sum(sum(c.types.values()) for c in counted) / seconds if seconds > 0 else None
