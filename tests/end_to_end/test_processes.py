"""The coordinator as its users run it: as processes, with signals, exit codes and any NATS client."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.control import ControlClient
from bus.errors import NoAnswer
from bus.journal import Journal
from bus.server import Server
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from messages.control import RunSummary, SubmitRequest
from messages.ids import new_run_id

pytestmark = pytest.mark.long
NAMESPACE = "test-coordinator"
SERVICE = Path(__file__).with_name("service.py")
ACTORS = ("scheduler", "chaos-injector", "observer", "validator", "reporter")


def system(port: int) -> str:
    return f"""
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: small}}
spec:
  events: ["small.>"]
  services:
    one:
      driver: {{process: {{command: [python, {SERVICE}], env: {{PORT: "{port}", EVENTS: small}}}}}}
      health: {{http: {{url: "http://127.0.0.1:{port}/health"}}, every: 50ms, deadline: 1500ms}}
  steady_state: {{stable: 200ms}}
"""


SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: restart}
spec:
  system: small
  phases:
    - name: chaos
      duration: 2s
      actions: [{id: restart, target: one, action: restart}]
      assertions: [{id: ticks, type: event, where: "event.type == 'tick'", at_least: 5}]
  assertions: [{id: back, type: recovery, target: one, within: 5s}]
"""


@asynccontextmanager
async def command(*arguments: str, folder: Path, env: dict[str, str] | None = None) -> AsyncIterator[Process]:
    """The command line as a process, which is ended by its pid if it still runs."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "HTTP_PORT": "0", **(env or {})}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", *arguments, cwd=folder, env=environment, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def systems(tmp_path: Path, unused_port: "object") -> Path:
    folder = tmp_path / "systems"
    folder.mkdir()
    assert callable(unused_port)
    (folder / "small.yaml").write_text(system(unused_port()))
    return folder


async def when_answering(connection: Connection) -> ControlClient:
    client = ControlClient(connection, Subjects(NAMESPACE), "test")
    while True:
        try:
            await client.runs()
        except NoAnswer:
            await asyncio.sleep(0.05)
        else:
            return client


async def over(client: ControlClient, run: str) -> RunSummary:
    while True:
        reply = await client.runs(run)
        if reply.runs and reply.runs[0].verdict is not None:
            return reply.runs[0]
        await asyncio.sleep(0.1)


async def test_five_processes_and_a_foreign_client_come_to_the_same_verdict_as_one(server: Server, systems: Path, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        for actor in ACTORS:
            arguments = ("serve", "--actors", actor, "--nats", server.url, "--systems", str(systems))
            await stack.enter_async_context(command(*arguments, folder=tmp_path))
        connection = await stack.enter_async_context(connect(server.url, name="foreign"))
        client = await when_answering(connection)
        await ensure_topology(connection.js, NAMESPACE)
        journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        await journal.last_sequence()
        run = new_run_id(journal.clock.now())
        await connection.js.publish(f"{NAMESPACE}.scenarios.some-key", SCENARIO.encode(), headers={"Nats-Msg-Id": run})
        while not (await client.runs(run)).runs:
            await asyncio.sleep(0.05)

        ended = await over(client, run)
        async with command("report", run, "--nats", server.url, "--format", "json", folder=tmp_path) as report:
            out, _ = await report.communicate()

    assert ended.verdict == "passed"
    assert json.loads(out)["verdict"]["verdict"] == "passed"


async def test_run_needs_nothing_and_ends_with_reports_and_the_verdicts_exit_code(systems: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "mine.yaml"
    scenario.write_text(SCENARIO + "---" + (systems / "small.yaml").read_text())

    async with command("run", str(scenario), "--json", folder=tmp_path) as process:
        out, err = await process.communicate()

    told = json.loads(out)
    assert process.returncode == 0, err.decode()
    assert told["verdict"] == "passed"
    assert {Path(path).name for path in told["reports"].values()} == {"report.json", "report.html", "junit.xml"}
    assert all((tmp_path / path).exists() for path in told["reports"].values())


async def test_control_c_in_the_middle_aborts_undoes_and_leaves_nothing_running(systems: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "mine.yaml"
    text = SCENARIO.replace("duration: 2s", "duration: 60s").replace("action: restart}", "action: pause}")
    scenario.write_text(
        text.replace("{id: back, type: recovery, target: one, within: 5s}", "") + "---" + (systems / "small.yaml").read_text()
    )

    async with command("run", str(scenario), "--json", folder=tmp_path) as process:
        pid = await paused_service(process, tmp_path)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()

    assert process.returncode == 4, err.decode()
    assert json.loads(out)["verdict"] == "aborted"
    assert not Path(f"/proc/{pid}").exists()
    assert b"Traceback" not in err


async def test_a_terminated_serve_aborts_its_runs_undoes_them_and_exits_0(server: Server, systems: Path, tmp_path: Path) -> None:
    async with (
        command("serve", "--nats", server.url, "--systems", str(systems), folder=tmp_path) as process,
        connect(server.url, name="foreign") as connection,
    ):
        client = await when_answering(connection)
        long = SCENARIO.replace("duration: 2s", "duration: 60s").replace("action: restart}", "action: pause}")
        await connection.nc.publish(
            f"{NAMESPACE}.scenarios.k", long.replace("{id: back, type: recovery, target: one, within: 5s}", "").encode()
        )
        pid = await paused_service(process, tmp_path)
        run = (await client.runs()).runs[0].run_id
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        verdicts = await journal.runs_with("reporter", "run", "report.published")

    assert process.returncode == 0
    assert run in verdicts
    assert not Path(f"/proc/{pid}").exists()


async def paused_service(process: Process, folder: Path) -> int:
    """The pid of the service that was started from this folder, once it stands still."""
    while process.returncode is None:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, state = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()[0]
                mine = str(SERVICE).encode() in (stat.parent / "cmdline").read_bytes() and (stat.parent / "cwd").readlink() == folder
            except OSError:
                continue
            if mine and state == "T":
                return pid
        await asyncio.sleep(0.05)
    _, err = await process.communicate()
    raise AssertionError(err.decode())


@pytest.mark.parametrize("killed", ["scheduler", "validator", "reporter"])
async def test_an_actor_that_is_killed_and_started_again_goes_on_with_the_run(
    server: Server, systems: Path, tmp_path: Path, killed: str
) -> None:
    def serve(actor: str) -> AbstractAsyncContextManager[Process]:
        return command("serve", "--actors", actor, "--nats", server.url, "--systems", str(systems), folder=tmp_path)

    async with AsyncExitStack() as stack:
        processes = {actor: await stack.enter_async_context(serve(actor)) for actor in ACTORS}
        connection = await stack.enter_async_context(connect(server.url, name="foreign"))
        client = await when_answering(connection)
        reply = await client.submit(SubmitRequest(document=SCENARIO))
        run = reply.run_id or ""
        while (await client.runs(run)).runs[0:1] == () or (await client.runs(run)).runs[0].stage != "chaos":
            await asyncio.sleep(0.05)
        processes[killed].kill()
        await processes[killed].wait()
        await stack.enter_async_context(serve(killed))
        client = await when_answering(connection)

        ended = await over(client, run)
        journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        while run not in await journal.runs_with("reporter", "run", "report.published"):
            await asyncio.sleep(0.05)

    assert ended.verdict == "passed"
