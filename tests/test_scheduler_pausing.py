"""Pauses and holds: what the scheduler decides, and what becomes of the run. Pure."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from messages.control import Hold
from messages.events import RunEvent
from messages.fault_events import FaultReverted
from messages.judgements import AssertionJudged
from messages.pause_events import RunPausing, RunResumed
from messages.run_events import (
    AbortRequested,
    ActionRequested,
    AssertionExpired,
    AssertionOpened,
    PauseRequested,
    PhaseFinished,
    PhaseStarted,
    ReleaseRequested,
    ResumeRequested,
    RunAborting,
    UndoRequested,
)
from messages.system import System
from messages.verdicts import Reason, Verdict
from tests.test_scheduler_decide import BEGIN, CHAOS, KILL, SYSTEM, Play, injector, scenario, validator

QUIET = '{"name": "chaos", "duration": "10s", "assertions": [{"id": "fills", "type": "event", "where": "true"}]}'
Reply = Iterable[tuple[str, RunEvent]]
E = TypeVar("E", bound=RunEvent)
HOLD = Hold(principal="ops", note="outage", since=BEGIN)


def s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def late(play: Play, event: RunEvent) -> Reply:
    """A validator that has yet to judge `fills`."""
    return () if isinstance(event, AssertionOpened) and event.assertion == "fills" else validator()(play, event)


def failed(assertion: str) -> RunEvent:
    return AssertionJudged(assertion=assertion, verdict=Verdict.FAILED, reason=Reason.CLAIM_FAILED, message="m", evidence=("e",))


def told(play: Play, kind: type[E]) -> list[E]:
    return [r.event for r in play.journal if isinstance(r.event, kind)]


def paused(document: str, since: float, until: float, rest: str = "") -> Play:
    play = Play(scenario(document, rest), [injector, validator()])
    play.at[s(since)] = [PauseRequested(principal="ann", note="look", number=2)]
    play.at[s(until)] = [ResumeRequested(principal="bob", number=3)]
    return play


def test_a_pause_without_faults_makes_the_phase_longer_and_changes_no_verdict() -> None:
    play = paused(QUIET, 3, 63)
    finished = play.run()

    (pausing,) = told(play, RunPausing)
    (resumed,) = told(play, RunResumed)
    assert finished.verdict is Verdict.PASSED
    assert (pausing.by, pausing.why, pausing.note) == ("ann", "pause", "look")
    assert resumed.by == "bob"
    assert 70 <= play.times(PhaseFinished)[1] - play.times(PhaseStarted)[1] < 70.1


def test_a_fault_that_a_pause_ends_is_undone_at_once_and_the_run_is_no_pass() -> None:
    play = paused(KILL.replace('"3s"', '"20s"'), 2, 8)
    finished = play.run()

    (undo,) = told(play, UndoRequested)
    assert undo.why == "pause"
    assert play.times(FaultReverted)[0] < 2.1
    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.PHASE_CUT)
    assert finished.message == "kill was ended before its time: ann paused the run (look)"
    assert finished.cause == "scheduler.run.run.pausing.1"


def test_a_fault_that_was_over_before_the_pause_is_not_cut() -> None:
    document = KILL.replace('"name": "chaos",', '"name": "chaos", "duration": "9s",')

    assert paused(document, 6, 20).run().verdict is Verdict.PASSED


def test_an_action_that_waits_for_its_delay_starts_as_much_later_as_the_pause_lasted() -> None:
    play = paused(KILL.replace('"for"', '"delay": "5s", "for"'), 2, 32)
    finished = play.run()

    assert 35 <= play.times(ActionRequested)[0] < 35.1
    assert finished.verdict is Verdict.PASSED


def test_the_timeout_of_a_run_does_not_count_its_pause() -> None:
    play = paused(CHAOS, 3, 603)

    assert play.run().verdict is not Verdict.ABORTED


def test_a_deadline_of_a_claim_does_not_count_the_pause() -> None:
    play = Play(scenario(QUIET.replace('"where"', '"within": "4s", "where"')), [injector, late])
    play.at[s(2)] = [PauseRequested(principal="ann")]
    play.at[s(42)] = [ResumeRequested(principal="ann")]
    play.run()

    assert 4 + 15 + 40 <= play.times(AssertionExpired)[0] - play.times(PhaseStarted)[1] < 4 + 15 + 40.1


def test_an_undo_that_nobody_confirms_in_a_pause_is_given_up_after_its_budget() -> None:
    def silent(play: Play, event: RunEvent) -> Reply:
        return () if isinstance(event, UndoRequested) else injector(play, event)

    play = Play(scenario(KILL.replace('"3s"', '"20s"')), [silent, validator()])
    play.at[s(2)] = [PauseRequested(principal="ann")]
    play.at[s(100)] = [ResumeRequested(principal="ann")]

    assert play.run().verdict is Verdict.UNSAFE
    assert "action.expired:kill" in play.kinds()
    assert play.kinds().index("action.expired:kill") < play.kinds().index("run.resumed:run")


def test_a_run_that_is_aborted_while_it_is_paused_goes_to_its_end() -> None:
    play = paused(KILL, 2, 900)
    play.at[s(20)] = [AbortRequested(principal="eve")]

    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.ABORTED, Reason.CANCELLED)
    assert play.times(RunAborting)[0] < 21
    assert play.times(RunResumed) == []


def test_what_is_finally_done_is_done_after_an_abort_in_a_pause() -> None:
    play = paused(KILL, 2, 900, ', "finally": [{"id": "back", "target": "engine", "action": "start", "delay": "1s"}]')
    play.at[s(20)] = [AbortRequested(principal="eve")]
    play.run()

    assert "action.done:back" in play.kinds()


def test_a_failed_claim_that_says_abort_is_acted_on_while_the_run_is_paused() -> None:
    play = Play(scenario(QUIET.replace('"where"', '"on_fail": "abort", "where"')), [injector, late])
    play.at = {s(2): [PauseRequested(principal="ann")], s(5): [failed("fills")]}

    finished = play.run()

    assert finished.verdict is Verdict.FAILED
    assert 5 <= play.times(RunAborting)[0] < 5.1
    assert play.times(RunResumed) == []


def test_a_failed_claim_that_says_abort_is_acted_on_while_the_run_settles() -> None:
    words = '"steady_state": {"claims": [{"id": "well", "type": "health", "target": "engine", "on_fail": "abort"}]}'
    text = SYSTEM.model_dump_json(by_alias=True, exclude_defaults=True).replace('"spec":{', f'"spec":{{{words},', 1)
    play = Play(scenario(QUIET), [injector])
    assert play.state.accepted is not None
    play.state.accepted = play.state.accepted.model_copy(update={"system": System.model_validate_json(text)})
    play.at[s(2)] = [failed("steady-settle-well")]

    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.PRECONDITION)
    assert 2 <= play.times(RunAborting)[0] < 2.1


def test_a_pause_while_settling_lasts_and_the_phases_come_after_it() -> None:
    play = Play(scenario(QUIET), [injector, validator()])
    play.add("control", PauseRequested(principal="ann"))
    play.at[s(30)] = [ResumeRequested(principal="ann")]
    finished = play.run()

    assert finished.verdict is Verdict.PASSED
    assert min(play.times(PhaseStarted)) >= 30


def test_a_hold_pauses_a_run_and_its_release_lets_it_go_on() -> None:
    play = Play(scenario(QUIET), [injector, validator()])
    play.holds = {s(2): HOLD, s(50): None}
    play.at[s(49)] = [ReleaseRequested(principal="max", number=2)]
    finished = play.run()

    (pausing,) = told(play, RunPausing)
    (resumed,) = told(play, RunResumed)
    assert (pausing.by, pausing.why, pausing.note) == ("ops", "hold", "outage")
    assert (resumed.by, play.times(RunResumed)[0] >= 50) == ("max", True)
    assert finished.verdict is Verdict.PASSED


def test_a_person_lifts_no_hold_and_a_release_no_pause() -> None:
    play = Play(scenario(QUIET), [injector, validator()])
    play.holds = {s(2): HOLD, s(30): None}
    play.at = {s(10): [PauseRequested(principal="ann")], s(40): [ResumeRequested(principal="ann")]}
    play.run()

    assert [event.why for event in told(play, RunPausing)] == ["hold", "pause"]
    assert [round(at) for at in play.times(RunPausing)] == [2, 30]
    assert [round(at) for at in play.times(RunResumed)] == [30, 40]


def test_a_resume_under_a_hold_leaves_the_run_standing() -> None:
    play = paused(QUIET, 2, 10)
    play.holds = {s(5): HOLD, s(30): None}
    play.run()

    assert [round(at) for at in play.times(RunResumed)] == [10, 30]
    assert 37.9 <= play.times(PhaseFinished)[1] - play.times(PhaseStarted)[1] < 38.1


def test_every_pause_and_every_going_on_is_an_event_of_its_own() -> None:
    play = paused(QUIET, 2, 4)
    play.at |= {s(6): [PauseRequested(principal="ann", number=4)], s(8): [ResumeRequested(principal="ann", number=5)]}
    play.run()

    ids = [r.evidence for r in play.journal if isinstance(r.event, RunPausing | RunResumed | PauseRequested | ResumeRequested)]
    assert len(ids) == len(set(ids)) == 8


def test_the_principal_of_a_run_stays_who_submitted_it() -> None:
    play = paused(QUIET, 2, 4)
    play.run()

    assert play.state.principal == "me"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.5, 40, allow_nan=False), min_size=2, max_size=6, unique=True).map(sorted))
def test_however_often_it_is_paused_a_phase_lasts_its_duration_beside_the_pauses(moments: list[float]) -> None:
    play = Play(scenario(QUIET), [injector, validator()])
    for index, moment in enumerate(moments[: len(moments) // 2 * 2]):
        asked = PauseRequested(principal="a", number=index) if index % 2 == 0 else ResumeRequested(principal="a", number=index)
        play.at.setdefault(s(moment), []).append(asked)
    finished = play.run()

    begun, ended = play.times(PhaseStarted)[1], play.times(PhaseFinished)[1]
    stood = sum(min(b, ended) - min(a, ended) for a, b in zip(play.times(RunPausing), play.times(RunResumed), strict=True))
    assert finished.verdict is Verdict.PASSED
    assert 10 <= ended - begun - stood < 10.2
