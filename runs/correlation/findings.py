"""What the audit trail of a run says of its faults, and what nothing explains. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from messages.correlations import (
    AuditCorrelated,
    Chain,
    Fate,
    FaultCorrelated,
    Link,
    Silence,
    SourceRead,
    Unreadable,
)
from messages.rules import Correlation
from runs.correlation.faults import Disturbance, disturbances, first_touch
from runs.correlation.linking import Baseline, Linked, Linking, new_kinds
from runs.correlation.oddities import matched, oddities
from runs.correlation.sources import silences, usual_silence
from runs.correlation.trail import Flow, Seen, Trail
from runs.state import RunState

LISTED = 30
"""How many kinds of links of a fault are listed, and silences, and ends of keys."""
SOURCES = UNEXPLAINED = 50
CHAINS, CHAINED = 10, 5
"""How many chains that begin with no fault are listed, and links of each."""
SAMPLES = 5
LEAST = timedelta(seconds=1)
"""A shorter time before the first fault teaches nothing."""


class Findings:
    """The trail of a run as far as it was read, and what it means. Made anew from the same trail and journal, it is the same."""

    def __init__(self, trail: Trail, state: RunState, until: datetime, trace: str = "") -> None:
        """`until`: every event stored before this instant was read. `trace`: the id of the run's trace, if it has one."""
        self.trail = trail
        self._spec: Correlation = state.system.spec.correlation
        self._until = until
        self.end = min(until, _end(state) or until)
        self.faults = disturbances(state)
        self.touched = first_touch(state)
        self.start = self.touched or self.end
        settle = state.stages.get("settle")
        began = settle.started if settle is not None else state.first_phase_started
        self.baseline = Baseline(began, self.start) if began is not None and self.start - began >= LEAST else None
        self._new = new_kinds(trail, self.baseline, self._spec.ordinary)
        self.new = sorted(row for kept in self._new for row in kept.rows if self.start <= row.at < self.end)
        """The events of kinds that did not come before the first fault."""
        self.linking = Linking(trail, self.faults, self.baseline, trace, self.new)
        self.links = [link for link in self.linking.links if link.event.at < self.end]
        self._by_fault: dict[str, list[Linked]] = {}
        for link in self.links:
            for fault in link.faults:
                self._by_fault.setdefault(fault, []).append(link)
        self._usual = dict(self._learn())
        self.silences = list(self._silences())

    def cut(self, start: datetime, end: datetime, rule: str | None = None) -> bool:
        """Whether too much came in [start, end) for all of it to be kept: for this rule, or any, and of what is new."""
        sides = [(one, side) for one, *both in self.trail.rules if rule in {None, one.name} for side in both]
        lost = any(side.kept.is_cut(start - one.max_delay, end) for one, side in sides)
        return lost or (rule is None and (self.trail.crowded or any(kept.is_cut(max(start, self.start), end) for kept in self._new)))

    def failures(self, start: datetime, end: datetime, rule: str | None = None) -> tuple[int, str]:
        """On how many events of [start, end) the expressions of this rule, or any, cannot be evaluated, and why."""
        sides = [(one, side) for one, *both in self.trail.rules if rule in {None, one.name} for side in both]
        found = [(side.failures(start - one.max_delay, end), side.error) for one, side in sides]
        return sum(count for count, _ in found), next((error for count, error in found if count), "")

    @property
    def learnt(self) -> int:
        """Events in the time in which it was learnt what is ordinary."""
        return self.events_between(self.baseline.start, self.baseline.end) if self.baseline is not None else 0

    def events_between(self, start: datetime, end: datetime) -> int:
        """Events of any kind in [start, end)."""
        return sum(kept.count(start, end) for kept in self.trail.kinds.values())

    def of_fault(self, fault: Disturbance, number: int, *, final: bool, gap: bool) -> FaultCorrelated:
        """What the trail says of a fault."""
        links = sorted(self._by_fault.get(fault.id, ()), key=lambda link: (link.event.service not in fault.services, link.event))
        silences = [silence for silence in self.silences if fault.id in silence.faults]
        silences.sort(key=lambda silence: silence.service not in fault.services)
        tells = any(service in self._usual for service in fault.services)
        met = list(self._met(fault))
        shown = any(silence.service in fault.services for silence in silences) or any(
            link.event.service in fault.services for link in links
        )
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
        base, odd = self.baseline, oddities(self, self.start, self.end)
        return AuditCorrelated(
            number=number,
            until=self._until,
            final=final,
            gap=gap,
            events=self.trail.events,
            baseline=base.start if base is not None else None,
            learnt=self.learnt,
            touched=self.touched,
            sources=tuple(islice(self._sources(), SOURCES)),
            sources_count=len(self.trail.sources),
            chains=tuple(islice(self._chains(), CHAINS)),
            unexplained=tuple(odd[:UNEXPLAINED]),
            unexplained_count=sum(one.count for one in odd),
            unreadable=tuple(unreadable),
        )

    def _silences(self) -> Iterator[Silence]:
        for service, usual in sorted(self._usual.items()):
            told = self.trail.told(service)
            for start, end in silences(told, usual, self.start.timestamp(), self.end.timestamp()):
                faults = tuple(fault.id for fault in self.faults if fault.explains(start, usual))
                yield Silence(service=service, start=start, end=end, usual=usual, faults=faults)

    def _learn(self) -> Iterator[tuple[str, timedelta]]:
        """How long each source that tells something all the time is usually silent."""
        if self.baseline is None:
            return
        start, end = self.baseline.start.timestamp(), self.baseline.end.timestamp()
        for service in self.trail.services:
            told = self.trail.told(service)
            usual = usual_silence(told[bisect_left(told, start) : bisect_left(told, end)])
            if usual is not None:
                yield service, usual

    def _met(self, fault: Disturbance) -> Iterator[tuple[str, Flow]]:
        mask, ends = self.trail.mask(fault.services), self._spec.ends
        for key, flow in self.trail.flows.items():
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
        start = self.start.timestamp()
        for name, source in sorted(self.trail.sources.items()):
            before, since = source.offset(0, int(start)), source.offset(int(start), self.end.timestamp())
            yield SourceRead(
                source=name,
                events=source.events,
                duplicates=len(source.duplicates),
                reordered=len(source.reordered),
                missing=sum(hole.size for hole in source.holes),
                offset=source.offset(0, self._until.timestamp()),
                moved=since - before if before is not None and since is not None else None,
            )

    def _chains(self) -> Iterator[Chain]:
        roots: dict[Seen, list[Linked]] = {}
        for link in self.links:
            if isinstance(link.root, Seen):
                roots.setdefault(link.root, []).append(link)
        for root, links in roots.items():
            yield Chain(root=matched(root), service=root.service, links=grouped(links)[:CHAINED])


def grouped(links: Iterable[Linked]) -> tuple[Link, ...]:
    """Links as the journal has them: of those alike the first, with their number."""
    alike: dict[tuple[object, ...], list[Linked]] = {}
    for link in links:
        event, cause = link.event, link.cause
        of = (cause.of.service, cause.of.type) if isinstance(cause.of, Seen) else cause.of.id
        alike.setdefault((event.service, event.type, of, cause.by, cause.rule), []).append(link)
    return tuple(
        Link(
            event=matched(first.event),
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
