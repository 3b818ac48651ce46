"""What people ask of a run, as lines of its journal. The subject says who may have said it; the partition's owner acts on it."""

from messages.events import RunEvent
from messages.values import Token


class ControlRequested(RunEvent):
    """Someone asked for something; the subject says who may have said it, the partition's owner acts on it."""

    ACTORS = ("control",)

    principal: str


class SubmitRequested(ControlRequested):
    """A principal submitted a scenario. Emitted by whoever answers the request, before the scenario is published."""

    EVENT = "run.submit.requested.v1"


class AbortRequested(ControlRequested):
    """A principal asked to end the run and undo its faults. Emitted by whoever answers the request."""

    EVENT = "run.abort.requested.v1"

    message: str = ""


class NotedRequest(ControlRequested):
    """What may be asked of a run again and again."""

    note: str = ""
    number: int = 1
    """One that no other request of the run has."""

    @property
    def ordinal(self) -> int:
        return self.number


class PauseRequested(NotedRequest):
    """A principal asked the run to stand still, its faults undone. Emitted by whoever answers the request."""

    EVENT = "run.pause.requested.v1"


class ResumeRequested(NotedRequest):
    """A principal asked a paused run to go on. Emitted by whoever answers the request."""

    EVENT = "run.resume.requested.v1"


class ReleaseRequested(NotedRequest):
    """A principal is about to lift the hold that this run stands still for. Emitted by whoever answers the request."""

    EVENT = "run.release.requested.v1"


class ApproveRequested(NotedRequest):
    """A principal said yes to the gate of a phase. Emitted by whoever answers the request."""

    EVENT = "run.approve.requested.v1"

    phase: Token


class RejectRequested(NotedRequest):
    """A principal said no to the gate of a phase. Emitted by whoever answers the request."""

    EVENT = "run.reject.requested.v1"

    phase: Token


class ResolveRequested(NotedRequest):
    """A principal has put right what an unsafe run left, and says how. Comes after the end. Emitted by whoever answers the request."""

    EVENT = "run.resolve.requested.v1"

    fault: Token | None = None
    """Which of what is left; None: all of it."""
