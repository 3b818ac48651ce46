"""A scheduler that is killed with -9 amid its runs: from then to the next step of each by another instance.

The runs go from phase to phase ten times a second, so that the next step of each is long due when another has it. A step is a line of the
scheduler in the run's journal, other than that its owner changed.
"""

import asyncio
from pathlib import Path

from benchmarks.fleet import Fleet, fleet, key_in
from benchmarks.measure import Figure, of_samples
from benchmarks.noop import system
from messages.fault_events import OwnerChanged
from messages.run_events import PhaseStarted

SCHEDULER = "scheduler"
OTHERS = "chaos-injector,observer,validator,reporter"
KILLS = 5
PHASES = 20
AMID = 5
"""Phases that each run has begun when the scheduler is killed."""


def scenario() -> str:
    """Phases of 100 ms."""
    phases = "".join(f"\n    - {{name: phase-{number}, duration: 100ms}}" for number in range(PHASES))
    return f"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: steps}}
spec:
  system: bench
  concurrency: shared
  phases:{phases}
"""


async def measure_takeover(folder: Path) -> list[Figure]:
    """Seconds, from the kill until the step is read here; the samples of all kills are taken together."""
    found: list[float] = []
    async with fleet(folder, {"bench": system()}) as hosts:
        await hosts.start("Others", OTHERS)
        for scheduler in ("One", "Two"):
            await hosts.start(scheduler, SCHEDULER)
        for trial in range(KILLS):
            owners = await hosts.shared(SCHEDULER, 2)
            victim = ("One", "Two")[trial % 2]
            found += await _killed(hosts, victim, [partition for partition, owner in owners.items() if owner == victim])
            await hosts.start(victim, SCHEDULER)
    return of_samples("scheduler_takeover", "s", found, "<= 3")


async def _killed(hosts: Fleet, victim: str, partitions: list[int]) -> list[float]:
    runs = {await hosts.submit(scenario(), key_in(partition)) for partition in partitions}
    await hosts.until(lambda: all(_phases(hosts, run) >= AMID for run in runs))
    killed = await hosts.kill(victim)
    await hosts.until(lambda: None not in {_next_step(hosts, run) for run in runs})
    async with asyncio.TaskGroup() as tasks:
        for run in runs:
            tasks.create_task(hosts.reported(run))
    return [instant - killed for run in runs if (instant := _next_step(hosts, run)) is not None]


def _phases(hosts: Fleet, run: str) -> int:
    return sum(line.run == run and isinstance(line.event, PhaseStarted) for _, line in hosts.lines)


def _next_step(hosts: Fleet, run: str) -> float | None:
    """When the first step after a change of owner was read."""
    mine = [timed for timed in hosts.lines if timed[1].run == run and timed[1].actor == SCHEDULER]
    changed = next((place for place, (_, line) in enumerate(mine) if isinstance(line.event, OwnerChanged)), len(mine))
    return next((at for at, line in mine[changed:] if not isinstance(line.event, OwnerChanged)), None)
