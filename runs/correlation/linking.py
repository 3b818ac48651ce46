"""Which event followed from what: by an id that both have, by a rule, or by service and time. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp
from typing import Literal

from messages.audit_events import ENDED, SOURCE, STARTED
from messages.correlations import By
from messages.rules import Rule
from runs.correlation.faults import Disturbance
from runs.correlation.trail import Flow, Kept, Kind, Seen, Side, Trail

Id = Literal["trace", "correlation"]
BY_TIME = 0.95
"""How sure a cause can be of which only the time speaks."""
RIPPLE = timedelta(seconds=1)
"""So long after its fault is over an event of a disturbed service may still tell of it."""
CANDIDATES = 50
"""How many triggers before an effect are looked at for an id that both have."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The time in which it was learnt what is ordinary."""

    start: datetime
    end: datetime

    def rate(self, trail: Trail, kind: Kind) -> float:
        """How often in a second events of this kind came."""
        kept = trail.kinds.get(kind)
        span = (self.end - self.start).total_seconds()
        return kept.count(self.start, self.end) / span if kept is not None and span > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Cause:
    """What an event followed from."""

    of: Seen | Disturbance
    by: By
    rule: str | None
    confidence: float
    """Of this step alone."""
    at: datetime
    faults: tuple[str, ...] = ()
    """Those that it may be, `of` among them: each is as likely as the others. None: it is no fault."""


@dataclass(frozen=True, slots=True)
class Linked:
    """An event with the whole way to its root."""

    event: Seen
    cause: Cause
    root: Seen | Disturbance
    faults: tuple[str, ...]
    """Those that the root may be."""
    depth: int
    delay: timedelta
    confidence: float


