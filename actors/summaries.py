"""Runs in a line each: one from its whole journal, many from a few single messages of each."""

import json
from collections.abc import Collection, Mapping

from bus.archive import Archive
from bus.journal import Journal, Line
from bus.keys import Keys
from bus.queued import queued
from bus.topology import Names
from messages.control import RunSummary
from messages.run_events import (
    GateClosed,
    GateOpened,
    RunAborting,
    RunAccepted,
    RunFinished,
    RunPausing,
    RunResumed,
    RunStarted,
    RunWaiting,
    SubmitRequested,
)
from messages.verdicts import Verdict
from runs.standing import gate_words, pausing_words
from runs.state import RunState

LISTED = 200
"""How many runs a list has, the newest first; of those before only what is unsettled."""
SUBMITTED = "submitted"
"""The stage of a run that no host has taken up."""
NOT_TAKEN_UP = "nobody has taken it up yet"
"""What it waits for then. More stands behind that where nobody is there who could."""


async def fold_run(journal: Journal, run: str) -> RunState:
    """The state of one run, from its whole journal, wherever that is kept."""
    state = RunState(run)
    for line in await Archive(journal).read(run):
        state.apply(line)
    return state


async def list_runs(journal: Journal) -> list[RunSummary]:
    """The newest runs, and behind them those from before that are unsettled; the newest first, those in the archive too."""
    known = await _known(journal)
    waiting = await _submitted(journal, known)
    newest = set(sorted({*known, *waiting}, reverse=True)[:LISTED])
    found = await _summaries(journal, newest.union(waiting, await journal.unsettled_runs()), waiting)
    return [run for run in found if run.run_id in newest or _is_unsettled(run)]


async def unsettled_runs(journal: Journal) -> list[RunSummary]:
    """The runs that are not over, or have left something that nobody has put right since; the newest first, however old they are."""
    waiting = await _submitted(journal, await _known(journal))
    found = await _summaries(journal, {*waiting, *await journal.unsettled_runs()}, waiting)
    return [run for run in found if _is_unsettled(run)]


async def run_ids(journal: Journal) -> list[str]:
    """Every run that there is, the oldest first: those in the archive too, and those that nobody has taken up."""
    known = await _known(journal)
    return sorted({*known, *await _submitted(journal, known)})


async def submitted(journal: Journal, run: str) -> RunSummary | None:
    """A run that was submitted and that nobody has taken up; None if it is not so."""
    return (await _submitted(journal, await _known(journal))).get(run)


def _is_unsettled(run: RunSummary) -> bool:
    return run.verdict is None or bool(run.left)


async def _summaries(journal: Journal, runs: Collection[str], waiting: Mapping[str, RunSummary]) -> list[RunSummary]:
    """The newest first; `waiting` are those that nobody has taken up."""
    archive = Archive(journal)
    found = [waiting.get(run) or await _summary(journal, run) or await archive.summary(run) for run in sorted(runs, reverse=True)]
    return [summary for summary in found if summary is not None]


async def _known(journal: Journal) -> set[str]:
    """The runs that were taken up, wherever their journals are."""
    here = await journal.runs_with("scheduler", "run", RunAccepted.type_name())
    return {*here, *await Archive(journal).runs()}


async def _submitted(journal: Journal, known: Collection[str]) -> dict[str, RunSummary]:
    asked = await journal.runs_with("control", "run", SubmitRequested.type_name())
    waiting = await queued(journal, asked.keys() - set(known))
    owners = await _owners(journal) if waiting else {}
    return {
        run: RunSummary(
            run_id=run,
            scenario=scenario.file,
            system=scenario.system,
            verdict=None,
            stage=SUBMITTED,
            waits_for=NOT_TAKEN_UP + ("" if asked[run] in owners else _unowned(asked[run])),
        )
        for run, scenario in waiting.items()
    }


def _unowned(partition: int) -> str:
    return f": partition {partition} has no owner, and waits for a host with --partitions {partition} or auto"


async def _owners(journal: Journal) -> dict[int, str]:
    """The hosts that live and take scenarios, by partition."""
    names = Names(journal.subjects.namespace)
    entry, leases = await Keys(journal.connection, names.ownership).get("scheduler"), Keys(journal.connection, names.instances)
    owners = {int(partition): str(owner) for partition, owner in json.loads(entry.value).items()} if entry is not None else {}
    living = {owner for owner in set(owners.values()) if await leases.get(owner) is not None}
    return {partition: owner for partition, owner in owners.items() if owner in living}


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
        rehearsal=state.rehearsal,
        waits_for=state.waits_for(),
        left=state.left,
    )


async def _summary(journal: Journal, run: str) -> RunSummary | None:
    """Only of a run that was unsafe all is read: what is left of it."""
    accepted = await journal.find(run, "scheduler", "run", RunAccepted)
    if accepted is None or not isinstance(accepted.event, RunAccepted):
        return None
    started = await journal.find(run, "scheduler", "run", RunStarted)
    finished = await journal.find(run, "scheduler", "run", RunFinished)
    end = finished.event if finished is not None and isinstance(finished.event, RunFinished) else None
    stage, waits_for = ("finished", "") if end else await _standing(journal, run, started)
    return RunSummary(
        run_id=run,
        scenario=accepted.event.scenario.name,
        system=accepted.event.system.name,
        verdict=end.verdict if end else None,
        reason=end.reason if end else None,
        stage=stage,
        started=started.at if started else None,
        finished=finished.at if finished else None,
        tags=accepted.event.scenario.metadata.tags,
        rehearsal=accepted.event.rehearsal,
        waits_for=waits_for,
        left=(await fold_run(journal, run)).left if end is not None and end.verdict is Verdict.UNSAFE else (),
    )


async def _standing(journal: Journal, run: str, started: Line | None) -> tuple[str, str]:
    """The stage of an open run in a word, and what it waits for."""
    if started is None:
        waiting = await journal.find(run, "scheduler", "run", RunWaiting)
        return "waiting", waiting.event.why if waiting is not None and isinstance(waiting.event, RunWaiting) else ""
    if await journal.find(run, "scheduler", "run", RunAborting) is not None:
        return "running", ""
    pausing, resumed = await journal.find(run, "scheduler", "run", RunPausing), await journal.find(run, "scheduler", "run", RunResumed)
    if _lasts(pausing, resumed) and pausing is not None and isinstance(pausing.event, RunPausing):
        return "paused", pausing_words(pausing.event)
    opened, closed = await journal.find(run, "scheduler", "*", GateOpened), await journal.find(run, "scheduler", "*", GateClosed)
    if _lasts(opened, closed) and opened is not None and isinstance(opened.event, GateOpened):
        return "gate", gate_words(opened.event)
    return "running", ""


def _lasts(begun: Line | None, ended: Line | None) -> bool:
    return begun is not None and (ended is None or ended.sequence < begun.sequence)
