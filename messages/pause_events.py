"""When a run stands still: it was paused, it is held, or a phase waits at its gate."""

from typing import Literal

from messages.events import RunEvent
from messages.values import Instant, Token

SCHEDULER = ("scheduler",)


class RunPausing(RunEvent):
    """The run stands still from here: its clocks stop, its faults are undone, nothing new is done. Emitted by the scheduler."""

    EVENT = "run.pausing.v1"
    ACTORS = SCHEDULER

    by: str
    """The principal."""
    why: Literal["pause", "hold"]
    """`hold`: every run of the namespace stands still."""
    note: str = ""
    number: int = 1

    @property
    def ordinal(self) -> int:
        return self.number


class RunResumed(RunEvent):
    """The run goes on, and its clocks with it. Emitted by the scheduler."""

    EVENT = "run.resumed.v1"
    ACTORS = SCHEDULER

    by: str
    """The principal who resumed it or lifted the hold; `release` when nobody knows who did."""
    number: int = 1

    @property
    def ordinal(self) -> int:
        return self.number


class GateOpened(RunEvent):
    """A phase waits until somebody says that it may start; the run's clocks stand still. Emitted by the scheduler."""

    EVENT = "gate.opened.v1"
    ACTORS = SCHEDULER

    phase: Token
    ask: str
    approve: tuple[Token, ...] = ()
    """Who may answer; empty: anybody."""
    until: Instant
    """When it closes by itself."""

    @property
    def entity(self) -> str:
        return self.phase


class GateClosed(RunEvent):
    """A gate waits no longer. Emitted by the scheduler."""

    EVENT = "gate.closed.v1"
    ACTORS = SCHEDULER

    phase: Token
    outcome: Literal["approved", "rejected", "expired", "dropped"]
    """`dropped`: the run stopped for another reason before anybody answered."""
    by: str
    """The principal; `gate` when nobody answered in time; else what stopped the run."""
    note: str = ""

    @property
    def entity(self) -> str:
        return self.phase
