"""Reading a stream in order from a sequence on, without acknowledgements, over any outage of the server."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from bus.cancelling import leave_if_cancelled
from bus.connection import Connection

_log = structlog.get_logger()
_HEARTBEAT = 0.5
_SILENCE = 1.6
"""Seconds without message or heartbeat after which the consumer is taken for lost."""
_TICK = 0.2
"""Seconds from one look at the consumer to the next."""
_FIRST_PATIENCE, _LONGEST_PATIENCE = 0.5, 2.0
"""Seconds that the answer to a new consumer may take: a cluster places some on a node that has just died, and then nobody answers."""
_BATCH = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SLICE = 0.005
"""Seconds after which a reader that has much to deliver lets others run: nats-py itself never pauses between two messages."""


class Stored(NamedTuple):
    """A message as a stream holds it."""

    subject: str
    data: bytes
    headers: dict[str, str]
    sequence: int
    at: datetime
    pending: int
    """How many more the stream held for this reader when it was sent."""


class OrderedReader:
    """Hands every message after a sequence to `deliver`, each once and in order. `deliver` must not block."""

    def __init__(
        self,
        connection: Connection,
        stream: str,
        filters: list[str],
        deliver: Callable[[Stored], None],
        *,
        after: int = 0,
        since: datetime | None = None,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._filters = filters
        self._deliver = deliver
        self._since = since
        self.sequence = after
        """The last sequence delivered, or the one it starts after."""
        self._heard = 0.0
        self._paused = 0.0
        self._asked = 0
        self._lost = asyncio.Event()
        self._failure: Exception | None = None
        self._consumer = ""
        self._delivery = 0
        """The consumer's own count of what it sent; a hole in it is a message that was lost on the way."""
        self._inbox = ""
        self._patience = _FIRST_PATIENCE
        self._until: int | None = None
        self._drained = asyncio.Event()
        """The stream holds nothing more for this reader, up to where it is to read."""

    async def read_until(self, last: int) -> None:
        """Read what the stream holds up to a sequence, or a little more; what is purged meanwhile is not waited for.

        Raises:
            DeliveryFailed: as `run`, in a group.
        """
        self._until = last
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self.run())
            await self._drained.wait()
            reading.cancel()

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            DeliveryFailed: what takes the messages raised on one; nothing after it was delivered.
        """
        while True:
            self._inbox = self._connection.nc.new_inbox()
            subscription = await self._connection.nc.subscribe(
                self._inbox, cb=self._on_message, pending_msgs_limit=10 * _BATCH, pending_bytes_limit=256 * 1024 * 1024
            )
            try:
                self._lost.clear()
                await self._create()
                leave_if_cancelled()
                await self._watch()
            except (TimeoutError, OSError, NatsError, ConsumerRefused) as error:
                _log.info("reader.retry", stream=self._stream, error=str(error) or type(error).__name__)
            finally:
                await self._close(subscription)
            if self._failure is not None:
                raise DeliveryFailed(self._stream, self.sequence) from self._failure
            leave_if_cancelled()
            await asyncio.sleep(0.05)

    async def _create(self) -> None:
        config: dict[str, object] = {
            "ack_policy": "none",
            "max_deliver": 1,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 60_000_000_000,
            "filter_subjects": self._filters,
        }
        if self.sequence == 0 and self._since is not None:
            config |= {"deliver_policy": "by_start_time", "opt_start_time": self._since.astimezone(UTC).isoformat().replace("+00:00", "Z")}
        else:
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": self.sequence + 1}
        request = {"stream_name": self._stream, "action": "create", "config": config}
        patience, self._patience = self._patience, min(self._patience * 2, _LONGEST_PATIENCE)
        answer = await self._connection.nc.request(
            f"$JS.API.CONSUMER.CREATE.{self._stream}", json.dumps(request).encode(), timeout=patience
        )
        created = json.loads(answer.data)
        if "error" in created:
            raise ConsumerRefused(self._stream, str(created["error"].get("description")))
        self._consumer, self._delivery, self._patience = str(created["name"]), 0, _FIRST_PATIENCE
        self._heard = time.monotonic()
        self._count(created.get("num_pending"))
        await self._ask()

    async def _ask(self) -> None:
        self._asked = _BATCH
        body = {"batch": _BATCH, "expires": 30_000_000_000, "idle_heartbeat": int(_HEARTBEAT * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        await self._connection.nc.publish(subject, json.dumps(body).encode(), reply=self._inbox)

    async def _watch(self) -> None:
        connected = self._connection.nc.stats["reconnects"]
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(_TICK):
                    await self._lost.wait()
            except TimeoutError:
                if time.monotonic() - self._heard > _SILENCE:
                    _log.info("reader.silent", stream=self._stream, sequence=self.sequence)
                    return
                if connected != (connected := self._connection.nc.stats["reconnects"]):
                    await (
                        self._ask()
                    )  # the server forgot what was asked; a consumer that died with it is missed at once, and one elsewhere goes on

    async def _on_message(self, message: Msg) -> None:
        if message.subject != self._inbox and not message.reply.startswith("$JS.ACK."):
            return
        self._heard = time.monotonic()
        status = (message.headers or {}).get("Status")
        if status is not None:
            if status == "408" or (status == "409" and "Batch Completed" in str(message.headers)):
                await self._ask()
            elif status != "100" or self._is_owed():
                self._lost.set()
            return
        consumer, delivery, stored = _read(message)
        if consumer != self._consumer or self._lost.is_set():
            return
        if delivery != self._delivery + 1:
            _log.info("reader.hole", stream=self._stream, sequence=self.sequence)
            self._lost.set()
            return
        self._delivery = delivery
        if not self._take(stored):
            return
        self._asked -= 1
        if self._asked <= 0:
            await self._ask()
        if self._heard - self._paused > _SLICE:
            await asyncio.sleep(0)
            self._paused = time.monotonic()

    def _take(self, stored: Stored) -> bool:
        """Hand a message on; whether that worked."""
        if stored.sequence > self.sequence:
            try:
                self._deliver(stored)
            except Exception as error:  # noqa: BLE001 - the client would only log it, and the next message would come as if nothing were
                self._failure = error
                self._lost.set()
                return False
            self.sequence = stored.sequence
        self._count(stored.pending)
        return True

    def _count(self, pending: int | None) -> None:
        if pending == 0 or (self._until is not None and self.sequence >= self._until):
            self._drained.set()

    def _is_owed(self) -> bool:
        """Whether a consumer that has nothing to send ought to: what it counted was purged, and only a new one counts anew."""
        return self._until is not None and not self._drained.is_set()

    async def _close(self, subscription: Subscription) -> None:
        with contextlib.suppress(NatsError, OSError):
            await subscription.unsubscribe()


class DeliveryFailed(Exception):
    """A message could not be taken in: a bug, or a message that nobody foresaw. Final for this reader."""

    def __init__(self, stream: str, sequence: int) -> None:
        super().__init__(f"the message of {stream} after sequence {sequence} could not be taken in")
        self.sequence = sequence


class ConsumerRefused(Exception):
    """The server did not create a consumer; it may later."""

    def __init__(self, stream: str, why: str) -> None:
        super().__init__(f"no consumer on {stream}: {why}")


def _read(message: Msg) -> tuple[str, int, Stored]:
    """The consumer that sent a message, its count of what it sent, and the message as the stream holds it.

    From the ack subject: $JS.ACK.[domain.account.]stream.consumer.delivered.stream_seq.consumer_seq.timestamp.pending[.token].
    """
    tokens = message.reply.split(".")
    first = 4 if len(tokens) == 9 else 6
    at = _EPOCH + timedelta(microseconds=int(tokens[first + 3]) // 1000)
    headers = dict(message.headers) if message.headers else {}
    stored = Stored(message.subject, message.data, headers, int(tokens[first + 1]), at, int(tokens[first + 4]))
    return tokens[first - 1], int(tokens[first + 2]), stored
