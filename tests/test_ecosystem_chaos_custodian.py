"""What can be done to the custodian, seen from outside: settlements late, failed or waiting, and its clock."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.test_ecosystem import Town, eventually, until
from tests.test_ecosystem_chaos import CUSTODIAN, City, running_services, visited


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    yield from running_services(tmp_path_factory.mktemp("town"))


@pytest.fixture
async def city(services: Town) -> AsyncIterator[City]:
    async with visited(services) as city:
        yield city


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.clear()


async def test_a_delayed_settlement_is_late_and_comes_when_settlement_is_normal_again(city: City) -> None:
    mark = city.mark
    await city.inject(CUSTODIAN, "delay-settlements", settlement_types=["crypto_internal"], delay_hours=1, duration_s=600)
    await city.settle("late-1", settlement_type="crypto_internal")
    await city.settle("timely-1", settlement_type="crypto_external")

    await until(lambda: city.settled("timely-1"))
    await city.hears("settlement.delayed", mark, order_id="late-1")
    await city.hears("risk.alert_generated", mark, alert_type="settlement_timeout")
    assert not city.settled("late-1")
    assert (await city.call("GET", CUSTODIAN, "/api/v1/settlements/late-1/status"))[1]["status"] == "pending"
    status, answer = await city.call("POST", CUSTODIAN, "/chaos/resume-normal-settlement", {})

    assert (status, len(answer["cleared"])) == (200, 1)
    await until(lambda: city.settled("late-1"))
    await city.hears("risk.alert_cleared", mark, alert_type="settlement_timeout")


async def test_a_delay_that_ends_in_time_is_as_long_as_it_was_told(city: City) -> None:
    await city.inject(CUSTODIAN, "delay-settlements", settlement_types=["crypto_internal"], delay_duration="700ms", duration_s=60)

    await city.settle("late-2", settlement_type="crypto_internal")

    await until(lambda: city.settled("late-2"))
    assert 0.7 <= city.settled("late-2")[0]["data"]["took"] < 3


@pytest.mark.long
async def test_on_a_bank_holiday_no_wire_arrives_before_its_end(city: City) -> None:
    await city.inject(CUSTODIAN, "simulate-bank-holiday", duration_hours=2.4 / 3600, affected_types=["wire_domestic"])
    await city.settle("wire-1", settlement_type="wire_domestic")
    await city.settle("internal-1", settlement_type="crypto_internal")

    await until(lambda: city.settled("wire-1"))

    assert city.settled("internal-1")
    assert city.settled("wire-1")[0]["data"]["took"] >= 2.3


async def test_multi_sig_delays_slow_large_settlements_alone(city: City) -> None:
    await city.inject(CUSTODIAN, "multi-sig-delays", delay_multiplier=20, min_amount=50_000, duration_s=60)
    await city.settle("large-1", settlement_type="crypto_internal")
    await city.settle("small-1", settlement_type="crypto_internal", quantity="0.1")

    await until(lambda: city.settled("large-1"))

    assert city.settled("large-1")[0]["data"]["took"] >= 0.8
    assert city.settled("small-1")[0]["data"]["took"] < 0.8


async def test_settlements_fail_in_part_and_transfers_are_rejected_until_cleared(city: City) -> None:
    mark = city.mark
    await city.inject(
        CUSTODIAN, "partial-settlement-failure", settlement_type="crypto_internal", failure_rate=1.0, error="insufficient_funds"
    )
    await city.inject(CUSTODIAN, "reject-transfers", reason="compliance_hold")
    await city.settle("failed-1", settlement_type="crypto_internal")
    transfer = {"transfer_id": "t-1", "asset": "USD", "amount": 1000}

    rejected = await city.call("POST", CUSTODIAN, "/api/v1/transfers", transfer)

    assert (rejected[0], rejected[1]["reason"]) == (422, "compliance_hold")
    await city.hears("transfer.rejected", mark, transfer_id="t-1")
    await until(lambda: city.settled("failed-1", "failed"))
    assert city.settled("failed-1", "failed")[0]["data"]["error"] == "insufficient_funds"
    assert city.settled("failed-1", "failed")[0]["data"]["settled_quantity"] == "0.5"
    await city.hears("risk.alert_generated", mark, alert_type="settlement_failure")
    assert (await city.call("GET", CUSTODIAN, "/chaos/status"))[1]["count"] == 2
    assert len((await city.call("DELETE", CUSTODIAN, "/chaos/clear-all"))[1]["cleared"]) == 2
    assert (await city.call("POST", CUSTODIAN, "/api/v1/transfers", transfer))[0] == 200


@pytest.mark.long
async def test_a_custodian_that_is_offline_settles_nothing_and_makes_up_for_it(city: City) -> None:
    await city.hears("settlement.backlog_updated", city.mark)  # of whom nothing was ever heard nothing is missed
    await city.settle("before-1", settlement_type="crypto_external")
    mark = city.mark
    await city.inject(CUSTODIAN, "custodian-offline", duration_s=5, error_message="system_maintenance")

    assert (await city.call("POST", CUSTODIAN, "/api/v1/settlements", {})) == (503, {"error": "system_maintenance"})
    assert (await city.call("GET", CUSTODIAN, "/api/v1/health"))[1]["status"] == "unhealthy"
    await city.hears("risk.alert_generated", mark, alert_type="custodian_unavailable")
    assert not city.settled("before-1")
    await until(lambda: city.settled("before-1"))
    assert city.settled("before-1")[0]["data"]["took"] >= 4.8
    await city.town.healthy(CUSTODIAN)


@pytest.mark.parametrize(("speed", "least", "most"), [("86400", 1.0, 5.0), ("864000", 0.1, 0.95)])
async def test_a_settlement_of_the_next_day_takes_a_day_on_a_scaled_clock(lone: Town, speed: str, least: float, most: float) -> None:
    lone.start(CUSTODIAN, NATS_URL="", CLOCK_SPEED=speed)
    await lone.healthy(CUSTODIAN)
    order = {"order_id": "t1", "symbol": "BTC-USD", "side": "buy", "quantity": "1", "price": "1", "settlement_type": "crypto_external"}

    async def completed() -> bool:
        return '"completed"' in (await lone.get(CUSTODIAN, "/api/v1/settlements/t1/status"))[1]

    async with aiohttp.ClientSession() as session:
        began = time.monotonic()
        await (await session.post(f"{lone.url(CUSTODIAN)}/api/v1/settlements", json=order)).read()
    await eventually(completed)

    assert least <= time.monotonic() - began <= most


async def test_a_pending_settlement_survives_a_kill_of_the_custodian(lone: Town) -> None:
    lone.start_nats()
    first = lone.start(CUSTODIAN)
    await lone.healthy(CUSTODIAN)
    async with aiohttp.ClientSession() as session:
        slow = {"settlement_types": ["crypto_internal"], "delay_hours": 1}
        assert (await session.post(f"{lone.url(CUSTODIAN)}/chaos/delay-settlements", json=slow)).status == 201
        order = {"order_id": "k1", "symbol": "BTC-USD", "side": "buy", "quantity": "1", "price": "1", "settlement_type": "crypto_internal"}
        assert (await session.post(f"{lone.url(CUSTODIAN)}/api/v1/settlements", json=order)).status == 200
    first.kill()
    first.wait()

    lone.start(CUSTODIAN)
    await lone.healthy(CUSTODIAN)

    async def completed() -> bool:
        return '"completed"' in (await lone.get(CUSTODIAN, "/api/v1/settlements/k1/status"))[1]

    await eventually(completed)


async def test_a_clock_slower_than_the_world_is_an_error(lone: Town) -> None:
    process = lone.start(CUSTODIAN, CLOCK_SPEED="0.5")

    assert process.wait(timeout=30) == 2
    assert "CLOCK_SPEED='0.5': must be a number from 1" in lone.log()
