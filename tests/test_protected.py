"""What a system protects is never among what is chosen or drawn, and a run that this kept from its fault says so. Pure."""

from collections.abc import Callable

import pytest

from messages.events import RunEvent
from messages.fault_events import ActionRefused
from messages.run_events import ActionRequested, TargetResolved
from messages.system import Limits
from messages.verdicts import Reason, Verdict
from scenarios import resolve
from scenarios.plan import plan_of
from tests.test_limits import SYSTEM as MALL
from tests.test_limits import within
from tests.test_scheduler_decide import SYSTEM, Play, injector, scenario, validator
from tests.test_scheduler_targets import LIVE, Reply, observed, phase

Playing = Callable[..., Play]


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> Playing:
    """Plays one action on a system that protects the exchange, its leader."""
    spec = SYSTEM.spec.model_copy(update={"limits": Limits(protected=("exchange",))})
    monkeypatch.setattr("tests.test_scheduler_decide.SYSTEM", SYSTEM.model_copy(update={"spec": spec}))
    return lambda action, *answers: Play(scenario(phase(action)), answers or (observed, injector, validator()))


def resolved(play: Play) -> TargetResolved:
    return next(line.event for line in play.journal if isinstance(line.event, TargetResolved))


@pytest.mark.parametrize("rest", ['"pick": 1', '"pick": "100%"', '"where": "up"', '"where": "up", "pick": 2'])
def test_a_choice_goes_without_what_is_protected(playing: Playing, rest: str) -> None:
    play = playing(LIVE.format(rest=rest))
    finished = play.run()

    told = resolved(play)
    assert finished.verdict is Verdict.PASSED
    assert (told.candidates, told.chosen, told.protected) == (("engine",), ("engine",), ("exchange",))


def test_what_is_no_fault_may_be_done_to_what_is_protected(playing: Playing) -> None:
    play = playing(LIVE.format(rest='"where": "role == \'leader\'"').replace("restart", "start"))
    play.run()

    assert resolved(play).chosen == ("exchange",)


def test_where_only_what_is_protected_fits_the_limits_refused_it(playing: Playing) -> None:
    play = playing(LIVE.format(rest='"where": "role == \'leader\'"'))
    finished = play.run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.REFUSED_LIMIT)
    assert finished.message == "one: only exchange fitted, and what is protected is never chosen (limits.protected of the system)"
    assert not play.times(ActionRequested)


def test_a_claim_that_a_refused_fault_left_untested_does_not_hide_the_refusal(playing: Playing) -> None:
    def refusing(play: Play, event: RunEvent) -> Reply:
        if isinstance(event, ActionRequested):
            yield "chaos-injector", ActionRefused(action_id=event.fault_id, reason=Reason.REFUSED_LIMIT, message="safe is protected")
        else:
            yield from injector(play, event)

    named = '{"id": "one", "target": "exchange", "action": "restart"}'
    finished = playing(named, observed, refusing, validator(fills=Verdict.INCONCLUSIVE)).run()

    assert (finished.verdict, finished.reason) == (Verdict.INCONCLUSIVE, Reason.REFUSED_LIMIT)
    assert finished.message == "one: safe is protected"


@pytest.mark.parametrize(
    ("choice", "drawn_from"),
    [
        ("{target: [b, vault], action: kill, for: 5s}", {"b"}),
        ("{target: {group: mixed}, action: restart, for: 5s}", {"a"}),
        ("{target: all, action: pause, for: 5s}", {"a", "b", "c", "till"}),
        ("{target: [a, till], action: pause, for: 5s}", {"a", "till"}),
        ("{target: {link: [way, road]}, action: latency, parameters: {delay: 1ms}, for: 5s}", {"road"}),
    ],
)
def test_a_random_plan_never_draws_what_is_protected(choice: str, drawn_from: set[str]) -> None:
    text = within("[]", rest=f"random: {{every: 10s, seed: 1, count: 100, among: [{choice}]}}").replace(
        "keep_healthy: 2", "keep_healthy: 0"
    )

    actions = resolve(text, file="f.yaml", systems={}, allow_systems=True).scenario.spec.phases[0].actions

    assert {target for action in actions for target in action.targets} == drawn_from


def test_a_plan_reaches_nothing_that_is_protected_and_says_so() -> None:
    action = "{target: {group: mixed, pick: 100%}, action: restart}"

    plan = plan_of(resolve(within(f"[{action}]"), file="f.yaml", systems={}, allow_systems=True))

    assert "vault" in MALL
    assert plan.reach.services == ("a",)
    assert "1 of 1 in group mixed, never safe (protected)" in plan.phases[0].actions[0].target
