"""Chaos APIs with habits of their own: nothing of ours stays, and nothing of anybody else's is touched."""

import asyncio
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from actors.chaos_injector.chaos_faults import ChaosFaults
from actors.chaos_injector.drivers import Plan, Target
from messages.actions.chaos import ChaosUndo
from messages.fault_events import FaultArmed
from messages.run_events import ActionRequested
from messages.scenario import Action
from messages.system import ChaosEndpoint, Driver, ExternalDriver, Metadata, Service, System, SystemSpec
from targets.chaos_api import ChaosApi, ChaosApiFailed
from targets.identity import identify
from tests.chaos_service import ChaosService

WITHIN, SOON = timedelta(seconds=5), timedelta(milliseconds=300)
SLOW = {"delay_ms": 200}


def target(base: str, fault: str = "f", action: str = "inject_latency") -> Target:
    service = Service(driver=Driver(external=ExternalDriver()), chaos=ChaosEndpoint(http=base))
    system = System(metadata=Metadata(name="town"), spec=SystemSpec(services={"it": service}))
    told = SLOW if action == "inject_latency" else {}
    about = Action.model_validate({"id": fault, "target": "it", "action": action, "parameters": told})
    return Target("01", ActionRequested(fault_id=fault, phase="chaos", target="it", action=about), system, None, lambda _: None)


def armed(fault: str, plan: Plan, action: str = "inject_latency") -> FaultArmed:
    return FaultArmed(fault_id=fault, target="it", action=action, until=datetime(2026, 1, 1, tzinfo=UTC), undo=plan.undo)


async def two(driver: ChaosFaults, service: ChaosService) -> tuple[Target, Target, FaultArmed, FaultArmed]:
    """Two faults that are active on one service; each knows of the other."""
    one, other = target(service.base, "one"), target(service.base, "other", "partial_fills")
    plan, second = await driver.plan(one), await driver.plan(other)
    await driver.inject(one, plan)
    await driver.inject(other, second)
    first, last = armed("one", plan), armed("other", second, "partial_fills")
    return replace(one, others=lambda: (last,)), replace(other, others=lambda: (first,)), first, last


@pytest.mark.parametrize(("lists", "stops"), [(True, False), (False, True), (False, False), (True, True)])
async def test_two_faults_on_a_service_that_are_undone_together_are_both_ended(lists: bool, stops: bool) -> None:  # noqa: FBT001
    driver = ChaosFaults({})

    async with ChaosService(lists=lists, stops=stops).serving() as service:
        one, other, first, last = await two(driver, service)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(driver.undo(first.undo, one))
            tasks.create_task(driver.undo(last.undo, other))

        assert service.active == {}


async def test_a_fault_that_cannot_be_ended_alone_is_not_gone_before_the_last_one_is() -> None:
    driver = ChaosFaults({})

    async with ChaosService(lists=False).serving() as service:
        one, other, first, last = await two(driver, service)
        await driver.undo(first.undo, one)
        kept = dict(service.active)
        early = await driver.saw_normal(one, Plan(first.undo), SOON)
        await driver.undo(last.undo, replace(other, others=tuple, undone=lambda: (first,)))
        late = await driver.saw_normal(replace(one, others=tuple), Plan(first.undo), WITHIN)

        assert len(kept) == 2
        assert (early, late) == (False, True)
        assert service.active == {}


async def test_the_last_fault_ends_what_waits_for_it_though_it_has_ended_itself() -> None:
    driver = ChaosFaults({})

    async with ChaosService(stops=False).serving() as service:
        one, other, first, last = await two(driver, service)
        await driver.undo(first.undo, one)
        service.active = {name: type_ for name, type_ in service.active.items() if type_ != "partial-fills"}
        await driver.undo(last.undo, replace(other, others=tuple, undone=lambda: (first,)))

        assert service.active == {}


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as ours": str,
    "shouting": lambda word: word.upper().replace("-", "_"),
    "short": lambda _: "latency",
    "other": lambda _: "x7",
}


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_what_a_fault_started_is_ended_however_the_service_calls_it(spelling: str, ids: bool) -> None:  # noqa: FBT001
    driver = ChaosFaults({})

    async with ChaosService(ids=ids, spelling=SPELLINGS[spelling]).serving() as service:
        foreign = service.begin("inject-latency")
        there = target(service.base)
        plan = await driver.plan(there)
        await driver.inject(there, plan)
        early = await driver.saw_normal(there, plan, SOON)
        done = await driver.undo(plan.undo, there)
        left = list(service.active)
        gone = await driver.saw_normal(there, plan, WITHIN)
        again = await driver.undo(plan.undo, there)

    assert left == [foreign]
    assert (early, gone) == (False, True)
    assert (done.found, again.found) == (False, True)


