"""The journal: guarded, idempotent writes, and one reader per host that feeds every actor's folds."""

import asyncio
import json
import math
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog
from nats.errors import Error as NatsError
from nats.js.api import PubAck, RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from bus.clock import ServerClock
from bus.connection import Connection
from bus.errors import LostRace, NamespaceMissing, NoAnswer
from bus.lines import line_of
from bus.reading import OrderedReader, Stored
from bus.room import Room
from bus.subjects import PARTITIONS, Subjects
from messages.events import Recorded, RunEvent, evidence_id
from messages.fault_events import ActionFailed, FaultRevertFailed
from messages.judgements import ReportPublished
from messages.run_events import ActionExpired, RunAccepted, RunFinished, SubmitRequested

_log = structlog.get_logger()
WRONG_LAST_SEQUENCE = 10071
Line = Recorded[RunEvent]


@dataclass(frozen=True, slots=True)
class Guard:
    """Nothing was stored on `subject` after `last`, and the write has not waited for the bus for too long."""

    subject: str
    last: int
    until: float = math.inf
    """The reading of this process's monotonic clock after which what was decided follows no longer."""


class Witness(Protocol):
    """Told which lines are written through a journal. May neither block nor raise."""

    def sending(self, identity: str) -> None:
        """The line with this id is being written; it may be read back before that is known to be done."""

    def settled(self, identity: str, *, ours: bool) -> None:
        """It is stored, and whether this journal stored it or somebody had before; or it is not stored (not `ours`)."""


