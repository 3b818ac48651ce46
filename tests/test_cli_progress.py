import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.ending import tell
from cli.errors import CliError
from cli.following import Following
from cli.narrating import narrate, shown
from cli.options import parse_variables
from cli.progress import Progress, moments
from cli.screen import Lines, draw
from messages.control_events import ResolveRequested
from messages.events import Recorded, RunEvent
from messages.fault_events import (
    ActionFailed,
    FaultArmed,
    FaultEffective,
    FaultGone,
    FaultInjected,
    FaultReverted,
    FaultRevertFailed,
    OwnerChanged,
    ServiceStarted,
    WorkloadStarted,
)
from messages.identity import Identity
from messages.judgements import AssertionJudged
from messages.observations import EventCounted, ProbeSummary, ServiceDown, ServiceUp
from messages.pause_events import GateClosed, GateOpened, RunPausing, RunResumed
from messages.run_events import (
    ActionRequested,
    AssertionOpened,
    PhaseFinished,
    PhaseStarted,
    RunAccepted,
    RunFinished,
    RunStarted,
    RunWaiting,
    ServicesRequested,
)
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from messages.verdicts import Reason, Verdict

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PROCESS = Identity(pid=7, started=1, boot="b")
SYSTEM = System.model_validate_json(
    """{"metadata": {"name": "tiny"}, "spec": {"services":
        {"web": {"driver": {"external": {}}, "health": {"tcp": {"address": "127.0.0.1:1"}}}}}}"""
)
SCENARIO = Scenario.model_validate_json(
    """{"metadata": {"name": "restart"}, "spec": {"system": "tiny",
        "phases": [{"name": "chaos", "duration": "5s", "actions": [{"id": "r", "target": "web", "action": "restart"}]}],
        "assertions": [{"id": "back", "type": "recovery", "target": "web", "of": "r", "within": "5s"}]}}"""
)


def judged(assertion: str) -> AssertionJudged:
    return AssertionJudged(assertion=assertion, verdict=Verdict.PASSED, reason=None, message="m", evidence=())


def told(*events: tuple[float, RunEvent]) -> Progress:
    progress = Progress("01A")
    for number, (seconds, event) in enumerate(events, start=1):
        progress.apply(recorded(seconds, event, number))
    return progress


def recorded(seconds: float, event: RunEvent, number: int = 1) -> Recorded[RunEvent]:
    return Recorded(
        event=event,
        run="01A",
        partition=0,
        actor=event.ACTORS[0],
        entity=event.entity,
        sequence=number,
        at=T0 + timedelta(seconds=seconds),
        id="",
    )


GATE = GateOpened(phase="chaos", ask="Fine?", approve=("alice", "bob"), until=T0 + timedelta(minutes=30))
ACCEPTED = (0.0, RunAccepted(key="tiny", scenario=SCENARIO, system=SYSTEM, submitted=T0))
ACTION = SCENARIO.spec.phases[0].actions[0]
NO_TIME = timedelta()
FAULT = (
    (2.0, ActionRequested(fault_id="r", phase="chaos", target="web", action=ACTION)),
    (2.1, FaultArmed(fault_id="r", target="web", action="restart", until=T0, undo=Undo(kind="process.start", service="web"))),
    (2.3, FaultInjected(fault_id="r", took=timedelta(milliseconds=50), ago=NO_TIME)),
    (2.4, FaultEffective(fault_id="r", how="new process", ago=NO_TIME)),
    (2.4, FaultReverted(fault_id="r", took=NO_TIME, ago=NO_TIME, by="itself")),
    (3.0, FaultGone(fault_id="r", restored_by="undo", ago=NO_TIME)),
)
CLAIM = SCENARIO.spec.assertions[0]
FINISHED = RunFinished(verdict=Verdict.PASSED, reason=None, message="the assertion passed", cause=None, hint=None, position=9)


def test_stages_are_waiting_running_done_or_cut() -> None:
    progress = told(
        ACCEPTED,
        (1, RunStarted()),
        (1, PhaseStarted(phase="settle", kind="settle")),
        (2, PhaseFinished(phase="settle", kind="settle")),
        (2, PhaseStarted(phase="chaos", kind="phase")),
    )

    assert progress.stages() == [("settle", "done"), ("chaos", "running"), ("recover", "waiting")]


