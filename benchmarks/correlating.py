"""100,000 service events joined with 20 faults by ten rules, from the bytes of the stream to all that the journal is told.

Orders of four events each that share a correlation id, alerts after the faults, and what follows from these. The same with half as many
events says whether the time grows with their number.
"""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import Figure, figure, peak_mib
from bus.event_streams import read_event
from bus.reading import Stored
from messages.claims import ServiceEvent
from messages.events import Recorded, RunEvent
from messages.fault_events import FaultArmed, FaultGone, FaultInjected, FaultReverted
from messages.run_events import ActionRequested, PhaseFinished, PhaseStarted, RunAccepted, RunStarted
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from runs.correlation.findings import Findings
from runs.correlation.trail import Trail
from runs.state import RunState

EVENTS, FAULTS, RULES = 100_000, 20, 10
TRIALS = 3
START = datetime(2024, 1, 1, tzinfo=UTC)
RATE = 500
"""Events a second."""
QUIET = 20
"""Seconds before the first fault; then one comes every eight seconds, and is on for two."""
ZERO = timedelta()
STEPS = (
    ("engine", "order.submitted"),
    ("exchange", "order.filled"),
    ("custodian", "settlement.requested"),
    ("custodian", "settlement.completed"),
)


def system() -> System:
    """Four services, and ten rules of which two hang together."""
    rules = [
        {
            "name": f"alert-{number}",
            "trigger": {"service": "test-coordinator", "type": "chaos_injection_started"},
            "effect": {"service": "risk", "type": "alert", "where": f"event.data.kind == 'k{number}'"},
            "max_delay": "4s",
        }
        for number in range(RULES - 1)
    ]
    halts = {
        "name": "halts",
        "trigger": {"service": "risk", "type": "alert"},
        "effect": {"service": "engine", "type": "halted"},
        "max_delay": "2s",
    }
    services: dict[str, object] = {name: {"driver": {"external": {}}} for name in ("engine", "exchange", "custodian", "risk")}
    spec = {"events": ["bench.>"], "services": services, "correlation": {"rules": [*rules, halts], "ends": ["settlement.completed"]}}
    return System.model_validate_json(json.dumps({"metadata": {"name": "bench"}, "spec": spec}))


def run(through: float) -> RunState:
    """A run with its faults."""
    actions = [{"id": f"f{number}", "target": "exchange", "action": "pause", "for": "2s"} for number in range(FAULTS)]
    phases = [{"name": "before", "duration": "20s"}, {"name": "chaos", "duration": "200s", "actions": actions}]
    scenario = Scenario.model_validate_json(json.dumps({"metadata": {"name": "bench"}, "spec": {"system": "bench", "phases": phases}}))
    told: list[tuple[float, RunEvent]] = [
        (0, RunAccepted(key="bench", scenario=scenario, system=system(), submitted=START)),
        (0, RunStarted()),
        (0, PhaseStarted(phase="before", kind="phase")),
        (QUIET, PhaseFinished(phase="before", kind="phase")),
        (QUIET, PhaseStarted(phase="chaos", kind="phase")),
    ]
    undo = Undo(kind="process.resume", service="exchange")
    for number, action in enumerate(scenario.spec.phases[1].actions):
        second = QUIET + number * 8.0
        told += [
            (second, ActionRequested(fault_id=action.id, phase="chaos", target="exchange", action=action)),
            (second, FaultArmed(fault_id=action.id, target="exchange", action="pause", until=_at(second + 5), undo=undo)),
            (second + 0.01, FaultInjected(fault_id=action.id, took=ZERO, ago=ZERO)),
            (second + 2, FaultReverted(fault_id=action.id, took=ZERO, ago=ZERO, by="request")),
            (second + 2.01, FaultGone(fault_id=action.id, ago=ZERO, restored_by="undo")),
        ]
    told.append((through, PhaseFinished(phase="chaos", kind="phase")))
    state = RunState("01JD0000000000000000000000")
    for sequence, (second, event) in enumerate(told, start=1):
        state.apply(Recorded(event, state.id, 0, event.ACTORS[0], event.entity, sequence, _at(second), str(sequence)))
    return state


def stored(count: int) -> Iterator[Stored]:
    """The messages of the stream."""
    for number in range(count):
        second = number / RATE
        since = second - QUIET
        fault = int(since // 8) if since >= 0 else -1
        if 0 <= fault < FAULTS and number % 250 == 100 and since % 8 < 4:
            told = _event(number, "risk", "alert", {"kind": f"k{fault % RULES}"}, f"alert-{number // RATE}")
        elif 0 <= fault < FAULTS and number % 250 == 200 and since % 8 < 4:
            told = _event(number, "engine", "halted", {}, f"alert-{number // RATE}")
        else:
            source, type_ = STEPS[number % 4]
            told = _event(number, source, type_, {"order_id": f"o-{number // 4}", "quantity": number % 100}, f"o-{number // 4}")
        yield Stored("bench.events", told, {}, number + 1, _at(second), 0)


def _event(number: int, source: str, type_: str, data: dict[str, object], key: str) -> bytes:
    told = {"specversion": "1.0", "id": f"e-{number}", "type": type_, "source": source, "correlationid": key, "data": data}
    return json.dumps({**told, "time": _at(number / RATE).isoformat()}).encode()


def _at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def correlate(count: int) -> float:
    """The seconds that it takes, making the messages not counted."""
    took, through = 0.0, max(count / RATE, QUIET + 8.0 * FAULTS)
    spec = system()
    state, trail = run(through), Trail(spec.event_names(), spec.spec.correlation)
    for message in stored(count):
        begun = time.perf_counter()
        event = read_event(message)
        if isinstance(event, ServiceEvent):
            trail.see(event)
        took += time.perf_counter() - begun
    begun = time.perf_counter()
    found = Findings(trail, state, _at(through))
    trails = [found.of_fault(fault, 1, final=True, gap=False) for fault in found.faults]
    size = sum(len(told.model_dump_json()) for told in (*trails, found.beside(1, (), final=True, gap=False)))
    took += time.perf_counter() - begun
    if len(trails) != FAULTS or not any(told.followed > 1 for told in trails) or size > 2**20:
        raise RuntimeError(f"not what was to be found: {len(trails)} faults, {size} bytes")
    return took


async def measure_correlating(_folder: Path) -> list[Figure]:
    """Seconds in one thread, and the memory of the whole process."""
    whole = [correlate(EVENTS) for _ in range(TRIALS)]
    memory = peak_mib(os.getpid()) * 2**20 / 1e6
    half = [correlate(EVENTS // 2) for _ in range(TRIALS)]
    ratios = [one / other for one, other in zip(whole, half, strict=True)]
    return [
        figure("correlate_100k_seconds", "s", whole, "<= 3"),
        figure("correlate_100k_rss", "MB", [memory], "<= 300"),
        figure("correlate_100k_over_50k", "", ratios),
    ]
