"""`make crash-test`: dies at every line of the journal, in every actor, and prints where that made a difference."""

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from tests.crash.births import mother
from tests.crash.lane import ACTORS, lane
from tests.crash.outcome import Outcome
from tests.crash.points import Result, Trial, Try, every_point, kinds, some_points, tries
from tests.crash.reference import SERVICES
from tests.crash.standing import is_whole

MISSED = 10
"""Of so many points one may be missed: lines that do not come in each run."""


def table(results: Iterable[Result]) -> str:
    """The points by event and actor: how many, and how many of them differ or were never met."""
    tried, bad, missed = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for result in results:
        cell = result.tried.point.line, result.tried.point.victim
        tried[cell] += 1
        bad[cell] += bool(result.differs)
        missed[cell] += not result.outcome.sprung
    rows = [f"{'LINE':<58}" + "".join(f"{actor:>16}" for actor in ACTORS)]
    for line in dict.fromkeys(line for line, _ in tried):
        cells = [(line, actor) for actor in ACTORS]
        rows.append(f"{line:<58}" + "".join(f"{_cell(tried[c], bad[c], missed[c]):>16}" for c in cells))
    return "\n".join(rows)


def _cell(tried: int, bad: int, missed: int) -> str:
    if not tried:
        return ""
    told = [f"{bad} DIFFER"] if bad else []
    told += [f"{missed} not met"] if missed else []
    return f"{tried}: {', '.join(told)}" if told else f"{tried} ok"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tell(result: Result) -> None:
    if result.differs:
        _say(f"DIFFERS {result.tried}: {result.differs}")


def wrong_references(references: dict[bool, Outcome]) -> list[str]:
    """What is wrong with the runs that all others are compared with; nothing if they are what they should be."""
    wanted = {False: "passed", True: "failed (claim_failed)"}
    told = [
        f"a run in which nobody dies: {run.verdict} ({run.message})" for fails, run in references.items() if run.verdict != wanted[fails]
    ]
    told += [f"its targets: {run.standing}" for run in references.values() if not is_whole(run.standing, SERVICES)]
    return told + [f"{run.reports} reports, left {run.left}" for run in references.values() if run.reports != 1 or run.left]


def summary(results: Sequence[Result], wanted: int) -> tuple[str, bool]:
    """What it came to, in a sentence, and whether that is well: all were tried, hardly any missed, and none differs."""
    differing = sum(bool(result.differs) for result in results)
    missed = sum(not result.outcome.sprung for result in results)
    helped = sum(result.tried.standby for result in results)
    told = [f"{len(results)} points, {helped} with a stand-by, {len(results) - missed} met, {differing} differ"]
    if len(results) < wanted:
        told.append(f"{wanted - len(results)} were not tried in time")
    if missed * MISSED > len(results):
        told.append(f"more than one in {MISSED} was not met: the reference is another run than those")
    return "; ".join(told), len(told) == 1 and not differing


async def _main(count: int | None, seed: int, lanes: int, within: float | None) -> int:
    """Once all is over, or so many seconds are, what came of it: 0 if all is well."""
    chosen: list[Try] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crash-")))
        bearing = await stack.enter_async_context(mother())
        sides = [await stack.enter_async_context(lane(bearing, folder / f"lane-{number}")) for number in range(lanes)]
        trial = Trial(sides, _tell)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                references = await trial.references()
                if told := wrong_references(references):
                    _say("\n".join(told))
                    return 1
                lines = references[False].lines
                points = every_point(lines)
                chosen = tries(points if count is None else some_points(points, seed, count), seed)
                _say(f"{len(kinds(lines))} lines, {len(points)} points, {len(chosen)} tried (seed {seed})")
                await trial.run(chosen)
    _say(table(trial.results))
    sentence, well = summary(trial.results, len(chosen))
    _say(sentence)
    return 0 if chosen and well else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, help="only so many points, drawn by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=3, help="coordinators side by side")
    parser.add_argument("--within", type=float, help="seconds that all of it may take; what is not done by then is not well")
    told = parser.parse_args()
    sys.exit(asyncio.run(_main(told.count, told.seed, told.lanes, told.within)))