def test_a_faults_life_has_times_from_its_request() -> None:
    progress = told(ACCEPTED, *FAULT)

    life = {moment.name: moment.after.total_seconds() for moment in moments(progress.faults()["r"])}

    assert life == pytest.approx({"armed": 0.1, "injected": 0.3, "effective": 0.4, "reverted": 0.4, "gone": 1.0})


def test_the_rate_is_of_the_last_seconds_and_of_one_family() -> None:
    def counted(start: int, **types: int) -> tuple[float, RunEvent]:
        begin = T0 + timedelta(seconds=start)
        names = {name.replace("_", "."): number for name, number in types.items()}
        return start + 1, EventCounted(start=begin, end=begin + timedelta(seconds=1), types=names)

    progress = told(ACCEPTED, counted(0, order_filled=1000), counted(5, order_filled=90, risk_seen=7), counted(6, order_submitted=110))

    assert progress.busiest() == "order."
    assert progress.rate("order.", T0 + timedelta(seconds=7)) == pytest.approx(100)
    assert progress.rate("order.", T0 + timedelta(seconds=60)) is None


def test_counts_tell_every_claim_of_the_scenario_once() -> None:
    opened = AssertionOpened(assertion="back", claim=CLAIM, opens=T0)
    judged = AssertionJudged(assertion="back", verdict=Verdict.PASSED, reason=None, message="back in 1 s", evidence=())

    before, after = told(ACCEPTED).counts(), told(ACCEPTED, *FAULT, (2.0, opened), (4.0, judged)).counts()

    assert before["assertions"] == {"total": 1, "passed": 0, "failed": 0, "inconclusive": 0, "unjudged": 0, "not_reached": 1}
    assert after["assertions"] == {"total": 1, "passed": 1, "failed": 0, "inconclusive": 0, "unjudged": 0, "not_reached": 0}
    assert after["faults"] == {"total": 1, "effective": 1, "gone": 1}


def picture(progress: Progress, seconds: float, width: int = 160, height: int = 60) -> list[str]:
    page = io.StringIO()
    Console(file=page, width=width).print(draw(progress, T0 + timedelta(seconds=seconds), width=width, height=height))
    return page.getvalue().splitlines()


def test_the_picture_shows_everything_at_a_glance() -> None:
    opened = AssertionOpened(assertion="back", claim=CLAIM, opens=T0)
    down = ServiceDown(service="web", number=2, ago=NO_TIME, error_bound=NO_TIME, took=NO_TIME, check="http", error="refused")
    progress = told(ACCEPTED, (1, RunStarted()), (2, PhaseStarted(phase="chaos", kind="phase")), (2, opened), *FAULT, (3, down))

    text = "\n".join(picture(progress, 4))

    for part in ("restart  run 01A", "4.0 s", "▶ chaos", "0/1 up (down: web)", "restart web", "injected +300 ms", "… back", "web: down"):
        assert part in text


def test_what_is_disturbed_is_told_with_its_state_and_what_is_left() -> None:
    begun = (ACCEPTED, (1.0, RunStarted()), (2.0, PhaseStarted(phase="chaos", kind="phase", bound=timedelta(seconds=5))))
    kill = ACTION.model_copy(update={"action": "kill", "for_": timedelta(seconds=3)})
    requested = (2.0, ActionRequested(fault_id="r", phase="chaos", target="web", action=kill))

    def told_of(count: int) -> str:
        return next(line for line in picture(told(*begun, requested, *FAULT[1 : count + 1]), 3) if "◆" in line)

    assert "no effect seen yet" in told_of(2)
    assert "kill web  r  ends in 2.3 s  for 900 ms  effective (new process)" in told_of(3)
    assert "undone, not yet normal" in told_of(4)
    assert "chaos ████" in "\n".join(picture(told(*begun, requested), 3))
    assert "4.0 s left" in "\n".join(picture(told(*begun, requested), 3))
    assert not any("◆" in line for line in picture(told(*begun, requested, *FAULT[1:]), 3.5))


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (132, 24), (200, 60)])
def test_the_picture_never_outgrows_its_terminal(size: tuple[int, int]) -> None:
    names = [f"service-number-{n}-with-a-long-name" for n in range(40)]
    claim = AssertionOpened(assertion="back", claim=CLAIM, opens=T0)
    ups = [(2.0 + n / 100, ServiceUp(service=name, number=1, ago=NO_TIME, error_bound=NO_TIME)) for n, name in enumerate(names)]
    progress = told(ACCEPTED, (1, RunStarted()), (2, PhaseStarted(phase="chaos", kind="phase")), (2, claim), *FAULT, *ups)
    width, height = size

    lines = picture(progress, 4, width, height)

    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    assert any("more" in line for line in lines)
    assert any("back" in line for line in lines)


