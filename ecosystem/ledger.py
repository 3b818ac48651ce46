"""What was done exactly once per key, and which events are still owed for it. Survives a kill -9."""

from pathlib import Path

from ecosystem.events import Event, decode_event
from ecosystem.journal import Journal

KEEP = 20_000
"""Keys that are remembered: far more than a client can have open."""


class Ledger:
    """Write-ahead: first the outcome with its event, then the event leaves, then the mark that it was delivered.

    Between the last two a process may die; at its next start it owes the event again, with the same id.
    """

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._outcomes: dict[str, str] = {}
        self._owed: dict[str, Event] = {}
        for kind, key, *rest in self._journal.replay():
            if kind == "done":
                self._enter(key, rest[0], decode_event(rest[1]))
            else:
                self._owed.pop(key, None)
        self._compact()

    def outcome(self, key: str) -> str | None:
        """What was done for this key, None if nothing was yet."""
        return self._outcomes.get(key)

    def record(self, key: str, outcome: str, event: Event | None) -> None:
        """Remembers what is done now, before anybody hears of it."""
        self._journal.append("done", key, outcome, event.encoded() if event else "")
        self._enter(key, outcome, event)

    def delivered(self, key: str) -> None:
        """The event of this key is out."""
        self._journal.append("sent", key)
        self._owed.pop(key, None)
        if self._journal.overgrown:
            self._compact()

    def owed(self) -> list[tuple[str, Event]]:
        """Events that perhaps nobody has heard, oldest first."""
        return list(self._owed.items())

    def close(self) -> None:
        self._journal.close()

    def _enter(self, key: str, outcome: str, event: Event | None) -> None:
        self._outcomes[key] = outcome
        if event:
            self._owed[key] = event
        oldest = next(iter(self._outcomes))
        if len(self._outcomes) > KEEP and oldest not in self._owed:
            del self._outcomes[oldest]

    def _compact(self) -> None:
        self._journal.rewrite(("done", key, outcome, self._text(key)) for key, outcome in self._outcomes.items())

    def _text(self, key: str) -> str:
        event = self._owed.get(key)
        return event.encoded() if event else ""
