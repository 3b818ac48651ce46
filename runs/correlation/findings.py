"""What the audit trail of a run says of its faults, and what nothing explains. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

from messages.correlations import (
    AuditCorrelated,
    Chain,
    Fate,
    FaultCorrelated,
    Link,
    Silence,
    SourceRead,
    Unexplained,
    Unreadable,
)
from messages.observations import Match
from messages.rules import Correlation
from messages.values import brief
from runs.correlation.faults import Disturbance, disturbances, first_touch
from runs.correlation.linking import Baseline, Linked, Linking, new_events
from runs.correlation.sources import silences, usual_silence
from runs.correlation.trail import Flow, Seen, Trail
from runs.state import RunState

LISTED = 30
"""How many kinds of links of a fault are listed, and silences, and ends of keys."""
SOURCES = CHAINS = UNEXPLAINED = 50
SAMPLES = 5
CLOCK_STEP = timedelta(seconds=1)
"""A clock that is so much further ahead than before has moved: no way is shorter than none. One that goes back tells out of order."""


class Findings:
    """The trail of a run as far as it was read, and what it means. Made anew from the same trail and journal, it is the same."""

    def __init__(self, trail: Trail, state: RunState, until: datetime, trace: str = "") -> None:
        """`until`: every event stored before this instant was read. `trace`: the id of the run's trace, if it has one."""
        self._trail = trail
        self._spec: Correlation = state.system.spec.correlation
        self._until = until
        self.end = min(until, _end(state) or until)
        self.faults = disturbances(state)
        touched = first_touch(state)
        self.start = touched or self.end
        settle = state.stages.get("settle")
        began = settle.started if settle is not None else state.first_phase_started
        learning = began is not None and began < self.start
        self.baseline = Baseline(began, self.start) if learning and began is not None else None
        self._new = new_events(trail, self.baseline, self.end, self._spec.ordinary)
        self.linking = Linking(trail, self.faults, self.baseline, trace, self._new)
        self.links = [link for link in self.linking.links if link.event.at < self.end]
        self._usual = dict(self._learn())
        self.silences = list(self._silences())
        self.unexplained = sorted(self._unexplained(), key=lambda found: (found.at, found.what, found.service, found.text))

    @property
    def learnt(self) -> int:
        """Events in the time in which it was learnt what is ordinary."""
        return self.events_between(self.baseline.start, self.baseline.end) if self.baseline is not None else 0

    def events_between(self, start: datetime, end: datetime) -> int:
        """Events of any kind in [start, end)."""
        return sum(kept.count(start, end) for (service, _), kept in self._trail.kinds.items())

    def of_fault(self, fault: Disturbance, number: int, *, final: bool, gap: bool) -> FaultCorrelated:
        """What the trail says of a fault."""
        links = [link for link in self.links if link.root == fault]
        silences = [silence for silence in self.silences if fault.id in silence.faults]
        own = [silence for silence in silences if silence.service in fault.services]
        tells = any(service in self._usual for service in fault.services)
        met = list(self._met(fault))
        shown = bool(own) or any(link.event.service in fault.services for link in links)
        return FaultCorrelated(
            fault=fault.id,
            number=number,
            until=self._until,
            final=final,
            gap=gap,
            disturbed=fault.services,
            seen=True if shown else False if tells else None,
            silences=tuple(silences[:LISTED]),
            links=grouped(links)[:LISTED],
            followed=len(links),
            normal=_normal(links, silences),
            keys=len(met),
            fates=tuple(self._fates(met))[:LISTED],
        )

    def beside(self, number: int, unreadable: Sequence[Unreadable], *, final: bool, gap: bool) -> AuditCorrelated:
        """What it says beside the faults."""
        base = self.baseline
        return AuditCorrelated(
            number=number,
            until=self._until,
            final=final,
            gap=gap,
            events=self._trail.events,
            baseline=base.start if base is not None else None,
            learnt=self.learnt,
            sources=tuple(self._sources())[:SOURCES],
            chains=tuple(self._chains())[:CHAINS],
            silences=tuple(silence for silence in self.silences if not silence.faults)[:UNEXPLAINED],
            unexplained=tuple(self.unexplained[:UNEXPLAINED]),
            unexplained_count=len(self.unexplained),
            unreadable=tuple(unreadable),
        )

    def _silences(self) -> Iterator[Silence]:
        for service, usual in sorted(self._usual.items()):
            told = self._trail.told(service)
            for start, end in silences(told, usual, self.start.timestamp(), self.end.timestamp()):
                faults = tuple(fault.id for fault in self.faults if fault.covers(start, end))
                yield Silence(service=service, start=start, end=end, usual=usual, faults=faults)

    def _learn(self) -> Iterator[tuple[str, timedelta]]:
        """How long each source that tells something all the time is usually silent."""
        base = self.baseline
        for service in self._trail.sources if base is not None else ():
            told = self._trail.told(service)
            assert base is not None  # noqa: S101
            usual = usual_silence(told[bisect_left(told, base.start.timestamp()) : bisect_left(told, base.end.timestamp())])
            if usual is not None:
                yield service, usual

    def _unexplained(self) -> Iterator[Unexplained]:
        alike: dict[tuple[str, str], list[Seen]] = {}
        for event in self._new:
            if not self.linking.explains(event):
                alike.setdefault((event.service, event.type), []).append(event)
        for (service, type_), events in alike.items():
            told = f"{type_} of {service}, which did not come before the first fault"
            yield Unexplained(what="event", service=service, text=told, at=events[0].at, count=len(events), event=_match(events[0]))
        for silence in self.silences:
            if not silence.faults:
                lasted = brief(silence.end - silence.start) if silence.end is not None else "to the end"
                told = f"{silence.service} was silent ({lasted}; {brief(silence.usual)} is usual at most)"
                yield Unexplained(what="silence", service=silence.service, text=told, at=silence.start + silence.usual)
        for service, source in self._trail.sources.items():
            yield from self._irregular(service, "sequence", source.missing.values(), "left out of its sequence")
            yield from self._irregular(service, "sequence", source.reordered, "out of order")
            yield from self._irregular(service, "duplicate", source.duplicates, "told again with an id that was there before")
            moved = self._moved(service)
            if moved is not None and moved < -CLOCK_STEP:
                yield Unexplained(
                    what="clock", service=service, text=f"the clock of {service} went ahead by {brief(-moved)}", at=self.start
                )

    def _irregular(
        self, service: str, what: Literal["sequence", "duplicate"], instants: Iterable[datetime], told: str
    ) -> Iterator[Unexplained]:
        """Those outside of every fault."""
        outside = [at for at in instants if at < self.end and not any(fault.covers(at, at) for fault in self.faults)]
        if outside:
            word = "event" if len(outside) == 1 else "events"
            text = f"{len(outside)} {word} of {service} {told}"
            yield Unexplained(what=what, service=service, text=text, at=min(outside), count=len(outside))

    def _met(self, fault: Disturbance) -> Iterator[tuple[str, Flow]]:
        mask, ends = self._trail.mask(fault.services), self._spec.ends
        for key, flow in self._trail.flows.items():
            if flow.services & mask and (fault.end is None or flow.first <= fault.end):
                open_ = bool(ends) and flow.kind[1] not in ends
                if flow.last >= fault.start or (open_ and flow.first <= fault.start):
                    yield key, flow

    def _fates(self, met: Iterable[tuple[str, Flow]]) -> Iterator[Fate]:
        by_kind: dict[tuple[str, str], list[tuple[timedelta, str]]] = {}
        for key, flow in met:
            by_kind.setdefault(flow.kind, []).append((flow.last - flow.first, key))
        for (service, type_), keys in sorted(by_kind.items(), key=lambda item: (-len(item[1]), item[0])):
            longest = sorted(keys, key=lambda entry: (-entry[0], entry[1]))
            open_ = type_ not in self._spec.ends if self._spec.ends else None
            samples = tuple(key for _, key in longest[:SAMPLES])
            yield Fate(service=service, type=type_, keys=len(keys), longest=longest[0][0], samples=samples, open=open_)

    def _sources(self) -> Iterator[SourceRead]:
        for service, source in sorted(self._trail.sources.items()):
            yield SourceRead(
                service=service,
                events=sum(len(kept.seconds) for (name, _), kept in self._trail.kinds.items() if name == service),
                duplicates=len(source.duplicates),
                reordered=len(source.reordered),
                missing=len(source.missing),
                offset=source.offset(0, self._until.timestamp()),
                moved=self._moved(service),
            )

    def _moved(self, service: str) -> timedelta | None:
        source = self._trail.sources[service]
        before, since = source.offset(0, self.start.timestamp()), source.offset(self.start.timestamp(), self.end.timestamp())
        return since - before if before is not None and since is not None else None

    def _chains(self) -> Iterator[Chain]:
        roots: dict[Seen, list[Linked]] = {}
        for link in self.links:
            if isinstance(link.root, Seen):
                roots.setdefault(link.root, []).append(link)
        for root, links in roots.items():
            yield Chain(root=_match(root), service=root.service, links=grouped(links)[:LISTED])


