"""What a correlation claim counts in its window. Pure."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from messages.claims import CorrelationClaim, Window
from messages.claims.claim import KEPT
from messages.observations import EventMatched, Match
from messages.scenario import Scenario
from runs.correlation.findings import Findings
from runs.correlation.linking import Linked
from runs.correlation.oddities import oddities
from runs.correlation.trail import Seen

LATE = timedelta(milliseconds=250)
"""So long after a window's end its faults are in the journal too."""


class Counting:
    """The correlation claims of a scenario."""

    def __init__(self, scenario: Scenario, window: Callable[[CorrelationClaim, str | None], Window]) -> None:
        """`window`: of a claim of a phase, as far as the journal says."""
        claims = scenario.claims()
        self._claims = {name: (claim, phase) for name, (claim, phase) in claims.items() if isinstance(claim, CorrelationClaim)}
        self._window = window

    def over(self, until: datetime) -> Iterator[tuple[str, CorrelationClaim, datetime, datetime]]:
        """The claims whose windows were over by then, with both ends."""
        for name, (claim, phase) in self._claims.items():
            window = self._window(claim, phase)
            if window.opens is not None and window.closes is not None and window.closes <= until:
                yield name, claim, window.opens, window.closes


def counted(
    found: Findings, name: str, claim: CorrelationClaim, ends: tuple[datetime, datetime], number: int, *, through: int, gap: bool
) -> EventMatched:
    """What was counted in a window that is over. Of what is left unexplained only the time since the first fault counts."""
    (opens, closes), odd = ends, claim.unexplained is not None
    matches = _unexplained(found, opens, closes) if odd else [(as_match(link), 1) for link in _linked(found, claim, opens, closes)]
    errors, error = found.failures(opens, closes, claim.rule)
    return EventMatched(
        assertion=name,
        number=number,
        opens=opens,
        closes=closes,
        until=closes,
        through=through,
        final=True,
        count=sum(count for _, count in matches),
        seen=found.events_between(max(opens, found.start) if odd else opens, closes),
        errors=errors,
        error=error or None,
        gap=gap or found.cut(opens, closes, claim.rule),
        first=matches[0][0] if matches else None,
        last=matches[-1][0] if matches else None,
        kept=tuple(match for match, _ in matches[:KEPT]),
        before=found.learnt,
    )


def _linked(found: Findings, claim: CorrelationClaim, opens: datetime, closes: datetime) -> list[Linked]:
    return [link for link in found.links if opens <= link.event.at < closes and _is_meant(claim, link)]


def _is_meant(claim: CorrelationClaim, link: Linked) -> bool:
    return (
        (claim.rule is None or link.cause.rule == claim.rule)
        and (claim.fault is None or claim.fault in link.faults)
        and (claim.confidence is None or link.confidence >= claim.confidence)
    )


def as_match(link: Linked) -> Match:
    """A link as the journal has a match: its key says what it followed from, and how sure that is."""
    event, cause = link.event, link.cause
    of = f"{cause.of.type} of {cause.of.service}" if isinstance(cause.of, Seen) else " or ".join(cause.faults)
    by = f"rule {cause.rule}" if cause.rule is not None else cause.by
    told = f"{event.type} of {event.service} after {of} by {by} ({link.confidence:.2f})"
    return Match(id=event.id, type=event.type, source=event.source, sequence=event.sequence, at=event.at, key=told)


def _unexplained(found: Findings, opens: datetime, closes: datetime) -> list[tuple[Match, int]]:
    return [
        (
            one.event.model_copy(update={"key": one.text})
            if one.event is not None
            else Match(id="", type=one.what, source=one.service, sequence=0, at=one.at, key=one.text),
            one.count,
        )
        for one in oddities(found, opens, closes)
    ]
