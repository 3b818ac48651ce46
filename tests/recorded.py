"""Runs as their actors would have written them: observations by hand, judged line by line by the real judges, ended by the real verdict."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from messages.events import Recorded, RunEvent
from messages.fault_events import FaultArmed, FaultEffective, FaultGone, FaultInjected, FaultReverted
from messages.histogram import Histogram
from messages.observations import EventCounted, EventMatched, Match, ObservedUntil, ProbeSummary, ServiceDown, ServiceUp
from messages.run_events import ActionRequested, AssertionOpened, PhaseFinished, PhaseStarted, RunAccepted, RunStarted
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from runs.judging import Evidence, finished, judge, judged
from runs.replay import Told, written

RUN = "019f0c3e-2b1a-7c44-9d7e-5a41c0ffee02"
BEGIN = datetime(2026, 3, 14, 9, 0, 0, tzinfo=UTC)
MS = timedelta(milliseconds=1)
Line = Recorded[RunEvent]

SYSTEM = System.model_validate_json("""{"metadata": {"name": "shop"}, "spec": {"events": ["shop.events.>"],
  "services": {"web": {"driver": {"process": {"command": ["web"]}}, "health": {"tcp": {"address": "h:1"}, "every": "200ms"}}},
  "probes": {"quote": {"http": {"url": "http://h:1/quote"}, "rate": "50/s", "deadline": "1s"}}}}""")
SCENARIO = Scenario.model_validate_json("""{"metadata": {"name": "restart"}, "spec": {"system": "shop", "phases": [
  {"name": "baseline", "duration": "5s", "assertions": [
    {"id": "fills", "type": "event", "where": "event.type == 'order.filled'", "at_least": 3},
    {"id": "up", "type": "health", "target": "web", "throughout": true},
    {"id": "quick", "type": "latency", "probe": "quote", "percentile": 95, "at_most": "100ms"}]},
  {"name": "chaos", "duration": "10s", "actions": [{"id": "restart", "target": "web", "action": "restart"}]}],
  "assertions": [
    {"id": "back", "type": "recovery", "target": "web", "of": "restart", "within": "4s"},
    {"id": "no-breach", "type": "event", "where": "event.type == 'risk.breach'", "never": true}]}}""")


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


@dataclass(frozen=True)
class Course:
    """How a run went."""

    fills: int = 3
    breaches: int = 0
    answered: timedelta = 10 * MS
    """How long the probe took."""
    back: float = 8.0
    """When the service was up after the restart."""
    sick: bool = False
    """The service was down for a moment in the baseline."""
    effect: bool = True


def observed(course: Course) -> list[tuple[float, RunEvent]]:
    """What scheduler, injector and observer wrote, and when, in order."""
    told: list[tuple[float, RunEvent]] = [
        (-0.1, RunAccepted(key="shop", scenario=SCENARIO, system=SYSTEM, submitted=at(-0.2))),
        (0, RunStarted()),
        (0.5, _up(1)),
        (1, PhaseStarted(phase="baseline", kind="phase")),
        *((1, _opened(name, "baseline")) for name in ("fills", "up", "quick")),
        (1, _opened("no-breach")),
        *((second + 1.05, _health(second, course)) for second in range(1, 17)),
        *((second + 1.06, _quotes(second, course)) for second in range(1, 17)),
        (6, PhaseFinished(phase="baseline", kind="phase")),
        (6.001, PhaseStarted(phase="chaos", kind="phase")),
        (6.1, _matched("fills", 1, 6, course.fills)),
        (6.11, ObservedUntil(stage="baseline", number=1, probes=at(7), events=at(6.1), kind="end")),
        *_restart(course),
        (16, PhaseFinished(phase="chaos", kind="phase")),
        (16.001, PhaseStarted(phase="recover", kind="recover")),
        (17, PhaseFinished(phase="recover", kind="recover")),
        (17.06, EventCounted(start=at(2), end=at(3), types={"order.filled": course.fills})),
        (17.1, _matched("no-breach", 1, 17, course.breaches)),
        (17.11, ObservedUntil(stage="recover", number=1, probes=at(17), events=at(17.1), kind="end")),
    ]
    if course.sick:
        told += [(2.3, _down(2)), (3.1, _up(3))]
    return sorted(told, key=lambda line: line[0])


def _restart(course: Course) -> list[tuple[float, RunEvent]]:
    action = SCENARIO.spec.phases[1].actions[0]
    undo = Undo(kind="process.start", service="web")
    number = 4 if course.sick else 2
    effect = [(6.6, FaultEffective(fault_id="restart", how="new process", ago=10 * MS))] if course.effect else []
    return [
        (6.2, ActionRequested(fault_id="restart", phase="chaos", target="web", action=action)),
        (6.21, _opened("back")),
        (6.25, FaultArmed(fault_id="restart", target="web", action="restart", until=at(16), undo=undo)),
        (6.5, FaultInjected(fault_id="restart", took=200 * MS, ago=5 * MS)),
        *effect,
        (6.65, FaultReverted(fault_id="restart", took=4 * MS, ago=1 * MS, by="itself")),
        (6.7, _down(number)),
        (course.back, _up(number + 1)),
        (course.back + 0.05, FaultGone(fault_id="restart", restored_by="itself", ago=10 * MS)),
    ]


def _opened(name: str, phase: str | None = None) -> AssertionOpened:
    return AssertionOpened(assertion=name, claim=SCENARIO.claims()[name][0], phase=phase, opens=at(1))


def _up(number: int) -> ServiceUp:
    return ServiceUp(service="web", number=number, ago=20 * MS, error_bound=200 * MS)


def _down(number: int) -> ServiceDown:
    return ServiceDown(service="web", number=number, ago=40 * MS, error_bound=200 * MS, took=2 * MS, check="tcp", error="refused")


def _health(second: int, course: Course) -> ProbeSummary:
    away = second + 1 > 6.6 and second < course.back
    bad = 3 if away or (course.sick and second == 2) else 0
    return ProbeSummary(probe="web", start=at(second), end=at(second + 1), count=5, ok=5 - bad, failed=bad, missed=0, slowest=4 * MS)


def _quotes(second: int, course: Course) -> ProbeSummary:
    taken = Histogram.of([course.answered] * 50)
    whole = {"count": 50, "ok": 50, "failed": 0, "missed": 0, "slowest": course.answered, "latency": taken}
    return ProbeSummary.model_validate({"probe": "quote", "start": at(second), "end": at(second + 1), **whole})


def _matched(name: str, opens: float, closes: float, count: int) -> EventMatched:
    kept = tuple(Match(id=f"{name}-{n}", type="t", source="web", sequence=n + 1, at=at(opens + 1)) for n in range(count))
    return EventMatched(
        assertion=name, number=1, opens=at(opens), closes=at(closes), until=at(closes + 0.1), through=99, final=True,
        count=count, seen=40, first=kept[0] if kept else None, last=kept[-1] if kept else None, kept=kept,
    )  # fmt: skip


def lined(told: Iterable[tuple[float, RunEvent]]) -> list[Line]:
    """The events as lines of a journal."""
    return [_line(event, number, at(second)) for number, (second, event) in enumerate(told, start=1)]


def _line(event: RunEvent, sequence: int, when: datetime) -> Line:
    return Recorded(event, RUN, 0, event.ACTORS[0], event.entity, sequence, when, f"{RUN}.{sequence}")


class Journal:
    """A journal that grows, as those see it who write it, and as the validator does, who reads behind."""

    def __init__(self, late: int) -> None:
        self.lines: list[Line] = []
        self._late = late
        self._now, self._then = Evidence(RUN), Evidence(RUN)
        self._read = 0

    def add(self, event: RunEvent, when: datetime) -> None:
        """Store a line."""
        self.lines.append(_line(event, 10 + 3 * len(self.lines), when))
        self._now.apply(self.lines[-1])

    def judge(self, late: int | None = None) -> None:
        """What the validator says next, by what it has read."""
        while self._read < len(self.lines) - (self._late if late is None else late):
            self._then.apply(self.lines[self._read])
            self._read += 1
        for assertion in list(self._then.state.assertions.values()):
            if self._now.state.assertions[assertion.id].verdict is None:
                found = judge(self._then.state, self._then.seen, assertion)
                if found is not None:
                    self.add(judged(assertion, found), self.lines[-1].at)

    def end(self) -> None:
        """The run is over."""
        for late in range(self._late, -1, -1):
            self.judge(late)
        known = 0
        while known < len(self.lines):  # what is judged may wait for what was judged just now
            known = len(self.lines)
            self.judge(0)
        self.add(finished(self._now.state), self.lines[-1].at)


def recorded(lines: Sequence[Line], late: int = 0) -> list[Line]:
    """The journal that becomes of these lines: judged as soon as it can be, `late` lines behind those who write, and ended."""
    journal = Journal(late)
    for line in lines:
        journal.add(line.event, line.at)
        journal.judge()
    journal.end()
    return journal.lines


def stored(journal: Sequence[Line]) -> list[Told]:
    """The journal with the JSON of its events."""
    return [Told(line, written(line.event)) for line in journal]


def run(course: Course, late: int = 0) -> list[Line]:
    """The whole journal of a run that went so."""
    return recorded(lined(observed(course)), late)


GOOD = Course()
BAD = {
    "too few": Course(fills=2),
    "breach": Course(breaches=1),
    "slow": Course(answered=300 * MS),
    "late": Course(back=11.5),
    "sick": Course(sick=True),
}
"""Courses in which one claim fails."""
VAIN = Course(effect=False)

Mutation = Callable[[list[Line], int], list[Line]]


def drop(lines: list[Line], index: int) -> list[Line]:
    return lines[:index] + lines[index + 1 :]


def duplicate(lines: list[Line], index: int) -> list[Line]:
    return lines[: index + 1] + lines[index:]


def delay(lines: list[Line], index: int) -> list[Line]:
    """Stored 6 seconds later than it was."""
    line = lines[index]
    moved = replace(line, at=line.at + timedelta(seconds=6))
    rest = drop(lines, index)
    place = next((n for n, other in enumerate(rest) if other.at > moved.at), len(rest))
    return [*rest[:place], moved, *rest[place:]]


def swap(lines: list[Line], index: int) -> list[Line]:
    """It and the next one in each other's place."""
    if index + 1 >= len(lines):
        return lines
    one, other = lines[index], lines[index + 1]
    first = replace(other, at=one.at, sequence=one.sequence)
    second = replace(one, at=other.at, sequence=other.sequence)
    return [*lines[:index], first, second, *lines[index + 2 :]]


MUTATIONS: dict[str, Mutation] = {"drop": drop, "duplicate": duplicate, "delay": delay, "swap": swap}
