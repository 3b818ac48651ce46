"""Probes, workloads, and the claims that rest on them, on a whole coordinator and a service that the test makes slow or sick."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from messages.fault_events import WorkloadDied, WorkloadStarted, WorkloadStopped
from messages.observations import OperationsSeen, ProbeSummary, RoleSeen
from messages.run_events import PhaseStarted
from messages.verdicts import Reason, Verdict
from targets.find import tagged_processes

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long
WORKLOAD = Path(__file__).with_name("workload.py")


class Shop:
    """A service in this process: /health, /work, /role and /metrics."""

    def __init__(self) -> None:
        self.port = 0
        self.slow = 0.0
        self.sick = False
        self.role = "leader"
        self._served = 0
        self._asked = 0
        self._idle = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asked += 1
        self._idle.clear()
        try:
            await self._answer(reader, writer)
        finally:
            self._asked -= 1
            if not self._asked:
                self._idle.set()

    async def idle(self) -> None:
        """Every answer that was begun is given."""
        if self._asked:
            await self._idle.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readline()).split(b" ")[1:2]
        status, body = ("503 Sick", "out of stock") if self.sick and path == [b"/work"] else ("200 OK", self.role)
        if path == [b"/work"]:
            await asyncio.sleep(self.slow)
            self._served += 1
        elif path == [b"/metrics"]:
            body = f'# TYPE served_total counter\nserved_total{{kind="work"}} {self._served}\nserved_total{{kind="other"}} 7\n'
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        writer.close()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    async with await asyncio.start_server(shop.serve, "127.0.0.1", 0) as server:
        shop.port = server.sockets[0].getsockname()[1]
        yield shop
        server.close()
        await shop.idle()


def document(shop: Shop, claims: str) -> str:
    """A phase to compare with, and one of which something is claimed."""
    at = f"http://127.0.0.1:{shop.port}"
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
      duration: 3s
      assertions: {claims}
---
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: small}}
spec:
  services:
    shop:
      driver: {{external: {{}}}}
      health: {{http: {{url: "{at}/health"}}, every: 50ms, deadline: 1500ms}}
      role: {{http: {{url: "{at}/role"}}, every: 100ms}}
      metrics: {{http: "{at}/metrics"}}
  probes: {{quote: {{http: {{url: "{at}/work", expect: "status < 500"}}, rate: 50/s, deadline: 1s}}}}
  workloads: {{buyers: {{command: [python, {WORKLOAD}], env: {{PORT: "{shop.port}"}}, stop_signal: INT}}}}
  steady_state: {{settle: 5s, recover: 4s, stable: 200ms}}
"""


CLAIMS = """
        - {id: quick, type: latency, probe: quote, percentile: 95, compare: baseline, at_most: "+250ms", on_fail: continue}
        - {id: bought, type: latency, workload: buyers, percentile: 80, at_most: 300ms, min_samples: 5, on_fail: continue}
        - {id: grows, type: metric, target: shop, metric: 'served_total{kind="work"}', of: rate, at_least: 20, every: 200ms}
        - {id: open, type: http, url: "URL/work", expect: "status == 200", throughout: true, every: 100ms, on_fail: continue}
        - {id: late, type: metric, target: shop, metric: served_total, at_least: 10, within: 1s, every: 100ms, on_fail: continue}
"""


def claims(shop: Shop) -> str:
    return CLAIMS.replace("URL", f"http://127.0.0.1:{shop.port}")


def verdicts(ended: "Ended") -> dict[str, Verdict]:
    return {name: ended.judged(name).verdict for name in ("quick", "bought", "grows", "open", "late")}


async def test_a_quick_service_passes_and_everything_that_was_measured_is_in_the_journal(arena: "Arena", shop: Shop) -> None:
    ended = await arena.run(document(shop, claims(shop)))

    assert verdicts(ended) == dict.fromkeys(("quick", "bought", "grows", "open", "late"), Verdict.PASSED), ended
    assert ended.verdict is Verdict.PASSED
    probed = [line.event for line in ended.events(ProbeSummary) if line.entity == "quote"]
    assert sum(e.count for e in probed if isinstance(e, ProbeSummary)) > 100
    assert sum(e.ok for line in ended.events(OperationsSeen) if isinstance(e := line.event, OperationsSeen)) > 50
    assert [line.event.type_name() for line in ended.lines if line.entity == "buyers" and not isinstance(line.event, OperationsSeen)] == [
        "workload.started",
        "workload.stopped",
    ]
    assert ended.state.roles == {"shop": "leader"}
    assert tagged_processes(ended.state.id) == ()


async def test_a_service_that_gets_slow_fails_what_claims_its_latency(arena: "Arena", shop: Shop) -> None:
    run = await arena.submit(document(shop, claims(shop)))
    await arena.wait_for(run, PhaseStarted, "chaos")
    shop.slow, shop.role = 0.4, "follower"
    ended = await arena.ended(run)

    assert (ended.verdict, ended.reason) == (Verdict.FAILED, Reason.CLAIM_FAILED)
    assert verdicts(ended) == {
        "quick": Verdict.FAILED,
        "bought": Verdict.FAILED,
        "grows": Verdict.PASSED,
        "open": Verdict.PASSED,
        "late": Verdict.PASSED,
    }, ended
    assert "in baseline over" in ended.judged("quick").message
    assert [line.event.role for line in ended.events(RoleSeen) if isinstance(line.event, RoleSeen)] == ["leader", "follower"]


async def test_a_sick_answer_fails_the_claim_and_says_what_was_got(arena: "Arena", shop: Shop) -> None:
    run = await arena.submit(document(shop, claims(shop)))
    await arena.wait_for(run, PhaseStarted, "chaos")
    shop.sick = True
    ended = await arena.ended(run)

    assert ended.judged("open").verdict is Verdict.FAILED
    assert "status 503 'out of stock'" in ended.judged("open").message
    assert ended.judged("quick").verdict is Verdict.FAILED
    assert "that failed or were missed" in ended.judged("quick").message


async def test_a_workload_that_dies_makes_the_run_inconclusive_though_every_claim_passes(arena: "Arena", shop: Shop) -> None:
    claim = f'[{{id: open, type: http, url: "http://127.0.0.1:{shop.port}/work", throughout: true, every: 100ms}}]'
    run = await arena.submit(document(shop, claim))
    await arena.wait_for(run, PhaseStarted, "chaos")
    started = (await arena.wait_for(run, WorkloadStarted)).event
    assert isinstance(started, WorkloadStarted)
    os.kill(started.identity.pid, signal.SIGKILL)
    ended = await arena.ended(run)

    assert ended.judged("open").verdict is Verdict.PASSED
    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.WORKLOAD_DIED)
    assert [line.event.code for line in ended.events(WorkloadDied) if isinstance(line.event, WorkloadDied)] == [-9]
    assert ended.events(WorkloadStopped) == []
