"""Two instances on one server beside one: no-op runs per second, what each costs, and whether any was done twice.

Each instance is a process with all actors; the runs are spread over keys, and so over the partitions. The cores bound the ratio: on two,
one instance and its server leave little for another.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.harness import NAMESPACE, Bench, start, stop, watching
from benchmarks.measure import Figure, cpu_seconds, figure
from benchmarks.noop import RUNS, finish_runs, system
from bus.connection import Connection
from bus.keys import Keys
from bus.server import embedded_server
from bus.subjects import PARTITIONS
from bus.topology import Names
from deploy.host import ACTORS
from messages.judgements import ReportPublished
from messages.run_events import RunFinished

TRIALS = 3
WARM = 40
LIMIT = 30.0
"""Seconds that the partitions may take to be divided."""


@dataclass
class Trials:
    """What each trial gave."""

    rates: list[float] = field(default_factory=list)
    """Runs per second."""
    costs: list[float] = field(default_factory=list)
    """Milliseconds of processor time per run, the server's included."""
    server: list[float] = field(default_factory=list)
    """The server's alone."""

    async def take(self, running: Bench) -> None:
        """Take them all."""
        await finish_runs(running, WARM, 0)
        for _ in range(TRIALS):
            all_used, server_used = running.cpu_seconds(), cpu_seconds(running.pids[-1])
            self.rates.append(RUNS / await finish_runs(running, RUNS, 0))
            self.costs.append((running.cpu_seconds() - all_used) * 1000 / RUNS)
            self.server.append((cpu_seconds(running.pids[-1]) - server_used) * 1000 / RUNS)


async def measure_instances(folder: Path) -> list[Figure]:
    """Runs per second of both, their ratio, processor time per run, and how many runs were not done exactly once."""
    taken, processes = (Trials(), Trials()), []
    async with embedded_server(folder / "nats") as server, watching(server.url, (server.pid,)) as running:
        try:
            for trials, instance in zip(taken, ("One", "Two"), strict=True):
                process, _ = await start(folder, {"bench": system()}, server.url, "all", instance=f"{NAMESPACE}-{instance}")
                processes.append(process)
                await _divided(running.connection, len(processes))
                await trials.take(replace(running, pids=(*(process.pid for process in processes), server.pid)))
        finally:
            for process in processes:
                await stop(process)
        wrong = await _not_once(running, len(processes) * (WARM + TRIALS * RUNS))
    return [*_figures(*taken), figure("runs_not_done_once", "", [wrong], "<= 0")]


def _figures(one: Trials, two: Trials) -> Iterable[Figure]:
    yield figure("two_instances_ratio", "", [more / less for less, more in zip(one.rates, two.rates, strict=True)])
    for name, trials in (("one_instance", one), ("two_instances", two)):
        yield figure(f"{name}_runs_per_second", "1/s", trials.rates)
        yield figure(f"{name}_cpu_per_run", "ms", trials.costs)
        yield figure(f"{name}_server_cpu", "ms", trials.server)


async def _divided(connection: Connection, among: int) -> None:
    """Until so many hosts have as many partitions each, for every actor."""
    maps = Keys(connection, Names(NAMESPACE).ownership)
    async with asyncio.timeout(LIMIT):
        for actor in ACTORS:
            while True:
                entry = await maps.get(actor)
                has = Counter(json.loads(entry.value).values() if entry is not None else ())
                if list(has.values()) == [PARTITIONS // among] * among:
                    break
                await asyncio.sleep(0.05)


async def _not_once(running: Bench, runs: int) -> int:
    """How many ends and reports are there too often, or not at all."""
    wrong = 0
    for actor, event in (("scheduler", RunFinished), ("reporter", ReportPublished)):
        subject = running.journal.subjects.everywhere(actor, "run", event.type_name())
        info = await running.connection.js.stream_info(running.journal.stream, subjects_filter=subject)
        counts = info.state.subjects or {}
        wrong += abs(runs - len(counts)) + sum(count - 1 for count in counts.values())
    return wrong
