"""Runs every benchmark in a process of its own, prints a table and writes `benchmarks/latest.json`.

With a benchmark's name as argument, that one alone, as JSON lines.
"""

import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvloop

from benchmarks import peer
from benchmarks.correlating import measure_correlating
from benchmarks.instances import measure_instances
from benchmarks.judging import measure_judging
from benchmarks.latency import measure_latency, measure_real_runs
from benchmarks.linking import measure_proxy
from benchmarks.measure import Figure
from benchmarks.noop import measure_noop, measure_together
from benchmarks.observing import measure_observing
from benchmarks.reporting import measure_reporting
from benchmarks.takeover import measure_takeover
from benchmarks.undoing import measure_undoing

Benchmark = Callable[[Path], Awaitable[list[Figure]]]
LIMIT = 240
"""Seconds that one benchmark may take."""
BENCHMARKS: dict[str, Benchmark] = {
    "latency": measure_latency,
    "processes": measure_real_runs,
    "noop": measure_noop,
    "together": measure_together,
    "observing": measure_observing,
    "correlating": measure_correlating,
    "judging": measure_judging,
    "reporting": measure_reporting,
    "proxy": measure_proxy,
    "undoing": measure_undoing,
    "takeover": measure_takeover,
    "instances": measure_instances,
}


def machine() -> dict[str, object]:
    """What the figures were made on, and what else ran there."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30),
        "python": platform.python_version(),
        "system": platform.system(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def alone(name: str) -> None:
    """One benchmark, here."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for figure in runner.run(_measured(BENCHMARKS[name], Path(folder))):
            print(json.dumps(figure.as_json()))


async def _measured(measure: Benchmark, folder: Path) -> list[Figure]:
    return await measure(folder)


def figures() -> Iterator[Figure]:
    """The figures of all benchmarks, one process after the other, so that none inherits another's memory."""
    for name in BENCHMARKS:
        command = [sys.executable, "-m", "benchmarks", name]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            print(f"{name}: not done in {LIMIT} s, no figures", file=sys.stderr)
            continue
        if done.returncode != 0:
            print(f"{name}: ended with {done.returncode}, no figures", file=sys.stderr)
            continue
        yield from (Figure.read(json.loads(line)) for line in done.stdout.splitlines())


def row(figure: Figure) -> str:
    """A figure for people."""
    low, high = figure.spread
    spread = f"{low:.6g} to {high:.6g}"
    limit = "" if figure.limit is None else f"{figure.limit} {'' if figure.met else 'MISSED'}"
    beside = "" if figure.peer is None else f"{figure.peer} ({figure.ratio:g} times better here)"
    told = f"{figure.name:<27} {figure.value:>10.6g} {figure.unit:<6} {spread:<22} {limit:<15} {beside}".rstrip()
    return told if figure.note is None else f"{told}\n    {figure.note}"


def main() -> None:
    """Measure, print, write."""
    if len(sys.argv) > 1:
        alone(sys.argv[1])
        return
    told = machine()
    print(f"on {told['cores']} cores, {told['memory_gib']} GiB, Python {told['python']}, load {told['load_before']}\n", flush=True)
    found = []
    for figure in peer.beside(figures()):
        print(row(figure), flush=True)
        found.append(figure.as_json())
    target = Path(__file__).with_name("latest.json")
    target.write_text(json.dumps({"machine": told, "figures": found}, indent=2) + "\n")
    print(f"\nwritten to {target.parent.name}/{target.name}")


if __name__ == "__main__":
    main()
