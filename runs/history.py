"""What a judge gets to see: the run's faults, the services' health and the matches of one claim, as a fold."""

from bisect import insort
from dataclasses import replace
from datetime import datetime, timedelta

from messages.claims import (
    Claim,
    ClaimHistory,
    ExpressionClaim,
    FaultHistory,
    History,
    LatencyClaim,
    Logged,
    Measured,
    OutageClaim,
    RoleClaim,
    RoleHistory,
    RoleSaid,
    Sampled,
    Scrape,
    ServiceHistory,
    SloClaim,
    TraceClaim,
    Traced,
    Transition,
    Window,
)
from messages.events import Recorded, RunEvent
from messages.measurements import KeysListed, SetRead
from messages.needs import disturbed
from messages.observations import EventMatched, ObservedUntil, ProbeSummary, RoleSeen, ServiceDown, ServiceUp, StreamGap
from runs.faults import ActionState
from runs.measurements import BY_START, Measurements
from runs.numbering import Numbering
from runs.state import AssertionState, RunState
from runs.windows import over, window_of


class Observations:
    """A fold of what the observer recorded in one run."""

    def __init__(self) -> None:
        self._transitions: dict[str, list[Transition]] = {}
        self._samples: dict[str, list[Sampled]] = {}
        self.matched: dict[str, tuple[EventMatched, str]] = {}
        self._roles: dict[str, list[RoleSaid]] = {}
        self.probes_until: datetime | None = None
        self.told_until: datetime | None = None
        self.gaps: list[StreamGap] = []
        self.numbering = Numbering()
        self._measurements = Measurements()
        self._services: dict[str, ServiceHistory] = {}

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in an event, if the observer recorded it."""
        event, at = recorded.event, recorded.at
        self._services.pop(recorded.entity, None)
        self._measurements.apply(recorded)
        self.numbering.apply(recorded)
        match event:
            case ServiceDown():
                down = Transition(
                    at=at - event.ago,
                    up=False,
                    evidence=recorded.evidence,
                    error=event.error,
                    error_bound=event.error_bound,
                    took=event.took,
                )
                self._transitions.setdefault(event.service, []).append(down)
            case ServiceUp():
                up = Transition(at=at - event.ago, up=True, evidence=recorded.evidence, error_bound=event.error_bound)
                self._transitions.setdefault(event.service, []).append(up)
            case ProbeSummary():
                sampled = Sampled(event.start, event.end, event.ok, event.failed - event.missed, recorded.evidence)
                insort(self._samples.setdefault(event.probe, []), sampled, key=BY_START)
            case EventMatched():
                self.matched[event.assertion] = (event, recorded.evidence)
            case ObservedUntil() if event.probes is not None:
                self.probes_until = max(event.probes, self.probes_until or event.probes)
                told = event.told
                self.told_until = max(told, self.told_until or told) if told is not None else self.told_until
            case RoleSeen():
                said = RoleSaid(at - event.ago, event.role, recorded.evidence, event.error_bound)
                self._roles.setdefault(event.service, []).append(said)
            case StreamGap():
                self.gaps.append(event)

    def service(self, name: str) -> ServiceHistory:
        """One service's health."""
        known = self._services.get(name)
        if known is None:
            known = ServiceHistory(tuple(self._transitions.get(name, ())), tuple(self._samples.get(name, ())))
            self._services[name] = known
        return known

    def missed_events(self, window: Window) -> bool:
        """Whether events of this window are known to be lost."""
        opens, closes = window.opens, window.closes
        gaps = (gap for gap in self.gaps if gap.source == "events")
        return opens is not None and any(gap.end > opens and (closes is None or gap.start < closes) for gap in gaps)

    def measured(self, state: RunState, claim: Claim) -> Measured | None:
        """What the probe or the workload that a claim names has measured."""
        if not isinstance(claim, LatencyClaim | SloClaim | OutageClaim) or claim.follows_events:
            return None
        return self._measurements.measured(claim.source, self.gaps, state.system.spec.probes.get(claim.probe or ""))

    def roles(self, state: RunState, claim: Claim) -> dict[str, RoleHistory]:
        """What each member of the group that a claim names has said of its role."""
        group = state.system.spec.groups.get(claim.group) if isinstance(claim, RoleClaim) else None
        return {name: self._role(state, name) for name in group.members} if group is not None else {}

    def _role(self, state: RunState, name: str) -> RoleHistory:
        asked = state.system.spec.services[name].role
        return RoleHistory(tuple(self._roles.get(name, ())), asked.every if asked is not None else timedelta())

    def asked(self, assertion: str) -> ServiceHistory:
        """What a claim was answered that asks by itself."""
        return self._measurements.answers(assertion, self._samples.get(assertion, ()))

    def scraped(self, assertion: str) -> tuple[Scrape, ...]:
        """The metrics that were scraped for a claim."""
        return self._measurements.scrapes(assertion)

    def logged(self, assertion: str) -> tuple[Logged, ...]:
        """What a claim matched of a log."""
        return self._measurements.logged(assertion)

    def traced(self, assertion: str) -> tuple[Traced, ...]:
        """What a claim matched of the services' spans."""
        return self._measurements.traced(assertion)

    def unheard(self, claim: Claim) -> tuple[StreamGap, ...]:
        """When the spans that a claim is about could not be received."""
        return tuple(gap for gap in self.gaps if gap.source == "spans") if isinstance(claim, TraceClaim) else ()

    def read(self, assertion: str) -> tuple[SetRead | None, str | None]:
        """What was read for a claim, and its evidence."""
        return self._measurements.read(assertion)

    def listed(self, assertion: str) -> tuple[KeysListed | None, str | None]:
        """What was there before, for a claim whose answers are to be unlike it, and its evidence."""
        return self._measurements.listed(assertion)


