"""What a report says of the audit trail: for every fault what followed from it, and what nothing explains."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

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
    until: Instant | None
    """It was read so far."""
    complete: bool
    """It was read to the run's end, without a gap."""
    events: int
    learnt: int
    """Events before the first fault, from which it was learnt what is ordinary."""
    faults: tuple[FaultTrail, ...]
    chains: tuple[Chain, ...]
    """What followed from events that are no faults of the run."""
    sources: tuple[SourceRead, ...]
    unexplained: tuple[Unexplained, ...]
    unexplained_count: int
    unreadable: tuple[Unreadable, ...]


def audit_of(
    state: RunState, beside: AuditCorrelated | None, trails: Mapping[str, FaultCorrelated], faults: Sequence[FaultReport]
) -> AuditTrail | None:
    """The audit trail; None of a system that has no events."""
    if state.accepted is None or not state.system.spec.events:
        return None
    if beside is None:
        told = "The audit trail was not read: the run ended before its first phase did."
        return AuditTrail(
            summary=told,
            until=None,
            complete=False,
            events=0,
            learnt=0,
            faults=(),
            chains=(),
            sources=(),
            unexplained=(),
            unexplained_count=0,
            unreadable=(),
        )
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
    sources = len(beside.sources)
    told = f"{beside.events} events of {sources} source{'s' if sources != 1 else ''}"
    if beside.baseline is None:
        return f"{told}; none came before the first fault, so nobody can say what is out of the ordinary."
    left = f"{beside.unexplained_count} left unexplained" if beside.unexplained_count else "nothing left unexplained"
    gap = (
        ", but part of them was not read" if beside.gap else "" if beside.final else ", read up to the end of the last phase that was over"
    )
    return f"{told}{gap}; {left}."


def _trail(trail: FaultCorrelated, fault: FaultReport, beside: AuditCorrelated) -> FaultTrail:
    answers = _answers(trail, fault.called or fault.injected or trail.until, known=beside.baseline is not None)
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
    if own:
        return f"yes: {'; '.join(own)}"
    if not known:
        return "nobody can say: nothing is known of how it was before"
    if trail.seen is None:
        return f"nobody can say: {targets} tells too little when all is well"
    return f"no: {targets} told neither more nor less than before"


def _link(link: Link) -> str:
    by = (
        f"rule {link.rule}"
        if link.rule is not None
        else {"trace": "trace", "correlation": "correlation id"}.get(link.by, "service and time")
    )
    more = f" and {link.alike - 1} more" if link.alike > 1 else ""
    return f"{link.service} {link.event.type} after {brief(link.delay)}{more} (by {by}, {link.confidence:.2f})"


def _silence(silence: Silence, since: datetime) -> str:
    begun = brief(max(silence.start - since, silence.start - silence.start))
    if silence.end is None:
        return f"{silence.service} silent from {begun} on, to the end"
    return f"{silence.service} silent for {brief(silence.end - silence.start)} from {begun} on ({brief(silence.usual)} is usual at most)"


def _normal(trail: FaultCorrelated, since: datetime) -> str:
    still = [silence.service for silence in trail.silences if silence.end is None]
    if still:
        return f"it was not: {', '.join(still)} was still silent"
    if trail.normal is None:
        return "nothing was out of the ordinary"
    return f"after {brief(trail.normal - since)}: that was the last that the trail links to it"


def _keys(trail: FaultCorrelated) -> str:
    if not trail.keys:
        return "none that is known"
    told = [
        f"{fate.keys} ended with {fate.type}" if not fate.open else f"{fate.keys} still open after {fate.type} ({', '.join(fate.samples)})"
        for fate in sorted(trail.fates, key=lambda fate: not fate.open)[:KEYS]
    ]
    more = sum(fate.keys for fate in trail.fates) - sum(fate.keys for fate in sorted(trail.fates, key=lambda fate: not fate.open)[:KEYS])
    return f"{trail.keys}: {', '.join(told)}{f', {more} otherwise' if more else ''}"
