"""When windows open and close, on hand-made journals."""

from datetime import UTC, datetime, timedelta

import pytest

from messages.claims import Claim, EventClaim, RecoveryClaim, Window
from messages.events import Recorded, RunEvent
from messages.fault_events import FaultArmed, FaultEffective, FaultGone, FaultInjected, FaultReverted
from messages.run_events import ActionExpired, ActionRequested, PhaseFinished, PhaseStarted, RunAccepted, RunPausing, RunResumed
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from messages.verdicts import Reason
from runs.history import excused
from runs.state import RunState
from runs.windows import counts_until, window_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def claim(**words: object) -> EventClaim:
    return EventClaim.model_validate({"id": "c", "type": "event", "where": "true", **words})


def journal(*events: tuple[float, RunEvent]) -> RunState:
    state = RunState("r")
    scenario = Scenario.model_validate_json("""{"metadata": {"name": "s"}, "spec": {"system": "y", "phases": [
      {"name": "chaos", "actions": [{"id": "f", "target": "a", "action": "kill", "for": "3s"}]}]}}""")
    system = System.model_validate_json("""{"metadata": {"name": "y"}, "spec": {"services": {"a": {
      "driver": {"process": {"command": ["a"]}}, "health": {"tcp": {"address": "h:1"}}}}}}""")
    first = RunAccepted(key="k", scenario=scenario, system=system, submitted=BEGIN)
    for sequence, (seconds, event) in enumerate([(0.0, first), *events], 1):
        state.apply(Recorded(event, "r", 0, "any", event.entity, sequence, at(seconds), ""))
    return state


def fault(state_events: int) -> list[tuple[float, RunEvent]]:
    """The first so many moments of the fault `f`: requested 11, armed 12, injected 13, effective 14, reverted 15, gone 16."""
    action = journal().scenario.spec.phases[0].actions[0]
    zero = timedelta()
    moments: list[tuple[float, RunEvent]] = [
        (11, ActionRequested(fault_id="f", phase="chaos", target="a", action=action)),
        (12, FaultArmed(fault_id="f", target="a", action="kill", until=at(99), undo=Undo(kind="process.start", service="a"))),
        (13, FaultInjected(fault_id="f", took=timedelta(seconds=0.5), ago=zero)),
        (14, FaultEffective(fault_id="f", how="gone", ago=zero)),
        (15, FaultReverted(fault_id="f", took=zero, ago=zero, by="request")),
        (16, FaultGone(fault_id="f", restored_by="undo", ago=zero)),
    ]
    return moments[:state_events]


PHASE: list[tuple[float, RunEvent]] = [(10, PhaseStarted(phase="chaos", kind="phase"))]
ENDED: list[tuple[float, RunEvent]] = [(20, PhaseFinished(phase="chaos", kind="phase"))]
RECOVERED: list[tuple[float, RunEvent]] = [
    (21, PhaseStarted(phase="recover", kind="recover")),
    (23, PhaseFinished(phase="recover", kind="recover")),
]


@pytest.mark.parametrize(
    ("words", "moments", "opens", "closes"),
    [
        ({}, 6, 10, 20),
        ({"grace": timedelta(seconds=2)}, 6, 10, 22),
        ({"within": timedelta(seconds=30)}, 6, 10, 40),
        ({"during": "f"}, 6, 14, 16),
        ({"during": "f"}, 4, 14, 20),
        ({"after": "f"}, 6, 16, 20),
        ({"after": "f.effective"}, 6, 14, 20),
        ({"after": "f.effective", "within": timedelta(seconds=1)}, 6, 14, 15),
        ({"before": "f.injected"}, 6, 10, 13),
        ({"before": "f.injected", "within": timedelta(seconds=1)}, 6, 10, 11),
        ({"during": "f", "within": timedelta(seconds=1)}, 6, 14, 15),
        ({"during": "f", "within": timedelta(seconds=3)}, 6, 14, 16),
        ({"during": "f", "within": timedelta(seconds=3)}, 5, 14, 17),
    ],
)
def test_a_claim_of_a_phase_has_the_phase_as_its_window_narrowed_by_its_words(
    words: dict[str, object], moments: int, opens: float, closes: float
) -> None:
    state = journal(*PHASE, *fault(moments), *ENDED)

    assert window_of(state, claim(**words), "chaos") == Window(at(opens), at(closes))


