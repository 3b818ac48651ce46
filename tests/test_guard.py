"""A coordinator with its own bus that is killed: its guard ends what it left open."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bus.clock import ServerClock
from bus.connection import connect
from bus.journal import Journal
from bus.server import Server
from bus.state import holder
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from deploy.left_open import reject_left
from messages.control import Rejected
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
DISTURBING = """
kind: Scenario
metadata: {name: cut}
spec:
  system: small
  timeout: 2m
  phases:
    - name: chaos
      duration: 60s
      actions:
        - {id: down, target: web, action: stop, for: 50s}
        - {id: slow, target: {link: way}, action: latency, parameters: {delay: 100ms}, for: 50s}
---"""
QUIET = """
kind: Scenario
metadata: {name: quiet}
spec:
  system: small
  phases: [{name: all, duration: 200ms, assertions: [{type: health, target: web, throughout: true}]}]
---"""
SYSTEM = """
kind: System
metadata: {{name: small}}
spec:
  services:
    web:
      driver: {{process: {{command: {command}, env: {{PORT: "{one}"}}}}}}
      health: {{tcp: {{address: "127.0.0.1:{one}"}}, every: 50ms}}
    app:
      driver: {{process: {{command: {command}, env: {{PORT: "{two}"}}}}}}
      health: {{tcp: {{address: "127.0.0.1:{two}"}}, every: 50ms}}
  links: {{way: {{from: app, to: web, port: {one}, env: PEER}}}}
  steady_state: {{settle: 5s, recover: 5s, stable: 100ms}}
