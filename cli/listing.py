"""Runs as a table, or as JSON."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.output import say
from cli.screen import COLOURS
from messages.control import RunSummary
from messages.verdicts import Verdict

WIDE = 200
"""Columns of what no terminal shows."""


def console() -> Console:
    """Standard output, as wide as its terminal; what is piped is not folded."""
    terminal = sys.stdout.isatty()
    return Console(highlight=False, soft_wrap=not terminal, width=None if terminal else WIDE)


def print_runs(runs: Sequence[RunSummary], *, none: str) -> None:
    """A line for each run; `none` when there is none."""
    if not runs:
        say(none)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("RUN", "SCENARIO", "SYSTEM", "VERDICT", "STARTED", "TOOK"):
        table.add_column(heading, no_wrap=heading != "SCENARIO")
    for run in runs:
        table.add_row(*_row(run))
    console().print(table)


def _row(run: RunSummary) -> tuple[str | Text, ...]:
    verdict = Text(str(run.verdict), COLOURS[Verdict(run.verdict)]) if run.verdict else Text(run.stage, "cyan")
    took = f"{(run.finished - run.started).total_seconds():.1f} s" if run.started and run.finished else ""
    started = f"{run.started:%Y-%m-%d %H:%M:%S} UTC" if run.started else ""
    scenario = f"{run.scenario} (rehearsal)" if run.rehearsal else run.scenario
    return run.run_id, scenario, run.system, verdict, started, took


def as_json(run: RunSummary) -> dict[str, object]:
    """One run, as `--json` tells it."""
    return {
        "run_id": run.run_id,
        "scenario": run.scenario,
        "system": run.system,
        "verdict": str(run.verdict) if run.verdict else None,
        "reason": str(run.reason) if run.reason else None,
        "stage": run.stage,
        "started": run.started.isoformat() if run.started else None,
        "finished": run.finished.isoformat() if run.finished else None,
        "tags": list(run.tags),
        "rehearsal": run.rehearsal,
        "waits_for": run.waits_for or None,
        "left": list(run.left),
    }
