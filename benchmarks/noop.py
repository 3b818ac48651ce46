"""Runs that disturb nothing real, one after the other and many at once.

A no-op run goes the whole way of a run: its scenario is published as text, validated, accepted, started, taken through one phase, its claim
(`never`, over the service events of that phase) judged after the observer has said that it looked up to the phase's end, finished, and its
report rendered and stored in every format. Every step is a line of the journal on disk. Its system has one external service without
health checks, so nothing is started or probed, and settle has nothing to wait for. The runs share their system (`concurrency: shared`).
"""

import time
from pathlib import Path

from benchmarks.harness import Bench, bench
from benchmarks.measure import Figure, figure
from messages.system import System

TRIALS = 5
RUNS = 300
TOGETHER = 200
HOLD = 1.0
"""Seconds that each of the runs that are there together holds its phase."""


def system() -> System:
    """A system of one service that is only observed."""
    return System.model_validate_json("""{"metadata": {"name": "bench"}, "spec": {
        "concurrency": "shared", "events": ["bench.events.>"],
        "steady_state": {"settle": "0s", "recover": "0s", "stable": "0s"},
        "services": {"idle": {"driver": {"external": {}}}}}}""")


def scenario(hold: float) -> bytes:
    """A phase that lasts so long, and one claim about it."""
    return f"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: noop}}
spec:
  system: bench
  concurrency: shared
  phases:
    - name: only
      duration: {hold * 1000:.0f}ms
      assertions: [{{id: none, type: event, where: "event.type == 'never'", never: true}}]
""".encode()


async def finish_runs(running: Bench, count: int, hold: float) -> float:
    """The seconds from the first scenario to the last report of so many runs."""
    before, text = running.watch.reported, scenario(hold)
    begun = time.perf_counter()
    for number in range(count):
        await running.publish(f"key-{number % 64}", text)
    await running.watch.until(before + count)
    return time.perf_counter() - begun


async def measure_noop(folder: Path) -> list[Figure]:
    """Runs per second from the first scenario published to the last report, and what one costs."""
    rates, costs = [], []
    async with bench(folder, {"bench": system()}) as running:
        await finish_runs(running, 20, 0)
        for _ in range(TRIALS):
            used = running.cpu_seconds()
            rates.append(RUNS / await finish_runs(running, RUNS, 0))
            costs.append((running.cpu_seconds() - used) * 1000 / RUNS)
    return [
        figure("noop_runs_per_second", "1/s", rates, ">= 60"),
        figure("noop_cpu_per_run", "ms", costs),
    ]


async def measure_together(folder: Path) -> list[Figure]:
    """200 runs at once, each holding its phase for a second: until the last report; and the most memory, the server's included.

    Each trial has processes of its own, so that none inherits another's memory.
    """
    seconds, memory = [], []
    for trial in range(3):
        async with bench(folder / str(trial), {"bench": system()}) as running:
            seconds.append(await finish_runs(running, TOGETHER, HOLD))
            memory.append(running.peak_mib())
    return [figure("concurrent_200_seconds", "s", seconds, "<= 4"), figure("concurrent_200_rss", "MiB", memory, "<= 250")]
