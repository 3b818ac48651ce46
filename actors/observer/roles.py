"""Asking a service for its role all through a run, and saying when it changed."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.observer.health import News
from actors.observer.source import Reach
from actors.observer.view import ObserverView
from bus.actor import Decision, Run
from messages.checks import Role
from messages.observations import RoleSeen
from targets.health import HealthProber

LONGEST = timedelta(seconds=2)
"""How long an answer may take; a role that is not said is empty."""


@dataclass(frozen=True, slots=True)
class _Said:
    """A role that is still to be told."""

    role: str
    at: datetime
    before: datetime | None
    """When it was looked at before, if it was."""
    again: bool
    """Nobody had looked for so long that even the same role is told."""


class Asking:
    """Asks one service again and again. Windows wait for it only where a claim is about roles."""

    def __init__(
        self,
        name: str,
        role: Role,
        run: Run[ObserverView],
        prober: HealthProber,
        news: News,
        *,
        before: datetime | None,
        awaited: bool,
    ) -> None:
        self.name = name
        self._role = role
        self._run = run
        self._prober = prober
        self._news = news
        self._awaited = awaited
        self._said: deque[_Said] = deque()
        self._last: str | None = None
        self._looked: float | None = None
        """Monotonic seconds at which the last question that is over was asked."""
        self._before = before if name in run.view.roles else None
        """When it was looked at before."""
        self._answered = self._before
        self._goal: datetime | None = None

    @property
    def until(self) -> datetime | None:
        if not self._awaited:
            return self._run.now()
        return self._run.instant(self._looked) if self._looked is not None else self._before

    def aim(self, goal: datetime | None) -> None:
        self._goal = goal

    async def run(self) -> None:
        while True:
            begin = time.monotonic()
            self._see(begin, await self._prober.role(self._role, deadline=LONGEST))
            await asyncio.sleep(begin + self._role.every.total_seconds() - time.monotonic())

    def _see(self, begin: float, said: str) -> None:
        now, asked = self._run.instant(time.monotonic()), self._run.instant(begin)
        max_gap = self._run.view.state.system.spec.max_gap
        unseen = asked - self._answered if self._answered is not None else timedelta()
        again = unseen > max(max_gap, 2 * self._role.every)
        if said != self._last or again:
            self._last = said
            self._said.append(_Said(said, now, self._before, again))
            self._news()
        self._looked, self._before, self._answered = begin, asked, now
        if self._goal is not None and asked >= self._goal:
            self._news()

    def say(self, reach: Reach) -> Iterator[Decision]:
        del reach
        while self._said:
            said, view = self._said[0], self._run.view
            if said.again or view.state.roles.get(self.name, "") != said.role:
                yield RoleSeen(
                    service=self.name,
                    number=view.roles.get(self.name, 0) + 1,
                    role=said.role,
                    ago=max(self._run.now() - said.at, timedelta()),
                    error_bound=None if said.before is None else max(said.at - said.before, timedelta()),
                )
            self._said.popleft()
