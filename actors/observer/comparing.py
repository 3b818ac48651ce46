"""What a workload tried, and what is there, compared. Pure."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from messages.measurements import Named

MOST_IDS = 200_000
"""Different ids that are compared."""
LONGEST_ID = 200
NAMED = 100
OK, FAILED, UNKNOWN = 1, 2, 4


class TooMuch(ValueError):
    """What a workload says cannot be compared, however often it is read; the text says why."""


class Tried:
    """What a workload tried, by the lines of its output."""

    def __init__(self, op: str | None) -> None:
        self._op = op
        self._outcomes: dict[str, int] = {}
        """Of each id, which outcomes it had."""
        self.reading = False
        """Whether what is there is being read: what ends now may be there or not."""
        self.unreadable = 0

    def explains(self, item: str) -> bool:
        """Whether the item may be there, by what the workload said."""
        return self._outcomes.get(item, FAILED) & (OK | UNKNOWN) > 0

    def see(self, line: bytes) -> None:
        """Take in the next line.

        Raises:
            TooMuch: there are too many ids, or one is too long.
        """
        said = _said(line)
        if said is None:
            self.unreadable += 1
            return
        op, name, outcome = said
        if self._op is not None and op != self._op:
            return
        if len(name) > LONGEST_ID:
            raise TooMuch(f"the workload has an id of more than {LONGEST_ID} characters: {name[:40]}…")
        self._outcomes[name] = self._outcomes.get(name, 0) | (UNKNOWN if self.reading and outcome == OK else outcome)
        if len(self._outcomes) > MOST_IDS:
            raise TooMuch(f"the workload has tried more than {MOST_IDS} ids, and no more are compared; let it try fewer")

    def compared(self, items: Iterable[str]) -> dict[str, Any]:
        """What a `SetRead` says of these items."""
        there, outcomes = Counter(items), self._outcomes
        acknowledged = [name for name, known in outcomes.items() if known & OK]
        unknown = [name for name, known in outcomes.items() if not known & OK and known & UNKNOWN]
        lost = [name for name in acknowledged if name not in there]
        unexpected = [item for item in there if not self.explains(item)]
        return {
            "tried": len(outcomes),
            "acknowledged": len(acknowledged),
            "failed": len(outcomes) - len(acknowledged) - len(unknown),
            "unknown": len(unknown),
            "found": len(there),
            "recovered": sum(name in there for name in unknown),
            "lost": _named(lost),
            "unexpected": _named(unexpected),
            "duplicated": _named([item for item, count in there.items() if count > 1]),
            "unreadable": self.unreadable,
        }


def _named(ids: Collection[str]) -> Named:
    return Named(count=len(ids), ids=tuple(_first(ids)))


def _first(ids: Iterable[str]) -> Iterator[str]:
    return (name for name, _ in zip(ids, range(NAMED), strict=False))


def _said(line: bytes) -> tuple[str, str, int] | None:
    """The operation, its id and its outcome; None if the line says none of an id."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    name, outcome = said.get("id"), said.get("outcome")
    known = {"ok": OK, "failed": FAILED, "unknown": UNKNOWN}.get(outcome) if isinstance(outcome, str) else None
    if known is None or not isinstance(name, str | int) or isinstance(name, bool) or name == "":
        return None
    return str(said.get("op", "")), str(name), known
