import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bus.errors import StateInUse, StateUnusable
from bus.state import Holder, StateFolder, default_folder, holder, last_holder, live_server
from deploy.embedded import embedded

HOLDER = """
import sys, time
from pathlib import Path
from bus.state import StateFolder
held = StateFolder.open(Path(sys.argv[1]))
held.announce("nats://127.0.0.1:1234")
print("held", flush=True)
sys.stdin.read()
"""


def test_nobody_serves_a_folder_that_does_not_exist_and_asking_does_not_make_it(tmp_path: Path) -> None:
    assert live_server(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_the_holder_says_where_its_server_is_until_it_closes(tmp_path: Path) -> None:
    with StateFolder.open(tmp_path / "a" / "b") as held:
        before = live_server(held.folder)
        held.announce("nats://127.0.0.1:4222")
        while_held = live_server(held.folder)
        note = json.loads((held.folder / "lock").read_text())

    assert before is None
    assert while_held == "nats://127.0.0.1:4222"
    assert (note["pid"], note["url"]) == (os.getpid(), "nats://127.0.0.1:4222")
    assert live_server(held.folder) is None


def test_a_second_holder_is_refused_with_pid_and_address_of_the_first(tmp_path: Path) -> None:
    with StateFolder.open(tmp_path) as held:
        held.announce("nats://127.0.0.1:4222")

        with pytest.raises(StateInUse) as refused:
            StateFolder.open(tmp_path)

    assert (refused.value.pid, refused.value.url) == (os.getpid(), "nats://127.0.0.1:4222")
    assert "--nats nats://127.0.0.1:4222" in str(refused.value)


def test_a_holder_without_address_yet_is_still_a_holder(tmp_path: Path) -> None:
    with StateFolder.open(tmp_path), pytest.raises(StateInUse, match="it is starting: try again"):
        StateFolder.open(tmp_path)


def test_the_folder_of_a_killed_process_is_simply_taken(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert live_server(tmp_path) == "nats://127.0.0.1:1234"
        holder.kill()

    with StateFolder.open(tmp_path):
        assert live_server(tmp_path) is None


def test_a_killed_holder_is_known_until_somebody_serves_from_its_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent) as killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        killed.kill()
    StateFolder.open(tmp_path).close()
    after_a_reader = last_holder(tmp_path)
    with StateFolder.open(tmp_path) as held:
        held.announce("nats://127.0.0.1:4222")

    assert after_a_reader == killed.pid
    assert last_holder(tmp_path) is None


def test_a_guard_says_that_it_is_one(tmp_path: Path) -> None:
    with StateFolder.open(tmp_path, guard=True):
        starting = holder(tmp_path)

    assert starting == Holder(os.getpid(), None, guard=True)
    assert holder(tmp_path) is None


def test_the_folder_says_its_layout_and_opens_again(tmp_path: Path) -> None:
    StateFolder.open(tmp_path).close()
    (tmp_path / "jetstream").mkdir()

    StateFolder.open(tmp_path).close()

    assert (tmp_path / "version").read_text() == "1\n"


@pytest.mark.parametrize(("version", "named"), [("2\n", "layout 2"), ("", "layout unknown"), (None, "layout 0")])
def test_state_of_another_layout_is_refused_and_not_touched(tmp_path: Path, version: str | None, named: str) -> None:
    (tmp_path / "jetstream").mkdir()
    if version is not None:
        (tmp_path / "version").write_text(version)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(StateUnusable) as refused:
        StateFolder.open(tmp_path)

    assert f"it holds state of {named}, and this version of test-coordinator reads layout 1 only" in str(refused.value)
    assert "choose another folder with --state, or use the version that wrote it" in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("file", ["nats-server.conf", "nats-server.err", "version.new"])
async def test_a_disk_that_is_full_at_the_start_is_named(tmp_path: Path, file: str) -> None:
    (tmp_path / file).symlink_to("/dev/full" if file != "nats-server.err" else "/proc/none/at/all")

    with pytest.raises(StateUnusable, match=r"(No space left on device|No such file).*--state"):
        async with embedded(tmp_path):
            pass


def test_a_holder_can_close_and_open_again(tmp_path: Path) -> None:
    StateFolder.open(tmp_path).close()

    StateFolder.open(tmp_path).close()


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StateUnusable, match="File exists"):
        StateFolder.open(tmp_path / "file")
    with pytest.raises(StateUnusable, match="Not a directory"):
        StateFolder.open(tmp_path / "file" / "below")


def test_a_place_that_cannot_be_written_is_named() -> None:
    with pytest.raises(StateUnusable, match="--state"):
        StateFolder.open(Path("/proc/test-coordinator"))


def test_a_full_disk_is_named_and_the_lock_given_back(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("/dev/full")

    with pytest.raises(StateUnusable, match="No space left on device"):
        StateFolder.open(tmp_path)
    with pytest.raises(StateUnusable, match="No space left on device"):
        StateFolder.open(tmp_path)


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_STATE_HOME": "/x/state", "HOME": "/home/me"}, "/x/state/test-coordinator/ns"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/test-coordinator/ns"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.local/state/test-coordinator/ns"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/me"}, "/home/me/.local/state/test-coordinator/ns"),
    ],
)
def test_the_default_folder_follows_xdg(environ: dict[str, str], folder: str) -> None:
    assert default_folder("ns", environ) == Path(folder)
