"""Claims over service events: `event`, `audit`, `continuity`. The observer's part is played by their own matchers and tallies."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from messages.claims import AnyClaim, AuditClaim, Claim, ContinuityClaim, EventClaim, FaultHistory, History, Scope, ServiceEvent, Window
from messages.claims.claim import KEPT, REMEMBERED, Tally
from messages.expressions import Bindings, ExpressionError
from messages.observations import EventMatched, Match
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
SERVICES = {"engine": frozenset({"engine", "trading-engine"}), "exchange": frozenset({"exchange"})}
WINDOW = (0.0, 10.0)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Sent:
    """A service event, as a table writes it."""

    type: str
    at: float
    id: str = ""
    source: str = "engine"
    data: Any = None


def sent(number: int, event: Sent) -> ServiceEvent:
    name = event.id or f"e{number}"
    values = {"type": event.type, "id": name, "source": event.source, "data": event.data or {}}
    return ServiceEvent(name, event.type, event.source, number, at(event.at), Bindings({"event": values}))


def observed(
    claim: Claim,
    events: list[Sent],
    window: tuple[float, float | None] = WINDOW,
    grace: float = 0.0,
    *,
    final: bool = True,
    gap: bool = False,
) -> EventMatched:
    """What an observer records of these events, which it sees in this order, for this window."""
    matcher = claim.matcher(SERVICES)
    assert matcher is not None
    tally, seen, evaluated, errors, error = matcher.tally(), 0, 0, 0, None
    opens, closes = window
    for number, event in enumerate(events):
        if event.at < opens or (closes is not None and event.at >= closes):
            continue
        seen += 1
        if matcher.types is not None and event.type not in matcher.types:
            continue
        evaluated += 1
        try:
            found = matcher.match(sent(number, event))
        except ExpressionError as problem:
            errors, error = errors + 1, error or str(problem)
            continue
        if found is not None:
            tally.see(sent(number, event).matched(found.key), in_grace=closes is not None and event.at >= closes - grace)
    return EventMatched(
        assertion="a",
        number=1,
        opens=at(opens),
        closes=None if closes is None else at(closes),
        until=at(closes or 1),
        through=len(events),
        final=final,
        count=tally.count,
        seen=seen,
        evaluated=evaluated,
        errors=errors,
        error=error,
        gap=gap,
        first=tally.first,
        last=tally.last,
        kept=tally.kept,
        keys=tally.keys,
    )


def history(matched: EventMatched | None, window: tuple[float | None, float | None] = WINDOW) -> History:
    opens, closes = window
    judged = Window(None if opens is None else at(opens), None if closes is None else at(closes))
    return History(window=judged, matched=matched, matched_evidence="observer.a.event.matched.1")


def verdict(claim: Claim, past: History) -> tuple[Verdict, Reason | None] | None:
    found = claim.judge(past)
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


FAILED = (Verdict.FAILED, Reason.CLAIM_FAILED)
PASSED = (Verdict.PASSED, None)
NO_SAMPLES = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)
JUDGE_ERROR = (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)
YES = True
GAP = (Verdict.INCONCLUSIVE, Reason.GAP)


def event(where: str = "event.type == 'fill'", **words: Any) -> EventClaim:
    return EventClaim(type="event", where=where, **words)


FILL, OTHER = Sent("fill", 3), Sent("quote", 3)


@pytest.mark.parametrize(
    ("claim", "events", "expected"),
    [
        pytest.param(event(), [], NO_SAMPLES, id="nothing seen"),
        pytest.param(event(never=True), [], NO_SAMPLES, id="never, and nothing seen"),
        pytest.param(event(at_most=3), [], NO_SAMPLES, id="at most, and nothing seen"),
        pytest.param(event(), [OTHER], FAILED, id="other events but none that match"),
        pytest.param(event(), [OTHER, Sent("fill", 10)], FAILED, id="at the very end is too late"),
        pytest.param(event(), [OTHER, Sent("fill", -0.001)], FAILED, id="before the window"),
        pytest.param(event(at_least=2), [FILL, OTHER], FAILED, id="too few"),
        pytest.param(event(at_least=2), [Sent("fill", 1, "x"), Sent("fill", 2, "x")], FAILED, id="one event delivered twice is one"),
        pytest.param(event(at_most=1), [Sent("fill", 1, "x"), Sent("fill", 2, "x")], PASSED, id="redelivery breaks no upper bound"),
        pytest.param(event(at_most=1), [Sent("fill", 1), Sent("fill", 2)], FAILED, id="too many"),
        pytest.param(event(at_least=2), [Sent("fill", 1, "x"), Sent("fill", 2, "x", "exchange")], PASSED, id="ids count per source"),
        pytest.param(event(never=True), [FILL], FAILED, id="never broken"),
        pytest.param(event(never=True), [OTHER], PASSED, id="never, with other events"),
        pytest.param(event("event.source == 'exchange'"), [FILL], FAILED, id="only in another service"),
        pytest.param(event("event.data.n > 1"), [FILL, Sent("fill", 4, data={"n": 2})], PASSED, id="one event without the field"),
        pytest.param(event("event.data.n > 1", never=True), [FILL, Sent("fill", 4, data={"n": 1})], PASSED, id="never, one unreadable"),
        pytest.param(event("event.data.n > 1", never=True), [FILL, OTHER], JUDGE_ERROR, id="all erring"),
        pytest.param(event("event.data.n > 1", at_least=1), [FILL, OTHER], JUDGE_ERROR, id="all erring is no failure either"),
        pytest.param(
            event("event.type == 'fill' && event.data.typo > 1", never=True), [FILL, OTHER], JUDGE_ERROR, id="all of its type erring"
        ),
        pytest.param(event("event.data.l[0] == 1", never=True), [Sent("a", 1, data={"l": []})], JUDGE_ERROR, id="an index beyond the list"),
        pytest.param(event("1 / event.data.n == 1", never=True), [Sent("a", 1, data={"n": 0})], JUDGE_ERROR, id="a division by zero"),
        pytest.param(event(at_least=1, at_most=2), [FILL], PASSED, id="in between"),
        pytest.param(event(at_least=1, at_most=2), [OTHER], FAILED, id="below a range"),
    ],
)
def test_an_event_claim_is_judged_by_what_matched_in_its_window(claim: EventClaim, events: list[Sent], expected: object) -> None:
    assert verdict(claim, history(observed(claim, events))) == expected


def test_absence_is_judged_only_when_all_was_seen() -> None:
    never, rare, range_ = event(never=True), event(at_most=2), event(at_least=1, at_most=2)

    for claim in (never, rare, range_):
        lagging = history(observed(claim, [FILL if claim is not never else OTHER], final=False))
        unended = history(observed(claim, [OTHER], (0, None), final=False), (0, None))
        assert verdict(claim, lagging) is None
        assert verdict(claim, unended) is None
        assert verdict(claim, history(None)) is None


def test_what_rests_on_presence_is_judged_when_seen() -> None:
    assert verdict(event(), history(observed(event(), [FILL], (0, None), final=False), (0, None))) == PASSED
    assert verdict(event(never=True), history(observed(event(never=True), [FILL], (0, None), final=False), (0, None))) == FAILED


@pytest.mark.parametrize("words", [{"before": "crash.injected"}, {"during": "crash"}])
def test_no_pass_is_given_while_a_moment_may_yet_end_the_window_before_the_match(words: dict[str, str]) -> None:
    claim = event(**words)
    early = observed(claim, [Sent("fill", 3)], (0, None), final=False)

    assert verdict(claim, history(early, (0, None))) is None
    assert verdict(claim, history(early, (0, 2.9))) is None
    assert verdict(claim, history(early, (0, 3.1))) == PASSED


@pytest.mark.parametrize("words", [{"before": "crash.injected"}, {"during": "crash"}])
def test_a_time_that_is_known_does_not_end_a_window_before_the_moment_that_is_not(words: dict[str, str]) -> None:
    """`within` says an end at once. The moment may turn out to have come before the match all the same."""
    crash = FaultHistory("crash", "engine", "kill")
    for claim in (event(**words, within=timedelta(seconds=10)), audit("fill", **words, within=timedelta(seconds=10))):
        early = replace(history(observed(claim, [Sent("fill", 3)], final=False)), faults={"crash": crash})
        over = replace(early, matched=observed(claim, [Sent("fill", 3)]))

        assert verdict(claim, early) is None
        assert verdict(claim, replace(early, faults={"crash": replace(crash, injected=at(12), gone=at(12))})) == PASSED
        assert verdict(claim, over) == PASSED


def test_matches_after_an_end_that_came_to_be_known_later_break_no_never() -> None:
    early = observed(event(never=True), [Sent("fill", 3)], (0, None), final=False)

    assert verdict(event(never=True), history(early, (0, 2.9))) is None


def test_a_summary_of_another_window_judges_nothing() -> None:
    for claim in (event(), event(never=True)):
        for matched in (observed(claim, [FILL], (-5, 10)), observed(claim, [FILL], (1, 10))):
            assert verdict(claim, history(matched)) is None
    assert verdict(event(), history(observed(event(), [FILL]), (None, None))) is None


def test_a_gap_spares_what_was_seen_and_nothing_else() -> None:
    assert verdict(event(), history(observed(event(), [FILL], gap=True))) == PASSED
    assert verdict(event(never=True), history(observed(event(never=True), [FILL], gap=True))) == FAILED
    for claim in (event(never=True), event(at_least=2), event(at_most=4)):
        assert verdict(claim, history(observed(claim, [OTHER], gap=True))) == GAP
        assert verdict(claim, history(observed(claim, [], gap=True))) == GAP


def test_a_pass_without_evidence_is_inconclusive() -> None:
    past = replace(history(observed(event(), [FILL])), matched_evidence=None)

    assert verdict(event(), past) == NO_SAMPLES


def test_errors_are_counted_in_the_message_of_a_pass() -> None:
    claim = event("event.data.n > 1", never=True)

    found = claim.judge(history(observed(claim, [FILL, Sent("fill", 4, data={"n": 1})])))

    assert found is not None
    assert "could not be evaluated on 1: there is no 'n'" in found.message


def test_an_old_summary_without_evaluated_is_judged_by_all_that_was_seen() -> None:
    claim = event("event.data.n > 1", never=True)
    old = observed(claim, [FILL, OTHER]).model_copy(update={"evaluated": None})

    assert verdict(claim, history(old)) == JUDGE_ERROR


def test_the_example_of_a_broken_bound_is_the_match_that_broke_it() -> None:
    claim = event(at_most=1)

    found = claim.judge(history(observed(claim, [Sent("fill", 1, "one"), Sent("fill", 2, "two"), Sent("fill", 3, "three")])))

    assert found is not None
    assert "id two" in found.message


def audit(*sequence: str, **words: Any) -> AuditClaim:
    return AuditClaim(type="audit", target="engine", sequence=sequence, **words)


@pytest.mark.parametrize(
    ("sequence", "events", "expected"),
    [
        pytest.param("ab", [], NO_SAMPLES, id="nothing"),
        pytest.param("ab", [Sent("q", 1)], FAILED, id="other events"),
        pytest.param("ab", [Sent("b", 1), Sent("a", 2)], FAILED, id="the wrong order"),
        pytest.param("ab", [Sent("a", 1), Sent("b", 10)], FAILED, id="too late"),
        pytest.param("ab", [Sent("a", -1), Sent("b", 2)], FAILED, id="before the window"),
        pytest.param("ab", [Sent("a", 1), Sent("b", 2, source="exchange")], FAILED, id="in another service"),
        pytest.param("aa", [Sent("a", 1, "x"), Sent("a", 2, "x")], FAILED, id="one event delivered twice"),
        pytest.param("aa", [Sent("a", 1), Sent("a", 2)], PASSED, id="two events of one type"),
        pytest.param("ab", [Sent("a", 1), Sent("q", 2), Sent("a", 3), Sent("b", 4)], PASSED, id="others in between"),
        pytest.param("ab", [Sent("a", 1, source="trading-engine"), Sent("b", 2)], PASSED, id="by an alias"),
    ],
)
def test_an_audit_claim_wants_its_types_in_order(sequence: str, events: list[Sent], expected: object) -> None:
    claim = audit(*sequence)

    assert verdict(claim, history(observed(claim, events))) == expected


def test_a_complete_sequence_is_judged_at_once_and_an_incomplete_one_at_the_end() -> None:
    claim = audit("a", "b")
    half, whole = [Sent("a", 1)], [Sent("a", 1), Sent("b", 2)]

    assert verdict(claim, history(observed(claim, half, final=False))) is None
    assert verdict(claim, history(None)) is None
    assert verdict(claim, history(observed(claim, half, gap=True))) == GAP
    assert verdict(claim, history(observed(claim, whole, (0, None), gap=True, final=False), (0, None))) == PASSED
    assert verdict(claim, history(observed(claim, whole, (0, None), final=False), (0, 1.5))) is None
    assert verdict(audit("a", "b", before="x"), history(observed(claim, whole, (0, None), final=False), (0, None))) is None


def test_steps_of_other_types_are_no_sequence() -> None:
    claim = audit("a", "b")
    other = observed(audit("a", "c"), [Sent("a", 1), Sent("c", 2)])

    found = claim.judge(history(other))

    assert found is not None
    assert found.verdict is Verdict.FAILED
    assert "no b in the window" in found.message


def continuity(**words: Any) -> ContinuityClaim:
    return ContinuityClaim(type="continuity", key="event.data.k", opened_by="open", closed_by=("fill", "reject"), **words)


def opened(key: Any, when: float, **words: Any) -> Sent:
    return Sent("open", when, data={"k": key}, **words)


def closed(key: Any, when: float, **words: Any) -> Sent:
    return Sent("fill", when, data={"k": key}, **words)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([], NO_SAMPLES, id="nothing"),
        pytest.param([Sent("quote", 1)], NO_SAMPLES, id="only other events"),
        pytest.param([closed("1", 1)], NO_SAMPLES, id="closed and never opened: it met the window's edge"),
        pytest.param([Sent("open", 1), Sent("fill", 2)], JUDGE_ERROR, id="no event has the key"),
        pytest.param([opened("", 1), closed("", 2)], JUDGE_ERROR, id="an empty key is none"),
        pytest.param([opened(YES, 1), closed(YES, 2)], JUDGE_ERROR, id="a truth value is no key"),
        pytest.param([opened("1", 1), opened("2", 1), closed("1", 2)], FAILED, id="one lost"),
        pytest.param([opened("1", 1), closed("1", 12)], FAILED, id="closed after the grace"),
        pytest.param([opened("1", 1), Sent("fill", 2)], FAILED, id="the close has no key"),
        pytest.param([opened("1", 1), closed("1", 2), closed("1", 3)], FAILED, id="two closings are two"),
        pytest.param([opened("1", 1), closed("1", 2), Sent("reject", 3, data={"k": "1"})], FAILED, id="closed both ways"),
        pytest.param([opened("1", 1), closed("1", 2, id="x"), closed("1", 3, id="x", source="exchange")], FAILED, id="two services close"),
        pytest.param([opened("1", 1), closed("1", 2, id="x"), closed("1", 3, id="x")], PASSED, id="one closing delivered twice is one"),
        pytest.param([opened("1", 1), closed("1", 11)], PASSED, id="closed in the grace"),
        pytest.param([opened("1", 1), closed("1", 2), opened("2", 11)], PASSED, id="opened in the grace is not asked about"),
        pytest.param([opened(7, 1), closed(7, 2)], PASSED, id="a number is a key"),
        pytest.param([closed("0", 0.5), opened("1", 1), closed("1", 2)], PASSED, id="one more met the edge"),
        pytest.param([opened("1", 1), closed("1", 2), Sent("open", 3)], PASSED, id="one event without the field"),
    ],
)
def test_continuity_wants_each_opened_key_closed_exactly_once(events: list[Sent], expected: object) -> None:
    claim = continuity(grace=timedelta(seconds=2))

    assert verdict(claim, history(observed(claim, events, (0, 12), grace=2), (0, 12))) == expected


def timed_out(key: Any, when: float) -> Sent:
    return Sent("timeout", when, data={"k": key})


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([opened("1", 1), timed_out("1", 2)], NO_SAMPLES, id="of none is it known"),
        pytest.param([timed_out("1", 2)], NO_SAMPLES, id="nothing was opened"),
        pytest.param([opened("1", 1), opened("2", 1), timed_out("1", 2), closed("1", 3)], FAILED, id="another is lost"),
        pytest.param([opened("1", 1), timed_out("1", 2), closed("1", 3), closed("1", 4)], FAILED, id="closed twice"),
        pytest.param([opened("1", 1), closed("1", 2), opened("2", 1), timed_out("2", 12)], FAILED, id="left unknown after the grace"),
        pytest.param([opened("1", 1), closed("1", 2), opened("2", 1), Sent("timeout", 2)], FAILED, id="the key cannot be read"),
        pytest.param([opened("1", 1), closed("1", 2), opened("2", 1), timed_out("2", 11)], PASSED, id="left unknown in the grace"),
        pytest.param([opened("1", 1), timed_out("1", 2), closed("1", 3)], PASSED, id="closed though it was left unknown"),
        pytest.param([opened("1", 1), closed("1", 2), timed_out("3", 2)], PASSED, id="what was not opened in the window"),
    ],
)
def test_a_key_that_is_left_unknown_is_neither_lost_nor_asked_for(events: list[Sent], expected: object) -> None:
    claim = continuity(grace=timedelta(seconds=2), unknown_by="timeout")

    assert verdict(claim, history(observed(claim, events, (0, 12), grace=2), (0, 12))) == expected


def test_keys_that_were_left_unknown_are_counted_and_named() -> None:
    claim = continuity(unknown_by=("timeout", "stale"))
    events = [opened("1", 1), closed("1", 2), opened("2", 1), timed_out("2", 3), opened("3", 1), timed_out("3", 3), closed("3", 4)]
    seen = observed(claim, events)
    found = claim.judge(history(seen))

    assert seen.keys is not None
    assert (seen.keys.unknown, seen.keys.unknown_count, seen.keys.open_count, seen.keys.closed_once) == (("2",), 1, 0, 2)
    assert found is not None
    assert (found.verdict, found.measured["unknown"]) == (Verdict.PASSED, 1)
    assert found.message == "2 of 3 opened were closed exactly once; of 1 nobody knows: 2"


def test_what_opens_or_closes_leaves_nothing_unknown() -> None:
    assert [p.path for p in continuity(unknown_by="fill").problems(SCOPE)] == [("unknown_by",)]
    assert [p.path for p in continuity(unknown_by=("timeout", "open")).problems(SCOPE)] == [("unknown_by",)]
    assert list(continuity(unknown_by="timeout").problems(SCOPE)) == []


def test_continuity_passes_only_when_all_was_seen() -> None:
    claim, fine = continuity(), [opened("1", 1), closed("1", 2)]

    assert verdict(claim, history(observed(claim, fine, final=False))) is None
    assert verdict(claim, history(observed(claim, fine, (0, None), final=False), (0, None))) is None
    assert verdict(claim, history(None)) is None
    assert verdict(claim, history(observed(claim, fine, gap=True))) == GAP
    assert verdict(claim, history(observed(claim, [*fine, opened("2", 3)], gap=True))) == GAP


def test_a_second_closing_is_judged_at_once_if_it_lies_in_the_window() -> None:
    claim = continuity()
    twice = observed(claim, [opened("1", 1), closed("1", 2), closed("1", 3)], (0, None), final=False)

    assert verdict(claim, history(twice, (0, None))) == FAILED
    assert verdict(claim, history(twice, (0, 2.5))) is None


def test_keys_that_do_not_add_up_pass_nothing() -> None:
    claim = continuity()
    fine = observed(claim, [opened("1", 1), closed("1", 2)])
    assert fine.keys is not None
    odd = fine.model_copy(update={"keys": fine.keys.model_copy(update={"opened": 2})})

    assert verdict(claim, history(odd)) == FAILED
    assert verdict(claim, history(fine.model_copy(update={"keys": None}))) == NO_SAMPLES


def test_all_keys_are_counted_and_a_hundred_named() -> None:
    claim = continuity()

    keys = observed(claim, [opened(str(n), 1) for n in range(250)]).keys

    assert keys is not None
    assert (keys.opened, keys.open_count, len(keys.open)) == (250, 250, 100)


def test_a_tally_keeps_few_matches_and_remembers_many() -> None:
    tally = Tally()
    matches = [Match(id=str(n), type="t", source="s", sequence=n, at=START) for n in range(REMEMBERED + 5)]

    for match in (*matches, *matches[-1000:]):
        tally.see(match)

    assert tally.count == len(matches)
    assert (len(tally.kept), tally.first, tally.last) == (KEPT, matches[0], matches[-1])


SCOPE = Scope(SERVICES, {"crash": ("engine", "kill"), "halt": ("engine", "pause"), "ex": ("exchange", "restart")}, "chaos")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"type": "event", "where": "event.type =="}, "not an expression"),
        ({"type": "event", "where": "true", "throughout": True}, "cannot hold throughout"),
        ({"type": "event", "where": "true", "never": True, "at_least": 2}, "`never` excludes"),
        ({"type": "event", "where": "true", "at_least": 3, "at_most": 2}, "is less than"),
        ({"type": "event", "where": "true", "at_least": 0}, "always true"),
        ({"type": "event", "where": "true", "during": "crsh"}, "did you mean 'crash'"),
        ({"type": "event", "where": "true", "after": "crash.injectd"}, "did you mean 'injected'"),
        ({"type": "event", "where": "true", "during": "crash.gone"}, "not a moment of one"),
        ({"type": "event", "where": "true", "never": True, "within": timedelta(seconds=1)}, "exclude each other"),
        ({"type": "audit", "target": "engin", "sequence": ("a",)}, "did you mean 'engine'"),
        ({"type": "audit", "target": "engine", "sequence": ("a",), "never": True}, "either found or not"),
        ({"type": "continuity", "key": "event.data.k", "opened_by": "a", "closed_by": "a"}, "both opens and closes"),
        ({"type": "continuity", "key": "k(", "opened_by": "a", "closed_by": "b"}, "not an expression"),
        ({"type": "continuity", "key": "k", "opened_by": "a", "closed_by": "b", "never": True}, "at the window's end"),
        ({"type": "health", "target": ()}, "no target"),
        ({"type": "health", "target": "engine", "grace": timedelta(seconds=1)}, "no grace"),
        ({"type": "health", "target": "engine", "within": timedelta(seconds=1), "except": "disturbed"}, "`except` excuses"),
        ({"type": "recovery", "target": "exchange", "of": "ex", "within": timedelta(1), "during": "ex"}, "its own fault"),
        ({"type": "recovery", "target": "engine", "within": timedelta(1)}, "must name one"),
        ({"type": "recovery", "target": "engine", "of": "crash", "within": timedelta(1)}, "who brings it back"),
        ({"type": "recovery", "target": "engine", "of": "ex", "within": timedelta(1)}, "is a fault on 'exchange'"),
        ({"type": "recovery", "target": "engine", "of": "haltt", "within": timedelta(1)}, "did you mean 'halt'"),
    ],
)
def test_a_claim_that_cannot_mean_anything_is_a_problem(words: dict[str, Any], told: str) -> None:
    claim: Claim = TypeAdapter(AnyClaim).validate_python(words)

    assert any(told in f"{problem.what}; {problem.right}" for problem in claim.problems(SCOPE))
    assert claim.summary()


@pytest.mark.parametrize(
    "words",
    [
        {"type": "event", "where": "event.type == 'a'", "at_least": 2, "during": "crash", "grace": timedelta(seconds=1)},
        {"type": "audit", "target": "engine", "sequence": ("a", "b"), "within": timedelta(seconds=1)},
        {"type": "continuity", "key": "event.data.k", "opened_by": "a", "closed_by": ("b", "c"), "grace": timedelta(seconds=1)},
        {"type": "health", "target": ("engine", "exchange"), "throughout": True, "except": "disturbed"},
        {"type": "recovery", "target": "engine", "of": "crash", "within": timedelta(1), "by": "undo"},
    ],
)
def test_a_sound_claim_has_no_problem(words: dict[str, Any]) -> None:
    claim: Claim = TypeAdapter(AnyClaim).validate_python(words)

    assert list(claim.problems(SCOPE)) == []
    assert claim.summary()