def test_a_claim_of_the_whole_run_lasts_to_the_end_of_recovery() -> None:
    before, after = journal(*PHASE, *ENDED), journal(*PHASE, *ENDED, *RECOVERED)

    assert window_of(before, claim(), None) == Window(at(10), None)
    assert window_of(after, claim(grace=timedelta(seconds=2)), None) == Window(at(10), at(25))


def test_a_window_that_waits_for_a_moment_that_cannot_come_never_opens() -> None:
    expired = ActionExpired(fault_id="f", reason=Reason.NO_TARGET, message="")

    assert window_of(journal(*PHASE, *fault(1)), claim(after="f"), "chaos") == Window(None, None)
    assert window_of(journal(*PHASE, *fault(1), (17, expired)), claim(after="f"), "chaos").never


def test_grace_is_waited_for_but_opens_nothing() -> None:
    words = claim(grace=timedelta(seconds=2))
    state = journal(*PHASE, *ENDED)

    assert counts_until(words, window_of(state, words, "chaos")) == at(20)


def test_recovery_counts_from_the_start_of_the_drivers_call() -> None:
    words: Claim = RecoveryClaim(id="r", type="recovery", target="a", of="f", within=timedelta(seconds=5))
    state = journal(*PHASE, *fault(3))

    assert window_of(state, words, None) == Window(at(11), at(12.5 + 5))


def test_a_fault_excuses_its_target_from_armed_until_it_was_seen_normal() -> None:
    open_ended, closed = journal(*PHASE, *fault(4)), journal(*PHASE, *fault(6))

    assert excused(open_ended) == {"a": ((at(12), None),)}
    assert excused(closed) == {"a": ((at(12), at(16) + timedelta(seconds=1.2)),)}


def test_a_fault_that_is_never_seen_gone_excuses_for_as_long_as_recovery_may_take() -> None:
    assert excused(journal(*PHASE, *fault(5))) == {"a": ((at(12), at(15 + 30)),)}


PAUSING: list[tuple[float, RunEvent]] = [(12, RunPausing(by="ann", why="pause"))]
RESUMED: list[tuple[float, RunEvent]] = [(17, RunResumed(by="ann"))]


def test_a_window_that_is_open_when_the_run_is_paused_gets_as_much_longer_and_has_no_end_meanwhile() -> None:
    words = claim(within=timedelta(seconds=5))

    assert window_of(journal(*PHASE, *PAUSING), words, "chaos") == Window(at(10), None)
    assert window_of(journal(*PHASE, *PAUSING, *RESUMED), words, "chaos") == Window(at(10), at(20))
    assert window_of(journal(*PHASE, *PAUSING), claim(within=timedelta(seconds=2)), "chaos") == Window(at(10), at(12))


def test_a_window_that_ends_before_a_moment_ends_there_though_the_run_is_paused() -> None:
    words = claim(before="f.requested", within=timedelta(seconds=9))

    assert window_of(journal(*PHASE, *fault(1), *PAUSING), words, "chaos") == Window(at(10), at(11))


@pytest.mark.parametrize("mode", ["settle", "recover"])
def test_the_time_to_settle_and_to_recover_stands_still_in_a_pause(mode: str) -> None:
    begun: list[tuple[float, RunEvent]] = [(10, PhaseStarted(phase=mode, kind=mode))]  # type: ignore[arg-type]
    bound = {"settle": 10, "recover": 30}[mode]

    assert window_of(journal(*begun, *PAUSING), claim(), None, mode) == Window(at(10), None)
    assert window_of(journal(*begun, *PAUSING, *RESUMED), claim(), None, mode) == Window(at(10), at(10 + bound + 5))


def test_a_recovery_is_the_services_own_time_and_goes_on_in_a_pause() -> None:
    words: Claim = RecoveryClaim(id="r", type="recovery", target="a", of="f", within=timedelta(seconds=5))

    assert window_of(journal(*PHASE, *fault(3), (13.1, RunPausing(by="ann", why="pause"))), words, None) == Window(at(11), at(17.5))