class Linking:
    """The causes of all events that are out of the ordinary or that rules are about. `new`: those of kinds that did not come before."""

    def __init__(self, trail: Trail, faults: Sequence[Disturbance], baseline: Baseline | None, run_trace: str, new: Sequence[Seen]) -> None:
        self._trail = trail
        self._faults = faults
        self._baseline = baseline
        self._causes: dict[Seen, Cause] = {}
        for rule, trigger, effect in trail.rules:
            self._by_rule(rule, trigger, effect)
        if run_trace:
            self._by_trace(run_trace, new)
        self._by_service(new)
        self._by_key(new)
        self.links = self._ways()

    def explains(self, event: Seen) -> bool:
        """Whether it is known what this event followed from."""
        return event in self._causes

    def _offer(self, event: Seen, cause: Cause) -> None:
        """The surest cause counts; of equals the latest."""
        known = self._causes.get(event)
        if known is None or (cause.confidence, cause.at) > (known.confidence, known.at):
            self._causes[event] = cause

    def _by_rule(self, rule: Rule, trigger: Side, effect: Side) -> None:
        ours = {STARTED: "start", ENDED: "undone"} if trigger.service == SOURCE else {}
        for event in effect.kept.rows:
            if ours:
                found = [cause for moment in ours if moment in trigger.types for cause in self._from_faults(event, rule, ours[moment])]
            else:
                found = list(self._from_events(event, rule, trigger.kept.rows))
            for cause in found:
                self._offer(event, cause)

    def _from_faults(self, event: Seen, rule: Rule, moment: str) -> Iterator[Cause]:
        """By a rule about our own events: the fault that came last, or one of those beside it."""
        moments = ((getattr(fault, moment), fault) for fault in self._faults)
        began = [(at, fault) for at, fault in moments if at is not None and at <= event.at <= at + rule.max_delay]
        sure = self._by_time(event, rule)
        if began and sure >= rule.min_confidence:
            yield _one_of([fault for _, fault in began], "rule", rule.name, sure, max(at for at, _ in began))

    def _from_events(self, event: Seen, rule: Rule, triggers: Sequence[Seen]) -> Iterator[Cause]:
        last = bisect_left(triggers, event)
        first = max(bisect_left(triggers, event.at - rule.max_delay, key=lambda row: row.at), last - CANDIDATES)
        near = [row for row in triggers[first:last] if row != event]
        for row in near:
            shared = _shared(row, event)
            if shared is not None:
                yield Cause(row, shared, rule.name, 1.0, row.at)
        sure = self._by_time(event, rule)
        if near and sure >= rule.min_confidence:
            yield Cause(near[-1], "rule", rule.name, sure, near[-1].at)

    def _by_time(self, event: Seen, rule: Rule) -> float:
        """The chance that no event of its kind comes by itself in the time that the rule allows, as often as they came undisturbed."""
        if self._baseline is None:
            return 0.0
        rate = self._baseline.rate(self._trail, (event.service, event.type))
        return BY_TIME * exp(-rate * rule.max_delay.total_seconds())

    def _by_trace(self, trace: str, new: Sequence[Seen]) -> None:
        for event in new:
            began = [fault for fault in self._faults if fault.start <= event.at] if event.trace == trace else []
            if began:
                self._offer(event, Cause(began[-1], "trace", None, 1.0, began[-1].start, (began[-1].id,)))

    def _by_service(self, new: Sequence[Seen]) -> None:
        """New of a service while it was disturbed."""
        for event in new:
            on = [fault for fault in self._faults if event.service in fault.services and _is_on(fault, event.at)]
            if on:
                self._offer(event, _one_of(on, "service", None, BY_TIME, on[-1].start))

    def _by_key(self, new: Sequence[Seen]) -> None:
        """New of a key or a trace that something else out of the ordinary has, or that met a fault."""
        known: dict[tuple[Id, str], Seen] = {}
        for event in sorted({*self._causes, *new}):
            for by, name in _ids(event):
                before = known.get((by, name))
                if before is not None and event not in self._causes:
                    self._offer(event, Cause(before, by, None, 1.0, before.at))
            if event not in self._causes and event.key:
                self._met(event)
            if event in self._causes:
                known |= dict.fromkeys(_ids(event), event)

    def _met(self, event: Seen) -> None:
        flow = self._trail.flows.get(event.key)
        if flow is None:
            return
        met = [fault for fault in self._faults if fault.start <= event.at and self._is_met(flow, fault)]
        if met:
            self._offer(event, _one_of(met, "correlation", None, BY_TIME, met[-1].start))

    def _is_met(self, flow: Flow, fault: Disturbance) -> bool:
        return fault.covers(flow.first, flow.last) and bool(flow.services & self._trail.mask(fault.services))

    def _ways(self) -> list[Linked]:
        """Every event with its whole way; causes come before what they cause."""
        known: dict[Seen, Linked] = {}
        for event in sorted(self._causes):
            cause = self._causes[event]
            before = known.get(cause.of) if isinstance(cause.of, Seen) else None
            root = before.root if before is not None else cause.of
            began = root.at if isinstance(root, Seen) else root.start
            depth, sure = (before.depth + 1, before.confidence) if before is not None else (1, 1.0)
            faults = before.faults if before is not None else cause.faults
            known[event] = Linked(event, cause, root, faults, depth, event.at - began, round(sure * cause.confidence, 4))
        return list(known.values())


def new_kinds(trail: Trail, baseline: Baseline | None, ordinary: Sequence[str]) -> list[Kept]:
    """The events of kinds that did not come in the baseline; none if there was none, since nobody knows what is ordinary."""
    if baseline is None:
        return []
    kinds = ((kind, kept) for kind, kept in trail.kinds.items() if kind[1] not in ordinary)
    return [kept for _, kept in kinds if not kept.count(baseline.start, baseline.end)]


def _is_on(fault: Disturbance, at: datetime) -> bool:
    return fault.start <= at and (fault.end is None or at <= fault.end + RIPPLE)


def _one_of(faults: Sequence[Disturbance], by: By, rule: str | None, confidence: float, at: datetime) -> Cause:
    """The last of the faults, if nobody knows which one it was."""
    return Cause(faults[-1], by, rule, confidence / len(faults), at, tuple(fault.id for fault in faults))


def _ids(event: Seen) -> list[tuple[Id, str]]:
    """The ids that it may have in common with others."""
    found: tuple[tuple[Id, str], ...] = (("trace", event.trace), ("correlation", event.key))
    return [(by, name) for by, name in found if name]


def _shared(one: Seen, other: Seen) -> Id | None:
    return next((by for by, name in _ids(one) if (by, name) in _ids(other)), None)
