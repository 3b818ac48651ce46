"""Leaving without leaving anything disturbed: the open runs are ended, undone and reported first."""

import asyncio

import structlog

from bus.errors import BusError, Unreachable
from bus.journal import Journal
from deploy.host import Host
from messages.judgements import ReportPublished
from messages.run_events import RunAccepted, RunFinished

LIMIT = 60.0
"""Seconds that ending, undoing and reporting may take together."""
_REPORT_LIMIT = 10.0
_log = structlog.get_logger("deploy.draining")


async def open_runs(journal: Journal, *, reported: bool = False) -> set[str]:
    """The accepted runs that are not finished, or (`reported`) not reported yet."""
    accepted = await journal.runs_with("scheduler", "run", RunAccepted.type_name())
    actor, last = ("reporter", ReportPublished) if reported else ("scheduler", RunFinished)
    return set(accepted) - set(await journal.runs_with(actor, "run", last.type_name()))


async def drain(host: Host) -> set[str]:
    """Take no more scenarios, abort what runs, and wait until it is undone and reported; the runs for which that took too long.

    Raises:
        Unreachable: NATS is away; what is open stays open until a host starts again.
    """
    if host.intake is not None:
        host.intake.cancel()
    if not host.connection.nc.is_connected:
        raise Unreachable(host.connection.url, "it is away, so open runs could not be ended")
    runs = await open_runs(host.journal)
    for run in sorted(runs):
        try:
            await host.control.abort(run, "its host is stopping")
        except BusError as error:
            _log.warning("run.unabortable", run=run, error=str(error))
    if runs:
        _log.info("host.draining", runs=sorted(runs))
    left = await ended(host.journal, runs, LIMIT)
    if not left and await ended(host.journal, runs, _REPORT_LIMIT, reported=True):
        _log.warning("runs.unreported", runs=sorted(runs))
    return left


async def ended(journal: Journal, runs: set[str], limit: float, *, reported: bool = False) -> set[str]:
    """Wait until these runs are finished (or `reported` too); those which are not within `limit` seconds."""
    until = asyncio.get_running_loop().time() + limit
    while True:
        left = runs & await open_runs(journal, reported=reported)
        if not left or asyncio.get_running_loop().time() > until:
            return left
        await asyncio.sleep(0.1)
