"""What the scheduler's host answers: scenarios taken or refused, runs listed, shown and aborted."""

import asyncio
import json
from collections.abc import Mapping

import structlog

from bus.connection import Connection
from bus.control import Verb
from bus.intake import FILE, LARGE, SPEED, SYSTEM, VARIABLES, Submission
from bus.journal import Journal
from bus.subjects import partition_of
from messages.control import Done, Finding, Rejected, RunRequest, RunsReply, RunSummary, SubmitReply, SubmitRequest
from messages.ids import new_run_id, seed_of
from messages.run_events import AbortRequested, RunAccepted, RunFinished, RunStarted, SubmitRequested
from messages.system import System
from runs.state import RunState
from scenarios.errors import DocumentErrors
from scenarios.loader import Resolved, as_text, resolve

_log = structlog.get_logger()
LISTED = 200
"""How many runs a list has at most, the newest first."""
MAX_RESOLVED = 900 * 1024


class Acceptance:
    """Turns scenarios into runs, by the systems that this host was started with."""

    def __init__(self, systems: Mapping[str, System], *, allow_systems: bool, own: frozenset[str] = frozenset()) -> None:
        """`own` are documents of this host's user, whose systems are trusted as if they were configuration."""
        self._systems = systems
        self._allow_systems = allow_systems
        self._own = own

    def check(self, text: str, file: str, system: str | None, variables: Mapping[str, str], seed: int = 0, speed: float = 1.0) -> Resolved:
        """Both documents, resolved; random plans without a seed are drawn with this one, times are divided by `speed`.

        Raises:
            DocumentErrors: every mistake.
        """
        return resolve(
            text,
            file=file,
            systems=self._systems,
            system=system,
            variables=variables,
            allow_systems=self._allow_systems or text in self._own,
            seed=seed,
            speed=speed,
        )

    def accept(self, submission: Submission) -> RunAccepted | Rejected:
        """The run of a published scenario, or why there is none."""
        try:
            if submission.variables is None:
                raise DocumentErrors((_finding(submission.file, f"the header {VARIABLES} is not a JSON object of texts"),))
            if submission.speed is None:
                raise DocumentErrors((_finding(submission.file, f"the header {SPEED} is not a number"),))
            text = submission.text.decode("utf-8", errors="strict")
            found = self.check(text, submission.file, submission.system, submission.variables, seed_of(submission.run), submission.speed)
            accepted = RunAccepted(key=submission.key, scenario=found.scenario, system=found.system, submitted=submission.at)
            if len(accepted.model_dump_json(by_alias=True)) > MAX_RESOLVED:
                raise DocumentErrors((_finding(submission.file, "the resolved document is larger than 900 KiB"),))
        except UnicodeDecodeError as error:
            return _rejected(submission, (_finding(submission.file, f"not UTF-8 text: {error.reason} at byte {error.start}"),))
        except DocumentErrors as errors:
            return _rejected(submission, errors.findings)
        return accepted


