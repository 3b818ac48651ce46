"""What the observer computes, without any I/O: transitions, summaries, tallies, counts, marks."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.observer.counting import Counting
from actors.observer.evidence import packed
from actors.observer.matching import Counted, Followed, Instants, Matching, Reached, reference_of
from actors.observer.summaries import Sampled, Summaries
from actors.observer.transitions import Transitions
from messages.claims import AuditClaim, ContinuityClaim, EventClaim, LatencyClaim, ServiceEvent, Window
from messages.claims.latency import DurationMatcher, EventDurations
from messages.expressions import Bindings
from messages.observations import EventMatched
from targets.ticks import Tick

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
EVERY, MAX_GAP = timedelta(milliseconds=200), timedelta(seconds=3)


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def tick(intended: float, *, ok: bool = True, took: float = 0.01, missed: bool = False) -> Tick:
    return Tick(round(intended / 0.2), intended, timedelta(seconds=took), ok=ok, missed=missed, check="" if ok else "http", error="")


def sampled(seconds: float, *, ok: bool = True) -> Sampled:
    return Sampled(at(seconds), ok=ok, missed=False, took=timedelta(seconds=0.01))


def event(seconds: float, type_: str = "order.filled", name: str | None = None, **data: object) -> ServiceEvent:
    name = name or f"e{seconds}"
    body = {"id": name, "type": type_, "source": "engine", "data": data}
    return ServiceEvent(name, type_, "engine", round(seconds * 1000), at(seconds), Bindings({"event": body}))


def claim(where: str = "event.type == 'order.filled'") -> EventClaim:
    return EventClaim(id="a", type="event", where=where)


def followed(a_claim: EventClaim | ContinuityClaim) -> Followed:
    matcher = a_claim.matcher({})
    assert matcher is not None
    return Followed("a", a_claim, None, matcher)


def saw(matches: Followed, told: ServiceEvent) -> None:
    matches.see(told, told.at.timestamp())


def count(matches: Followed, opens: float, closes: float | None = None) -> Counted:
    return matches.count(Window(at(opens), None if closes is None else at(closes)), at(opens))


def ours(seconds: float) -> ServiceEvent:
    """An event of our own."""
    name, type_, source = "r.f.started", "chaos_injection_started", "test-coordinator"
    body = {"id": name, "type": type_, "source": source, "data": {"order_id": "7"}}
    return ServiceEvent(name, type_, source, round(seconds * 1000), at(seconds), Bindings({"event": body}))


def matched_of(a_claim: EventClaim | AuditClaim, *events: ServiceEvent) -> EventMatched:
    """What a claim has matched by 10 s of a window that was open from 0 to 10."""
    matching = Matching({"a": (a_claim, None)}, {"engine": frozenset({"engine"})})
    for each in events:
        matching.see(each)
    window, reached = Window(at(0), at(10)), Reached(at(10), 1, final=True)
    return matching.matched(matching.followed[0], window, at(0), reached, 1, lost=False)


@pytest.mark.parametrize("where", ["true", "event.type.startsWith('c')", "event.source != 'engine'", "event.data.order_id == '7'"])
def test_what_we_say_ourselves_is_no_evidence_that_the_system_said_anything(where: str) -> None:
    found = matched_of(claim(where), ours(1))

    assert (found.count, found.seen, found.evaluated) == (0, 0, 0)


@pytest.mark.parametrize("where", ["event.type == 'chaos_injection_started'", "event.source == 'test-coordinator'"])
def test_what_we_say_ourselves_counts_for_a_claim_that_asks_for_it(where: str) -> None:
    found = matched_of(claim(where), ours(1), event(2))

    assert (found.count, found.seen) == (1, 2)


def test_a_claim_that_leaves_our_events_out_does_not_take_them_for_the_systems() -> None:
    found = matched_of(claim("event.source != 'test-coordinator'"), ours(1))

    assert (found.count, found.seen) == (0, 0)


def test_what_we_say_ourselves_does_not_make_a_missing_story_a_false_one() -> None:
    story = AuditClaim(id="a", type="audit", target="engine", sequence=("order.filled",))

    assert matched_of(story, ours(1)).seen == 0
    assert matched_of(story, ours(1), event(2)).seen == 1


def test_the_first_sample_and_each_change_after_it_are_transitions() -> None:
    transitions = Transitions(EVERY, MAX_GAP)

    found = [transitions.see(tick(n * 0.2, ok=ok)) for n, ok in enumerate((True, True, False, False, True))]

    assert [change and (change.up, round(change.at, 2)) for change in found] == [(True, 0.01), None, (False, 0.4), None, (True, 0.81)]


def test_what_could_not_be_asked_is_another_bad_answer_and_a_change() -> None:
    transitions = Transitions(EVERY, MAX_GAP)
    kinds = ((False, False), (False, False), (False, True), (False, False), (True, True))

    found = [transitions.see(replace(tick(n * 0.2, ok=ok), asked=asked)) for n, (ok, asked) in enumerate(kinds)]

    assert [change and (change.up, change.asked) for change in found] == [(False, False), None, (False, True), (False, False), (True, True)]


def test_a_tick_that_was_not_sent_says_nothing_of_the_service() -> None:
    transitions = Transitions(EVERY, MAX_GAP)
    transitions.see(tick(0))

    assert transitions.see(tick(0.2, ok=False, missed=True)) is None
    assert transitions.see(tick(0.4)) is None


def test_a_long_stretch_of_unsent_ticks_is_a_gap_from_the_first_of_them() -> None:
    transitions = Transitions(EVERY, MAX_GAP)
    transitions.see(tick(0))

    short, long = transitions.unsent(tick(3)), transitions.unsent(tick(3.4))

    assert short is None
    assert long is not None
    assert (long.start, long.end) == (0.2, 3.4)


def test_transitions_stay_in_order_when_a_slow_good_sample_ends_after_the_next_bad_one_began() -> None:
    transitions = Transitions(EVERY, MAX_GAP)

    up, down = transitions.see(tick(0, took=0.9)), transitions.see(tick(0.2, ok=False))

    assert up is not None
    assert down is not None
    assert up.at <= down.at


def test_summaries_are_cut_at_edges_and_hold_each_tick_in_its_span() -> None:
    summaries = Summaries("s", at(0))
    for n in range(10):
        summaries.add(sampled(n * 0.2, ok=n != 3))

    found = summaries.through(at(1.9), [at(0.5), at(-4)])

    assert [(s.start, s.end, s.count, s.ok, s.failed) for s in found] == [(at(0), at(0.5), 3, 3, 0), (at(0.5), at(1.5), 5, 4, 1)]


@given(
    st.lists(st.floats(0, 20), max_size=5),
    st.lists(st.floats(0, 20), min_size=1, max_size=6).map(sorted),
)
def test_summaries_leave_no_hole_and_lose_no_tick(edges: list[float], looks: list[float]) -> None:
    summaries = Summaries("s", at(0))
    for n in range(101):
        summaries.add(sampled(n * 0.2))

    found = [s for look in [*looks, 20.2] for s in summaries.through(at(look), [at(e) for e in edges], rest=look > 20)]

    assert all(a.end == b.start for a, b in pairwise(found))
    assert sum(s.count for s in found) == 101
    assert all(s.end - s.start <= timedelta(seconds=1) for s in found)


def test_no_summary_covers_what_was_left_out() -> None:
    summaries = Summaries("s", at(0))
    for n in range(50):
        summaries.add(sampled(n * 0.2))
    summaries.leave_out(at(2.4), at(7))

    found = summaries.through(at(9), [])

    assert [(s.start, s.end) for s in found] == [
        (at(0), at(1)),
        (at(1), at(2)),
        (at(2), at(2.4)),
        (at(7), at(8)),
        (at(8), at(9)),
    ]


def test_a_window_takes_its_opening_and_leaves_its_end_out() -> None:
    matches = followed(claim())
    for n in range(10):
        saw(matches, event(n))

    assert count(matches, 2, 5).count == 3


def test_an_end_that_becomes_known_late_takes_back_what_was_counted_after_it() -> None:
    matches = followed(claim())
    for n in range(10):
        saw(matches, event(n))
    before = count(matches, 2).count

    after = count(matches, 2, 5)

    assert before == 8
    assert after.count == 3
    assert after.tally.last is not None
    assert after.tally.last.at == at(4)


def test_what_is_recent_waits_with_being_counted_and_an_end_before_it_takes_nothing_back() -> None:
    matches = followed(claim())
    for n in range(10):
        saw(matches, event(n))
    matches.advance(Window(at(0), None), at(5))
    tally = count(matches, 0, 7).tally

    assert tally.count == 7
    assert count(matches, 0, 7).tally is tally


def test_an_event_from_before_the_window_that_is_read_late_is_not_counted_in_it() -> None:
    matches = followed(claim())
    early = count(matches, 10)
    for seconds in (9.9, 10, 11):
        saw(matches, event(seconds))

    assert early.count == 0
    assert count(matches, 10, 12).count == 2


def test_a_window_may_open_in_the_past() -> None:
    matches = followed(claim())
    for n in range(10):
        saw(matches, event(n))
    assert count(matches, 0).count == 10

    assert count(matches, 6).count == 4


def test_a_key_that_opens_in_the_grace_is_not_asked_about_and_one_that_closes_there_is_closed() -> None:
    continuity = ContinuityClaim(
        id="c", type="continuity", key="event.data.order", opened_by="submitted", closed_by="filled", grace=timedelta(seconds=2)
    )
    matches = followed(continuity)
    saw(matches, event(1, "submitted", order="x"))
    assert count(matches, 0).tally.keys is not None
    saw(matches, event(6, "filled", order="x"))
    saw(matches, event(6.5, "submitted", order="late"))
    assert count(matches, 0).tally.keys is not None

    keys = count(matches, 0, 7).tally.keys

    assert keys is not None
    assert (keys.opened, keys.closed_once, keys.open_count) == (1, 1, 0)


def test_an_event_without_the_field_is_an_error_and_no_match() -> None:
    matches = followed(claim("event.data.price > 5"))
    saw(matches, event(1))
    saw(matches, event(2, price=6))

    counted = count(matches, 0)

    assert (counted.count, counted.errors) == (1, 1)
    assert counted.error
    assert count(matches, 1.5).errors == 0


def test_an_event_is_looked_at_only_for_the_claims_that_may_match_its_type() -> None:
    matching = Matching({"a": (claim(), None), "b": (claim("event.data.price > 5"), None)}, {})

    matching.see(event(1, "other"))

    first, second = (count(f, 0) for f in matching.followed)
    assert (first.errors, second.errors) == (0, 1)
    assert matching.seen.count(at(0), None) == 1


def test_an_expression_is_evaluated_on_the_types_that_it_names_and_counted_inside_the_window() -> None:
    matching = Matching({"a": (claim("event.type == 'x' && event.data.typo > 1"), None)}, {})
    for n in range(105):
        matching.see(event(n, "x" if n % 20 == 0 and n < 100 else "other"))

    (matches,) = matching.followed

    assert (count(matches, 0).evaluated, count(matches, 0).errors) == (5, 5)
    assert (count(matches, 20, 60).evaluated, count(matches, 20, 60).errors) == (2, 2)
    assert matching.seen.count(at(0), None) == 105


def test_events_of_two_streams_that_come_out_of_order_are_counted_in_order() -> None:
    matches = followed(claim())
    for seconds in (1, 3, 2):
        saw(matches, event(seconds))
        count(matches, 0)

    assert [m.at for m in count(matches, 0).tally.kept] == [at(1), at(2), at(3)]


def test_a_duration_that_is_told_twice_counts_once_also_in_the_phase_that_is_compared_with() -> None:
    told = EventDurations(where="event.type == 'order.filled'", value="event.data.took", unit="ms")
    slow = LatencyClaim(id="a", type="latency", event=told, percentile=50, at_most="2x", compare="calm")
    matches = Followed("a", slow, None, DurationMatcher(told))
    for seconds, name in ((1, "one"), (2, "one"), (3, "other")):
        saw(matches, event(seconds, name=name, took=20))

    found = reference_of(matches, {"calm": Window(at(0), at(10))})

    assert found is not None
    assert found.count == 2


@given(st.lists(st.integers(0, 50)), st.integers(0, 50), st.integers(0, 50))
def test_instants_count_a_half_open_span(values: list[int], start: int, end: int) -> None:
    instants = Instants()
    for value in values:
        instants.add(at(value).timestamp())

    assert instants.count(at(start), at(end)) == sum(start <= v < end for v in values)


def test_types_are_counted_by_whole_seconds_and_told_once() -> None:
    counting = Counting()
    for seconds, type_ in ((0.1, "a"), (0.2, "b"), (0.9, None), (1.5, "a")):
        counting.add(at(seconds), type_)

    found = counting.through(at(1.9), None)

    assert [(c.start, c.end, c.types, c.unreadable) for c in found] == [(at(0), at(1), {"a": 1, "b": 1}, 1)]
    assert [c.types for c in counting.through(at(2), at(1))] == [{"a": 1}]


def test_what_was_told_before_a_restart_is_not_told_again() -> None:
    counting = Counting()
    counting.add(at(0.1), "a")

    assert counting.through(at(5), at(1)) == []


def test_types_beyond_fifty_are_others() -> None:
    counting = Counting()
    for n in range(60):
        counting.add(at(0), f"t{n}")

    (found,) = counting.through(at(1), None)

    assert len(found.types) == 51
    assert found.types["other"] == 10


def test_equal_matches_pack_to_equal_bytes() -> None:
    matching = Matching({"a": (claim(), None)}, {})
    matching.see(event(1))

    first, second = (packed(matching.between(at(0), at(2))) for _ in range(2))

    assert first == second
    assert json.loads(gzip.decompress(first))["assertion"] == "a"
