"""What a judge may look at: plain facts of one run, and what it says. Nothing here knows where the facts come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from messages.claims.measured import Logged, Measured, Scrape, Traced
from messages.claims.roles import RoleHistory
from messages.measurements import KeysListed, SetRead
from messages.observations import EventMatched, Match, StreamGap
from messages.values import Duration
from messages.verdicts import Reason, Verdict


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a claim is about. An end that is not known yet is None."""

    opens: datetime | None = None
    closes: datetime | None = None
    never: bool = False
    """It can no longer open: what it waits for did not happen."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A service went up or down."""

    at: datetime
    up: bool
    evidence: str
    error: str | None = None
    error_bound: timedelta = timedelta()
    took: timedelta = timedelta()
    """How long the sample that showed it took; a failure may have come at any time of it."""
    asked: bool = True
    """False: nothing could be asked, so it says nothing of the service."""

    @property
    def seen(self) -> datetime:
        """When the sample that showed it had ended."""
        return self.at if self.up else self.at + self.took


@dataclass(frozen=True, slots=True)
class Sampled:
    """A span in which a service's health was sampled, and how often. One without samples counts as unseen."""

    start: datetime
    end: datetime
    ok: int
    failed: int
    """Without the ticks that were missed: those are no samples."""
    evidence: str


@dataclass(frozen=True, slots=True)
class ServiceHistory:
    """All that is known of one service's health, in order of time."""

    transitions: tuple[Transition, ...] = ()
    samples: tuple[Sampled, ...] = ()

    def up_at(self, instant: datetime) -> bool | None:
        """Whether it was up then; None when nothing was known yet."""
        state = None
        for transition in self.transitions:
            if transition.at > instant:
                break
            state = transition.up
        return state

    def within(self, start: datetime, end: datetime) -> tuple[Sampled, ...]:
        """The spans with samples that overlap this one."""
        return tuple(s for s in self.samples if s.end > start and s.start < end and s.ok + s.failed > 0)

    def whole(self, start: datetime, end: datetime) -> tuple[Sampled, ...]:
        """Those that lie wholly in this one. Where two overlap (two observers at once), the first counts."""
        found: list[Sampled] = []
        for span in self.within(start, end):
            if span.start >= start and span.end <= end and (not found or span.start >= found[-1].end):
                found.append(span)
        return tuple(found)

    def unsampled(self, start: datetime, end: datetime) -> timedelta:
        """The longest stretch between start and end without samples."""
        longest, reached = timedelta(), start
        for span in self.within(start, end):
            longest = max(longest, span.start - reached)
            reached = max(reached, span.end)
        return max(longest, end - reached)

    def sick_until(self, start: datetime, end: datetime) -> datetime:
        """Until when it was seen to be down from start on: not longer than samples failed, nor than to the end."""
        failed = [span.end for span in self.within(start, end) if span.failed > 0]
        return max(start, min(end, max(failed, default=start)))


_UNKNOWN = ServiceHistory()


@dataclass(frozen=True, slots=True)
class FaultHistory:
    """The moments of one fault, each None until it has come. `called` is the start of the driver's call."""

    id: str
    target: str
    action: str
    requested: datetime | None = None
    armed: datetime | None = None
    called: datetime | None = None
    called_by: datetime | None = None
    """The latest that the call can have begun, if an injector died in it and `called` is only the earliest."""
    injected: datetime | None = None
    effective: datetime | None = None
    reverted: datetime | None = None
    gone: datetime | None = None
    restored_by: str | None = None
    due: datetime | None = None
    """When its `for` was over, and we had to undo it; None if it lasts to its phase's end."""
    refused: str | None = None
    """Why it was never injected."""
    effect_missed: bool = False
    """No effect was seen in the time in which it should have been, or it ended before it was told to."""
    evidence: dict[str, str] = field(default_factory=dict)
    """The journal's id of each moment."""

    def undone_by(self, instant: datetime) -> bool:
        """Whether it was undone by then."""
        return self.reverted is not None and self.reverted <= instant


@dataclass(frozen=True, slots=True)
class ClaimHistory:
    """What was said of another claim of the run."""

    verdict: Verdict | None = None
    """None while nothing was."""
    reason: Reason | None = None
    measured: Mapping[str, Duration | int | str] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    """The judgement, and what that rests on."""
    rehearsed: bool = False
    """It is about a fault that is not there, so what was said of it means something else."""
    never: bool = False
    """Nothing will be: its window can no longer open."""