class Journal:
    """Writes events of runs and reads them. All actors of a host share one."""

    def __init__(self, connection: Connection, subjects: Subjects, stream: str, clock: ServerClock, witness: Witness | None = None) -> None:
        self._connection = self.connection = connection
        self.subjects = subjects
        self.stream = stream
        self.clock = clock
        self._witness = witness
        self.room = Room(connection, stream)

    async def write(self, partition: int, run: str, actor: str, event: RunEvent, guard: Guard | None, traceparent: str | None) -> int:
        """Store an event once; its sequence. Waits over an outage of the server, by which an `ago` then grows.

        Raises:
            LostRace: the guard did not hold and the event is not stored; if it was given up, it may be in the journal all the same.
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
            if guard is not None and time.monotonic() > guard.until:
                return await self._mine(guard, headers["Nats-Msg-Id"]), unsure
            try:
                stored = await self._publish(subject, _body(event, time.monotonic() - begun), headers)
            except APIError as error:
                if error.err_code == WRONG_LAST_SEQUENCE and guard is not None:
                    return await self._mine(guard, headers["Nats-Msg-Id"]), unsure
                pause = await self.room.wait(error, pause)
            except (TimeoutError, NatsError, OSError) as error:
                unsure = True
                pause = await self.room.wait(error, pause)
            else:
                return stored.seq, unsure or not stored.duplicate

    async def _connected(self) -> None:
        """What the client sends while it is disconnected is stored much later, and with an age that is wrong by then."""
        while not self._connection.nc.is_connected:  # noqa: ASYNC110  nats-py has no event for it
            await asyncio.sleep(0.02)

    async def _publish(self, subject: str, body: bytes, headers: dict[str, str]) -> PubAck:
        stored = await self._connection.js.publish(subject, body, timeout=2, headers=dict(headers))
        self.room.found()
        return stored

    async def _mine(self, guard: Guard, message_id: str) -> int:
        """After a refusal: the sequence if the newest message under the guard is mine (its acknowledgement was lost)."""
        last = await self._last(guard.subject)
        if last is not None and last[1] == message_id:
            return last[0]
        raise LostRace(guard.subject, last[0] if last else 0)

    async def _last(self, subject: str) -> tuple[int, str | None] | None:
        found = await self._newest(subject)
        return (found.seq or 0, (found.headers or {}).get("Nats-Msg-Id")) if found is not None else None

    async def _newest(self, subject: str) -> RawStreamMsg | None:
        """The newest message on a subject by the word of the stream's leader: a replica may not have my own yet."""
        while True:
            await self._connected()
            try:
                return await self._connection.js.get_last_msg(self.stream, subject)
            except NotFoundError:
                return None
            except (TimeoutError, NatsError, OSError) as error:
                _log.warning("journal.unread", subject=subject, error=str(error) or type(error).__name__)
                await asyncio.sleep(0.05)

    async def newest_of(self, run: str, partition: int) -> int:
        """The newest sequence of a run by the word of the stream's leader; 0 if it has none. Waits over an outage."""
        newest = await self._last(self.subjects.of_run(run, partition))
        return newest[0] if newest is not None else 0

    async def last_sequence(self) -> int:
        """The newest sequence of the stream; sets the clock by the way.

        Raises:
            NamespaceMissing: there is no such stream.
        """
        asked = time.monotonic()
        info = await self._info({})
        self.clock.set(datetime.fromisoformat(info["ts"]), asked, time.monotonic())
        return int(info["state"]["last_seq"])

    async def _info(self, question: dict[str, str | int]) -> dict[str, Any]:
        """What the stream says about itself. An answer without it is none: who took it for an empty stream would forget its runs."""
        answer = await self._connection.nc.request(f"$JS.API.STREAM.INFO.{self.stream}", json.dumps(question).encode(), timeout=5)
        info: dict[str, Any] = json.loads(answer.data)
        if info.get("error", {}).get("code") == 404:
            raise NamespaceMissing(self.stream)
        if "error" in info:
            raise NoAnswer(f"ask about {self.stream} ({info['error'].get('description')})")
        return info

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
        subject, found, seen, total = self.subjects.everywhere(actor, entity, type_name), dict[str, int](), 0, 1
        while seen < total:
            try:
                info = await self._info({"subjects_filter": subject, "offset": seen})
            except NamespaceMissing:
                return {}
            subjects = info["state"].get("subjects") or {}
            addresses = (self.subjects.read(name) for name in subjects)
            found |= {address.run: address.partition for address in addresses if address is not None}
            seen, total = seen + len(subjects), int(info.get("total", 0)) if subjects else 0
        return found

    async def open_runs(self) -> dict[str, int]:
        """The runs that are accepted and not reported, the oldest first, and their partitions."""
        accepted = await self.runs_with("scheduler", "run", RunAccepted.type_name())
        reported = await self.runs_with("reporter", "run", ReportPublished.type_name())
        return {run: accepted[run] for run in sorted(accepted.keys() - reported.keys())}

    async def runs_to_take_up(self) -> dict[str, int]:
        """The runs in which something may be left to do, those that are submitted and not accepted yet too; and their partitions."""
        submitted = await self.runs_with("control", "run", SubmitRequested.type_name())
        accepted = await self.runs_with("scheduler", "run", RunAccepted.type_name())
        reported = await self.runs_with("reporter", "run", ReportPublished.type_name())
        begun = {run: partition for run, partition in (submitted | accepted).items() if run not in reported}
        return begun | await self.given_up_runs()  # these last: what was reported by now was given up before

    async def given_up_runs(self) -> dict[str, int]:
        """The runs in which something was given up, reported or not, so that a fault may be left; and their partitions."""
        expired = await self.runs_with("scheduler", "*", ActionExpired.type_name())
        return expired | await self.runs_with("chaos-injector", "*", FaultRevertFailed.type_name())

    async def unsettled_runs(self) -> dict[str, int]:
        """The accepted runs that are not over, and those in which a fault or a process may be left; and their partitions."""
        accepted = await self.runs_with("scheduler", "run", RunAccepted.type_name())
        finished = await self.runs_with("scheduler", "run", RunFinished.type_name())
        unstopped = await self.runs_with("chaos-injector", "release", ActionFailed.type_name())
        begun = {run: partition for run, partition in accepted.items() if run not in finished}
        return begun | unstopped | await self.given_up_runs()

    async def read_runs(self, runs: Iterable[str], until: int, deliver: Callable[[Line], None], *, unreadable: bool = False) -> None:
        """Hand every line of these runs up to a sequence to `deliver`, in stream order; `unreadable` ones too, if asked for.

        Waits over an outage of the server, but for no line that is purged meanwhile.
        """
        names = list(runs)
        for start in range(0, len(names), 50):
            await self._replay([self.subjects.of_run(run) for run in names[start : start + 50]], until, deliver, unreadable=unreadable)

    async def _replay(self, filters: list[str], until: int, deliver: Callable[[Line], None], *, unreadable: bool) -> None:
        def on_stored(stored: Stored) -> None:
            line = self.line(stored, unreadable=unreadable) if stored.sequence <= until else None
            if line is not None:
                deliver(line)

        await OrderedReader(self._connection, self.stream, filters, on_stored).read_until(until)

    def follow(self, after: int, deliver: Callable[[Line], None], *, run: str | None = None) -> OrderedReader:
        """A reader of every line after a sequence, of all runs or of one; the caller runs it."""
        return self._reader([self.subjects.of_run(run) if run else self.subjects.journal], after, deliver)

    def follow_partitions(self, partitions: Collection[int], after: int, deliver: Callable[[Line], None]) -> OrderedReader:
        """A reader of every line, unreadable ones too, and of every timer that fires after a sequence in these partitions."""
        every = len(partitions) == PARTITIONS
        names = ["*"] if every else [str(partition) for partition in sorted(partitions)]
        return self._reader([subject for name in names for subject in self.subjects.of_partition(name)], after, deliver, unreadable=True)

    def _reader(self, filters: list[str], after: int, deliver: Callable[[Line], None], *, unreadable: bool = False) -> OrderedReader:

        def on_stored(stored: Stored) -> None:
            line = self.line(stored, unreadable=unreadable)
            if line is not None:
                deliver(line)

        return OrderedReader(self._connection, self.stream, filters, on_stored, after=after)

    def line(self, stored: Stored, *, unreadable: bool = False) -> Line | None:
        """The journal line of a stored message. One that this version cannot read is logged, and None (or `Unreadable`, if asked for)."""
        line = line_of(self.subjects, stored, unreadable=unreadable)
        if line is not None:
            self.clock.observe(stored.at)
        return line

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
                if error.err_code == WRONG_LAST_SEQUENCE:
                    newest = await self._last(subject)
                    return newest[0] if newest is not None and newest[1] == mine else None
                pause = await self.room.wait(error, pause)
            except (TimeoutError, NatsError, OSError) as error:
                pause = await self.room.wait(error, pause)

    async def scheduled(self, subject: str) -> tuple[int, datetime] | None:
        """The sequence of the scheduled message on a subject and its time, by the word of the stream's leader; None if there is none."""
        found = await self._newest(subject)
        if found is None:
            return None
        return found.seq or 0, datetime.fromisoformat((found.headers or {})["Nats-Schedule"].removeprefix("@at "))

    async def unschedule(self, subject: str) -> None:
        """Take a scheduled message back. It may fire all the same, and does when the server does not answer."""
        try:
            await self._connection.js.purge_stream(self.stream, subject=subject)
        except (TimeoutError, NatsError, OSError) as error:
            _log.info("timer.left", subject=subject, error=str(error) or type(error).__name__)


def aged(event: RunEvent, seconds: float) -> RunEvent:
    """The event so much later: what it was measured at stays, so that an `ago` grows."""
    ago = getattr(event, "ago", None)
    if isinstance(ago, timedelta) and seconds > 0.001:
        return event.model_copy(update={"ago": ago + timedelta(seconds=seconds)})
    return event


def _body(event: RunEvent, waited: float) -> bytes:
    return aged(event, waited).model_dump_json(by_alias=True).encode()
