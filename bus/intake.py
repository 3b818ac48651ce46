"""Taking scenarios from their stream: each becomes a run or a rejection, once, whatever dies in between."""

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from bus.archive import Archive, is_young
from bus.cancelling import end, leave_if_cancelled
from bus.connection import Connection
from bus.errors import BusError, LostRace
from bus.journal import Guard, Journal
from bus.share import Share
from bus.topology import Names
from messages.control import Finding, Rejected
from messages.ids import derived_run_id, is_run_id, traceparent_of
from messages.run_events import RunAccepted
from messages.values import TOKEN_PATTERN

_log = structlog.get_logger()
VARIABLES, SYSTEM, FILE, SPEED = "Scenario-Variables", "Scenario-System", "Scenario-File", "Scenario-Speed"
"""Headers that a publisher may set: a JSON object of texts, the name of a system, what findings call the document, how fast it runs."""
REHEARSE = "Scenario-Rehearse"
"""A header with `true` asks for all but the faults."""
LARGE = 32 * 1024
"""Bytes from which a document is read in a thread, so that nothing else has to wait."""
TRIES = 3
"""How often a scenario is tried whose handling fails in a way that nobody has foreseen."""
_REHEARSE = {"true": True, "false": False, "": False}
KEY = re.compile(TOKEN_PATTERN)
"""What a key must be. The server routes others as well, and a run with such a key could not be written down."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A scenario as it was published."""

    text: bytes
    key: str
    partition: int
    run: str
    subject: str
    sequence: int
    at: datetime
    traceparent: str
    file: str
    system: str | None
    variables: dict[str, str] | None
    """None: the header is not a JSON object of texts."""
    speed: float | None = 1.0
    """None: the header is no number."""
    rehearse: bool | None = False
    """None: the header is neither true nor false."""


class Acceptor(Protocol):
    """Says what becomes of a scenario."""

    def accept(self, submission: Submission) -> RunAccepted | Rejected:
        """The run, or why not."""


