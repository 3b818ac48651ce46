"""The archive: journals of runs that are long over, each one object, compressed, word for word as the stream had it."""

import asyncio
import base64
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import nats.errors
import structlog
from pydantic import ValidationError

from bus.errors import NoAnswer, ObjectMissing
from bus.journal import Journal, Line
from bus.objects import ObjectStore
from bus.reading import OrderedReader, Stored
from bus.topology import Names
from messages.control import RunSummary
from messages.ids import made_at
from messages.judgements import ReportPublished
from messages.run_events import RunAccepted, RunFinished

_log = structlog.get_logger()
_KEPT = ("Nats-Msg-Id", "traceparent")
"""The headers that mean something after a line was stored."""
YOUNG = timedelta(seconds=30)
"""No run whose id was made less long ago is in the archive: shorter than any retention, by more than the clocks of servers differ."""
_LIMIT = 60.0
"""Seconds for reading one journal; 100,000 lines take some."""
_STORING = 40.0
"""Seconds for storing one: nobody waits for it, and the object store gives up before."""


class Archive:
    """Runs whose journal was moved into the object store. Every method raises NoAnswer when the bus does not answer."""

    def __init__(self, journal: Journal) -> None:
        self._connection = journal.connection
        self._journal = journal
        self._bucket = Names(journal.subjects.namespace).archive
        self._objects = ObjectStore(journal.connection, self._bucket)
        self._reported: dict[str, datetime] = {}
        """When the runs whose journal is in the stream were reported, as far as it was asked."""

    async def runs(self) -> list[str]:
        """The runs that are in the archive."""
        return await self._objects.names()

    async def reported_before(self, instant: datetime) -> list[str]:
        """The runs in the stream that were reported before an instant, the oldest first; not those whose id says that it was made later.

        So a young id is not in the archive, however wrong the clock of its publisher is.
        """
        with _answering("find what was reported"):
            runs = await self._journal.runs_with("reporter", "run", ReportPublished.type_name())
            for run in runs.keys() - self._reported.keys():
                line = await self._journal.find(run, "reporter", "run", ReportPublished)
                if line is not None:
                    self._reported[run] = line.at
        self._reported = {run: at for run, at in self._reported.items() if run in runs}
        due = [run for run, at in self._reported.items() if at < instant and made_at(run) < instant.timestamp() * 1000]
        return sorted(due, key=lambda run: self._reported[run])

    async def summary(self, run: str) -> RunSummary | None:
        """A run in the archive, told without reading its journal; None if it is not there."""
        told = await self._objects.describe(run)
        try:
            return RunSummary.model_validate_json(told) if told else None
        except ValidationError as error:
            _log.error("archive.unreadable", run=run, error=str(error))
            return None

    async def has(self, run: str) -> bool:
        """Whether there ever was this run, wherever it is kept."""
        with _answering(f"look up {run}"):  # the stream first: what is moved meanwhile is in the archive before it leaves the stream
            found = await self._journal.find(run, "scheduler", "run", RunAccepted)
        return found is not None or await self._objects.describe(run) is not None

    async def is_over(self, run: str) -> bool:
        """Whether a run is finished, wherever its journal is kept."""
        if await self._journal.find(run, "scheduler", "run", RunFinished) is not None:
            return True
        return await self._objects.describe(run) is not None

    async def read(self, run: str) -> list[Line]:
        """Every line of a run in stream order, wherever it is kept."""
        return [line for line, _ in await self.read_raw(run)]

    async def read_raw(self, run: str) -> list[tuple[Line, bytes]]:
        """As `read`, each line with the event's JSON as it is stored."""
        stored = await self._read_stream(run)  # first: what is moved meanwhile is in the archive before it leaves the stream
        archived = await self._read_object(run)
        last = archived[-1].sequence if archived else 0
        messages = (*archived, *(message for message in stored if message.sequence > last))
        return [(line, message.data) for message in messages if (line := self._journal.line(message)) is not None]

    async def moved(self, run: str) -> list[Line]:
        """Every line of a run that is in the archive, in stream order; none if it is still in the stream alone."""
        return self._lines(await self._read_object(run))

    async def accepted(self, run: str) -> RunAccepted | None:
        """What a run was to do, wherever it is kept; None if there is no such run."""
        found = await self._journal.find(run, "scheduler", "run", RunAccepted)
        lines = [found] if found is not None else await self.moved(run)
        return next((line.event for line in lines if isinstance(line.event, RunAccepted)), None)

    async def move(self, run: str, summary: RunSummary) -> bool:
        """Move a run's journal out of the stream; False if what is in the archive is not all of it, and then nothing is taken away.

        May be done again after a crash at any point, and by several hosts at once: the first object is final, and only what
        it holds is purged.

        Raises:
            StorageFull: the archive has no room.
        """
        stored = await self._read_stream(run)
        if await self._objects.describe(run) is None and await self._is_whole(run, stored):
            packed = await asyncio.to_thread(_packed, stored)
            creating = self._objects.create(run, packed, summary.model_dump_json())
            await self._journal.room.within(creating, f"OBJ_{self._bucket}", _STORING)
        archived = await self._read_object(run)
        kept = {message.sequence: message for message in archived}
        last = archived[-1].sequence if archived else 0
        if not archived or any(not _same(kept.get(message.sequence), message) for message in stored if message.sequence <= last):
            _log.error("archive.differs", run=run, lines=len(stored), archived=len(archived))
            return False
        await self._purge(run, last)
        return True

    async def _is_whole(self, run: str, stored: list[Stored]) -> bool:
        """Whether as many lines were read as the stream says that it has, from the first one on."""
        lines = (self._journal.subjects.read(message.subject) for message in stored)
        begins = any(line is not None and line.type == RunAccepted.type_name() for line in lines)
        return begins and await self._count(run) == len(stored)

    async def _count(self, run: str) -> int:
        with _answering(f"count the lines of {run}"):
            info = await self._connection.js.stream_info(self._journal.stream, subjects_filter=self._journal.subjects.of_run(run))
        return sum((info.state.subjects or {}).values())

    async def _purge(self, run: str, last: int) -> None:
        """What makes it a run goes first of its lines, so that nobody takes it for an open one; its report, by which it is found, last."""
        subjects = self._journal.subjects
        for timers in subjects.timers_of(run):
            await self._purge_subject({"filter": timers})
        for lines in (subjects.of_run_event(run, "scheduler", "run", RunAccepted.type_name()), subjects.of_run(run)):
            await self._purge_subject({"filter": lines, "seq": last + 1})

    async def _purge_subject(self, what: Mapping[str, str | int]) -> None:
        with _answering(f"purge {what}"):
            purge = f"$JS.API.STREAM.PURGE.{self._journal.stream}"
            answer = await self._connection.nc.request(purge, json.dumps(what).encode(), timeout=10)
        if "error" in (told := json.loads(answer.data)):
            raise NoAnswer(f"purge {what} ({told['error'].get('description')})")

    async def _read_stream(self, run: str) -> list[Stored]:
        if not await self._count(run):
            return []
        found, done = list[Stored](), asyncio.Event()

        def take(stored: Stored) -> None:
            found.append(stored)
            if stored.pending == 0:
                done.set()

        reader = OrderedReader(self._connection, self._journal.stream, [self._journal.subjects.of_run(run)], take)
        with _answering(f"read the journal of {run}"):
            async with asyncio.timeout(_LIMIT), asyncio.TaskGroup() as tasks:
                task = tasks.create_task(reader.run())
                await done.wait()
                task.cancel()
        return found

    def _lines(self, stored: Iterable[Stored]) -> list[Line]:
        return [line for message in stored if (line := self._journal.line(message)) is not None]

    async def _read_object(self, run: str) -> list[Stored]:
        try:
            return await asyncio.to_thread(_unpacked, await self._objects.get(run))
        except ObjectMissing:
            return []