"""


class Place:
    """A folder with scenarios, a state folder of its own, and the command line."""

    def __init__(self, folder: Path, one: int, two: int) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.tag = f"TESTED=guarded-{one}-{os.getpid()}"
        name, _, value = self.tag.partition("=")
        self.environment = {"PYTHONPATH": str(ROOT), "HOME": str(folder), "PATH": os.environ["PATH"], "NO_COLOR": "1", name: value}
        command = json.dumps(["python", str(ROOT / "tests" / "end_to_end" / "service.py")])
        system = SYSTEM.format(command=command, one=one, two=two)
        (folder / "cut.yaml").write_text(f"{DISTURBING}{system}")
        (folder / "quiet.yaml").write_text(f"{QUIET}{system}")

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        line = [sys.executable, "-m", "cli.main", *arguments, "--state", str(self.state)]
        pipe = subprocess.PIPE
        return subprocess.Popen(line, env=self.environment, cwd=self.folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    def call(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=55)
        return process.returncode, out, err

    def left(self) -> dict[int, str]:
        """Every process that comes from a command line of this place, with its command: all have its environment."""
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and self.tag.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if command:
                        found[int(entry.name)] = command
        return found

    def guards(self) -> list[int]:
        return [pid for pid, command in self.left().items() if "guard_waiting" in command or "guard_process" in command]

    def syncs_always(self) -> bool:
        """Whether the last server on the folder was started so."""
        return "sync_interval: always" in (self.state / "nats-server.conf").read_text()

    def servers(self) -> list[int]:
        return [pid for pid, command in self.left().items() if f"{self.state / 'nats-server.conf'} " in command]

    def until_nothing_is_left(self, limit: float) -> None:
        until(lambda: not self.left(), limit, lambda: f"{self.left()}\n{self.log()}")

    def runs(self) -> list[tuple[str, str | None]]:
        """The newest first."""
        return [(run["scenario"], run["verdict"]) for run in json.loads(self.call("list", "--json")[1])]

    def log(self) -> str:
        file = self.state / "guard.log"
        return file.read_text() if file.exists() else "no guard.log"


def until(fact: Callable[[], object], limit: float, why: Callable[[], object]) -> None:
    end = time.monotonic() + limit
    while not fact():
        assert time.monotonic() < end, why()
        time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path, unused_port: Callable[[], int]) -> Iterator[Place]:
    made = Place(tmp_path, unused_port(), unused_port())
    yield made
    for pid in made.left():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def until_disturbed(process: "subprocess.Popen[str]") -> None:
    """Wait until both faults act."""
    assert process.stdout is not None
    assert process.stderr is not None
    effective = 0
    for line in process.stdout:
        effective += ": effective" in line
        if effective == 2:
            return
    raise AssertionError(process.stderr.read())


@pytest.mark.long
def test_what_a_killed_run_left_is_undone_stopped_and_reported_and_the_next_start_tells_it_once(place: Place) -> None:
    with place.start("run", "cut.yaml") as process:
        until_disturbed(process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=3)  # a CI step waits until nobody holds its output
        place.until_nothing_is_left(20)

    code, report, _ = place.call("report", "last")
    next_code, _, told = place.call("run", "quiet.yaml")
    _, _, silent = place.call("run", "quiet.yaml")

    found, run = json.loads(report), json.loads(place.call("list", "--json")[1])[-1]["run_id"]
    assert code == 0
    assert found["verdict"]["message"] == f"ended by guard: its process {process.pid} was killed"
    assert [fault["reverted"] is not None for fault in found["faults"]] == [True, True]
    assert f"(pid {process.pid}) was killed; its guard ended run {run}: aborted, 2 faults undone, 2 services stopped" in told
    assert f"test-coordinator report {run}" in told
    assert (next_code, "was killed" in silent) == (0, False)
    assert place.runs() == [("quiet", "passed"), ("quiet", "passed"), ("cut", "aborted")]


@pytest.mark.long
def test_a_run_that_starts_while_the_guard_works_waits_for_it(place: Place) -> None:
    with place.start("run", "cut.yaml") as process:
        until_disturbed(process)
        process.kill()
        until(lambda: (found := holder(place.state)) is not None and found.guard, 10, place.log)
        guard = holder(place.state)
        assert guard is not None
        assert guard.pid is not None
        os.kill(guard.pid, signal.SIGSTOP)  # it is at work until the next one has seen that
        with place.start("run", "quiet.yaml") as following:
            assert following.stderr is not None
            told = next((line for line in following.stderr if "waiting for its guard" in line), "")
            os.kill(guard.pid, signal.SIGCONT)
            out, rest = following.communicate(timeout=55)
            code, told = following.returncode, told + rest

    assert "waiting for its guard" in told
    assert "its guard ended run" in told
    assert (code, "waiting: " in out) == (0, False)
    assert place.runs() == [("quiet", "passed"), ("cut", "aborted")]


@pytest.mark.long
def test_a_guard_whose_server_is_silent_for_longer_than_a_request_waits_asks_again(place: Place) -> None:
    with place.start("run", "cut.yaml") as process:
        until_disturbed(process)
        process.kill()
        until(lambda: (found := holder(place.state)) is not None and found.guard and found.url, 10, place.log)
        (server,) = place.servers()
        os.kill(server, signal.SIGSTOP)
        until(lambda: any(again in place.log() for again in ("lookup.again", "journal.retry")), 20, place.log)  # wherever it was by then
        os.kill(server, signal.SIGCONT)
        process.communicate(timeout=5)
        place.until_nothing_is_left(30)

    assert place.runs() == [("cut", "aborted")]


@pytest.mark.long
def test_a_guard_waits_for_a_state_folder_that_cannot_be_used(place: Place) -> None:
    with place.start("run", "cut.yaml") as process:
        until_disturbed(process)
        (place.state / "nats-server.conf").unlink()
        (place.state / "nats-server.conf").mkdir()
        process.kill()
        until(lambda: "cannot hold state" in place.log() and "guard.waits" in place.log(), 10, place.log)
        (place.state / "nats-server.conf").rmdir()
        process.communicate(timeout=5)
        place.until_nothing_is_left(20)

    assert place.runs() == [("cut", "aborted")]


@pytest.mark.long
def test_without_a_guard_the_next_run_aborts_what_is_open_and_a_coordinator_goes_on_with_it(place: Place) -> None:
    with place.start("run", "cut.yaml") as process:
        until_disturbed(process)
        for pid in (*place.guards(), process.pid):
            os.kill(pid, signal.SIGKILL)
    with place.start("serve") as serving:
        assert serving.stderr is not None
        taken_up = next(line for line in serving.stderr if "left run" in line)
        next(line for line in serving.stderr if "at work" in line)
        open_ = place.runs()
        for pid in (*place.guards(), serving.pid):
            os.kill(pid, signal.SIGKILL)
    code, _, told = place.call("run", "quiet.yaml")

    assert f"(pid {process.pid}) was killed and left run" in taken_up
    assert "it goes on here" in taken_up
    assert open_ == [("cut", None)]
    assert f"(pid {serving.pid}) was killed and left run" in told
    assert "it is aborted and undone now" in told
    assert code == 0
    assert place.runs() == [("quiet", "passed"), ("cut", "aborted")]
    assert not place.left()


@pytest.mark.long
def test_who_leaves_at_once_leaves_the_rest_to_the_guard(place: Place) -> None:
    with place.start("run", "cut.yaml") as process:
        until_disturbed(process)
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=10)
        place.until_nothing_is_left(20)

    assert process.returncode == 4
    assert "left at once" in err
    assert "a guard aborts it now" in err
    assert place.runs() == [("cut", "aborted")]


@pytest.mark.long
def test_only_the_process_itself_holds_its_guard_back_and_an_interrupted_run_takes_it_along(place: Place) -> None:
    with place.start("run", "cut.yaml") as process:
        until_disturbed(process)
        (guard,) = place.guards()
        pipe = next(target for target in files(guard) if target.startswith("pipe:"))
        holding = {pid for pid in place.left() if pipe in files(pid)}
        inherited = [target for target in files(guard) if not target.startswith(("/dev/null", "anon_inode:", pipe, str(place.state)))]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        left = place.left()

    assert holding == {process.pid, guard}
    assert not inherited
    assert not left
    assert place.log() == ""


@pytest.mark.parametrize(("goodbye", "became"), [(b"\n", rb""), (b"", rb"it died [0-9]+\.[0-9]+\n")])
def test_a_guard_learns_of_its_process_though_somebody_else_holds_the_pipe(goodbye: bytes, became: bytes) -> None:
    """The parent starts the guard, says goodbye or not, and dies; this process holds the other end of the pipe as well."""
    reading, writing = os.pipe()
    waiting = ["-I", "-S", str(ROOT / "deploy" / "guard_waiting.py"), str(reading)]
    parent = f"""