class Intake:
    """Feeds published scenarios to an acceptor, those of one partition in the order of their stream."""

    def __init__(self, connection: Connection, journal: Journal, acceptor: Acceptor, share: Share) -> None:
        """Takes the scenarios of the partitions in `share`."""
        self._connection = connection
        self._journal = journal
        self._archive = Archive(journal)
        self._acceptor = acceptor
        self._share = share
        self._names = Names(journal.subjects.namespace)

    async def run(self) -> None:
        """Take scenarios until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take("rejector"))
            taking: dict[int, asyncio.Task[None]] = {}
            while True:
                owned = self._share.owned & self._share.serving
                for partition in owned - taking.keys():
                    taking[partition] = tasks.create_task(self._take(f"scheduler-{partition}"))
                await end([taking.pop(partition) for partition in taking.keys() - owned])
                await self._share.changed.wait()

    async def _take(self, consumer: str) -> None:
        while True:
            subscription = await self._connection.js.pull_subscribe_bind(consumer=consumer, stream=self._names.scenarios)
            try:
                await self._pull(consumer, subscription)
            except (NatsError, OSError, BusError) as error:
                _log.info("intake.retry", consumer=consumer, error=str(error) or type(error).__name__)
            finally:
                await _leave(subscription)
            await asyncio.sleep(0.2)

    async def _pull(self, consumer: str, subscription: JetStreamContext.PullSubscription) -> None:
        while True:
            leave_if_cancelled()
            try:
                messages = await subscription.fetch(1, timeout=5)
            except TimeoutError:
                continue
            for message in messages:
                if consumer == "rejector":
                    await self._reject(_unroutable(message, message.subject), "none", message)
                else:
                    await self._settle(message)

    async def _settle(self, message: Msg) -> None:
        """Decide; what fails at each of its tries is rejected: it must not come back for ever and keep the others waiting."""
        try:
            await self._decide(message)
        except (NatsError, OSError, BusError):
            raise
        except Exception as error:  # noqa: BLE001 - a border: one scenario must not stop all
            _log.exception("intake.failed", subject=message.subject, sequence=message.metadata.sequence.stream)
            if (message.metadata.num_delivered or 1) < TRIES:
                return
            await self._reject(_undecidable(message, type(error).__name__), "none", message)

    async def _decide(self, message: Msg) -> None:
        submission = self._read(message)
        if KEY.fullmatch(submission.key) is None:
            await self._reject(_unroutable(message, submission.subject), "none", message)
            return
        if await self._is_repeated(submission):
            _log.info("intake.repeated", run=submission.run)
            await message.ack()
            return
        decided = await self._accept(submission)
        if isinstance(decided, Rejected):
            await self._reject(decided, submission.key, message)
            return
        try:
            await self._share.hold(submission.partition)
        except LostRace:
            return
        guard = Guard(self._journal.subjects.of_actor(submission.partition, submission.run, "scheduler"), 0)
        try:
            await self._journal.write(submission.partition, submission.run, "scheduler", decided, guard, submission.traceparent)
        except LostRace:
            _log.info("intake.repeated", run=submission.run)
        await message.ack()

    async def _is_repeated(self, submission: Submission) -> bool:
        """Whether it became a run so long ago that the stream may not know of it any more. A new one costs no question."""
        return not is_young(submission.run, self._journal.clock.now()) and await self._archive.has(submission.run)

    async def _accept(self, submission: Submission) -> RunAccepted | Rejected:
        """What the acceptor says. A scenario on which it raises is rejected: it must not come back for ever and keep the others waiting."""
        try:
            if len(submission.text) > LARGE:
                return await asyncio.to_thread(self._acceptor.accept, submission)
            return self._acceptor.accept(submission)
        except Exception as error:  # noqa: BLE001 - a border: one scenario must not stop all
            _log.exception("scenario.unreadable", subject=submission.subject, sequence=submission.sequence)
            finding = Finding(file=submission.file, line=1, column=1, what=f"could not be read: {type(error).__name__}: {error}")
            return Rejected(
                subject=submission.subject, sequence=submission.sequence, run_id=submission.run, reason="invalid", findings=(finding,)
            )

    async def _reject(self, rejected: Rejected, key: str, message: Msg) -> None:
        body = rejected.model_dump_json().encode()
        identity = {"Nats-Msg-Id": f"rejected-{rejected.sequence}"}
        await self._connection.js.publish(self._journal.subjects.rejected(key), body, headers=identity)
        _log.info("scenario.rejected", subject=rejected.subject, findings=len(rejected.findings))
        await message.ack()

    def _read(self, message: Msg) -> Submission:
        headers = message.headers or {}
        metadata = message.metadata
        _, _, partition, key = message.subject.split(".", 3)
        wished = headers.get("Nats-Msg-Id", "")
        run = wished if is_run_id(wished) else derived_run_id(metadata.timestamp, metadata.sequence.stream)
        return Submission(
            text=message.data,
            key=key,
            partition=int(partition),
            run=run,
            subject=self._journal.subjects.scenario(key),
            sequence=metadata.sequence.stream,
            at=metadata.timestamp,
            traceparent=traceparent_of(run, headers.get("traceparent")),
            file=headers.get(FILE) or "scenario",
            system=headers.get(SYSTEM) or None,
            variables=_variables(headers.get(VARIABLES)),
            speed=_speed(headers.get(SPEED)),
            rehearse=_REHEARSE.get(headers.get(REHEARSE, "false").strip().lower()),
        )


def _variables(header: str | None) -> dict[str, str] | None:
    if not header:
        return {}
    try:
        values = json.loads(header)
    except (ValueError, RecursionError):
        return None
    plain = isinstance(values, dict) and all(isinstance(v, str) for v in values.values())
    return values if plain else None


def _speed(header: str | None) -> float | None:
    try:
        return float(header) if header else 1.0
    except ValueError:
        return None


def _unroutable(message: Msg, subject: str) -> Rejected:
    what = f"{subject} is not where a scenario can be published"
    right = "publish it on <namespace>.scenarios.<key>; the key is one token of letters, digits, - and _"
    finding = Finding(file="scenario", line=1, column=1, what=what, right=right)
    return Rejected(subject=subject, sequence=message.metadata.sequence.stream, run_id=None, reason="unroutable", findings=(finding,))


def _undecidable(message: Msg, error: str) -> Rejected:
    finding = Finding(file="scenario", line=1, column=1, what=f"could not be taken: {error}")
    subject = message.subject.encode(errors="replace").decode()
    return Rejected(subject=subject, sequence=message.metadata.sequence.stream, run_id=None, reason="invalid", findings=(finding,))


async def _leave(subscription: JetStreamContext.PullSubscription) -> None:
    try:
        await subscription.unsubscribe()
    except (NatsError, OSError):
        _log.debug("intake.left")
