"""An injector that dies with faults active: the services go on, and whoever comes after keeps each fault up and undoes it in its time."""

import asyncio
import json
import resource
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from bus.clock import ServerClock
from bus.connection import connect
from bus.journal import Journal, Line
from bus.server import Server
from bus.state import default_folder
from bus.subjects import Subjects
from bus.topology import Names
from deploy.host import Plan, host
from deploy.settings import read_settings
from messages.control import SubmitRequest
from messages.events import RunEvent
from messages.fault_events import FaultEffective, FaultReverted, ServiceStarted
from messages.link_events import LinksOpened
from scenarios.systems import load_systems
from targets.identity import is_alive
from tests.end_to_end.test_means import round_trip
from tests.end_to_end.test_processes import ACTORS, NAMESPACE, SERVICE, command, over, when_answering
from tests.ports import free_port

E = TypeVar("E", bound=RunEvent)
pytestmark = [pytest.mark.long, pytest.mark.timeout(90)]

SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: orphaned}
spec:
  system: pair
  phases:
    - name: chaos
      duration: 14s
      actions:
        - {id: slow, target: {link: way}, action: latency, parameters: {delay: 400ms}}
        - {id: scarce, target: back, action: limit_fds, parameters: {free: 5}}
      assertions: [{id: well, type: health, target: front, within: 14s}]
"""


def system(folder: Path) -> str:
    front, back = free_port(), free_port()
    text = f"""
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: pair}}
spec:
  services:
    front:
      driver: {{process: {{command: [python, {SERVICE}], env: {{PORT: "{front}"}}}}}}
      health: {{http: {{url: "http://127.0.0.1:{front}/health"}}, every: 100ms, deadline: 900ms}}
    back:
      driver: {{process: {{command: [python, {SERVICE}], env: {{PORT: "{back}"}}}}}}
      health: {{http: {{url: "http://127.0.0.1:{back}/health"}}, every: 100ms, deadline: 900ms}}
  links: {{way: {{from: front, to: back, port: {back}, env: UPSTREAM}}}}
  steady_state: {{stable: 200ms}}
"""
    folder.mkdir()
    (folder / "pair.yaml").write_text(text)
    return text


async def test_what_a_dead_injector_left_is_kept_and_undone_in_its_time_by_the_next_one_and_the_run_passes(
    server: Server, tmp_path: Path
) -> None:
    system(tmp_path / "systems")
    arguments = ("--nats", server.url, "--systems", str(tmp_path / "systems"))
    async with AsyncExitStack() as stack:
        others = ",".join(actor for actor in ACTORS if actor != "chaos-injector")
        await stack.enter_async_context(command("serve", "--actors", others, *arguments, folder=tmp_path))
        injector = await stack.enter_async_context(command("serve", "--actors", "chaos-injector", *arguments, folder=tmp_path))
        connection = await stack.enter_async_context(connect(server.url, name="foreign"))
        client = await when_answering(connection)
        journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        await journal.last_sequence()
        run = (await client.submit(SubmitRequest(document=SCENARIO, file="orphaned.yaml"))).run_id
        assert run is not None
        await seen(journal, run, FaultEffective, 2)
        (opened,) = await seen(journal, run, LinksOpened, 1)
        started = {event.service: event.identity for event in await seen(journal, run, ServiceStarted, 2)}

        injector.kill()
        await injector.wait()
        orphaned = await round_trip(opened.addresses["way"])
        logs = default_folder(NAMESPACE, {"XDG_STATE_HOME": str(tmp_path / "state")}) / "logs"
        next_one = Plan(actors=("chaos-injector",), systems=load_systems(tmp_path / "systems"), logs=logs)
        async with host(read_settings(log_level="WARNING"), server.url, next_one):  # here: a new process may come after the lease
            reverted = await seen(journal, run, FaultReverted, 2)
            healed = await round_trip(opened.addresses["way"])
            limit, hard = resource.prlimit(started["back"].pid, resource.RLIMIT_NOFILE)
            ended = await over(client, run)

    assert orphaned > 0.8
    assert healed < 0.8
    assert limit == hard or limit >= 256
    assert {event.by for event in reverted} == {"request"}
    assert ended.verdict == "passed", json.dumps(ended.model_dump(mode="json"))
    assert not any(is_alive(identity) for identity in (*started.values(), opened.identity))


async def seen(journal: Journal, run: str, kind: type[E], count: int) -> list[E]:
    """The first so many events of this type in the run."""
    while True:
        lines: list[Line] = []
        await journal.read_runs([run], await journal.last_sequence(), lines.append)
        found = [line.event for line in lines if isinstance(line.event, kind)]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.1)
