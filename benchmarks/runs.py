"""Whole runs: each starts a process, pauses it, undoes that, judges a claim, stops the process and publishes its report."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.measure import Figure, figure, percentile
from bus.journal import Line
from bus.server import embedded_server
from deploy.host import Host, Plan, host
from deploy.logs import configure_logs
from deploy.settings import read_settings
from messages.fault_events import FaultArmed
from messages.judgements import ReportPublished
from messages.run_events import RunAccepted
from messages.system import System

TRIALS = 3
RUNS = 200
SYSTEMS = 40
"""One run at a time per system, so as many run at once."""
RATE = 30
SECONDS = 8


def system(number: int) -> System:
    """A system of one process that does nothing."""
    return System.model_validate_json(f"""{{"metadata": {{"name": "bench-{number}"}}, "spec": {{"services": {{
        "idle": {{"driver": {{"process": {{"command": ["sleep", "1000"]}}}}}}}}}}}}""")


def scenario(number: int) -> bytes:
    """A pause of 10 ms, and a claim that nothing can settle."""
    return f"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: bench}}
spec:
  system: bench-{number}
  phases:
    - name: chaos
      actions: [{{id: pause, target: idle, action: pause, for: 10ms}}]
      assertions: [{{id: none, type: event, where: "event.type == 'never'", never: true}}]
""".encode()


class Watch:
    """Counts what comes over the journal."""

    def __init__(self) -> None:
        self.reported = 0
        self.latencies: list[float] = []
        self._accepted: dict[str, RunAccepted] = {}
        self._news = asyncio.Event()

    def see(self, line: Line) -> None:
        """Take in a line."""
        if isinstance(line.event, RunAccepted):
            self._accepted[line.run] = line.event
        elif isinstance(line.event, FaultArmed) and line.run in self._accepted:
            self.latencies.append((line.at - self._accepted[line.run].submitted).total_seconds() * 1000)
        elif isinstance(line.event, ReportPublished):
            self.reported += 1
            self._news.set()

    async def until(self, count: int) -> None:
        """Wait for so many reports."""
        while self.reported < count:
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[tuple[Host, Watch]]:
    """One process with all actors, its server, and a watch on the journal."""
    settings = read_settings(log_level="ERROR")
    configure_logs("ERROR", "console")
    systems = {f"bench-{number}": system(number) for number in range(SYSTEMS)}
    async with embedded_server(folder / "nats") as server, host(settings, server.url, Plan(systems=systems, logs=folder)) as running:
        await running.ready()
        watch = Watch()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(running.journal.follow(0, watch.see, due=False).run())
            yield running, watch
            reader.cancel()


async def publish(running: Host, number: int) -> None:
    """One scenario, as any client would."""
    subject = running.journal.subjects.scenario(f"key-{number % SYSTEMS}")
    await running.connection.nc.publish(subject, scenario(number % SYSTEMS))


async def measure_throughput(folder: Path) -> list[Figure]:
    """Runs per second, from the first scenario published to the last report."""
    rates = []
    async with bench(folder) as (running, watch):
        for trial in range(1, TRIALS + 1):
            begun = time.perf_counter()
            for number in range(RUNS):
                await publish(running, number)
            await watch.until(RUNS * trial)
            rates.append(RUNS / (time.perf_counter() - begun))
    return [figure("runs_per_second", "1/s", rates)]


async def measure_latency(folder: Path) -> list[Figure]:
    """Scenario stored to fault armed, validation and start of the process included, at a fixed rate of arrivals."""
    medians, tails = [], []
    async with bench(folder) as (running, watch):
        for trial in range(1, TRIALS + 1):
            watch.latencies.clear()
            begun = time.perf_counter()
            for number in range(RATE * SECONDS):
                await asyncio.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
                await publish(running, number)
            await watch.until(RATE * SECONDS * trial)
            medians.append(percentile(watch.latencies, 50))
            tails.append(percentile(watch.latencies, 99))
    return [figure("scenario_to_armed_p50", "ms", medians), figure("scenario_to_armed_p99", "ms", tails)]
