"""What stands in the journal of a rehearsal in place of its faults: nobody is asked for them, and nothing is disturbed."""

from typing import Literal

from messages.events import RunEvent
from messages.scenario import Action
from messages.values import Token


class FaultRehearsed(RunEvent):
    """A fault would have been requested now; nobody is asked, and its windows open. Emitted by the scheduler in a rehearsal."""

    EVENT = "fault.rehearsed.v1"
    ACTORS = ("scheduler",)

    fault_id: Token
    phase: Token
    target: Token
    action: Action

    @property
    def entity(self) -> str:
        return self.fault_id


class FaultRehearsalEnded(RunEvent):
    """A rehearsed fault would have been undone now, so its windows close. Emitted by the scheduler in a rehearsal."""

    EVENT = "fault.rehearsal.ended.v1"
    ACTORS = ("scheduler",)

    fault_id: Token
    why: Literal["for", "phase", "stop", "abort", "pause"]

    @property
    def entity(self) -> str:
        return self.fault_id
