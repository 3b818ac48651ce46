"""A run's own clock: it stands still while the run does. Pure."""

from datetime import datetime, timedelta


class Pauses:
    """The spans in which a run stood still, in order and apart from each other."""

    def __init__(self) -> None:
        self._spans: list[tuple[datetime, datetime | None]] = []
        self._causes: set[str] = set()

    @property
    def spans(self) -> tuple[tuple[datetime, datetime | None], ...]:
        """From when until when; the last one has no end while the run stands still."""
        return tuple(self._spans)

    def begin(self, cause: str, at: datetime) -> None:
        """The run stands still, for one more cause."""
        if not self._causes:
            self._spans.append((at, None))
        self._causes.add(cause)

    def end(self, cause: str, at: datetime) -> None:
        """A cause is gone; with the last one the clock goes on."""
        if cause in self._causes:
            self._causes.remove(cause)
            if not self._causes:
                self._spans[-1] = (self._spans[-1][0], at)

    def end_all(self, at: datetime) -> None:
        """The clock goes on, whatever it stood still for."""
        for cause in tuple(self._causes):
            self.end(cause, at)

    def later(self, since: datetime, span: timedelta) -> datetime | None:
        """When the clock has gone on by `span` since then; None when it stands still before that: nobody can know yet."""
        at = since + span
        for start, end in self._spans:
            if end is not None and end <= since:
                continue
            if at <= start:
                break
            if end is None:
                return None
            at += end - max(start, since)
        return at
