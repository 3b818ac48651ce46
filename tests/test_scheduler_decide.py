"""The scheduler's decisions, played against answers that come as quickly as asked: no bus, no clock."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from actors.scheduler.decide import decide, start
from messages.control import Hold
from messages.correlations import AuditCorrelated
from messages.events import Recorded, RunEvent
from messages.fault_events import (
    ActionDone,
    ActionFailed,
    ActionRefused,
    FaultArmed,
    FaultEffective,
    FaultGone,
    FaultInjected,
    FaultReverted,
    FaultRevertFailed,
    ServiceStarted,
    WorkloadDied,
    WorkloadStarted,
)
from messages.identity import Identity
from messages.judgements import AssertionJudged
from messages.run_events import (
    AbortRequested,
    ActionExpired,
    ActionRequested,
    AssertionExpired,
    AssertionOpened,
    PhaseFinished,
    PhaseStarted,
    RunAborting,
    RunAccepted,
    RunFinished,
    ServicesReleaseRequested,
    ServicesRequested,
    SubmitRequested,
    UndoRequested,
)
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from messages.verdicts import Reason, Verdict
from runs.state import RunState

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
ME = Identity(pid=1, started=1, boot="b")

SYSTEM = System.model_validate_json("""{"metadata": {"name": "trading"}, "spec": {"services": {
  "engine": {"driver": {"process": {"command": ["engine"]}}, "health": {"tcp": {"address": "127.0.0.1:1"}}, "depends_on": ["exchange"]},
  "exchange": {"driver": {"process": {"command": ["exchange"]}}, "health": {"tcp": {"address": "127.0.0.1:2"}}}}}}""")


def scenario(phases: str, rest: str = "") -> Scenario:
    return Scenario.model_validate_json(
        f'{{"metadata": {{"name": "s"}}, "spec": {{"system": "trading", "timeout": "2m", "phases": [{phases}]{rest}}}}}'
    )


CHAOS = """{"name": "chaos", "duration": "10s",
  "actions": [{"id": "restart", "target": "engine", "action": "restart"}],
  "assertions": [{"id": "fills", "type": "event", "where": "event.type == 'x'"}]}"""
KILL = """{"name": "chaos", "actions": [{"id": "kill", "target": "engine", "action": "kill", "for": "3s"}],
  "assertions": [{"id": "fills", "type": "event", "where": "true"}]}"""


class Play:
    """A run in which every request is answered at once, in the way the test says."""

    def __init__(
        self,
        document: Scenario,
        answers: Iterable[Callable[["Play", RunEvent], Iterable[tuple[str, RunEvent]]]],
        *,
        rehearsal: bool = False,
        system: System | None = None,
    ) -> None:
        self.state = RunState("r")
        self.now = BEGIN
        self.journal: list[Recorded[RunEvent]] = []
        self.answers = tuple(answers)
        self.at: dict[timedelta, list[RunEvent]] = {}
        self.hold: Hold | None = None
        self.holds: dict[timedelta, Hold | None] = {}
        self.add("control", SubmitRequested(principal="me"))
        self.add("scheduler", RunAccepted(key="k", scenario=document, system=system or SYSTEM, submitted=BEGIN, rehearsal=rehearsal))

    def add(self, actor: str, event: RunEvent) -> None:
        self.now += MS
        sequence = len(self.journal) + 1
        recorded = Recorded(event, "r", 0, actor, event.entity, sequence, self.now, f"r.{sequence}")
        self.journal.append(recorded)
        self.state.apply(recorded)

    def run(self) -> RunFinished:
        for _ in range(500):
            self._due()
            decision = decide(self.state, self.now, self.hold)
            if decision.wants_system:
                self.store(start(self.state))
            elif decision.events:
                self.store(decision.events)
            elif self.state.finished is not None:
                return self.state.finished
            else:
                waits = [*([decision.wake] if decision.wake else []), *(BEGIN + at for at in (*self.at, *self.holds))]
                assert waits, f"stuck after {self.kinds()[-5:]}"
                self.now = max(self.now, min(waits))
        raise AssertionError(self.kinds()[-20:])

    def _due(self) -> None:
        for at in [a for a in self.at if BEGIN + a <= self.now]:
            for event in self.at.pop(at):
                self.add("control", event)
        for at in [a for a in self.holds if BEGIN + a <= self.now]:
            self.hold = self.holds.pop(at)

    def store(self, events: list[RunEvent]) -> None:
        for event in events:
            self.add("scheduler", event)
        for event in events:
            for answer in self.answers:
                for actor, reply in answer(self, event):
                    self.add(actor, reply)

    def kinds(self) -> list[str]:
        return [f"{r.event.type_name()}:{r.entity}" for r in self.journal]

    def times(self, kind: type[RunEvent]) -> list[float]:
        return [(r.at - BEGIN).total_seconds() for r in self.journal if isinstance(r.event, kind)]


def injector(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
    me = "chaos-injector"
    match event:
        case ServicesRequested():
            yield me, ServiceStarted(service="engine", number=1, identity=ME)
            yield me, ActionDone(action_id="services")
        case ServicesReleaseRequested():
            yield me, ActionDone(action_id="release")
        case ActionRequested() if event.action.spec.fault:
            yield from armed(event)
            yield me, FaultInjected(fault_id=event.fault_id, took=MS, ago=MS)
            yield me, FaultEffective(fault_id=event.fault_id, how="gone", ago=MS)
            if event.action.action == "restart":
                yield from reverted(event.fault_id, "itself")
        case ActionRequested():
            yield me, ActionDone(action_id=event.fault_id)
        case UndoRequested():
            yield from reverted(event.fault_id, "request")


def armed(event: ActionRequested) -> Iterable[tuple[str, RunEvent]]:
    undo = Undo(kind="process.start", service=event.target)
    yield "chaos-injector", FaultArmed(fault_id=event.fault_id, target=event.target, action="x", until=BEGIN, undo=undo)


def reverted(fault: str, by: str) -> Iterable[tuple[str, RunEvent]]:
    yield "chaos-injector", FaultReverted(fault_id=fault, took=MS, ago=MS, by=by)  # type: ignore[arg-type]
    yield "chaos-injector", FaultGone(fault_id=fault, restored_by="undo", identity=ME, ago=MS)


def validator(**verdicts: Verdict) -> Callable[[Play, RunEvent], Iterable[tuple[str, RunEvent]]]:
    def answer(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if isinstance(event, AssertionOpened):
            verdict = verdicts.get(event.assertion.replace("-", "_"), Verdict.PASSED)
            reason = None if verdict is Verdict.PASSED else Reason.CLAIM_FAILED
            judged = AssertionJudged(assertion=event.assertion, verdict=verdict, reason=reason, message="m", evidence=("e",))
            yield "validator", judged

    return answer


def test_a_run_goes_through_its_life_in_order_and_passes() -> None:
    play = Play(scenario(CHAOS), [injector, validator()])

    finished = play.run()

    steps = ("services.requested", "phase.started", "action.requested", "phase.finished", "services.release.requested", "run.finished")
    told = [kind for kind in play.kinds() if kind.split(":")[0] in steps]
    assert told == [
        "services.requested:services",
        "phase.started:settle",
        "phase.finished:settle",
        "phase.started:chaos",
        "action.requested:restart",
        "phase.finished:chaos",
        "phase.started:recover",
        "phase.finished:recover",
        "services.release.requested:release",
        "run.finished:run",
    ]
    assert finished.verdict is Verdict.PASSED


def test_services_start_in_the_order_of_what_they_depend_on() -> None:
    play = Play(scenario(CHAOS), [injector, validator()])
    play.run()

    (request,) = [r.event for r in play.journal if isinstance(r.event, ServicesRequested)]

    assert request.levels == (("exchange",), ("engine",))


TELLING = System.model_validate_json(SYSTEM.model_dump_json(by_alias=True).replace('"events":[]', '"events":["trading.>"]'))


def auditor(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
    if isinstance(event, PhaseFinished):
        final = event.kind == "recover"
        yield "observer", AuditCorrelated(number=1, until=play.now, final=final, events=9, baseline=None, learnt=0)


def test_the_end_of_a_run_with_faults_waits_for_its_audit_trail() -> None:
    play = Play(scenario(CHAOS), [injector, validator(), auditor], system=TELLING)
    play.run()

    assert play.times(ServicesReleaseRequested)[0] - play.times(PhaseFinished)[-1] < 1


def test_but_no_longer_than_five_seconds() -> None:
    play = Play(scenario(CHAOS), [injector, validator()], system=TELLING)
    finished = play.run()

    assert 5 <= play.times(ServicesReleaseRequested)[0] - play.times(PhaseFinished)[-1] < 5.1
    assert finished.verdict is Verdict.PASSED


def test_a_run_without_faults_waits_for_no_audit_trail() -> None:
    play = Play(
        scenario(CHAOS.replace('"actions": [{"id": "restart", "target": "engine", "action": "restart"}],', "")),
        [injector, validator()],
        system=TELLING,
    )
    play.run()

    assert play.times(ServicesReleaseRequested)[0] - play.times(PhaseFinished)[-1] < 1


def test_a_phase_holds_for_its_duration() -> None:
    play = Play(scenario(CHAOS), [injector, validator()])
    play.run()

    begun, ended = play.times(PhaseStarted)[1], play.times(PhaseFinished)[1]

    assert 10.0 <= ended - begun < 10.1


def test_a_fault_with_a_for_is_undone_when_it_has_passed_and_the_phase_ends_with_it() -> None:
    play = Play(scenario(KILL), [injector, validator()])
    finished = play.run()

    (injected,), (undo,) = play.times(FaultInjected), play.times(UndoRequested)

    assert 2.99 <= undo - injected < 3.1
    assert play.times(PhaseFinished)[1] - undo < 0.1
    assert finished.verdict is Verdict.PASSED


def test_an_undo_at_the_phases_end_comes_before_the_next_phase() -> None:
    kill = '{"id": "kill", "target": "engine", "action": "kill"}'
    two = f'{{"name": "chaos", "duration": "2s", "actions": [{kill}]}}, {{"name": "after", "duration": "1s"}}'
    play = Play(scenario(two), [injector, validator()])
    play.run()

    kinds = play.kinds()

    assert kinds.index("undo.requested:kill") < kinds.index("fault.reverted:kill") < kinds.index("phase.started:after")


def test_an_action_after_another_waits_until_that_is_gone_and_then_its_delay() -> None:
    chained = """{"name": "chaos", "actions": [{"id": "one", "target": "engine", "action": "kill", "for": "2s"},
      {"id": "two", "target": "exchange", "action": "restart", "after": "one", "delay": "1s"}]}"""
    play = Play(scenario(chained), [injector, validator()])
    play.run()

    first, second = play.times(ActionRequested)
    gone = play.times(FaultGone)[0]

    assert second - gone >= 0.99
    assert second - first >= 3.0


def test_a_sick_system_is_inconclusive_and_nothing_is_disturbed() -> None:
    play = Play(scenario(CHAOS), [injector, validator(steady_settle_steady=Verdict.FAILED)])

    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.PRECONDITION)
    assert play.times(ActionRequested) == []
    assert play.times(ServicesReleaseRequested) != []


def dying(*others: str) -> Callable[[Play, RunEvent], Iterable[tuple[str, RunEvent]]]:
    """An injector whose workload ends as soon as one of these events has come, by its name and entity."""

    def answer(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if isinstance(event, ServicesRequested):
            yield "chaos-injector", WorkloadStarted(workload="writer", number=1, identity=ME, output="o")
        yield from injector(play, event)
        if f"{event.type_name()}:{event.entity}" in others:
            yield "chaos-injector", WorkloadDied(workload="writer", number=1, code=1, message="no redis")

    return answer


def test_a_workload_that_is_dead_before_the_first_phase_ends_the_run_and_nothing_is_disturbed() -> None:
    play = Play(scenario(CHAOS), [dying("phase.started:settle"), lambda *_: ()])

    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.WORKLOAD_DIED)
    assert finished.message == "the workload writer ended by itself with code 1: no redis"
    assert list(play.state.stages) == ["settle"]
    assert play.times(ActionRequested) == []
    assert play.times(ServicesReleaseRequested) != []
    assert play.times(RunFinished)[0] < 1, "nobody waits for a steady state that is not asked about any more"


def test_a_workload_is_to_blame_though_the_services_that_are_stopped_for_it_are_then_found_sick() -> None:
    def late(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if isinstance(event, ServicesReleaseRequested):
            words: dict[str, Any] = {"verdict": Verdict.FAILED, "reason": Reason.CLAIM_FAILED, "message": "m", "evidence": ()}
            yield "validator", AssertionJudged(assertion="steady-settle-steady", **words)

    finished = Play(scenario(CHAOS), [late, dying("assertion.opened:steady-settle-steady")]).run()

    assert finished.reason is Reason.WORKLOAD_DIED


def test_a_workload_that_dies_in_a_phase_lets_the_run_go_on() -> None:
    play = Play(scenario(CHAOS), [dying("phase.started:chaos"), validator()])

    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.WORKLOAD_DIED)
    assert len(play.times(ActionRequested)) == 1
    assert play.state.assertions["fills"].verdict is Verdict.PASSED


def test_a_failed_claim_is_told_with_what_it_says_in_its_own_words() -> None:
    said = CHAOS.replace('"id": "fills",', '"id": "fills", "description": "what was ordered\\n is filled",')

    finished = Play(scenario(said), [injector, validator(fills=Verdict.FAILED)]).run()

    assert finished.message == "fills (what was ordered is filled): m"


def test_services_that_do_not_come_up_are_inconclusive_and_released() -> None:
    def sick(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if isinstance(event, ServicesRequested):
            yield "chaos-injector", ActionFailed(action_id="services", reason=Reason.PRECONDITION, message="engine is not healthy")
        elif not isinstance(event, ServicesRequested):
            yield from injector(play, event)

    finished = Play(scenario(CHAOS), [sick, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.PRECONDITION)


def test_without_an_injector_the_run_is_inconclusive_for_want_of_a_target() -> None:
    play = Play(scenario(CHAOS), [validator()])

    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.NO_TARGET)
    assert "too busy" in str(finished.hint), "an injector in the same process may be too slow as well"
    (expired, _) = [r.event for r in play.journal if isinstance(r.event, ActionExpired)]
    assert expired.reason is Reason.NO_TARGET


def test_a_failed_claim_stops_the_run_undoes_everything_and_fails_it() -> None:
    two = CHAOS.replace('"restart"}', '"kill"}') + ', {"name": "later", "duration": "5s"}'
    play = Play(scenario(two), [injector, validator(fills=Verdict.FAILED)])

    finished = play.run()

    assert finished.verdict is Verdict.FAILED
    assert "phase.started:later" not in play.kinds()
    assert "fault.reverted:restart" in play.kinds()
    assert "phase.started:recover" in play.kinds()
    assert play.times(RunFinished)[0] < 5


def test_a_failed_claim_that_says_continue_lets_the_run_go_on() -> None:
    going = CHAOS.replace("'x'\"", '\'x\'", "on_fail": "continue"') + ', {"name": "later", "duration": "5s"}'
    play = Play(scenario(going), [injector, validator(fills=Verdict.FAILED)])

    finished = play.run()

    assert finished.verdict is Verdict.FAILED
    assert "phase.finished:later" in play.kinds()


def test_a_failed_claim_that_says_abort_ends_the_run_at_once_and_is_failed_not_aborted() -> None:
    going = CHAOS.replace("'x'\"", '\'x\'", "on_fail": "abort"')
    play = Play(scenario(going), [injector, validator(fills=Verdict.FAILED)])

    finished = play.run()

    assert finished.verdict is Verdict.FAILED
    assert "phase.started:recover" not in play.kinds()
    assert "run.aborting:run" in play.kinds()


def test_an_inconclusive_claim_lets_the_run_go_on() -> None:
    play = Play(scenario(CHAOS), [injector, validator(fills=Verdict.INCONCLUSIVE)])

    finished = play.run()

    assert finished.verdict is Verdict.INCONCLUSIVE
    assert play.times(RunFinished)[0] > 10


def test_an_abort_undoes_what_is_active_and_is_aborted() -> None:
    play = Play(scenario(KILL.replace('"3s"', '"60s"')), [injector, validator()])
    play.at[timedelta(seconds=2)] = [AbortRequested(principal="ann")]

    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.ABORTED, Reason.CANCELLED)
    assert "ann" in finished.message
    assert play.times(FaultReverted)[0] < 2.1
    assert "action.done:release" in play.kinds()


def test_an_abort_before_the_start_ends_a_waiting_run() -> None:
    play = Play(scenario(CHAOS), [injector, validator()])
    play.add("control", AbortRequested(principal="ann"))

    finished = play.run()

    assert finished.verdict is Verdict.ABORTED
    assert "services.requested:services" not in play.kinds()


def test_a_run_beyond_its_timeout_is_aborted() -> None:
    play = Play(scenario(CHAOS.replace("10s", "10m")), [injector, validator()])

    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.ABORTED, Reason.TIMEOUT)
    assert 120 <= play.times(RunAborting)[0] < 121


def test_an_undo_that_fails_makes_the_run_unsafe() -> None:
    def stubborn(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if isinstance(event, UndoRequested):
            yield "chaos-injector", FaultRevertFailed(fault_id=event.fault_id, message="no", attempts=5)
        else:
            yield from injector(play, event)

    finished = Play(scenario(KILL), [stubborn, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.UNSAFE, Reason.REVERT_FAILED)


def test_an_undo_that_nobody_confirms_makes_the_run_unsafe_after_its_budget() -> None:
    def silent(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        return () if isinstance(event, UndoRequested) else injector(play, event)

    play = Play(scenario(KILL), [silent, validator()])
    finished = play.run()

    assert finished.verdict is Verdict.UNSAFE
    assert play.times(ActionExpired)[0] - play.times(UndoRequested)[0] >= 30


def test_a_fault_that_was_armed_after_its_request_had_expired_still_ends_the_run() -> None:
    def late(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if isinstance(event, ActionRequested | UndoRequested):
            return ()
        if isinstance(event, ActionExpired) and event.reason is Reason.NO_TARGET:
            return armed(play.state.actions.states["kill"].request)
        return injector(play, event)

    finished = Play(scenario(KILL.replace('"actions"', '"duration": "9s", "actions"')), [late, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.UNSAFE, Reason.REVERT_FAILED)


def test_a_service_that_never_gets_well_does_not_make_the_scheduler_spin() -> None:
    two = """{"name": "chaos", "actions": [{"id": "one", "target": "engine", "action": "kill", "for": "1s"},
      {"id": "two", "target": "exchange", "action": "kill", "for": "90s"}]}"""

    def unwell(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        return [(a, e) for a, e in injector(play, event) if not (isinstance(e, FaultGone) and e.fault_id == "one")]

    play = Play(scenario(two), [unwell, validator()])
    play.run()  # it gives up after 500 looks

    assert "fault.reverted:two" in play.kinds()


def test_a_request_for_services_that_was_lost_in_a_crash_is_made_again() -> None:
    play = Play(scenario(CHAOS), [injector, validator()])
    play.add("scheduler", start(play.state)[0])

    finished = play.run()

    assert finished.verdict is Verdict.PASSED
    assert "services.requested:services" in play.kinds()


def test_a_refused_fault_makes_the_run_inconclusive_with_its_reason() -> None:
    def refusing(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if isinstance(event, ActionRequested):
            yield "chaos-injector", ActionRefused(action_id=event.fault_id, reason=Reason.UNSUPPORTED_HERE, message="no")
        else:
            yield from injector(play, event)

    finished = Play(scenario(CHAOS), [refusing, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.UNSUPPORTED_HERE)


def test_a_claim_that_nobody_judges_is_inconclusive_15_seconds_after_its_window() -> None:
    def lazy(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if isinstance(event, AssertionOpened) and event.assertion != "fills":
            yield from validator()(play, event)

    play = Play(scenario(CHAOS), [injector, lazy])
    finished = play.run()

    assert finished.verdict is Verdict.INCONCLUSIVE
    assert 15 <= play.times(AssertionExpired)[0] - play.times(PhaseFinished)[1] < 15.1


def test_a_scenario_that_claims_nothing_proves_nothing() -> None:
    empty = '{"name": "chaos", "duration": "1s"}'

    finished = Play(scenario(empty), [injector, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)


def test_a_claim_whose_window_never_opens_is_not_a_pass() -> None:
    late = CHAOS.replace('"where"', '"after": "restart.gone", "where"')

    def never_gone(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        return [(a, e) for a, e in injector(play, event) if not isinstance(e, FaultGone)]

    finished = Play(scenario(late), [never_gone, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.PHASE_CUT)


def test_what_is_finally_done_comes_after_the_undo_and_before_recovery() -> None:
    rest = ', "finally": [{"id": "back", "target": "engine", "action": "start"}]'
    play = Play(scenario(KILL, rest), [injector, validator()])
    play.run()

    kinds = play.kinds()

    assert kinds.index("fault.reverted:kill") < kinds.index("action.requested:back") < kinds.index("phase.started:recover")


def test_a_steady_state_that_does_not_come_back_fails_the_run() -> None:
    finished = Play(scenario(CHAOS), [injector, validator(steady_recover_steady=Verdict.FAILED)]).run()

    assert finished.verdict is Verdict.FAILED
    assert "steady state was not back" in finished.message


def test_whole_run_claims_open_with_the_first_phase() -> None:
    rest = ', "assertions": [{"id": "keys", "type": "continuity", "key": "event.id", "opened_by": "a", "closed_by": "b"}]'
    play = Play(scenario(CHAOS, rest), [injector, validator()])
    play.run()

    (opened,) = [r for r in play.journal if isinstance(r.event, AssertionOpened) and r.entity == "keys"]

    assert opened.event.opens == play.state.first_phase_started  # type: ignore[attr-defined]
