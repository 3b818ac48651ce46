"""A long run judged again: 50 assertions over a journal of 100,000 lines, from the bytes of the lines on, as `judge RUN` does."""

import asyncio
import gc
import json
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.measure import Figure, figure
from benchmarks.observing import SYSTEM
from benchmarks.reporting import LINES, SECOND, START, TRIALS, Stored, as_stored, of_second
from cli.main import LOADED
from messages.catalogue import decode
from messages.claims import Judgement
from messages.events import Recorded, RunEvent
from messages.judgements import AssertionJudged
from messages.observations import EventMatched, Match, ObservedUntil
from messages.run_events import AssertionOpened, PhaseFinished, PhaseStarted, RunAccepted, RunFinished, RunStarted
from messages.scenario import Scenario
from messages.system import System
from runs.judging import Evidence, finished, judge, judged
from runs.replay import Told, rejudge

CLAIMS = 50
RUN = "01JD0000000000000000000000"


class Journal:
    """A journal that is being written, and what is known by it."""

    def __init__(self) -> None:
        self.lines: list[Stored] = []
        self.view = Evidence(RUN)

    def add(self, actor: str, event: RunEvent, second: float) -> None:
        """Write a line."""
        at = START + second * SECOND
        self.lines.append(as_stored(actor, event, at))
        self.view.apply(Recorded(event, RUN, 0, actor, event.entity, len(self.lines), at, str(len(self.lines))))


def journal() -> Journal:
    """Matches of one claim in each second, and at the end all claims judged."""
    claims = [{"id": f"c{number}", "type": "event", "where": "true", "at_least": 1 + number, "at_most": 10**9} for number in range(CLAIMS)]
    phases = [{"name": "only", "duration": "8h", "assertions": claims}]
    scenario = Scenario.model_validate_json(json.dumps({"metadata": {"name": "long"}, "spec": {"system": "bench", "phases": phases}}))
    written = Journal()
    written.add(
        "scheduler", RunAccepted(key="bench", scenario=scenario, system=System.model_validate(SYSTEM, strict=False), submitted=START), 0
    )
    written.add("scheduler", RunStarted(), 0)
    written.add("scheduler", PhaseStarted(phase="only", kind="phase"), 0)
    for claim in scenario.spec.phases[0].assertions:
        written.add("scheduler", AssertionOpened(assertion=claim.id, claim=claim, phase="only", opens=START), 0)
    second = 0
    while len(written.lines) < LINES - 3 * CLAIMS - 3:
        for event in of_second(second, f"c{second % CLAIMS}", second // CLAIMS + 1):
            written.add("observer", event, second)
        second += 1
    written.add("scheduler", PhaseFinished(phase="only", kind="phase"), second)
    end = START + second * SECOND
    for claim in scenario.spec.phases[0].assertions:
        written.add("observer", _final(claim.id, second, written), second + 1)
    written.add(
        "observer", ObservedUntil(stage="only", number=second + 1, probes=end, events=end, through=second * 90, kind="end"), second + 1
    )
    for claim in scenario.spec.phases[0].assertions:
        found = judge(written.view.state, written.view.seen, written.view.state.assertions[claim.id])
        if not isinstance(found, Judgement):
            raise TypeError(f"{claim.id} was not judged")
        written.add("validator", judged(written.view.state.assertions[claim.id], found), second + 2)
    written.add("scheduler", finished(written.view.state), second + 3)
    return written


def _final(claim: str, second: int, written: Journal) -> EventMatched:
    end = START + second * SECOND
    match = Match(id="e-1", type="order.filled", source="engine", sequence=1, at=START + timedelta(milliseconds=1))
    before = written.view.seen.matched.get(claim)
    number = before[0].number + 1 if before is not None else 1
    return EventMatched(
        assertion=claim, number=number, opens=START, closes=end, until=end, through=second * 90, final=True, count=40 * second,
        seen=90 * second, errors=0, error=None, gap=False, first=match, last=match, kept=(match,), keys=None,
    )  # fmt: skip


def _again(lines: list[Stored]) -> bool:
    told = []
    for sequence, (actor, type_name, body, at) in enumerate(lines, start=1):
        event = decode(type_name, body)
        if event is not None:
            told.append(Told(Recorded(event, RUN, 0, actor, event.entity, sequence, at, str(sequence)), body))
    found = rejudge(told)
    verdicts = [line.recorded.event for line in told if isinstance(line.recorded.event, AssertionJudged | RunFinished)]
    return found is not None and found.same and len(verdicts) == CLAIMS + 1


async def measure_judging(_folder: Path) -> list[Figure]:
    """Seconds, in one thread, in a process that is set up as that of a command."""
    lines, seconds, usual = journal().lines, list[float](), gc.get_threshold()
    gc.set_threshold(LOADED)
    for _ in range(TRIALS):
        begun = time.perf_counter()
        if not await asyncio.to_thread(_again, lines):
            raise RuntimeError("the run did not come out the same")
        seconds.append(time.perf_counter() - begun)
    gc.set_threshold(*usual)
    return [figure("judge_50_seconds", "s", seconds, "<= 5")]
