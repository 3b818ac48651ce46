"""Every point at which a process can die in the reference run, and many of them at once."""

import asyncio
import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.crash.lane import ACTORS, Lane, Point
from tests.crash.outcome import Outcome

COUNTED = re.compile(r"\.(probe\.summary|event\.counted|event\.matched|observed\.until|evidence\.stored)\.\d+$")
"""Lines that come again and again: a run dies at the first of a kind."""
CONTROL = "control."


@dataclass(frozen=True, slots=True)
class Try:
    """A point, and in which run."""

    point: Point
    fails: bool
    """The run is the one that fails."""
    standby: bool
    """Who dies is not started again: another process of that actor is there from the beginning."""

    def __str__(self) -> str:
        more = [" (the run that fails)"] * self.fails + [" (with a stand-by)"] * self.standby
        return f"{self.point}{''.join(more)}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a try came to."""

    tried: Try
    outcome: Outcome
    differs: str
    seconds: float


def kinds(lines: Iterable[str]) -> list[str]:
    """The lines of a journal at which to die, in their order: of those that are counted only the first."""
    found = dict.fromkeys(line.rpartition(".")[0] if COUNTED.search(line) else line for line in lines)
    return [line for line in found if not line.startswith(CONTROL)]


def every_point(lines: Iterable[str]) -> list[Point]:
    """Each line, each actor, right before and right after."""
    return [Point(when, line, victim) for line in kinds(lines) for when in ("before", "after") for victim in ACTORS]


def some_points(points: list[Point], seed: int, count: int) -> list[Point]:
    """So many of them, evenly over the actors; at least half of them at lines of the actor that dies."""
    draw, found = random.Random(seed), list[Point]()
    for index in range(count):
        victim = ACTORS[index % len(ACTORS)]
        left = [point for point in points if point.victim == victim and point not in found]
        own = [point for point in left if point.line.startswith(victim)] if index % (2 * len(ACTORS)) < len(ACTORS) else []
        found.append(draw.choice(own or left))
    return found


def tries(points: list[Point], seed: int) -> list[Try]:
    """Each point: every fourth in the run that fails, and as many, drawn by the seed, with a stand-by."""
    numbers = range(len(points))
    helped = set(random.Random(seed).sample(numbers, len(points) // 4))
    return [Try(point, fails=number % 4 == 3, standby=number in helped) for number, point in enumerate(points)]


class Trial:
    """Runs points on several lanes side by side."""

    def __init__(self, lanes: Sequence[Lane], tell: Callable[[Result], None]) -> None:
        self._lanes = lanes
        self._tell = tell
        self._references: dict[bool, Outcome] = {}
        self.results: list[Result] = []

    async def references(self) -> dict[bool, Outcome]:
        """What the run comes to when nobody dies: the one that passes, and the one that fails (True)."""
        async with asyncio.TaskGroup() as tasks:
            for own in self._lanes:
                tasks.create_task(own.ready())
        async with asyncio.TaskGroup() as tasks:
            runs = {fails: tasks.create_task(self._lanes[-fails].run(fails=fails)) for fails in (False, True)}
        self._references = {fails: run.result() for fails, run in runs.items()}
        return self._references

    async def run(self, chosen: Iterable[Try]) -> None:
        """Run them all; what came of each is in `results`."""
        left = list(chosen)
        async with asyncio.TaskGroup() as tasks:
            for own in self._lanes:
                tasks.create_task(self._work(own, left))

    async def _work(self, own: Lane, left: list[Try]) -> None:
        while left:
            now, begun = left.pop(0), time.monotonic()
            outcome = await own.run(now.point, fails=now.fails, standby=now.standby)
            differs = outcome.differs(self._references[now.fails], now.point.victim)
            self.results.append(Result(now, outcome, differs, time.monotonic() - begun))
            self._tell(self.results[-1])
