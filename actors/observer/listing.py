"""What an http claim's answers list in the phase that later ones are to be unlike."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime

from actors.observer.health import News
from actors.observer.source import Reach
from actors.observer.view import ObserverView
from bus.actor import Decision, Run
from messages.checks import HttpItems, ItemsRead
from messages.claims import HttpClaim
from messages.measurements import KeysListed
from targets.health import HealthProber

MOST_KEYS = 1000


class Listing:
    """Asks until the phase is over, and then says once what was there in it."""

    def __init__(self, claim: HttpClaim, run: Run[ObserverView], prober: HealthProber, news: News) -> None:
        self.name = claim.id
        self._claim = claim
        self._run = run
        self._prober = prober
        self._news = news
        self._read = ItemsRead(http=HttpItems(url=claim.url, items=claim.key or "[]"), deadline=claim.deadline)
        self._asked: list[datetime] = []
        """When the answers that could be read were asked for."""
        self._keys: dict[str, datetime] = {}
        """Each key, and when the first answer that had it was asked for."""
        self._error = ""
        self._until: datetime | None = None
        self._goal: datetime | None = None

    @property
    def until(self) -> datetime | None:
        return self._until

    def aim(self, goal: datetime | None) -> None:
        self._goal = goal

    async def run(self) -> None:
        while True:
            begin = time.monotonic()
            self._until = at = self._run.instant(begin)
            self._see(at, await self._prober.items(self._read))
            if self._goal is not None and at >= self._goal:
                self._news()
            await asyncio.sleep(begin + self._claim.every.total_seconds() - time.monotonic())

    def _see(self, at: datetime, found: list[str] | str) -> None:
        if isinstance(found, str):
            self._error = found
            return
        self._asked.append(at)
        for key in found:
            self._keys.setdefault(key, at)

    def say(self, reach: Reach) -> Iterator[Decision]:
        if reach.ends is None or self._until is None or self._until < reach.ends or self.name in self._run.view.listed:
            return
        asked = [at for at in self._asked if at < reach.ends]
        keys = [key for key, at in self._keys.items() if at < reach.ends]
        yield KeysListed(
            assertion=self.name,
            start=asked[0] if asked else reach.ends,
            end=asked[-1] if asked else reach.ends,
            answers=len(asked),
            keys=tuple(keys[:MOST_KEYS]),
            beyond=max(0, len(keys) - MOST_KEYS),
            error=self._error,
        )