import os, subprocess, sys
command = [sys.executable, *{waiting}, str(os.getpid()), "/bin/echo", "it died"]
print(subprocess.Popen(command, pass_fds=({reading},)).pid, flush=True)
sys.stdin.read()
os.write({writing}, {goodbye!r})
os._exit(9)
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", parent], stdin=pipe, stdout=pipe, pass_fds=(reading, writing)) as process:
        os.close(reading)
        assert process.stdout is not None
        guard = int(process.stdout.readline())
        until(lambda: "anon_inode:[pidfd]" in files(guard), 5, lambda: files(guard))
        out, _ = process.communicate(timeout=10)
    os.close(writing)

    assert re.fullmatch(became, out)


async def test_a_scenario_that_never_became_a_run_is_rejected_not_started(server: Server, tmp_path: Path) -> None:
    place, names = Place(tmp_path, free_port(), free_port()), Names("test-coordinator")
    async with connect(server.url, name="test") as connection:
        await ensure_topology(connection.js, names.namespace)
        journal = Journal(connection, Subjects(names.namespace), names.runs, ServerClock())
        for key in ("small", "other", "gone"):
            headers = {"Scenario-File": f"{key}.yaml"}
            await connection.js.publish(journal.subjects.scenario(key), (place.folder / "cut.yaml").read_bytes(), headers=headers)
        await connection.js.delete_msg(names.scenarios, 2)

        rejected = await reject_left(connection, journal)

        told = await connection.js.get_last_msg(names.rejected, journal.subjects.rejected("gone"))
        waiting = (await connection.js.stream_info(names.scenarios)).state.messages

    assert rejected == ["small.yaml", "gone.yaml"]
    assert waiting == 0
    assert str(Rejected.model_validate_json(told.data or b"").findings[0]) == (
        "gone.yaml:1:1: its coordinator died before it became a run; submit it again"
    )


def files(pid: int) -> list[str]:
    """What a process has open."""
    return [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