def history_of(state: RunState, seen: Observations, assertion: AssertionState) -> History:
    """What is known for judging this claim now."""
    matched, evidence = seen.matched.get(assertion.id, (None, None))
    read, read_evidence = seen.read(assertion.id)
    listed, listed_evidence = seen.listed(assertion.id)
    window, phases = window_of(state, assertion.claim, assertion.phase, assertion.mode), phase_windows(state)
    earlier = getattr(assertion.claim, "compare", None) or getattr(assertion.claim, "unlike", None)
    looked = (window, phases.get(earlier or "", Window()))
    if matched is not None and any(seen.missed_events(part) for part in looked):  # an observer that was restarted need not know of it
        matched = matched.model_copy(update={"gap": True})
    return History(
        window=window,
        services={name: seen.service(name) for name in state.system.spec.services},
        faults=fault_histories(state),
        matched=matched,
        matched_evidence=evidence,
        probes_until=seen.probes_until,
        told_until=seen.told_until,
        excused=excused(state),
        phases=phases,
        measured=seen.measured(state, assertion.claim),
        answers=seen.asked(assertion.id),
        scrapes=seen.scraped(assertion.id),
        roles=seen.roles(state, assertion.claim),
        logged=seen.logged(assertion.id),
        traced=seen.traced(assertion.id),
        unheard=seen.unheard(assertion.claim),
        read=read,
        read_evidence=read_evidence,
        claims=claim_histories(state, assertion.claim),
        over=over(state),
        listed=listed,
        listed_evidence=listed_evidence,
        max_gap=state.system.spec.max_gap,
        stable=state.system.spec.steady_state.stable,
        steady=assertion.mode == "steady",
    )


def phase_windows(state: RunState) -> dict[str, Window]:
    """When each phase of the scenario was, as far as it has begun."""
    return {stage.name: Window(stage.started, stage.finished) for stage in state.stages.values() if stage.kind == "phase"}


def fault_histories(state: RunState) -> dict[str, FaultHistory]:
    """Every fault that was requested, and those of the scenario that can no longer come, as refused."""
    found = {name: action.history() for name, action in state.actions.faults().items()}
    if "recover" in state.stages or "release" in state.requests:
        for name, (target, action, _) in state.scenario.faults().items():
            if name not in found:
                found[name] = replace(FaultHistory(name, target, action.action), refused="the run stopped before it")
    return found


def claim_histories(state: RunState, claim: Claim) -> dict[str, ClaimHistory]:
    """What was said of the claims that an expression names."""
    if not isinstance(claim, ExpressionClaim):
        return {}
    known = state.scenario.claims()
    return {name: _claim_history(state, name, *known[name]) for name in claim.claims_named() if name in known}


def _claim_history(state: RunState, name: str, claim: Claim, phase: str | None) -> ClaimHistory:
    said = state.assertions.get(name)
    if said is None:
        return ClaimHistory(never=window_of(state, claim, phase).never)
    evidence = tuple(one for one in (said.judged_by, *said.evidence) if one)
    return ClaimHistory(said.verdict, said.reason, said.measured, evidence, rehearsed=said.control is not None)


def excused(state: RunState) -> dict[str, tuple[tuple[datetime, datetime | None], ...]]:
    """Per service, when a fault excuses it: from armed until seen normal again, at most `recover` after the undo."""
    spans: dict[str, list[tuple[datetime, datetime | None]]] = {}
    for action in state.actions.faults().values():
        if action.armed_at is not None:
            for service in disturbed(state.system, action.request.action, action.request.target):
                spans.setdefault(service, []).append((action.armed_at, _excused_until(state, action, service)))
    return {name: tuple(found) for name, found in spans.items()}


def _excused_until(state: RunState, action: ActionState, target: str) -> datetime | None:
    health = state.system.spec.services[target].health
    slack = health.every + health.deadline if health else timedelta()
    ends = []
    if action.gone is not None:
        ends.append(action.gone + slack)
    if action.reverted is not None:
        ends.append(action.reverted + state.system.spec.steady_state.recover)
    return min(ends, default=None)
