"""Which role a service had when: as it said, between two answers, and when nobody knows. Plain facts for judges."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

SLOWEST = timedelta(seconds=2)
"""How long an answer may take, beside the interval between two questions."""


@dataclass(frozen=True, slots=True)
class RoleSaid:
    """A service said that its role is this one, for the first time, after another, or after nobody had looked."""

    at: datetime
    """When the answer had come."""
    role: str
    """Empty: it did not say."""
    evidence: str
    error_bound: timedelta | None = None
    """It may have had the role so much earlier: until then it was seen to have the one before. None: not known."""


@dataclass(frozen=True, slots=True)
class RoleHistory:
    """All that one service said of its role, in order of time. What it said last it is known to have until it was last looked at."""

    said: tuple[RoleSaid, ...] = ()
    every: timedelta = timedelta()
    """The interval between two questions."""

    def at(self, instant: datetime, max_gap: timedelta) -> tuple[str, ...] | None:
        """Its role then; two, if it changed from one to the other around then; None when nobody knows."""
        before = next((said for said in reversed(self.said) if said.at <= instant), None)
        if before is None or not before.role:
            return None
        after = next((said for said in self.said if said.at > instant), None)
        if after is None or instant <= after.at - self._bound(after):
            return (before.role,)
        if self._bound(after) > max(max_gap, 2 * self.every) + SLOWEST or not after.role:
            return None
        return tuple(dict.fromkeys((before.role, after.role)))

    def moments(self) -> Iterator[datetime]:
        """When what is known of it changes."""
        for said in self.said:
            yield said.at
            yield said.at - self._bound(said)

    def evidence(self, instant: datetime) -> str:
        """The answer that was the last one then; empty when there was none."""
        return next((said.evidence for said in reversed(self.said) if said.at <= instant), "")

    def _bound(self, said: RoleSaid) -> timedelta:
        return self.every + SLOWEST if said.error_bound is None else said.error_bound
