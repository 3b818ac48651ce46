"""There is one proxy a run: who starts it and is stopped or dies over it leaves none that nobody knows, and none that carries nothing."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from targets.find import find_tagged, tagged_processes
from targets.polling import until
from targets.process import ProcessDriver
from targets.proxy.api import REPORT, LinkPlan
from targets.proxy.starting import SERVICE, clear_folder, find_proxy, open_proxy, start_proxy
from tests.test_targets_proxy import STARTER

LINKS = {"orders": LinkPlan(service="127.0.0.1:1")}


@pytest.fixture
def run(tmp_path: Path) -> str:
    return f"{tmp_path.name[:40]}-{os.getpid()}"


@pytest.fixture
async def driver(tmp_path: Path, run: str) -> AsyncIterator[ProcessDriver]:
    driver = ProcessDriver(environment={"PATH": os.environ["PATH"]}, logs=tmp_path / "logs")
    yield driver
    for tagged in tagged_processes(run):
        await driver.kill(tagged.identity)
    await driver.aclose()


async def test_a_start_that_is_cancelled_leaves_no_proxy(driver: ProcessDriver, run: str, tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(start_proxy(driver, run, LINKS, tmp_path / "proxy"))
        await until(lambda: SERVICE in find_tagged(run), poll=0.001)
        starting.cancel()

    assert starting.cancelled()
    assert tagged_processes(run) == ()


async def test_a_proxy_that_starts_is_never_taken_for_another_one_that_reports(driver: ProcessDriver, run: str, tmp_path: Path) -> None:
    folder = tmp_path / "proxy"
    first = await start_proxy(driver, run, LINKS, folder)

    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(start_proxy(driver, run, LINKS, folder))
        await until(lambda: not (folder / REPORT).exists(), poll=0.001)
        (folder / REPORT).write_text(first.model_dump_json())
    second = starting.result()

    assert second.identity != first.identity
    assert find_proxy(folder) == second


async def test_a_proxy_whose_starter_died_before_it_could_say_so_is_taken_over(driver: ProcessDriver, run: str, tmp_path: Path) -> None:
    folder = tmp_path / "proxy"
    command = [sys.executable, "-c", STARTER, run, "127.0.0.1:1", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as starter:  # noqa: ASYNC220 - it is killed at once
        await until(lambda: SERVICE in find_tagged(run), poll=0.001)
        starter.kill()
    (orphan,) = tagged_processes(run)

    report = await open_proxy(driver, run, LINKS, folder)

    assert report.identity == orphan.identity
    assert tagged_processes(run) == (orphan,)
    assert await open_proxy(driver, run, LINKS, folder) == report


@pytest.mark.long
async def test_an_orphan_that_does_not_get_ready_is_ended_before_another_one_starts(
    driver: ProcessDriver, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "proxy"
    lost = await start_proxy(driver, run, LINKS, folder)
    (folder / REPORT).unlink()
    monkeypatch.setattr("targets.proxy.starting.TO_START", timedelta(seconds=3))

    report = await open_proxy(driver, run, LINKS, folder)

    assert report.identity != lost.identity
    assert [tagged.identity for tagged in tagged_processes(run)] == [report.identity]


async def test_a_folder_with_its_secret_is_removed_once_its_proxy_has_ended_and_not_before(
    driver: ProcessDriver, run: str, tmp_path: Path
) -> None:
    folder = tmp_path / "proxy"
    report = await start_proxy(driver, run, LINKS, folder)

    clear_folder(folder)
    kept = find_proxy(folder)
    await driver.kill(report.identity)
    clear_folder(folder)

    assert kept == report
    assert not folder.exists()
