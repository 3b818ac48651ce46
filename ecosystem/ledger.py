"""What was done exactly once per key, and which events are still owed for it. Survives a kill -9."""

from pathlib import Path

from ecosystem.events import Event, decode_event
from ecosystem.journal import Journal

KEEP = 20_000
"""Keys that are remembered: far more than a client can have open."""
PENDING = "pending"
"""The outcome that another one follows; until then its key and its event are kept."""


class Ledger:
    """Write-ahead: first the outcome with its event, then the event leaves, then the mark that it was delivered.

    Between the last two a process may die; at its next start it owes the event again, with the same id.
    """

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._outcomes: dict[str, str] = {}
        self._pending: dict[str, Event] = {}
        self._owed: dict[str, tuple[str, Event]] = {}
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

    def delivered(self, event: Event) -> None:
        """This event is out."""
        self._journal.append("sent", event.id)
        self._owed.pop(event.id, None)
        if self._journal.overgrown:
            self._compact()

    def owed(self) -> list[Event]:
        """Events that perhaps nobody has heard, oldest first."""
        return [event for _, event in self._owed.values()]

    def pending(self) -> dict[str, Event]:
        """What was begun and not ended, with the event of its beginning, oldest first."""
        return dict(self._pending)

    def close(self) -> None:
        self._journal.close()

    def _enter(self, key: str, outcome: str, event: Event | None) -> None:
        self._outcomes[key] = outcome
        self._pending.pop(key, None)
        if event:
            self._owed[event.id] = (key, event)
            if outcome == PENDING:
                self._pending[key] = event
        while len(self._outcomes) > KEEP:
            oldest = next(iter(self._outcomes))
            if oldest in self._pending or oldest == next((key for key, _ in self._owed.values()), None):
                break
            del self._outcomes[oldest]

    def _compact(self) -> None:
        owed: dict[str, list[Event]] = {}
        for key, event in self._owed.values():
            owed.setdefault(key, []).append(event)
        lines: list[tuple[str, ...]] = []
        for key, outcome in self._outcomes.items():
            begun = self._pending.get(key)
            *before, last = owed.get(key, [begun])
            lines += [("done", key, PENDING, event.encoded()) for event in before if event]
            lines.append(("done", key, outcome, last.encoded() if last else ""))
            if last and last.id not in self._owed:
                lines.append(("sent", last.id))
        self._journal.rewrite(lines)
