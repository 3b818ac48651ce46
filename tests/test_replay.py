"""Runs that are over, judged again from their journals."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.judgements import AssertionJudged
from messages.observations import EventMatched, ProbeSummary, ServiceDown
from messages.run_events import AssertionExpired, RunFinished
from messages.verdicts import Reason, Verdict
from runs.replay import Rejudged, Told, rejudge, written
from tests.recorded import BAD, GOOD, MUTATIONS, VAIN, Course, Line, lined, observed, recorded, run, stored

COURSES = {"good": GOOD, **BAD, "vain": VAIN}
VERDICTS = {"good": Verdict.PASSED, **dict.fromkeys(BAD, Verdict.FAILED), "vain": Verdict.INCONCLUSIVE}
JOURNALS = {name: run(course) for name, course in COURSES.items()}


def again(journal: list[Line]) -> Rejudged:
    found = rejudge(stored(journal))
    assert found is not None
    return found


def end_of(journal: list[Line]) -> RunFinished:
    (found,) = [line.event for line in journal if isinstance(line.event, RunFinished)]
    return found


def index_of(journal: list[Line], assertion: str) -> int:
    return next(n for n, line in enumerate(journal) if isinstance(line.event, AssertionJudged) and line.entity == assertion)


def with_event(journal: list[Line], index: int, **fields: object) -> list[Line]:
    event = journal[index].event.model_copy(update=fields)
    return [*journal[:index], replace(journal[index], event=event), *journal[index + 1 :]]


@pytest.mark.parametrize("name", COURSES)
def test_the_histories_come_to_what_they_are_made_for(name: str) -> None:
    failed = [line.entity for line in JOURNALS[name] if isinstance(line.event, AssertionJudged) and line.event.verdict is Verdict.FAILED]

    assert end_of(JOURNALS[name]).verdict is VERDICTS[name], end_of(JOURNALS[name])
    assert len(failed) == (name in BAD), failed


@pytest.mark.parametrize("name", COURSES)
@pytest.mark.parametrize("late", [0, 1, 5])
def test_a_run_comes_out_the_same_however_far_behind_the_validator_read(name: str, late: int) -> None:
    found = again(run(COURSES[name], late))

    assert found.same
    assert {claim.outcome for claim in found.claims} == {"same"}
    assert len(found.claims) == 5
    assert written(found.run.again) == written(found.run.stored)


def test_a_verdict_that_was_changed_is_found_and_so_is_what_follows_from_it_for_the_run() -> None:
    journal = JOURNALS["breach"]
    index = index_of(journal, "no-breach")
    tampered = with_event(journal, index, verdict=Verdict.PASSED, reason=None)

    found = again(tampered)

    assert not found.same
    (claim,) = [claim for claim in found.claims if claim.outcome == "differs"]
    assert (claim.assertion, claim.differs) == ("no-breach", ("verdict", "reason"))
    assert claim.stored is not None
    assert claim.again is not None
    assert (claim.stored.verdict, claim.again.verdict) == (Verdict.PASSED, Verdict.FAILED)
    assert found.run.same, "the end is what the true judgements come to"


@pytest.mark.parametrize(
    ("field", "value"), [("message", "all is well"), ("evidence", ("observer.web.service.up.1",)), ("measured", {"count": 7})]
)
def test_any_other_field_that_was_changed_is_named(field: str, value: object) -> None:
    journal = JOURNALS["good"]

    found = again(with_event(journal, index_of(journal, "back"), **{field: value}))

    assert [(claim.assertion, claim.differs) for claim in found.claims if claim.outcome == "differs"] == [("back", (field,))]


def test_an_end_that_was_changed_is_found() -> None:
    journal = JOURNALS["late"]

    found = again(with_event(journal, len(journal) - 1, verdict=Verdict.PASSED))

    assert not found.same
    assert found.run.differs == ("verdict",)
    assert found.run.again.verdict is Verdict.FAILED


def test_the_same_words_in_other_bytes_are_not_the_same() -> None:
    lines = stored(JOURNALS["good"])
    index = index_of(JOURNALS["good"], "up")
    lines[index] = Told(lines[index].recorded, lines[index].body.replace(b'":', b'": ', 1))

    found = rejudge(lines)

    assert found is not None
    assert [(claim.assertion, claim.differs) for claim in found.claims if claim.differs] == [("up", ("bytes",))]


def test_a_judgement_made_before_anybody_could_say_is_not_the_same() -> None:
    journal = JOURNALS["good"]
    index = index_of(journal, "back")
    early = [journal[index], *journal[:index], *journal[index + 1 :]]

    found = again(early)

    (claim,) = [claim for claim in found.claims if claim.outcome == "differs"]
    assert (claim.assertion, claim.again) == ("back", None)
    assert found.run.again.verdict is Verdict.INCONCLUSIVE, "what nobody could judge proves nothing"


def test_a_verdict_that_an_earlier_place_would_have_changed_is_told() -> None:
    """The recovery was seen, judged late, and meanwhile the journal was told something else."""
    lines = lined(observed(GOOD))
    matched = next(n for n, line in enumerate(lines) if isinstance(line.event, EventMatched) and line.entity == "no-breach")
    other = run(Course(breaches=1))
    breach = next(line.event for line in other if isinstance(line.event, EventMatched) and line.entity == "no-breach")
    journal = recorded([*lines[:matched], replace(lines[matched], event=breach), *lines[matched:]], late=2)
    journal = [line for line in journal if not (isinstance(line.event, AssertionJudged) and line.entity == "no-breach")]
    good = JOURNALS["good"][index_of(JOURNALS["good"], "no-breach")]
    journal = [*journal[:-1], replace(good, sequence=journal[-1].sequence - 1), journal[-1]]

    (claim,) = [claim for claim in again(journal).claims if claim.assertion == "no-breach"]

    assert claim.outcome == "same"
    assert claim.earlier is not None
    assert claim.earlier.verdict is Verdict.FAILED


@pytest.mark.parametrize("between", [1, 100])
def test_a_judgement_is_the_same_if_the_validator_had_not_read_the_last_lines_yet(between: int) -> None:
    """What came meanwhile would have been its evidence."""
    journal = JOURNALS["good"]
    matched = next(line for line in journal if isinstance(line.event, EventMatched) and line.entity == "fills")
    place = index_of(journal, "fills")
    more = [replace(matched, event=matched.event.model_copy(update={"number": number + 2})) for number in range(between)]

    found = again([*journal[:place], *more, *journal[place:]])

    (claim,) = [claim for claim in found.claims if claim.assertion == "fills"]
    assert (claim.outcome, claim.known) == ("same", matched.sequence)
    assert claim.earlier is None


def test_a_claim_that_nobody_judged_in_time_is_told_as_such() -> None:
    journal = [line for line in JOURNALS["good"][:-1] if not (isinstance(line.event, AssertionJudged) and line.entity == "no-breach")]
    expired = AssertionExpired(assertion="no-breach", reason=Reason.GAP, message="nobody judged it")
    journal = [*journal, replace(journal[-1], event=expired, actor="scheduler", entity="no-breach")]

    found = rejudge(stored([*journal, JOURNALS["good"][-1]]))

    assert found is not None
    assert [claim.outcome for claim in found.claims if claim.assertion == "no-breach"] == ["expired"]
    assert found.run.again.verdict is Verdict.INCONCLUSIVE


def test_a_run_that_is_not_over_is_not_judged_again() -> None:
    assert rejudge(stored(JOURNALS["good"][:-1])) is None
    assert rejudge([]) is None


@given(st.sampled_from(sorted(BAD)), st.sampled_from(sorted(MUTATIONS)), st.data())
def test_no_mutation_of_a_journal_makes_a_failed_run_come_out_as_passed(name: str, mutation: str, data: st.DataObject) -> None:
    journal = JOURNALS[name]
    index = data.draw(st.integers(1, len(journal) - 2))

    found = rejudge(stored(MUTATIONS[mutation](journal, index)))

    assert found is not None
    assert not (found.same and found.run.again.verdict is Verdict.PASSED)


@given(st.sampled_from(sorted(BAD)), st.sampled_from(sorted(MUTATIONS)), st.data())
def test_no_mutation_of_what_was_observed_makes_a_run_pass_that_failed(name: str, mutation: str, data: st.DataObject) -> None:
    lines = lined(observed(BAD[name]))
    index = data.draw(st.integers(1, len(lines) - 1))

    journal = recorded(MUTATIONS[mutation](lines, index))

    assert end_of(journal).verdict is not Verdict.PASSED, lines[index]


MAY_BE_MISSING = {
    "run.run.started",
    "restart.fault.armed",
    "restart.fault.reverted",
    "chaos.phase.finished",
    "events.event.counted",
    "baseline.observed.until",
    "recover.observed.until",
}
"""Lines of a good run that none of its claims rests on; of the watermarks each is covered by another one or by what was matched."""


def passed_still(mutation: str) -> set[str]:
    """The lines without whose change the run passes, the samples aside: one of them more or less is no gap."""
    lines = lined(observed(GOOD))
    return {
        f"{line.entity}.{line.event.type_name()}"
        for index, line in enumerate(lines[1:], start=1)
        if not isinstance(line.event, ProbeSummary) and end_of(recorded(MUTATIONS[mutation](lines, index))).verdict is Verdict.PASSED
    }


def test_a_good_run_does_not_pass_without_any_line_that_its_claims_rest_on() -> None:
    assert passed_still("drop") == MAY_BE_MISSING


def test_a_good_run_does_not_pass_when_what_its_claims_rest_on_came_late() -> None:
    good = passed_still("delay")

    assert not good & {"web.service.up", "restart.fault.injected", "restart.fault.effective", "baseline.phase.started"}


def test_a_change_that_is_missing_between_others_is_no_reason_to_pass() -> None:
    """It was down for a moment: without the line that says so it looks as if it had been up all the time."""
    lines = [line for line in lined(observed(BAD["sick"])) if not (isinstance(line.event, ServiceDown) and line.event.number == 2)]

    journal = recorded(lines)

    judged = journal[index_of(journal, "up")].event
    assert isinstance(judged, AssertionJudged)
    assert (judged.verdict, judged.reason) == (Verdict.INCONCLUSIVE, Reason.GAP)
    assert judged.message == "the journal has change of health 3 of web, but not number 2"


def test_a_good_run_does_not_pass_without_samples() -> None:
    for probe, claim in (("quote", "quick"), ("web", "up")):
        lines = [line for line in lined(observed(GOOD)) if not (isinstance(line.event, ProbeSummary) and line.entity == probe)]
        journal = recorded(lines)
        event = journal[index_of(journal, claim)].event

        assert isinstance(event, AssertionJudged)
        assert event.verdict is Verdict.INCONCLUSIVE
