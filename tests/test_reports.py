"""The report of a run, from hand-made journals: what it says, in each of its formats."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import thread_time
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.reporter import FORMATS, render
from messages.claims import ContinuityClaim, EventClaim, HealthClaim, RecoveryClaim
from messages.events import Recorded, RunEvent
from messages.fault_events import (
    ActionDone,
    ActionFailed,
    FaultArmed,
    FaultEffective,
    FaultGone,
    FaultInjected,
    FaultReverted,
    FaultRevertFailed,
    FaultUnseen,
    HandlerFailed,
    ServiceStarted,
    ServiceStopped,
)
from messages.identity import Identity
from messages.judgements import Artefact, AssertionJudged, ReportPublished
from messages.observations import (
    EventCounted,
    EventMatched,
    KeyCounts,
    Match,
    ObservedUntil,
    ProbeSummary,
    ServiceDown,
    ServiceUp,
    StreamGap,
)
from messages.run_events import (
    AbortRequested,
    ActionExpired,
    ActionRequested,
    AssertionOpened,
    PhaseFinished,
    PhaseStarted,
    RunAborting,
    RunAccepted,
    RunFinished,
    RunStarted,
    ServicesReleaseRequested,
    ServicesRequested,
    SubmitRequested,
    UndoRequested,
)
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from messages.values import parse_duration
from messages.verdicts import HINTS, Reason, Verdict
from runs.report import Report, ReportFold
from runs.report_values import readable
from runs.verdict import verdict_of

RUN = "019f0c3e-2b1a-7c44-9d7e-5a41c0ffee01"
BEGIN = datetime(2026, 3, 14, 9, 26, 53, 589000, tzinfo=UTC)
SERVICES = ("exchange-simulator", "custodian-simulator", "trading-engine", "risk-monitor")
MS = timedelta(milliseconds=1)
ZERO = timedelta()
Line = Recorded[RunEvent]

SYSTEM = System.model_validate_json(
    '{"metadata": {"name": "trading"}, "spec": {"events": ["trading.events.>"], "services": {'
    + ", ".join(
        f'"{name}": {{"driver": {{"process": {{"command": ["{name}"]}}}}, "health": {{"tcp": {{"address": "h:1"}}}}}}' for name in SERVICES
    )
    + "}}}"
)
SCENARIO = Scenario.model_validate_json("""{
  "metadata": {"name": "restart-during-trading", "description": "The trading engine restarts, the exchange halts, while orders flow",
    "tags": ["trading", "restart"], "version": "1.2", "author": "resilience"},
  "spec": {"system": "trading", "phases": [
    {"name": "baseline", "duration": "6s", "assertions": [
      {"id": "flow", "type": "event", "where": "event.type == 'order.filled'", "at_least": 20}]},
    {"name": "chaos", "duration": "12s", "actions": [
      {"id": "restart", "target": "trading-engine", "action": "restart"},
      {"id": "halt", "target": "exchange-simulator", "action": "pause", "for": "3s", "delay": "5s"}]}],
  "assertions": [
    {"id": "recovery", "type": "recovery", "target": "trading-engine", "of": "restart", "within": "10s"},
    {"id": "orders", "type": "continuity", "key": "event.data.order_id", "opened_by": "order.submitted",
      "closed_by": ["order.filled", "order.rejected"]},
    {"id": "no-breach", "type": "event", "where": "event.type == 'risk.limit_breached'", "never": true}]}}""")
CLAIMS = SCENARIO.claims()


class Tape:
    """A journal that is being written."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.sequence = 4100

    def add(self, second: float, *events: RunEvent) -> None:
        for event in events:
            self.sequence += 3
            at, actor = BEGIN + timedelta(seconds=second), event.ACTORS[0]
            self.lines.append(Recorded(event, RUN, 3, actor, event.entity, self.sequence, at, f"{RUN}.{actor}.{event.entity}"))

    def sorted(self) -> list[Line]:
        """The lines in stream order: by time, and numbered anew."""
        ordered = sorted(self.lines, key=lambda line: line.at)
        return [
            Recorded(line.event, line.run, line.partition, line.actor, line.entity, 4100 + 3 * n, line.at, line.id)
            for n, line in enumerate(ordered)
        ]


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


