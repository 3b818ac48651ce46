"""What disturbs a service on request right now. Each injection ends by itself; none survives a restart."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ecosystem.clock import now
from ecosystem.errors import BodyError

E = TypeVar("E")

LIMIT = 100
"""Injections that may be active at once."""


@dataclass(slots=True)
class Injection:
    """One disturbance and what it does."""

    id: str
    type: str
    effect: object
    parameters: Mapping[str, object]
    started_at: str
    started: float
    """On the event loop's clock, as `ends`."""
    ends: float
    timer: asyncio.TimerHandle

    def described(self) -> dict[str, object]:
        """As the API shows it; `expires_in` is in seconds."""
        left = max(0.0, self.ends - asyncio.get_running_loop().time())
        known: dict[str, object] = {"id": self.id, "type": self.type, "status": "active", "expires_in": round(left, 3)}
        return known | {"started_at": self.started_at, "parameters": dict(self.parameters)}


class Injections:
    """The active ones, oldest first. `changed` hears of each start (`injected`) and end (`expired`, `cleared`)."""

    def __init__(self, changed: Callable[[Injection, str], None]) -> None:
        self._changed = changed
        self._active: dict[str, Injection] = {}

    def __len__(self) -> int:
        return len(self._active)

    def start(self, kind: str, effect: object, seconds: float, parameters: Mapping[str, object]) -> Injection:
        """Begins a disturbance of that many seconds.

        Raises: BodyError if too many are active.
        """
        if len(self._active) >= LIMIT:
            raise BodyError([f"{LIMIT} injections are active already; clear some"])
        loop = asyncio.get_running_loop()
        name = f"{kind}-{secrets.token_hex(4)}"
        timer = loop.call_later(seconds, self.end, name, "expired")
        injection = Injection(name, kind, effect, parameters, now(), loop.time(), loop.time() + seconds, timer)
        self._active[name] = injection
        self._changed(injection, "injected")
        return injection

    def end(self, name: str, why: str = "cleared") -> Injection | None:
        """Ends one; None if there is none of that id."""
        injection = self._active.pop(name, None)
        if injection:
            injection.timer.cancel()
            self._changed(injection, why)
        return injection

    def end_all(self, kinds: Collection[str] = ()) -> list[str]:
        """Ends all, or all of some types; their ids."""
        names = [each.id for each in self._active.values() if not kinds or each.type in kinds]
        for name in names:
            self.end(name)
        return names

    def prolong(self, injection: Injection, seconds: float) -> None:
        """Lets an active one end that many seconds from now instead."""
        loop = asyncio.get_running_loop()
        injection.timer.cancel()
        injection.ends = loop.time() + seconds
        injection.timer = loop.call_later(seconds, self.end, injection.id, "expired")

    def all(self) -> list[Injection]:
        return list(self._active.values())

    def of(self, kind: type[E]) -> list[E]:
        """The active effects of a class."""
        return [each.effect for each in self._active.values() if isinstance(each.effect, kind)] if self._active else []