@dataclass(frozen=True, slots=True)
class History:
    """What is known when a claim is judged."""

    window: Window
    services: dict[str, ServiceHistory] = field(default_factory=dict)
    faults: dict[str, FaultHistory] = field(default_factory=dict)
    matched: EventMatched | None = None
    """The newest summary of the events that this claim matched."""
    matched_evidence: str | None = None
    probes_until: datetime | None = None
    """Up to when every service's health has been looked at."""
    told_until: datetime | None = None
    """Up to when what probes and workloads have shown is known whole."""
    excused: dict[str, tuple[tuple[datetime, datetime | None], ...]] = field(default_factory=dict)
    """Per service, the spans in which it may be sick because we made it so."""
    phases: Mapping[str, Window] = field(default_factory=dict)
    """When each phase of the scenario was."""
    measured: Measured | None = None
    """What the probe or the workload that the claim names has measured."""
    answers: ServiceHistory = _UNKNOWN
    """What the claim was answered that asks by itself."""
    scrapes: tuple[Scrape, ...] = ()
    """The metrics that were scraped, or asked of a Prometheus, for this claim."""
    roles: Mapping[str, RoleHistory] = field(default_factory=dict)
    """What the members of the group that the claim names have said of their roles."""
    logged: tuple[Logged, ...] = ()
    """What this claim matched of a log."""
    traced: tuple[Traced, ...] = ()
    """What this claim matched of the services' spans."""
    unheard: tuple[StreamGap, ...] = ()
    """When no spans could be received, and why."""
    read: SetRead | None = None
    """What was tried, compared with what is there."""
    read_evidence: str | None = None
    claims: Mapping[str, ClaimHistory] = field(default_factory=dict)
    """What was said of the claims that the claim names."""
    over: bool = False
    """The phases and the recovery are over: what has not begun by now does not come."""
    listed: KeysListed | None = None
    """What was there in the phase that the claim's answers are to be unlike."""
    listed_evidence: str | None = None
    max_gap: timedelta = timedelta(seconds=3)
    stable: timedelta = timedelta()
    steady: bool = False
    """The claim is the steady state's, over the phases: it was also judged before them, so excused time takes nothing from it."""

    @property
    def events_complete(self) -> bool:
        """Whether the observer has read the event streams through the end of this very window."""
        seen = self.matched
        return (
            seen is not None
            and self.window.closes is not None
            and seen.final
            and self._counted_for(seen)
            and seen.closes == self.window.closes
        )

    def surely_within(self, match: Match | None) -> bool:
        """Whether a match that was counted lies in the window, and not before or after it."""
        seen, closes = self.matched, self.window.closes
        if seen is None or not self._counted_for(seen):
            return False
        return seen.closes == closes is not None or (match is not None and (closes is None or match.at < closes))

    def _counted_for(self, seen: EventMatched) -> bool:
        return self.window.opens is not None and seen.opens == self.window.opens

    def service(self, name: str) -> ServiceHistory:
        """What is known of a service: nothing, when it was never heard of."""
        return self.services.get(name, _UNKNOWN)

    def probes_passed(self, instant: datetime) -> bool:
        """Whether health has been looked at through this instant."""
        return self.probes_until is not None and self.probes_until >= instant

    def all_told(self, instant: datetime) -> bool:
        """Whether all that probes and workloads have shown before this instant is known; a journal of an earlier version does not say."""
        return self.probes_passed(instant) and (self.told_until is None or self.told_until >= instant)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says, and what it rests on (ids of journal events)."""

    verdict: Verdict
    message: str
    evidence: tuple[str, ...] = ()
    reason: Reason | None = None
    measured: dict[str, Duration | int | str] = field(default_factory=dict)


def passed(message: str, *evidence: str, **measured: Duration | int | str) -> Judgement:
    """The claim holds; without evidence it is inconclusive all the same."""
    if not any(evidence):
        return inconclusive(Reason.NO_SAMPLES, f"{message}, but nothing was recorded that shows it")
    return Judgement(Verdict.PASSED, message, _named(evidence), None, measured)


def failed(message: str, *evidence: str, **measured: Duration | int | str) -> Judgement:
    """The claim does not hold."""
    return Judgement(Verdict.FAILED, message, _named(evidence), Reason.CLAIM_FAILED, measured)


def inconclusive(reason: Reason, message: str, *evidence: str, **measured: Duration | int | str) -> Judgement:
    """Nobody can say."""
    return Judgement(Verdict.INCONCLUSIVE, message, _named(evidence), reason, measured)


def _named(evidence: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(e for e in evidence if e))


Moment = Literal["requested", "injected", "effective", "reverted", "gone"]
MOMENTS: tuple[Moment, ...] = ("requested", "injected", "effective", "reverted", "gone")
