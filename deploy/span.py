"""What a span of a run's trace is, whoever exports it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from messages.verdicts import Reason, Verdict

Value = str | int | float | bool
ROOT = "run"
BAD = frozenset({Verdict.FAILED, Verdict.ABORTED, Verdict.UNSAFE})
"""Verdicts that make a span an error. Inconclusive is none: nothing is known to be wrong."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened at one instant of a span."""

    name: str
    at: datetime
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of a run that is over. `key` names it inside the run, `parent` is the key of what it belongs to."""

    key: str
    name: str
    start: datetime
    end: datetime
    actor: str
    """Whose work it shows."""
    parent: str | None = ROOT
    """None: it has none inside the run."""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    moments: tuple[Moment, ...] = ()
    links: tuple[str, ...] = ()
    """Keys of spans that it has to do with."""
    good: bool = False
    """It is known to be well."""
    error: str | None = None
    """Why it is an error."""


def span_id(run: str, key: str) -> int:
    """The id of a span: the same in every process, and whenever it is asked."""
    return int.from_bytes(hashlib.sha256(f"{run}/{key}".encode()).digest()[:8], "big") or 1


def stage_key(stage: str) -> str:
    """The key of a phase, or of settle, finally, recover."""
    return f"stage/{stage}"


def action_key(action: str) -> str:
    """The key of a fault, or of an action that is none."""
    return f"action/{action}"


def outage_key(service: str, number: int) -> str:
    """The key of the time in which a service was down."""
    return f"outage/{service}/{number}"


def said(verdict: Verdict, reason: Reason | None, message: str) -> dict[str, Value]:
    """A verdict as attributes."""
    told: dict[str, Value] = {"verdict": str(verdict), "message": message}
    return told | ({"reason": str(reason)} if reason is not None else {})
