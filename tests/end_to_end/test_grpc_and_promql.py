"""The grpc claim and PromQL on a whole coordinator: a server with reflection, and a real Prometheus that scrapes a service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from messages.run_events import PhaseStarted
from messages.verdicts import Reason, Verdict
from targets.health import HealthProber
from tests.grpc_shop import Shop, mirrored, serving
from tests.prometheus import PROGRAM, prometheus

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena

pytestmark = pytest.mark.long
SOON = timedelta(seconds=5)


def document(claims: str, *, address: str, rest: str = "") -> str:
    return f"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: case}}
spec:
  system: small
  timeout: 40s
  phases:
    - name: chaos
      duration: 2s
      assertions: {claims}
---
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: small}}
spec:
  services:
    shop:
      driver: {{external: {{}}}}
      health: {{tcp: {{address: "{address}"}}, every: 100ms, deadline: 1500ms}}
  steady_state: {{settle: 5s, recover: 4s, stable: 200ms}}
{rest}
"""


def claims(address: str, *, method: str = "Count") -> str:
    shared = f'type: grpc, address: "{address}", method: shop.Stock/{method}, request: {{item: tea}}, every: 100ms, on_fail: continue'
    return f"""
        - {{id: there, {shared}, expect: "code == 'OK' && response.left == 3", throughout: true}}
        - {{id: soon, {shared}, expect: "response.item == 'tea'", within: 1s}}
        - {{id: never, {shared}, expect: "code == 'OK' && response.left < 1", never: true}}
        - {{id: at-last, {shared}}}
"""


NAMES = ("there", "soon", "never", "at-last")


@pytest.fixture
async def shop() -> AsyncIterator[tuple[Shop, str]]:
    shop = Shop()
    async with serving(shop.handler(), mirrored(shop)) as address:
        yield shop, address


async def test_a_server_that_answers_as_expected_passes(arena: "Arena", shop: tuple[Shop, str]) -> None:
    ended = await arena.run(document(claims(shop[1]), address=shop[1]))

    assert {name: ended.judged(name).verdict for name in NAMES} == dict.fromkeys(NAMES, Verdict.PASSED), ended
    assert ended.verdict is Verdict.PASSED


async def test_a_server_that_answers_otherwise_fails_the_claims_that_see_it(arena: "Arena", shop: tuple[Shop, str]) -> None:
    server, address = shop
    run = await arena.submit(document(claims(address), address=address))
    await arena.wait_for(run, PhaseStarted, "chaos")
    server.answer["left"] = 0
    ended = await arena.ended(run)

    assert {name: ended.judged(name).verdict for name in NAMES} == {
        "there": Verdict.FAILED,
        "soon": Verdict.PASSED,
        "never": Verdict.FAILED,
        "at-last": Verdict.PASSED,
    }, ended
    assert '"left": 0' in ended.judged("there").message
    assert (ended.verdict, ended.reason) == (Verdict.FAILED, Reason.CLAIM_FAILED)


async def test_a_method_that_is_not_there_is_nobodys_failure(arena: "Arena", shop: tuple[Shop, str]) -> None:
    ended = await arena.run(document(claims(shop[1], method="Cont"), address=shop[1]))

    judged = [ended.judged(name) for name in NAMES]
    assert {(found.verdict, found.reason) for found in judged} == {(Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)}, ended
    assert all("could not be asked: shop.Stock has no method 'Cont'; it has Count, Watch" in found.message for found in judged)
    assert ended.verdict is Verdict.INCONCLUSIVE


class Counter:
    """Serves one counter that grows with every scrape."""

    def __init__(self) -> None:
        self.port = 0
        self._orders = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self._orders += 10
            body = f'# TYPE orders_total counter\norders_total{{side="buy"}} {self._orders}\norders_total{{side="sell"}} {self._orders}\n'
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
            writer.write(f"{head}\r\n{body}".encode())
        writer.close()


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    counter = Counter()
    async with await asyncio.start_server(counter.serve, "127.0.0.1", 0) as server:
        counter.port = server.sockets[0].getsockname()[1]
        yield counter


ASKED = """
        - {id: grows, type: metric, promql: "sum(rate(orders_total[10s]))", at_least: 1, every: 200ms, on_fail: continue}
        - {id: sides, type: metric, promql: "rate(orders_total[10s]) > bool 0", equals: 2, within: 1s, every: 200ms, on_fail: continue}
        - {id: still, type: metric, promql: "sum(rate(orders_total[10s]))", at_most: 0, throughout: true, every: 200ms, on_fail: continue}
        - {id: wrong, type: metric, promql: "sum(rate(orders_total))", at_least: 1, every: 200ms, on_fail: continue}
        - {id: nothing, type: metric, promql: "sum(no_such_total)", at_most: 1, every: 200ms, on_fail: continue}
"""


@pytest.mark.skipif(PROGRAM is None, reason="needs prometheus (apt-get install prometheus)")
async def test_a_real_prometheus_is_asked_while_claims_are_open(arena: "Arena", counter: Counter, tmp_path: Path) -> None:
    async with prometheus(tmp_path, counter.port) as url, HealthProber() as prober:
        while not any((await prober.query(url, "sum(rate(orders_total[10s])) > 0", deadline=SOON)).series.values()):
            await asyncio.sleep(0.2)
        address, rest = f"127.0.0.1:{counter.port}", f'  prometheus: {{http: "{url}"}}'
        ended = await arena.run(document(ASKED, address=address, rest=rest))

    found = {name: (ended.judged(name).verdict, ended.judged(name).reason) for name in ("grows", "sides", "still", "wrong", "nothing")}
    assert found == {
        "grows": (Verdict.PASSED, None),
        "sides": (Verdict.PASSED, None),
        "still": (Verdict.FAILED, Reason.CLAIM_FAILED),
        "wrong": (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES),
        "nothing": (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES),
    }, ended
    assert "Prometheus says: " in ended.judged("wrong").message
    assert "or vector(0)" in ended.judged("nothing").message
