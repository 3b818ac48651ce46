"""A run's state: what the scheduler decides by, and what everybody else asks about."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, cast

from messages.claims import Claim
from messages.events import Recorded, RunEvent
from messages.fault_events import (
    ActionDone,
    ActionFailed,
    ActionOutcome,
    ActionRefused,
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
    ControlRequested,
    PhaseFinished,
    PhaseStarted,
    RunAborting,
    RunAccepted,
    RunFinished,
    RunStarted,
    RunWaiting,
    ServicesReleaseRequested,
    ServicesRequested,
)
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Reason, Verdict
from runs.faults import Actions
from runs.workloads import Workloads

Mode = Literal["claim", "settle", "steady", "recover"]


@dataclass
class StageState:
    """A phase, or settle, finally, recover."""

    name: str
    kind: str
    started: datetime
    finished: datetime | None = None
    cut: bool = False


@dataclass
class AssertionState:
    """A claim's window that was opened, and what was said of it."""

    id: str
    claim: Claim
    mode: Mode
    phase: str | None
    opened: datetime
    verdict: Verdict | None = None
    reason: Reason | None = None
    message: str = ""
    evidence: tuple[str, ...] = ()
    measured: dict[str, timedelta | int | str] = field(default_factory=dict)
    judged_at: datetime | None = None
    judged_by: str = ""
    """The id of the event that said it."""


@dataclass
class ServiceState:
    """A service that this run has started or stopped."""

    identity: Identity | None = None
    starts: int = 0
    running: bool = False


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
        self.assertions: dict[str, AssertionState] = {}
        self.abort_requested: tuple[str, str] | None = None
        self.aborting: RunAborting | None = None
        self.aborting_at: datetime | None = None
        self.finished: RunFinished | None = None
        self.finished_at: datetime | None = None
        self.published: ReportPublished | None = None
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
    def stage(self) -> StageState | None:
        """The stage that is on."""
        return next((s for s in reversed(self.stages.values()) if s.finished is None), None)

    @property
    def stopped_by(self) -> AssertionState | None:
        """The first failed claim that lets no further fault happen."""
        failed = (a for a in self.assertions.values() if a.verdict is Verdict.FAILED and a.mode != "recover")
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
        if self.stage is not None:
            return self.stage.name
        return "stopping" if "release" in self.requests else "starting" if not self.stages else "judging"

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event. After `run.finished` only what clears a fault, and the report."""
        event = recorded.event
        self.sequence, self.last_at = recorded.sequence, recorded.at
        if isinstance(event, ReportPublished):
            self.published = event
        self.actions.apply(recorded)
        if self.finished is not None:
            return
        self._apply_run(recorded)
        self._apply_services(recorded)
        self.workloads.apply(recorded)
        self._apply_assertions(recorded)

    def _apply_run(self, recorded: Recorded[RunEvent]) -> None:
        event, at = recorded.event, recorded.at
        match event:
            case RunAccepted():
                self.accepted, self.accepted_at, self.accepted_sequence = event, at, recorded.sequence
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
            case ControlRequested():
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
                self.services[event.service] = ServiceState(event.identity, event.number, running=True)
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

    def _apply_assertions(self, recorded: Recorded[RunEvent]) -> None:
        event = recorded.event
        if isinstance(event, AssertionOpened):
            opened = AssertionState(event.assertion, event.claim, event.mode, event.phase, event.opens)
            self.assertions.setdefault(event.assertion, opened)
        elif isinstance(event, AssertionJudged | AssertionExpired):
            state = self.assertions.get(event.assertion)
            if state is not None and state.verdict is None:
                state.verdict = event.verdict if isinstance(event, AssertionJudged) else Verdict.INCONCLUSIVE
                state.reason, state.message = event.reason, event.message
                state.judged_at, state.judged_by = recorded.at, recorded.evidence
                if isinstance(event, AssertionJudged):
                    state.evidence, state.measured = event.evidence, dict(event.measured)


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
