"""What the scheduler decides in a run, and what people ask of it."""

from datetime import timedelta
from typing import Literal

from messages.claims import AnyClaim
from messages.control_events import (
    AbortRequested,
    ApproveRequested,
    ControlRequested,
    PauseRequested,
    RejectRequested,
    ReleaseRequested,
    ResolveRequested,
    ResumeRequested,
    SubmitRequested,
)
from messages.events import RunEvent
from messages.pause_events import GateClosed, GateOpened, RunPausing, RunResumed
from messages.scenario import Action, Scenario
from messages.system import System
from messages.values import Instant, Token
from messages.verdicts import Reason, Verdict

SCHEDULER = ("scheduler",)


class RunAccepted(RunEvent):
    """A scenario was found valid and became a run. Carries both documents fully resolved, secrets excepted. Emitted by the scheduler."""

    EVENT = "run.accepted.v1"
    ACTORS = SCHEDULER

    key: Token
    scenario: Scenario
    system: System
    submitted: Instant
    """The stored time of the scenario's message."""
    rehearsal: bool = False
    """All is done but the faults: a control of what the scenario claims."""


class RunWaiting(RunEvent):
    """The run cannot start: another has its system, its group is full, or runs are held. Emitted by the scheduler at each new reason."""

    EVENT = "run.waiting.v1"
    ACTORS = SCHEDULER

    behind: str
    """The run that it waits for; empty when it is no single one."""
    why: str
    number: int = 0
    """How often it waited for something else before."""

    @property
    def ordinal(self) -> int:
        return self.number


class RunStarted(RunEvent):
    """The run has its system; its timeout counts from here. Emitted by the scheduler."""

    EVENT = "run.started.v1"
    ACTORS = SCHEDULER


class ServicesRequested(RunEvent):
    """The services are to be brought up, those of one level together. Emitted by the scheduler."""

    EVENT = "services.requested.v1"
    ACTORS = SCHEDULER

    levels: tuple[tuple[Token, ...], ...]
    reach: Token = "local"

    @property
    def entity(self) -> str:
        return "services"

    @property
    def route(self) -> str:
        return self.reach


class ServicesReleaseRequested(RunEvent):
    """The services that this run started are to be stopped, in reverse. Emitted by the scheduler."""

    EVENT = "services.release.requested.v1"
    ACTORS = SCHEDULER

    reach: Token = "local"

    @property
    def entity(self) -> str:
        return "release"

    @property
    def route(self) -> str:
        return self.reach


class PhaseStarted(RunEvent):
    """A stage of the run began: a phase of the scenario, or settle, finally, recover. Emitted by the scheduler."""

    EVENT = "phase.started.v1"
    ACTORS = SCHEDULER

    phase: Token
    kind: Literal["settle", "phase", "finally", "recover"]
    bound: timedelta | None = None
    """How long it holds, or may last; None: until its last action is done."""

    @property
    def entity(self) -> str:
        return self.phase


class PhaseFinished(RunEvent):
    """A stage of the run ended; the windows of its claims end here. Emitted by the scheduler."""

    EVENT = "phase.finished.v1"
    ACTORS = SCHEDULER

    phase: Token
    kind: Literal["settle", "phase", "finally", "recover"]
    cut: bool = False
    """It ended before its time."""

    @property
    def entity(self) -> str:
        return self.phase


class ActionRequested(RunEvent):
    """An action on one target is to be done now. Emitted by the scheduler."""

    EVENT = "action.requested.v1"
    ACTORS = SCHEDULER

    fault_id: Token
    """Also the id of an action that is no fault."""
    phase: Token
    target: Token
    action: Action
    reach: Token = "local"

    @property
    def entity(self) -> str:
        return self.fault_id

    @property
    def route(self) -> str:
        return self.reach


class TargetResolved(RunEvent):
    """The targets of an action were chosen as it started. Emitted by the scheduler before the action is requested on each."""

    EVENT = "target.resolved.v1"
    ACTORS = SCHEDULER

    action_id: Token
    candidates: tuple[Token, ...]
    """Those that there were, in the order of the document: without what the system's limits protect."""
    values: dict[Token, str] = {}
    """What was known of each candidate that `where` asked about, such as its role."""
    seed: str
    """What the choice was drawn with: the same seed and candidates give the same choice."""
    chosen: tuple[Token, ...]
    """Empty: no service fitted, and nothing is done."""
    protected: tuple[Token, ...] = ()
    """Services that would have fitted and are protected, so they were no candidates."""

    @property
    def entity(self) -> str:
        return self.action_id


class UndoRequested(RunEvent):
    """A fault is to be undone now: its time has passed, its phase ends, or the run stops or is paused. Emitted by the scheduler."""

    EVENT = "undo.requested.v1"
    ACTORS = SCHEDULER

    fault_id: Token
    why: Literal["for", "phase", "stop", "abort", "pause"]
    reach: Token = "local"

    @property
    def entity(self) -> str:
        return self.fault_id

    @property
    def route(self) -> str:
        return self.reach


class ActionExpired(RunEvent):
    """Nobody that can reach the target took the action, or its undo, in time. Emitted by the scheduler."""

    EVENT = "action.expired.v1"
    ACTORS = SCHEDULER

    fault_id: Token
    reason: Reason
    message: str

    @property
    def entity(self) -> str:
        return self.fault_id

    @property
    def ordinal(self) -> int:
        return 1 if self.reason is Reason.REVERT_FAILED else 0


class AssertionOpened(RunEvent):
    """A claim's window opened. The steady state has one each for settle, the phases and recover. Emitted by the scheduler."""

    EVENT = "assertion.opened.v1"
    ACTORS = SCHEDULER

    assertion: Token
    claim: AnyClaim
    mode: Literal["claim", "settle", "steady", "recover"] = "claim"
    phase: Token | None = None
    opens: Instant

    @property
    def entity(self) -> str:
        return self.assertion


class AssertionExpired(RunEvent):
    """Nobody judged the claim in time: it is inconclusive. Emitted by the scheduler."""

    EVENT = "assertion.expired.v1"
    ACTORS = SCHEDULER

    assertion: Token
    reason: Reason
    message: str

    @property
    def entity(self) -> str:
        return self.assertion


class RunAborting(RunEvent):
    """The run ends now: a person, a signal, its timeout, or a claim with `on_fail: abort`. Emitted by the scheduler."""

    EVENT = "run.aborting.v1"
    ACTORS = SCHEDULER

    reason: Reason
    by: str
    """The principal, or `timeout`, or the assertion."""
    message: str


class RunFinished(RunEvent):
    """The journal ends here. What comes later changes no verdict. Emitted by the scheduler."""

    EVENT = "run.finished.v1"
    ACTORS = SCHEDULER

    verdict: Verdict
    reason: Reason | None
    message: str
    """Why, in a sentence."""
    cause: str | None
    """The id of the event that decided it."""
    hint: str | None
    position: int
    """The journal's last sequence when it was decided."""


__all__ = [  # beside its own: what belongs to a run as well
    "AbortRequested",
    "ApproveRequested",
    "ControlRequested",
    "GateClosed",
    "GateOpened",
    "PauseRequested",
    "RejectRequested",
    "ReleaseRequested",
    "ResolveRequested",
    "ResumeRequested",
    "RunPausing",
    "RunResumed",
    "SubmitRequested",
]
