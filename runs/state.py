"""A run's state: what the scheduler decides by, and what everybody else asks about."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from messages.correlations import AuditCorrelated
from messages.events import Recorded, RunEvent
from messages.fault_events import (
    ActionDone,
    ActionFailed,
    ActionOutcome,
    ActionRefused,
    OwnerChanged,
    ServiceAdopted,
    ServiceStarted,
    ServiceStopped,
)
from messages.identity import Identity
from messages.judgements import AssertionJudged, ReportPublished
from messages.link_events import LinksLost, LinksOpened
from messages.observations import RoleSeen, ServiceDown, ServiceUp
from messages.run_events import (
    AbortRequested,
    ActionExpired,
    AssertionExpired,
    AssertionOpened,
    PhaseFinished,
    PhaseStarted,
    RunAborting,
    RunAccepted,
    RunFinished,
    RunStarted,
    RunWaiting,
    ServicesReleaseRequested,
    ServicesRequested,
    SubmitRequested,
)
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Reason
from runs.assertions import AssertionState, Mode
from runs.faults import Actions
from runs.pauses import Pauses
from runs.rehearsals import role_of
from runs.standing import Standing
from runs.workloads import Workloads


@dataclass
class StageState:
    """A phase, or settle, finally, recover."""

    name: str
    kind: str
    started: datetime
    finished: datetime | None = None
    cut: bool = False


@dataclass
class ServiceState:
    """A service that this run has started or stopped."""

    identity: Identity | None = None
    starts: int = 0
    running: bool = False
    output: str = ""
    """The file that holds what it writes; the same through all its starts."""


@dataclass
class RequestState:
    """The request for the services, or for their release."""

    requested: datetime
    outcome: Literal["done", "refused", "failed", "expired"] | None = None
    reason: Reason | None = None
    message: str = ""
    evidence: str = ""


class RunState:
    """A fold of one run's journal."""

    def __init__(self, run: str) -> None:
        self.id = run
        self.accepted: RunAccepted | None = None
        self.accepted_at: datetime | None = None
        self.accepted_sequence = 0
        self.principal = "unverified"
        self.waiting: RunWaiting | None = None
        self.started: datetime | None = None
        self.requests: dict[str, RequestState] = {}
        self.services: dict[str, ServiceState] = {}
        self.links: LinksOpened | None = None
        self.links_lost: Recorded[LinksLost] | None = None
        self.up: dict[str, bool] = {}
        """Whether each service is healthy, as far as the observer has said."""
        self.workloads = Workloads()
        self.roles: dict[str, str] = {}
        """The role of each service that has one, as far as the observer has said."""
        self.stages: dict[str, StageState] = {}
        self.actions = Actions()
        self.standing = Standing()
        self.assertions: dict[str, AssertionState] = {}
        self.abort_requested: tuple[str, str] | None = None
        self.aborting: RunAborting | None = None
        self.aborting_at: datetime | None = None
        self.finished: RunFinished | None = None
        self.finished_at: datetime | None = None
        self.published: ReportPublished | None = None
        self.audited = False
        """The audit trail was read to its end, and what it says of the faults is told."""
        self.injectors: list[datetime] = []
        """When another injector took the run over."""
        self.sequence = 0
        self.last_at: datetime | None = None

    @property
    def scenario(self) -> Scenario:
        """The scenario, resolved. Only of an accepted run."""
        return self._accepted().scenario

    @property
    def system(self) -> System:
        """The system, resolved. Only of an accepted run."""
        return self._accepted().system

    def _accepted(self) -> RunAccepted:
        if self.accepted is None:
            msg = f"run {self.id} has no run.accepted"
            raise LookupError(msg)
        return self.accepted

    @property
    def rehearsal(self) -> bool:
        """Whether nothing is disturbed in it."""
        return self.accepted is not None and self.accepted.rehearsal

    @property
    def pauses(self) -> Pauses:
        """Its clock, which every span of the run is measured by."""
        return self.standing.pauses

    @property
    def times_out(self) -> datetime | None:
        """When its timeout has passed; None while nobody can know."""
        return self.pauses.later(self.started, self.scenario.timeout) if self.started is not None else None

    @property
    def left(self) -> tuple[str, ...]:
        """What could not be undone and nobody has put right since: faults, and `services` for processes that may still run."""
        left = (*self.actions.left, *(("services",) if self.services_left is not None else ()))
        return tuple(what for what in left if not self.standing.is_resolved(what))

    @property
    def services_left(self) -> RequestState | None:
        """The release after which processes of the run may still be there."""
        release = self.requests.get("release")
        failed = release is not None and release.outcome in {"failed", "expired"}
        return release if failed and (self.services or self.workloads or self.links) else None

    @property
    def stage(self) -> StageState | None:
        """The stage that is on."""
        return next((s for s in reversed(self.stages.values()) if s.finished is None), None)

    @property
    def stopped_by(self) -> AssertionState | None:
        """The first failed claim that lets no further fault happen."""
        failed = (a for a in self.assertions.values() if a.failed and a.mode != "recover")
        return min((a for a in failed if a.claim.on_fail != "continue"), key=lambda a: a.judged_at or a.opened, default=None)

    @property
    def first_phase_started(self) -> datetime | None:
        """When the first phase of the scenario began."""
        return next((s.started for s in self.stages.values() if s.kind == "phase"), None)

    def stage_name(self) -> str:
        """Where the run is, in a word."""
        if self.finished is not None:
            return "finished"
        if self.started is None:
            return "waiting"
        if self.aborting is None and (self.standing.paused is not None or self.standing.gate is not None):
            return "paused" if self.standing.paused is not None else "gate"
        if self.stage is not None:
            return self.stage.name
        return "stopping" if "release" in self.requests else "starting" if not self.stages else "judging"

    def waits_for(self) -> str:
        """Why it does not go on, in words; empty when it does."""
        if self.finished is not None:
            return ""
        if self.started is None and self.waiting is not None:
            return self.waiting.why
        return self.standing.words()

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event. After `run.finished` only what clears a fault or says that it is cleared, and the report."""
        event = recorded.event
        self.sequence, self.last_at = recorded.sequence, recorded.at
        if isinstance(event, ReportPublished):
            self.published = event
        self.actions.apply(recorded)
        if self.finished is not None:
            self.standing.note(recorded)
            return
        self.standing.apply(recorded)
        self._apply_run(recorded)
        self._apply_services(recorded)
        self.workloads.apply(recorded)
        self._apply_assertions(recorded)

    def _apply_run(self, recorded: Recorded[RunEvent]) -> None:
        event, at = recorded.event, recorded.at
        match event:
            case RunAccepted():
                self.accepted, self.accepted_at, self.accepted_sequence = event, at, recorded.sequence
                self.actions.longest = event.system.spec.limits.longest
            case OwnerChanged() if recorded.actor == "chaos-injector":
                self.injectors.append(at)
            case RunWaiting():
                self.waiting = event
            case RunStarted():
                self.started = at
            case PhaseStarted():
                self.stages[event.phase] = StageState(event.phase, event.kind, at)
            case PhaseFinished() if event.phase in self.stages:
                self.stages[event.phase].finished, self.stages[event.phase].cut = at, event.cut
            case AbortRequested():
                self.abort_requested = self.abort_requested or (event.principal, event.message)
            case SubmitRequested():
                self.principal = event.principal
            case RunAborting():
                self.aborting, self.aborting_at = event, at
            case RunFinished():
                self.finished, self.finished_at = event, at

    def _apply_services(self, recorded: Recorded[RunEvent]) -> None:
        event, at = recorded.event, recorded.at
        match event:
            case ServicesRequested() | ServicesReleaseRequested():
                self.requests.setdefault(event.entity, RequestState(at))
            case ActionOutcome() | ActionExpired() if recorded.entity in self.requests:
                _answer(self.requests[recorded.entity], event, recorded.evidence)
            case ServiceStarted() | ServiceAdopted():
                output = event.output or self.services.get(event.service, ServiceState()).output
                self.services[event.service] = ServiceState(event.identity, event.number, running=True, output=output)
            case ServiceStopped() if event.service in self.services:
                self.services[event.service].running = False
            case LinksOpened():
                self.links = event
            case LinksLost():
                self.links_lost = self.links_lost or cast("Recorded[LinksLost]", recorded)
            case ServiceUp() | ServiceDown():
                self.up[event.service] = isinstance(event, ServiceUp)
            case RoleSeen():
                self.roles[event.service] = event.role
            case AuditCorrelated():
                self.audited = event.final

    def _apply_assertions(self, recorded: Recorded[RunEvent]) -> None:
        event = recorded.event
        if isinstance(event, AssertionOpened):
            opened = AssertionState(event.assertion, event.claim, event.mode, event.phase, event.opens)
            if self.rehearsal and event.mode == "claim":
                opened.role = role_of(self.scenario, event.claim, event.phase)
            self.assertions.setdefault(event.assertion, opened)
        elif isinstance(event, AssertionJudged | AssertionExpired) and event.assertion in self.assertions:
            self.assertions[event.assertion].judge(recorded)


def _answer(request: RequestState, event: RunEvent, evidence: str) -> None:
    if request.outcome is not None:
        return
    request.evidence = evidence
    match event:
        case ActionDone():
            request.outcome, request.message = "done", event.message
        case ActionRefused():
            request.outcome, request.reason, request.message = "refused", event.reason, event.message
        case ActionFailed():
            request.outcome, request.reason, request.message = "failed", event.reason, event.message
        case ActionExpired():
            request.outcome, request.reason, request.message = "expired", event.reason, event.message


__all__ = ["AssertionState", "Mode", "RequestState", "RunState", "ServiceState", "StageState"]
