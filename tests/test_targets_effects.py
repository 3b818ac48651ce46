import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from messages import system
from messages.checks import Health, HttpCheck
from messages.identity import Identity
from messages.system import Driver, Service
from targets.effects import saw_effect, saw_normal
from targets.find import tagged_processes, tags_of
from targets.health import HealthProber
from targets.process import ProcessDriver
from tests.ports import free_port

GRACE = timedelta(seconds=5)
SOON = timedelta(seconds=5)
SHORTLY = timedelta(milliseconds=800)
SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = server.accept()
    connection.recv(9999)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    connection.close()
"""


class Target:
    """One service, as an injector has it."""

    def __init__(self, driver: ProcessDriver, prober: HealthProber, run: str) -> None:
        self.driver = driver
        self.prober = prober
        self.tags = tags_of(run, "engine")
        port = free_port()
        self.server = ("python", "-S", "-c", SERVER, str(port))
        self.healthy = Health(http=HttpCheck(url=f"http://127.0.0.1:{port}/"), deadline=timedelta(milliseconds=500))
        self.now: Identity | None = None

    async def start(self, *command: str, health: Health | None) -> Identity:
        self.service = Service(driver=Driver(process=system.ProcessDriver(command=command)), health=health)
        assert self.service.driver.process is not None
        self.now = await self.driver.start("engine", self.service.driver.process, {}, self.tags)
        assert await saw_normal(self.service, self.prober, current=lambda: self.now, within=SOON)
        return self.now


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Target]:
    run = f"{tmp_path.name}-{os.getpid()}"
    driver = ProcessDriver(environment={"PATH": os.environ["PATH"]}, logs=tmp_path)
    async with HealthProber() as prober:
        yield Target(driver, prober, run)
    while found := tagged_processes(run):
        for tagged in found:
            await driver.kill(tagged.identity)
    await driver.aclose()


async def test_a_killed_service_is_seen_to_be_gone(target: Target) -> None:
    before = await target.start(*target.server, health=target.healthy)
    await target.driver.kill(before)

    seen = await saw_effect("kill", before, target.service, target.prober, current=lambda: before, within=SOON)

    assert seen in {"process gone", "connection refused"}


async def test_a_service_that_closed_its_port_but_lingers_is_seen_to_refuse(target: Target) -> None:
    before = await target.start("sleep", "1000", health=None)
    deaf = target.service.model_copy(update={"health": target.healthy})

    assert await saw_effect("stop", before, deaf, target.prober, current=lambda: before, within=SOON) == "connection refused"


async def test_a_service_that_goes_on_shows_no_effect_of_a_stop(target: Target) -> None:
    before = await target.start(*target.server, health=target.healthy)

    assert await saw_effect("stop", before, target.service, target.prober, current=lambda: before, within=SHORTLY) is None


async def test_an_effect_is_seen_when_it_comes_after_the_question(target: Target) -> None:
    before = await target.start("sleep", "1000", health=None)

    async with asyncio.TaskGroup() as group:
        asking = group.create_task(saw_effect("stop", before, target.service, target.prober, current=lambda: before, within=SOON))
        await asyncio.sleep(0)
        await target.driver.stop(before, signal="TERM", grace=GRACE)

    assert asking.result() == "process gone"


async def test_a_restart_too_quick_for_health_is_seen_by_its_identity(target: Target) -> None:
    before = await target.start("sleep", "1000", health=None)
    await target.driver.kill(before)
    after = await target.start("sleep", "1000", health=None)

    seen = await saw_effect("restart", before, target.service, target.prober, current=lambda: after, within=SOON)

    assert seen == f"new process pid {after.pid}"


async def test_a_restart_that_did_not_happen_has_no_effect(target: Target) -> None:
    before = await target.start("sleep", "1000", health=None)

    assert await saw_effect("restart", before, target.service, target.prober, current=lambda: before, within=SHORTLY) is None


async def test_a_paused_service_runs_out_of_time_and_answers_when_resumed(target: Target) -> None:
    before = await target.start(*target.server, health=target.healthy)
    await target.driver.pause(before)

    seen = await saw_effect("pause", before, target.service, target.prober, current=lambda: before, within=SOON)
    await target.driver.resume(before)

    assert seen == "health ran out of time (http: no answer within 500ms)"
    assert await saw_normal(target.service, target.prober, current=lambda: before, within=SOON)


async def test_a_paused_wrapper_whose_server_runs_in_another_session_has_no_effect(target: Target) -> None:
    script = 'setsid "$@" & wait'
    before = await target.start("sh", "-c", script, "sh", *("python3", *target.server[1:]), health=target.healthy)
    await target.driver.pause(before)

    seen = await saw_effect("pause", before, target.service, target.prober, current=lambda: before, within=SHORTLY)

    assert seen is None
    await target.driver.kill(before)


async def test_without_health_a_pause_is_seen_by_the_halted_group(target: Target) -> None:
    before = await target.start("sleep", "1000", health=None)
    assert await saw_effect("pause", before, target.service, target.prober, current=lambda: before, within=SHORTLY) is None

    await target.driver.pause(before)

    seen = await saw_effect("pause", before, target.service, target.prober, current=lambda: before, within=SOON)
    assert seen == "process halted (no health check to see more)"


async def test_normal_is_not_seen_while_nobody_answers(target: Target) -> None:
    before = await target.start("sleep", "1000", health=None)
    deaf = target.service.model_copy(update={"health": target.healthy})

    assert not await saw_normal(deaf, target.prober, current=lambda: before, within=SHORTLY)
