"""Our own events among those of a system: published until a stream has them."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nats.errors
import structlog

from bus.connection import Connection
from bus.errors import EventUntaken

_log = structlog.get_logger()
ATTEMPTS = 8
"""How often an event is tried while the bus is there, over some half a minute at most; an outage of the bus is waited for."""
ANSWER_LIMIT = 2.0
_PAUSE, _LONGEST_PAUSE = 0.1, 3.0


@dataclass(frozen=True, slots=True)
class Taken:
    """Where an event is."""

    stream: str
    sequence: int


class EventPublisher:
    """Publishes CloudEvents in structured JSON (NATS protocol binding for CloudEvents 1.0 §3.2)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def publish(self, subject: str, event: Mapping[str, Any]) -> Taken:
        """Store an event; one that is repeated within the stream's duplicate window is the same message, by its id.

        Raises:
            EventUntaken: no stream has acknowledged it.
        """
        body, pause, why = json.dumps(event, separators=(",", ":")).encode(), _PAUSE, ""
        headers = {"Nats-Msg-Id": str(event["id"]), "Content-Type": "application/cloudevents+json; charset=utf-8"}
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            await self._connected()
            try:
                stored = await self._connection.js.publish(subject, body, timeout=ANSWER_LIMIT, headers=dict(headers))
            except (TimeoutError, nats.errors.Error, OSError) as error:
                why = str(error) or f"no answer ({type(error).__name__})"
                _log.info("event.again", subject=subject, error=why)
            else:
                return Taken(stored.stream, stored.seq)
        raise EventUntaken(subject, why)

    async def _connected(self) -> None:
        while not self._connection.nc.is_connected:  # noqa: ASYNC110  nats-py has no event for it
            await asyncio.sleep(0.1)
