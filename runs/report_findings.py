"""What a report says of the claims, of what else it found, and what all that rests on."""

from typing import Literal

from messages.observations import Match
from messages.values import Instant, Message
from messages.verdicts import Reason, Verdict
from runs.report_values import Outcome, Span

Oddity = Literal[
    "dead letter",
    "no effect",
    "action",
    "undo",
    "gap",
    "killed",
    "workload died",
    "links lost",
    "down",
    "unreadable events",
    "expression errors",
    "missed samples",
    "audit",
]
"""What kind of thing should not be."""

Part = Literal["settle", "steady", "recover"]
"""When the steady state was asked: before, during or after the phases."""


class SteadyPart(Message):
    """The steady state's claim before, during or after the phases."""

    id: str
    claim: str
    part: Part
    summary: str
    outcome: Outcome
    reason: Reason | None
    message: str
    evidence: tuple[str, ...]
    opened: Instant
    timestamp: Instant | None


class SteadyState(Message):
    """What holds when nothing is wrong, over settle, phases and recover. Counts as no assertion."""

    outcome: Outcome
    reason: Reason | None
    message: str
    parts: tuple[SteadyPart, ...]


class AssertionDetail(Message):
    """A claim of the scenario."""

    id: str
    type: str
    phase: str | None
    """None: over the whole run."""
    summary: str
    passed: bool
    outcome: Outcome
    verdict: Verdict | None
    reason: Reason | None
    message: str
    evidence: tuple[str, ...]
    measured: dict[str, Span | int | str]
    opened: Instant | None
    timestamp: Instant | None
    closes: Instant | None = None
    """The end of its window, as far as it was known."""
    description: str = ""


class Unexpected(Message):
    """Something that no claim asked about and that should not be."""

    kind: Oddity
    text: str
    timestamp: Instant | None = None
    evidence: str | None = None


class ValidationResults(Message):
    """The claims of the scenario. The steady state is not among them."""

    total_assertions: int
    passed_assertions: int
    failed_assertions: int
    inconclusive_assertions: int
    not_reached_assertions: int
    not_judged_assertions: int
    vacuous_assertions: int = 0
    """Only in a rehearsal: those that passed without the fault that they are about."""
    needs_fault_assertions: int = 0
    """Only in a rehearsal: those that did not hold without it, as they should not."""
    control_assertions: int = 0
    """Only in a rehearsal: those that cannot be judged without it."""
    assertion_details: tuple[AssertionDetail, ...]
    unexpected_behaviors: tuple[Unexpected, ...]


class Recommendation(Message):
    """What to do about something that did not pass."""

    reason: Reason | None
    text: str
    about: tuple[str, ...]
    """Claims, faults or requests."""


class Evidence(Message):
    """A fact that a judgement rests on. Without a sequence: the journal at hand does not hold it."""

    event: str
    sequence: int | None = None
    timestamp: Instant | None = None
    text: str = ""
    matches: tuple[Match, ...] = ()
    """The first service events that matched, and the last."""
    matched: int | None = None
    """How many there were."""
