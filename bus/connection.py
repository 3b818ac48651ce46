"""The one connection profile: a bounded first connect, then reconnecting for ever, and a bounded end."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import DEFAULT_INBOX_PREFIX, Client
from nats.js import JetStreamContext

from bus.errors import BusError, JetStreamMissing, PermissionViolation, Unreachable

CLOSE_LIMIT = 2.0
"""Seconds that draining and closing may take together."""
RECONNECT_WAIT = 0.1

_VIOLATION = re.compile(r'permissions violation for (\w+)[^"]*"([^"]+)"', re.IGNORECASE)
_REFUSAL = re.compile(r"authoriz|authenticat", re.IGNORECASE)
_JETSTREAM_OFF = {10039, 10076}

OnClosed = Callable[[BusError], None]
"""Told once that the connection is of no further use: a permission is missing, or the bus refuses us for good."""


@dataclass(frozen=True)
class Connection:
    """A connection and its JetStream."""

    nc: Client
    js: JetStreamContext
    url: str
    """Without user and password."""
    since: Callable[[], float] = lambda: 0.0
    """The reading of this process's monotonic clock at which it was made, or made again after it broke."""

    @property
    def servers(self) -> tuple[tuple[str, int], ...]:
        """Host and port of every server: those that were given, and those that the servers have told of since."""
        return tuple((server.hostname or "", server.port or 4222) for server in self.nc.servers)


@asynccontextmanager
async def connect(
    url: str,
    *,
    name: str,
    inbox_prefix: str | None = None,
    timeout: timedelta = timedelta(seconds=3),  # noqa: ASYNC109  the bound is the contract, and covers more than one await
    on_closed: OnClosed | None = None,
) -> AsyncIterator[Connection]:
    """A connection to any of the comma-separated addresses, drained and closed at the end (unsubscribe pull consumers before).

    Once connected it reconnects for ever. Raises:
        Unreachable: nobody usable answered within `timeout`; after a refusal a retry may help.
        JetStreamMissing: a server answered, but has no JetStream.
    """
    link = _Link(url, name, on_closed)
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            await link.open(inbox_prefix, timeout)
            js = await link.jetstream()
    except TimeoutError:
        await link.close()
        raise Unreachable(link.url, link.why_silent(timeout)) from None
    except nats.errors.Error as error:
        await link.close()
        raise Unreachable(link.url, _why(error)) from error
    except BaseException:
        await link.close()
        raise
    try:
        yield Connection(link.nc, js, link.url, lambda: link.since)
    finally:
        await link.close()


def without_secrets(url: str) -> str:
    """The addresses without user, password and token, for logs and errors."""
    return ",".join(re.sub(r"^(\w+://)?.*@", r"\1", address) for address in url.split(","))


class _Client(Client):
    """nats-py's own looks at every character of every header's name in every message."""

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        found = {}
        for line in raw.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            known = _header_name(name) if colon else ""
            if known:
                found[known] = value.strip().decode("utf-8", "replace")
        return found


@lru_cache(maxsize=256)
def _header_name(name: bytes) -> str:
    """The name of a header; empty for what is none."""
    try:
        text = name.strip().decode("ascii")
    except UnicodeDecodeError:
        return ""
    return "" if any(char.isspace() for char in text) else text


class _Link:
    """One client with its callbacks, and what they have learnt."""

    def __init__(self, url: str, name: str, on_closed: OnClosed | None) -> None:
        self.nc = _Client()
        self.url = without_secrets(url)
        self._addresses = [address.strip() for address in url.split(",") if address.strip()]
        self._name = name
        self._on_closed = on_closed
        self._log = structlog.get_logger("bus.connection").bind(url=self.url, client=name)
        self.since = 0.0
        self._last_error: Exception | None = None
        self._established = False
        self._ended = False

    async def open(self, inbox_prefix: str | None, patience: timedelta) -> None:
        if not self._addresses:
            raise nats.errors.Error("no address was given")  # without one nats-py spins for ever
        await self.nc.connect(
            servers=self._addresses,
            name=self._name,
            inbox_prefix=inbox_prefix or DEFAULT_INBOX_PREFIX,
            connect_timeout=min(2.0, patience.total_seconds() / len(self._addresses)),  # type: ignore[arg-type]  # any number will do
            reconnect_time_wait=RECONNECT_WAIT,  # type: ignore[arg-type]
            max_reconnect_attempts=-1,
            ping_interval=2,
            max_outstanding_pings=2,
            drain_timeout=1,
            error_cb=self._heard_error,
            disconnected_cb=self._lost,
            reconnected_cb=self._restored,
            closed_cb=self._closed,
        )

    async def jetstream(self) -> JetStreamContext:
        """The client's JetStream, once it answers: a cluster without a leader does not yet."""
        js = self.nc.jetstream()
        while True:
            try:
                await js.account_info()
            except nats.js.errors.ServiceUnavailableError as error:
                if error.err_code is None or error.err_code in _JETSTREAM_OFF:
                    raise JetStreamMissing(self.url) from error
                await asyncio.sleep(RECONNECT_WAIT)
            else:
                self._established, self.since = True, time.monotonic()
                return js

    async def close(self) -> None:
        self._ended = True
        for step in (self.nc.drain, self.nc.close):
            await _bounded(step(), CLOSE_LIMIT / 2)

    def why_silent(self, patience: timedelta) -> str:
        heard = f" ({_why(self._last_error)})" if self._last_error else ""
        return f"no answer within {patience.total_seconds():g} s{heard}"

    async def _heard_error(self, error: Exception) -> None:
        self._last_error = error
        text = _why(error)
        if violation := _VIOLATION.search(text):
            self._give_up(PermissionViolation(violation[2], f"{violation[1]} to"))
        elif _REFUSAL.search(text):
            if not self._established:
                raise error  # leaves nats-py's endless first connect
            self._give_up(Unreachable(self.url, text))
        elif isinstance(error, nats.errors.SlowConsumerError):
            self._log.warning("connection.slow_consumer", subject=error.subject)
        else:
            self._log.debug("connection.error", error=text)

    async def _lost(self) -> None:
        if self._established and not self._ended:
            self._log.warning("connection.lost")

    async def _restored(self) -> None:
        self.since = time.monotonic()
        self._log.info("connection.restored")

    async def _closed(self) -> None:
        self._give_up(Unreachable(self.url, f"it closed the connection for good ({_why(self._last_error or self.nc.last_error)})"))

    def _give_up(self, error: BusError) -> None:
        if self._ended or not self._established:
            return
        self._ended = True
        self._log.error("connection.refused", error=str(error))
        if self._on_closed:
            self._on_closed(error)


async def _bounded(step: Coroutine[None, None, None], limit: float) -> None:
    """nats-py swallows cancellations while it closes, so each step is a task of its own, cancelled until it ends."""
    async with asyncio.TaskGroup() as steps:
        task = steps.create_task(_quietly(step))
        try:
            await asyncio.wait({task}, timeout=limit)
        finally:
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=0.05)


async def _quietly(step: Coroutine[None, None, None]) -> None:
    # AssertionError: it never had an address. TypeError: Python 3.12 and 3.13 raise it on a transport that is gone; uvloop RuntimeError.
    with suppress(nats.errors.Error, OSError, TimeoutError, AssertionError, TypeError, RuntimeError):
        await step


def _why(error: Exception | None) -> str:
    return "no reason given" if error is None else str(error).removeprefix("nats: ").strip("' ") or type(error).__name__
