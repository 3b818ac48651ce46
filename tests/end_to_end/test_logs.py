"""Claims on logs, on a whole coordinator and a service that is killed."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from messages.fault_events import ServiceStarted
from messages.measurements import LogMatched
from messages.verdicts import Reason, Verdict
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long
STORE, ADDER = (Path(__file__).with_name(name) for name in ("store.py", "adder.py"))
DOCUMENT = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: case}}
spec:
  system: small
  timeout: 40s
  phases:
    - {{name: calm, duration: 1s}}
    - name: chaos
      duration: 3s
      actions: [{{id: crash, target: store, action: kill, for: 500ms}}]
      assertions:
{claims}
---
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: small}}
spec:
  services:
    store:
      driver: {{process: {{command: [python, {store}], env: {{PORT: "{port}", FILE: "{file}"}}}}}}
      health: {{tcp: {{address: "127.0.0.1:{port}"}}, every: 50ms}}
  workloads: {{adders: {{command: [python, {adder}], env: {{PORT: "{port}"}}}}}}
  steady_state: {{settle: 5s, recover: 4s, stable: 200ms}}
"""
CLAIMS = """
        - {id: back, type: log, target: store, matches: 'ready on \\d+', after: crash.injected, within: 5s, on_fail: continue}
        - {id: adds, type: log, target: store, where: "line.startsWith('INFO added')", at_least: 5, on_fail: continue}
        - {id: clean, type: log, target: store, contains: Traceback, never: true, on_fail: continue}
        - {id: refused, type: log, workload: adders, contains: cannot add, on_fail: continue}
"""
WRONG = """
        - {id: quiet, type: log, target: store, contains: ready on, never: true, on_fail: continue}
        - {id: early, type: log, target: store, contains: ready on, before: crash.injected, on_fail: continue}
"""


def document(folder: Path, claims: str, *, file: str = "") -> str:
    return DOCUMENT.format(claims=claims, store=STORE, adder=ADDER, port=free_port(), file=file and folder / file)


def verdicts(ended: "Ended") -> dict[str, Verdict]:
    return {name: found.verdict for name, found in ended.state.assertions.items() if found.verdict is not None and found.mode == "claim"}


async def test_what_a_service_says_before_and_after_it_is_killed_is_read(arena: "Arena") -> None:
    ended = await arena.run(document(arena.folder, CLAIMS))

    assert verdicts(ended) == dict.fromkeys(("back", "adds", "clean", "refused"), Verdict.PASSED), ended
    assert ended.verdict is Verdict.PASSED
    started = [line.event.output for line in ended.events(ServiceStarted) if isinstance(line.event, ServiceStarted)]
    assert len(started) == 2
    assert len(set(started)) == 1
    told = [line.event for line in ended.events(LogMatched) if isinstance(line.event, LogMatched) and line.entity == "back"]
    assert sum(event.count for event in told) == 1
    named = {line.evidence for line in ended.events(LogMatched)}
    assert all(set(ended.judged(name).evidence) <= named for name in ("back", "adds", "clean", "refused"))


async def test_a_line_that_must_not_come_and_one_that_comes_too_late_fail(arena: "Arena") -> None:
    ended = await arena.run(document(arena.folder, WRONG))

    assert (ended.verdict, ended.reason) == (Verdict.FAILED, Reason.CLAIM_FAILED)
    assert verdicts(ended) == {"quiet": Verdict.FAILED, "early": Verdict.FAILED}, ended
    assert "into the window: ready on" in ended.judged("quiet").message
