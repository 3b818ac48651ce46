import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bus.errors import StateInUse, StateUnusable
from bus.state import StateFolder, default_folder, live_server

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
