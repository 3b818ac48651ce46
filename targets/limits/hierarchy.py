"""Where a process is in the tree of control groups, and where a group of ours can be made, cgroups(7)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from messages.actions.limits import Controller
from targets.identity import read_proc
from targets.limits.errors import NoControlGroup

PREFIX = "chaos."
"""With which the names of groups of ours begin."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a group for a process can be made."""

    version: Literal[1, 2]
    home: Path
    """The group in which the process is."""
    parent: Path
    """The group below which ours is made."""

    def at_most(self, quota: int, period: int) -> int:
        """The quota, or what the process's own group has, if that is less: ours stands beside it. Version 2."""
        file = self.home / "cpu.max"
        words = file.read_text("ascii").split() if file.exists() else ["max"]
        return quota if words[0] == "max" else min(quota, int(words[0]) * period // int(words[1]))


def place_of(controller: Controller, pid: int) -> Place:
    """Where a group can be made for the process.

    Version 1: below its own, whose limits still hold. Version 2 has no processes in inner groups, so beside its own.

    Raises:
        NoControlGroup: nowhere.
    """
    home = home_of(controller, pid)
    if home is None:
        raise NoControlGroup(f"needs control groups with {controller}: mount them, or give the container its own (cgroupns)")
    version: Literal[1, 2] = 2 if (home / "cgroup.controllers").exists() else 1
    parent = home if version == 1 or not (home.parent / "cgroup.procs").exists() else home.parent
    if version == 2 and controller not in (parent / "cgroup.subtree_control").read_text("ascii").split():
        raise NoControlGroup(
            f"needs {controller} in {parent}/cgroup.subtree_control: write +{controller} there, or delegate it (systemd: Delegate)"
        )
    if not os.access(parent, os.W_OK):
        raise NoControlGroup(f"needs a writable control group ({controller}): run as root, or have {parent} delegated")
    return Place(version=version, home=home, parent=parent)


def home_of(controller: Controller, pid: int) -> Path | None:
    """The folder of the group in which the process is; None if it is gone, or that group is not mounted here."""
    try:
        lines = [line.split(":", 2) for line in read_proc(pid, "cgroup").decode().splitlines()]
    except OSError:
        return None
    first = next((path for _, controllers, path in lines if controller in controllers.split(",")), None)
    second = next((path for number, _, path in lines if number == "0"), None)
    if first is not None:
        return _mounted("cgroup", controller, first)
    return None if second is None else _mounted("cgroup2", None, second)


def left_groups() -> Iterator[tuple[str, str, Path]]:
    """Run, fault and folder of each group of ours that is there: what an injector that starts may find left."""
    for point in _points():
        for folder, names, _ in os.walk(point):
            for name in names:
                parts = name.removeprefix(PREFIX).split(".")
                if name.startswith(PREFIX) and len(parts) == 2:
                    yield parts[0], parts[1], Path(folder) / name


def _points() -> list[str]:
    """Where control groups are mounted that can limit something."""
    lines = (line.partition(" - ") for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines())
    found = [(left.split()[4], right.split()) for left, _, right in lines]
    return [point for point, (kind, _, options) in found if kind == "cgroup2" or (kind == "cgroup" and _limits(options))]


def _limits(options: str) -> bool:
    return not {"cpu", "memory"}.isdisjoint(options.split(","))


def _mounted(kind: str, controller: str | None, path: str) -> Path | None:
    """The folder of a group, by the mounts of this process (proc(5), mountinfo)."""
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        left, _, right = line.partition(" - ")
        fields, (found, _, options) = left.split(), right.split()[:3]
        if found != kind or (controller is not None and controller not in options.split(",")):
            continue
        root, point = fields[3], Path(fields[4])
        inner = path if root == "/" else path.removeprefix(root)
        folder = point / inner.strip("/")
        if ".." not in folder.parts and folder.is_dir():
            return folder
    return None
