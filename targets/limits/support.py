"""Whether limits work on this machine: tried once on a process of our own, which is then ended."""

import resource as rlimits
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal

from messages.actions.limits import Controller, LimitCpu, LimitMemory
from messages.actions.spec import Parameters
from targets.errors import TargetError
from targets.limits.groups import create, settings_of
from targets.limits.hierarchy import place_of

Need = Literal["resource", "cpu", "memory"]
"""Limits of single processes, or a control group with this controller."""
NEEDS: dict[str, Need] = {"limit_cpu": "cpu", "limit_memory": "resource", "limit_fds": "resource", "limit_file_size": "resource"}
"""What each action needs by its defaults."""
_LEAST: dict[Controller, float] = {"cpu": 1.0, "memory": float(2**24)}


def need_of(parameters: Parameters) -> Need:
    """What an action with these parameters needs."""
    if isinstance(parameters, LimitCpu):
        return "cpu"
    return "memory" if isinstance(parameters, LimitMemory) and parameters.how == "kill" else "resource"


@cache
def supported(need: Need) -> str | None:
    """Why that does not work here and what helps; None if it does. Takes some milliseconds, once in a process."""
    try:
        with _child() as pid:
            if need == "resource":
                _try_limit(pid)
            else:
                _try_group(need, pid)
    except TargetError as error:
        return str(error)
    except OSError as error:
        where = "prlimit(2) on child processes" if need == "resource" else f"a writable control group ({need})"
        return f"needs {where}: {(error.strerror or str(error)).lower()}; run as root, or allow it in the container's settings"
    return None


def _try_limit(pid: int) -> None:
    soft, hard = rlimits.prlimit(pid, rlimits.RLIMIT_NOFILE)
    rlimits.prlimit(pid, rlimits.RLIMIT_NOFILE, (soft - 1, hard))
    rlimits.prlimit(pid, rlimits.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def _child() -> Iterator[int]:
    with subprocess.Popen(["sleep", "10"], stdin=subprocess.DEVNULL) as child:  # noqa: S607 - the system's own
        try:
            yield child.pid
        finally:
            child.kill()


def _try_group(controller: Controller, pid: int) -> None:
    place = place_of(controller, pid)
    folder = place.parent / f"chaos.probe.{pid}"
    try:
        create(folder, settings_of(controller, place, _LEAST[controller]))
        (folder / "cgroup.procs").write_text(str(pid), "ascii")
        (place.home / "cgroup.procs").write_text(str(pid), "ascii")
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    for _ in range(50):
        with suppress(OSError):
            folder.rmdir()
        if not folder.exists():
            return
        time.sleep(0.005)
