"""What scrapes of a metric come to: its value, or how a counter has grown, whatever restarts there were."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from messages.claims.measured import Scrape


@dataclass(frozen=True, slots=True)
class Figure:
    """What is known at one scrape."""

    scrape: Scrape
    value: float
    begin: datetime
    """Since when it was counted; the scrape itself for a value."""
    evidence: tuple[str, ...]


def figures_of(of: Literal["value", "increase", "rate"], scrapes: Iterable[Scrape]) -> list[Figure]:
    """The figure at each scrape that shows one. Those that failed, or did not read every series, show nothing."""
    good = [scrape for scrape in _once(scrapes) if not scrape.error and not scrape.beyond]
    if of == "value":
        return [Figure(s, total, s.at, (s.evidence,)) for s in good if (total := _total(s.series)) is not None]
    if not any(scrape.series for scrape in good):
        return []
    found, grown = [], 0.0
    known = _numbers(good[0].series)
    for scrape in good[1:]:
        grown += increase(known, scrape.series)
        known |= _numbers(scrape.series)
        seconds = (scrape.at - good[0].at).total_seconds()
        found.append(Figure(scrape, grown if of == "increase" else grown / seconds, good[0].at, (good[0].evidence, scrape.evidence)))
    return found


def increase(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """How much counters have grown since they were seen last. One that is smaller, or was never there, has started from nothing."""
    grown = 0.0
    for name, value in _numbers(after).items():
        base = before.get(name, 0.0)
        grown += value - base if value >= base else value
    return grown


def _numbers(series: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in series.items() if math.isfinite(value)}


def _total(series: Mapping[str, float]) -> float | None:
    return sum(series.values()) if series and not any(math.isnan(value) for value in series.values()) else None


def _once(scrapes: Iterable[Scrape]) -> Iterable[Scrape]:
    """In order of time, and no instant twice."""
    return {scrape.at: scrape for scrape in sorted(scrapes, key=lambda scrape: scrape.at)}.values()
