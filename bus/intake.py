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

from bus.cancelling import leave_if_cancelled
from bus.connection import Connection
from bus.journal import Guard, Journal, LostRace
from bus.topology import Names
from messages.control import Finding, Rejected
from messages.ids import derived_run_id, is_run_id, traceparent_of
from messages.run_events import RunAccepted
from messages.values import TOKEN_PATTERN

_log = structlog.get_logger()
VARIABLES, SYSTEM, FILE, SPEED = "Scenario-Variables", "Scenario-System", "Scenario-File", "Scenario-Speed"
"""Headers that a publisher may set: a JSON object of texts, the name of a system, what findings call the document, how fast it runs."""
_BATCH = 4
"""How many are taken at once: all of them are decided within the time that a message may take."""
LARGE = 32 * 1024
"""Bytes from which a document is read in a thread, so that nothing else has to wait."""
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


class Acceptor(Protocol):
    """Says what becomes of a scenario."""

    def accept(self, submission: Submission) -> RunAccepted | Rejected:
        """The run, or why not."""


class Intake:
    """Feeds published scenarios to an acceptor, in the order of their stream."""

    def __init__(self, connection: Connection, journal: Journal, acceptor: Acceptor) -> None:
        self._connection = connection
        self._journal = journal
        self._acceptor = acceptor
        self._names = Names(journal.subjects.namespace)

    async def run(self) -> None:
        """Take scenarios until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take("scheduler"))
            tasks.create_task(self._take("rejector"))

    async def _take(self, consumer: str) -> None:
        while True:
            subscription = await self._connection.js.pull_subscribe_bind(consumer=consumer, stream=self._names.scenarios)
            try:
                await self._pull(consumer, subscription)
            except (NatsError, OSError) as error:
                _log.info("intake.retry", consumer=consumer, error=str(error) or type(error).__name__)
            finally:
                await _leave(subscription)
            await asyncio.sleep(0.2)

    async def _pull(self, consumer: str, subscription: JetStreamContext.PullSubscription) -> None:
        while True:
            leave_if_cancelled()
            try:
                messages = await subscription.fetch(_BATCH, timeout=5)
            except TimeoutError:
                continue
            for message in messages:
                if consumer == "scheduler":
                    await self._decide(message)
                else:
                    await self._reject(_unroutable(message, message.subject), "none", message)

    async def _decide(self, message: Msg) -> None:
        submission = self._read(message)
        if KEY.fullmatch(submission.key) is None:
            await self._reject(_unroutable(message, submission.subject), "none", message)
            return
        decided = await self._accept(submission)
        if isinstance(decided, Rejected):
            await self._reject(decided, submission.key, message)
            return
        guard = Guard(self._journal.subjects.of_actor(submission.partition, submission.run, "scheduler"), 0)
        try:
            await self._journal.write(submission.partition, submission.run, "scheduler", decided, guard, submission.traceparent)
        except LostRace:
            _log.info("intake.repeated", run=submission.run)
        await message.ack()

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
        )


def _variables(header: str | None) -> dict[str, str] | None:
    if not header:
        return {}
    try:
        values = json.loads(header)
    except ValueError:
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


async def _leave(subscription: JetStreamContext.PullSubscription) -> None:
    try:
        await subscription.unsubscribe()
    except (NatsError, OSError):
        _log.debug("intake.left")