STARTED = (ACCEPTED, (1.0, RunStarted()))
CHAOS = (2.0, PhaseStarted(phase="chaos", kind="phase", bound=timedelta(seconds=5)))
PAUSED = (3.0, RunPausing(by="alice", why="pause", note="logs"))


def test_a_run_that_stands_still_says_for_whom_and_what_lets_it_go_on() -> None:
    waiting = (0.5, RunWaiting(behind="01B", why="one run at a time on tiny: behind 01B"))
    shown_at = {
        "waiting": picture(told(ACCEPTED, waiting), 9, width=80),
        "paused": picture(told(*STARTED, CHAOS, PAUSED), 9, width=80),
        "held": picture(told(*STARTED, CHAOS, (3.0, RunPausing(by="carol", why="hold", note="4711"))), 9, width=80),
        "gate": picture(told(*STARTED, (2.0, GATE)), 9, width=80),
    }
    text = {name: "\n".join(lines) for name, lines in shown_at.items()}

    assert "‖ waits: one run at a time on tiny: behind 01B" in text["waiting"]
    assert all(part in text["paused"] for part in ("‖ chaos", "‖ paused by alice: logs", "test-coordinator resume 01A"))
    assert all(part in text["held"] for part in ("‖ held by carol: 4711", "test-coordinator release"))
    assert "resume" not in text["held"]
    assert all(
        part in text["gate"]
        for part in (
            "‖ chaos",
            "‖ waits at the gate of chaos, which alice or bob may answer: Fine?",
            "test-coordinator approve 01A",
            "test-coordinator reject 01A",
        )
    )
    assert all(cell_len(line) <= 80 for lines in shown_at.values() for line in lines)


def test_a_long_question_and_the_commands_that_answer_it_are_shown_whole() -> None:
    ask = "Does the trading desk know that the engine will be gone for a while, and has it agreed to that in writing? " * 4
    gate = GateOpened(phase="chaos", ask=ask.strip(), approve=("alice",), until=T0 + timedelta(minutes=9))

    progress = Progress("01A", " --state /srv/of/the/coordinator")
    for number, (seconds, event) in enumerate((*STARTED, (2.0, gate)), start=1):
        progress.apply(recorded(seconds, event, number))

    lines = picture(progress, 9, width=60)

    text = " ".join(" ".join(lines).split())
    assert all(part in text for part in (ask.strip(), "(8.8 min left)"))
    assert all(f"test-coordinator {verb} 01A --state /srv/of/the/coordinator" in text for verb in ("approve", "reject"))
    assert all(cell_len(line) <= 60 for line in lines)


def test_what_is_left_of_a_stage_does_not_shrink_while_the_run_stands_still() -> None:
    stood, went_on = told(*STARTED, CHAOS, PAUSED), told(*STARTED, CHAOS, PAUSED, (13.0, RunResumed(by="bob")))

    lefts = [progress.left(T0 + timedelta(seconds=second))[0] for progress, second in ((stood, 4), (stood, 12), (went_on, 14))]

    assert [left.total_seconds() if left else None for left in lefts] == [4, 4, 3]


