"""What must never be called passed. Real processes, a real server, all five actors."""

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actors.control import fold_run
from messages.fault_events import FaultArmed, FaultEffective, FaultInjected
from messages.run_events import ActionRequested, PhaseStarted
from messages.verdicts import Reason, Verdict

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena

pytestmark = pytest.mark.long

RESTART = """[{name: chaos, actions: [{id: restart, target: one, action: restart}],
  assertions: [{id: back, type: recovery, target: one, within: 3s}]}]"""


async def test_a_service_that_never_comes_back_is_failed(arena: "Arena") -> None:
    dying = arena.service("one", DIES_AFTER_FIRST_START=str(arena.folder / "marker"))

    ended = await arena.run(arena.document(RESTART, services=dying))

    assert ended.verdict is Verdict.FAILED
    assert ended.judged("back").verdict is Verdict.FAILED


async def test_a_pause_of_a_wrapper_whose_server_runs_elsewhere_is_inconclusive(arena: "Arena") -> None:
    phases = """[{name: chaos, actions: [{id: pause, target: one, action: pause, for: 4s}],
      assertions: [{id: back, type: recovery, target: one, within: 3s}]}]"""

    ended = await arena.run(arena.document(phases, services=arena.service("one", WRAPPED="1")))

    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.NO_EFFECT)
    assert ended.events(FaultInjected) != []
    assert ended.events(FaultEffective) == []


async def test_without_any_event_every_event_claim_is_inconclusive(arena: "Arena") -> None:
    phases = """[{name: calm, duration: 500ms, assertions: [
      {id: some, type: event, where: "event.type == 'tick'", on_fail: continue},
      {id: none, type: event, where: "event.type == 'bad'", never: true, on_fail: continue},
      {id: story, type: audit, target: one, sequence: [tick], on_fail: continue},
      {id: keys, type: continuity, key: event.data.n, opened_by: tick, closed_by: tock, on_fail: continue}]}]"""

    ended = await arena.run(arena.document(phases, events='["small.>"]'))

    assert ended.verdict is Verdict.INCONCLUSIVE
    assert {ended.judged(name).reason for name in ("some", "none", "story", "keys")} == {Reason.NO_SAMPLES}


async def test_other_events_but_too_few_are_failed_and_a_foreign_one_harms_nothing(arena: "Arena") -> None:
    phases = """[{name: calm, duration: 1s, assertions: [
      {id: many, type: event, where: "event.type == 'tock'", on_fail: continue},
      {id: some, type: event, where: "event.data.n > 0", on_fail: continue},
      {id: none, type: event, where: "event.data.n < 0", never: true, on_fail: continue},
      {id: keys, type: continuity, key: event.data.n, opened_by: order, closed_by: fill, on_fail: continue}]}]"""

    ended = await arena.run(arena.document(phases, services=arena.service("one", EVENTS="small"), events='["small.>"]'))

    assert ended.verdict is Verdict.FAILED
    assert ended.judged("many").verdict is Verdict.FAILED
    assert ended.judged("some").verdict is Verdict.PASSED
    assert ended.judged("none").verdict is Verdict.PASSED
    assert ended.judged("keys").reason is Reason.NO_SAMPLES


async def test_a_sick_service_is_a_precondition_and_nothing_is_disturbed(arena: "Arena") -> None:
    system = arena.service("one").replace("ready_within: 5s", "ready_within: 1s").replace("PORT:", 'SICK: "1", PORT:')

    ended = await arena.run(arena.document(RESTART, services=system))

    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.PRECONDITION)
    assert ended.events(ActionRequested) == []


async def test_an_external_service_that_is_sick_is_a_precondition_too(arena: "Arena") -> None:
    sick = 'gone: {driver: {external: {}}, health: {tcp: {address: "127.0.0.1:1"}, every: 50ms}}'
    steady = arena.document(RESTART, services=f"{arena.service('one')}, {sick}").replace("settle: 5s", "settle: 1s")

    ended = await arena.run(steady)

    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.PRECONDITION)
    assert ended.events(FaultArmed) == []


async def test_a_killed_service_that_only_the_undo_brought_back_did_not_recover_by_itself(arena: "Arena") -> None:
    phases = """[{name: chaos, actions: [{id: kill, target: one, action: kill, for: 500ms}],
      assertions: [{id: alone, type: recovery, target: one, within: 4s, by: itself, on_fail: continue},
                   {id: any, type: recovery, target: one, within: 4s, by: undo}]}]"""

    ended = await arena.run(arena.document(phases))

    assert ended.verdict is Verdict.FAILED
    assert ended.judged("alone").verdict is Verdict.FAILED
    assert ended.judged("any").verdict is Verdict.PASSED


async def test_a_restart_too_quick_for_any_probe_is_effective_by_identity(arena: "Arena") -> None:
    slow_probe = arena.service("one").replace("every: 50ms", "every: 2s")

    ended = await arena.run(arena.document(RESTART.replace("3s}", "5s}"), services=slow_probe).replace("recover: 4s", "recover: 10s"))

    assert ended.verdict is Verdict.PASSED
    (effective,) = ended.events(FaultEffective)
    assert "process" in getattr(effective.event, "how", "")


async def test_a_phase_that_is_cut_short_is_not_passed(arena: "Arena") -> None:
    phases = """[{name: one, duration: 10s, actions: [{id: kill, target: one, action: kill}],
      assertions: [{id: up, type: health, target: one, throughout: true}]},
      {name: two, duration: 1s, assertions: [{id: later, type: health, target: one}]}]"""

    ended = await arena.run(arena.document(phases))

    assert ended.verdict is Verdict.FAILED
    assert "later" not in ended.state.assertions


async def test_a_run_whose_services_were_killed_behind_its_back_is_failed_by_its_steady_state(arena: "Arena") -> None:
    phases = "[{name: calm, duration: 3s, assertions: [{id: up, type: health, target: one}]}]"
    run = await arena.submit(arena.document(phases, services=f"{arena.service('one')}, {arena.service('two')}"))
    await arena.wait_for(run, PhaseStarted, "calm")
    state = await fold_run(arena.journal, run)
    identity = state.services["two"].identity
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)

    ended = await arena.ended(run)

    assert ended.verdict is Verdict.FAILED


async def test_nothing_is_left_running_after_any_run(arena: "Arena") -> None:
    ended = await arena.run(arena.document(RESTART))

    await asyncio.sleep(0)
    pids = [service.identity.pid for service in ended.state.services.values() if service.identity]
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
