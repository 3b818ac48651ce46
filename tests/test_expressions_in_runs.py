"""Expression claims in whole runs: judged as the others are, the same again from the journal, afresh, and in a rehearsal."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import TypeAdapter

from actors.scheduler.claims import JUDGE_BUDGET, deadlines
from messages.claims import AnyClaim, ExpressionClaim
from messages.events import RunEvent
from messages.judgements import AssertionJudged
from messages.run_events import AssertionExpired, AssertionOpened, PhaseFinished, RunAccepted, RunFinished
from messages.scenario import Scenario
from messages.verdicts import Reason, Verdict
from runs.afresh import judge_afresh, known_at_end
from runs.judging import Evidence
from runs.rehearsals import role_of
from runs.replay import rejudge
from scenarios.new_claims import with_claims
from tests.recorded import BAD, GOOD, RUN, SCENARIO, SYSTEM, Course, Line, at, lined, observed, recorded, stored
from tests.test_rehearsals import EVENT, HTTP, RECOVERY
from tests.test_scheduler_decide import scenario

CLAIM: TypeAdapter[AnyClaim] = TypeAdapter(AnyClaim)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
VAIN = (Verdict.INCONCLUSIVE, Reason.NO_EFFECT)
SOON = "claims.back.took < 2.0 && claims.quick.measured < 0.1 && faults.restart.lasted > 0.5"


def expression(expect: str, name: str = "c") -> ExpressionClaim:
    return ExpressionClaim(id=name, type="expression", expect=expect)


def run(course: Course, *claims: ExpressionClaim, late: int = 0, phase: str | None = None) -> list[Line]:
    """The journal of a run that has these claims beside its own."""
    lines, spec = lined(observed(course)), SCENARIO.spec
    phases = tuple(p.model_copy(update={"assertions": (*p.assertions, *claims)}) if p.name == phase else p for p in spec.phases)
    whole = (*spec.assertions, *(() if phase is not None else claims))
    document = SCENARIO.model_copy(update={"spec": spec.model_copy(update={"phases": phases, "assertions": whole})})
    accepted = lines[0].event
    assert isinstance(accepted, RunAccepted)
    lines[0] = replace(lines[0], event=accepted.model_copy(update={"scenario": document}))
    first = next(n for n, line in enumerate(lines) if isinstance(line.event, AssertionOpened))
    opened = (AssertionOpened(assertion=claim.id, claim=claim, phase=phase, opens=at(1)) for claim in claims)
    more = [replace(lines[first], event=event, entity=event.entity) for event in opened]
    return recorded([*lines[:first], *more, *lines[first:]], late)


def judged(journal: Iterable[Line], name: str = "c") -> AssertionJudged:
    (found,) = [line.event for line in journal if isinstance(line.event, AssertionJudged) and line.entity == name]
    return found


def end_of(journal: Iterable[Line]) -> RunFinished:
    (found,) = [line.event for line in journal if isinstance(line.event, RunFinished)]
    return found


@pytest.mark.parametrize(
    ("expect", "course", "expected"),
    [
        (SOON, GOOD, PASSED),
        ("claims.back.took < 1.0", GOOD, FAILED),
        ("claims['no-breach'].verdict == 'passed'", GOOD, PASSED),
        ("claims['no-breach'].verdict == 'passed'", BAD["breach"], FAILED),
        (SOON, Course(effect=False), VAIN),
        ("claims.quick.verdict == 'passed' && faults.restart.injected > 0.0", Course(effect=False), VAIN),
        ("claims.back.took < 2.0", BAD["late"], (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)),
        ("phases.chaos.duration > 5.0 * faults.restart.effective_after", GOOD, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("late", [0, 5])
def test_a_run_is_judged_by_them_and_comes_out_the_same_again(
    expect: str, course: Course, expected: tuple[Verdict, Reason | None] | None, late: int
) -> None:
    journal = run(course, expression(expect), late=late)

    found = rejudge(stored(journal))

    assert (judged(journal).verdict, judged(journal).reason) == (expected or PASSED)
    assert found is not None
    assert found.same
    assert end_of(journal).verdict is not Verdict.PASSED or expected in {PASSED, None}


def test_one_in_a_phase_waits_for_claims_that_are_judged_after_the_run() -> None:
    journal = run(GOOD, expression("claims['no-breach'].verdict == 'passed'"), phase="baseline")

    names = [line.entity for line in journal if isinstance(line.event, AssertionJudged)]
    assert names.index("no-breach") < names.index("c")
    assert judged(journal).verdict is Verdict.PASSED
    assert judged(journal).evidence == ("validator.no-breach.assertion.judged.0", *judged(journal, "no-breach").evidence)


def test_one_may_name_another() -> None:
    first, second = expression("claims.d.verdict == 'passed'"), expression("claims.back.took < 2.0", "d")

    journal = run(GOOD, first, second)

    assert judged(journal).verdict is judged(journal, "d").verdict is Verdict.PASSED


def test_a_judgement_that_was_changed_is_found_and_so_is_the_one_that_names_it() -> None:
    journal = run(GOOD, expression("claims.back.took < 2.0"))
    index = next(n for n, line in enumerate(journal) if isinstance(line.event, AssertionJudged) and line.entity == "back")
    longer = journal[index].event.model_copy(update={"measured": {"took": timedelta(seconds=3)}})

    found = rejudge(stored([*journal[:index], replace(journal[index], event=longer), *journal[index + 1 :]]))

    assert found is not None
    assert {claim.assertion for claim in found.claims if claim.outcome == "differs"} == {"back", "c"}


AFRESH = """
assertions:
  - {id: c, type: expression, expect: "%s"}
  - {id: back, type: recovery, target: web, of: restart, within: 3s}
  - {id: before, type: latency, probe: quote, percentile: 90, at_most: 1s, before: restart}
  - {id: after, type: latency, probe: quote, percentile: 90, at_most: 1s, after: restart}
  - {id: asked, type: http, url: "http://h:1/x"}
