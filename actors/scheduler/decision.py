"""What is decided at one look at a run, and what that rests on."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from actors.scheduler.pausing import reached
from messages.events import RunEvent
from messages.run_events import ActionRequested
from runs.state import RunState

LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass
class Decision:
    """Events to store, and when to look again."""

    events: list[RunEvent] = field(default_factory=list)
    wakes: list[datetime] = field(default_factory=list)
    wants_system: bool = False
    """The run must have its system before it can go on."""
    late: bool = False
    """It rests on that somebody did not answer in time."""
    back: datetime = LONG_AGO
    """Since when the bus is there without a break: before that nobody could answer."""

    @property
    def wake(self) -> datetime | None:
        """When to look again if nothing else happens."""
        return min(self.wakes, default=None)

    @property
    def disturbs(self) -> bool:
        """Whether something is asked for that a hold keeps from happening."""
        return any(isinstance(event, ActionRequested) for event in self.events)

    def asked(self, at: datetime) -> datetime:
        """When the time began in which others can answer what was asked at this instant."""
        return max(at, self.back)

    def had_time(self, state: RunState, since: datetime, span: timedelta, now: datetime) -> bool:
        """Whether others had this much of the run's clock; if not, when to look again is noted."""
        late = reached(state, self.asked(since), span, now, self.wakes)
        self.late = self.late or late
        return late
