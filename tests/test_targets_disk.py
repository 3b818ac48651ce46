import asyncio
import errno
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from messages.actions.volumes import DiskFull, FillerUndo
from targets.disk import DiskFaults, VolumeFailed, VolumeRefused, fillers, supported

SOON = timedelta(seconds=2)
SHORT = timedelta(milliseconds=50)
BLOCK = 4096
RUN = "01KDVDNA007YFP9SJ43F35HREB"
INJECTOR = """
import asyncio, sys
from messages.actions.volumes import FillerUndo
from targets.disk import DiskFaults
asyncio.run(DiskFaults().inject(FillerUndo.model_validate_json(sys.argv[1])))
print("injected", flush=True)
sys.stdin.read()
"""


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A small file system over the folder."""
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "chaos-test", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "volume"
    folder.mkdir()
    with mounted(folder, "1m"):
        yield folder


def write(folder: Path, size: int) -> int:
    """What came of writing a file: 0 or an errno."""
    path = folder / "data"
    try:
        path.write_bytes(b"x" * size)
    except OSError as error:
        return error.errno or -1
    finally:
        path.unlink(missing_ok=True)
    return 0


def injected_by_one_that_dies(undo: FillerUndo) -> None:
    argv = [sys.executable, "-c", INJECTOR, undo.model_dump_json()]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as injector:
        assert injector.stdout is not None
        assert injector.stdout.readline() == b"injected\n"
        injector.kill()


async def test_nothing_can_be_written_to_a_full_volume_until_the_undo(volume: Path) -> None:
    disk = DiskFaults()
    undo = await disk.undo_of(DiskFull(), str(volume), run=RUN, fault="full")
    assert write(volume, BLOCK) == 0
    assert await disk.effect(undo, SHORT) is None

    await disk.inject(undo)
    assert write(volume, BLOCK) == errno.ENOSPC
    assert (await disk.effect(undo, SOON) or "").startswith("0 bytes free")
    assert not await disk.normal(undo)

    await disk.undo(undo)
    assert write(volume, 512 * 1024) == 0
    assert await disk.normal(undo)


async def test_as_much_room_is_left_as_was_asked_for(volume: Path) -> None:
    disk = DiskFaults()
    undo = await disk.undo_of(DiskFull(leave=4 * BLOCK), str(volume), run=RUN, fault="full")

    await disk.inject(undo)
    assert write(volume, 4 * BLOCK) == 0
    assert write(volume, 6 * BLOCK) == errno.ENOSPC
    assert await disk.effect(undo, SOON) is not None
    await disk.undo(undo)
    assert write(volume, 6 * BLOCK) == 0


async def test_the_undo_works_after_its_injector_was_killed_and_as_often_as_one_likes(volume: Path) -> None:
    disk = DiskFaults()
    undo = await disk.undo_of(DiskFull(), str(volume), run=RUN, fault="full")
    await disk.undo(undo)
    injected_by_one_that_dies(undo)
    assert write(volume, BLOCK) == errno.ENOSPC
    assert list(fillers(str(volume))) == [(RUN, "full", undo.path)]

    again = FillerUndo.model_validate_json(undo.model_dump_json())
    await disk.undo(again)
    await disk.undo(again)
    assert write(volume, BLOCK) == 0
    assert list(fillers(str(volume))) == []


async def test_a_file_system_that_was_mounted_over_the_volume_since_is_not_filled(volume: Path) -> None:
    disk = DiskFaults()
    undo = await disk.undo_of(DiskFull(), str(volume), run=RUN, fault="full")
    with mounted(volume, "1m"):
        with pytest.raises(VolumeRefused, match="is not the file system any more that was to be filled"):
            await disk.inject(undo)
        assert list(volume.iterdir()) == []


async def test_files_of_others_stay(volume: Path) -> None:
    (volume / "theirs").write_bytes(b"x" * BLOCK)
    disk = DiskFaults()
    undo = await disk.undo_of(DiskFull(), str(volume), run=RUN, fault="full")
    await disk.inject(undo)
    await disk.undo(undo)

    assert [path.name for path in volume.iterdir()] == ["theirs"]
    assert (volume / "theirs").read_bytes() == b"x" * BLOCK


async def test_what_stands_in_the_fillers_place_is_neither_filled_nor_removed(volume: Path) -> None:
    disk = DiskFaults()
    undo = await disk.undo_of(DiskFull(), str(volume), run=RUN, fault="full")
    target = volume / "target"
    target.write_bytes(b"theirs")
    Path(undo.path).symlink_to(target)

    with pytest.raises(VolumeFailed):
        await disk.inject(undo)
    await disk.undo(undo)
    assert target.read_bytes() == b"theirs"
    assert Path(undo.path).is_symlink()


async def test_the_machines_own_and_protected_file_systems_are_never_filled(volume: Path) -> None:
    state = volume / "state"
    state.mkdir()

    with pytest.raises(VolumeRefused, match="same file system as /;"):
        await DiskFaults().undo_of(DiskFull(), "/", run=RUN, fault="full")
    with pytest.raises(VolumeRefused, match="state"):
        await DiskFaults(protected=[state]).undo_of(DiskFull(), str(volume), run=RUN, fault="full")


async def test_a_file_system_that_is_too_large_is_refused(volume: Path) -> None:
    with pytest.raises(VolumeRefused, match="leave more"):
        await DiskFaults(largest=BLOCK).undo_of(DiskFull(), str(volume), run=RUN, fault="full")


@pytest.mark.parametrize("where", ["missing", "file"])
async def test_only_a_folder_is_filled(volume: Path, where: str) -> None:
    (volume / "file").touch()

    with pytest.raises(VolumeRefused, match=r"no such file|not a directory"):
        await DiskFaults().undo_of(DiskFull(), str(volume / where), run=RUN, fault="full")


async def test_a_volume_that_was_unmounted_needs_no_undo(volume: Path) -> None:
    disk = DiskFaults()
    undo = await disk.undo_of(DiskFull(), str(volume), run=RUN, fault="full")
    await disk.undo(undo.model_copy(update={"path": str(volume / "gone" / Path(undo.path).name)}))

    assert write(volume, BLOCK) == 0


def test_volumes_can_be_filled_here() -> None:
    assert supported() is None


def test_a_filler_is_removed_beside_the_event_loop(volume: Path) -> None:
    script = """
import asyncio, sys, threading
from messages.actions.volumes import DiskFull
from targets.disk import DiskFaults
removed = []
sys.addaudithook(lambda event, _: removed.append(threading.current_thread()) if event == "os.remove" else None)
async def main():
    disk = DiskFaults()
    undo = await disk.undo_of(DiskFull(), sys.argv[1], run="01KDVDNA007YFP9SJ43F35HREB", fault="full")
    await disk.inject(undo)
    await disk.undo(undo)
    print(await disk.normal(undo), [thread is threading.main_thread() for thread in removed])
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script, str(volume)], capture_output=True, text=True, check=True)

    assert done.stdout == "True [False]\n"


async def test_a_filler_whose_injection_was_cancelled_is_undone_for_good(volume: Path) -> None:
    disk = DiskFaults()
    undo = await disk.undo_of(DiskFull(), str(volume), run=RUN, fault="full")

    async with asyncio.TaskGroup() as tasks:
        injecting = tasks.create_task(disk.inject(undo))
        await asyncio.sleep(0)
        injecting.cancel()
    await disk.undo(undo)

    assert await disk.normal(undo)
    assert list(fillers(str(volume))) == []
