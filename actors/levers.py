"""The verbs that take a running test in hand. Each is written down with its principal; the run's scheduler acts on it."""

import secrets
from collections.abc import Callable, Mapping

import structlog

from actors.summaries import fold_run, submitted, summary_of, unsettled_runs
from bus.archive import Archive
from bus.control import Verb
from bus.errors import LostRace
from bus.journal import Guard, Journal
from bus.keys import Keys
from messages.control import HOLD, Done, Hold, LeverRequest, RunRequest, RunsReply
from messages.run_events import (
    AbortRequested,
    ApproveRequested,
    ControlRequested,
    PauseRequested,
    RejectRequested,
    ReleaseRequested,
    ResolveRequested,
    ResumeRequested,
    RunAccepted,
    RunFinished,
)
from messages.verdicts import Verdict
from runs.state import RunState

_log = structlog.get_logger()
_ATTEMPTS = 10
"""How often a request is decided anew because somebody else's was written first."""
NOTHING = b"{}"
"""What an empty body stands for."""
UNNAMED = "no run is named; give its run_id"
Asking = Callable[[RunState], ControlRequested | str]
"""What is written down about a run as it is, or what keeps it from that: what is so, a semicolon, and what would be right."""


class Levers:
    """What may be asked of runs that are there."""

    def __init__(self, journal: Journal, systems: Keys) -> None:
        self._journal = journal
        self._systems = systems

    def verbs(self) -> Mapping[str, Verb]:
        """What may be asked."""
        return {
            "abort": self.abort,
            "pause": self.pause,
            "resume": self.resume,
            "approve": self.approve,
            "reject": self.reject,
            "resolve": self.resolve,
            "hold": self.hold,
            "release": self.release,
            "revert-all": self.revert_all,
        }

    async def abort(self, body: bytes, principal: str) -> Done:
        """Ask for the end of the run."""
        request = RunRequest.model_validate_json(body or NOTHING)
        run = request.run_id
        if run is None:
            return Done(run_id="", error=UNNAMED)
        accepted = await self._journal.find(run, "scheduler", "run", RunAccepted)
        if accepted is None:
            return Done(run_id=run, error=await self._absent(run))
        if await self._journal.find(run, "scheduler", "run", RunFinished) is not None:
            return Done(run_id=run, error=f"run {run} is already finished")
        event = AbortRequested(principal=principal, message=request.message)
        await self._journal.room.within(self._journal.write(accepted.partition, run, "control", event, None, accepted.traceparent))
        return Done(run_id=run)

    async def pause(self, body: bytes, principal: str) -> Done:
        """Ask a run to stand still."""
        request = _request(body)
        return await self._ask(request, lambda state: _pause(state, principal, request.note))

    async def resume(self, body: bytes, principal: str) -> Done:
        """Ask a paused run to go on."""
        request = _request(body)
        return await self._ask(request, lambda state: _resume(state, principal, request.note))

    async def approve(self, body: bytes, principal: str) -> Done:
        """Say yes to the gate at which a run waits."""
        request = _request(body)
        return await self._ask(request, lambda state: _answer(state, principal, request.note, ApproveRequested))

    async def reject(self, body: bytes, principal: str) -> Done:
        """Say no to the gate at which a run waits."""
        request = _request(body)
        return await self._ask(request, lambda state: _answer(state, principal, request.note, RejectRequested))

    async def resolve(self, body: bytes, principal: str) -> Done:
        """Take down that what an unsafe run left is in order again."""
        request = _request(body)
        return await self._ask(request, lambda state: _resolve(state, principal, request))

    async def hold(self, body: bytes, principal: str) -> Done:
        """Let no run start and no fault happen in the namespace."""
        request = _request(body)
        hold = Hold(principal=principal, note=request.note, since=self._journal.clock.now())
        if await self._systems.create(HOLD, hold.model_dump_json().encode()) is not None:
            _log.info("runs.held", principal=principal, note=request.note)
            return Done(run_id="")
        there = await self._systems.get(HOLD)
        told = f" by {_read(there.value)}" if there is not None else ""
        return Done(run_id="", error=f"all runs are held already{told}; `release` lets them go on")

    async def release(self, body: bytes, principal: str) -> Done:
        """Lift the hold; every run that stands still for it has a line about who did."""
        request = _request(body)
        there = await self._systems.get(HOLD)
        if there is None:
            return Done(run_id="", error="nothing is held")
        for run in await self._journal.open_runs():
            await self._ask(LeverRequest(run_id=run), lambda state: _released(state, principal, request.note))
        if not await self._systems.delete(HOLD, there.revision):
            return Done(run_id="", error="somebody else has just lifted the hold")
        _log.info("runs.released", principal=principal, note=request.note)
        return Done(run_id="")

    async def revert_all(self, body: bytes, principal: str) -> RunsReply:
        """End every open run: they are listed, and with them what was unsafe and nobody has put right."""
        request = _request(body)
        asked = []
        for run in sorted(await self._journal.open_runs(), reverse=True):
            end = RunRequest(run_id=run, message=request.note or "everything is to be undone")
            if (await self.abort(end.model_dump_json().encode(), principal)).error is None:
                asked.append(run)
        ended = [summary_of(await fold_run(self._journal, run)) for run in asked]
        unsafe = [run for run in await unsettled_runs(self._journal) if run.left and run.run_id not in asked]
        return RunsReply(runs=(*ended, *unsafe))

    async def _ask(self, request: LeverRequest, asking: Asking) -> Done:
        """Write down what is asked, decided by the newest journal: of two who ask at once the second sees the first."""
        run = request.run_id
        if run is None:
            return Done(run_id="", error=UNNAMED)
        for _ in range(_ATTEMPTS):
            accepted = await self._journal.find(run, "scheduler", "run", RunAccepted)
            if accepted is None:
                break
            state = await fold_run(self._journal, run)
            event = asking(state)
            if isinstance(event, str):
                return Done(run_id=run, error=event)
            subject = self._journal.subjects.of_actor(accepted.partition, run, "control")
            try:
                guard = Guard(subject, state.standing.last_request)
                writing = self._journal.write(accepted.partition, run, "control", event, guard, accepted.traceparent)
                await self._journal.room.within(writing)
            except LostRace:
                continue
            return Done(run_id=run)
        else:
            return Done(run_id=run, error=f"others ask things of run {run} all the time; ask again")
        return Done(run_id=run, error=await self._absent(run))

    async def _absent(self, run: str) -> str:
        """Why nothing can be asked of a run that is not in the journal's stream."""
        if await Archive(self._journal).summary(run) is not None:
            return f"run {run} is already finished, and in the archive"
        waiting = await submitted(self._journal, run)
        if waiting is not None:
            return f"run {run} was only submitted: {waiting.waits_for}; `test-coordinator health` shows who is at work"
        return f"there is no run {run}"


