"""Starting the proxy of a run, and finding it again."""

import asyncio
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError

import targets
from messages import system
from messages.identity import Identity
from targets.errors import StartFailed
from targets.find import tagged_processes, tags_of
from targets.identity import is_alive
from targets.process import ProcessDriver
from targets.proxy.api import CONFIGURATION, REPORT, Configuration, LinkPlan, Report

SERVICE = "_links"
"""The proxy's name among the tagged processes of its run; also that of its log."""
NAME = "the proxy of the links"
TO_START = timedelta(seconds=20)
POLL = 0.01
_COMMAND = ("python", "-P", "-m", "targets.proxy")


async def open_proxy(driver: ProcessDriver, run: str, links: Mapping[str, LinkPlan], folder: Path) -> Report:
    """The proxy of a run: the one that somebody before us has started, or a new one. Returns when all its links listen.

    Raises:
        TargetError: there is none, and none could be started; nothing runs.
    """
    report = find_proxy(folder)
    if report is not None:
        return report
    for tagged in tagged_processes(run):
        if tagged.service == SERVICE:
            # Its starter died before it could say so; one that does not get ready would be a second one.
            with suppress(StartFailed):
                return await _ready(driver, tagged.identity, folder)
    return await start_proxy(driver, run, links, folder)


async def start_proxy(driver: ProcessDriver, run: str, links: Mapping[str, LinkPlan], folder: Path) -> Report:
    """Starts the proxy of a run as a process that outlives us; returns when all its links listen.

    It leaves its report in `folder`, which is made if it is not there, for our user alone. Who is cancelled leaves no proxy behind.

    Raises:
        StartFailed: it ended at once (its log says why), was not ready in time, or the folder cannot be used; nothing runs.
    """
    try:
        configuration = _prepare(links, folder)
    except OSError as error:
        raise StartFailed(NAME, f"its folder cannot be used: {error.strerror} ({error.filename})") from error
    env = {CONFIGURATION: configuration.model_dump_json(), "PYTHONPATH": str(Path(targets.__file__).parents[1])}
    identity = await driver.start(SERVICE, system.ProcessDriver(command=_COMMAND), env, tags_of(run, SERVICE))
    return await _ready(driver, identity, folder)


def find_proxy(folder: Path) -> Report | None:
    """The proxy that reported in this folder, if its process still runs."""
    report = read_report(folder)
    return report if report is not None and is_alive(report.identity) else None


def read_report(folder: Path) -> Report | None:
    """What was reported in this folder, whether the proxy still runs or not."""
    try:
        return Report.model_validate_json((folder / REPORT).read_bytes())
    except (OSError, ValidationError):
        return None


def clear_folder(folder: Path) -> None:
    """Remove what a proxy left in its folder, the secret above all; nothing happens while one of it runs."""
    if find_proxy(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(links: Mapping[str, LinkPlan], folder: Path) -> Configuration:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / REPORT).unlink(missing_ok=True)
    return Configuration(secret=secrets.token_urlsafe(32), folder=str(folder.absolute()), links=dict(links))


async def _ready(driver: ProcessDriver, identity: Identity, folder: Path) -> Report:
    """The report of this very process; without one it is ended, whatever kept us from it."""
    report = None
    try:
        async with asyncio.timeout(TO_START.total_seconds()):
            report = await _reported(identity, folder)
    except TimeoutError:
        raise StartFailed(NAME, f"it was not ready within {TO_START.total_seconds():g} s") from None
    finally:
        if report is None:
            await driver.kill(identity)
    return report


async def _reported(identity: Identity, folder: Path) -> Report:
    while is_alive(identity):
        report = read_report(folder)
        if report is not None and report.identity == identity:
            return report
        await asyncio.sleep(POLL)
    raise StartFailed(NAME, "it ended at once; its log says why")
