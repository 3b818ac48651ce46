"""Instances with partitions of their own: what one that dies has disturbed is undone by another, and one that leaves ends its runs."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import pytest

from bus.server import Server
from bus.subjects import partition_of
from cli.health import unowned
from deploy.draining import open_runs
from deploy.host import Host, Plan, host
from deploy.settings import Settings, read_settings
from messages.control import SubmitRequest
from messages.fault_events import FaultEffective, FaultReverted, ServiceStarted
from scenarios.systems import load_systems
from targets.find import tagged_processes
from targets.group import is_halted
from targets.identity import is_alive
from tests.end_to_end.test_killed_injector import seen
from tests.end_to_end.test_processes import SERVICE, command, over
from tests.ports import free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(90)]
LOW, HIGH = "0-7", "8-15"
SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: left}
spec:
  system: NAME
  phases:
    - name: chaos
      duration: 60s
      actions: [{id: f, target: one, action: pause}]
"""


def of_share(numbers: range) -> str:
    """The name of a system whose runs are in one of these partitions."""
    return next(name for name in (f"system{number}" for number in range(99)) if partition_of(name) in numbers)


@pytest.fixture
def systems(tmp_path: Path) -> Path:
    folder = tmp_path / "systems"
    folder.mkdir()
    for name in (of_share(range(8)), of_share(range(8, 16))):
        port = free_port()
        (folder / f"{name}.yaml").write_text(f"""
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: {name}}}
spec:
  services:
    one:
      driver: {{process: {{command: [python, {SERVICE}], env: {{PORT: "{port}"}}}}}}
      health: {{http: {{url: "http://127.0.0.1:{port}/health"}}, every: 100ms, deadline: 900ms}}
  steady_state: {{stable: 200ms}}
""")
    return folder


def serving(url: str, folder: Path, partitions: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """Another instance, as a process."""
    own = {"SERVICE_INSTANCE_NAME": "test-coordinator-Chaos2", "GRPC_PORT": "0"}
    arguments = ("serve", "--nats", url, "--systems", str(folder / "systems"), "--partitions", partitions)
    return command(*arguments, folder=folder, env=own)


@pytest.fixture
def runs() -> Iterator[list[str]]:
    """What was begun. What a test that failed has left of it is ended."""
    begun: list[str] = []
    yield begun
    for tagged in (tagged for run in begun for tagged in tagged_processes(run)):
        with suppress(ProcessLookupError):
            os.killpg(tagged.identity.pid, signal.SIGKILL)


async def submitted(running: Host, share: range, runs: list[str]) -> str:
    """A run that is in its phase, with its fault on."""
    document = SCENARIO.replace("NAME", of_share(share))
    reply = await running.control.submit(SubmitRequest(document=document, file="left.yaml"))
    assert reply.run_id is not None, reply.findings
    runs.append(reply.run_id)
    await seen(running.journal, reply.run_id, FaultEffective, 1)
    return reply.run_id


async def until_shared(running: Host) -> None:
    """Wait until every partition has an owner, and each instance has those that it asked for and no others."""
    while True:
        there = await running.everyone()
        if not unowned(there) and all(set(host.partitions.values()) == set(host.offers.values()) for host in there):
            return
        await asyncio.sleep(0.05)


def with_low(folder: Path, systems: Path) -> tuple[Settings, Plan]:
    """For an instance in this process."""
    settings = read_settings(log_level="WARNING", partitions=LOW, service_instance_name="test-coordinator-Chaos1")
    return settings, Plan(systems=load_systems(systems), logs=folder / "logs")


async def test_what_an_instance_that_died_has_disturbed_is_undone_by_one_with_other_partitions(
    server: Server, systems: Path, runs: list[str], tmp_path: Path
) -> None:
    settings, plan = with_low(tmp_path, systems)
    async with host(settings, server.url, plan) as staying:
        await staying.ready()
        async with serving(server.url, tmp_path, HIGH) as other:
            await until_shared(staying)
            run = await submitted(staying, range(8, 16), runs)
            (started,) = await seen(staying.journal, run, ServiceStarted, 1)
            halted = is_halted(started.identity)

            other.kill()
            await other.wait()
        (reverted,) = await seen(staying.journal, run, FaultReverted, 1)
        standing = is_halted(started.identity)
        nobody = unowned(await staying.everyone())
        async with serving(server.url, tmp_path, HIGH):
            await until_shared(staying)
            await staying.control.abort(run, "enough")
            ended = await over(staying.control, run)

    assert (halted, standing) == (True, False)
    assert reverted.by == "lease"
    assert nobody == dict.fromkeys(("scheduler", "observer", "validator", "reporter"), HIGH)
    assert ended.verdict == "aborted"
    assert tagged_processes(run) == ()


async def test_an_instance_that_is_stopped_ends_the_runs_that_nobody_else_asks_for_and_no_others(
    server: Server, systems: Path, runs: list[str], tmp_path: Path
) -> None:
    settings, plan = with_low(tmp_path, systems)
    async with host(settings, server.url, plan) as staying, serving(server.url, tmp_path, HIGH) as leaving:
        await staying.ready()
        await until_shared(staying)
        left, kept = await submitted(staying, range(8, 16), runs), await submitted(staying, range(8), runs)
        (started,) = await seen(staying.journal, left, ServiceStarted, 1)

        leaving.terminate()
        _, told = await leaving.communicate()
        alive, summary = is_alive(started.identity), (await staying.control.runs(left)).runs[0]
        still_open = set(await open_runs(staying.journal))
        await staying.control.abort(kept, "enough")
        await over(staying.control, kept)

    assert (leaving.returncode, summary.verdict, alive) == (0, "aborted", False), told.decode()
    assert still_open == {kept}
