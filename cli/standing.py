"""`status` without a run: what is open and what it waits for, what was left disturbed, and whether everything is held."""

import json as jsonlib
from collections.abc import Iterator, Sequence
from contextlib import suppress

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from actors.summaries import NOT_TAKEN_UP, SUBMITTED, fold_run, submitted, summary_of, unsettled_runs
from bus.errors import NoAnswer
from bus.keys import Keys
from bus.patience import asked_again
from bus.topology import Names
from cli.access import Access, Bus, reading, takes_requests
from cli.errors import Exit
from cli.listing import as_json, console
from cli.narrating import standing
from cli.output import complain, say
from messages.control import HOLD, Hold, RunSummary

_NEXT = {"gate": "approve {run}{given}`, or reject", "paused": "resume {run}{given}`", SUBMITTED: "health{given}` shows who is at work"}
"""What a person may do about a run at this stage."""


async def stand(access: Access, *, json: bool) -> int:
    """Tell it, or one JSON object with `open`, `unsafe` and `hold`."""
    async with reading(access) as bus:
        known = await unsettled_runs(bus.journal)
        opened = [await _whole(bus, run) for run in known if run.verdict is None]
        hold, at_work = await _hold(bus), json or await takes_requests(bus)
    left = [run for run in known if run.left]
    if json:
        told = {"open": [as_json(run) for run in opened], "unsafe": [as_json(run) for run in left], "hold": _hold_json(hold)}
        say(jsonlib.dumps(told, indent=2, ensure_ascii=False))
    else:
        for part in parts(opened, left, hold, access.given):
            console().print(part)
        if (opened or left or hold) and not at_work:
            say_how_to_ask(access)
    return Exit.PASSED


async def say_if_unowned(bus: Bus, run: str, access: Access) -> None:
    """That nobody will take up what was submitted, and what to do, if that is so."""
    with suppress(NoAnswer):  # it is submitted all the same
        waiting = await asked_again(lambda: submitted(bus.journal, run), f"look up {run}", 0)
        if waiting is not None and waiting.waits_for != NOT_TAKEN_UP:
            complain(f"run {run} waits: {waiting.waits_for}\n  `test-coordinator health{access.given}` shows who is at work")


def say_how_to_ask(access: Access) -> None:
    """Where nobody is at work, who is told commands must first start somebody who takes them."""
    say(f"\nno coordinator is at work: start `test-coordinator serve{access.given}` before you ask for anything")


async def _whole(bus: Bus, run: RunSummary) -> RunSummary:
    """With the stage that only the whole journal tells."""
    state = await fold_run(bus.journal, run.run_id)
    return summary_of(state) if state.accepted is not None else run


def print_run(run: RunSummary, given: str, *, json: bool) -> None:
    """One run of which there is nothing else to tell yet."""
    if json:
        say(jsonlib.dumps(as_json(run), indent=2, ensure_ascii=False))
        return
    for part in _open(run, None, given):
        console().print(part)


async def _hold(bus: Bus) -> Hold | None:
    entry = await Keys(bus.connection, Names(bus.namespace).systems).get(HOLD)
    return None if entry is None else Hold.model_validate_json(entry.value)


def _hold_json(hold: Hold | None) -> object:
    return hold.model_dump(mode="json") if hold is not None else None


def parts(opened: Sequence[RunSummary], left: Sequence[RunSummary], hold: Hold | None, given: str = "") -> Iterator[RenderableType]:
    """What is printed, from top to bottom; `given` is how the user said where the coordinator is."""
    if not opened:
        yield Text("no run is open")
    for run in opened:
        yield from _open(run, hold, given)
    if left:
        yield Text("\nleft disturbed, and nobody has resolved it", "bold red")
    for run in left:
        yield _line(run, Text("unsafe", "red"))
        yield _below(f"on {run.system}: {', '.join(run.left)}")
        yield _below(f"`test-coordinator report {run.run_id} --format text{given}` says how")
        yield _below(f"then `test-coordinator resolve {run.run_id} --note TEXT{given}`")
    if hold is not None:
        yield Text(
            f"\nheld by {hold.principal} since {hold.since:%Y-%m-%d %H:%M:%S} UTC{': ' + hold.note if hold.note else ''}", "bold yellow"
        )
        yield _below(f"no run starts and no fault happens until `test-coordinator release{given}`")


def _open(run: RunSummary, hold: Hold | None, given: str) -> Iterator[RenderableType]:
    yield _line(run, Text(run.stage, "cyan"))
    yield _below(f"on {run.system}{f', started {run.started:%Y-%m-%d %H:%M:%S} UTC' if run.started else ''}", "dim")
    if run.waits_for:
        yield _below(standing(run.stage, run.waits_for), "yellow")
    if run.stage in _NEXT and hold is None:
        yield _below(f"`test-coordinator {_NEXT[run.stage].format(run=run.run_id, given=given)}")


def _line(run: RunSummary, stage: Text) -> Text:
    return Text.assemble(f"{run.run_id}  {run.scenario}{' (rehearsal)' if run.rehearsal else ''}  ", stage)


def _below(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style), (0, 0, 0, 2), expand=False)