def is_young(run: str, now: datetime) -> bool:
    """Whether its id alone says that a run is not in the archive."""
    return made_at(run) > (now - YOUNG).timestamp() * 1000


@contextmanager
def _answering(what: str) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, OSError, nats.errors.Error) as error:
        raise NoAnswer(what) from error


def _packed(lines: list[Stored]) -> bytes:
    """A line of JSON for each; the same bytes for the same lines."""
    told = (
        {
            "subject": line.subject,
            "sequence": line.sequence,
            "at": line.at.isoformat(),
            "headers": {name: value for name in _KEPT if (value := line.headers.get(name)) is not None},
            "body": base64.b64encode(line.data).decode(),
        }
        for line in lines
    )
    return gzip.compress("".join(json.dumps(line) + "\n" for line in told).encode(), mtime=0)


def _unpacked(data: bytes) -> list[Stored]:
    lines = [json.loads(line) for line in gzip.decompress(data).splitlines()]
    return [
        Stored(
            subject=line["subject"],
            data=base64.b64decode(line["body"]),
            headers=line["headers"],
            sequence=line["sequence"],
            at=datetime.fromisoformat(line["at"]),
            pending=0,
        )
        for line in lines
    ]


def _same(archived: Stored | None, stored: Stored) -> bool:
    return archived is not None and (archived.subject, archived.data, archived.at) == (stored.subject, stored.data, stored.at)
