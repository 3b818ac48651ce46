"""A fault's life and the services' lives, as the chaos-injector records them."""

from datetime import timedelta
from typing import ClassVar, Literal

from messages.events import RunEvent
from messages.identity import Identity
from messages.undo import AnyUndo
from messages.values import Instant, Token
from messages.verdicts import Reason

INJECTOR = ("chaos-injector",)


class ServiceEvent(RunEvent):
    """Something the injector did to a service as a whole."""

    ACTORS = INJECTOR

    service: Token
    number: int
    """Counts the starts of this service in this run, from 1."""

    @property
    def entity(self) -> str:
        return self.service

    @property
    def ordinal(self) -> int:
        return self.number


class ServiceStarted(ServiceEvent):
    """A service's process was started by this run; it need not be healthy yet. Emitted by the chaos-injector."""

    EVENT = "service.started.v1"

    identity: Identity
    output: str = ""
    """The file to which what it writes is appended, on the injector's machine; empty where that is not kept."""


class ServiceAdopted(ServiceEvent):
    """A service that this run started before is still there and was taken over. Emitted by the chaos-injector."""

    EVENT = "service.adopted.v1"

    identity: Identity
    output: str = ""


class ServiceStopped(ServiceEvent):
    """A service that this run started was stopped at the run's end. Emitted by the chaos-injector."""

    EVENT = "service.stopped.v1"

    killed: bool
    """It outlived its stop grace and was killed."""
    took: timedelta


class WorkloadStarted(RunEvent):
    """A workload's process was started by this run. Emitted by the chaos-injector."""

    EVENT = "workload.started.v1"
    ACTORS = INJECTOR

    workload: Token
    number: int
    """Counts the starts of this workload in this run, from 1."""
    identity: Identity
    output: str
    """The file that holds its standard output: one operation a line."""
    errors: str = ""
    """The file to which its standard error is appended; empty where that is not kept."""

    @property
    def entity(self) -> str:
        return self.workload

    @property
    def ordinal(self) -> int:
        return self.number


class WorkloadDied(RunEvent):
    """A workload's process ended before it was told to. Emitted by the chaos-injector."""

    EVENT = "workload.died.v1"
    ACTORS = INJECTOR

    workload: Token
    number: int
    code: int | None
    """Its exit code (negative: the signal), where that is known."""
    message: str
    """What it said last."""

    @property
    def entity(self) -> str:
        return self.workload

    @property
    def ordinal(self) -> int:
        return self.number


class WorkloadStopped(RunEvent):
    """A workload was stopped at the run's end, before the services. Emitted by the chaos-injector."""

    EVENT = "workload.stopped.v1"
    ACTORS = INJECTOR

    workload: Token
    number: int
    killed: bool

    @property
    def entity(self) -> str:
        return self.workload

    @property
    def ordinal(self) -> int:
        return self.number


class FaultEvent(RunEvent):
    """A moment of a fault."""

    ACTORS = INJECTOR

    fault_id: Token

    @property
    def entity(self) -> str:
        return self.fault_id


class FaultArmed(FaultEvent):
    """The undo at `until` is durable, whoever is alive then. Emitted by the chaos-injector before the target is touched."""

    EVENT = "fault.armed.v1"

    target: Token
    action: str
    until: Instant
    undo: AnyUndo
    before: Identity | None = None
    """The target as it was, if it is a process."""


class FaultInjected(FaultEvent):
    """The driver confirmed the disturbance. The call began at stored time less `ago` less `took`. Emitted by the chaos-injector."""

    EVENT = "fault.injected.v1"

    took: timedelta
    """From the driver's call to its confirmation; nothing if an injector that took over found it injected."""
    ago: timedelta
    """From the confirmation to publishing."""
    resumed: bool = False
    """Another injector had armed it, and perhaps called the driver: the first call began between `fault.armed` and this one."""


class FaultEffective(FaultEvent):
    """A probe that is independent of the driver saw the effect. Emitted by the chaos-injector."""

    EVENT = "fault.effective.v1"

    how: str
    """What was seen, such as `health ran out of time`, `port refuses`, `new process`."""
    ago: timedelta


class FaultUnseen(FaultEvent):
    """No effect was seen in the time in which it had to be: claims about the fault are inconclusive. Emitted by the chaos-injector."""

    EVENT = "fault.unseen.v1"

    within: timedelta


class FaultReverted(FaultEvent):
    """The driver carried out the undo. The service need not be healthy yet. Emitted by the chaos-injector."""

    EVENT = "fault.reverted.v1"

    took: timedelta
    ago: timedelta
    by: Literal["request", "lease", "itself"]
    """On request, because the lease ran out, or by itself: the action does that, or somebody else ended it."""
    found_undone: bool = False
    """The target had come back before the undo: nothing was left to do."""


class FaultRevertFailed(FaultEvent):
    """The undo failed and was given up: the verdict is unsafe until someone resolves it. Emitted by the chaos-injector."""

    EVENT = "fault.revert_failed.v1"

    message: str
    attempts: int


class FaultGone(FaultEvent):
    """An independent probe saw normal again. Emitted by the chaos-injector."""

    EVENT = "fault.gone.v1"

    restored_by: Literal["itself", "undo", "operator"]
    identity: Identity | None = None
    """The target as it is now."""
    ago: timedelta


class ActionOutcome(RunEvent):
    """What came of an action or of a request for services; `action_id` is the fault's id, `services` or `release`."""

    ACTORS = INJECTOR

    action_id: Token

    @property
    def entity(self) -> str:
        return self.action_id


class ActionDone(ActionOutcome):
    """It was done (for services: all are up and healthy; for release: all that were ours are down). Emitted by the chaos-injector."""

    EVENT = "action.done.v1"

    message: str = ""


class ActionRefused(ActionOutcome):
    """It was not tried, and this is why. Emitted by the chaos-injector."""

    EVENT = "action.refused.v1"

    reason: Reason
    message: str


class ActionFailed(ActionOutcome):
    """It was tried and did not work. Emitted by the chaos-injector."""

    EVENT = "action.failed.v1"

    reason: Reason
    message: str


class HandlerFailed(RunEvent):
    """A dead letter: a handler failed on an event for good. Any actor may emit it."""

    EVENT = "handler.failed.v1"
    ACTORS: ClassVar[tuple[str, ...]] = ("scheduler", "chaos-injector", "observer", "validator", "reporter")

    handler: str
    cause: str
    """The id of the event on which it failed."""
    sequence: int
    error: str

    @property
    def entity(self) -> str:
        return "dead-letter"

    @property
    def ordinal(self) -> int:
        return self.sequence


class OwnerChanged(RunEvent):
    """A host took a run over, for one actor, from another that can write nothing more. Any actor may emit it."""

    EVENT = "owner.changed.v1"
    ACTORS: ClassVar[tuple[str, ...]] = HandlerFailed.ACTORS

    host: str
    instance: str
    sequence: int
    """The newest line of the run that the host knew."""

    @property
    def entity(self) -> str:
        return "owner"

    @property
    def ordinal(self) -> int:
        return self.sequence
