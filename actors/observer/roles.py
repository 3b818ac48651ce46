"""Asking a service for its role all through a run, and saying when it changed."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
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


class Asking:
    """Asks one service again and again. No window waits for it."""

    def __init__(self, name: str, role: Role, run: Run[ObserverView], prober: HealthProber, news: News) -> None:
        self.name = name
        self._role = role
        self._run = run
        self._prober = prober
        self._news = news
        self._said: deque[tuple[float, str]] = deque()
        self._last: str | None = None

    @property
    def until(self) -> datetime | None:
        return self._run.now()

    def aim(self, goal: datetime | None) -> None:
        del goal

    async def run(self) -> None:
        while True:
            begin = time.monotonic()
            said = await self._prober.role(self._role, deadline=LONGEST)
            if said != self._last:
                self._last = said
                self._said.append((time.monotonic(), said))
                self._news()
            await asyncio.sleep(begin + self._role.every.total_seconds() - time.monotonic())

    def say(self, reach: Reach) -> Iterator[Decision]:
        del reach
        while self._said:
            at, role = self._said[0]
            view, ago = self._run.view, max(self._run.now() - self._run.instant(at), timedelta())
            if view.state.roles.get(self.name, "") != role:
                yield RoleSeen(service=self.name, number=view.roles.get(self.name, 0) + 1, role=role, ago=ago)
            self._said.popleft()
