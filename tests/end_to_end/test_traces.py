"""Claims on spans, on a whole coordinator and a service that is traced with the OpenTelemetry SDK."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from messages.fault_events import ServiceStopped
from messages.measurements import TraceMatched
from messages.observations import StreamGap
from messages.verdicts import Reason, Verdict
from runs.replay import Told, rejudge, written
from targets.span_receiver import SpanReceivers
from tests.ports import free_port
from tests.test_targets_spans import Ear

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long
SERVICE = Path(__file__).with_name("traced.py")
DOCUMENT = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: case}}
spec:
  system: small
  timeout: 2m
  phases:
    - {{name: calm, duration: 2s}}
    - name: trade
      duration: 2s
      assertions:
{claims}
---
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: small}}
spec:
  services:
    engine:
      driver: {{process: {{command: [python, {service}], env: {{{env}}}, ready_within: 40s, stop_grace: 5s}}}}
      health: {{tcp: {{address: "127.0.0.1:{port}"}}, every: 50ms}}
  traces: {{listen: "{address}"}}
  max_gap: 20s
  steady_state: {{settle: 20s, recover: 20s, stable: 200ms}}
"""
GOOD = """
        - {id: orders, type: trace, where: "span.name == 'order' && span.service == 'engine'", at_least: 5, within: 30s, on_fail: continue}
        - {id: checked, type: trace, where: "span.name == 'check' && span.parent.name == 'order'", within: 30s, on_fail: continue}
        - {id: venue, type: trace, where: "span.name == 'order' && span.attributes.venue != 'x'", grace: 3s, on_fail: continue}
        - {id: long, type: trace, where: "span.name == 'order' && span.duration > 60.0", never: true, grace: 3s, on_fail: continue}
        - {id: no-news, type: trace, where: "true", unlike: calm, key: span.name, never: true, grace: 3s, on_fail: continue}
"""
WRONG = """
        - {id: fine, type: trace, where: span.error, never: true, grace: 10s, on_fail: continue}
        - {id: settled, type: trace, where: "span.name == 'settle'", grace: 1s, on_fail: continue}
"""
UNHEARD = """
        - {id: orders, type: trace, where: "span.name == 'order'", on_fail: continue}
        - {id: none, type: trace, where: "span.name == 'settle'", never: true, on_fail: continue}
"""


def document(claims: str, address: str) -> str:
    port = free_port()
    env = f'PORT: "{port}", OTEL_BSP_SCHEDULE_DELAY: "200"'
    return DOCUMENT.format(claims=claims, service=SERVICE, address=address, port=port, env=env)


def address() -> str:
    return f"127.0.0.1:{free_port()}"


def verdicts(ended: "Ended") -> dict[str, Verdict]:
    return {name: found.verdict for name, found in ended.state.assertions.items() if found.verdict is not None and found.mode == "claim"}


async def test_spans_of_a_service_that_was_told_nothing_but_its_environment_are_judged_and_judged_again(
    arena: "Arena", tmp_path: Path
) -> None:
    ended = await arena.run(document(GOOD, address()))

    assert verdicts(ended) == dict.fromkeys(("orders", "checked", "venue", "long", "no-news"), Verdict.PASSED), ended
    assert ended.verdict is Verdict.PASSED, ended
    named = {line.evidence for line in ended.events(TraceMatched)}
    assert all(set(ended.judged(name).evidence) <= named for name in verdicts(ended))
    assert ended.events(StreamGap) == []
    stopped = [line.event for line in ended.events(ServiceStopped) if isinstance(line.event, ServiceStopped)]
    assert not any(event.killed for event in stopped), "what a service sends as it stops is received"
    again = rejudge([Told(line, written(line.event)) for line in ended.lines])
    assert again is not None
    assert again.same
    new = tmp_path / "new.yaml"
    new.write_text("assertions: [{type: trace, where: \"span.name == 'order'\"}]")
    command = (sys.executable, "-m", "cli.main", "judge", ended.state.id, "--with", str(new), "--nats", arena.url, "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2])
    out, _ = await process.communicate()
    (claim,) = json.loads(out)["claims"]
    assert (process.returncode, claim["verdict"], claim["reason"]) == (3, "inconclusive", "gap")
    assert "a trace claim" in claim["message"]


async def test_spans_that_must_not_come_and_spans_that_do_not_come_fail(arena: "Arena") -> None:
    ended = await arena.run(document(WRONG, address()))

    assert (ended.verdict, ended.reason) == (Verdict.FAILED, Reason.CLAIM_FAILED)
    assert verdicts(ended) == {"fine": Verdict.FAILED, "settled": Verdict.FAILED}, ended
    assert "order of engine" in ended.judged("fine").message


async def test_where_somebody_else_has_the_address_nothing_passes_and_the_run_goes_on(arena: "Arena") -> None:
    taken = address()
    async with SpanReceivers().listening(taken, Ear()):
        ended = await arena.run(document(UNHEARD, taken))

    assert ended.verdict is Verdict.INCONCLUSIVE, ended
    assert verdicts(ended) == {"orders": Verdict.INCONCLUSIVE, "none": Verdict.INCONCLUSIVE}, ended
    assert all("Address already in use" in ended.judged(name).message for name in ("orders", "none"))