def begun() -> Tape:
    tape = Tape()
    tape.add(-0.2, SubmitRequested(principal="alice"))
    tape.add(-0.1, RunAccepted(key="trading", scenario=SCENARIO, system=SYSTEM, submitted=at(-0.15)))
    tape.add(0, RunStarted(), ServicesRequested(levels=(SERVICES,)))
    for number, name in enumerate(SERVICES):
        tape.add(0.2 + number * 0.1, ServiceStarted(service=name, number=1, identity=Identity(pid=100 + number, started=9, boot="b")))
        tape.add(0.9 + number * 0.1, ServiceUp(service=name, number=1, ago=20 * MS, error_bound=200 * MS))
    return tape


def settled(tape: Tape) -> Tape:
    tape.add(1.4, ActionDone(action_id="services", message="4 services are healthy"))
    tape.add(1.5, PhaseStarted(phase="settle", kind="settle", bound=timedelta(seconds=10)))
    steady(tape, 1.5, "settle", "steady-settle-steady", 2.6)
    tape.add(2.7, PhaseFinished(phase="settle", kind="settle"), PhaseStarted(phase="baseline", kind="phase", bound=timedelta(seconds=6)))
    opened(tape, 2.7, "flow", "baseline")
    opened(tape, 2.7, "orders")
    opened(tape, 2.7, "no-breach")
    steady(tape, 2.7, "steady", "steady-steady", None)
    return tape


def steady(tape: Tape, second: float, mode: str, name: str, judged: float | None, verdict: Verdict = Verdict.PASSED) -> None:
    claim = SYSTEM.steady_claims()[0]
    tape.add(second, AssertionOpened.model_validate({"assertion": name, "claim": claim, "mode": mode, "opens": at(second)}))
    if judged is not None:
        good = verdict is Verdict.PASSED
        told = "4 services healthy after 40ms, stable since" if good else "not healthy: risk-monitor (connect refused)"
        evidence = tuple(f"observer.{name}.service.up.1" for name in SERVICES)
        event = AssertionJudged(
            assertion=name, verdict=verdict, reason=None if good else Reason.CLAIM_FAILED, message=told, evidence=evidence
        )
        tape.add(judged, event)


def opened(tape: Tape, second: float, name: str, phase: str | None = None) -> None:
    claim = CLAIMS[name][0]
    assert isinstance(claim, EventClaim | ContinuityClaim | RecoveryClaim | HealthClaim)
    tape.add(second, AssertionOpened(assertion=name, claim=claim, phase=phase, opens=at(second)))


def judged(
    tape: Tape, second: float, name: str, message: str, *evidence: str, verdict: Verdict = Verdict.PASSED, **measured: timedelta | int
) -> None:
    reason = {Verdict.FAILED: Reason.CLAIM_FAILED, Verdict.INCONCLUSIVE: Reason.NO_SAMPLES}.get(verdict)
    tape.add(
        second, AssertionJudged(assertion=name, verdict=verdict, reason=reason, message=message, evidence=evidence, measured={**measured})
    )


def matched(tape: Tape, second: float, name: str, count: int, *, seen: int = 600, keys: KeyCounts | None = None, odd: str = "") -> None:
    kept = tuple(
        Match(id=f"{odd}{name}-{n}", type="order.filled", source="trading-engine", sequence=900 + n, at=at(second), key=None)
        for n in range(min(count, 3))
    )
    event = EventMatched(
        assertion=name,
        number=1,
        opens=at(2.7),
        closes=at(second),
        until=at(second),
        through=990,
        final=True,
        count=count,
        seen=seen,
        kept=kept,
        keys=keys,
    )
    tape.add(second, event)


def fault(tape: Tape, name: str, target: str, action: str, begin: float, undone: float, gone: float) -> None:
    requested = next(a for p in SCENARIO.spec.phases for a in p.actions if a.id == name)
    undo = Undo(kind="process.start" if action == "restart" else "process.resume", service=target)
    tape.add(begin, ActionRequested(fault_id=name, phase="chaos", target=target, action=requested))
    tape.add(begin + 0.02, FaultArmed(fault_id=name, target=target, action=action, until=at(begin + 10), undo=undo))
    tape.add(begin + 0.30, FaultInjected(fault_id=name, took=260 * MS, ago=5 * MS))
    tape.add(
        begin + 0.45, FaultEffective(fault_id=name, how="new process" if action == "restart" else "health ran out of time", ago=10 * MS)
    )
    if action != "restart":
        tape.add(undone - 0.01, UndoRequested(fault_id=name, why="for"))
    tape.add(undone, FaultReverted(fault_id=name, took=4 * MS, ago=1 * MS, by="itself" if action == "restart" else "request"))
    tape.add(gone, FaultGone(fault_id=name, restored_by="itself" if action == "restart" else "undo", ago=30 * MS))


