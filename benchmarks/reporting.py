"""From the lines of a long journal to its page: 100,000 events decoded, folded and rendered, as when an old run's report is asked for."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from actors.reporter.rendering import render
from benchmarks.measure import Figure, figure
from benchmarks.observing import SYSTEM
from messages.catalogue import decode
from messages.events import Recorded, RunEvent
from messages.judgements import AssertionJudged
from messages.observations import EventCounted, EventMatched, Match, ObservedUntil, ProbeSummary, ServiceDown, ServiceUp
from messages.run_events import AssertionOpened, PhaseFinished, PhaseStarted, RunAccepted, RunFinished, RunStarted
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Verdict
from runs.report import ReportFold

LINES = 100_000
TRIALS = 3
START = datetime(2024, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Stored = tuple[str, str, bytes, datetime]


def journal() -> list[Stored]:
    """A run of some hours: summaries, counts, matches and watermarks of every second, and a service that goes down now and then."""
    scenario = Scenario.model_validate_json("""{"metadata": {"name": "long"}, "spec": {"system": "bench", "phases": [
        {"name": "only", "duration": "8h", "assertions": [{"id": "some", "type": "event", "where": "true", "at_least": 1}]}]}}""")
    system = System.model_validate(SYSTEM, strict=False)
    claim = scenario.spec.phases[0].assertions[0]
    first: list[tuple[str, RunEvent]] = [
        ("scheduler", RunAccepted(key="bench", scenario=scenario, system=system, submitted=START)),
        ("scheduler", RunStarted()),
        ("scheduler", PhaseStarted(phase="only", kind="phase")),
        ("scheduler", AssertionOpened(assertion="some", claim=claim, phase="only", opens=START)),
    ]
    last: list[tuple[str, RunEvent]] = [
        ("scheduler", PhaseFinished(phase="only", kind="phase")),
        ("validator", AssertionJudged(assertion="some", verdict=Verdict.PASSED, reason=None, message="enough", evidence=())),
        ("scheduler", RunFinished(verdict=Verdict.PASSED, reason=None, message="", cause=None, hint=None, position=LINES)),
    ]
    stored = [as_stored(actor, event, START) for actor, event in first]
    second = 0
    while len(stored) < LINES - len(last):
        stored += [as_stored("observer", event, START + second * SECOND) for event in of_second(second, "some", second + 1)]
        second += 1
    return [*stored, *(as_stored(actor, event, START + second * SECOND) for actor, event in last)]


def of_second(number: int, claim: str, matched: int) -> list[RunEvent]:
    """What the observer says of a second, with so many matches said of a claim."""
    start, end = START + number * SECOND, START + (number + 1) * SECOND
    match = Match(id=f"e-{number}", type="order.filled", source="engine", sequence=number + 1, at=start)
    found: list[RunEvent] = [
        ProbeSummary(probe="engine", start=start, end=end, count=5, ok=5, failed=0, missed=0, slowest=timedelta(milliseconds=7)),
        EventCounted(start=start, end=end, types={"order.filled": 40, "order.submitted": 40, "price.updated": 10 + number % 7}),
        EventMatched(
            assertion=claim, number=matched, opens=START, closes=None, until=end, through=number * 90, final=False, count=40 * number,
            seen=90 * number, errors=0, error=None, gap=False, first=match, last=match, kept=(match,), keys=None,
        ),
        ObservedUntil(stage="only", number=number + 1, probes=end, events=end, through=number * 90, kind="progress"),
    ]  # fmt: skip
    if number % 100 == 99:
        took = timedelta(milliseconds=3)
        down = ServiceDown(
            service="engine", number=number // 50, ago=took, error_bound=took, took=took, check="http", error="connection refused"
        )
        found += [down, ServiceUp(service="engine", number=number // 50 + 1, ago=timedelta(), error_bound=took)]
    return found


def as_stored(actor: str, event: RunEvent, at: datetime) -> Stored:
    """An event as a line that is still to be read."""
    return actor, event.type_name(), event.model_dump_json(by_alias=True).encode(), at


def _page(lines: list[Stored]) -> int:
    fold = ReportFold("01JD0000000000000000000000")
    for sequence, (actor, type_name, body, at) in enumerate(lines, start=1):
        event = decode(type_name, body)
        if event is not None:
            fold.apply(Recorded(event, fold.state.id, 0, actor, event.entity, sequence, at, str(sequence)))
    return len(render(fold.report(), "html"))


async def measure_reporting(_folder: Path) -> list[Figure]:
    """Seconds, in one thread."""
    lines, seconds, size = journal(), list[float](), 0
    for _ in range(TRIALS):
        begun = time.perf_counter()
        size = await asyncio.to_thread(_page, lines)
        seconds.append(time.perf_counter() - begun)
    return [figure("html_report_seconds", "s", seconds, "<= 5"), figure("html_report_size", "KiB", [size / 1024])]
