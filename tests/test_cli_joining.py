"""Commands that find a coordinator which is only starting, or a bus that is silent for a while: they wait, and say so."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bus.errors import NoAnswer
from bus.patience import asked_again
from bus.server import Server
from bus.state import holder
from bus.topology import ensure_topology
from cli.access import bus_at
from cli.following import find_run
from deploy.settings import read_settings
from messages.run_events import RunAccepted
from tests.ports import free_port
from tests.test_cli_runs import Place
from tests.test_levers import SCENARIO, SYSTEM


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path, free_port())
    place.environment |= {"HTTP_PORT": "0", "GRPC_PORT": "0"}
    (tmp_path / "systems").mkdir()
    place.write(system=False)
    (tmp_path / "system.yaml").rename(tmp_path / "systems" / "system.yaml")
    return place


@pytest.fixture
def starting(place: Place) -> Iterator[subprocess.Popen[str]]:
    """A coordinator that has its folder, and does not get on."""
    with place.start("serve", "--systems", "systems", "--state", "here") as serving:
        while holder(place.folder / "here") is None:
            assert serving.poll() is None
            time.sleep(0.001)
        serving.send_signal(signal.SIGSTOP)
        try:
            yield serving
        finally:
            serving.send_signal(signal.SIGCONT)
            serving.terminate()
            serving.communicate(timeout=30)


def read_until(terminal: int, part: str) -> str:
    """What was said on a terminal until this was; all of it when it is closed."""
    said = ""
    while part not in said:
        try:
            said += os.read(terminal, 4096).decode()
        except OSError:
            break
    return said


@pytest.mark.long
def test_a_coordinator_that_is_only_starting_is_waited_for_and_that_is_said(place: Place, starting: subprocess.Popen[str]) -> None:
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "cli.main", "submit", "tiny.yaml", "--state", "here"]
    with subprocess.Popen(line, env=place.environment, cwd=place.folder, stdout=theirs, stderr=theirs) as submitting:
        os.close(theirs)
        said = read_until(ours, "to be at work")
        starting.send_signal(signal.SIGCONT)
        told = read_until(ours, "the end")
        code = submitting.wait(timeout=50)
    os.close(ours)

    assert "waiting for a coordinator on here to be at work" in said
    assert (code, len(told.strip())) == (0, 26), told


def test_where_nobody_is_starting_nothing_is_waited_for(place: Place) -> None:
    code, _, err = place.call("submit", "tiny.yaml", "--state", "nowhere")

    assert code == 6
    assert err.startswith("no coordinator runs on ")


async def test_a_look_up_that_is_not_answered_is_asked_again_until_its_bound() -> None:
    answers = iter((NoAnswer("look"), TimeoutError()))

    async def ask() -> str:
        if (error := next(answers, None)) is not None:
            raise error
        return "found"

    async def never() -> str:
        raise NoAnswer("look")

    assert await asked_again(ask, "look", 10) == "found"
    with pytest.raises(NoAnswer, match="look for ever"):
        await asked_again(never, "look for ever", 0)


@pytest.mark.long
async def test_runs_are_found_by_a_bus_that_was_silent_for_longer_than_a_request_waits(server: Server) -> None:
    async with bus_at(server.url, read_settings(nats_url=server.url), ensure=True) as bus:
        await ensure_topology(bus.connection.js, bus.namespace)
        accepted = RunAccepted(key="k", scenario=SCENARIO, system=SYSTEM, submitted=bus.journal.clock.now())
        await bus.journal.write(3, "r1", "scheduler", accepted, None, None)

        os.kill(server.pid, signal.SIGSTOP)
        try:
            with capture_logs() as logs:
                async with asyncio.TaskGroup() as tasks:
                    finding = tasks.create_task(find_run(bus, "last"))
                    while not any(entry["event"] == "lookup.again" for entry in logs):
                        assert not finding.done()
                        await asyncio.sleep(0.01)
                    os.kill(server.pid, signal.SIGCONT)
        finally:
            os.kill(server.pid, signal.SIGCONT)

    assert finding.result() == "r1"