async def test_an_id_proves_the_effect_though_the_type_is_spelled_differently() -> None:
    driver = ChaosFaults({})

    async with ChaosService(spelling=lambda _: "x7").serving() as service:
        there = target(service.base)
        plan = await driver.plan(there)
        await driver.inject(there, plan)
        seen = await driver.saw_effect(there, plan, WITHIN)

    assert seen == "it says that n1 is active"


async def test_what_somebody_else_begins_meanwhile_stays_once_the_service_has_listed_ours() -> None:
    driver = ChaosFaults({})

    async with ChaosService(spelling=lambda word: "mine" if word == "inject-latency" else word).serving() as service:
        there = target(service.base)
        plan = await driver.plan(there)
        await driver.inject(there, plan)
        foreign = service.begin("reject-orders")
        await driver.undo(plan.undo, there)
        await driver.undo(plan.undo, there)

        assert list(service.active) == [foreign]


async def test_an_injector_that_was_restarted_ends_it_by_its_type_or_for_want_of_that_as_what_is_new() -> None:
    for spelling in (str.upper, lambda _: "x7"):
        async with ChaosService(spelling=spelling).serving() as service:
            foreign = service.begin("reject-orders")
            there = target(service.base)
            plan = await ChaosFaults({}).plan(there)
            await ChaosFaults({}).inject(there, plan)
            later = [service.begin("reject-orders")] if spelling is str.upper else []
            await ChaosFaults({}).undo(plan.undo, there)

            assert list(service.active) == [foreign, *later]


@pytest.mark.parametrize(("padding", "pieces"), [(0, 3), (180_000, 1), (180_000, 40)])
async def test_a_list_counts_as_a_whole_in_whatever_pieces_it_comes(padding: int, pieces: int) -> None:
    driver = ChaosFaults({})

    async with ChaosService(padding=padding, pieces=pieces).serving() as service:
        foreign = service.begin("inject-latency")
        there = target(service.base)
        plan = await driver.plan(there)
        await driver.inject(there, plan)
        seen = await driver.saw_effect(there, plan, WITHIN)
        await driver.undo(plan.undo, there)

        assert isinstance(plan.undo, ChaosUndo)
        assert plan.undo.known == (foreign,)
        assert seen is not None
        assert list(service.active) == [foreign]


async def test_a_list_that_is_too_long_or_not_to_be_had_is_no_reason_to_clear_everything() -> None:
    driver = ChaosFaults({})

    async with ChaosService().serving() as service:
        there = target(service.base)
        plan = await driver.plan(there)
        await driver.inject(there, plan)
        foreign = service.begin("reject-orders")
        service.padding = 300_000
        with pytest.raises(ChaosApiFailed, match="more than 256 KiB"):
            await driver.undo(plan.undo, there)
        service.padding, service.broken = 0, 1
        with pytest.raises(ChaosApiFailed, match="503: in a moment"):
            await driver.undo(plan.undo, there)
        await driver.undo(plan.undo, there)

        assert list(service.active) == [foreign]


async def test_a_look_at_a_service_that_fails_has_seen_nothing_yet() -> None:
    driver = ChaosFaults({})

    async with ChaosService().serving() as service:
        there = target(service.base)
        plan = await driver.plan(there)
        await driver.inject(there, plan)
        service.broken = 3
        seen = await driver.saw_effect(there, plan, WITHIN)

    assert seen is not None
    assert await driver.saw_effect(there, plan, timedelta(milliseconds=100)) is None


async def test_what_a_service_did_to_itself_has_ended_with_its_process() -> None:
    driver = ChaosFaults({})

    with subprocess.Popen(["sleep", "99"]) as process:  # noqa: ASYNC220
        async with ChaosService().serving() as service:
            there = replace(target(service.base), current=lambda _: identify(process.pid))
            plan = await driver.plan(there)
            await driver.inject(there, plan)
        with pytest.raises(ChaosApiFailed):
            await driver.undo(plan.undo, there)
        process.kill()
    done = await driver.undo(plan.undo, there)

    assert done.found


async def test_stopping_by_id_fails_when_it_goes_on() -> None:
    async with ChaosService(stops=False).serving() as service:
        there = target(service.base, action="stop_scenario")
        told = there.request.action.model_copy(update={"parameters": {"id": service.begin("x")}})

        with pytest.raises(ChaosApiFailed, match="could not be ended"):
            await ChaosFaults({}).act(replace(there, request=there.request.model_copy(update={"action": told})))
        assert await ChaosApi(service.base).active() is not None