def test_what_an_unsafe_run_left_is_shown_until_somebody_resolved_it() -> None:
    failed = (2.5, FaultRevertFailed(fault_id="r", message="no such process", attempts=3))
    left = (*STARTED, *FAULT[:4], failed, (3.0, FINISHED.model_copy(update={"verdict": Verdict.UNSAFE})))
    resolved = (4.0, ResolveRequested(principal="dan", note="by hand"))

    assert "left disturbed: r; `test-coordinator resolve 01A --note TEXT`" in "\n".join(picture(told(*left), 5))
    assert "left disturbed" not in "\n".join(picture(told(*left, resolved), 5))


def test_the_commands_in_the_picture_say_where_the_coordinator_is_as_the_user_did() -> None:
    failed = (2.5, FaultRevertFailed(fault_id="r", message="no such process", attempts=3))
    progress = told(*STARTED, *FAULT[:4], failed, (3.0, FINISHED.model_copy(update={"verdict": Verdict.UNSAFE})))
    progress.given = " --state here"

    assert "`test-coordinator resolve 01A --note TEXT --state here`" in "\n".join(picture(progress, 5))


def test_a_services_history_is_a_cell_for_each_second() -> None:
    def seen(number: int, *, up: bool) -> RunEvent:
        if up:
            return ServiceUp(service="web", number=number, ago=NO_TIME, error_bound=NO_TIME)
        return ServiceDown(service="web", number=number, ago=NO_TIME, error_bound=NO_TIME, took=NO_TIME, check="http", error="")

    progress = told(ACCEPTED, (1.5, seen(1, up=True)), (3.2, seen(2, up=False)), (3.4, seen(3, up=True)), (5.5, seen(4, up=False)))

    assert progress.health("web", T0 + timedelta(seconds=7), 7, timedelta(seconds=1)) == [None, True, True, False, True, False, False]


def test_a_count_that_was_cut_short_is_no_peak() -> None:
    counted = EventCounted(start=T0, end=T0 + timedelta(milliseconds=3), types={"order.filled": 11})
    progress = told(ACCEPTED, (0.01, counted))

    assert progress.rate("order.", T0 + timedelta(seconds=1)) is None
    assert progress.rates("order.", T0 + timedelta(milliseconds=3), 2, timedelta(seconds=1)) == [None, 22]


def test_the_verdict_so_far_is_the_worst_that_was_judged() -> None:
    opened = (1.0, AssertionOpened(assertion="back", claim=CLAIM, opens=T0))
    judged = (2.0, AssertionJudged(assertion="back", verdict=Verdict.FAILED, reason=None, message="too slow", evidence=()))

    assert "so far nothing against it  0 of 1 assertions judged" in picture(told(ACCEPTED, opened), 3)[1]
    assert "✗ failed so far  back: too slow" in picture(told(ACCEPTED, opened, judged), 3)[1]
    assert "✓ PASSED" in picture(told(ACCEPTED, opened, judged, (3.0, FINISHED)), 4)[1]


def test_nothing_that_a_document_says_is_markup() -> None:
    odd = AssertionJudged(assertion="back", verdict=Verdict.FAILED, reason=None, message="[red]not[/red] [/] markup", evidence=())
    opened = AssertionOpened(assertion="back", claim=CLAIM, opens=T0)
    page = io.StringIO()

    Console(file=page, width=160).print(draw(told(ACCEPTED, (1, opened), (2, odd)), T0))

    assert "[red]not[/red] [/] markup" in page.getvalue()


def test_lines_have_the_stored_time_and_summaries_have_none() -> None:
    page = io.StringIO()
    lines = Lines(page)

    for seconds, event in (ACCEPTED, *FAULT, (61.25, FINISHED)):
        lines.line(recorded(seconds, event))

    written = page.getvalue().splitlines()
    assert written[0] == "00:00:00.000  run accepted: restart on tiny"
    assert written[-1] == "00:01:01.250  ✓ PASSED: the assertion passed"
    summary = ProbeSummary(probe="web", start=T0, end=T0, count=1, ok=1, failed=0, missed=0, slowest=NO_TIME)
    assert narrate(recorded(1, summary)) is None


