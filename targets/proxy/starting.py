"""Starting the proxy of a run, and finding it again."""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError

import targets
from messages import system
from messages.identity import Identity
from targets.errors import StartFailed
from targets.find import tags_of
from targets.identity import is_alive
from targets.process import ProcessDriver
from targets.proxy.api import CONFIGURATION, REPORT, Configuration, LinkPlan, Report

SERVICE = "_links"
"""The proxy's name among the tagged processes of its run; also that of its log."""
NAME = "the proxy of the links"
TO_START = timedelta(seconds=20)
POLL = 0.01
_COMMAND = ("python", "-P", "-m", "targets.proxy")


async def start_proxy(driver: ProcessDriver, run: str, links: Mapping[str, LinkPlan], folder: Path) -> Report:
    """Starts the proxy of a run as a process that outlives us; returns when all its links listen.

    It leaves its report in `folder`, which is made if it is not there, for our user alone.

    Raises:
        StartFailed: it ended at once (its log says why), was not ready in time, or the folder cannot be used; nothing runs.
    """
    try:
        configuration = _prepare(links, folder)
    except OSError as error:
        raise StartFailed(NAME, f"its folder cannot be used: {error.strerror} ({error.filename})") from error
    env = {CONFIGURATION: configuration.model_dump_json(), "PYTHONPATH": str(Path(targets.__file__).parents[1])}
    identity = await driver.start(SERVICE, system.ProcessDriver(command=_COMMAND), env, tags_of(run, SERVICE))
    with suppress(TimeoutError):
        async with asyncio.timeout(TO_START.total_seconds()):
            return await _reported(identity, folder)
    await driver.kill(identity)
    raise StartFailed(NAME, f"it was not ready within {TO_START.total_seconds():g} s")


def find_proxy(folder: Path) -> Report | None:
    """The proxy that reported in this folder, if its process still runs."""
    try:
        report = Report.model_validate_json((folder / REPORT).read_bytes())
    except (OSError, ValidationError):
        return None
    return report if is_alive(report.identity) else None


def _prepare(links: Mapping[str, LinkPlan], folder: Path) -> Configuration:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / REPORT).unlink(missing_ok=True)
    return Configuration(secret=secrets.token_urlsafe(32), folder=str(folder.absolute()), links=dict(links))


async def _reported(identity: Identity, folder: Path) -> Report:
    while is_alive(identity):
        report = find_proxy(folder)
        if report is not None:
            return report
        await asyncio.sleep(POLL)
    raise StartFailed(NAME, "it ended at once; its log says why")
