"""Answers that could not be given in time because the bus was away. Decisions alone: no bus, no clock."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from actors.scheduler.claims import JUDGE_BUDGET
from actors.scheduler.decide import FINALLY_BUDGET, FIRST_START, NO_ANSWER, RELEASE_BUDGET, UNDO_BUDGET, decide
from messages.events import RunEvent
from messages.fault_events import FaultGone
from messages.run_events import (
    ActionExpired,
    ActionRequested,
    AssertionExpired,
    PhaseFinished,
    PhaseStarted,
    ServicesReleaseRequested,
    ServicesRequested,
    UndoRequested,
)
from tests.test_scheduler_decide import KILL, Play, injector, scenario, validator

GRACES = timedelta(seconds=4)
"""What the services of the two levels may need to stop."""
FINALLY = ', "finally": [{"id": "tidy", "target": "engine", "action": "kill", "delay": "5m"}]'


class WentAway(Exception):
    """The bus, before anybody could answer."""


def until(play: Play, kind: type[RunEvent], entity: str) -> Play:
    """The run as it was when the bus went away: at this event of the scheduler's, which nobody has answered."""

    def leaves(_play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
        if isinstance(event, kind) and event.entity == entity:
            raise WentAway
        return ()

    play.answers = (leaves, *play.answers)
    with suppress(WentAway):
        play.run()
    return play


def unseen(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
    return [(actor, answer) for actor, answer in injector(play, event) if not isinstance(answer, FaultGone)]


def unjudged(play: Play, event: RunEvent) -> Iterable[tuple[str, RunEvent]]:
    return () if event.entity == "fills" else validator()(play, event)


def decided(play: Play, at: datetime, back: datetime) -> list[type[RunEvent]]:
    return [type(event) for event in decide(play.state, at, back=back).events]


@pytest.mark.parametrize(
    ("kind", "entity", "budget"),
    [
        (ServicesRequested, "services", FIRST_START),
        (ActionRequested, "kill", NO_ANSWER),
        (UndoRequested, "kill", UNDO_BUDGET),
        (ServicesReleaseRequested, "release", RELEASE_BUDGET + GRACES),
    ],
)
def test_who_was_asked_has_his_time_from_when_the_bus_was_back(kind: type[RunEvent], entity: str, budget: timedelta) -> None:
    play = until(Play(scenario(KILL), [injector, validator()]), kind, entity)
    back = play.now + budget + timedelta(seconds=10)

    at_once, too_late = (decide(play.state, at, back=back) for at in (back, back + budget))

    assert not any(isinstance(event, ActionExpired) for event in at_once.events)
    assert not at_once.late
    assert back + budget in at_once.wakes
    assert ([type(event) for event in too_late.events], too_late.late) == ([ActionExpired], True)


def test_a_claim_is_given_up_only_when_the_validator_had_its_time_since_the_bus_was_back() -> None:
    play = until(Play(scenario(KILL), [injector, unjudged]), PhaseFinished, "recover")
    back = play.now + JUDGE_BUDGET + timedelta(seconds=10)

    assert decided(play, back, back) == []
    assert decided(play, back + JUDGE_BUDGET, back) == [AssertionExpired]


def test_a_run_waits_for_its_fault_to_be_seen_gone_though_the_bus_was_away_for_the_time_of_that() -> None:
    play = until(Play(scenario(KILL), [unseen, validator()]), PhaseFinished, "recover")
    recover = play.state.system.spec.steady_state.recover
    back = play.now + recover + timedelta(seconds=1)

    assert decided(play, back, back) == []
    assert decided(play, back + recover, back) == [ServicesReleaseRequested]


def test_what_is_always_done_at_the_end_is_not_cut_because_the_bus_was_away() -> None:
    play = until(Play(scenario(KILL, FINALLY), [injector, validator()]), PhaseStarted, "finally")
    back = play.now + FINALLY_BUDGET / 2

    assert decided(play, play.now + FINALLY_BUDGET, back) == []
    assert decided(play, back + FINALLY_BUDGET, back) == [PhaseFinished]
