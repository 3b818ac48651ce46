"""A run as it looks on a terminal: a picture that is drawn anew, or lines one after the other."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.narrating import MARKS, narrate, shown
from cli.progress import Progress, moments
from messages.events import Recorded, RunEvent
from messages.verdicts import Verdict
from runs.faults import ActionState
from runs.state import AssertionState

COLOURS = {
    Verdict.PASSED: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.FAILED: "red",
    Verdict.ABORTED: "magenta",
    Verdict.UNSAFE: "bold white on red",
}
_STAGES = {"waiting": ("·", "dim"), "running": ("▶", "bold cyan"), "done": ("✓", "green"), "cut": ("✗", "yellow")}
_NAMED = 10
"""Services that are named in a line; more are counted."""
Clock = Callable[[], datetime]


class Screen(Protocol):
    """Where progress goes."""

    def line(self, recorded: Recorded[RunEvent]) -> None:
        """An event has come; the progress knows it already."""

    def note(self, text: str) -> None:
        """Something beside the run's journal."""


class Silence:
    """Shows nothing."""

    def line(self, recorded: Recorded[RunEvent]) -> None:
        """Leave it."""

    def note(self, text: str) -> None:
        """Leave it."""


class Lines:
    """One line for each event that means something, with its stored time (UTC)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, recorded: Recorded[RunEvent]) -> None:
        text = narrate(recorded)
        if text is not None:
            print(f"{recorded.at:%H:%M:%S}.{recorded.at.microsecond // 1000:03d}  {text}", file=self._stream, flush=True)

    def note(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Picture:
    """The whole run at a glance, drawn four times a second."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def line(self, recorded: Recorded[RunEvent]) -> None:
        """It is in the next picture."""

    def note(self, text: str) -> None:
        self._live.console.print(text)


@contextmanager
def screen(progress: Progress, clock: Clock, *, picture: bool, stream: TextIO | None = None) -> Iterator[Screen]:
    """A picture for a terminal, or lines on a stream (standard output by default)."""
    if not picture:
        yield Lines(stream or sys.stdout)
        return
    console = Console()
    with Live(get_renderable=lambda: draw(progress, clock()), console=console, refresh_per_second=4, transient=False) as live:
        yield Picture(live)


def draw(progress: Progress, now: datetime) -> RenderableType:
    """The picture of this moment."""
    state = progress.state
    parts: list[RenderableType] = [_header(progress, now)]
    if state.accepted is None:
        return Group(*parts, Text("waiting to be accepted", style="dim"))
    if state.waiting is not None and state.started is None:
        parts.append(Text(f"waiting for run {state.waiting.behind}: {state.waiting.why}", style="yellow"))
    parts += [part for part in (_stages(progress), _services(progress, now)) if part]
    if progress.faults():
        parts += [Text("\nfaults", style="bold"), _faults(progress.faults())]
    parts += [Text("\nassertions", style="bold"), _claims(progress.claims())]
    if state.aborting is not None and state.finished is None:
        parts.append(Text(f"\naborting: {state.aborting.message}", style="magenta"))
    return Group(*parts)


def _header(progress: Progress, now: datetime) -> Text:
    state = progress.state
    name = state.scenario.name if state.accepted else "…"
    return Text.assemble((name, "bold"), f"  run {state.id}  ", (shown(progress.elapsed(now)), "cyan"), f"  {state.stage_name()}")


def _stages(progress: Progress) -> Text:
    text = Text()
    for name, how in progress.stages():
        mark, style = _STAGES[how]
        text.append(f"{mark} {name}  ", style)
    return text


def _services(progress: Progress, now: datetime) -> Text:
    text = Text()
    down = sorted(name for name, up in progress.services.items() if not up)
    if progress.services:
        text.append(f"services {len(progress.services) - len(down)}/{len(progress.services)} up", "green" if not down else "red")
        if down:
            text.append(f" (down: {', '.join(down[:_NAMED])})", "red")
    kind = progress.busiest()
    rate = progress.rate(kind, now)
    if rate is not None:
        text.append(f"   {kind}* {rate:.0f}/s")
    return text


def _faults(faults: dict[str, ActionState]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, fault in faults.items():
        life = Text()
        for moment in moments(fault):
            life.append(f"{moment.name} ", "cyan")
            life.append(f"+{shown(moment.after)}  ", "dim")
        if fault.outcome not in {None, "done"} or fault.revert_failed:
            life.append(fault.revert_failed or fault.message, "red")
        table.add_row(f"  {name}", f"{fault.request.action.action} {fault.request.target}", life)
    return table


def _claims(claims: dict[str, AssertionState | None]) -> Table:
    table = Table.grid(padding=(0, 1))
    for name, claim in claims.items():
        if claim is None:
            table.add_row("  ·", Text(name, "dim"), "")
        elif claim.verdict is None:
            table.add_row("  …", name, "")
        else:
            table.add_row(Text(f"  {MARKS[claim.verdict]}", COLOURS[claim.verdict]), name, Text(claim.message, "dim"))
    return table
