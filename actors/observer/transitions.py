"""When a service's health changed, found in its ticks. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from targets.ticks import Tick


@dataclass(frozen=True, slots=True)
class Change:
    """A service's health became another, or is seen for the first time."""

    up: bool
    at: float
    """Monotonic seconds: the end of the first good sample, or the intended start of the first bad one."""
    since: timedelta | None
    """From the intended start of the sample before it, if there was one."""
    took: timedelta
    check: str
    error: str
    asked: bool = True
    """False: nothing could be asked, which says nothing of the service; a change to and from that is one."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """For longer than is allowed no sample was sent, from the first tick that was missed; monotonic seconds."""

    start: float
    end: float


class Transitions:
    """Judges ticks in the order of their intended starts. A tick that was not sent says nothing of the service."""

    def __init__(self, every: timedelta, max_gap: timedelta) -> None:
        self._every = every.total_seconds()
        self._max_gap = max_gap.total_seconds()
        self._up: bool | None = None
        self._asked = True
        self._sent: float | None = None
        self._changed = 0.0

    def see(self, tick: Tick) -> Change | None:
        """The change that this tick shows, if any."""
        if tick.missed:
            return None
        before, self._sent = self._sent, tick.intended
        if (tick.ok, tick.asked) == (self._up, self._asked):
            return None
        self._up, self._asked = tick.ok, tick.asked
        took = tick.took.total_seconds()
        # A slow good sample may end after the intended start of a bad one behind it: the changes stay in order.
        self._changed = max(self._changed, tick.intended + (took if tick.ok else 0.0))
        since = None if before is None else timedelta(seconds=tick.intended - before)
        return Change(tick.ok, self._changed, since, tick.took, tick.check or "process", tick.error, tick.asked)

    def unsent(self, tick: Tick) -> Unsent | None:
        """The stretch without samples that this tick ends, if it was too long. To be asked before `see`."""
        if tick.missed or self._sent is None or tick.intended - self._sent - self._every <= self._max_gap:
            return None
        return Unsent(self._sent + self._every, tick.intended)