def test_services_are_told_as_up_and_down() -> None:
    up = ServiceUp(service="web", number=1, ago=NO_TIME, error_bound=NO_TIME)

    assert narrate(recorded(1, up)) == "web: up"
    assert told(ACCEPTED, (1, up)).services == {"web": True}


@pytest.mark.parametrize(("seconds", "text"), [(0.0123, "12 ms"), (1.26, "1.3 s"), (300, "5.0 min")])
def test_spans_have_no_more_digits_than_matter(seconds: float, text: str) -> None:
    assert shown(timedelta(seconds=seconds)) == text


def test_variables_are_names_and_values() -> None:
    assert parse_variables(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(CliError, match="--var NAME=VALUE"):
        parse_variables(["a"])


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ServicesRequested(levels=(("web",),)), "starting 1 service"),
        (ServicesRequested(levels=(("web",), ("db",))), "starting 2 services"),
        (ServiceStarted(service="web", number=1, identity=PROCESS), "web: started (pid 7)"),
        (WorkloadStarted(workload="writer", number=1, identity=PROCESS, output="o"), "writer: workload started (pid 7)"),
        (judged("steady-settle-steady"), "✓ steady state before the first fault: m"),
        (judged("steady-steady"), "✓ steady state during the phases: m"),
        (judged("steady-recover-fast"), "✓ steady state after the last fault (fast): m"),
        (judged("back"), "✓ back: m"),
        (RunPausing(by="alice", why="pause", note="logs"), "‖ paused by alice: logs"),
        (RunPausing(by="carol", why="hold"), "‖ held, as all runs are, by carol"),
        (RunResumed(by="bob"), "▸ resumed by bob"),
        (GATE, "‖ gate before chaos: Fine?  (alice or bob may answer: test-coordinator approve 01A, or reject)"),
        (GateClosed(phase="chaos", outcome="rejected", by="bob", note="no"), "✗ gate before chaos: rejected by bob: no"),
        (GateClosed(phase="chaos", outcome="expired", by="gate"), "? gate before chaos: nobody answered in time"),
        (GateClosed(phase="chaos", outcome="dropped", by="abort"), "? gate before chaos: not asked any more, the run stops"),
        (RunWaiting(behind="01B", why="one run at a time on tiny: behind 01B"), "waiting: one run at a time on tiny: behind 01B"),
        (RunWaiting(behind="", why="held by carol", number=1), "waiting: held by carol"),
        (ResolveRequested(principal="dan", note="by hand", fault="r"), "✓ r: resolved by dan: by hand"),
        (OwnerChanged(host="h2", instance="tc-2", sequence=9), "! scheduler: taken over by host h2 of tc-2"),
    ],
)
def test_a_line_says_what_people_call_it(event: RunEvent, text: str) -> None:
    assert narrate(recorded(1, event)) == text


def ending(finished: RunFinished, *events: tuple[float, RunEvent]) -> Following:
    return Following("01A", told(ACCEPTED, *events, (9, finished)))


def test_the_end_says_which_claims_were_not_reached(capsys: pytest.CaptureFixture[str]) -> None:
    begun = (1, PhaseStarted(phase="chaos", kind="phase"))
    opened = (2, AssertionOpened(assertion="back", claim=CLAIM, opens=T0))

    tell(ending(FINISHED, begun), FINISHED, {}, json=False)
    tell(ending(FINISHED, begun, opened), FINISHED, {}, json=False)
    tell(ending(FINISHED), FINISHED, {}, json=False)

    assert capsys.readouterr().out.count("1 of 1 assertions not reached: back\n") == 1


def test_a_long_reason_is_told_in_full_once_and_then_short(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "web was not healthy: " + "said nothing of use, " * 20
    failed = ActionFailed(action_id="services", reason=Reason.PRECONDITION, message=reason)
    finished = FINISHED.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "reason": Reason.PRECONDITION, "message": reason})
    page = io.StringIO()

    for seconds, event in ((1, failed), (2, finished)):
        Lines(page).line(recorded(seconds, event))
    tell(ending(finished), finished, {}, json=False)

    shown = page.getvalue() + capsys.readouterr().out
    assert shown.count(reason.strip()) == 1
    assert shown.count("web was not healthy") == 3
