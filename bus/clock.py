"""The server's clock, as far as this process can tell."""

import time
from datetime import UTC, datetime, timedelta


class ServerClock:
    """Now, as the server would stamp it: set from its answers, and moved up by any message that proves it late."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self.error_bound = timedelta(seconds=1)
        """How far it may be off."""

    def set(self, told: datetime, asked: float, answered: float) -> None:
        """The server said what time it was, between two readings of this process's monotonic clock."""
        self._offset = told.timestamp() - (asked + answered) / 2
        self.error_bound = timedelta(seconds=(answered - asked) / 2)

    def observe(self, stored: datetime) -> None:
        """A message stored at this instant has arrived, so the server's clock is past it."""
        at_least = stored.timestamp() - time.monotonic()
        if self._offset is not None and at_least > self._offset:
            self._offset = at_least

    def now(self) -> datetime:
        """The server's time."""
        return self.at(time.monotonic())

    def at(self, local: float) -> datetime:
        """The server's time at a reading of this process's monotonic clock."""
        if self._offset is None:
            msg = "the server's clock was not asked yet"
            raise RuntimeError(msg)
        return datetime.fromtimestamp(self._offset + local, UTC)

    def local(self, instant: datetime) -> float:
        """The reading of this process's monotonic clock at an instant of the server's."""
        return time.monotonic() + (instant - self.now()).total_seconds()
