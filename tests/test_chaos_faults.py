"""Every call of the services' chaos APIs, by the driver: begun, seen to be active, ended, and nothing of anybody else's touched."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from actors.chaos_injector.chaos_faults import ChaosFaults
from actors.chaos_injector.drivers import Target
from messages.actions import ACTIONS
from messages.actions.chaos import CHAOS_ACTIONS, ChaosUndo
from messages.run_events import ActionRequested
from messages.scenario import Action
from messages.system import ChaosEndpoint, Driver, ExternalDriver, Metadata, Service, System, SystemSpec
from targets.chaos_api import ChaosApiFailed
from targets.errors import Unsupported
from tests.test_ecosystem import Town

WITHIN = timedelta(seconds=5)
EXCHANGE: dict[str, dict[str, Any]] = {
    "inject_latency": {"delay_ms": "200ms", "operations": ["place_order"]},
    "reject_orders": {"rejection_rate": 0.5, "reason": "halted"},
    "simulate_downtime": {},
    "manipulate_spreads": {"multiplier": 3},
    "reduce_liquidity": {"reduction_factor": 0.5},
    "partial_fills": {},
    "exchange_latency": {"intensity": 0.2},
    "downtime": {"intensity": 0.2},
    "order_rejection": {},
}
CUSTODIAN: dict[str, dict[str, Any]] = {
    "delay_settlements": {"delay_hours": "10s"},
    "reject_transfers": {},
    "simulate_bank_holiday": {},
    "partial_settlement_failure": {"failure_rate": 1},
    "multi_sig_delays": {"delay_multiplier": 5},
    "custodian_offline": {},
}
MARKET: dict[str, dict[str, Any]] = {
    "price_shock": {"shock_percentage": -10, "recovery_time_seconds": 5},
    "stablecoin_depeg": {"target_deviation": -0.05, "duration_hours": "20s"},
    "gradual_divergence": {"max_spread_bps": 100, "buildup_hours": "10s"},
    "feed_disruption": {"latency_ms": 100},
    "correlation_break": {},
    "volatility_spike": {"volatility_multiplier": 4},
    "market_crash": {"crash_percentage": 15, "crash_duration_minutes": "10s"},
}
ENGINE: dict[str, dict[str, Any]] = {"start_strategy": {"strategy": "SlowLeakStrategy", "config": {"degradation_rate": 0.1}}}
CALLS = [
    *(("exchange_simulator", name) for name in EXCHANGE),
    *(("custodian_simulator", name) for name in CUSTODIAN),
    *(("market_data_simulator", name) for name in MARKET),
    *(("trading_engine", name) for name in ENGINE),
]
PARAMETERS = EXCHANGE | CUSTODIAN | MARKET | ENGINE


def test_every_fault_of_a_chaos_api_is_tried_here() -> None:
    assert set(PARAMETERS) == {name for name, spec in CHAOS_ACTIONS.items() if spec.fault}


def target(base: str, name: str, parameters: dict[str, Any], span: float = 30) -> Target:
    service = Service(driver=Driver(external=ExternalDriver()), chaos=ChaosEndpoint(http=base))
    system = System(metadata=Metadata(name="town"), spec=SystemSpec(services={"it": service}))
    action = Action.model_validate({"id": "f", "target": "it", "action": name, "parameters": parameters, "for_": timedelta(seconds=span)})
    request = ActionRequested(fault_id="f", phase="chaos", target="it", action=action)
    return Target("01", request, system, None, lambda _: None)


@asynccontextmanager
async def serving(folder: Path, module: str) -> AsyncIterator[str]:
    """Where the chaos API of a service begins."""
    town = Town(folder)
    try:
        town.start_nats()
        town.start(module, ORDER_RATE="20")
        await town.healthy(module)
        yield town.url(module) + ("/api/v1/strategies" if module == "trading_engine" else "/chaos")
    finally:
        town.clear()


async def post(url: str, body: dict[str, Any]) -> str:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        return str((await answer.json())["id"])


@pytest.mark.parametrize("module", sorted({module for module, _ in CALLS}))
async def test_each_call_is_seen_to_be_active_and_then_to_be_over(tmp_path: Path, module: str) -> None:
    driver = ChaosFaults({})

    async with serving(tmp_path, module) as base:
        for name in (name for of, name in CALLS if of == module):
            there = target(base, name, PARAMETERS[name])
            plan = await driver.plan(there)
            await driver.inject(there, plan)
            seen = await driver.saw_effect(there, plan, WITHIN)
            again = await driver.undo(plan.undo, there), await driver.undo(plan.undo, there)
            gone = await driver.saw_normal(there, plan, WITHIN)

            assert seen is not None, name
            assert [done.found for done in again] == [False, True], name
            assert gone, name


async def test_what_somebody_else_has_started_stays(tmp_path: Path) -> None:
    driver = ChaosFaults({})

    async with serving(tmp_path, "exchange_simulator") as base:
        foreign = await post(f"{base}/inject-latency", {"delay_ms": 5, "duration_s": 60})
        there = target(base, "inject_latency", {"delay_ms": 10})
        plan = await driver.plan(there)
        await driver.inject(there, plan)
        await driver.undo(plan.undo, there)
        async with aiohttp.ClientSession() as session, session.get(f"{base}/status") as answer:
            left = [entry["id"] for entry in (await answer.json())["active"]]

    assert isinstance(plan.undo, ChaosUndo)
    assert plan.undo.known == (foreign,)
    assert left == [foreign]


async def test_an_undo_without_an_injection_does_nothing(tmp_path: Path) -> None:
    driver = ChaosFaults({})

    async with serving(tmp_path, "market_data_simulator") as base:
        there = target(base, "feed_disruption", {"latency_ms": 10})
        plan = await driver.plan(there)
        done = await driver.undo(plan.undo, there)

    assert done.found


async def test_a_refused_body_is_told_in_the_services_words(tmp_path: Path) -> None:
    driver = ChaosFaults({})

    async with serving(tmp_path, "exchange_simulator") as base:
        there = target(base, "inject_latency", {"delay_ms": "59s", "operations": ["no_such_thing"]})
        with pytest.raises(Unsupported, match="no_such_thing"):
            await driver.inject(there, await driver.plan(there))


async def test_without_a_service_there_is_no_plan() -> None:
    with pytest.raises(ChaosApiFailed, match="refused"):
        await ChaosFaults({}).plan(target("http://127.0.0.1:1/chaos", "inject_latency", {"delay_ms": 5}))


async def test_clear_chaos_ends_everything_also_where_there_is_no_call_for_all(tmp_path: Path) -> None:
    async with serving(tmp_path, "market_data_simulator") as base:
        for _ in range(2):
            await post(f"{base}/feed-disruption", {"latency_ms": 5, "duration_seconds": 60})
        await ChaosFaults({}).act(target(base, "clear_all_chaos", {}))
        async with aiohttp.ClientSession() as session, session.get(f"{base}/active-scenarios") as answer:
            left = (await answer.json())["count"]

    assert left == 0


async def test_remedies_are_calls_too(tmp_path: Path) -> None:
    async with serving(tmp_path, "exchange_simulator") as base:
        await post(f"{base}/reduce-liquidity", {"reduction_factor": 0.5, "duration_s": 60})
        await ChaosFaults({}).act(target(base, "restore_liquidity", {}))
        async with aiohttp.ClientSession() as session, session.get(f"{base}/status") as answer:
            left = (await answer.json())["count"]

    assert left == 0
    assert not ACTIONS["restore_liquidity"].fault
