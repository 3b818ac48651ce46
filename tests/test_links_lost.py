"""A run whose links were lost says nothing of its system; neither does a fault that ended before it was told to."""

from datetime import timedelta

import pytest

from messages.claims.event import EventClaim
from messages.fault_events import ActionFailed, FaultArmed, FaultEffective, FaultInjected, FaultReverted
from messages.judgements import AssertionJudged
from messages.link_events import LinksLost, LinksOpened
from messages.run_events import ActionRequested, PhaseFinished
from messages.undo import Undo
from messages.verdicts import Reason, Verdict
from runs.verdict import verdict_of
from tests.test_measurements import IDENTITY, Journal
from tests.test_validator import BEGIN, Looked

ZERO = timedelta()
OPENED = LinksOpened(identity=IDENTITY, control="127.0.0.1:1", addresses={})
LOST = LinksLost(number=1, code=-9, message="Too many open files")


@pytest.mark.parametrize("verdict", [Verdict.PASSED, Verdict.FAILED])
def test_a_run_whose_links_were_lost_is_inconclusive_whatever_was_judged(verdict: Verdict) -> None:
    journal = Journal()
    journal.add(1, OPENED)
    judged = AssertionJudged(assertion="c", verdict=verdict, reason=None, message="as it was seen", evidence=(), measured={})
    journal.add(2, judged)
    before = verdict_of(journal.state)
    journal.add(3, LOST)

    found = verdict_of(journal.state)

    assert before.reason is not Reason.GAP
    assert (found.verdict, found.reason, found.cause) == (Verdict.INCONCLUSIVE, Reason.GAP, "any.links.links.lost.1")
    assert "ended by itself with code -9" in found.message
    assert "Too many open files" in found.message


def test_proxies_of_a_run_are_told_apart() -> None:
    assert OPENED.ordinal != OPENED.model_copy(update={"number": 2}).ordinal


def looked_at() -> Looked:
    looked = Looked()
    action = looked.view.state.scenario.spec.phases[0].actions[0]
    looked.add(ActionRequested(fault_id="f", phase="chaos", target="a", action=action))
    looked.add(FaultArmed(fault_id="f", target="a", action="kill", until=BEGIN, undo=Undo(kind="process.start", service="a")))
    looked.add(FaultInjected(fault_id="f", took=ZERO, ago=ZERO))
    looked.add(FaultEffective(fault_id="f", how="it shows", ago=ZERO))
    return looked


def judged(looked: Looked) -> AssertionJudged:
    looked.open(EventClaim.model_validate({"id": "c", "type": "event", "where": "true", "after": "f.injected"}))
    looked.add(PhaseFinished(phase="chaos", kind="phase"))
    looked.matched("c", 1, final=True)
    (found,) = looked.judged()
    return found


def test_a_claim_that_is_judged_after_the_links_were_lost_is_inconclusive() -> None:
    looked = looked_at()
    looked.add(LOST)

    found = judged(looked)

    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, Reason.GAP)


def test_a_claim_about_a_fault_that_ended_before_it_was_told_to_is_inconclusive() -> None:
    calm, lost = looked_at(), looked_at()
    reverted = FaultReverted(fault_id="f", took=ZERO, ago=ZERO, by="itself", found_undone=True)
    for looked in (calm, lost):
        looked.add(reverted)
    lost.add(ActionFailed(action_id="f", reason=Reason.NO_EFFECT, message="what held the packets back ended by itself"))

    usual, found = judged(calm), judged(lost)

    assert usual.verdict is Verdict.PASSED
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, Reason.NO_EFFECT)
    assert "f ended before it was told to" in found.message
    assert verdict_of(lost.view.state).verdict is Verdict.INCONCLUSIVE