"""


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ("claims.after.measured < 2.0 * claims.before.measured", PASSED),
        ("claims.after.measured > 2.0 * claims.before.measured", FAILED),
        ("claims.back.took < 2.0 && faults.restart.restored_by == 'itself'", PASSED),
        ("claims.asked.verdict == 'passed'", (Verdict.INCONCLUSIVE, Reason.GAP)),
    ],
)
def test_an_old_run_is_judged_by_new_ones_in_whatever_order_they_stand(expect: str, expected: tuple[Verdict, Reason | None]) -> None:
    view = known_at_end(RUN, run(GOOD))
    new = with_claims(AFRESH % expect, file="new.yaml", scenario=SCENARIO, system=SYSTEM)

    found = judge_afresh(view, new, {})

    assert [claim.assertion for claim in found.claims] == ["c", "back", "before", "after", "asked"]
    assert (found.claims[0].verdict, found.claims[0].reason) == expected


def expired(journal: Iterable[Line], seconds: float) -> list[str]:
    """The claims that nobody judged until then."""
    view = Evidence(RUN)
    for line in journal:
        view.apply(line)
    return [event.entity for event in deadlines(view.state, at(seconds), at(-10), [])]


def test_it_is_given_up_only_when_what_it_names_was_judged_long_ago() -> None:
    claim = expression("claims['no-breach'].verdict == 'passed'")
    journal = [line for line in run(GOOD, claim, phase="baseline") if not isinstance(line.event, AssertionJudged | RunFinished)]
    no_recovery = [line for line in journal if not (isinstance(line.event, PhaseFinished) and line.entity == "recover")]
    budget, others = JUDGE_BUDGET.total_seconds(), ["fills", "up", "quick", "back", "no-breach"]
    told: RunEvent = AssertionJudged(assertion="no-breach", verdict=Verdict.PASSED, reason=None, message="m", evidence=("e",))
    later = [*journal, replace(journal[-1], event=told, at=at(30), actor="validator", entity="no-breach")]

    assert "c" not in expired(no_recovery, 1000)
    assert sorted(expired(journal, 1000)) == sorted(others)
    assert "c" not in expired(later, 29.9 + budget)
    assert "c" in expired(later, 30 + budget)


def test_one_that_names_a_claim_that_nobody_judged_is_inconclusive() -> None:
    view = Evidence(RUN)
    journal = run(GOOD, expression("claims['no-breach'].verdict != 'failed'"))
    for line in journal:
        view.apply(line)
    unjudged = [line for line in journal if not isinstance(line.event, AssertionJudged | RunFinished)]
    gone = AssertionExpired(assertion="no-breach", reason=Reason.GAP, message="nobody judged it in time")

    again = recorded([*unjudged[:-3], replace(unjudged[-1], event=gone, actor="scheduler", entity="no-breach")])

    assert (judged(again).verdict, judged(again).reason) == (Verdict.INCONCLUSIVE, Reason.GAP)
    assert judged(again).evidence == ("scheduler.no-breach.assertion.expired.0",)


CHAOS = """{"name": "calm", "duration": "1s"}, {"name": "chaos", "duration": "5s",
  "actions": [{"id": "kill", "target": "engine", "action": "kill"}], "assertions": [%s]}"""
BESIDE: dict[str, dict[str, object]] = {
    "alert": {**EVENT, "during": "kill"},
    "none": {**EVENT, "never": True},
    "answers": {**HTTP, "throughout": True},
    "back": {**RECOVERY},
    "both": {"type": "expression", "expect": "claims.back.took < 2.0"},
}


def document() -> Scenario:
    claims = [CLAIM.validate_python({"id": name, **words}, strict=False) for name, words in BESIDE.items()]
    return scenario(CHAOS % ", ".join(claim.model_dump_json(by_alias=True) for claim in claims))


@pytest.mark.parametrize(
    ("expect", "words", "role"),
    [
        ("claims.none.verdict == 'passed'", {}, "bound"),
        ("claims.answers.answers > 5.0 && phases.chaos.duration < 9.0", {}, "bound"),
        ("claims.answers.answers < 5.0", {"without_fault": "fails"}, "effect"),
        ("claims.none.verdict == 'passed'", {"during": "kill"}, "bound"),
        ("claims.alert.verdict == 'passed'", {}, "recovery"),
        ("claims.back.took < 2.0", {}, "recovery"),
        ("claims.both.verdict == 'passed'", {}, "recovery"),
        ("faults.kill.lasted < 2.0", {}, "recovery"),
    ],
)
def test_what_one_is_to_a_rehearsal_follows_from_what_it_names(expect: str, words: dict[str, object], role: str) -> None:
    claim = CLAIM.validate_python({"id": "c", "type": "expression", "expect": expect, **words}, strict=False)

    assert role_of(document(), claim, "chaos") == role
