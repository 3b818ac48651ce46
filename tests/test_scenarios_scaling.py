"""`--speed N`: which times of a scenario are divided, and how far limits are."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.control import Acceptance
from bus.intake import Submission
from messages.actions import ACTIONS
from messages.control import Rejected
from messages.ids import new_run_id
from messages.run_events import RunAccepted
from messages.system import System
from scenarios import DocumentErrors, Resolved, library_directory, load_systems, resolve
from scenarios.loader import as_text
from scenarios.scaling import FLOOR, chaos_times

SYSTEMS = load_systems(library_directory())
ORIGINAL = Path(__file__).parent / "documents" / "original"
SCENARIO = """
kind: Scenario
metadata: {name: slow}
spec:
  system: trading
  timeout: 30h
  variables: {long: 20h}
  phases:
    - name: one
      duration: "{{ variables.long }}"
      actions:
        - {id: slow, target: exchange, action: inject_latency, parameters: {delay_ms: 600, duration_s: 36000}, delay: 1h, for: 10h}
        - {id: depeg, target: market-data-simulator, action: stablecoin_depeg, parameters: {target_deviation: -0.05, duration_hours: 12}}
        - {id: late, target: custodian-simulator, action: delay_settlements, parameters: {delay_duration: 2h, duration_s: 5h}, for: 5h}
        - {id: link, target: {link: engine-to-exchange}, action: latency, parameters: {delay: 100ms}, for: 2h}
        - {id: roll, target: [risk-monitor, audit-correlator], action: restart, at_once: 1, for: 1h, settle: 30m}
      assertions:
        - {id: soon, type: health, target: risk-monitor, within: 10s}
        - {id: later, type: health, target: risk-monitor, within: 1m}
        - {id: hours, type: event, where: "event.type == 'order.filled'", within: 20h, grace: 1h}
    - name: two
      duration: 5h
      random:
        seed: 1
        every: 1h
        among:
          - action: feed_disruption
            target: market-data-simulator
            for: 30m
            parameters: {latency_ms: [50, 100], duration_seconds: [600, 1200]}
