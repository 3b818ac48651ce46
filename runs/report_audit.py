"""What a report says of the audit trail: for every fault what followed from it, and what nothing explains."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from messages.correlations import AuditCorrelated, Chain, Fate, FaultCorrelated, Link, Silence, SourceRead, Unexplained, Unreadable
from messages.values import Instant, Message, brief
from runs.report_effects import FaultReport
from runs.state import RunState

KEYS = 3
"""How many kinds of ends of business keys an answer names."""


class Answer(Message):
    """A question about a fault, and what the audit trail answers."""

    question: str
    answer: str


class FaultTrail(Message):
    """What the audit trail says of one fault."""

    fault: str
    answers: tuple[Answer, ...]
    links: tuple[Link, ...]
    silences: tuple[Silence, ...]
    fates: tuple[Fate, ...]


class AuditTrail(Message):
    """What the events of the system say of the run, joined with its faults: by ids, by rules, and by service and time."""

    summary: str
    until: Instant | None = None
    """It was read so far."""
    complete: bool = False
    """It was read to the end of the recovery, without a gap."""
    events: int = 0
    learnt: int = 0
    """Events before the first fault, from which it was learnt what is ordinary."""
    faults: tuple[FaultTrail, ...] = ()
    chains: tuple[Chain, ...] = ()
    """What followed from events that are no faults of the run."""
    sources: tuple[SourceRead, ...] = ()
    unexplained: tuple[Unexplained, ...] = ()
    unexplained_count: int = 0
    unreadable: tuple[Unreadable, ...] = ()


def audit_of(
    state: RunState, beside: AuditCorrelated | None, trails: Mapping[str, FaultCorrelated], faults: Sequence[FaultReport]
) -> AuditTrail | None:
    """The audit trail; None of a system that has no events."""
    if state.accepted is None or not state.system.spec.events:
        return None
    if beside is None:
        told = "Nothing was told of the audit trail: no phase was over yet, or nobody observed it."
        return AuditTrail(summary=told)
    return AuditTrail(
        summary=_summary(beside),
        until=beside.until,
        complete=beside.final and not beside.gap,
        events=beside.events,
        learnt=beside.learnt,
        faults=tuple(_trail(trails[fault.id], fault, beside) for fault in faults if fault.id in trails),
        chains=beside.chains,
        sources=beside.sources,
        unexplained=beside.unexplained,
        unexplained_count=beside.unexplained_count,
        unreadable=beside.unreadable,
    )


def _summary(beside: AuditCorrelated) -> str:
    told = f"{_number(beside.events, 'event')} of {_number(beside.sources_count, 'source')}"
    read = (
        " Part of them was not read."
        if beside.gap
        else ""
        if beside.final
        else " They were read to the end of the last phase that was over."
    )
    if beside.touched is None:
        return f"{told}; there was no fault, so nothing was held against what is ordinary.{read}"
    if beside.baseline is None or not beside.learnt:
        return f"{told}; none came in good time before the first fault, so nobody can say what is out of the ordinary.{read}"
    left = f"{beside.unexplained_count} left unexplained" if beside.unexplained_count else "nothing left unexplained"
    return f"{told}; {left}.{read}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _trail(trail: FaultCorrelated, fault: FaultReport, beside: AuditCorrelated) -> FaultTrail:
    answers = _answers(trail, fault.called or fault.injected or trail.until, known=beside.baseline is not None and beside.learnt > 0)
    return FaultTrail(
        fault=trail.fault,
        answers=tuple(Answer(question=question, answer=answer) for question, answer in answers),
        links=trail.links,
        silences=trail.silences,
        fates=trail.fates,
    )


def _answers(trail: FaultCorrelated, since: datetime, *, known: bool) -> Iterator[tuple[str, str]]:
    yield "Was the target seen disturbed?", _seen(trail, since, known=known)
    others = [link for link in trail.links if link.service not in trail.disturbed]
    yield "What followed elsewhere?", "; ".join(_link(link) for link in others) or "nothing that the trail links to it"
    yield "When was everything normal again?", _normal(trail, since)
    yield "Which business keys met it?", _keys(trail)


def _seen(trail: FaultCorrelated, since: datetime, *, known: bool) -> str:
    own = [_link(link) for link in trail.links if link.service in trail.disturbed]
    own += [_silence(silence, since) for silence in trail.silences if silence.service in trail.disturbed]
    targets = ", ".join(trail.disturbed) or "it"
    if trail.seen:
        return f"yes: {'; '.join(own) or targets}"
    if not known:
        return "nobody can say: nothing is known of how it was before"
    if trail.seen is None:
        return f"nobody can say: {targets} tells too little when all is well"
    return f"no: nothing new came of {targets}, and no silence longer than usual"


def _link(link: Link) -> str:
    by = (
        f"rule {link.rule}"
        if link.rule is not None
        else {"trace": "trace", "correlation": "correlation id"}.get(link.by, "service and time")
    )
    more = f" and {link.alike - 1} more" if link.alike > 1 else ""
    return f"{link.service} {link.event.type} after {brief(link.delay)}{more} (by {by}, {link.confidence:.2f})"


def _silence(silence: Silence, since: datetime) -> str:
    begun = silence.start - since
    when = f"{brief(begun)} after it" if begun >= timedelta() else f"{brief(-begun)} before it"
    if silence.end is None:
        return f"{silence.service} silent from {when} to the end"
    return f"{silence.service} silent for {brief(silence.end - silence.start)} from {when} ({brief(silence.usual)} is usual at most)"


def _normal(trail: FaultCorrelated, since: datetime) -> str:
    still = [silence.service for silence in trail.silences if silence.end is None]
    if still:
        return f"it was not: still silent: {', '.join(still)}"
    if trail.normal is None:
        return "nothing was out of the ordinary"
    return f"after {brief(trail.normal - since)}: that was the last that the trail links to it"


def _keys(trail: FaultCorrelated) -> str:
    if not trail.keys:
        return "none that is known"
    first = sorted(trail.fates, key=lambda fate: not fate.open)
    more = trail.keys - sum(fate.keys for fate in first[:KEYS])
    return f"{trail.keys}: {', '.join(_fate(fate) for fate in first[:KEYS])}{f', {more} otherwise' if more else ''}"


def _fate(fate: Fate) -> str:
    if fate.open:
        return f"{fate.keys} still open after {fate.type} ({', '.join(fate.samples)})"
    return f"{fate.keys} {'ended with' if fate.open is False else 'last seen at'} {fate.type}"
