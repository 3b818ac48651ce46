"""Leaving without leaving anything disturbed: the open runs that no other host will take are ended, undone and reported first."""

import asyncio
from contextlib import suppress
from functools import partial

import structlog

from bus.cancelling import end
from bus.control import ControlClient
from bus.errors import BusError, NoAnswer, Unreachable
from bus.journal import Journal
from bus.ownership import EVERYTHING
from bus.patience import asked_again
from deploy.host import COVERED, NEAR, Host
from deploy.presence import STOPPING, stranded
from messages.run_events import RunAccepted, RunFinished

LIMIT = 60.0
"""Seconds that ending, undoing and reporting may take together."""
LOOK_LIMIT = 15.0
"""Seconds that the bus may need to say what is open: a cluster has a leader again after 8, a lease that nobody renews is over after 10."""
_REPORT_LIMIT = 10.0
_NOTICE_LIMIT = 3.0
"""Seconds that it may take until others can read that this host is leaving."""
_POLL = 0.5
_log = structlog.get_logger("deploy.draining")


async def open_runs(journal: Journal, *, reported: bool = False, limit: float = LOOK_LIMIT) -> dict[str, int]:
    """The accepted runs that are not finished, or (`reported`) not reported yet; and their partitions.

    Raises:
        NoAnswer: the bus did not say within `limit` seconds, in which it was asked again.
    """
    return await asked_again(partial(_open_runs, journal, reported=reported), "list the open runs", limit)


async def _open_runs(journal: Journal, *, reported: bool) -> dict[str, int]:
    if reported:
        return await journal.open_runs()
    accepted = await journal.runs_with("scheduler", "run", RunAccepted.type_name())
    finished = await journal.runs_with("scheduler", "run", RunFinished.type_name())
    return {run: partition for run, partition in accepted.items() if run not in finished}


async def drain(host: Host, *, bus_stays: bool = True, patience: float = LOOK_LIMIT) -> set[str]:
    """Take no more scenarios. Abort the runs in which no other host would do the work of this one, wait until they are undone and reported,
    and leave the others to those who will.

    Returns the runs for which that took too long. Nobody can take the work of a host whose bus ends with it (not `bus_stays`).

    Raises:
        Unreachable: NATS was away for `patience` seconds; what is open stays open until a host starts again.
    """
    host.leave()
    try:
        runs = await open_runs(host.journal, limit=patience)
    except NoAnswer as error:
        raise Unreachable(host.connection.url, "it does not answer, so open runs could not be ended") from error
    if not runs:
        return set()
    ours_alone = await _ours_alone(host) if bus_stays else EVERYTHING
    ending = {run for run, partition in runs.items() if partition in ours_alone}
    left = await _end(host, ending) if ending else set()
    if others := runs.keys() - ending:
        _log.info("runs.left_to_others", runs=sorted(others))
        await _hand_over(host, ours_alone)
    return left


async def _end(host: Host, runs: set[str]) -> set[str]:
    """Abort these and wait until they are reported; those which are not finished in time."""
    _log.info("host.draining", runs=sorted(runs))
    left = await end_runs(host.journal, host.control, runs, LIMIT)
    if not left and await ended(host.journal, runs, _REPORT_LIMIT, reported=True):
        _log.warning("runs.unreported", runs=sorted(runs))
    return left


async def _hand_over(host: Host, kept: frozenset[int]) -> None:
    """Give away what is owned here, run by run where it stands; but for the partitions that nobody will have."""
    host.handing_over = True
    with suppress(TimeoutError):
        async with asyncio.timeout(_NOTICE_LIMIT):
            for share in host.ownership.shares.values():
                while share.owned - kept or share.giving:
                    await share.changed.wait()


async def ended(journal: Journal, runs: set[str], limit: float, *, reported: bool = False) -> set[str]:
    """Wait until these runs are finished (or `reported` too); those which are not within `limit` seconds, as far as the bus says."""
    now, left = asyncio.get_running_loop().time, set(runs)
    until = now() + limit
    try:
        while True:
            left &= (await open_runs(journal, reported=reported, limit=until - now())).keys()
            if not left or now() > until:
                return left
            await asyncio.sleep(_POLL)
    except NoAnswer as error:
        _log.warning("runs.unknown", runs=sorted(left), error=str(error))
        return left


async def end_runs(journal: Journal, control: ControlClient, runs: set[str], limit: float) -> set[str]:
    """Abort these runs, asking again while nobody answers, and wait until they are finished; those which are not within `limit` seconds."""
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(_abort(control, run, limit)) for run in sorted(runs)]
        left = await ended(journal, runs, limit)
        await end(asking)
    return left


async def _abort(control: ControlClient, run: str, limit: float) -> None:
    try:
        await asked_again(partial(control.abort, run, "its host is stopping"), f"abort {run}", limit)
    except BusError as error:
        _log.warning("run.unabortable", run=run, error=str(error))


async def _ours_alone(host: Host) -> frozenset[int]:
    """The partitions of this host that nobody would have without it, all of them if nobody says who is there.

    Asked only when everybody can read that this host is leaving: of two that leave at once neither counts on the other.
    """
    try:
        async with asyncio.timeout(_NOTICE_LIMIT):
            while True:
                hosts = {presence.host: presence for presence in await host.everyone()}
                mine = hosts.pop(host.host_id, None)
                if mine is not None and set(mine.actors.values()) == {STOPPING}:
                    return stranded(mine, hosts.values(), near=NEAR, covered=COVERED)
    except (BusError, TimeoutError) as error:
        _log.warning("hosts.unknown", error=str(error) or type(error).__name__)
        return frozenset().union(*(share.owned for share in host.ownership.shares.values()))
