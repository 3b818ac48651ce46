"""What is found though it hides: a lost order, and an observer that did not look."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actors.reporter import Reporter
from bus.objects import ObjectStore
from bus.server import Server
from bus.topology import Names
from deploy.host import ACTORS, Host, Plan, host
from deploy.settings import read_settings
from messages.observations import StreamGap
from messages.run_events import PhaseStarted
from messages.verdicts import Reason, Verdict
from scenarios.library import library_directory

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("miniature")]  # a dozen processes at once, so no two of them

SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: lost}
spec:
  system: trading
  timeout: 1m
  phases:
    - {name: trade, duration: 12s, assertions: [{id: fills, type: event, where: "event.type == 'order.filled'", at_least: 20}]}
  assertions:
    - id: orders
      type: continuity
      key: event.data.order_id
      opened_by: order.submitted
      closed_by: [order.filled, order.rejected]
      grace: 2s
"""


def trading(arena: "Arena", port: "object", **exchange: str) -> str:
    """The library's system on ports and in folders of its own, its exchange with these settings."""
    assert callable(port)
    text = (library_directory() / "trading.yaml").read_text()
    for usual, busy in {"deadline: 1s": "deadline: 3s", "ready_within: 10s": "ready_within: 30s", "settle: 10s": "settle: 30s"}.items():
        text = text.replace(usual, busy)
    for number in sorted(set(re.findall(r"1[58]08\d", text))):
        text = text.replace(number, str(port()))
    told = "".join(f'            {key}: "{value}"\n' for key, value in exchange.items())
    text = text.replace("          env:\n", f'          env:\n            STATE_DIR: "{arena.folder}/state"\n')
    return text.replace("          env:\n", f"          env:\n{told}", 1)


async def test_an_order_that_the_exchange_lost_fails_the_run_and_the_report_names_it(arena: "Arena", unused_port: "object") -> None:
    ended = await arena.run(SCENARIO + "---\n" + trading(arena, unused_port, BUG_LOSE_ORDER="400"))

    judged = ended.judged("orders")
    report = await ObjectStore(arena.running.connection, Names("test-coordinator").reports).get(f"{ended.state.id}/report.json")
    assert (ended.verdict, judged.verdict) == (Verdict.FAILED, Verdict.FAILED)
    assert ended.judged("fills").verdict is Verdict.PASSED
    (lost,) = re.findall(r"1 of \d+ opened were never closed: (\S+)", judged.message)
    assert lost in json.dumps(json.loads(report)["validation_results"])


async def test_without_the_bug_the_same_run_passes(arena: "Arena", unused_port: "object") -> None:
    ended = await arena.run(SCENARIO + "---\n" + trading(arena, unused_port))

    assert ended.verdict is Verdict.PASSED


@asynccontextmanager
async def working(server: Server, folder: Path, *actors: str) -> AsyncIterator[Host]:
    plan = Plan(actors=actors, allow_systems=True, logs=folder)
    async with host(read_settings(log_level="WARNING"), server.url, plan) as running:
        await running.ready()
        yield running


async def test_an_observer_that_was_away_makes_what_rests_on_absence_inconclusive(
    server: Server, tmp_path: Path, arena_of: "object"
) -> None:
    assert callable(arena_of)
    others = [name for name in ACTORS if name != "observer"]
    async with working(server, tmp_path, *others) as running:
        arena: Arena = arena_of(server, running, tmp_path)
        phases = """[{name: calm, duration: 6s, assertions: [
          {id: up, type: health, target: one, throughout: true, on_fail: continue}]}]"""
        document = arena.document(phases).replace("spec:\n  events", "spec:\n  max_gap: 1s\n  events")
        async with working(server, tmp_path, "observer"):
            run = await arena.submit(document)
            await arena.wait_for(run, PhaseStarted, "calm")
        await asyncio.sleep(2)
        async with working(server, tmp_path, "observer"):
            ended = await arena.ended(run)

    assert ended.verdict is Verdict.INCONCLUSIVE
    assert ended.judged("up").reason is Reason.GAP
    assert ended.events(StreamGap) != []


async def test_a_report_is_published_once_though_two_reporters_are_at_work(server: Server, tmp_path: Path, arena_of: "object") -> None:
    assert callable(arena_of)
    async with working(server, tmp_path, *ACTORS) as running, working(server, tmp_path, Reporter.name):
        arena: Arena = arena_of(server, running, tmp_path)
        ended = await arena.run(arena.document("[{name: calm, duration: 300ms, assertions: [{id: up, type: health, target: one}]}]"))

    assert [line.event.type_name() for line in ended.lines].count("report.published") == 1
