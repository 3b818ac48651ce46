"""Documents of the original language: they load as they are, mean the same, and keep the places of their mistakes."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.claims import EventClaim, HealthClaim, History, MetricClaim, UnsupportedClaim, Window
from messages.expressions import Bindings, compiled
from messages.scenario import Action, Scenario
from messages.verdicts import Reason, Verdict
from scenarios import DocumentErrors, check_text, library_directory, load_systems, resolve
from scenarios.loader import Resolved, as_text
from scenarios.original.expectations import EXPECTATIONS

ORIGINAL = Path(__file__).parent / "documents" / "original"
SYSTEMS = load_systems(library_directory())
DISRUPTION = (ORIGINAL / "basic-market-disruption.yaml").read_text()
DEPEG = (ORIGINAL / "stablecoin-depeg-scenario.yaml").read_text()
TEMPLATE = (ORIGINAL / "exchange-disruption.yaml").read_text()
NEEDED = {"target_exchange": "exchange-simulator", "disruption_type": "latency"}
HOUR = timedelta(hours=1)
ANYTHING: tuple[Any, ...] = (
    None,
    1,
    -1.5,
    True,
    "",
    "x",
    "5s",
    "{{",
    "{{ .Variables.absent }}",
    "a'b",
    [],
    {},
    [1],
    [{}],
    {"type": {}},
    10**30,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document but its root."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from paths(below, (*path, key))


def load(text: str = DISRUPTION, **variables: str) -> Resolved:
    return resolve(text, file="f.yaml", systems=SYSTEMS, variables=variables)


def told(text: str) -> list[str]:
    return [str(found).removeprefix("f.yaml:") for found in check_text(text, file="f.yaml", systems=SYSTEMS)]


def place(text: str, part: str) -> str:
    before = text[: text.index(part)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def actions(scenario: Scenario, phase: int) -> dict[str, Action]:
    return {action.id: action for action in scenario.spec.phases[phase].actions}


def event(claim: object, **data: object) -> bool:
    """Whether an event with this data is one that the claim is about."""
    assert isinstance(claim, EventClaim)
    kind = data.pop("type")
    return compiled(claim.where).holds(Bindings({"event": {"type": kind, "data": data}}))


@pytest.mark.parametrize(
    ("text", "variables"), [(DISRUPTION, {}), (DEPEG, {}), (TEMPLATE, NEEDED)], ids=["disruption", "depeg", "template"]
)
def test_the_originals_load_unchanged_and_what_they_come_to_loads_as_itself(text: str, variables: dict[str, str]) -> None:
    resolved = load(text, **variables)

    again = resolve(as_text(resolved.scenario), file="f.json", systems={"trading": resolved.system})
    whole = resolve(resolved.scenario.model_dump_json(by_alias=True), file="f.json", systems={"trading": resolved.system})

    assert resolved.scenario.spec.system == "trading"
    assert again == resolved
    assert whole == resolved


def test_times_are_those_of_the_documents() -> None:
    disruption, depeg = load().scenario, load(DEPEG).scenario

    assert [phase.duration for phase in disruption.spec.phases] == [timedelta(minutes=m) for m in (5, 20, 5)]
    assert [phase.duration for phase in depeg.spec.phases] == [h * HOUR for h in (1, 24, 6, 5)]
    assert (disruption.timeout, depeg.timeout) == (timedelta(minutes=35), 37 * HOUR)
    assert (disruption.spec.duration, depeg.spec.duration) == (timedelta(minutes=30), 36 * HOUR)
    assert depeg.claims()["gradual_depeg-price_divergence"][0].within == 25 * HOUR
    assert depeg.claims()["recovery-performance_recovery"][0].within == 6 * HOUR


def test_actions_start_with_their_phase_and_parallel_ones_after_their_delay() -> None:
    found = actions(load(DEPEG).scenario, 1)

    assert {name: (action.delay, action.after) for name, action in found.items()} == {
        "stablecoin_depeg-market-data-simulator": (timedelta(), None),
        "reduce_liquidity-exchange-simulator": (12 * HOUR, None),
        "delay_settlements-custodian-simulator": (18 * HOUR, None),
    }


def test_what_follows_the_end_of_something_on_the_same_service_waits_for_it() -> None:
    more = "\n        - {service: exchange-simulator, action: reject_orders, parameters: {rejection_rate: 0.1}}"
    more += "\n        - {service: market-data-simulator, action: volatility_spike, parameters: {volatility_multiplier: 2}}"
    text = DISRUPTION.replace("action: clear_chaos", f"action: clear_chaos{more}")

    found = actions(load(text).scenario, 2)

    assert found["reject_orders-exchange-simulator"].after == "clear_chaos-exchange-simulator"
    assert found["volatility_spike-market-data-simulator"].after is None


def test_placeholders_of_the_original_form_have_the_values_of_variables_and_durations_can_be_added() -> None:
    scenario = load(DISRUPTION, latency_ms="750", shock="-2.5").scenario
    found = actions(scenario, 1)

    assert found["inject_latency-exchange-simulator"].parameters["delay_ms"] == 750
    assert found["price_shock-market-data-simulator"].parameters["shock_percentage"] == -2.5
    assert scenario.claims()["chaos_injection-trading_performance"][0].within == timedelta(minutes=21)


def test_parameters_are_those_of_the_typed_actions() -> None:
    parameters = actions(load().scenario, 1)["delay_settlements-custodian-simulator"].told

    assert parameters.model_dump(exclude_none=True) == {
        "delay_duration": "2h",
        "duration_s": 1200,
        "settlement_types": ("crypto_external", "wire_domestic"),
    }


def test_short_names_of_services_are_understood() -> None:
    scenario = load().scenario
    health, recovery = scenario.claims()["baseline-exchange_health"][0], scenario.claims()["recovery-system_recovery"][0]

    assert isinstance(health, HealthClaim)
    assert isinstance(recovery, HealthClaim)
    assert health.target == "exchange-simulator"
    assert recovery.target == ("exchange-simulator", "custodian-simulator", "trading-engine", "risk-monitor")


def test_the_rollback_is_done_whatever_happens_and_the_rest_is_kept_for_readers() -> None:
    spec = load().scenario.spec

    assert [(action.action, action.target) for action in spec.finally_] == [
        ("clear_all_chaos", "exchange-simulator"),
        ("clear_all_chaos", "custodian-simulator"),
        ("clear_all_chaos", "market-data-simulator"),
    ]
    assert spec.reporting == {"generate_timeline": True, "include_performance_impact": True, "correlate_with_audit_logs": True}
    assert spec.success_criteria[0] == "all_phases_completed"


def test_a_rollback_that_is_not_for_failures_is_not_done() -> None:
    assert load(DISRUPTION.replace("on_failure: true", "on_failure: false")).scenario.spec.finally_ == ()


def test_criteria_that_every_verdict_implies_are_no_claims_and_the_others_are() -> None:
    more = DISRUPTION.replace("    - system_recovered_within_sla", "    - system_recovered_within_sla\n    - nobody_slept_badly")

    claims = load(more).scenario.spec.assertions

    assert load().scenario.spec.assertions == ()
    assert [(claim.id, claim.type) for claim in claims] == [("nobody_slept_badly", "unsupported")]


def test_that_all_breaches_were_identified_is_implied_by_the_assertions_about_them_and_nobody_can_say_it_without_any() -> None:
    text = DISRUPTION.replace(
        "type: risk_alert\n          expect: alert_generated", "type: trading_impact\n          expect: degraded_performance"
    )
    text = text.replace("            alert_type: execution_latency\n            severity: high", "            min_latency_ms: 400")

    (claim,) = load(text).scenario.spec.assertions

    assert (claim.id, claim.type) == ("risk_system_correctly_identified_all_breaches", "unsupported")
    assert "no assertion of the document names a breach" in claim.summary()


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        (
            "chaos_injection-risk_alert",
            {"type": "risk.alert_generated", "alert_type": "execution_latency", "severity": "high"},
            {"type": "risk.alert_generated", "alert_type": "execution_latency", "severity": "medium"},
        ),
        ("chaos_injection-trading_adaptation", {"type": "strategy.adjusted"}, {"type": "strategy.started"}),
        (
            "chaos_injection-trading_performance",
            {"type": "execution.measured", "answered": 10, "rejected": 2, "failed": 0, "p95": 1.5},
            {"type": "execution.measured", "answered": 10, "rejected": 2, "failed": 2, "p95": 1.5},
        ),
    ],
)
def test_an_expectation_is_a_claim_about_the_events_that_show_it(name: str, yes: dict[str, object], no: dict[str, object]) -> None:
    claim = load().scenario.claims()[name][0]

    assert event(claim, **yes)
    assert not event(claim, **no)


@pytest.mark.parametrize(("price", "depegged", "repegged"), [("0.96", True, False), ("0.995", False, True), ("1.04", True, False)])
def test_the_peg_is_read_off_prices(price: str, *, depegged: bool, repegged: bool) -> None:
    claims, data = load(DEPEG).scenario.claims(), {"type": "price.updated", "symbol": "USDT-USD", "price": price}

    assert event(claims["gradual_depeg-price_divergence"][0], **data) is depegged
    assert event(claims["recovery-price_recovery"][0], **data) is repegged
    assert not event(claims["gradual_depeg-price_divergence"][0], **data | {"symbol": "BTC-USD"})


def test_that_alerts_are_cleared_is_read_off_the_risk_monitor() -> None:
    claim = load().scenario.claims()["recovery-alert_resolution"][0]

    assert isinstance(claim, MetricClaim)
    assert (claim.target, claim.metric, claim.equals, claim.within) == ("risk-monitor", "risk_compliance_status", 1, timedelta(minutes=5))


@pytest.mark.parametrize("pair", EXPECTATIONS, ids="/".join)
def test_every_expectation_of_the_field_loads(pair: tuple[str, str]) -> None:
    wanted = f"type: {pair[0]}\n          expect: {pair[1]}\n          within: 30s"
    text = DISRUPTION.replace("type: system_health\n          expect: all_services_healthy\n          within: 30s", wanted)

    claim = load(text).scenario.spec.phases[0].assertions[0]

    assert claim.within == timedelta(seconds=30)
    assert claim.type != "unsupported"
    assert claim.summary() == "/".join(pair)


def test_what_no_claim_says_is_inconclusive_with_the_reason_and_never_passes() -> None:
    text = DISRUPTION.replace("- no_critical_system_failures", "- nobody_slept_badly")
    claim = load(text).scenario.claims()["nobody_slept_badly"][0]
    history = History(window=Window(opens=datetime(2026, 1, 1, tzinfo=UTC)))

    judged = claim.judge(history)

    assert isinstance(claim, UnsupportedClaim)
    assert judged is not None
    assert (judged.verdict, judged.reason) == (Verdict.INCONCLUSIVE, Reason.UNSUPPORTED_HERE)
    assert "nobody_slept_badly" in judged.message
    assert claim.judge(History(window=Window())) is None


def test_an_action_that_nobody_can_do_loads_and_says_what_was_wanted() -> None:
    text = DISRUPTION.replace("action: manipulate_spreads", "action: halt_all_markets")

    action = actions(load(text).scenario, 1)["halt_all_markets-exchange-simulator"]

    assert (action.action, action.spec.means, action.delay) == ("unsupported", "nothing", timedelta(minutes=5))
    assert action.parameters["wanted"] == "halt_all_markets"


@pytest.mark.parametrize(
    ("part", "wrong", "at", "what"),
    [
        (
            "action: inject_latency",
            "action: inject_latancy",
            "inject_latancy",
            "unknown action 'inject_latancy'; did you mean 'inject_latency'?",
        ),
        ("multiplier: 5.0", "multiplier: 500.0", "500.0", "500.0 is too large; at most 100"),
        ('symbol: "BTC/USD"', "sybmol: BTC", "sybmol", "unknown key 'sybmol'; did you mean 'symbol'?"),
        ("delay: 5m", "delay: 5 minutes", "5 minutes", "'5 minutes' is not a duration"),
        (
            "service: market-data-simulator\n          action: price_shock",
            "service: market\n          action: price_shock",
            "market\n",
            "the system has no service 'market'",
        ),
        (
            "expect: strategy_adjusts",
            "expect: strategy_adjust",
            "strategy_adjust",
            "a trading_adaptation assertion does not know 'strategy_adjust'",
        ),
        (
            "type: trading_adaptation",
            "type: trading_adaption",
            "trading_adaption",
            "unknown type 'trading_adaption'; did you mean 'trading_adaptation'?",
        ),
        (
            "alert_type: execution_latency",
            "alert_typ: execution_latency",
            "alert_typ:",
            "unknown parameter 'alert_typ'; did you mean 'alert_type'?",
        ),
        ("max_latency_ms: 2000", "max_latency_ms: slow", "slow", "'max_latency_ms' cannot be 'slow'; a number"),
        ('"custodian", "trading-engine"', '"custody", "trading-engine"', '"custody"', "the system has no service 'custody'"),
        ("on_failure: true", "on_failures: true", "on_failures", "unknown key 'on_failures'; did you mean 'on_failure'?"),
        ("- all_phases_completed", "- all_phases_complete", "all_phases_complete", "unknown criterion 'all_phases_complete'"),
        ("duration: 30m", "duration: half an hour", "half an hour", "'half an hour' is not a duration"),
        ("{{ .Variables.latency_ms }}", "{{ .Variables.latency }}", '"{{ .Variables.latency }}"', "there is no variable 'latency'"),
        ("parallel_actions:", "paralel_actions:", "paralel_actions", "unknown key 'paralel_actions'"),
    ],
)
def test_a_mistake_keeps_its_place(part: str, wrong: str, at: str, what: str) -> None:
    assert part in DISRUPTION
    text = DISRUPTION.replace(part, wrong, 1)

    found = told(text)

    assert found[-1].startswith(f"{place(text, at)}: {what}"), found
    assert {line.partition(":")[0] for line in found} == {place(text, at).partition(":")[0]}


def test_the_words_of_the_language_keep_their_meaning_beside_the_original_ones() -> None:
    text = DISRUPTION.replace(
        "expect: healthy\n          within: 1m",
        "expect: healthy\n        - {type: http, url: 'http://127.0.0.1:1/', expect: 'status == 200'}",
    )

    assert [claim.type for claim in load(text).scenario.spec.phases[0].assertions] == ["health", "health", "http"]


def test_in_documents_of_the_language_an_unknown_action_is_a_mistake() -> None:
    phase = "{name: p, duration: 1s, actions: [{target: exchange, action: halt_all}]}"
    text = f"kind: Scenario\nmetadata: {{name: x}}\nspec:\n  system: trading\n  phases:\n    - {phase}\n"

    assert "unknown action 'halt_all'" in told(text)[0]


@pytest.mark.parametrize(
    ("wanted", "action"),
    [("latency", "exchange_latency"), ("downtime", "downtime"), ("order_rejection", "order_rejection"), ("partial_fills", "partial_fills")],
)
def test_each_disruption_of_the_template_is_what_the_exchange_does_to_itself(wanted: str, action: str) -> None:
    scenario = load(TEMPLATE, target_exchange="exchange-simulator", disruption_type=wanted, duration="20m", intensity="0.25").scenario
    (found,) = actions(scenario, 1).values()

    assert (found.action, found.target, found.parameters) == (action, "exchange-simulator", {"intensity": 0.25})
    assert (scenario.spec.phases[1].duration, scenario.timeout) == (timedelta(minutes=20), timedelta(minutes=35))


@given(st.sampled_from([DISRUPTION, DEPEG, TEMPLATE]), st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_stands_anywhere_in_an_original_nothing_is_raised(text: str, data: st.DataObject) -> None:
    document = yaml.safe_load(text)
    path = data.draw(st.sampled_from(list(paths(document))))
    holder = reduce(getitem, path[:-1], document)
    holder[path[-1]] = data.draw(st.sampled_from(ANYTHING))

    check_text(json.dumps(document), file="f.yaml", systems=SYSTEMS)
    with suppress(DocumentErrors):
        resolve(json.dumps(document), file="f.yaml", systems=SYSTEMS, variables=NEEDED if text is TEMPLATE else {}, speed=60)
