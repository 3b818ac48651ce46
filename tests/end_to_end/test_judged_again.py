"""A run with service events: judged again from the stream and from the archive, with its raw matches, and by new claims."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actors.reporter import Archiving
from bus.objects import ObjectStore
from bus.topology import Names
from messages.observations import EvidenceStored
from messages.run_events import PhaseStarted
from messages.verdicts import Verdict
from runs.replay import Told, rejudge, written

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long
PHASES = """
    - name: trade
      duration: 2500ms
      assertions:
        - {id: fills, type: event, where: "event.type == 'order.filled'", at_least: 3}
        - {id: none-lost, type: event, where: "event.type == 'order.lost'", never: true}"""
NEW = """
assertions:
  - {id: many, type: event, where: "event.type == 'order.filled'", at_least: 4, on_fail: continue}
  - {id: some, type: event, where: "event.type == 'order.filled'", at_least: 3}
  - {id: up, type: health, target: one, throughout: true}
"""


async def traded(arena: "Arena") -> "Ended":
    """A run in which three orders are filled."""
    run = await arena.submit(arena.document(PHASES, events='["case.events.>"]'))
    await arena.wait_for(run, PhaseStarted, "trade")
    for number in range(3):
        event = {"specversion": "1.0", "id": str(number), "type": "order.filled", "source": "one", "data": {}}
        await arena.running.connection.js.publish("case.events.orders", json.dumps(event).encode())
    return await arena.ended(run)


async def call(arena: "Arena", *line: str) -> tuple[int, Mapping[str, Any]]:
    """A command of the command line; its exit code and what it says."""
    command = (sys.executable, "-m", "cli.main", *line, "--nats", arena.url, "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2])
    out, _ = await process.communicate()
    return process.returncode or 0, json.loads(out)


async def test_it_comes_out_the_same_wherever_its_journal_is_kept(arena: "Arena") -> None:
    ended = await traded(arena)
    assert ended.verdict is Verdict.PASSED

    here = await call(arena, "judge", ended.state.id)
    assert await Archiving(arena.journal, timedelta()).look() == 1
    there = await call(arena, "judge", ended.state.id)

    code, told = here
    assert (code, told["same"]) == (0, True)
    assert [found["found"] for found in told["evidence"]] == ["same"]
    assert there == here


async def test_a_verdict_that_was_changed_in_a_copy_of_its_journal_is_found(arena: "Arena") -> None:
    ended = await traded(arena)
    lines = [
        replace(line, event=line.event.model_copy(update={"verdict": Verdict.FAILED})) if line.event == ended.judged("fills") else line
        for line in ended.lines
    ]

    honest = rejudge([Told(line, written(line.event)) for line in ended.lines])
    tampered = rejudge([Told(line, written(line.event)) for line in lines])

    assert honest is not None
    assert honest.same
    assert tampered is not None
    assert [(claim.assertion, claim.differs) for claim in tampered.claims if claim.differs] == [("fills", ("verdict",))]
    assert tampered.run.same


async def test_raw_matches_that_are_gone_or_others_are_told(arena: "Arena") -> None:
    ended = await traded(arena)
    (stored,) = [line.event for line in ended.events(EvidenceStored) if isinstance(line.event, EvidenceStored)]
    store = ObjectStore(arena.running.connection, Names("test-coordinator").evidence)

    await store.put(stored.name, b"something else")
    code, told = await call(arena, "judge", ended.state.id)
    await arena.running.connection.js.purge_stream("OBJ_test-coordinator-evidence")
    gone, missing = await call(arena, "judge", ended.state.id)

    assert (code, told["same"], told["evidence"][0]["found"]) == (1, False, "different")
    assert (gone, missing["same"], missing["evidence"][0]["found"]) == (0, True, "missing")


async def test_new_claims_are_judged_by_the_events_as_long_as_these_are_there(arena: "Arena", tmp_path: Path) -> None:
    ended = await traded(arena)
    new = tmp_path / "new.yaml"
    new.write_text(NEW)

    code, told = await call(arena, "judge", ended.state.id, "--with", str(new))
    await arena.running.connection.js.purge_stream("AUDIT-small")
    later, gone = await call(arena, "judge", ended.state.id, "--with", str(new))
    await arena.running.connection.js.delete_stream("AUDIT-small")
    last, deleted = await call(arena, "judge", ended.state.id, "--with", str(new))

    assert code == 1
    assert {claim["assertion"]: claim["verdict"] for claim in told["claims"]} == {"many": "failed", "some": "passed", "up": "passed"}
    assert told["recalled"]["some"]["count"] == 3
    for exit_code, lost in ((later, gone), (last, deleted)):
        assert exit_code == 3
        assert {claim["assertion"]: claim["reason"] for claim in lost["claims"]} == {"many": "gap", "some": "gap", "up": None}
