"""Which instants matter in a run: where windows end, where summaries are cut, and which stage a watermark belongs to. Pure."""

from datetime import datetime, timedelta

from runs.state import RunState, StageState
from runs.windows import window_of

OFTEN = timedelta(milliseconds=100)
SELDOM = timedelta(seconds=1)


def stage_name(state: RunState) -> str:
    """The stage that is on, else the one before, else settle."""
    stage = state.stage or next(reversed(state.stages.values()), None)
    return stage.name if stage is not None else "settle"


def interval(state: RunState) -> timedelta:
    """How often to say how far the observer is: often while something must be stable."""
    stage = state.stage
    return OFTEN if stage is not None and stage.kind in {"settle", "recover"} else SELDOM


def finished_stages(state: RunState) -> list[tuple[StageState, datetime]]:
    """The stages that are over, and when they ended."""
    return [(stage, stage.finished) for stage in state.stages.values() if stage.finished is not None]


def ends(state: RunState) -> list[datetime]:
    """Every end of a stage and of a claim's window that is known by now, in order."""
    found: set[datetime | None] = {finished for _, finished in finished_stages(state)}
    for claim, phase in state.scenario.claims().values():
        found.add(window_of(state, claim, phase).closes)
    for opened in state.assertions.values():
        if opened.mode != "claim":
            found.add(window_of(state, opened.claim, opened.phase, opened.mode).closes)
    return sorted(instant for instant in found if instant is not None)


def edges(state: RunState) -> set[datetime]:
    """Where summaries are cut: stages' starts and ends, and the moments of faults."""
    found = {instant for stage in state.stages.values() for instant in (stage.started, stage.finished)}
    for action in state.actions.faults().values():
        found |= {action.requested, action.armed_at, action.injected, action.effective, action.reverted, action.gone}
        found.add(action.rehearsal_ended)
    return {instant for instant in found if instant is not None}


def next_after(instants: list[datetime], instant: datetime | None) -> datetime | None:
    """The first of the ordered instants that is later."""
    return next((found for found in instants if instant is None or found > instant), None)
