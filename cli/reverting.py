"""`revert-all`: every open run is ended, and what came of each."""

import json as jsonlib
from functools import partial

from actors.summaries import fold_run, summary_of
from bus.patience import asked_again
from cli.access import LOOK_LIMIT, Access, joining
from cli.errors import CliError, Exit
from cli.listing import as_json, print_runs
from cli.looping import run_async
from cli.output import complain, say
from deploy.draining import ended
from messages.control import RunSummary
from messages.verdicts import Verdict

LIMIT = 60.0
"""Seconds that the runs may take to undo what they did and to end."""


def revert_all_command(note: str, access: Access, *, json: bool) -> int:
    """End every open run, and wait until its faults are undone: 5 if one is unsafe, now or from before, or not over in time."""
    return run_async(_revert(note, access, json=json))


async def _revert(note: str, access: Access, *, json: bool) -> int:
    async with joining(access) as bus:
        asked = await bus.control.revert_all(note)
        if asked.error is not None:
            raise CliError(asked.error, "`test-coordinator list` shows every run and its state")
        runs = {run.run_id for run in asked.runs}
        ending = {run.run_id for run in asked.runs if run.verdict is None}
        if ending and not json:
            complain(f"undoing and ending {len(ending)} run{'s' if len(ending) > 1 else ''}…")
        left = await ended(bus.journal, ending, LIMIT)
        found = [summary_of(await asked_again(partial(fold_run, bus.journal, run), f"read {run}", LOOK_LIMIT)) for run in sorted(runs)]
    if json:
        say(jsonlib.dumps({"runs": [as_json(run) for run in found], "not_over": sorted(left)}, indent=2))
    else:
        print_runs(found, none="no run is open, so nothing was to be undone")
    return _told(found, left)


def _told(found: list[RunSummary], left: set[str]) -> int:
    unsafe = [run for run in found if run.verdict is Verdict.UNSAFE]
    for run in unsafe:
        complain(f"run {run.run_id} could not undo everything{': ' + ', '.join(run.left) if run.left else ''}")
        complain(f"  `test-coordinator report {run.run_id} --format text` says what to do by hand")
    if left:
        complain(f"not over after {LIMIT:.0f} s, and perhaps not undone: {', '.join(sorted(left))}")
        complain("  `test-coordinator health` shows who is at work")
    return Exit.UNSAFE if unsafe or left else Exit.PASSED
