"""From a scenario's publishing to the call of a driver, with arrivals at a fixed rate; and how many such runs a second there may be.

Each run starts a process of its own (`sleep`), pauses it for 10 ms and stops it; validation of a text that was not seen before, the
process's start and the stored `fault.armed` lie before the call. It counts from the moment at which the scenario was due to be published,
however late it was (open loop), to the moment at which the injector called the driver, as `fault.injected` says.
"""

import asyncio
import time
from datetime import datetime
from pathlib import Path

from benchmarks.harness import Bench, bench
from benchmarks.measure import Figure, figure, percentile
from messages.system import System

TRIALS = 3
RATE = 30
SECONDS = 10
RUNS = 200
SYSTEMS = 40
"""One run at a time per system that has processes, so as many may run at once."""


def system(number: int) -> System:
    """A system of one process that does nothing."""
    return System.model_validate_json(f"""{{"metadata": {{"name": "bench-{number}"}}, "spec": {{"services": {{
        "idle": {{"driver": {{"process": {{"command": ["sleep", "1000"]}}}}}}}}}}}}""")


def scenario(number: int, text: int) -> bytes:
    """A pause of 10 ms, and a claim that nothing can settle; no two texts are the same."""
    return f"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: bench, description: the {text}th}}
spec:
  system: bench-{number}
  phases:
    - name: chaos
      actions: [{{id: pause, target: idle, action: pause, for: 10ms}}]
      assertions: [{{id: none, type: event, where: "event.type == 'never'", never: true}}]
""".encode()


async def measure_real_runs(folder: Path) -> list[Figure]:
    """Such runs per second, from the first scenario published to the last report."""
    rates, costs = [], []
    async with bench(folder, {f"bench-{number}": system(number) for number in range(SYSTEMS)}) as running:
        await _arrivals(running, RATE)
        for _ in range(TRIALS):
            before, used, begun = running.watch.reported, running.cpu_seconds(), time.perf_counter()
            for number in range(RUNS):
                await running.publish(f"key-{number % SYSTEMS}", scenario(number % SYSTEMS, number))
            await running.watch.until(before + RUNS)
            rates.append(RUNS / (time.perf_counter() - begun))
            costs.append((running.cpu_seconds() - used) * 1000 / RUNS)
    return [figure("process_runs_per_second", "1/s", rates), figure("process_cpu_per_run", "ms", costs)]


async def measure_latency(folder: Path) -> list[Figure]:
    """The median and the 99th percentile of each trial."""
    medians, tails = [], []
    async with bench(folder, {f"bench-{number}": system(number) for number in range(SYSTEMS)}) as running:
        await _arrivals(running, RATE)
        for _ in range(TRIALS):
            latencies = await _arrivals(running, RATE * SECONDS)
            medians.append(percentile(latencies, 50))
            tails.append(percentile(latencies, 99))
    return [figure("action_latency_p50", "ms", medians, "<= 15"), figure("action_latency_p99", "ms", tails, "<= 60")]


async def _arrivals(running: Bench, count: int) -> list[float]:
    """The latencies of so many runs, in milliseconds."""
    watch, clock = running.watch, running.journal.clock
    before, known, due = watch.reported, set(watch.submitted), list[datetime]()
    begun = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number / RATE - time.monotonic()))
        due.append(clock.at(begun + number / RATE))
        await running.publish(f"key-{number % SYSTEMS}", scenario(number % SYSTEMS, number))
    await watch.until(before + count)
    mine = sorted((at, run) for run, at in watch.submitted.items() if run not in known)
    return [(watch.driven[run] - meant).total_seconds() * 1000 for (_, run), meant in zip(mine, due, strict=True)]
