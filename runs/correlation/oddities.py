"""What nothing explains: no fault, no rule, no id. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from messages.correlations import Unexplained
from messages.observations import Match
from messages.values import brief
from runs.correlation.faults import Spans
from runs.correlation.trail import Seen

if TYPE_CHECKING:
    from runs.correlation.findings import Findings

CLOCK_STEP = timedelta(seconds=1)
"""A clock that is so much further ahead than before has moved: no way is shorter than none. One that goes back tells out of order."""
What = Literal["sequence", "duplicate", "unreadable"]


def oddities(found: "Findings", opens: datetime, closes: datetime) -> list[Unexplained]:
    """What happened in [opens, closes), after the first fault began and before the run let go of its system, and is left unexplained."""
    start, end = max(opens, found.start), min(closes, found.end)
    odd = [*_events(found, start, end), *_silences(found, start, end), *_irregular(found, start, end)]
    return sorted(odd, key=lambda one: (one.at, one.what, one.service, one.text))


def matched(event: Seen) -> Match:
    """An event as the journal has it."""
    return Match(id=event.id, type=event.type, source=event.source, sequence=event.sequence, at=event.at, key=event.key or None)


def _events(found: "Findings", start: datetime, end: datetime) -> Iterator[Unexplained]:
    alike: dict[tuple[str, str], list[Seen]] = {}
    for event in found.new:
        if start <= event.at < end and not found.linking.explains(event):
            alike.setdefault((event.service, event.type), []).append(event)
    for (service, type_), events in alike.items():
        told = f"{type_} of {service}, which did not come before the first fault"
        yield Unexplained(what="event", service=service, text=told, at=events[0].at, count=len(events), event=matched(events[0]))


def _silences(found: "Findings", start: datetime, end: datetime) -> Iterator[Unexplained]:
    for silence in found.silences:
        at = silence.start + silence.usual
        if not silence.faults and start <= at < end:
            lasted = brief(silence.end - silence.start) if silence.end is not None else "to the end"
            told = f"{silence.service} was silent ({lasted}; {brief(silence.usual)} is usual at most)"
            yield Unexplained(what="silence", service=silence.service, text=told, at=at)


def _irregular(found: "Findings", start: datetime, end: datetime) -> Iterator[Unexplained]:
    spans = Spans(found.faults)

    def outside(instants: Iterable[tuple[datetime, int]]) -> list[tuple[datetime, int]]:
        return [(at, count) for at, count in instants if start <= at < end and not spans.cover(at)]

    for name, source in found.trail.sources.items():
        yield from _told("sequence", name, outside((hole.at, hole.size) for hole in source.holes), "of its sequence left out")
        yield from _told("sequence", name, outside((at, 1) for at in source.reordered), "out of order")
        yield from _told("duplicate", name, outside((at, 1) for at in source.duplicates), "told again with an id that was there before")
        ahead = source.went_ahead(found.start.timestamp(), end.timestamp(), CLOCK_STEP)
        if ahead is not None and start <= ahead[0] < end:
            yield Unexplained(what="clock", service=name, text=f"the clock of {name} went ahead by {brief(ahead[1])}", at=ahead[0])
    yield from _told("unreadable", "", outside((at, 1) for at in found.trail.unreadable), "that cannot be read")


def _told(what: What, source: str, found: list[tuple[datetime, int]], told: str) -> Iterator[Unexplained]:
    count = sum(size for _, size in found)
    if count:
        word = "number" if "sequence left" in told else "message" if what == "unreadable" else "event"
        of = f" of {source}" if source else ""
        text = f"{count} {word}{'s' if count != 1 else ''}{of} {told}"
        yield Unexplained(what=what, service=source, text=text, at=min(at for at, _ in found), count=count)
