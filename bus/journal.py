"""The journal: guarded, idempotent writes, and one reader per host that feeds every actor's folds."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from nats.errors import Error as NatsError
from nats.js.api import PubAck
from nats.js.errors import APIError, NotFoundError
from pydantic import ValidationError

from bus.actor import TimerDue
from bus.clock import ServerClock
from bus.connection import Connection
from bus.errors import NamespaceMissing, NoAnswer
from bus.reading import OrderedReader, Stored
from bus.subjects import Subjects
from messages.catalogue import decode
from messages.events import Recorded, RunEvent, evidence_id
from messages.judgements import ReportPublished
from messages.run_events import RunAccepted

_log = structlog.get_logger()
WRONG_LAST_SEQUENCE = 10071
Line = Recorded[RunEvent]


@dataclass(frozen=True, slots=True)
class Guard:
    """Nothing was stored on `subject` after `last`."""

    subject: str
    last: int


class LostRace(Exception):
    """Someone else wrote first: what was decided no longer follows. Final; decide again from the newer journal."""

    def __init__(self, subject: str, sequence: int) -> None:
        super().__init__(f"another writer was first on {subject} (sequence {sequence})")
        self.sequence = sequence


class Witness(Protocol):
    """Told which lines are written through a journal. May neither block nor raise."""

    def sending(self, identity: str) -> None:
        """The line with this id is being written; it may be read back before that is known to be done."""

    def settled(self, identity: str, *, ours: bool) -> None:
        """It is stored, and whether this journal stored it or somebody had before; or it is not stored (not `ours`)."""


class Journal:
    """Writes events of runs and reads them. All actors of a host share one."""

    def __init__(self, connection: Connection, subjects: Subjects, stream: str, clock: ServerClock, witness: Witness | None = None) -> None:
        self._connection = connection
        self.subjects = subjects
        self.stream = stream
        self.clock = clock
        self._witness = witness

    async def write(self, partition: int, run: str, actor: str, event: RunEvent, guard: Guard | None, traceparent: str | None) -> int:
        """Store an event once; its sequence. Waits over an outage of the server, by which an `ago` then grows.

        Raises:
            LostRace: the guard did not hold and the event is not stored.
        """
        identity, ours = f"{run}.{evidence_id(actor, event)}", False
        headers = {"Nats-Msg-Id": identity}
        if traceparent:
            headers["traceparent"] = traceparent
        if guard is not None:
            headers |= {
                "Nats-Expected-Last-Subject-Sequence": str(guard.last),
                "Nats-Expected-Last-Subject-Sequence-Subject": guard.subject,
            }
        if self._witness is not None:
            self._witness.sending(identity)
        try:
            sequence, ours = await self._store(self.subjects.event(partition, run, actor, event), event, headers, guard)
            return sequence
        finally:
            if self._witness is not None:
                self._witness.settled(identity, ours=ours)

    async def _store(self, subject: str, event: RunEvent, headers: dict[str, str], guard: Guard | None) -> tuple[int, bool]:
        """The sequence, and whether it is of this call's making: after an attempt without an answer a duplicate is."""
        begun, pause, unsure = time.monotonic(), 0.05, False
        while True:
            await self._connected()
            try:
                stored = await self._publish(subject, _body(event, time.monotonic() - begun), headers)
            except APIError as error:
                if error.err_code != WRONG_LAST_SEQUENCE or guard is None:
                    raise
                return await self._mine(guard, headers["Nats-Msg-Id"]), unsure
            except (TimeoutError, NatsError, OSError) as error:
                _log.warning("journal.retry", subject=subject, error=str(error) or type(error).__name__)
                unsure = True
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            else:
                return stored.seq, unsure or not stored.duplicate

    async def _connected(self) -> None:
        """What the client sends while it is disconnected is stored much later, and with an age that is wrong by then."""
        while not self._connection.nc.is_connected:  # noqa: ASYNC110  nats-py has no event for it
            await asyncio.sleep(0.02)

    async def _publish(self, subject: str, body: bytes, headers: dict[str, str]) -> PubAck:
        return await self._connection.js.publish(subject, body, timeout=2, headers=dict(headers))

    async def _mine(self, guard: Guard, message_id: str) -> int:
        """After a refusal: the sequence if the newest message under the guard is mine (its acknowledgement was lost)."""
        last = await self._last(guard.subject)
        if last is not None and last[1] == message_id:
            return last[0]
        raise LostRace(guard.subject, last[0] if last else 0)

    async def _last(self, subject: str) -> tuple[int, str | None] | None:
        try:
            found = await self._connection.js.get_last_msg(self.stream, subject, direct=True)
        except NotFoundError:
            return None
        return found.seq or 0, (found.headers or {}).get("Nats-Msg-Id")

    async def last_sequence(self) -> int:
        """The newest sequence of the stream; sets the clock by the way.

        Raises:
            NamespaceMissing: there is no such stream.
        """
        asked = time.monotonic()
        answer = await self._connection.nc.request(f"$JS.API.STREAM.INFO.{self.stream}", timeout=5)
        info = json.loads(answer.data)
        if info.get("error", {}).get("code") == 404:
            raise NamespaceMissing(self.stream)
        if "error" in info:
            raise NoAnswer(f"the size of {self.stream}: {info['error'].get('description')}")
        self.clock.set(datetime.fromisoformat(info["ts"]), asked, time.monotonic())
        return int(info["state"]["last_seq"])

    async def find(self, run: str, actor: str, entity: str, event: type[RunEvent]) -> Line | None:
        """This event of this run, if it was stored."""
        namespace = self.subjects.namespace
        subject = f"{namespace}.run.*.{run}.{actor}.{entity}.{event.type_name()}"
        try:
            found = await self._connection.js.get_last_msg(self.stream, subject, direct=True)
        except NotFoundError:
            return None
        at = found.time or self.clock.now()
        return self.line(Stored(found.subject or "", found.data or b"", dict(found.headers or {}), found.seq or 0, at, 0))

    async def runs_with(self, actor: str, entity: str, type_name: str) -> dict[str, int]:
        """The runs that have this event, and their partitions."""
        subject, found, total = self.subjects.everywhere(actor, entity, type_name), dict[str, int](), 1
        while len(found) < total:
            request = json.dumps({"subjects_filter": subject, "offset": len(found)}).encode()
            answer = await self._connection.nc.request(f"$JS.API.STREAM.INFO.{self.stream}", request, timeout=5)
            info = json.loads(answer.data)
            subjects = info.get("state", {}).get("subjects") or {}
            addresses = (self.subjects.read(name) for name in subjects)
            found |= {address.run: address.partition for address in addresses if address is not None}
            total = int(info.get("total", 0)) if subjects else 0
        return found

    async def open_runs(self) -> list[str]:
        """The runs that are accepted and not reported, the oldest first."""
        accepted = await self.runs_with("scheduler", "run", RunAccepted.type_name())
        reported = await self.runs_with("reporter", "run", ReportPublished.type_name())
        return sorted(set(accepted) - set(reported))

    async def read_runs(self, runs: Iterable[str], until: int, deliver: Callable[[Line], None]) -> None:
        """Hand every line of these runs up to a sequence to `deliver`, in stream order."""
        names = list(runs)
        for start in range(0, len(names), 50):
            await self._replay([self.subjects.of_run(run) for run in names[start : start + 50]], until, deliver)

    async def _replay(self, filters: list[str], until: int, deliver: Callable[[Line], None]) -> None:
        done = asyncio.Event()

        def on_stored(stored: Stored) -> None:
            line = self.line(stored) if stored.sequence <= until else None
            if line is not None:
                deliver(line)
            if stored.pending == 0 or stored.sequence >= until:
                done.set()

        info = await self._connection.js.stream_info(self.stream, subjects_filter=filters[0])
        if not info.state.subjects and len(filters) == 1:
            return
        reader = OrderedReader(self._connection, self.stream, filters, on_stored)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(reader.run())
            await done.wait()
            task.cancel()

    def follow(self, after: int, deliver: Callable[[Line], None], *, run: str | None = None, due: bool = True) -> OrderedReader:
        """A reader of every line after a sequence, of all runs or of one; the caller runs it."""
        filters = [self.subjects.of_run(run) if run else self.subjects.journal]
        if due and run is None:
            filters.append(self.subjects.due)

        def on_stored(stored: Stored) -> None:
            line = self.line(stored)
            if line is not None:
                deliver(line)

        return OrderedReader(self._connection, self.stream, filters, on_stored, after=after)

    def line(self, stored: Stored) -> Line | None:
        """The journal line of a stored message; None for one that this version cannot read, which is logged."""
        address = self.subjects.read(stored.subject)
        if address is None:
            return None
        self.clock.observe(stored.at)
        event: RunEvent | None
        if address.kind == "due":
            event = TimerDue(name=address.entity, body=stored.data, reach=address.type)
        else:
            event = self._decode(address.type, stored)
        if event is None:
            return None
        return Recorded(
            event=event,
            run=address.run,
            partition=address.partition,
            actor=address.actor,
            entity=address.entity,
            sequence=stored.sequence,
            at=stored.at,
            id=stored.headers.get("Nats-Msg-Id", ""),
            traceparent=stored.headers.get("traceparent"),
        )

    def _decode(self, type_name: str, stored: Stored) -> RunEvent | None:
        for candidate in (type_name, type_name.rpartition(".")[0]):
            try:
                event = decode(candidate, stored.data)
            except ValidationError as error:
                _log.error("journal.unreadable", subject=stored.subject, sequence=stored.sequence, error=str(error))
                return None
            if event is not None:
                return event
        _log.warning("journal.unknown", subject=stored.subject, sequence=stored.sequence)
        return None

    async def schedule(self, subject: str, target: str, at: datetime, body: bytes, last: int) -> int | None:
        """Store a scheduled message whose predecessor has the sequence `last` (0: none); its sequence, or None if that is not so."""
        when = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        mine = f"timer-{uuid.uuid4().hex}"
        headers = {"Nats-Schedule": f"@at {when}", "Nats-Schedule-Target": target, "Nats-Msg-Id": mine}
        headers["Nats-Expected-Last-Subject-Sequence"] = str(last)
        pause = 0.05
        while True:
            await self._connected()
            try:
                return (await self._publish(subject, body, headers)).seq
            except APIError as error:
                if error.err_code != WRONG_LAST_SEQUENCE:
                    raise
                newest = await self._last(subject)
                return newest[0] if newest is not None and newest[1] == mine else None
            except (TimeoutError, NatsError, OSError) as error:
                _log.warning("timer.retry", subject=subject, error=str(error) or type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    async def unschedule(self, subject: str) -> None:
        """Take a scheduled message back. It may fire all the same, and does when the server does not answer."""
        try:
            await self._connection.js.purge_stream(self.stream, subject=subject)
        except (TimeoutError, NatsError, OSError) as error:
            _log.info("timer.left", subject=subject, error=str(error) or type(error).__name__)


def _body(event: RunEvent, waited: float) -> bytes:
    ago = getattr(event, "ago", None)
    if isinstance(ago, timedelta) and waited > 0.001:
        event = event.model_copy(update={"ago": ago + timedelta(seconds=waited)})
    return event.model_dump_json(by_alias=True).encode()