def down(tape: Tape, service: str, start: float, end: float, number: int = 2, error: str = "connection refused") -> None:
    event = ServiceDown(service=service, number=number, ago=40 * MS, error_bound=200 * MS, took=2 * MS, check="tcp", error=error)
    tape.add(start, event)
    tape.add(end, ServiceUp(service=service, number=number + 1, ago=20 * MS, error_bound=200 * MS))


def watched(tape: Tape, until: float) -> None:
    """Health samples, and service events that ebb while the engine is away."""
    for second in range(1, int(until)):
        for name in SERVICES:
            probe = ProbeSummary(probe=name, start=at(second), end=at(second + 1), count=5, ok=5, failed=0, missed=0, slowest=4 * MS)
            tape.add(second + 1.05, probe)
        away = 0.05 if 8.9 < second < 11.5 else 0.35 if 13.5 < second < 16.5 else 1
        wave = 8 + second * 7 % 5
        types = {"order.submitted": int(wave * away), "order.filled": int(wave * away * 0.9), "price.updated": 40 + second % 4}
        types |= {"settlement.completed": int(wave * away * 0.5), "risk.position_updated": int(wave * away) // 2, "service.started": 0}
        tape.add(second + 1.06, EventCounted(start=at(second), end=at(second + 1), types={k: v for k, v in types.items() if v}))


def chaos(tape: Tape, *, took: timedelta = 2403 * MS, verdict: Verdict = Verdict.PASSED) -> Tape:
    matched(tape, 8.6, "flow", 61)
    judged(tape, 8.65, "flow", "61 of 380 events matched, at least 20 must", "observer.flow.event.matched.1", count=61)
    tape.add(8.7, PhaseFinished(phase="baseline", kind="phase"), PhaseStarted(phase="chaos", kind="phase", bound=timedelta(seconds=12)))
    fault(tape, "restart", "trading-engine", "restart", 8.8, 9.2, 8.9 + took.total_seconds())
    opened(tape, 8.81, "recovery")
    down(tape, "trading-engine", 9.0, 8.8 + took.total_seconds() + 0.06)
    told = f"trading-engine recovered in {readable(took)} (±200ms), at most 10s allowed"
    if verdict is Verdict.FAILED:
        told = "trading-engine needed more than 10s to recover, at most 10s allowed"
    evidence = (
        "chaos-injector.restart.fault.injected.0",
        "chaos-injector.restart.fault.effective.0",
        "observer.trading-engine.service.down.2",
    )
    measured = {"took": took, "error_bound": 200 * MS} if verdict is Verdict.PASSED else {}
    judged(tape, 9.0 + took.total_seconds(), "recovery", told, *evidence, verdict=verdict, **measured)
    return tape


def ended(tape: Tape, second: float, verdict: Verdict, reason: Reason | None, message: str, cause: str | None) -> list[Line]:
    tape.add(second - 0.6, ServicesReleaseRequested())
    for name in reversed(SERVICES):
        tape.add(second - 0.4, ServiceStopped(service=name, number=1, killed=False, took=120 * MS))
    tape.add(second - 0.1, ActionDone(action_id="release"))
    watched(tape, second - 1)
    hint = HINTS[reason] if reason else None
    tape.add(second, RunFinished(verdict=verdict, reason=reason, message=message, cause=cause, hint=hint, position=tape.sequence))
    return tape.sorted()


def recovered(tape: Tape, second: float = 21) -> Tape:
    tape.add(second, PhaseFinished(phase="chaos", kind="phase"), PhaseStarted(phase="recover", kind="recover", bound=timedelta(seconds=30)))
    judged(
        tape,
        second + 0.1,
        "steady-steady",
        "4 services healthy throughout (trading-engine excused while disturbed)",
        "observer.risk-monitor.service.up.1",
    )
    steady(tape, second, "recover", "steady-recover-steady", second + 1.1)
    tape.add(second + 1.2, PhaseFinished(phase="recover", kind="recover"))
    tape.add(second + 1.21, ObservedUntil(stage="recover", number=1, probes=at(second + 1), events=at(second + 1), kind="end"))
    return tape


def passed() -> list[Line]:
    tape = chaos(settled(begun()))
    fault(tape, "halt", "exchange-simulator", "pause", 13.7, 16.7, 16.9)
    down(tape, "exchange-simulator", 14.2, 16.95, error="no answer within 1s")
    tape = recovered(tape)
    keys = KeyCounts(opened=162, closed_once=162)
    matched(tape, 22.3, "orders", 324, keys=keys)
    matched(tape, 22.3, "no-breach", 0)
    judged(
        tape,
        22.4,
        "orders",
        "all 162 opened were closed exactly once",
        "observer.orders.event.matched.1",
        opened=162,
        closed=162,
        lost=0,
        twice=0,
    )
    judged(tape, 22.41, "no-breach", "0 of 600 events matched, at most 0 may", "observer.no-breach.event.matched.1", count=0)
    return ended(tape, 23.4, Verdict.PASSED, None, "all 4 assertions passed", None)


def failed() -> list[Line]:
    tape = chaos(settled(begun()), took=timedelta(seconds=11), verdict=Verdict.FAILED)
    tape.add(20, HandlerFailed(handler="watch", cause="service.up", sequence=4444, error="OSError: <script>alert('dead')</script>"))
    down(tape, "risk-monitor", 17, 18.2, error="<img src=http://evil.example/x onerror=alert(1)>")
    tape.add(19, StreamGap(source="events", number=1, start=at(18), end=at(18.7), why="the connection was lost"))
    tape = recovered(tape)
    keys = KeyCounts(opened=162, closed_once=159, open=("o-17", "o-18", "<script>o-19</script>"), open_count=3)
    matched(tape, 22.3, "orders", 321, keys=keys, odd="<script>alert(1)</script>\x00\u202e")
    judged(
        tape,
        22.4,
        "orders",
        "3 of 162 opened were never closed: o-17, <script>o-19</script>\x07",
        "observer.orders.event.matched.1",
        verdict=Verdict.FAILED,
        lost=3,
    )
    judged(tape, 22.41, "no-breach", "no event of any kind came from the system in the window", verdict=Verdict.INCONCLUSIVE)
    message = "recovery: trading-engine needed more than 10s to recover, at most 10s allowed"
    return ended(tape, 23.4, Verdict.FAILED, Reason.CLAIM_FAILED, message, "validator.recovery.assertion.judged.0")


def no_effect() -> list[Line]:
    tape = settled(begun())
    matched(tape, 8.6, "flow", 61)
    judged(tape, 8.65, "flow", "61 of 380 events matched", "observer.flow.event.matched.1")
    tape.add(8.7, PhaseFinished(phase="baseline", kind="phase"), PhaseStarted(phase="chaos", kind="phase", bound=timedelta(seconds=12)))
    action = SCENARIO.spec.phases[1].actions[0]
    tape.add(8.8, ActionRequested(fault_id="restart", phase="chaos", target="trading-engine", action=action))
    undo = Undo(kind="process.start", service="trading-engine")
    tape.add(8.9, FaultArmed(fault_id="restart", target="trading-engine", action="restart", until=at(20), undo=undo))
    tape.add(9, FaultInjected(fault_id="restart", took=50 * MS, ago=ZERO))
    tape.add(9.1, FaultReverted(fault_id="restart", took=4 * MS, ago=1 * MS, by="itself"))
    tape.add(14, FaultUnseen(fault_id="restart", within=timedelta(seconds=5)))
    tape.add(15, ActionRequested(fault_id="halt", phase="chaos", target="exchange-simulator", action=SCENARIO.spec.phases[1].actions[1]))
    tape.add(15.1, ActionFailed(action_id="halt", reason=Reason.UNSUPPORTED_HERE, message="no such process"))
    told = "restart was injected, but no effect was seen on trading-engine"
    return ended(recovered(tape), 24, Verdict.INCONCLUSIVE, Reason.NO_EFFECT, told, "chaos-injector.restart.fault.unseen.0")


def aborted() -> list[Line]:
    tape = chaos(settled(begun()))
    tape.add(12, AbortRequested(principal="bob", message="wrong system"))
    tape.add(12.1, RunAborting(reason=Reason.CANCELLED, by="bob", message="ended by bob: wrong system"))
    tape.add(12.2, PhaseFinished(phase="chaos", kind="phase", cut=True))
    return ended(tape, 13, Verdict.ABORTED, Reason.CANCELLED, "ended by bob: wrong system", "scheduler.run.run.aborting.0")


def precondition() -> list[Line]:
    tape = begun()
    tape.add(1.5, PhaseStarted(phase="settle", kind="settle", bound=timedelta(seconds=10)))
    steady(tape, 1.5, "settle", "steady-settle-steady", 11.6, Verdict.FAILED)
    tape.add(11.7, PhaseFinished(phase="settle", kind="settle", cut=True))
    told = "the steady state did not hold before the first fault: not healthy: risk-monitor (connect refused)"
    return ended(tape, 12.5, Verdict.INCONCLUSIVE, Reason.PRECONDITION, told, "validator.steady-settle-steady.assertion.judged.0")


def unsafe() -> list[Line]:
    tape = chaos(settled(begun()))
    fault(tape, "halt", "exchange-simulator", "pause", 13.7, 16.7, 16.9)
    tape.lines = [line for line in tape.lines if not (line.entity == "halt" and isinstance(line.event, FaultReverted | FaultGone))]
    tape.add(
        14.3, ServiceDown(service="exchange-simulator", number=2, ago=40 * MS, error_bound=ZERO, took=ZERO, check="tcp", error="no answer")
    )
    tape.add(17, FaultRevertFailed(fault_id="halt", message="permission denied", attempts=5))
    told = "halt could not be undone: permission denied"
    return ended(recovered(tape), 24, Verdict.UNSAFE, Reason.REVERT_FAILED, told, "chaos-injector.halt.fault.revert_failed.0")


def refused() -> list[Line]:
    """Nobody was there to start the services."""
    tape = Tape()
    tape.add(-0.1, RunAccepted(key="trading", scenario=SCENARIO, system=SYSTEM, submitted=at(-0.15)))
    tape.add(0, RunStarted(), ServicesRequested(levels=(SERVICES,)))
    tape.add(5, ActionExpired(fault_id="services", reason=Reason.NO_TARGET, message="no injector that can start the services answered"))
    told = "no injector that can start the services answered"
    hint = HINTS[Reason.NO_TARGET]
    tape.add(5.1, RunFinished(verdict=Verdict.INCONCLUSIVE, reason=Reason.NO_TARGET, message=told, cause=None, hint=hint, position=1))
    return tape.sorted()


def never_started() -> list[Line]:
    tape = Tape()
    tape.add(-0.1, RunAccepted(key="trading", scenario=SCENARIO, system=SYSTEM, submitted=at(-0.15)))
    hint = HINTS[Reason.CANCELLED]
    told = "ended by bob"
    tape.add(3, RunFinished(verdict=Verdict.ABORTED, reason=Reason.CANCELLED, message=told, cause=None, hint=hint, position=1))
    return tape.sorted()


JOURNALS = {f.__name__: f() for f in (passed, failed, no_effect, aborted, precondition, unsafe, refused, never_started)}


def report_of(lines: list[Line]) -> Report:
    fold = ReportFold(RUN)
    for line in lines:
        fold.apply(line)
    return fold.report()


def html(lines: list[Line]) -> str:
    return render(report_of(lines), "html").decode()


def suite(lines: list[Line]) -> ET.Element:
    root = ET.fromstring(render(report_of(lines), "junit"))  # noqa: S314 - our own bytes
    assert root.tag == "testsuites"
    (found,) = root
    return found


def cases(lines: list[Line]) -> dict[str, str | None]:
    """Each test case, and what is marked on it with its type."""
    return {
        case.attrib["name"]: next((f"{m.tag} {m.get('type', '')}".strip() for m in case), None) for case in suite(lines).iter("testcase")
    }


@pytest.mark.parametrize("name", JOURNALS)
@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_journal_gives_the_same_bytes(name: str, format_: str) -> None:
    once, again = (render(report_of(JOURNALS[name]), format_) for _ in range(2))

    assert once == again


@pytest.mark.parametrize("name", JOURNALS)
def test_the_json_reads_back_as_the_same_report(name: str) -> None:
    report = report_of(JOURNALS[name])

    assert Report.model_validate_json(render(report, "json")) == report


@pytest.mark.parametrize("name", JOURNALS)
def test_the_report_tells_the_verdict_of_the_run(name: str) -> None:
    finished = JOURNALS[name][-1].event
    assert isinstance(finished, RunFinished)

    told = report_of(JOURNALS[name]).verdict

    assert (told.verdict, told.reason, told.message, told.cause) == (finished.verdict, finished.reason, finished.message, finished.cause)


def test_what_comes_after_the_end_changes_nothing_but_faults() -> None:
    lines = list(JOURNALS["unsafe"])
    before = render(report_of(lines), "html")
    tape = Tape()
    tape.add(30, ReportPublished(artefacts=(Artefact(format="html", name="n", size=1, sha256="0"),)))
    tape.add(31, ServiceDown(service="risk-monitor", number=9, ago=ZERO, error_bound=ZERO, took=ZERO, check="tcp", error="late"))

    assert render(report_of(lines + tape.lines), "html") == before
    tape.add(40, FaultReverted(fault_id="halt", took=ZERO, ago=ZERO, by="lease"))
    assert report_of(lines + tape.lines).faults[1].status == "undone"


def test_a_passed_run_has_its_figures() -> None:
    report = report_of(JOURNALS["passed"])

    restart, halt = report.faults
    assert report.verdict.exit_code == 0
    assert report.validation_results.passed_assertions == 4
    assert (restart.status, restart.time_to_effect, restart.restored_by) == ("gone", report_span("405ms"), "itself")
    assert report.system_impact.recovery_times["trading-engine"] == report_span("2.403s")
    assert halt.undo_to_recover == report_span("231ms")
    assert report.system_impact.services_affected == ("exchange-simulator", "trading-engine")
    assert report.steady_state.outcome == "passed"
    assert report.validation_results.unexpected_behaviors == ()
    assert report.recommendations == ()


def report_span(text: str) -> object:
    from runs.report_values import span

    return span(parse_duration(text))


def test_downtimes_name_the_fault_that_caused_them() -> None:
    services = {s.service: s for s in report_of(JOURNALS["failed"]).system_impact.services}

    assert services["trading-engine"].downtimes[0].faults == ("restart",)
    assert services["risk-monitor"].downtimes[0].faults == ()


def test_a_failed_run_lists_what_should_not_be_and_what_to_do() -> None:
    report = report_of(JOURNALS["failed"])

    assert [u.kind for u in report.validation_results.unexpected_behaviors] == ["gap", "dead letter", "down"]
    assert [r.reason for r in report.recommendations[:2]] == [Reason.CLAIM_FAILED, Reason.NO_SAMPLES]
    assert report.recommendations[0].about == ("recovery", "orders")


def test_evidence_says_where_it_stands_in_the_journal() -> None:
    report = report_of(JOURNALS["passed"])

    known = {line.evidence: line for line in JOURNALS["passed"]}
    named = [e for d in report.validation_results.assertion_details for e in d.evidence]
    assert named
    for name in named:
        assert report.evidence[name].sequence == known[name].sequence


def test_a_claim_that_was_never_reached_is_no_failure() -> None:
    results = report_of(JOURNALS["precondition"]).validation_results

    assert (results.not_reached_assertions, results.failed_assertions) == (4, 0)


def test_the_timeline_is_in_order_of_the_instants() -> None:
    timeline = report_of(JOURNALS["passed"]).timeline

    assert all(first.timestamp <= second.timestamp for first, second in pairwise(timeline))
    assert "probe.summary" not in {entry.event for entry in timeline}


JUNIT = {
    "passed": {"flow": None, "recovery": None, "orders": None, "no-breach": None, "steady-state": None},
    "failed": {
        "flow": None,
        "recovery": "failure claim_failed",
        "orders": "failure claim_failed",
        "no-breach": "error no_samples",
        "steady-state": None,
    },
    "precondition": {
        "flow": "skipped",
        "recovery": "skipped",
        "orders": "skipped",
        "no-breach": "skipped",
        "steady-state": "error precondition",
    },
    "aborted": {
        "flow": None,
        "recovery": None,
        "orders": "skipped",
        "no-breach": "skipped",
        "steady-state": "skipped",
        "run": "error cancelled",
    },
    "refused": {
        "flow": "skipped",
        "recovery": "skipped",
        "orders": "skipped",
        "no-breach": "skipped",
        "steady-state": "skipped",
        "run": "error no_target",
    },
}


@pytest.mark.parametrize("name", JUNIT)
def test_junit_marks_each_case(name: str) -> None:
    assert cases(JOURNALS[name]) == JUNIT[name]


@pytest.mark.parametrize("name", JOURNALS)
def test_junit_counts_what_it_marks(name: str) -> None:
    found = suite(JOURNALS[name])

    marks = list(cases(JOURNALS[name]).values())
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(found.attrib[attribute]) == sum(1 for mark in marks if mark and mark.startswith(tag))
    assert int(found.attrib["tests"]) == len(marks)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", found.attrib["timestamp"])
    assert [child.tag for child in found if child.tag != "testcase"] == ["properties", "system-out", "system-err"]


@pytest.mark.parametrize("name", [n for n in JOURNALS if n != "passed"])
def test_junit_is_red_for_every_run_that_did_not_pass(name: str) -> None:
    found = suite(JOURNALS[name])

    assert int(found.attrib["failures"]) + int(found.attrib["errors"]) > 0


def test_nothing_that_a_service_said_is_markup() -> None:
    page = html(JOURNALS["failed"])

    assert page.count("<script") == page.count("</script") == 2, "ours, and the figures that it reads out"
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e]", page)


