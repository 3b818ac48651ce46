"""Rehearsals of real services: all but the faults. Real processes, a real server, all five actors."""

from typing import TYPE_CHECKING

import pytest

from messages.fault_events import ActionDone, FaultEvent, ServiceStarted
from messages.rehearsal_events import FaultRehearsalEnded, FaultRehearsed
from messages.run_events import ActionRequested, UndoRequested
from messages.verdicts import Reason, Verdict
from runs.report import ReportFold

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long

FLOWS = "{id: flows, type: event, where: \"event.type == 'tick'\", without_fault: holds}"
QUIET = "{id: quiet, type: event, where: \"event.type == 'tick'\", at_most: 110, after: halt.effective, without_fault: fails}"
"""Halted for most of the phase it sends few of the 50 a second."""
SICK = "{id: sick, type: health, target: one, never: true, during: halt}"
BACK = "{id: back, type: recovery, target: one, of: halt, within: 6s}"
UP = "{id: up, type: health, target: one, except: disturbed, throughout: true}"
TIDY = "  finally: [{id: tidy, target: one, action: start}]"


def phases(*claims: str) -> str:
    return f"""[{{name: calm, duration: 500ms}}, {{name: chaos, duration: 4500ms, actions: [
      {{id: halt, target: one, action: pause, for: 3s}}],
      assertions: [{", ".join(claim.replace("}", ", on_fail: continue}") for claim in claims)}]}}]"""


def document(arena: "Arena", *claims: str) -> str:
    quick = arena.service("one", EVENTS="small").replace("deadline: 1500ms", "deadline: 300ms")
    return arena.document(phases(*claims), services=quick, events='["small.>"]', rest=TIDY)


def nothing_was_disturbed(ended: "Ended") -> bool:
    asked = [line.entity for line in ended.events(ActionRequested)]
    faults = [line for line in ended.lines if isinstance(line.event, FaultEvent | UndoRequested)]
    return asked == ["tidy"] and not faults and len(ended.events(ServiceStarted)) == 1


async def test_a_claim_that_does_not_need_its_fault_is_vacuous_and_nothing_is_disturbed(arena: "Arena") -> None:
    told = "{id: told, type: event, where: \"event.type == 'tick'\", during: halt}"
    ended = await arena.run(document(arena, told, SICK, BACK, UP), rehearse=True)

    assert nothing_was_disturbed(ended), ended
    assert len(ended.events(FaultRehearsed)) == len(ended.events(FaultRehearsalEnded)) == 1
    assert [line.entity for line in ended.events(ActionDone)] == ["services", "tidy", "release"]
    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.VACUOUS), ended
    assert (ended.judged("told").verdict, ended.judged("told").control) == (Verdict.PASSED, "vacuous")
    assert (ended.judged("sick").verdict, ended.judged("sick").control) == (Verdict.FAILED, "needs_fault")
    assert ended.judged("back").control == "control"
    assert ended.judged("up").control is None
    fold = ReportFold(ended.state.id)
    for line in ended.lines:
        fold.apply(line)
    assert [d.id for d in fold.report().validation_results.assertion_details if d.outcome == "vacuous"] == ["told"]


async def test_a_scenario_whose_claims_need_their_fault_passes_its_rehearsal_and_then_the_run(arena: "Arena") -> None:
    rehearsed = await arena.run(document(arena, FLOWS, QUIET, BACK, UP), rehearse=True)
    real = await arena.run(document(arena, FLOWS, QUIET, BACK, UP))

    assert rehearsed.verdict is Verdict.PASSED, rehearsed
    assert nothing_was_disturbed(rehearsed), rehearsed
    assert real.verdict is Verdict.PASSED, real
    assert [real.judged(name).control for name in ("flows", "quiet", "back", "up")] == [None] * 4


async def test_a_bound_that_the_system_breaks_by_itself_fails_the_rehearsal(arena: "Arena") -> None:
    never = "{id: none, type: event, where: \"event.type == 'tick'\", never: true, during: halt}"

    ended = await arena.run(document(arena, never, SICK), rehearse=True)

    assert (ended.verdict, ended.reason) == (Verdict.FAILED, Reason.CLAIM_FAILED)
    assert ended.state.finished is not None
    assert "without any fault" in ended.state.finished.message


COMPARED = """[{id: flows, type: event, where: "event.type == 'tick'"},
  {id: same, type: event, where: "event.type == 'tick'", unlike: calm, key: event.source, on_fail: continue},
  {id: new, type: event, where: "event.type == 'tick' && has(event.data.n)", unlike: calm, key: event.data.n}]"""


async def test_what_a_source_said_all_the_time_passes_no_claim_that_asks_for_something_new(arena: "Arena") -> None:
    phases = f"[{{name: calm, duration: 700ms}}, {{name: chaos, duration: 700ms, assertions: {COMPARED}}}]"

    ended = await arena.run(arena.document(phases, services=arena.service("one", EVENTS="small"), events='["small.>"]'))

    assert {name: ended.judged(name).verdict for name in ("flows", "same", "new")} == {
        "flows": Verdict.PASSED,
        "same": Verdict.FAILED,
        "new": Verdict.PASSED,
    }, ended
