"""What was open when its process died: runs that nobody goes on with, and scenarios that never became one."""

from dataclasses import dataclass

from actors.control import fold_run
from actors.scheduler import Scheduler
from bus.archive import Archive
from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.errors import NamespaceMissing
from bus.intake import FILE
from bus.journal import Journal
from bus.subjects import Subjects
from bus.topology import Names
from deploy.settings import CONNECT_LIMIT, Settings
from messages.control import Finding, Rejected
from messages.run_events import AbortRequested, RunAccepted, RunFinished
from runs.state import RunState


@dataclass(frozen=True)
class Left:
    """What a process left."""

    runs: tuple[RunState, ...] = ()
    """As they were when they were found."""
    scenarios: tuple[str, ...] = ()
    """Files of scenarios that had not become runs, if they were rejected."""


async def end_left(url: str, settings: Settings, principal: str, message: str, *, waiting: bool) -> Left:
    """Ask for the end of every run that is open, and reject what is `waiting` to become one. Before a host starts, so that none goes on."""
    names = Names(settings.instance.namespace)
    async with connect(url, name=settings.instance.client_name("guard"), timeout=CONNECT_LIMIT) as connection:
        journal = Journal(connection, Subjects(names.namespace), names.runs, ServerClock())
        try:
            await journal.last_sequence()
        except NamespaceMissing:
            return Left()
        runs = await abort_left(journal, principal, message)
        return Left(tuple(runs), tuple(await reject_left(connection, journal)) if waiting else ())


async def abort_left(journal: Journal, principal: str, message: str) -> list[RunState]:
    """Ask for the end of every run that is open, and say how each stands."""
    accepted = await journal.runs_with(Scheduler.name, "run", RunAccepted.type_name())
    finished = await journal.runs_with(Scheduler.name, "run", RunFinished.type_name())
    left = sorted(set(accepted) - set(finished))
    for run in left:
        line = await journal.find(run, Scheduler.name, "run", RunAccepted)
        event = AbortRequested(principal=principal, message=message)
        await journal.write(accepted[run], run, "control", event, None, line.traceparent if line is not None else None)
    return [await fold_run(journal, run) for run in left]


async def reject_left(connection: Connection, journal: Journal) -> list[str]:
    """Reject the scenarios that wait to be accepted, and name their files."""
    stream, subjects = Names(journal.subjects.namespace).scenarios, journal.subjects
    archive, sequence, rejected = Archive(journal), 0, list[str]()
    for _ in range((await connection.js.stream_info(stream)).state.messages):
        found = await connection.js.get_msg(stream, seq=sequence + 1, subject=">", next=True)
        subject, headers, sequence = found.subject or "", found.headers or {}, found.seq or 0
        if not subject.startswith(f"{subjects.namespace}.queue."):
            continue  # it can never become a run, and every intake says so
        run = headers.get("Nats-Msg-Id")
        if run is not None and await archive.has(run):
            await connection.js.delete_msg(stream, sequence)  # it is a run; a server that starts again finds what was acknowledged, too
            continue
        key, file = subject.rpartition(".")[2], headers.get(FILE) or "scenario"
        why = Finding(file=file, line=1, column=1, what="its coordinator died before it became a run", right="submit it again")
        told = Rejected(subject=subjects.scenario(key), sequence=sequence, run_id=run, reason="invalid", findings=(why,))
        once = {"Nats-Msg-Id": f"rejected-{sequence}"}
        await connection.js.publish(subjects.rejected(key), told.model_dump_json().encode(), headers=once)
        await connection.js.delete_msg(stream, sequence)
        rejected.append(file)
    return rejected
