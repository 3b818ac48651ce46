import asyncio
import os
import sys
from pathlib import Path

import pytest

from bus.errors import Unreachable
from bus.server import Server
from deploy.draining import drain
from deploy.host import Plan, host
from deploy.settings import read_settings
from messages.control import SubmitRequest
from messages.judgements import ReportPublished
from scenarios.systems import load_systems

SYSTEM = """
apiVersion: chaos.trading/v1
kind: System
metadata: {name: told}
spec:
  services:
    teller:
      driver:
        process: {command: [python, -c, "import os, sys, time; print(sys.executable, dict(os.environ), flush=True); time.sleep(60)"]}
"""
SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: told}
spec:
  system: told
  phases: [{name: only, duration: 300ms}]
"""


async def test_services_do_not_inherit_our_settings_and_python_is_ours(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_INSTANCE_NAME", "test-coordinator-Chaos1")
    monkeypatch.setenv("OTHER", "kept")
    (tmp_path / "told.yaml").write_text(SYSTEM)
    plan = Plan(systems=load_systems(tmp_path), logs=tmp_path / "logs")

    async with host(read_settings(), server.url, plan) as running:
        await running.ready()
        reply = await running.control.submit(SubmitRequest(document=SCENARIO))
        assert reply.run_id, reply.findings
        async with asyncio.timeout(10):
            while await running.journal.find(reply.run_id, "reporter", "run", ReportPublished) is None:
                await asyncio.sleep(0.02)

    told = "".join(file.read_text() for file in (tmp_path / "logs").rglob("*") if file.is_file())
    assert "SERVICE_INSTANCE_NAME" not in told
    assert "'OTHER': 'kept'" in told
    assert f"'NATS_URL': '{server.url}'" in told
    assert told.startswith(os.fspath(Path(sys.executable)))


async def test_a_host_whose_nats_is_away_says_so_when_it_cannot_end_its_runs(server: Server) -> None:
    async with host(read_settings(), server.url, Plan(actors=("validator",))) as running:
        await running.ready()
        await server.stop()
        while running.checks()["nats"] == "ok":
            await asyncio.sleep(0.01)

        with pytest.raises(Unreachable, match="open runs could not be ended"):
            await drain(running)
