"""Facts that the observer counts: from their numbers it can be told that one is missing from a journal. Pure."""

from messages.events import Recorded, RunEvent
from messages.measurements import AnswerSeen
from messages.observations import RoleSeen, ServiceDown, ServiceUp, StreamGap


class Numbering:
    """A fold of the changes and gaps of one run. Without a change that was not good, what came before and after it looks like one."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], set[int]] = {}

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        match recorded.event:
            case ServiceDown() | ServiceUp() as event:
                self._seen.setdefault(("health", event.service), set()).add(event.number)
            case RoleSeen() as event:
                self._seen.setdefault(("roles", event.service), set()).add(event.number)
            case AnswerSeen() as event:
                self._seen.setdefault(("answers", event.assertion), set()).add(event.number)
            case StreamGap() as event:
                self._seen.setdefault(("gaps", event.source), set()).add(event.number)

    def missing(self) -> str:
        """The first fact that ought to be there and is not, in words; empty if there is none."""
        for (what, of), seen in self._seen.items():
            if len(seen) != max(seen):
                number = next(n for n in range(1, max(seen) + 1) if n not in seen)
                told = {"health": "change of health", "roles": "role", "answers": "change of answers", "gaps": "gap"}[what]
                return f"the journal has {told} {max(seen)} of {of}, but not number {number}"
        return ""
