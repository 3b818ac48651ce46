"""The service events of a system: read in order from the streams that capture them, and known to be read up to an instant."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import nats.errors
from nats.js.errors import APIError, NotFoundError
from pydantic_core import from_json

from bus.cancelling import leave_if_cancelled
from bus.connection import Connection
from bus.errors import NoAnswer, TopologyRefused
from bus.reading import OrderedReader, Stored
from bus.subjects import widest
from bus.topology import ensure_events_stream, events_captors
from messages.claims import ServiceEvent
from messages.correlations import Unreadable
from messages.expressions import Bindings

ANSWER_LIMIT = 2.0
"""Seconds that the server has for an answer, and the reader for its next message."""
LONGEST_NAME = 512
"""Characters that an event's id, type and source may have; what is longer is not read as an event."""
EXCERPT = 200
"""Characters that are kept of a message that is no event."""
Deliver = Callable[[datetime, ServiceEvent | Unreadable], None]
"""Gets each message's stored time, and its event, or what is no CloudEvent."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Messages were stored in this span that can no longer be read."""

    start: datetime
    end: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Look:
    """What is certain after a look at the streams."""

    until: datetime
    """Every event stored before this instant was delivered, except for what is in `lost`."""
    through: int
    """The stream's sequence that was read."""
    lost: tuple[Lost, ...] = ()


class EventStreams:
    """The event streams of systems. All observers of a host share one."""

    def __init__(self, connection: Connection, *, replicas: int = 1) -> None:
        self._connection = connection
        self._replicas = replicas

    async def prepare(self, system: str, subjects: Sequence[str]) -> dict[str, list[str]]:
        """See to it that the system's events are captured; the streams and what each one captures of them.

        Raises:
            NoAnswer: repeat it.
            BusError: they cannot be captured, or not be read whole; the text says what to change.
        """
        if not subjects:
            return {}
        try:
            captors = await ensure_events_stream(self._connection.js, system, subjects, replicas=self._replicas)
        except APIError as error:
            raise TopologyRefused(f"AUDIT-{system}", str(error.description)) from error
        streams: dict[str, list[str]] = {}
        for subject, stream in captors.items():
            streams.setdefault(stream, []).append(subject)
        return streams

    async def follow(self, system: str, subjects: Sequence[str], since: datetime, deliver: Deliver, *, known: int | None) -> "Following":
        """A reading of all events stored since an instant. `known` is the sequence through which they were read soon after it, if ever.

        Raises:
            NoAnswer: repeat it.
            BusError: as `prepare`.
        """
        streams = await self.prepare(system, subjects)
        base = known if len(streams) == 1 else None
        return Following([_Source(self._connection, stream, filters, since, deliver, base) for stream, filters in streams.items()], since)

    async def recall(self, system: str, subjects: Sequence[str], since: datetime, deliver: Deliver) -> list[str]:
        """Read once what the streams hold now and was stored since an instant. Changes nothing; the subjects that no stream captures.

        Raises:
            NoAnswer: repeat it.
            BusError: a stream cannot be read whole.
        """
        captors = await events_captors(self._connection.js, system, subjects)
        streams: dict[str, list[str]] = {}
        for subject, stream in captors.items():
            if stream is not None:
                streams.setdefault(stream, []).append(subject)
        for stream, filters in streams.items():
            await _recall(self._connection, stream, filters, since, deliver)
        return [subject for subject, stream in captors.items() if stream is None]


async def _recall(connection: Connection, stream: str, filters: list[str], since: datetime, deliver: Deliver) -> None:
    def on_stored(stored: Stored) -> None:
        if stored.at >= since:
            deliver(stored.at, read_event(stored))

    try:
        last = (await connection.js.stream_info(stream)).state.last_seq
    except (TimeoutError, nats.errors.Error, OSError) as error:
        raise NoAnswer(f"ask about {stream}") from error
    await OrderedReader(connection, stream, widest(filters), on_stored, since=since).read_until(last)


class Following:
    """Reads the streams of one system for one run; `look` says how far it is."""

    def __init__(self, sources: list["_Source"], since: datetime) -> None:
        self._sources = sources
        self._proven = since

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources:
                tasks.create_task(source.reader.run())

    async def look(self, floor: datetime) -> Look:
        """Wait until everything is read that the streams hold now. `floor` is an instant that the server's clock has passed.

        Raises:
            NoAnswer: the server is away, or the reader has stood still; repeat it.
        """
        until, lost = max(floor, self._proven), list[Lost]()
        told = [await source.catch_up(lost) for source in self._sources]
        self._proven = max(self._proven, min(told, default=floor))
        return Look(until, max((source.passed for source in self._sources), default=0), tuple(lost))


@dataclass(frozen=True, slots=True)
class _State:
    """What a stream says of itself."""

    told: datetime
    first: int
    last: int
    first_at: datetime


