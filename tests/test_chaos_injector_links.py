"""The links of a run on a real journal: one proxy that the journal names, whatever becomes of the injectors."""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from messages.fault_events import ActionDone, ServiceStarted
from messages.link_events import LinksLost, LinksOpened
from messages.run_events import RunAccepted, RunStarted, ServicesReleaseRequested, ServicesRequested
from messages.scenario import Scenario
from messages.system import System
from targets.find import tagged_processes
from targets.identity import is_alive
from targets.polling import until
from targets.proxy.starting import SERVICE
from tests.test_chaos_injector import KEY, Stand, engine, stand

__all__ = ["engine", "stand"]


async def begin(stand: Stand, engine: dict[str, Any], port: int) -> None:
    """Ask for a service with a link."""
    spec = {"services": {"engine": engine}, "links": {"way": {"from": "engine", "to": "engine", "port": port, "env": "UPSTREAM"}}}
    system = System.model_validate({"metadata": {"name": "s"}, "spec": spec}, strict=False)
    scenario = Scenario.model_validate({"metadata": {"name": "x"}, "spec": {"system": "s", "phases": [{"name": "chaos"}]}}, strict=False)
    await stand.say(RunAccepted(key=KEY, scenario=scenario, system=system, submitted=datetime(2026, 1, 1, tzinfo=UTC)))
    await stand.say(RunStarted(), ServicesRequested(levels=system.start_levels()))


def proxies(stand: Stand) -> list[Any]:
    return [tagged.identity for tagged in tagged_processes(stand.run) if tagged.service == SERVICE]


async def test_an_injector_that_dies_while_the_proxy_starts_leaves_one_proxy_that_the_journal_names(
    stand: Stand, engine: dict[str, Any], unused_port: Callable[[], int]
) -> None:
    async with stand.injector():
        await begin(stand, engine, unused_port())
        await until(lambda: bool(proxies(stand)), poll=0.001)
    async with stand.injector():
        await stand.until(ActionDone, "services")
        started, running = stand.all(ServiceStarted), proxies(stand)
        environ = Path(f"/proc/{started[-1].event.identity.pid}/environ").read_text()
        await stand.release()

    opened = stand.all(LinksOpened)[-1].event
    assert running == [opened.identity]
    assert f"UPSTREAM={opened.addresses['way']}" in environ
    assert proxies(stand) == []
    assert stand.all(LinksLost) == []


async def test_a_proxy_that_dies_while_no_injector_is_there_is_told_by_the_next_one(
    stand: Stand, engine: dict[str, Any], unused_port: Callable[[], int]
) -> None:
    async with stand.injector():
        await begin(stand, engine, unused_port())
        await stand.until(ActionDone, "services")
    opened = stand.all(LinksOpened)[-1].event
    os.kill(opened.identity.pid, signal.SIGKILL)
    await until(lambda: not is_alive(opened.identity), poll=0.01)

    async with stand.injector():
        lost = await stand.until(LinksLost)
        await stand.release()

    assert lost.event.number == opened.number == 1
    assert len(stand.all(LinksLost)) == 1


async def test_a_proxy_that_was_found_dead_when_the_services_are_released_is_told_too(
    stand: Stand, engine: dict[str, Any], unused_port: Callable[[], int]
) -> None:
    async with stand.injector():
        await begin(stand, engine, unused_port())
        await stand.until(ActionDone, "services")
    opened = stand.all(LinksOpened)[-1].event
    os.kill(opened.identity.pid, signal.SIGKILL)
    await until(lambda: not is_alive(opened.identity), poll=0.01)
    await stand.say(ServicesReleaseRequested())

    async with stand.injector():
        await stand.until(ActionDone, "release")

    assert len(stand.all(LinksLost)) == 1
