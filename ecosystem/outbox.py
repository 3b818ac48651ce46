"""The connection to NATS: events wait here until the server has them, however often it goes away in between."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import islice

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from ecosystem.events import Event

LIMIT = 50_000
"""Events that wait at most; further ones are lost."""
BATCH = 500

log = logging.getLogger(__name__)


class Outbox:
    """Publishes events in order, each at least once, with its id as `Nats-Msg-Id` so that a stream drops repetitions.

    An event is delivered when the server has answered a ping that was sent after it.
    """

    def __init__(self, url: str | None, name: str) -> None:
        self._url = url
        self._name = name
        self._waiting: deque[tuple[Event, Callable[[], None] | None]] = deque()
        self._work = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._subscriptions: list[tuple[str, Callable[[Msg], Awaitable[None]]]] = []
        self._client = Client()
        self._complained = False
        self._refused = False

    @property
    def connected(self) -> bool:
        """Whether the server can be reached now."""
        return self._client.is_connected

    def publish(self, event: Event, delivered: Callable[[], None] | None = None) -> None:
        """Hands an event over; `delivered` is called when the server has it, or when nobody will ever ask for it."""
        if self._url is None or len(self._waiting) >= LIMIT:
            self._refuse()
            if delivered:
                delivered()
            return
        self._waiting.append((event, delivered))
        self._empty.clear()
        self._work.set()

    def subscribe(self, subject: str, handler: Callable[[Msg], Awaitable[None]]) -> None:
        """Calls `handler` with every message on `subject`. To be called before `run`."""
        self._subscriptions.append((subject, handler))

    async def settled(self, timeout: float) -> None:  # noqa: ASYNC109 - the caller's bound; running out of it is no error
        """Returns when all that was published is delivered, at once while NATS is away, at the latest after `timeout` seconds."""
        if self.connected and not self._empty.is_set():
            try:
                async with asyncio.timeout(timeout):
                    await self._empty.wait()
            except TimeoutError:
                return

    async def run(self) -> None:
        """Connects, however long that takes, and delivers until cancelled."""
        if self._url is None:
            return
        try:
            await self._connect(self._url)
            while True:
                await self._work.wait()
                self._work.clear()
                await self._deliver()
        finally:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._client.close(), 0.5)

    async def _connect(self, url: str) -> None:
        await self._client.connect(
            url,
            name=self._name,
            connect_timeout=1,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,  # type: ignore[arg-type]  # nats-py says int and sleeps for any number
            ping_interval=5,
            max_outstanding_pings=2,
            error_cb=self._complain,
            reconnected_cb=self._greet,
        )
        await self._greet()
        for subject, handler in self._subscriptions:
            await self._client.subscribe(subject, cb=handler)
        await self._client.flush(1)

    async def _deliver(self) -> None:
        while self._waiting:
            batch = list(islice(self._waiting, BATCH))
            try:
                await self._send(batch)
            except (NatsError, OSError):
                await asyncio.sleep(0.05)
                continue
            for _, delivered in batch:
                self._waiting.popleft()
                if delivered:
                    delivered()
        self._refused = False
        self._empty.set()

    async def _send(self, batch: list[tuple[Event, Callable[[], None] | None]]) -> None:
        if not self.connected:
            raise ConnectionError
        for event, _ in batch:
            await self._client.publish(event.subject, event.encoded().encode(), headers={"Nats-Msg-Id": event.id})
        await self._client.flush(1)

    def _refuse(self) -> None:
        if not self._refused:
            self._refused = True
            log.warning("events are dropped: %s", "NATS_URL is not set" if self._url is None else f"{LIMIT} wait for NATS already")

    async def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            log.warning("NATS at %s: %s", self._url, str(error) or type(error).__name__)

    async def _greet(self) -> None:
        self._complained = False
        log.info("connected to NATS at %s", self._url)