@dataclass(eq=False)
class _Source:
    """One stream, and how far it was read."""

    connection: Connection
    stream: str
    subjects: list[str]
    since: datetime
    deliver: Deliver
    known: int | None
    reader: OrderedReader = field(init=False)
    passed: int = 0
    """Everything up to this sequence was read, or is not about us."""
    _looked: datetime | None = None
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.reader = OrderedReader(self.connection, self.stream, widest(self.subjects), self._on_stored, since=self.since)

    def _on_stored(self, stored: Stored) -> None:
        if stored.at >= self.since:
            self.deliver(stored.at, read_event(stored))
        self._moved.set()

    async def catch_up(self, lost: list[Lost]) -> datetime:
        """Read all that the stream holds; when that was."""
        asked_at = self.reader.sequence  # it may read on while the server answers
        state = await self._ask_state()
        self._find_loss(state, asked_at, lost)
        if self.reader.sequence < state.last:
            await self._read_to(await self._newest())
        self.passed = max(self.passed, state.last)
        self._looked = state.told
        return state.told

    def _find_loss(self, state: _State, asked_at: int, lost: list[Lost]) -> None:
        if self._looked is None:
            self.passed = state.first - 1 if self.known is None else self.known
        read = max(self.passed, asked_at)
        if state.last < read:
            lost.append(Lost(self._looked or self.since, state.told, f"stream {self.stream} was deleted and made anew"))
            self.passed = self.reader.sequence = 0
        elif state.first > read + 1 and state.first_at > self.since:
            why = f"stream {self.stream} no longer has the sequences {read + 1} to {state.first - 1}"
            lost.append(Lost(self._looked or self.since, state.first_at, why))
            self.passed = state.first - 1

    async def _ask_state(self) -> _State:
        info = await self._request(f"$JS.API.STREAM.INFO.{self.stream}")
        told, state = datetime.fromisoformat(info["ts"]), info["state"]
        first_at = datetime.fromisoformat(state["first_ts"]) if state["messages"] else told
        return _State(told, int(state["first_seq"]), int(state["last_seq"]), first_at)

    async def _newest(self) -> int:
        """The newest sequence on the subjects, 0 if there is nothing to read."""
        newest = 0
        for subject in self.subjects:
            try:
                found = await self.connection.js.get_last_msg(self.stream, subject)
            except NotFoundError:
                continue
            except (TimeoutError, nats.errors.Error) as error:
                raise NoAnswer(f"read {self.stream}") from error
            if found.time is not None and found.time >= self.since:
                newest = max(newest, found.seq or 0)
        return newest

    async def _read_to(self, sequence: int) -> None:
        try:
            while self.reader.sequence < sequence:
                self._moved.clear()
                async with asyncio.timeout(ANSWER_LIMIT):
                    await self._moved.wait()
        except TimeoutError as error:
            raise NoAnswer(f"deliver {self.stream} through {sequence}") from error

    async def _request(self, subject: str) -> dict[str, Any]:
        try:
            answer = await self.connection.nc.request(subject, timeout=ANSWER_LIMIT)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise NoAnswer(subject) from error
        leave_if_cancelled()
        read: dict[str, Any] = json.loads(answer.data)
        if "error" in read:
            raise NoAnswer(f"{subject} ({read['error'].get('description')})")
        return read


def read_event(stored: Stored) -> ServiceEvent | Unreadable:
    """The CloudEvent in a message, structured or binary (NATS protocol binding for CloudEvents 1.0 §3); else how it begins."""
    headers = stored.headers
    attributes = {name.lower()[3:]: value for name, value in headers.items() if name.lower().startswith("ce-")} if headers else {}
    try:
        event = {**attributes, "data": _data(stored)} if "id" in attributes else _loads(stored.data)
        names = (event["id"], event["type"], event["source"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return _unreadable(stored)
    for name in names:
        if not (isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and (name.isascii() or _is_text(name))):
            return _unreadable(stored)
    return ServiceEvent(*names, stored.sequence, stored.at, Bindings({"event": event}))


def _unreadable(stored: Stored) -> Unreadable:
    text = stored.data[: 4 * EXCERPT].decode(errors="replace")[:EXCERPT]
    return Unreadable(sequence=stored.sequence, at=stored.at, subject=stored.subject, text=text)


def _data(stored: Stored) -> Any:
    try:
        return _loads(stored.data) if stored.data else None
    except (ValueError, RecursionError):
        return stored.data.decode(errors="replace")


def _loads(data: bytes) -> Any:
    try:
        return from_json(data)
    except ValueError:  # in another encoding, with half a character, or nested deeply: the slower one takes some of that
        return json.loads(data)


def _is_text(name: str) -> bool:  # JSON may hold halves of surrogate pairs, which cannot be stored
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
