"""Chaos Toolkit doing the same work on the same machine: it is installed into a cache of its own, and left out where that fails.

Its experiment is the least that it can do, as our no-op run is: one steady-state probe, one action and one rollback, each a Python
function that returns at once (the 200 that are there together pause for a second after the action). One process per run, as it has no other
way; it keeps no journal on disk and renders no report beside its `journal.json`.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.measure import Figure, figure

PACKAGE = "chaostoolkit"
RUNS, TOGETHER, HOLD = 16, 200, 1.0
LIMIT = 120.0
BESIDE = {
    "noop_runs_per_second": ("runs_per_second", False),
    "concurrent_200_seconds": ("together_seconds", True),
    "concurrent_200_rss": ("together_rss", True),
}
"""Our figures, the peer's, and whether less is better."""


def beside(figures: Iterable[Figure]) -> Iterator[Figure]:
    """The figures, with the peer's beside those that it has too."""
    peers: dict[str, Figure] | None = None
    who = ""
    for ours in figures:
        theirs, less = BESIDE.get(ours.name, ("", True))
        if theirs and peers is None:
            who, peers = _measured()
        yield ours.beside((peers or {}).get(theirs), who, less_is_better=less)


def _measured() -> tuple[str, dict[str, Figure]]:
    try:
        chaos = _installed()
        with tempfile.TemporaryDirectory() as folder:
            return _version(chaos), asyncio.run(_measure(chaos, Path(folder)))
    except (OSError, subprocess.SubprocessError, TimeoutError, ExceptionGroup) as error:
        print(f"no Chaos Toolkit beside ours: {type(error).__name__}: {error}", file=sys.stderr)
        return "", {}


def _installed() -> Path:
    """Its command, installed once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "test-coordinator-bench" / PACKAGE
    command = cache / "bin" / "chaos"
    if not command.exists():
        venv.create(cache, with_pip=True, clear=True)
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([cache / "bin" / "pip", "install", *quiet, PACKAGE], check=True, timeout=300)
    return command


def _version(chaos: Path) -> str:
    told = subprocess.run([chaos, "--version"], capture_output=True, text=True, check=True, timeout=60)
    return f"Chaos Toolkit {told.stdout.strip().rpartition(' ')[2]}"


async def _measure(chaos: Path, folder: Path) -> dict[str, Figure]:
    _write(folder / "quick.json", 0)
    _write(folder / "holds.json", HOLD)
    await _run(chaos, folder, "quick.json", 0)
    rates = [await _one_per_core(chaos, folder) for _ in range(3)]
    begun = time.perf_counter()
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(_run(chaos, folder, "holds.json", number)) for number in range(TOGETHER)]
    seconds = time.perf_counter() - begun
    memory = [run.result() for run in runs]
    return {
        "runs_per_second": figure("runs_per_second", "1/s", rates),
        "together_seconds": figure("together_seconds", "s", [seconds]),
        "together_rss": figure("together_rss", "MiB", [sum(memory)]),
    }


async def _one_per_core(chaos: Path, folder: Path) -> float:
    """Runs per second with as many processes as there are cores."""
    begun, turns = time.perf_counter(), asyncio.Semaphore(os.cpu_count() or 1)

    async def one(number: int) -> None:
        async with turns:
            await _run(chaos, folder, "quick.json", number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(RUNS):
            tasks.create_task(one(number))
    return RUNS / (time.perf_counter() - begun)


async def _run(chaos: Path, folder: Path, experiment: str, number: int) -> float:
    """One run to its end; the most memory that it held, in MiB."""
    own = folder / str(number)
    own.mkdir(exist_ok=True)
    arguments = ["--no-version-check", "--log-file", own / "log", "run", "--journal-path", own / "journal.json", folder / experiment]
    nothing = asyncio.subprocess.DEVNULL
    command = [sys.executable, "-c", _MEASURED, str(chaos), *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(*command, cwd=own, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    if code != 0:
        raise subprocess.CalledProcessError(process.returncode or 1, str(chaos))
    return int((own / "rss").read_text()) / 1024


_MEASURED = """
import os, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
open("rss", "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
os._exit(code)
"""


def _write(path: Path, hold: float) -> None:
    quick = {"type": "python", "module": "os", "func": "getpid"}
    there = {"type": "python", "module": "os.path", "func": "isdir", "arguments": {"s": "/"}}
    experiment = {
        "title": "noop",
        "description": "Disturbs nothing.",
        "steady-state-hypothesis": {"title": "true", "probes": [{"type": "probe", "name": "fine", "tolerance": True, "provider": there}]},
        "method": [{"type": "action", "name": "noop", "provider": quick, **({"pauses": {"after": hold}} if hold else {})}],
        "rollbacks": [{"type": "action", "name": "undo", "provider": quick}],
    }
    path.write_text(json.dumps(experiment))
