"""Compare-and-set on one KV bucket. nats-py's own cannot renew a TTL or create over an expiry marker, and its watch dies silently."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from bus.cancelling import leave_if_cancelled
from bus.connection import Connection
from bus.errors import NoAnswer

_WRONG_LAST_SEQUENCE = 10071
_MARKERS = ("KV-Operation", "Nats-Marker-Reason")
_KEY = re.compile(r"[A-Za-z0-9_=/-]+(\.[A-Za-z0-9_=/-]+)*\Z")
_DELETED_FOR = "60s"
_REMEMBERED = 1000
_HEARTBEAT = 0.5
_ANSWER_LIMIT = 2.0
_LOOK, _LOOK_AGAIN = 20.0, 1.0
"""Seconds from one look at what has gone unheard to the next, and when nobody answered."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a key holds. The revision grows with every change in the bucket, so it serves as fencing token."""

    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a key holds since this revision; None: it fell free."""

    key: str
    value: bytes | None
    revision: int


class Keys:
    """The keys of one bucket. Writes say which revision they replace; a lost race is an answer, not an error.

    Every method raises NoAnswer when the bus does not answer or cannot do it now (JetStream without a leader, or without room); whether a
    write took effect is then unknown: look before repeating it.
    """

    def __init__(self, connection: Connection, bucket: str) -> None:
        self._connection = connection
        self._stream = f"KV_{bucket}"
        self._prefix = f"$KV.{bucket}."
        self._freed: dict[str, int] = {}
        """The revisions at which keys were freed here: who takes one again need not look first. No more than a hint."""

    async def get(self, key: str) -> Entry | None:
        """What the key holds now; None when it is free: never set, deleted or expired."""
        data, revision, headers = await self._last(key)
        return None if revision == 0 or _is_marker(headers) else Entry(data, revision)

    async def create(self, key: str, value: bytes) -> int | None:
        """Take a free key. The revision, or None when it is taken."""
        return await self._put_if_free(key, value, {})

    async def create_lease(self, key: str, value: bytes, ttl: timedelta) -> int | None:
        """Take a free key that falls free again by itself. The revision, or None when it is taken."""
        return await self._put_if_free(key, value, _expiring(ttl))

    async def put(self, key: str, value: bytes, last: int) -> int | None:
        """Replace revision `last` (0: never set). The new revision, or None when the key has changed. A TTL ends here."""
        return await self._put(key, value, last, {})

    async def put_lease(self, key: str, value: bytes, ttl: timedelta, last: int) -> int | None:
        """Replace revision `last` (0: never set) by one that expires after `ttl`, whole seconds. None when the key has changed."""
        return await self._put(key, value, last, _expiring(ttl))

    async def delete(self, key: str, revision: int) -> bool:
        """Free the key if it still has this revision; False when it has changed, expired or gone."""
        free = {"KV-Operation": "PURGE", "Nats-TTL": _DELETED_FOR}
        freed = await self._put(key, b"", revision, free)
        if freed is not None:
            self._freed[key] = freed
            while len(self._freed) > _REMEMBERED:
                del self._freed[next(iter(self._freed))]
        return freed is not None

    async def watch(self, pattern: str = ">") -> AsyncGenerator[tuple[str, bytes | None], None]:
        """All that is there, then every change, as (key, value), None for a key that fell free. It survives a restart of the server.

        One that was away for so long that the server has forgotten what was freed meanwhile finds that out when it is back.
        Of several changes in quick succession only the last may come. Leave it by `aclosing`, or by cancelling who iterates.
        """
        async with aclosing(self.changes(pattern)) as changes:
            async for change in changes:
                if change is not None:
                    yield change.key, change.value

    async def changes(self, pattern: str = ">") -> AsyncGenerator["Change | None", None]:
        """As `watch`, with revisions, and a None in between when all that was there has been told."""
        told: asyncio.Queue[Msg] = asyncio.Queue()
        subscription, left = await self._subscribe(pattern, told)
        known, connected, look_at = dict[str, int](), self._reconnects, time.monotonic() + _LOOK
        try:
            leave_if_cancelled()
            if left == 0:
                yield None
            while not self._connection.nc.is_closed:
                message = await _next(told)
                if message is not None:
                    change = self._read(message)
                    known[change.key] = change.revision
                    if change.value is None:
                        del known[change.key]
                    yield change
                    left -= 1
                    if left == 0:
                        yield None
                if connected != self._reconnects or time.monotonic() > look_at:
                    connected, gone = self._reconnects, await self._gone(pattern, known)
                    look_at = time.monotonic() + (_LOOK if gone is not None else _LOOK_AGAIN)
                    for change in gone or ():
                        del known[change.key]
                        yield change
        finally:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()

    async def _subscribe(self, pattern: str, told: asyncio.Queue[Msg]) -> tuple[JetStreamContext.PushSubscription, int]:
        """The subscription, and how many keys there are to be told of first."""

        async def hear(message: Msg) -> None:
            told.put_nowait(message)

        try:
            subscription = await self._connection.js.subscribe(
                self._prefix + pattern,
                stream=self._stream,
                cb=hear,
                ordered_consumer=True,
                idle_heartbeat=_HEARTBEAT,
                config=ConsumerConfig(deliver_policy=DeliverPolicy.LAST_PER_SUBJECT),
            )
            there = await subscription.consumer_info()
        except (TimeoutError, nats.errors.Error) as error:
            raise NoAnswer(_what("watch", self._prefix + pattern, error)) from error
        return subscription, (there.num_pending or 0) + (there.delivered.consumer_seq if there.delivered else 0)

    @property
    def _reconnects(self) -> int:
        return self._connection.nc.stats["reconnects"]

    def _read(self, message: Msg) -> Change:
        free = _is_marker(message.headers or {})
        return Change(message.subject.removeprefix(self._prefix), None if free else message.data, message.metadata.sequence.stream)

    async def _gone(self, pattern: str, known: Mapping[str, int]) -> list[Change] | None:
        """The keys of which the stream has nothing any more; None if it does not say.

        What marks that a key fell free is kept for a minute only: who was away for longer is never told.
        """
        try:
            async with asyncio.timeout(_ANSWER_LIMIT):
                info = await self._connection.js.stream_info(self._stream, subjects_filter=self._prefix + pattern)
        except (TimeoutError, nats.errors.Error):
            return None
        leave_if_cancelled()
        there, newest = info.state.subjects or {}, max(known.values(), default=0)
        if info.state.last_seq < newest:  # it has not read its own log yet
            return None
        return [Change(key, None, revision) for key, revision in known.items() if self._prefix + key not in there]

    async def _put_if_free(self, key: str, value: bytes, headers: dict[str, str]) -> int | None:
        freed = self._freed.pop(key, None)
        if freed is not None and (taken := await self._put(key, value, freed, headers)) is not None:
            return taken
        _, revision, found = await self._last(key)
        if revision and not _is_marker(found):
            return None
        return await self._put(key, value, revision, headers)

    async def _put(self, key: str, value: bytes, last: int, headers: dict[str, str]) -> int | None:
        """An answer that got lost is looked up by the message's id: a guarded write that took effect refuses its own repetition."""
        mine = uuid.uuid4().hex
        guarded = {**headers, "Nats-Expected-Last-Subject-Sequence": str(last), "Nats-Msg-Id": mine}
        try:
            stored = await self._connection.js.publish(self._subject(key), value, timeout=_ANSWER_LIMIT, headers=guarded)
        except APIError as error:
            if error.err_code != _WRONG_LAST_SEQUENCE:
                raise NoAnswer(_what("write", self._subject(key), error)) from error
            return None
        except NoStreamResponseError as error:  # the stream has no leader, so there is nothing to look up, and nobody who could
            raise NoAnswer(_what("write", self._subject(key), error)) from error
        except (TimeoutError, nats.errors.Error) as error:
            _, revision, found = await self._last(key)
            if found.get("Nats-Msg-Id") == mine:
                return revision
            raise NoAnswer(f"write {self._subject(key)}") from error
        return stored.seq

    async def _last(self, key: str) -> tuple[bytes, int, dict[str, str]]:
        """From the stream's leader, not a replica that may lag; sequence 0 when there is nothing."""
        try:
            async with asyncio.timeout(_ANSWER_LIMIT):
                message = await self._connection.js.get_last_msg(self._stream, self._subject(key))
        except NotFoundError:
            return b"", 0, {}
        except (TimeoutError, nats.errors.Error) as error:
            raise NoAnswer(_what("read", self._subject(key), error)) from error
        return message.data or b"", cast("int", message.seq), cast("dict[str, str]", message.headers or {})

    def _subject(self, key: str) -> str:
        if not _KEY.match(key):
            msg = f"{json.dumps(key)} is no key; use letters, digits, - _ = / and inner dots"
            raise ValueError(msg)
        return self._prefix + key


def _what(verb: str, subject: str, error: Exception) -> str:
    return f"{verb} {subject}{f' ({error.description})' if isinstance(error, APIError) else ''}"


async def _next(told: asyncio.Queue[Msg]) -> Msg | None:
    """The next message, or None if there is none for a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_HEARTBEAT):
            return await told.get()
    return None


def _is_marker(headers: dict[str, str]) -> bool:
    return any(marker in headers for marker in _MARKERS)


def _expiring(ttl: timedelta) -> dict[str, str]:
    seconds, rest = divmod(ttl, timedelta(seconds=1))
    if rest or seconds < 1:
        msg = f"a lease lasts whole seconds, at least one, not {ttl}"
        raise ValueError(msg)
    return {"Nats-TTL": f"{seconds}s"}
