"""What was received of services' spans in a window, put together from the stretches of time in which somebody listened."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from messages.claims.measured import Traced, placed

NAMED = 20
"""How many stretches a judgement names."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of the spans of a window."""

    spans: int
    count: int
    keys: frozenset[str]
    """Those of the matches."""
    edge: int
    """Matches of which nobody knows whether they came in the window."""
    edge_keys: frozenset[str]
    unknown: int
    """Spans of which nobody knows whether they match, since their parent was not received, and matches without a key that is told."""
    refused: int
    errors: int
    error: str
    unheard: timedelta
    """The longest stretch in which nobody listened."""
    stretches: tuple[Traced, ...]
    """Those that lie in the window at least in part."""

    @property
    def matched(self) -> tuple[str, ...]:
        """Where matches are told; the last is among them."""
        found = [stretch.evidence for stretch in self.stretches if stretch.told.count]
        return tuple(found[: NAMED - 1] + found[NAMED - 1 :][-1:])

    @property
    def evidence(self) -> tuple[str, ...]:
        """What says that somebody listened: where most spans are told."""
        most = sorted(self.stretches, key=lambda stretch: stretch.told.spans, reverse=True)[:NAMED]
        return tuple(stretch.evidence for stretch in sorted(most, key=lambda stretch: stretch.told.start))


def heard(traced: tuple[Traced, ...], opens: datetime, closes: datetime | None) -> Heard:
    """What came in the window. Where two stretches overlap (two observers at once), the first counts."""
    found: list[Traced] = []
    reached, unheard, keys, edge_keys = opens, timedelta(), set[str](), set[str]()
    spans = count = edge = errors = 0
    for stretch in traced:
        told = stretch.told
        if told.end <= opens or (closes is not None and told.start >= closes) or (found and told.start < found[-1].told.end):
            continue
        unheard, reached = max(unheard, told.start - reached), told.end
        found.append(stretch)
        inside = placed(told, opens, closes)
        if inside:
            spans, count, errors, keys = spans + told.spans, count + told.count, errors + told.errors, keys | set(told.keys)
        elif inside is None:
            edge, edge_keys = edge + told.count, edge_keys | set(told.keys)
    parts = [stretch.told for stretch in found]
    return Heard(
        spans=spans,
        count=count,
        keys=frozenset(keys),
        edge=edge,
        edge_keys=frozenset(edge_keys - keys),
        unknown=sum(told.given_up + told.beyond for told in parts) + (parts[-1].waiting if parts else 0),
        refused=sum(told.refused for told in parts),
        errors=errors,
        error=next((told.error for told in parts if told.error), ""),
        unheard=max(unheard, closes - reached) if closes is not None else unheard,
        stretches=tuple(found),
    )