@pytest.mark.parametrize("name", JOURNALS)
def test_the_page_asks_for_nothing_from_elsewhere(name: str) -> None:
    page = html(JOURNALS[name])

    assert not re.search(r"\s(?:src|action|data|poster|srcset)\s*=\s*[\"']|href\s*=\s*[\"'](?!#)", page)
    assert not re.search(r"url\((?!#)|@import|<link|<iframe|<object|<embed|<script src|fetch\(|XMLHttp|import\(", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize("name", JOURNALS)
def test_the_page_says_why(name: str) -> None:
    page = html(JOURNALS[name])

    told = report_of(JOURNALS[name]).verdict
    assert told.message in page
    assert told.hint is None or told.hint.partition("`")[0].replace("'", "&#39;") in page


def long_run(seconds: int, flaps: int) -> list[Line]:
    tape = recovered(chaos(settled(begun())), seconds - 5)
    for number in range(flaps):
        start = 25 + number * (seconds - 40) / flaps
        down(tape, "risk-monitor", start, start + (seconds - 40) / flaps / 2, number=2 + 2 * number)
    return ended(tape, seconds, Verdict.PASSED, None, "all passed", None)


def test_a_long_run_is_rendered_in_time_and_bounded() -> None:
    lines = long_run(3000, 2500)

    started = thread_time()
    report = report_of(lines)
    page = render(report, "html")
    took = thread_time() - started

    assert len(report.timeline) > 5000
    assert len(report.metrics.service_events.series) <= 600
    assert sum(point.total for point in report.metrics.service_events.series) == report.metrics.service_events.total
    assert len(page) < 2_500_000
    assert took < 10


def prefixes() -> Iterator[st.SearchStrategy[list[Line]]]:
    for lines in JOURNALS.values():
        yield st.integers(0, len(lines)).map(lambda count, lines=lines: lines[:count])  # type: ignore[misc]


@settings(max_examples=80, deadline=None)
@given(st.one_of(*prefixes()))
def test_a_journal_that_is_not_over_has_a_report_too(lines: list[Line]) -> None:
    report = report_of(lines)

    for format_ in FORMATS:
        assert render(report, format_)
    assert report.journal.events == len(lines)
    assert (report.verdict.verdict is None) == (not lines or not isinstance(lines[-1].event, RunFinished))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_journal_with_holes_has_a_report_too(data: st.DataObject) -> None:
    lines = JOURNALS[data.draw(st.sampled_from(sorted(JOURNALS)))]
    kept = data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=len(lines) // 2))

    report = report_of([line for n, line in enumerate(lines) if n in kept])

    for format_ in FORMATS:
        assert render(report, format_)


@given(st.timedeltas(ZERO, timedelta(days=300)))
def test_readable_durations_can_be_read_back(length: timedelta) -> None:
    found = parse_duration(readable(length))

    assert abs(found - length) <= timedelta(milliseconds=0.5)


def test_hand_made_journals_agree_with_the_verdict_of_the_scheduler() -> None:
    for name in ("passed", "failed", "aborted", "precondition", "unsafe"):
        fold = ReportFold(RUN)
        for line in JOURNALS[name][:-1]:
            fold.apply(line)

        assert verdict_of(fold.state).verdict.value == {"precondition": "inconclusive"}.get(name, name)
