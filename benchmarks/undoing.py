"""Faults whose injector is killed with -9, and an abort: from then until the targets run again, as the kernel says.

Each fault pauses a process of its own. The samples of all trials are taken together: the spread is the least and the greatest of them.
"""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.fleet import Fleet, fleet, key_in, pauses, sleeping
from benchmarks.measure import Figure, of_samples

FAULTS = 20
NAME = "sleepers"
OTHERS = "scheduler,observer,validator,reporter"
INJECTOR = "chaos-injector"
LEASE = 10.0
KILLS, ABORTS = 5, 5
APART = timedelta(seconds=LEASE / 3 / FAULTS)
"""So the faults' leases are renewed at as many different moments, and at any moment some have just been and some are about to be."""
GONE = 1.0
"""Seconds without any injector, where it is started again."""
STANDBY = (
    "killed and aborted at the same moment, since a stand-by keeps up a fault that is still wanted (ADR 13); "
    "of the death it learns by asking its neighbour (ADR 11)"
)
"""How `revert_by_standby` is to be read."""


async def measure_undoing(folder: Path) -> list[Figure]:
    """Seconds: by the lease, by a standby, and by an abort."""
    async with asyncio.TaskGroup() as tasks:
        ways = [tasks.create_task(_by_lease(folder / way, standby=way == "standby")) for way in ("standby", "again")]
    lease = [seconds for way in ways for seconds in way.result()]
    standby = await _by_standby(folder / "pair")
    aborts = await _by_abort(folder / "abort")
    return [
        *of_samples("revert_after_kill", "s", lease, f"<= {LEASE + 0.5}"),
        *of_samples("revert_by_standby", "s", standby, "<= 1", STANDBY),
        *of_samples("abort_20_faults", "ms", [1000 * seconds for seconds in aborts], "<= 500"),
    ]


async def _by_lease(folder: Path, *, standby: bool) -> list[float]:
    """The injector that has the faults and the scheduler are killed, so that nobody ends them nor wants them: each ends with its lease.

    Another injector is there, or one is started a second later. From the kill to each target.
    """
    async with fleet(folder, {NAME: sleeping(NAME, FAULTS)}) as hosts:
        await hosts.start("Others", OTHERS)
        await hosts.start("One", INJECTOR)
        if standby:
            await hosts.start("Two", INJECTOR)
        owners = await hosts.shared(INJECTOR, 1 + standby)
        partition = next(partition for partition, owner in owners.items() if owner == "One")
        run = await hosts.submit(pauses(NAME, FAULTS, APART), key_in(partition))
        sleepers = await hosts.sleepers(run, FAULTS)
        killed = await hosts.kill("One", "Others")
        async with asyncio.TaskGroup() as tasks:
            awake = tasks.create_task(sleepers.awake())
            if not standby:
                await asyncio.sleep(GONE)
                await hosts.start("One", INJECTOR)
        return [instant - killed for instant in awake.result()]


async def _by_standby(folder: Path) -> list[float]:
    """The injector that has the faults is killed, and at that moment the run is aborted: a standby undoes them. From kill to each target.

    The end must be due: a standby that takes over a fault whose end is not, keeps it up. It learns of the death by asking its neighbour,
    which for 0.3 s has no responders, and not from a disconnect event of the server: that would need a user of the system account.
    """
    found: list[float] = []
    async with fleet(folder, {NAME: sleeping(NAME, FAULTS)}) as hosts:
        await hosts.start("Others", OTHERS)
        for injector in ("One", "Two"):
            await hosts.start(injector, INJECTOR)
        for trial in range(KILLS):
            owners = await hosts.shared(INJECTOR, 2)
            victim = ("One", "Two")[trial % 2]
            partition = next(partition for partition, owner in owners.items() if owner == victim)
            found += await _killed(hosts, victim, key_in(partition))
            await hosts.start(victim, INJECTOR)
    return found


async def _killed(hosts: Fleet, victim: str, key: str) -> list[float]:
    run = await hosts.submit(pauses(NAME, FAULTS), key)
    sleepers = await hosts.sleepers(run, FAULTS)
    async with asyncio.TaskGroup() as tasks:
        awake = tasks.create_task(sleepers.awake())
        await asyncio.sleep(0)
        killed = await hosts.kill(victim)
        await hosts.client.abort(run)
    await hosts.reported(run)
    return [instant - killed for instant in awake.result()]


async def _by_abort(folder: Path) -> list[float]:
    """From the request to the last of 20 targets."""
    found: list[float] = []
    async with fleet(folder, {NAME: sleeping(NAME, FAULTS)}) as hosts:
        await hosts.start("One", "all")
        await hosts.shared(INJECTOR, 1)
        for _ in range(ABORTS):
            run = await hosts.submit(pauses(NAME, FAULTS), "key")
            sleepers = await hosts.sleepers(run, FAULTS)
            async with asyncio.TaskGroup() as tasks:
                awake = tasks.create_task(sleepers.awake())
                await asyncio.sleep(0)
                asked = time.monotonic()
                await hosts.client.abort(run)
            found.append(max(awake.result()) - asked)
            await hosts.reported(run)
    return found
