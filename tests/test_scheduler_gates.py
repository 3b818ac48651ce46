"""Phases that wait at a gate, and runs of which everything is asked at any time: what the scheduler decides. Pure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.scheduler.decide import decide
from messages.events import RunEvent
from messages.fault_events import FaultInjected
from messages.pause_events import GateClosed, GateOpened, RunPausing, RunResumed
from messages.run_events import (
    AbortRequested,
    ActionRequested,
    ApproveRequested,
    PauseRequested,
    PhaseStarted,
    RejectRequested,
    ResumeRequested,
    RunAborting,
    UndoRequested,
)
from messages.verdicts import Reason, Verdict
from tests.test_scheduler_decide import KILL, Play, injector, scenario, validator
from tests.test_scheduler_pausing import HOLD, QUIET, failed, late, s, told

GATED = KILL.replace('"actions"', '"gate": {"ask": "Now?", "approve": ["ann", "bob"], "timeout": "10m"}, "actions"')


def gated(document: str = GATED) -> Play:
    return Play(scenario(document), [injector, validator()])


def answer(kind: type[ApproveRequested] | type[RejectRequested], principal: str) -> RunEvent:
    return kind(principal=principal, note="ok", phase="chaos", number=2)


def test_a_phase_waits_at_its_gate_until_somebody_who_may_lets_it_start() -> None:
    play = gated()
    play.at = {s(100): [answer(ApproveRequested, "eve")], s(500): [answer(ApproveRequested, "bob")]}
    finished = play.run()

    (opened,) = told(play, GateOpened)
    kinds = play.kinds()
    assert opened.until <= play.now + s(600)
    assert play.times(GateClosed)[0] >= 500
    assert kinds.index("gate.closed:chaos") + 1 == kinds.index("phase.started:chaos")
    assert play.times(FaultInjected)[0] >= 500
    assert finished.verdict is Verdict.PASSED, "the time at the gate counts for no timeout"


def test_a_no_at_the_gate_ends_the_run_in_the_name_of_who_said_it() -> None:
    play = gated()
    play.at[s(5)] = [answer(RejectRequested, "ann")]
    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.ABORTED, Reason.CANCELLED)
    assert finished.message == "ann did not let chaos start: ok"
    assert [event.outcome for event in told(play, GateClosed)] == ["rejected"]
    assert play.times(ActionRequested) == []


@pytest.mark.parametrize(("otherwise", "verdict"), [("abort", Verdict.ABORTED), ("continue", Verdict.PASSED)])
def test_a_gate_that_nobody_answers_does_what_it_says(otherwise: str, verdict: Verdict) -> None:
    play = gated(GATED.replace('"10m"', f'"10m", "otherwise": "{otherwise}"'))
    finished = play.run()

    (closed,) = told(play, GateClosed)
    assert (closed.outcome, closed.by) == ("expired", "gate")
    assert 600 <= play.times(GateClosed)[0] < 601
    assert finished.verdict is verdict
    assert finished.reason is (Reason.TIMEOUT if verdict is Verdict.ABORTED else None)


def test_a_gate_that_nobody_can_answer_for_a_pause_waits_for_as_much_longer() -> None:
    play = gated()
    play.at = {s(100): [PauseRequested(principal="ann", number=1)], s(1100): [ResumeRequested(principal="ann", number=2)]}
    play.run()

    assert 1600 <= play.times(GateClosed)[0] < 1601


def test_a_gate_between_phases_opens_when_everything_before_it_is_undone() -> None:
    before = '{"name": "first", "duration": "2s", "actions": [{"id": "stop", "target": "exchange", "action": "stop"}]}'
    play = gated(f"{before}, {GATED}")
    play.at[s(50)] = [answer(ApproveRequested, "ann")]
    finished = play.run()

    kinds = play.kinds()
    assert kinds.index("fault.reverted:stop") < kinds.index("gate.opened:chaos")
    assert finished.verdict is Verdict.PASSED


def test_a_gate_is_dropped_when_a_claim_stops_the_run() -> None:
    first = QUIET.replace('"chaos"', '"first"').replace('"10s"', '"2s"').replace('"where"', '"within": "9s", "where"')
    play = Play(scenario(f"{first}, {GATED.replace('fills', 'others')}"), [injector, late])
    play.at[s(20)] = [failed("fills")]
    finished = play.run()

    (closed,) = told(play, GateClosed)
    assert (closed.outcome, closed.by) == ("dropped", "fills")
    assert finished.verdict is Verdict.FAILED
    assert "phase.finished:recover" in play.kinds()


def test_a_gate_is_dropped_when_somebody_aborts_the_run() -> None:
    play = gated()
    play.at[s(20)] = [AbortRequested(principal="eve")]
    finished = play.run()

    assert [(event.outcome, event.by) for event in told(play, GateClosed)] == [("dropped", "eve")]
    assert finished.verdict is Verdict.ABORTED


def test_a_no_is_taken_while_the_run_is_paused_and_a_yes_waits_for_it() -> None:
    yes, no = gated(), gated()
    for play, kind in ((yes, ApproveRequested), (no, RejectRequested)):
        play.at = {s(5): [PauseRequested(principal="z")], s(10): [answer(kind, "ann")], s(60): [ResumeRequested(principal="z")]}
        play.run()

    assert 60 <= yes.times(GateClosed)[0] < 61
    assert 10 <= no.times(GateClosed)[0] < 11


def test_a_decision_of_a_gate_that_was_stored_in_part_is_completed() -> None:
    play = gated()
    play.at[s(5)] = [answer(RejectRequested, "ann")]
    play.run()
    whole, play = play, gated()
    for recorded in whole.journal[2 : whole.kinds().index("run.aborting:run")]:
        play.add(recorded.actor, recorded.event)

    (aborting,) = decide(play.state, play.now).events

    assert isinstance(aborting, RunAborting)
    assert aborting.by == "ann"


TWO = f"""{GATED.replace('"3s"', '"6s"')}, {{"name": "more", "duration": "8s",
  "gate": {{"ask": "More?", "timeout": "20s", "otherwise": "continue"}},
  "actions": [{{"id": "stop", "target": "exchange", "action": "stop", "for": "4s", "delay": "1s"}}]}}"""
ASKED = st.sampled_from(["pause", "resume", "hold", "release", "approve", "reject", "abort"])


def asked(play: Play, words: list[tuple[str, float]]) -> None:
    """Who asks what when; at last all that stands still is let go."""
    requests: dict[str, RunEvent] = {
        "pause": PauseRequested(principal="ann"),
        "resume": ResumeRequested(principal="ann"),
        "approve": answer(ApproveRequested, "ann"),
        "reject": answer(RejectRequested, "ann"),
        "abort": AbortRequested(principal="ann"),
    }
    for word, moment in words:
        if word in requests:
            play.at.setdefault(s(moment), []).append(requests[word])
        else:
            play.holds[s(moment)] = HOLD if word == "hold" else None
    play.at.setdefault(s(100), []).append(requests["resume"])
    play.holds[s(100)] = None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(ASKED, st.floats(0, 60, allow_nan=False)), max_size=8))
def test_whatever_is_asked_when_nothing_new_happens_while_a_run_stands_still_and_it_ends_with_all_undone(
    words: list[tuple[str, float]],
) -> None:
    play = gated(TWO)
    asked(play, words)
    finished = play.run()

    stands = False
    for recorded in play.journal:
        match recorded.event:
            case RunPausing():
                assert not stands
                stands = True
            case RunResumed() | RunAborting():
                stands = False
            case ActionRequested() | PhaseStarted() | GateOpened():
                assert not stands, play.kinds()
    assert all(fault.reverted is not None for fault in play.state.actions.faults().values())
    assert all(gate.closed is not None for gate in play.state.standing.gates.values())
    assert play.state.pauses.later(play.now, s(1)) is not None
    cut = any(event.why == "pause" for event in told(play, UndoRequested))
    assert not cut or finished.verdict is not Verdict.PASSED