"""


def load(text: str = SCENARIO, *, speed: float = 3600, systems: dict[str, System] = SYSTEMS) -> Resolved:
    return resolve(text, file="f.yaml", systems=systems, speed=speed)


def submission(speed: float | None) -> Submission:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    run = new_run_id(at)
    return Submission(SCENARIO.encode(), "trading", 0, run, "scenarios.trading", 1, at, "", "f.yaml", None, {}, speed)


def refused(text: str = SCENARIO, *, speed: float = 3600, systems: dict[str, System] = SYSTEMS) -> str:
    with pytest.raises(DocumentErrors) as raised:
        load(text, speed=speed, systems=systems)
    return str(raised.value)


def test_what_lasts_is_divided_and_what_a_service_does_to_each_request_is_not() -> None:
    spec = load().scenario.spec
    actions = {action.id: action for action in spec.phases[0].actions}

    assert [phase.duration for phase in spec.phases] == [timedelta(seconds=20), timedelta(seconds=5)]
    assert (actions["slow"].delay, actions["slow"].for_) == (timedelta(seconds=1), timedelta(seconds=10))
    assert actions["slow"].parameters == {"delay_ms": 600, "duration_s": 10.0}
    assert actions["depeg"].parameters == {"target_deviation": -0.05, "duration_hours": 12 / 3600}
    assert actions["late"].parameters == {"delay_duration": "2s", "duration_s": "5s"}
    assert actions["link"].parameters == {"delay": "100ms"}
    assert (actions["roll"].for_, actions["roll"].settle) == (timedelta(seconds=1), timedelta(milliseconds=500))


def test_a_random_plan_draws_more_often_and_its_faults_are_shorter() -> None:
    drawn = load().scenario.spec.phases[1].actions

    assert {action.delay for action in drawn} <= {timedelta(seconds=each) for each in range(5)}
    assert {action.for_ for action in drawn} == {timedelta(milliseconds=500)}
    assert all(50 <= float(str(action.parameters["latency_ms"])) <= 100 for action in drawn)
    assert all(1 / 6 <= float(str(action.parameters["duration_seconds"])) <= 1 / 3 for action in drawn)


def test_limits_are_divided_but_none_below_15_seconds_or_what_is_written_if_less() -> None:
    claims = load().scenario.claims()

    assert claims["soon"][0].within == timedelta(seconds=10)
    assert claims["later"][0].within == timedelta(seconds=15)
    assert claims["hours"][0].within == timedelta(seconds=20)
    assert claims["hours"][0].grace == timedelta(seconds=15)


def test_a_timeout_leaves_as_much_real_time_beyond_the_phases_as_a_run_needs() -> None:
    assert load().scenario.timeout == timedelta(seconds=25, minutes=5)
    assert load(SCENARIO.replace("  timeout: 30h\n", "")).scenario.timeout == timedelta(seconds=25, minutes=5)


def test_the_resolved_scenario_says_its_speed_and_which_limits_were_held() -> None:
    spec = load().scenario.spec

    assert spec.speed == 3600
    assert spec.held == ("soon.within: 10s", "later.within: 15s", "hours.grace: 15s", "timeout: 5m25s")
    assert (load(speed=1).scenario.spec.speed, load(speed=1).scenario.spec.held) == (1, ())


def test_a_scaled_scenario_loads_as_itself_and_is_not_scaled_again() -> None:
    resolved = load()

    assert load(as_text(resolved.scenario), speed=1) == Resolved(resolved.scenario, resolved.system)
    assert "--speed:1:1: the scenario already runs at speed 3600" in refused(as_text(resolved.scenario), speed=2)


def test_a_real_system_is_refused_with_what_to_do() -> None:
    real = json.loads(SYSTEMS["trading"].model_dump_json(by_alias=True))
    real["spec"]["clock"] = "real"
    systems = {"trading": System.model_validate_json(json.dumps(real))}
    told = "the times of system 'trading' are real: scaling a real system would falsify its claims; leave --speed out; "

    assert refused(systems=systems).startswith(f"--speed:1:1: {told}")
    assert told in refused(SCENARIO.replace("  timeout:", "  speed: 60\n  timeout:"), speed=1, systems=systems)
    assert load(speed=1, systems=systems).scenario.spec.speed == 1


@pytest.mark.parametrize("speed", [0.0, -1.0, 1e9, float("nan"), float("inf")])
def test_a_speed_that_makes_no_sense_is_refused(speed: float) -> None:
    assert f"--speed:1:1: a speed of {speed:g} cannot be" in refused(speed=speed)


@pytest.mark.parametrize("action", [name for name, spec in ACTIONS.items() if spec.means == "chaos"])
def test_every_time_that_a_chaos_api_is_told_is_divided_but_for_milliseconds(action: str) -> None:
    properties = ACTIONS[action].parameters.model_json_schema()["properties"]
    spans = {
        key for key, one in properties.items() if any(f"{unit}, or text" in json.dumps(one) for unit in ("seconds", "minutes", "hours"))
    }
    brief = {key for key, one in properties.items() if "milliseconds, or text" in json.dumps(one)}

    assert set(chaos_times(action)) == (spans - brief) | ({"delay_duration"} & set(properties))


@given(st.floats(1, 100_000), st.integers(1, 366 * 24 * 3600))
def test_a_limit_is_never_longer_than_written_nor_shorter_than_it_can_bear(speed: float, seconds: int) -> None:
    phase = f"{{name: p, duration: {seconds}s, assertions: [{{type: health, target: all, within: {seconds}s}}]}}"
    text = f"kind: Scenario\nmetadata: {{name: x}}\nspec: {{system: trading, timeout: 366d, phases: [{phase}]}}\n"

    (claim,) = load(text, speed=speed).scenario.spec.phases[0].assertions

    assert claim.within is not None
    assert min(timedelta(seconds=seconds), FLOOR) <= claim.within <= timedelta(seconds=seconds)


def test_the_day_and_a_half_of_an_original_takes_half_a_minute() -> None:
    scenario = load((ORIGINAL / "stablecoin-depeg-scenario.yaml").read_text()).scenario

    assert sum((phase.duration or timedelta() for phase in scenario.spec.phases), timedelta()) == timedelta(seconds=36)
    assert scenario.spec.duration == timedelta(seconds=36)
    assert scenario.claims()["gradual_depeg-price_divergence"][0].within == timedelta(seconds=25)


def test_a_scenario_on_the_bus_runs_at_the_speed_of_its_header_and_is_rejected_if_that_is_no_number() -> None:
    acceptance = Acceptance(SYSTEMS, allow_systems=False)

    accepted, rejected = acceptance.accept(submission(60.0)), acceptance.accept(submission(None))

    assert isinstance(accepted, RunAccepted)
    assert accepted.scenario.spec.speed == 60
    assert isinstance(rejected, Rejected)
    assert rejected.findings[0].what == "the header Scenario-Speed is not a number"
