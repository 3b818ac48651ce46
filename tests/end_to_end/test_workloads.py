"""Workloads as processes: when they start and stop, what is said when one dies, and who watches when the injector is another one."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bus.server import Server
from deploy.host import ACTORS, Host, Plan, host
from deploy.settings import read_settings
from messages.fault_events import ServiceStarted, ServiceStopped, WorkloadDied, WorkloadStarted, WorkloadStopped
from messages.observations import OperationsSeen
from messages.run_events import PhaseStarted
from messages.verdicts import Reason, Verdict
from targets.find import tagged_processes
from targets.identity import is_alive

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long
SAYS = 'import time\nwhile True:\n  print(\'{"outcome": "ok", "took": 0.01}\')\n  time.sleep(0.02)\n'
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SAYS
DIES = "import os, sys\nprint('the password is', os.environ['PASSWORD'], file=sys.stderr)\nsys.exit(3)\n"


def program(arena: "Arena", text: str) -> str:
    path = arena.folder / "program.py"
    path.write_text(text)
    return f"[python, {path}]"


def document(arena: "Arena", command: str, **words: str) -> str:
    """A calm phase, with a workload of this command."""
    told = "".join(f", {key}: {value}" for key, value in words.items())
    phases = "[{name: calm, duration: 500ms, assertions: [{id: up, type: health, target: one}]}]"
    return arena.document(phases).replace("spec:\n  events", f"spec:\n  workloads: {{buyers: {{command: {command}{told}}}}}\n  events")


def died(ended: "Ended") -> list[WorkloadDied]:
    return [line.event for line in ended.events(WorkloadDied) if isinstance(line.event, WorkloadDied)]


async def test_a_workload_runs_between_the_services_start_and_their_stop(arena: "Arena") -> None:
    ended = await arena.run(document(arena, program(arena, SAYS)))

    order = [line.event.type_name() for line in ended.lines if line.entity in {"one", "buyers", "services"}]
    known = [name for name in order if name.startswith(("service.st", "workload", "action"))]
    assert known == ["service.started", "workload.started", "action.done", "workload.stopped", "service.stopped"]
    assert ended.verdict is Verdict.PASSED
    assert ended.events(OperationsSeen) != []
    assert tagged_processes(ended.state.id) == ()


async def test_a_workload_that_will_not_stop_is_killed_after_its_grace(arena: "Arena") -> None:
    ended = await arena.run(document(arena, program(arena, STUBBORN), stop_grace="200ms"))

    assert [line.event.killed for line in ended.events(WorkloadStopped) if isinstance(line.event, WorkloadStopped)] == [True]
    assert ended.verdict is Verdict.PASSED


async def test_the_last_words_of_a_workload_that_died_are_told_without_its_secrets(
    server: Server, tmp_path: Path, arena_of: "object", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUYERS_PASSWORD", "open-sesame")
    async with working(server, tmp_path, *ACTORS) as running:
        assert callable(arena_of)
        fresh: Arena = arena_of(server, running, tmp_path)
        ended = await fresh.run(document(fresh, program(fresh, DIES), env="{PASSWORD: {secret: BUYERS_PASSWORD}}"))

    (found,) = died(ended)
    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.WORKLOAD_DIED)
    assert (found.code, found.message) == (3, "the password is ***")
    assert ended.state.finished is not None
    assert "ended by itself with code 3" in ended.state.finished.message


async def test_a_missing_secret_and_a_missing_program_keep_the_run_from_starting(arena: "Arena") -> None:
    secret = await arena.run(document(arena, "[sleep, '60']", env="{PASSWORD: {secret: NOBODY_HAS_IT}}"))
    absent = await arena.run(document(arena, "[/nowhere/buyers]"))

    assert (secret.verdict, secret.reason) == (Verdict.INCONCLUSIVE, Reason.PRECONDITION)
    assert (absent.verdict, absent.reason) == (Verdict.INCONCLUSIVE, Reason.PRECONDITION)
    assert secret.events(ServiceStarted) == []
    assert "buyers could not be started" in (absent.state.finished.message if absent.state.finished else "")
    assert absent.events(ServiceStopped) != []


@asynccontextmanager
async def working(server: Server, folder: Path, *actors: str) -> AsyncIterator[Host]:
    plan = Plan(actors=actors, allow_systems=True, logs=folder)
    async with host(read_settings(log_level="WARNING"), server.url, plan) as running:
        await running.ready()
        yield running


async def test_a_workload_outlives_its_injector_and_the_next_one_sees_it_die(server: Server, tmp_path: Path, arena_of: "object") -> None:
    assert callable(arena_of)
    async with working(server, tmp_path, *(name for name in ACTORS if name != "chaos-injector")) as running:
        arena: Arena = arena_of(server, running, tmp_path)
        async with working(server, tmp_path, "chaos-injector"):
            run = await arena.submit(document(arena, program(arena, SAYS)).replace("duration: 500ms", "duration: 4s"))
            started = (await arena.wait_for(run, WorkloadStarted)).event
            await arena.wait_for(run, PhaseStarted, "calm")
        assert isinstance(started, WorkloadStarted)
        alive = is_alive(started.identity)
        async with working(server, tmp_path, "chaos-injector"):
            os.kill(started.identity.pid, signal.SIGKILL)
            ended = await arena.ended(run)

    assert alive
    assert len(ended.events(WorkloadStarted)) == 1
    assert len(died(ended)) == 1
    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.WORKLOAD_DIED)
