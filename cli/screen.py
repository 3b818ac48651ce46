"""A run as it looks on a terminal: a picture that is drawn anew, or lines one after the other."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol, TextIO

from rich.console import Console, RenderableType
from rich.live import Live

from cli.narrating import narrate
from cli.picture import COLOURS, draw
from cli.progress import Progress
from messages.events import Recorded, RunEvent

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
    console = Console(highlight=False)

    def now() -> RenderableType:
        return draw(progress, clock(), width=console.width, height=console.height - 1)

    with Live(get_renderable=now, console=console, refresh_per_second=4, transient=False) as live:
        yield Picture(live)


__all__ = ["COLOURS", "Lines", "Picture", "Screen", "Silence", "draw", "screen"]
