"""Rates and latencies by stage, as tables: what the charts show, in numbers."""

from dataclasses import dataclass

from actors.reporter.wording import figure, seconds, signed
from runs.report import Report

MOST = 12
"""How many rows a table has."""


@dataclass(frozen=True, slots=True)
class Row:
    """One event type or probe over the stages."""

    name: str
    cells: tuple[tuple[str, str], ...]
    """Per stage the value, and its change against the first phase."""


@dataclass(frozen=True, slots=True)
class Table:
    """Figures by stage."""

    caption: str
    stages: tuple[str, ...]
    rows: tuple[Row, ...]


def tables(report: Report) -> list[Table]:
    """One table of rates, one of latencies; those that would be empty are left out."""
    stages = report.metrics.stages
    if not stages:
        return []
    names = tuple(s.stage for s in stages)
    first = next((p.phase_name for p in report.execution.phases if p.kind == "phase"), "")
    base = names.index(first) if first in names else 0
    types = list(report.metrics.service_events.by_type)[:MOST]
    rates = [_row(t, [s.rates.get(t, 0.0) if s.rates else None for s in stages], base, "/s") for t in types]
    found = [Table("Service events per second", names, tuple(rates))] if rates else []
    probes = list(report.metrics.probes)[:MOST]
    exact = any(report.metrics.probes[p].p99 is not None for p in probes)
    slow = [_row(p, [_slow(report, i, p, exact=exact) for i in range(len(stages))], base, "") for p in probes]
    if slow:
        found.append(Table("99th percentile of the probes' latency" if exact else "Slowest answer to a probe", names, tuple(slow)))
    return found


def _slow(report: Report, stage: int, probe: str, *, exact: bool) -> float | None:
    seen = report.metrics.stages[stage].probes.get(probe)
    return None if seen is None else seen.p99 if exact else seen.slowest


def _row(name: str, values: list[float | None], base: int, unit: str) -> Row:
    return Row(name, tuple(_cell(v, values[base] if i > base else None, unit) for i, v in enumerate(values)))


def _cell(value: float | None, base: float | None, unit: str) -> tuple[str, str]:
    if value is None:
        return "—", ""
    told = f"{figure(value)}{unit}" if unit else seconds(value)
    change = f"{(value - base) / base:+.0%}" if base else ""
    return told, "" if change in {"+0%", "-0%"} else signed(change)
