"""What users feel and who leads: slo, outage, role and continuity on a whole coordinator. Each is run once right and once wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from messages.judgements import AssertionJudged
from messages.observations import ProbeSummary, RoleSeen
from messages.run_events import PhaseFinished, PhaseStarted, ServicesReleaseRequested
from messages.verdicts import Reason, Verdict

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long
WORKLOAD = Path(__file__).with_name("workload.py")
LEVELS = ("good", "bought", "out", "idle", "one", "led")


class Cluster:
    """Three services in this process that serve the same shop: /health, /work, and a role each."""

    def __init__(self) -> None:
        self.port = 0
        self.sick = False
        self.roles = {"a": "leader", "b": "follower", "c": "follower"}
        self._open = 0
        self._idle = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self._idle.clear()
        try:
            path = b"".join((await reader.readline()).split(b" ")[1:2]).decode()  # empty when whoever asked is gone
            status = "503 Sick" if self.sick and path == "/work" else "200 OK"
            body = self.roles.get(path.removeprefix("/role/"), "fine")
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
            writer.close()
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    async def idle(self) -> None:
        """Every answer that was begun is given."""
        if self._open:
            await self._idle.wait()

    def document(self) -> str:
        at = f"http://127.0.0.1:{self.port}"
        member = f'{{driver: {{external: {{}}}}, health: {{http: {{url: "{at}/health"}}, every: 50ms, deadline: 1500ms}}, '
        services = "\n".join(f'    {name}: {member}role: {{http: {{url: "{at}/role/{name}"}}, every: 100ms}}}}' for name in self.roles)
        return f"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: case}}
spec:
  system: small
  timeout: 40s
  phases:
    - {{name: baseline, duration: 1500ms}}
    - name: chaos
      duration: 10s
      assertions:
        - {{id: good, type: slo, probe: quote, at_least: 25%, below: 2500ms, min_samples: 10, on_fail: continue}}
        - {{id: bought, type: slo, workload: buyers, at_least: 25%, min_samples: 10, on_fail: continue}}
        - {{id: out, type: outage, probe: quote, at_most: 6s, on_fail: continue}}
        - {{id: idle, type: outage, workload: buyers, at_most: 6s, on_fail: continue}}
        - {{id: one, type: role, group: db, role: leader, exactly: 1, throughout: true, on_fail: continue}}
        - {{id: led, type: role, group: db, role: leader, at_least: 1, within: 5s, on_fail: continue}}
---
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: small}}
spec:
  max_gap: 5s
  services:
{services}
  groups: {{db: {{members: [a, b, c]}}}}
  probes: {{quote: {{http: {{url: "{at}/work", expect: "status < 500"}}, rate: 10/s, deadline: 3s}}}}
  workloads: {{buyers: {{command: [python, -u, {WORKLOAD}], env: {{PORT: "{self.port}"}}, stop_signal: INT}}}}
  steady_state: {{settle: 5s, recover: 4s, stable: 200ms}}
"""


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    async with await asyncio.start_server(cluster.serve, "127.0.0.1", 0) as server:
        cluster.port = server.sockets[0].getsockname()[1]
        yield cluster
        server.close()
        await cluster.idle()


def verdicts(ended: "Ended") -> dict[str, Verdict]:
    return {name: ended.judged(name).verdict for name in LEVELS}


async def test_a_service_that_serves_and_has_one_leader_passes(arena: "Arena", cluster: Cluster) -> None:
    ended = await arena.run(cluster.document())

    assert verdicts(ended) == dict.fromkeys(LEVELS, Verdict.PASSED), ended
    assert ended.verdict is Verdict.PASSED
    probed = [line.event for line in ended.events(ProbeSummary) if line.entity == "quote"]
    assert all(isinstance(e, ProbeSummary) and e.successes is not None for e in probed)
    evidence = {line.evidence for line in ended.lines}
    assert all(set(ended.judged(name).evidence) <= evidence for name in LEVELS)


async def test_a_service_that_does_not_serve_and_has_two_leaders_fails(arena: "Arena", cluster: Cluster) -> None:
    run = await arena.submit(cluster.document())
    await arena.wait_for(run, PhaseStarted, "chaos")
    cluster.sick, cluster.roles["b"] = True, "leader"
    await arena.wait_for(run, AssertionJudged, "one")
    cluster.roles["b"] = "follower"
    ended = await arena.ended(run)

    expected = dict.fromkeys(LEVELS, Verdict.FAILED) | {"led": Verdict.PASSED}
    assert verdicts(ended) == expected, ended
    assert (ended.verdict, ended.reason) == (Verdict.FAILED, Reason.CLAIM_FAILED)
    assert ended.judged("one").message.startswith("a and b were leader at once")
    assert "failed or were missed" in ended.judged("good").message
    assert "(give or take 100ms, its interval)" in ended.judged("out").message
    roles = [(line.entity, line.event.role) for line in ended.events(RoleSeen) if isinstance(line.event, RoleSeen)]
    assert [role for name, role in roles if name == "b"] == ["follower", "leader", "follower"]


ORDERS = """
  assertions:
    - id: orders
      type: continuity
      key: event.data.id
      opened_by: order.opened
      closed_by: order.closed
      unknown_by: order.timed_out
      grace: 2s
"""


async def say(arena: "Arena", type_: str, key: str) -> None:
    """What a service of the system tells."""
    event = {"specversion": "1.0", "id": f"{type_}-{key}", "source": "one", "type": type_, "data": {"id": key}}
    await arena.running.connection.js.publish("small.events.x", json.dumps(event).encode())


@pytest.mark.parametrize(("closed", "expected"), [(("late",), Verdict.PASSED), ((), Verdict.FAILED)], ids=["closed", "lost"])
async def test_the_services_stay_up_through_the_grace_and_what_opens_in_it_is_not_asked_for(
    arena: "Arena", closed: tuple[str, ...], expected: Verdict
) -> None:
    run = await arena.submit(arena.document("[{name: calm, duration: 1s}]", events='["small.events.>"]', rest=ORDERS))
    await arena.wait_for(run, PhaseStarted, "calm")
    for type_, key in (("order.opened", "soon"), ("order.closed", "soon"), ("order.opened", "late")):
        await say(arena, type_, key)
    for type_ in ("order.opened", "order.timed_out"):
        await say(arena, type_, "doubtful")
    await arena.wait_for(run, PhaseFinished, "recover")
    await say(arena, "order.opened", "too-late")
    for key in closed:
        await say(arena, "order.closed", key)
    ended = await arena.ended(run)

    judged = ended.judged("orders")
    assert (judged.verdict, judged.measured["opened"], judged.measured["unknown"]) == (expected, 3, 1), ended
    assert "too-late" not in judged.message
    (recovered,) = [line.at for line in ended.events(PhaseFinished) if line.entity == "recover"]
    (released,) = [line.at for line in ended.events(ServicesReleaseRequested)]
    assert released - recovered >= timedelta(seconds=2)
