"""Rolling and live actions, and faults that never happened: what the scheduler decides, and that nothing of it passes unseen. Pure."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

import pytest

from messages.events import RunEvent
from messages.fault_events import ActionDone, FaultGone, FaultInjected, FaultReverted, FaultRevertFailed
from messages.link_events import LinksOpened
from messages.observations import RoleSeen, ServiceUp
from messages.run_events import ActionRequested, ServicesReleaseRequested, ServicesRequested, TargetResolved, UndoRequested
from messages.verdicts import Reason, Verdict
from tests.test_scheduler_decide import ME, MS, Play, armed, injector, scenario, validator

Reply = Iterable[tuple[str, RunEvent]]
CLAIM = '"assertions": [{"id": "fills", "type": "event", "where": "true"}]'


def phase(actions: str, duration: str = "") -> str:
    return f'{{"name": "chaos", {duration} "actions": [{actions}], {CLAIM}}}'


ROLLING = '{"id": "roll", "target": ["engine", "exchange"], "action": "kill", "for": "3s", "at_once": 1, "settle": "1s"}'


def slow_to_be_gone(_: Play, event: RunEvent) -> Reply:
    """Nothing gets normal again."""
    return [(actor, reply) for actor, reply in injector(_, event) if not isinstance(reply, FaultGone)]


def test_a_rolling_action_takes_the_next_target_when_the_one_before_is_gone_and_settled() -> None:
    play = Play(scenario(phase(ROLLING)), [injector, validator()])
    finished = play.run()

    first, second = play.times(ActionRequested)
    assert finished.verdict is Verdict.PASSED
    assert second - play.times(FaultGone)[0] >= 0.99
    assert second - first >= 4.0


def test_a_target_whose_turn_did_not_come_is_no_pass() -> None:
    finished = Play(scenario(phase(ROLLING, '"duration": "10s",')), [slow_to_be_gone, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.PHASE_CUT)
    assert "roll-exchange never started" in finished.message


def test_an_action_that_waits_for_what_is_gone_too_late_is_no_pass() -> None:
    chained = (
        '{"id": "one", "target": "engine", "action": "kill", "for": "2s"},'
        ' {"id": "two", "target": "exchange", "action": "kill", "for": "1s", "after": "one"}'
    )
    finished = Play(scenario(phase(chained, '"duration": "10s",')), [slow_to_be_gone, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.PHASE_CUT)
    assert "two never started" in finished.message


def test_a_target_that_does_not_get_normal_does_not_hold_up_a_phase_without_a_duration() -> None:
    play = Play(scenario(phase(ROLLING)), [slow_to_be_gone, validator()])
    finished = play.run()

    first, second = play.times(ActionRequested)
    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.GAP)
    assert "nobody saw that it is gone" in finished.message
    assert second - play.times(FaultReverted)[0] >= 30.99
    assert second - first < 60


def test_after_an_undo_that_failed_nothing_more_is_disturbed() -> None:
    def stubborn(play: Play, event: RunEvent) -> Reply:
        if isinstance(event, UndoRequested):
            return [("chaos-injector", FaultRevertFailed(fault_id=event.fault_id, message="no", attempts=5))]
        return injector(play, event)

    play = Play(scenario(phase(ROLLING)), [stubborn, validator()])
    finished = play.run()

    assert finished.verdict is Verdict.UNSAFE
    assert len(play.times(ActionRequested)) == 1


def test_a_fault_that_was_armed_and_never_injected_is_no_pass() -> None:
    def broken_off(play: Play, event: RunEvent) -> Reply:
        if not isinstance(event, ActionRequested):
            return injector(play, event)
        undone = FaultReverted(fault_id=event.fault_id, took=MS, ago=MS, by="request")
        return [*armed(event), ("chaos-injector", undone)]

    one = '{"id": "kill", "target": "engine", "action": "kill", "for": "3s"}'
    finished = Play(scenario(phase(one)), [broken_off, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.NO_EFFECT)


@pytest.mark.parametrize(
    ("by", "told"), [("lease", "kill ended with its lease"), ("itself", "kill ended before its time, and nobody of this run ended it")]
)
def test_a_fault_that_ended_before_its_time_is_no_pass(by: Literal["lease", "itself"], told: str) -> None:
    def left_alone(play: Play, event: RunEvent) -> Reply:
        lapsed = FaultReverted(fault_id="kill", took=MS, ago=MS, by=by)
        gone = FaultGone(fault_id="kill", restored_by="undo", ago=MS)
        after = [("chaos-injector", lapsed), ("chaos-injector", gone)] if isinstance(event, ActionRequested) else []
        return [*injector(play, event), *after]

    one = '{"id": "kill", "target": "engine", "action": "kill", "for": "30s"}'
    finished = Play(scenario(phase(one)), [left_alone, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.GAP)
    assert told in finished.message


def observed(play: Play, event: RunEvent) -> Reply:
    if isinstance(event, ServicesRequested):
        zero = timedelta()
        yield "observer", ServiceUp(service="engine", number=1, ago=zero, error_bound=zero)
        yield "observer", ServiceUp(service="exchange", number=1, ago=zero, error_bound=zero)
        yield "observer", RoleSeen(service="exchange", number=1, role="leader", ago=zero)
    yield from ()


LIVE = '{{"id": "one", "target": {{"of": ["engine", "exchange"], {rest}}}, "action": "restart"}}'


@pytest.mark.parametrize(
    ("rest", "chosen"),
    [
        ('"where": "role == \'leader\'", "pick": 1', ("exchange",)),
        ('"where": "up"', ("engine", "exchange")),
        ('"pick": "100%"', ("engine", "exchange")),
        ('"where": "index == 0"', ("engine",)),
    ],
)
def test_targets_are_chosen_by_what_the_journal_says(rest: str, chosen: tuple[str, ...]) -> None:
    play = Play(scenario(phase(LIVE.format(rest=rest))), [observed, injector, validator()])
    finished = play.run()

    (resolved,) = [line.event for line in play.journal if isinstance(line.event, TargetResolved)]
    asked = tuple(line.event.target for line in play.journal if isinstance(line.event, ActionRequested))
    assert finished.verdict is Verdict.PASSED
    assert resolved.chosen == asked == chosen


def test_the_same_run_chooses_the_same_and_percentages_are_rounded_up() -> None:
    def chosen() -> tuple[str, ...]:
        play = Play(scenario(phase(LIVE.format(rest='"pick": "1%"'))), [observed, injector, validator()])
        play.run()
        return next(line.event.chosen for line in play.journal if isinstance(line.event, TargetResolved))

    assert chosen() == chosen()
    assert len(chosen()) == 1


def test_when_no_service_fits_what_waits_for_the_action_goes_on_and_the_run_is_inconclusive() -> None:
    none = LIVE.format(rest='"where": "role == \'king\'"')
    after = '{"id": "two", "target": "engine", "action": "start", "after": "one"}'
    play = Play(scenario(phase(f"{none}, {after}")), [observed, injector, validator()])
    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.NO_TARGET)
    assert [line.entity for line in play.journal if isinstance(line.event, ActionDone) and line.entity == "two"] == ["two"]
    assert not [line for line in play.journal if isinstance(line.event, FaultInjected)]


def test_a_proxy_that_nobody_took_down_makes_the_run_unsafe() -> None:
    def opened_and_left(play: Play, event: RunEvent) -> Reply:
        match event:
            case ServicesRequested():
                opened = LinksOpened(identity=ME, control="127.0.0.1:1", addresses={"way": "127.0.0.1:2"})
                return [("chaos-injector", opened), ("chaos-injector", ActionDone(action_id="services"))]
            case ServicesReleaseRequested():
                return []
        return injector(play, event)

    calm = f'{{"name": "calm", "duration": "1s", {CLAIM}}}'
    finished = Play(scenario(calm), [opened_and_left, validator()]).run()

    assert (finished.verdict, finished.reason) == (Verdict.UNSAFE, Reason.REVERT_FAILED)