def grouped(links: Iterable[Linked]) -> tuple[Link, ...]:
    """Links as the journal has them: of those alike the first, with their number."""
    alike: dict[tuple[object, ...], list[Linked]] = {}
    for link in links:
        event, cause = link.event, link.cause
        of = (cause.of.service, cause.of.type) if isinstance(cause.of, Seen) else cause.of.id
        alike.setdefault((event.service, event.type, of, cause.by, cause.rule), []).append(link)
    return tuple(
        Link(
            event=_match(first.event),
            service=first.event.service,
            cause=first.cause.of.id,
            by=first.cause.by,
            rule=first.cause.rule,
            depth=first.depth,
            delay=first.delay,
            confidence=first.confidence,
            alike=len(those),
        )
        for those in alike.values()
        for first in those[:1]
    )


def _normal(links: Sequence[Linked], silences: Sequence[Silence]) -> datetime | None:
    """The last thing out of the ordinary; None while something still is, or if nothing was."""
    ends = [silence.end for silence in silences]
    if None in ends:
        return None
    return max([*(link.event.at for link in links), *(end for end in ends if end is not None)], default=None)


def _end(state: RunState) -> datetime | None:
    """Where the run lets go of its system: what is told while services stop is no sign of anything."""
    release = state.requests.get("release")
    return release.requested if release is not None else None


def _match(event: Seen) -> Match:
    return Match(id=event.id, type=event.type, source=event.source, sequence=event.sequence, at=event.at, key=event.key or None)
