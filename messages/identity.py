"""Which process it is."""

from messages.values import Message


class Identity(Message):
    """Which process it is: a pid is used again, a pid with its start time is not."""

    pid: int
    started: int
    """Clock ticks since boot at which it started (proc(5), field 22)."""
    boot: str
    """The id of the boot, so that ticks compare."""

    def __str__(self) -> str:
        return f"pid {self.pid} (started {self.started})"
