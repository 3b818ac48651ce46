"""Random plans: drawn from a seed, within their bounds, never two at once on one target, and never drawn again."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.scenario import Action, Phase, Scenario
from messages.values import parse_duration, parse_size
from scenarios import check_text, load_systems, resolve
from scenarios.loader import as_text

FORMS = Path(__file__).parent / "documents" / "forms"
SYSTEMS = load_systems(FORMS)
CHOICES = (
    "{target: {group: db}, action: kill, for: §s}",
    "{target: {link: [api-to-db, api-to-store]}, action: latency, parameters: {delay: [10ms, 200ms], jitter: [0s, 20ms]}, for: §s}",
    "{target: [api, store], action: limit_memory, parameters: {headroom: [1MiB, 20MiB]}, for: §s}",
    "{target: {between: [db-1, [db-2, db-3]]}, action: network_partition, for: §s}",
    "{target: api, action: reject_orders, parameters: {rejection_rate: [0, 1]}, for: §s}",
)
KILL = "{target: {group: db}, action: kill, for: 2s}"


def document(among: str, *, more: str = "", actions: str = "[]", duration: str = "1m") -> str:
    """The random plan's choices begin in line 9."""
    plan = f"      random:\n        every: 5s\n        among:\n          [{among}]\n{more}"
    return (
        f"kind: Scenario\nmetadata: {{name: x}}\nspec:\n  system: fleet\n  phases:\n    - name: p\n      duration: {duration}\n"
        f"{plan}      actions: {actions}\n"
    )


def load(text: str, seed: int = 0) -> Scenario:
    return resolve(text, file="f.yaml", systems=SYSTEMS, seed=seed).scenario


def drawn(text: str, seed: int = 0) -> tuple[Action, ...]:
    return load(text, seed).spec.phases[0].actions


def told(text: str) -> list[str]:
    return [f"{f.line}:{f.column}: {f.what}" for f in check_text(text, file="f.yaml", systems=SYSTEMS)]


@st.composite
def plans(draw: st.DrawFn) -> str:
    chosen = draw(st.lists(st.sampled_from(CHOICES), min_size=1, max_size=4))
    among = ", ".join(choice.replace("§", str(draw(st.integers(1, 9)))) for choice in chosen)
    return document(among, more=f"        count: {draw(st.integers(1, 12))}\n")


def things(action: Action) -> list[str]:
    """What it is on; of a partition the sides, as nothing else of these plans is on the way between them."""
    return [f"{action.kind} {target}" for target in action.targets] if action.kind != "partition" else ["partition"]


def overlaps(phase: Phase) -> Iterator[tuple[str, str]]:
    for index, one in enumerate(phase.actions):
        for two in phase.actions[index + 1 :]:
            assert one.for_ is not None
            if set(things(one)) & set(things(two)) and two.delay < one.delay + one.for_:
                yield one.id, two.id


def within(value: Any, low: str, high: str) -> bool:
    read = parse_size if low.endswith("iB") else parse_duration
    return read(low) <= read(value) <= read(high)  # type: ignore[operator]


@given(text=plans(), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=60)
def test_a_plan_follows_from_its_seed_keeps_its_bounds_and_never_meets_itself(text: str, seed: int) -> None:
    scenario = load(text, seed)
    phase = scenario.spec.phases[0]

    assert load(text, seed) == scenario
    assert load(as_text(scenario), seed + 1) == scenario
    assert list(overlaps(phase)) == []
    for action in phase.actions:
        assert action.delay % timedelta(seconds=5) == timedelta()
        assert len(action.targets) == 1
        for name, value in action.parameters.items():
            if name == "rejection_rate":
                assert isinstance(value, float)
                assert 0 <= value <= 1
            else:
                assert within(value, *{"delay": ("10ms", "200ms"), "jitter": ("0s", "20ms"), "headroom": ("1MiB", "20MiB")}[name])


def test_different_seeds_draw_different_plans() -> None:
    assert len({tuple(action.targets for action in drawn(document(KILL), seed)) for seed in range(20)}) > 10


def test_what_was_drawn_stands_in_the_actions_beside_what_was_written_with_its_seed() -> None:
    phase = load(document(KILL, actions="[{id: own, target: api, action: stop, for: 1s}]"), seed=9).spec.phases[0]

    assert [action.id for action in phase.actions[:3]] == ["own", "random-1-kill", "random-2-kill"]
    assert len(phase.actions) == 1 + 12
    assert phase.random is not None
    assert (phase.random.drawn, phase.random.seed) == (True, 9)


def test_the_seed_of_the_document_comes_first() -> None:
    text = document(KILL, more="        seed: 4\n")

    assert drawn(text, 1) == drawn(text, 2)


def test_every_choice_is_drawn_by_its_weight() -> None:
    rare = document(f"{{target: store, action: stop, for: 1s, weight: 0.001}}, {KILL}", duration="10m")

    kinds = [action.action for action in drawn(rare, seed=1)]

    assert kinds.count("kill") > 100 > kinds.count("stop")


