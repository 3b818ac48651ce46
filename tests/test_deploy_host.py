import asyncio
import os
import sys
from pathlib import Path

import pytest

from bus.errors import NameTaken, Unreachable
from bus.server import Server
from deploy.draining import drain, open_runs
from deploy.host import NEAR, Host, Plan, host
from deploy.settings import read_settings
from messages.control import SubmitRequest
from messages.judgements import ReportPublished
from messages.run_events import PhaseStarted, RunAborting, RunFinished
from messages.verdicts import Verdict
from scenarios.systems import load_systems

SYSTEM = """
apiVersion: chaos.trading/v1
kind: System
metadata: {name: told}
spec:
  services:
    teller:
      driver:
        process: {command: [python, -c, "import os, sys, time; print(sys.executable, dict(os.environ), flush=True); time.sleep(60)"]}
"""
SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: told}
spec:
  system: told
  phases: [{name: only, duration: 300ms}]
"""


async def test_services_do_not_inherit_our_settings_and_python_is_ours(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_INSTANCE_NAME", "test-coordinator-Chaos1")
    monkeypatch.setenv("OTHER", "kept")
    (tmp_path / "told.yaml").write_text(SYSTEM)
    plan = Plan(systems=load_systems(tmp_path), logs=tmp_path / "logs")

    async with host(read_settings(), server.url, plan) as running:
        await running.ready()
        reply = await running.control.submit(SubmitRequest(document=SCENARIO))
        assert reply.run_id, reply.findings
        async with asyncio.timeout(10):
            while await running.journal.find(reply.run_id, "reporter", "run", ReportPublished) is None:
                await asyncio.sleep(0.02)

    told = "".join(file.read_text() for file in (tmp_path / "logs").rglob("*") if file.is_file())
    assert "SERVICE_INSTANCE_NAME" not in told
    assert "'OTHER': 'kept'" in told
    assert f"'NATS_URL': '{server.url}'" in told
    assert told.startswith(os.fspath(Path(sys.executable)))


async def test_a_host_whose_nats_is_away_says_so_when_it_cannot_end_its_runs(server: Server) -> None:
    async with host(read_settings(), server.url, Plan(actors=("validator",))) as running:
        await running.ready()
        await server.stop()
        while running.checks()["nats"] == "ok":
            await asyncio.sleep(0.01)

        with pytest.raises(Unreachable, match="open runs could not be ended"):
            await drain(running, patience=0)


async def long_run(running: Host) -> str:
    """A run that is in its phase, and stays there."""
    reply = await running.control.submit(SubmitRequest(document=SCENARIO.replace("300ms", "50s")))
    assert reply.run_id, reply.findings
    async with asyncio.timeout(10):
        while await running.journal.find(reply.run_id, "scheduler", "only", PhaseStarted) is None:
            await asyncio.sleep(0.02)
    return reply.run_id


@pytest.fixture
def full(tmp_path: Path) -> Plan:
    (tmp_path / "told.yaml").write_text(SYSTEM)
    return Plan(systems=load_systems(tmp_path), logs=tmp_path / "logs")


async def verdict(running: Host, run: str) -> Verdict | None:
    line = await running.journal.find(run, "scheduler", "run", RunFinished)
    return line.event.verdict if line is not None and isinstance(line.event, RunFinished) else None


async def test_a_host_whose_work_others_can_take_leaves_the_runs_to_them_and_the_last_one_ends_them(server: Server, full: Plan) -> None:
    async with host(read_settings(), server.url, full) as staying:
        await staying.ready()
        async with host(read_settings(), server.url, Plan(actors=("reporter",))) as leaving:
            await leaving.ready()
            run = await long_run(staying)

            left = await drain(leaving)

        aborting = await staying.journal.find(run, "scheduler", "run", RunAborting)
        still_open = await open_runs(staying.journal)
        left_at_last = await drain(staying)

        assert (left, aborting, set(still_open)) == (set(), None, {run})
        assert left_at_last == set()
        assert await verdict(staying, run) is Verdict.ABORTED
        assert await staying.journal.open_runs() == {}


async def test_a_host_with_actors_that_nobody_else_has_ends_its_runs(server: Server, full: Plan) -> None:
    async with (
        host(read_settings(), server.url, full) as leaving,
        host(read_settings(), server.url, Plan(actors=("reporter",))) as staying,
    ):
        await leaving.ready()
        await staying.ready()
        run = await long_run(leaving)

        assert await drain(leaving) == set()
        assert await verdict(staying, run) is Verdict.ABORTED


async def test_a_host_whose_bus_ends_with_it_leaves_nothing_to_others(server: Server, full: Plan) -> None:
    async with (
        host(read_settings(), server.url, full) as staying,
        host(read_settings(), server.url, Plan(actors=("reporter",))) as leaving,
    ):
        await staying.ready()
        await leaving.ready()
        run = await long_run(staying)

        assert await drain(leaving, bus_stays=False) == set()
        assert await verdict(staying, run) is Verdict.ABORTED


async def test_of_two_hosts_that_leave_at_once_neither_counts_on_the_other(server: Server, full: Plan) -> None:
    others = Plan(actors=("reporter",))
    rest = Plan(actors=("scheduler", "chaos-injector", "observer", "validator"), systems=full.systems, logs=full.logs)
    async with (
        host(read_settings(), server.url, rest) as staying,
        host(read_settings(), server.url, others) as one,
        host(read_settings(), server.url, others) as two,
    ):
        for running in (staying, one, two):
            await running.ready()
        run = await long_run(staying)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(drain(one))
            tasks.create_task(drain(two))

        assert await verdict(staying, run) is Verdict.ABORTED


async def test_an_instance_whose_derived_name_another_one_has_is_refused_at_start_with_the_reason(server: Server) -> None:
    plan = Plan(actors=("validator",))
    async with host(read_settings(), server.url, plan) as first:
        await first.ready()

        with pytest.raises(NameTaken, match="its PostgreSQL schema would be test, which is that of the instance 'test-coordinator'"):
            async with host(read_settings(service_instance_name="test", namespace="test-coordinator"), server.url, plan):
                pytest.fail("it works")
        async with host(read_settings(service_instance_name="Test-Coordinator"), server.url, plan) as second:
            await second.ready()
            assert {there.host for there in await first.everyone()} == {first.host_id, second.host_id}


async def test_the_injector_and_the_observer_of_another_machine_stand_by(
    server: Server, full: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (read_settings(service_instance_name=f"test-coordinator-Chaos{number}") for number in (1, 2))
    async with host(one, server.url, full) as first:
        await first.ready()
        monkeypatch.setattr("deploy.host.this_machine", lambda: "another")
        async with host(two, server.url, full) as second:
            await second.ready()
            async with asyncio.timeout(10):
                while any(len(second.ownership.shares[actor].owned) != 8 for actor in ("scheduler", "validator", "reporter")):
                    await asyncio.sleep(0.02)
            owned = {actor: (len(first.ownership.shares[actor].owned), len(second.ownership.shares[actor].owned)) for actor in NEAR}

    assert owned == {"chaos-injector": (16, 0), "observer": (16, 0)}
