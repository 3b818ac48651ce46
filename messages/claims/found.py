"""What an expression claim is evaluated over: what was found of claims, faults and phases, as numbers and texts."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from messages.claims.history import MOMENTS, ClaimHistory, FaultHistory, Window

ROOTS = ("claims", "faults", "phases")
FAULT_TEXTS = ("target", "action", "restored_by")
FAULT_FIELDS = (*FAULT_TEXTS, *MOMENTS, "effective_after", "lasted")
PHASE_FIELDS = ("started", "finished", "duration")
TEXTS = frozenset({"verdict", *FAULT_TEXTS})
"""The values that are texts; all others are numbers."""
Found = dict[str, float | str]
"""The values that are there, by name: spans in seconds, moments in seconds from the first phase's start."""


def of_claim(claim: ClaimHistory) -> Found:
    """What was said of a claim, and what was measured for that."""
    numbers = {name: _number(value) for name, value in claim.measured.items()}
    return {"verdict": str(claim.verdict), **{name: number for name, number in numbers.items() if math.isfinite(number)}}


def of_fault(fault: FaultHistory, start: datetime | None) -> Found:
    """What a fault was, and when."""
    said = {name: getattr(fault, name) for name in FAULT_TEXTS}
    moments = {str(name): _seconds(start, getattr(fault, name)) for name in MOMENTS}
    spans = {"effective_after": _seconds(fault.called, fault.effective), "lasted": _seconds(fault.effective, fault.gone)}
    return _there({**said, **moments, **spans})


def of_phase(phase: Window, start: datetime | None) -> Found:
    """When a phase was."""
    moments = {"started": _seconds(start, phase.opens), "finished": _seconds(start, phase.closes)}
    return _there({**moments, "duration": _seconds(phase.opens, phase.closes)})


def _number(value: timedelta | int | str) -> float:
    """A figure as a number, a share from 0 to 1; NaN if it is none."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        return float(value.removesuffix("%")) / 100 if isinstance(value, str) and value.endswith("%") else float(value)
    except ValueError:
        return math.nan


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start is not None and end is not None else None


def _there(values: Mapping[str, float | str | None]) -> Found:
    return {name: value for name, value in values.items() if value is not None}
