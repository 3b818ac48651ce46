"""Expressions over what a real run has found. Real processes, a real server, all five actors."""

from typing import TYPE_CHECKING

import pytest

from actors.reporter.junit import junit
from messages.judgements import AssertionJudged
from messages.verdicts import Reason, Verdict
from runs.replay import Told, rejudge, written
from runs.report import ReportFold

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long
PHASES = "[{name: chaos, duration: 2s, actions: [{id: restart, target: one, action: restart}]}]"
CLAIMS = """  assertions:
    - {id: whole, type: expression, expect: "claims.quick.verdict == 'passed' && phases.chaos.duration > faults.restart.effective_after"}
    - {id: back, type: recovery, target: one, of: restart, within: 8s}
    - {id: quick, type: expression, expect: "claims.back.took < 8.0 && faults.restart.target == 'one'"}
"""
WRONG = '    - {id: slow, type: expression, expect: "faults.restart.lasted > 3600.0"}\n'


def document(arena: "Arena", *wrong: str) -> str:
    return arena.document(PHASES, rest=CLAIMS + "".join(wrong))


def is_the_same_again(ended: "Ended") -> bool:
    found = rejudge([Told(line, written(line.event)) for line in ended.lines])
    return found is not None and found.same


async def test_they_are_judged_after_what_they_name_and_the_same_again(arena: "Arena") -> None:
    ended = await arena.run(document(arena))

    assert ended.verdict is Verdict.PASSED, ended
    assert [line.entity for line in ended.events(AssertionJudged) if line.entity in {"back", "quick", "whole"}] == [
        "back",
        "quick",
        "whole",
    ]
    assert is_the_same_again(ended)


async def test_one_that_is_not_true_fails_the_run_and_every_report_says_so(arena: "Arena") -> None:
    ended = await arena.run(document(arena, WRONG))

    fold = ReportFold(ended.state.id)
    for line in ended.lines:
        fold.apply(line)
    report = fold.report()
    (slow,) = [detail for detail in report.validation_results.assertion_details if detail.id == "slow"]
    assert (ended.verdict, ended.reason) == (Verdict.FAILED, Reason.CLAIM_FAILED), ended
    assert slow.message.startswith("not faults.restart.lasted > 3600.0: faults.restart.lasted is ")
    assert slow.evidence
    assert {*slow.evidence} <= {*report.evidence}
    assert slow.message.replace(">", "&gt;") in junit(report).decode()
    assert is_the_same_again(ended)


async def test_without_its_faults_one_that_asks_about_them_cannot_be_judged_and_the_rehearsal_passes(arena: "Arena") -> None:
    ended = await arena.run(document(arena), rehearse=True)

    assert ended.verdict is Verdict.PASSED, ended
    assert {name: ended.judged(name).control for name in ("back", "quick", "whole")} == dict.fromkeys(("back", "quick", "whole"), "control")
    assert is_the_same_again(ended)
