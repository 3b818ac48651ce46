"""Runs every benchmark, prints a table and writes `benchmarks/latest.json`."""

import asyncio
import json
import os
import platform
import tempfile
from pathlib import Path

import uvloop

from benchmarks.measure import Figure
from benchmarks.runs import measure_latency, measure_throughput


def machine() -> dict[str, object]:
    """What the figures were made on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cores": os.cpu_count(), "memory_gib": round(pages / 2**30), "python": platform.python_version(), "system": platform.system()}


async def measure() -> list[Figure]:
    """Every figure, one benchmark after the other."""
    figures: list[Figure] = []
    for benchmark in (measure_throughput, measure_latency):
        with tempfile.TemporaryDirectory() as folder:
            figures += await benchmark(Path(folder))
    return figures


def main() -> None:
    """Measure, print, write."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure())
    told = machine()
    print(f"on {told['cores']} cores, {told['memory_gib']} GiB, Python {told['python']}\n")
    for figure in figures:
        print(figure.line())
    document = {"machine": told, "figures": [figure.as_json() for figure in figures]}
    target = Path(__file__).with_name("latest.json")
    target.write_text(json.dumps(document, indent=2) + "\n")
    print(f"\nwritten to {target.parent.name}/{target.name}")


if __name__ == "__main__":
    main()
