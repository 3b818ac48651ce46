"""Room in a stream: a write that finds none is waited over, and it is said once when there is none and when there is again."""

import asyncio
import json
import time
from collections.abc import Awaitable
from datetime import datetime
from typing import Any, TypeVar

import structlog
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from bus.clock import ServerClock
from bus.connection import Connection
from bus.errors import NoAnswer, StorageFull

_log = structlog.get_logger()
T = TypeVar("T")
_DO = {
    10077: "raise that limit of the stream, or shorten RETENTION",
    10023: "raise max_file_store of the nats-server or free its disk, or shorten RETENTION",
    10028: "raise max_memory_store of the nats-server",
    10047: "raise max_file_store of the nats-server or free its disk, or shorten RETENTION",
    10002: "raise the account's max_file, or shorten RETENTION",
}
"""What a server answers that has no room, and what helps. Measured with nats-server 2.15."""
_SILENT = 1.5
"""Seconds of writes without any answer after which the stream is asked whether it is there at all."""
_FRESH = 30.0
"""Seconds after which trouble that nobody ran into again counts as over."""
_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_PATIENCE = 6.0
"""Seconds that somebody who waits for an answer lets a write take: less than a control request may, more than two silent writes."""

_UNSURE = "What was asked may have been done or not: look before you repeat it"


class Room:
    """Whether a stream takes what is written to it. Told of every write that failed."""

    def __init__(self, connection: Connection, stream: str) -> None:
        self._connection = connection
        self._stream = stream
        self._trouble: str | None = None
        self._seen = 0.0
        self._silent_since: float | None = None
        self._failed = False
        self._since = 0.0
        """The reading of this process's monotonic clock since which every write was taken at once."""

    @property
    def trouble(self) -> str | None:
        """Why nothing is stored and what to do; None while things are, or nobody tries."""
        return self._trouble if time.monotonic() - self._seen < _FRESH else None

    def found(self) -> None:
        """Something was stored."""
        self._silent_since = None
        if self._failed:
            self._failed, self._since = False, time.monotonic()
        if self._trouble is not None:
            self._trouble = None
            _log.info("journal.stored_again", stream=self._stream)

    async def unbroken_since(self, clock: ServerClock) -> datetime:
        """Since when the stream takes what is written, as far as its leader and this process can tell. Waits over an outage."""
        while (info := await self._info()) is None:
            await asyncio.sleep(_PAUSE)
            self._since = time.monotonic()
        led = (info.get("cluster") or {}).get("leader_since")
        since = clock.at(max(self._since, self._connection.since()))
        return max(since, datetime.fromisoformat(led)) if led else since

    async def wait(self, error: Exception, pause: float) -> float:
        """After a write that failed: wait until it may be tried again; the next pause, in seconds.

        Raises:
            APIError: the error itself, if no waiting helps.
        """
        self._failed = True
        if isinstance(error, APIError):
            if not is_full(error):
                raise error
            self._full(_text(self._stream, error))
        elif not await self._is_mute(error):
            _log.warning("journal.retry", stream=self._stream, error=str(error) or type(error).__name__)
        await asyncio.sleep(pause)
        return min(pause * 2, _LONGEST_PAUSE)

    async def within(self, work: Awaitable[T], stream: str | None = None, limit: float = _PATIENCE) -> T:
        """The outcome of a write that somebody waits for at most `limit` seconds, to this stream or to another.

        Raises:
            StorageFull: there is no room; if it says so, the write may have been stored all the same.
            NoAnswer: it took too long.
        """
        try:
            async with asyncio.timeout(limit):
                return await work
        except APIError as error:
            if not is_full(error):
                raise
            raise StorageFull(_text(stream or self._stream, error)) from error
        except TimeoutError as error:
            if self.trouble is not None:
                raise StorageFull(f"{self.trouble}. {_UNSURE}") from error
            raise NoAnswer(f"a write to {stream or self._stream}") from error

    async def _is_mute(self, error: Exception) -> bool:
        """Whether the server answers, but not to writes: so nats-server 2.15 is once its disk was full, until its restart."""
        now = time.monotonic()
        if not isinstance(error, TimeoutError):
            self._silent_since = None
            return False
        self._silent_since = self._silent_since or now
        if now - self._silent_since < _SILENT or await self._info() is None:
            return False
        do = "look into the log of its nats-server, free its disk, then restart that server"
        self._full(f"stream {self._stream} stores nothing more: its server answers, but not to writes, as with a full disk; {do}")
        return True

    async def _info(self) -> dict[str, Any] | None:
        """What the stream's leader says about it; None where there is none."""
        try:
            answer = await self._connection.nc.request(f"$JS.API.STREAM.INFO.{self._stream}", timeout=1)
        except (TimeoutError, NatsError, OSError):
            return None
        info: dict[str, Any] = json.loads(answer.data)
        return info if "error" not in info and (info.get("cluster") or {}).get("leader", "one") != "" else None

    def _full(self, trouble: str) -> None:
        self._seen = time.monotonic()
        if trouble != self._trouble:
            self._trouble = trouble
            _log.error("journal.full", stream=self._stream, trouble=trouble)


def is_full(error: Exception) -> bool:
    """Whether the server says that it has no room."""
    return isinstance(error, APIError) and error.err_code in _DO


def _text(stream: str, error: APIError) -> str:
    return f"stream {stream} stores nothing more: {error.description} (JetStream error {error.err_code}); {_DO[error.err_code or 0]}"