def _request(body: bytes) -> LeverRequest:
    return LeverRequest.model_validate_json(body or NOTHING)


def _pause(state: RunState, principal: str, note: str) -> PauseRequested | str:
    wanted = state.standing.wanted
    if (over := _over(state)) is not None:
        return over
    if state.started is None:
        waits = f": it waits for {state.waits_for()}" if state.waits_for() else ""
        return f"run {state.id} has not started yet{waits}; `abort` ends it, and `hold` lets no run start"
    if wanted is not None:
        return f"run {state.id} is paused already, by {_who(wanted.principal, wanted.note)}"
    return PauseRequested(principal=principal, note=note, number=_own())


def _resume(state: RunState, principal: str, note: str) -> ResumeRequested | str:
    paused = state.standing.paused
    if (over := _over(state)) is not None:
        return over
    if state.standing.wanted is None and paused is not None and paused.why == "hold":
        return f"run {state.id} is not paused, but held by {_who(paused.by, paused.note)}; `release` lets it go on"
    if state.standing.wanted is None and paused is None:
        gate = "; it waits at a gate: `approve` or `reject`" if state.standing.gate is not None else ""
        return f"run {state.id} is not paused{gate}"
    return ResumeRequested(principal=principal, note=note, number=_own())


def _answer(
    state: RunState, principal: str, note: str, verb: type[ApproveRequested] | type[RejectRequested]
) -> ApproveRequested | RejectRequested | str:
    gate = state.standing.gate
    if (over := _over(state)) is not None:
        return over
    if gate is None:
        return f"nothing in run {state.id} waits for approval"
    if gate.answer is not None:
        return f"{gate.asked.phase} of run {state.id} is answered already, by {_who(gate.answer.principal, gate.answer.note)}"
    if not gate.may_answer(principal):
        return f"{principal} may not answer for {gate.asked.phase} of run {state.id}; {' or '.join(gate.asked.approve)} may"
    return verb(principal=principal, note=note, number=_own(), phase=gate.asked.phase)


def _resolve(state: RunState, principal: str, request: LeverRequest) -> ResolveRequested | str:
    if state.finished is None:
        return f"run {state.id} is not over; `abort` ends it"
    if state.finished.verdict is not Verdict.UNSAFE:
        return f"run {state.id} is {state.finished.verdict}, not unsafe: there is nothing to resolve"
    if not request.note.strip():
        return "the note is empty; say how it was put right"
    if not state.left:
        return f"nothing is left of run {state.id}: it was undone later, or is resolved"
    if request.fault is not None and request.fault not in state.left:
        return f"{request.fault} is not left of run {state.id}; left: {', '.join(state.left)}"
    return ResolveRequested(principal=principal, note=request.note, number=_own(), fault=request.fault)


def _released(state: RunState, principal: str, note: str) -> ReleaseRequested | str:
    paused = state.standing.paused
    if state.finished is not None or paused is None or paused.why != "hold":
        return f"run {state.id} does not stand still for a hold"
    return ReleaseRequested(principal=principal, note=note, number=_own())


def _over(state: RunState) -> str | None:
    """Why nothing can be asked of a run any more."""
    if state.finished is not None:
        return f"run {state.id} is already finished"
    if state.aborting is not None or state.abort_requested is not None:
        return f"run {state.id} is being aborted"
    return f"run {state.id} is over but for stopping its services" if "release" in state.requests else None


def _own() -> int:
    """A number that no other request has: of two with one id, asked at once, the server would keep only the first and refuse neither."""
    return secrets.randbits(32)


def _who(principal: str, note: str) -> str:
    return f"{principal} ({note})" if note else principal


def _read(value: bytes) -> str:
    hold = Hold.model_validate_json(value)
    return f"{_who(hold.principal, hold.note)} since {hold.since:%Y-%m-%d %H:%M:%S} UTC"
