"""Leaving without leaving anything disturbed: the open runs that no other host can take are ended, undone and reported first."""

import asyncio

import structlog

from bus.errors import BusError, Unreachable
from bus.journal import Journal
from deploy.host import NEAR, Host
from deploy.presence import STOPPING, can_take
from messages.run_events import RunAccepted, RunFinished

LIMIT = 60.0
"""Seconds that ending, undoing and reporting may take together."""
_REPORT_LIMIT = 10.0
_NOTICE_LIMIT = 3.0
"""Seconds that it may take until others can read that this host is leaving."""
_POLL = 0.5
_log = structlog.get_logger("deploy.draining")


async def open_runs(journal: Journal, *, reported: bool = False) -> set[str]:
    """The accepted runs that are not finished, or (`reported`) not reported yet."""
    if reported:
        return set(await journal.open_runs())
    accepted = await journal.runs_with("scheduler", "run", RunAccepted.type_name())
    return set(accepted) - set(await journal.runs_with("scheduler", "run", RunFinished.type_name()))


async def drain(host: Host, *, bus_stays: bool = True) -> set[str]:
    """Take no more scenarios. Unless other hosts can take its work, abort what runs, and wait until it is undone and reported.

    Returns the runs for which that took too long. Nobody can take the work of a host whose bus ends with it (not `bus_stays`).

    Raises:
        Unreachable: NATS is away; what is open stays open until a host starts again.
    """
    host.leave()
    if not host.connection.nc.is_connected:
        raise Unreachable(host.connection.url, "it is away, so open runs could not be ended")
    runs = await open_runs(host.journal)
    if not runs:
        return set()
    if bus_stays and await _others_can_take(host):
        _log.info("runs.left_to_others", runs=sorted(runs))
        return set()
    await _abort(host, runs)
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
        await asyncio.sleep(_POLL)


async def _abort(host: Host, runs: set[str]) -> None:
    _log.info("host.draining", runs=sorted(runs))
    for run in sorted(runs):
        try:
            await host.control.abort(run, "its host is stopping")
        except BusError as error:
            _log.warning("run.unabortable", run=run, error=str(error))


async def _others_can_take(host: Host) -> bool:
    """Asked only when everybody can read that this host is leaving: of two that leave at once neither counts on the other."""
    try:
        async with asyncio.timeout(_NOTICE_LIMIT):
            while True:
                hosts = {presence.host: presence for presence in await host.everyone()}
                mine = hosts.pop(host.host_id, None)
                if mine is not None and set(mine.actors.values()) == {STOPPING}:
                    return can_take(mine, hosts.values(), NEAR)
    except (BusError, TimeoutError) as error:
        _log.warning("hosts.unknown", error=str(error) or type(error).__name__)
        return False
