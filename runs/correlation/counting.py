"""What a correlation claim counts in its window. Pure."""

from datetime import datetime, timedelta

from messages.claims import CorrelationClaim, Window
from messages.claims.claim import KEPT
from messages.observations import EventMatched, Match
from runs.correlation.faults import Disturbance
from runs.correlation.findings import Findings
from runs.correlation.linking import Linked
from runs.correlation.trail import Seen

LATE = timedelta(milliseconds=250)
"""So long after a window's end its faults are in the journal too."""


def counted(
    found: Findings, name: str, claim: CorrelationClaim, window: Window, number: int, *, through: int, gap: bool
) -> EventMatched | None:
    """Once the window is over, what was counted in it; None before it has opened."""
    opens, closes = window.opens, window.closes
    if opens is None or closes is None:
        return None
    matches = _unexplained(found, opens, closes) if claim.unexplained is not None else _linked(found, claim, opens, closes)
    return EventMatched(
        assertion=name,
        number=number,
        opens=opens,
        closes=closes,
        until=closes,
        through=through,
        final=True,
        count=len(matches),
        seen=found.events_between(opens, closes),
        gap=gap,
        first=matches[0] if matches else None,
        last=matches[-1] if matches else None,
        kept=tuple(matches[:KEPT]),
        before=found.learnt,
    )


def _linked(found: Findings, claim: CorrelationClaim, opens: datetime, closes: datetime) -> list[Match]:
    return [as_match(link) for link in found.links if opens <= link.event.at < closes and _is_meant(claim, link)]


def _is_meant(claim: CorrelationClaim, link: Linked) -> bool:
    root = link.root.id if isinstance(link.root, Disturbance) else None
    return (
        (claim.rule is None or link.cause.rule == claim.rule)
        and (claim.fault is None or root == claim.fault)
        and (claim.confidence is None or link.confidence >= claim.confidence)
    )


def as_match(link: Linked) -> Match:
    """A link as the journal has a match: its key says what it followed from, and how sure that is."""
    event, cause = link.event, link.cause
    of = f"{cause.of.type} of {cause.of.service}" if isinstance(cause.of, Seen) else cause.of.id
    by = f"rule {cause.rule}" if cause.rule is not None else cause.by
    told = f"{event.type} of {event.service} after {of} by {by} ({link.confidence:.2f})"
    return Match(id=event.id, type=event.type, source=event.source, sequence=event.sequence, at=event.at, key=told)


def _unexplained(found: Findings, opens: datetime, closes: datetime) -> list[Match]:
    return [
        one.event.model_copy(update={"key": one.text})
        if one.event is not None
        else Match(id="", type=one.what, source=one.service, sequence=0, at=one.at, key=one.text)
        for one in found.unexplained
        if opens <= one.at < closes
    ]