def test_a_target_that_a_written_action_disturbs_is_left_alone_until_that_is_over() -> None:
    busy = document("{target: [api, store], action: stop, for: 1s}", actions="[{target: api, action: pause, for: 20s, delay: 10s}]")

    on_api = [action.delay for action in drawn(busy, seed=3) if action.action == "stop" and action.targets == ("api",)]

    assert on_api
    assert all(delay < timedelta(seconds=10) or delay > timedelta(seconds=30) for delay in on_api)


def test_where_everything_is_busy_nothing_is_drawn() -> None:
    assert [action.delay.total_seconds() for action in drawn(document("{target: api, action: stop, for: 12s}"))] == [0, 15, 30, 45]


def test_plans_of_two_phases_draw_on_their_own_and_number_their_actions_on() -> None:
    two = document(KILL, more="        count: 2\n").replace(
        "      actions: []\n", "    - {name: q, duration: 1m, random: {every: 5s, count: 2, among: [" + KILL + "]}}\n"
    )

    phases = load(two, seed=5).spec.phases

    assert [action.id for phase in phases for action in phase.actions] == [f"random-{n}-kill" for n in (1, 2, 3, 4)]
    assert [phase.random.seed for phase in phases if phase.random] == [5, 6]


def test_a_claim_may_name_what_was_drawn() -> None:
    claims = "  assertions: [{type: health, target: api, during: random-1-kill}]\n"
    text = document(KILL, more="        seed: 1\n").replace("  phases:", f"{claims}  phases:")

    assert told(text) == []


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("{target: §ap, action: stop, for: 1s}", "the system has no service 'ap'"),
        ("{target: api, action: §stp, for: 1s}", "unknown action 'stp'"),
        ("{target: [api, §bank], action: stop, for: 1s}", "'bank' is external and does not offer stop"),
        ("{target: api, action: §start, for: 1s}", "start is no fault, and a random plan draws faults"),
        ("{target: §{group: db, pick: 1}, action: stop, for: 1s}", "a random plan draws from its targets itself"),
        ("{target: api, action: stop, for: §0s}", "a fault cannot end at once"),
        ("§{target: api, action: stop}", "'for' is missing"),
        ("{target: api, action: stop, for: 1s, weight: §0}", "0 is too small"),
        ("{target: {link: api-to-db}, action: latency, parameters: {delay: §[9ms, 1ms]}, for: 1s}", "'9ms' to '1ms' is no range"),
        ("{target: {link: api-to-db}, action: latency, parameters: {delay: §[1ms, 2m]}, for: 1s}", "'2m' is too large"),
        ("{target: api, action: limit_cpu, parameters: {cores: §[0.1, 900]}, for: 1s}", "900 is too large"),
        ("{target: api, action: limit_cpu, parameters: {§coers: 1}, for: 1s}", "unknown key 'coers'"),
    ],
)
def test_a_choice_that_cannot_be_done_is_told_where_it_stands(choice: str, says: str) -> None:
    column = 12 + choice.index("§")

    found = told(document(choice.replace("§", "")))

    assert any(line.startswith(f"11:{column}: {says}") for line in found), found


def test_ranges_of_which_nothing_fits_are_told() -> None:
    never = "{target: {link: api-to-db}, action: latency, parameters: {delay: [10ms, 11ms], jitter: [9ms, 200ms]}, for: 1s}"
    always = never.replace("[9ms, 200ms]", "[9ms, 10ms]")

    assert any("do not fit each other" in line or "jitter must not be longer" in line for line in told(document(never)))
    assert told(document(always)) == []


@pytest.mark.parametrize(
    ("every", "count", "duration", "says"),
    [
        ("1ms", None, "1m", "9:16: 1ms is too short"),
        ("1s", None, "10m", "9:16: the phase holds 600 draws"),
        ("5s", 13, "1m", "10:16: the last draw would be 1m into a phase of 1m, so never"),
        ("5s", 12, "1m", None),
        ("5s", None, None, "9:9: nobody knows how often to draw"),
        ("5s", 3, None, None),
    ],
)
def test_draws_that_do_not_fit_into_their_phase_are_told(every: str, count: int | None, duration: str | None, says: str | None) -> None:
    counted = f"\n        count: {count}" if count is not None else ""
    text = document(KILL, duration=duration or "1m").replace("every: 5s", f"every: {every}{counted}")
    text = text if duration is not None else text.replace("      duration: 1m\n", "      description: none\n")

    assert [line for line in told(text) if says is None or line.startswith(says)] == ([] if says is None else told(text)), told(text)
    assert says is None or told(text)


def test_too_many_choices_are_refused_as_one_mistake() -> None:
    assert told(document(", ".join([KILL] * 21))) == ["11:11: 21 actions to draw from are too many"]
