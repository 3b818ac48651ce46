"""A volume that is full: one file of ours takes the room. Never a file system that the machine or the coordinator itself lives on."""

import errno
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Self

from messages.actions.volumes import DiskFull, FillerUndo
from messages.values import format_size
from targets.errors import TargetError
from targets.polling import first
from targets.threads import to_the_end

PREFIX, SUFFIX = ".chaos.", ".filler"
LARGEST = 64 * 2**30
"""Bytes that a filler may have; to fill more takes too long, and too much from others."""
PIECE = 2**30
POLL = 0.02
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class VolumeRefused(TargetError):
    """The volume may not, or cannot, be filled; the text says why and what helps. Final for this volume."""


class VolumeOffLimits(VolumeRefused):
    """To fill the volume would fill what the machine, the coordinator or its bus lives on, or might."""

    @classmethod
    def beside(cls, path: str | Path, volume: str) -> Self:
        """For a volume that shares the file system of this path."""
        return cls(f"{volume} is on the same file system as {path}; mount one of its own there, such as a small tmpfs")


class VolumeFailed(TargetError):
    """Filling the volume, or freeing it, did not work; a retry may help."""

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(f"{path}: {(error.strerror or str(error)).lower()}")
        self.path = path


class DiskFaults:
    """Fills volumes and frees them. `protected` are folders whose file systems are never filled, such as that of the bus's state."""

    def __init__(self, *, protected: Iterable[Path] = (), largest: int = LARGEST) -> None:
        self._protected = (Path("/"), *protected)
        self._largest = largest

    async def undo_of(self, parameters: DiskFull, volume: str, *, run: str, fault: str) -> FillerUndo:
        """What will undo the fault, and what it is to do.

        Raises:
            VolumeRefused: it is no folder or is too large; VolumeOffLimits: it is protected.
        """
        before = self._checked(volume, parameters.leave)
        path = Path(volume) / f"{PREFIX}{run}.{fault}{SUFFIX}"
        return FillerUndo(
            run=run, fault=fault, volume=volume, path=str(path), leave=parameters.leave, before=before, device=_device(volume)
        )

    async def inject(self, undo: FillerUndo) -> None:
        """Make the filler as long as it takes, whether there is a part of it or not.

        Raises:
            VolumeRefused: the volume is not what it was.
            VolumeFailed: the file system does not let us.
        """
        if not self.is_there(undo):
            raise VolumeRefused(f"{undo.volume} is not the file system any more that was to be filled: another one was mounted there")
        self._checked(undo.volume, undo.leave)
        enough = threading.Event()
        try:
            await to_the_end(lambda: _make(undo, enough), hasten=enough.set)
        except OSError as error:
            raise VolumeFailed(undo.path, error) from error

    def is_in_place(self, undo: FillerUndo) -> bool:
        """Whether the filler is there and the volume is full."""
        return _is_filler(undo.path) and _full(undo) is not None

    def has_filler(self, undo: FillerUndo) -> bool:
        """Whether the filler is there, however much of the volume is free."""
        return _is_filler(undo.path)

    def is_there(self, undo: FillerUndo) -> bool:
        """Whether the file system that was filled is still where it was."""
        try:
            return undo.device in {None, _device(undo.volume)}
        except OSError:
            return False

    async def undo(self, undo: FillerUndo) -> None:
        """Remove the filler, if it is there.

        Raises:
            VolumeFailed: the file system does not let us.
        """
        try:
            # To give back many gigabytes takes a file system its time.
            await to_the_end(lambda: remove_filler(undo.path))
        except OSError as error:
            raise VolumeFailed(undo.path, error) from error

    async def effect(self, undo: FillerUndo, within: timedelta) -> str | None:
        """How little the file system says is free, which includes what the service frees or writes; None if that is more than was asked."""
        return await first(lambda: _full(undo), within, poll=POLL)

    async def normal(self, undo: FillerUndo) -> bool:
        """Whether the filler is gone and there is room again (as far as there was)."""
        return _freed(undo)

    def _checked(self, volume: str, leave: int) -> int:
        """The free bytes of a volume that may be filled."""
        try:
            device, (free, _) = _device(volume), _room(volume)
        except OSError as error:
            raise VolumeRefused(f"{volume} cannot be filled: {(error.strerror or str(error)).lower()}") from error
        for path in self._protected:
            with suppress(OSError):
                if _device(path) == device:
                    raise VolumeOffLimits.beside(path, volume)
        longest = min(self._largest, _memory_available() // 2) if _type(device) in IN_MEMORY else self._largest
        if free - leave > longest:
            too_much = f"{format_size(free)} are free in {volume}, and filling more than {format_size(longest)} would harm the machine"
            raise VolumeRefused(f"{too_much}; give it a smaller file system, or leave more")
        return free


def fillers(volume: str) -> Iterator[tuple[str, str, str]]:
    """Run, fault and path of each filler in the volume: what an injector that starts may find left."""
    with suppress(OSError):
        for name in sorted(os.listdir(volume)):  # noqa: PTH208 - only the names
            parts = name.removeprefix(PREFIX).removesuffix(SUFFIX).split(".")
            if name.startswith(PREFIX) and name.endswith(SUFFIX) and len(parts) == 2:
                yield parts[0], parts[1], str(Path(volume) / name)


def supported() -> str | None:
    """Why volumes cannot be filled here and what helps; None if they can."""
    return None if hasattr(os, "posix_fallocate") else "needs posix_fallocate(3): run on Linux"


def remove_filler(path: str) -> None:
    """Remove a filler, if it is there; what is no file stays.

    Raises:
        OSError: the file system does not let us.
    """
    if _is_filler(path):
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - like the others here


def _is_filler(path: str) -> bool:
    """Whether there is a file at this path, and nothing else."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _make(undo: FillerUndo, enough: threading.Event) -> None:
    # What an injector that died has begun is ours to complete; a link or anything else in its place is not.
    there = 0 if _is_filler(undo.path) else os.O_CREAT | os.O_EXCL
    fd = os.open(undo.path, os.O_WRONLY | there | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        _fill(fd, undo.volume, undo.leave, enough)
    finally:
        os.close(fd)


def _fill(fd: int, volume: str, leave: int, enough: threading.Event) -> None:
    """Lengthen the file until no more than `leave` is free, or somebody says `enough`.

    What is asked for and not there is halved, down to a block.
    """
    length, piece = os.fstat(fd).st_size, PIECE
    while not enough.is_set():
        free, block = _room(volume)
        size = min(piece, free - leave)
        if size <= 0:
            return
        try:
            os.posix_fallocate(fd, length, size)
            length += size
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            length = max(length, os.fstat(fd).st_size)
            piece = min(piece, size) // 2
            if piece < block:
                return


def _freed(undo: FillerUndo) -> bool:
    if os.path.lexists(undo.path):
        return False
    try:
        free, _ = _room(undo.volume)
    except OSError:
        return True  # there is no volume any more
    return free > undo.leave or undo.before <= undo.leave


def _full(undo: FillerUndo) -> str | None:
    try:
        free, block = _room(undo.volume)
    except OSError:
        return None
    return f"{free} bytes free in {undo.volume}" if free < undo.leave + block else None


def _device(path: str | Path) -> int:
    return Path(path).stat().st_dev


def _room(volume: str) -> tuple[int, int]:
    """Free bytes (for who is not root, where root has some of its own) and the size of a block."""
    found = os.statvfs(volume)
    if not Path(volume).is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), volume)
    return (found.f_bfree if os.geteuid() == 0 else found.f_bavail) * found.f_frsize, found.f_frsize


def _type(device: int) -> str:
    """The type of the file system by the mounts of this process (proc(5), mountinfo); empty if it has none of this number."""
    number = f"{os.major(device)}:{os.minor(device)}"
    lines = (line.partition(" - ") for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines())
    return next((right.split()[0] for left, _, right in lines if left.split()[2] == number), "")


def _memory_available() -> int:
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)
