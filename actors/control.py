"""What the scheduler's host answers: scenarios taken or refused, runs listed, shown and taken in hand."""

import asyncio
import json
from collections.abc import Mapping

import structlog

from actors.levers import NOTHING, UNNAMED, Levers
from actors.summaries import fold_run, list_runs, submitted, summary_of
from bus.archive import Archive
from bus.connection import Connection
from bus.control import Verb
from bus.intake import FILE, LARGE, REHEARSE, SPEED, SYSTEM, VARIABLES, Submission
from bus.journal import Journal
from bus.keys import Keys
from bus.subjects import partition_of
from bus.topology import Names
from messages.control import Finding, Rejected, RunRequest, RunsReply, SubmitReply, SubmitRequest
from messages.ids import new_run_id, seed_of
from messages.run_events import RunAccepted, SubmitRequested
from messages.system import System
from scenarios.errors import DocumentErrors
from scenarios.loader import Resolved, as_text, resolve
from scenarios.vocabulary import Assertions

_log = structlog.get_logger()
MAX_RESOLVED = 900 * 1024


class Acceptance:
    """Turns scenarios into runs, by the systems that this host was started with."""

    def __init__(
        self,
        systems: Mapping[str, System],
        vocabularies: Mapping[str, Assertions] | None = None,
        *,
        allow_systems: bool,
        own: frozenset[str] = frozenset(),
    ) -> None:
        """`own` are documents of this host's user, whose systems are trusted as if they were configuration."""
        self._systems = systems
        self._vocabularies = vocabularies
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
            vocabularies=self._vocabularies,
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
            if submission.rehearse is None:  # nobody may be disturbed who only wanted a rehearsal
                raise DocumentErrors((_finding(submission.file, f"the header {REHEARSE} is neither true nor false"),))
            text = submission.text.decode("utf-8", errors="strict")
            found = self.check(text, submission.file, submission.system, submission.variables, seed_of(submission.run), submission.speed)
            accepted = RunAccepted(
                key=submission.key,
                scenario=found.scenario,
                system=found.system,
                submitted=submission.at,
                rehearsal=submission.rehearse,
            )
            if len(accepted.model_dump_json(by_alias=True)) > MAX_RESOLVED:
                raise DocumentErrors((_finding(submission.file, "the resolved document is larger than 900 KiB"),))
        except UnicodeDecodeError as error:
            return _rejected(submission, (_finding(submission.file, f"not UTF-8 text: {error.reason} at byte {error.start}"),))
        except DocumentErrors as errors:
            return _rejected(submission, errors.findings)
        return accepted


class Control:
    """The verbs of the control service."""

    def __init__(self, connection: Connection, journal: Journal, acceptance: Acceptance, systems: Keys) -> None:
        """`systems` are the keys of the systems that runs have; the hold is one of them."""
        self._connection = connection
        self._journal = journal
        self._acceptance = acceptance
        self._levers = Levers(journal, systems)

    def verbs(self) -> Mapping[str, Verb]:
        """What may be asked."""
        return {
            "submit": self.submit,
            "rerun": self.rerun,
            "validate": self.validate,
            "list": self.list,
            "status": self.status,
            **self._levers.verbs(),
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
        asked = SubmitRequested(principal=principal)
        await self._journal.room.within(self._journal.write(partition_of(key), run, "control", asked, None, None))
        headers = {"Nats-Msg-Id": run, FILE: request.file, VARIABLES: json.dumps(request.variables), SPEED: repr(request.speed)}
        if request.rehearse:
            headers[REHEARSE] = "true"
        if request.system:
            headers[SYSTEM] = request.system
        published = self._connection.js.publish(self._journal.subjects.scenario(key), request.document.encode(), headers=headers)
        await self._journal.room.within(published, Names(self._journal.subjects.namespace).scenarios)
        return SubmitReply(run_id=run, scenario=found.scenario.name)

    async def rerun(self, body: bytes, principal: str) -> SubmitReply:
        """Run again what a run did: its scenario as the journal has it, with its variables and all that was drawn; a rehearsal as one."""
        run = RunRequest.model_validate_json(body or NOTHING).run_id
        if run is None:
            return SubmitReply(findings=(_finding("run", UNNAMED),))
        accepted = await Archive(self._journal).accepted(run)
        if accepted is None:
            return SubmitReply(findings=(_finding(run, f"there is no run {run}"),))
        text, rehearse = as_text(accepted.scenario), accepted.rehearsal
        again = SubmitRequest(document=text, file=f"run {run}", key=accepted.key, rehearse=rehearse)
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
        """The newest runs, and those from before that are unsettled."""
        RunRequest.model_validate_json(body or NOTHING)
        return RunsReply(runs=tuple(await list_runs(self._journal)))

    async def status(self, body: bytes, _principal: str) -> RunsReply:
        """One run."""
        run = RunRequest.model_validate_json(body or NOTHING).run_id
        if run is None:
            return RunsReply(error=UNNAMED)
        state = await fold_run(self._journal, run)
        if state.accepted is None:
            waiting = await submitted(self._journal, run)
            return RunsReply(runs=(waiting,)) if waiting is not None else RunsReply(error=f"there is no run {run}")
        return RunsReply(runs=(summary_of(state),))


def _finding(file: str, what: str) -> Finding:
    return Finding(file=file, line=1, column=1, what=what)


def _rejected(submission: Submission, findings: tuple[Finding, ...]) -> Rejected:
    return Rejected(subject=submission.subject, sequence=submission.sequence, run_id=submission.run, reason="invalid", findings=findings)


__all__ = ["Acceptance", "Control", "fold_run", "list_runs", "summary_of"]