class Control:
    """The verbs of the control service."""

    def __init__(self, connection: Connection, journal: Journal, acceptance: Acceptance) -> None:
        self._connection = connection
        self._journal = journal
        self._acceptance = acceptance

    def verbs(self) -> Mapping[str, Verb]:
        """What may be asked."""
        return {
            "submit": self.submit,
            "rerun": self.rerun,
            "validate": self.validate,
            "list": self.list,
            "status": self.status,
            "abort": self.abort,
        }

    async def validate(self, body: bytes, _principal: str) -> SubmitReply:
        """Every mistake in a document."""
        request = SubmitRequest.model_validate_json(body)
        found = await self._resolved(request)
        return found if isinstance(found, SubmitReply) else SubmitReply(scenario=found.scenario.name)

    async def submit(self, body: bytes, principal: str) -> SubmitReply:
        """Publish a valid scenario, in the name of the principal."""
        request = SubmitRequest.model_validate_json(body)
        found = await self._resolved(request)
        if isinstance(found, SubmitReply):
            return found
        key, run = request.key or found.system.name, new_run_id(self._journal.clock.now())
        await self._journal.write(partition_of(key), run, "control", SubmitRequested(principal=principal), None, None)
        headers = {"Nats-Msg-Id": run, FILE: request.file, VARIABLES: json.dumps(request.variables), SPEED: repr(request.speed)}
        if request.system:
            headers[SYSTEM] = request.system
        await self._connection.js.publish(self._journal.subjects.scenario(key), request.document.encode(), headers=headers)
        return SubmitReply(run_id=run, scenario=found.scenario.name)

    async def rerun(self, body: bytes, principal: str) -> SubmitReply:
        """Run again what a run did: its scenario as the journal has it, with its variables and everything that was drawn."""
        request = RunRequest.model_validate_json(body)
        run = request.run_id or ""
        accepted = await self._journal.find(run, "scheduler", "run", RunAccepted)
        if accepted is None or not isinstance(accepted.event, RunAccepted):
            return SubmitReply(findings=(_finding(run, f"there is no run {run}"),))
        again = SubmitRequest(document=as_text(accepted.event.scenario), file=f"run {run}", key=accepted.event.key)
        return await self.submit(again.model_dump_json().encode(), principal)

    async def _resolved(self, request: SubmitRequest) -> Resolved | SubmitReply:
        told = (request.document, request.file, request.system, request.variables, 0, request.speed)
        try:
            if len(request.document) > LARGE:
                return await asyncio.to_thread(self._acceptance.check, *told)
            return self._acceptance.check(*told)
        except DocumentErrors as errors:
            return SubmitReply(findings=errors.findings)

    async def list(self, body: bytes, _principal: str) -> RunsReply:
        """The newest runs."""
        RunRequest.model_validate_json(body or b"{}")
        return RunsReply(runs=tuple(await list_runs(self._journal)))

    async def status(self, body: bytes, _principal: str) -> RunsReply:
        """One run."""
        request = RunRequest.model_validate_json(body)
        state = await fold_run(self._journal, request.run_id or "")
        if state.accepted is None:
            return RunsReply(error=f"there is no run {request.run_id}")
        return RunsReply(runs=(summary_of(state),))

    async def abort(self, body: bytes, principal: str) -> Done:
        """Write down that the run is to end; its scheduler acts on it."""
        request = RunRequest.model_validate_json(body)
        run = request.run_id or ""
        accepted = await self._journal.find(run, "scheduler", "run", RunAccepted)
        if accepted is None:
            return Done(run_id=run, error=f"there is no run {run}")
        if await self._journal.find(run, "scheduler", "run", RunFinished) is not None:
            return Done(run_id=run, error=f"run {run} is already finished")
        event = AbortRequested(principal=principal, message=request.message)
        await self._journal.write(accepted.partition, run, "control", event, None, accepted.traceparent)
        return Done(run_id=run)


async def fold_run(journal: Journal, run: str) -> RunState:
    """The state of one run, from its whole journal."""
    state = RunState(run)
    await journal.read_runs([run], await journal.last_sequence(), state.apply)
    return state


async def list_runs(journal: Journal) -> list[RunSummary]:
    """The newest runs, the newest first."""
    runs = sorted(await journal.runs_with("scheduler", "run", RunAccepted.type_name()), reverse=True)
    found = [await _summary(journal, run) for run in runs[:LISTED]]
    return [summary for summary in found if summary is not None]


async def _summary(journal: Journal, run: str) -> RunSummary | None:
    accepted = await journal.find(run, "scheduler", "run", RunAccepted)
    if accepted is None or not isinstance(accepted.event, RunAccepted):
        return None
    started = await journal.find(run, "scheduler", "run", RunStarted)
    finished = await journal.find(run, "scheduler", "run", RunFinished)
    end = finished.event if finished is not None and isinstance(finished.event, RunFinished) else None
    return RunSummary(
        run_id=run,
        scenario=accepted.event.scenario.name,
        system=accepted.event.system.name,
        verdict=end.verdict if end else None,
        reason=end.reason if end else None,
        stage="finished" if end else "running" if started else "waiting",
        started=started.at if started else None,
        finished=finished.at if finished else None,
        tags=accepted.event.scenario.metadata.tags,
    )


def summary_of(state: RunState) -> RunSummary:
    """One run in a line."""
    return RunSummary(
        run_id=state.id,
        scenario=state.scenario.name,
        system=state.system.name,
        verdict=state.finished.verdict if state.finished else None,
        reason=state.finished.reason if state.finished else None,
        stage=state.stage_name(),
        started=state.started,
        finished=state.finished_at,
        tags=state.scenario.metadata.tags,
    )


def _finding(file: str, what: str) -> Finding:
    return Finding(file=file, line=1, column=1, what=what)


def _rejected(submission: Submission, findings: tuple[Finding, ...]) -> Rejected:
    return Rejected(subject=submission.subject, sequence=submission.sequence, run_id=submission.run, reason="invalid", findings=findings)


__all__ = ["Acceptance", "Control", "fold_run", "list_runs", "summary_of"]
