"""Old runs judged by claims that they did not have."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from actors.observer.recalling import Recalling
from messages.claims import ServiceEvent
from messages.expressions import Bindings
from messages.observations import EventCounted
from messages.run_events import RunAccepted
from messages.verdicts import Reason, Verdict
from runs.afresh import Afresh, counted_in, judge_afresh, known_at_end
from scenarios.errors import DocumentErrors
from scenarios.new_claims import with_claims
from tests.recorded import BAD, GOOD, RUN, SCENARIO, SYSTEM, Course, Line, at, lined, observed, recorded, run

Raw = tuple[float, str, str, dict[str, Any]]
"""Second, id, type and data of a service event."""
ORDERS: tuple[Raw, ...] = (
    (2.1, "a", "order.submitted", {"order_id": "o-1"}),
    (2.2, "b", "order.filled", {"order_id": "o-1"}),
    (2.3, "c", "order.submitted", {"order_id": "o-2"}),
    (2.9, "d", "order.filled", {"order_id": "o-2"}),
)
CONTINUITY = "{id: orders, type: continuity, key: event.data.order_id, opened_by: order.submitted, closed_by: order.filled}"


def journal_of(course: Course = GOOD, raw: Iterable[Raw] = ORDERS, scenario: str | None = None) -> list[Line]:
    """A run in which so many messages were counted as there are raw events."""
    counted = EventCounted(start=at(2), end=at(3), types={"order": len(tuple(raw))})
    lines = [replace(line, event=counted) if isinstance(line.event, EventCounted) else line for line in lined(observed(course))]
    if scenario is not None:
        accepted = lines[0].event
        assert isinstance(accepted, RunAccepted)
        changed = with_claims(scenario, file="then.yaml", scenario=SCENARIO, system=SYSTEM)
        lines[0] = replace(lines[0], event=accepted.model_copy(update={"scenario": changed}))
    return recorded(lines)


def judge(text: str, journal: list[Line] | None = None, raw: Iterable[Raw] = ORDERS) -> Afresh:
    lines = journal if journal is not None else journal_of()
    view = known_at_end(RUN, lines)
    scenario = with_claims(text, file="new.yaml", scenario=SCENARIO, system=SYSTEM)
    recalling = Recalling(view.state, scenario)
    for number, (second, name, type_, data) in enumerate(raw, start=1):
        event = {"id": name, "type": type_, "source": "web", "data": data}
        recalling.see(at(second), ServiceEvent(name, type_, "web", number, at(second), Bindings({"event": event})))
    return judge_afresh(view, scenario, recalling.matched(), recalling.lost(counted_in(lines)) if recalling.wanted else "")


def verdict(text: str, journal: list[Line] | None = None, raw: Iterable[Raw] = ORDERS) -> tuple[Verdict, Reason | None]:
    (claim,) = judge(text, journal, raw).claims
    return claim.verdict, claim.reason


FEW = (Verdict.INCONCLUSIVE, Reason.TOO_FEW_SAMPLES)
FAILED, PASSED = (Verdict.FAILED, Reason.CLAIM_FAILED), (Verdict.PASSED, None)


@pytest.mark.parametrize(
    ("claim", "course", "expected"),
    [
        ("{type: recovery, target: web, of: restart, within: 1s}", GOOD, FAILED),
        ("{type: recovery, target: web, of: restart, within: 3s}", GOOD, PASSED),
        ("{type: recovery, target: web, of: restart, within: 1m}", BAD["late"], PASSED),
        ("{type: health, target: web, throughout: true, during: restart}", GOOD, FAILED),
        ("{type: health, target: web, throughout: true, after: restart}", GOOD, PASSED),
        ("{type: latency, probe: quote, percentile: 99, at_most: 5ms}", GOOD, FAILED),
        ("{type: latency, probe: quote, percentile: 99, at_most: 50ms}", GOOD, PASSED),
        ("{type: latency, probe: quote, percentile: 99, after: restart, compare: baseline, at_most: 2x}", GOOD, PASSED),
        ("{type: latency, probe: quote, percentile: 99, at_most: 50ms, min_samples: 5000}", GOOD, FEW),
        ("{type: recovery, target: web, of: restart, within: 3s}", Course(effect=False), (Verdict.INCONCLUSIVE, Reason.NO_EFFECT)),
        ('{type: http, url: "http://h:1/x"}', GOOD, (Verdict.INCONCLUSIVE, Reason.GAP)),
        ('{type: metric, url: "http://h:1/m", metric: orders_total, at_least: 1}', GOOD, (Verdict.INCONCLUSIVE, Reason.GAP)),
    ],
)  # fmt: skip
def test_what_is_recorded_of_any_run_is_judged(claim: str, course: Course, expected: tuple[Verdict, Reason | None]) -> None:
    assert verdict(f"assertions: [{claim}]", run(course)) == expected


def test_the_run_would_have_come_to_the_worst_of_the_new_claims() -> None:
    found = judge("""
assertions:
  - {id: fast, type: recovery, target: web, of: restart, within: 1s, description: back in a second}
  - {id: fine, type: recovery, target: web, of: restart, within: 3s}
""")

    assert [(claim.assertion, claim.verdict) for claim in found.claims] == [("fast", Verdict.FAILED), ("fine", Verdict.PASSED)]
    assert (found.run.verdict, found.run.reason, found.run.cause) == (Verdict.FAILED, Reason.CLAIM_FAILED, None)
    assert "fast (back in a second)" in found.run.message


def test_a_run_without_an_effect_passes_by_no_claims() -> None:
    found = judge("assertions: [{type: latency, probe: quote, percentile: 99, at_most: 50ms}]", run(Course(effect=False)))

    assert [claim.verdict for claim in found.claims] == [Verdict.PASSED]
    assert (found.run.verdict, found.run.reason) == (Verdict.INCONCLUSIVE, Reason.NO_EFFECT)


def test_claims_of_phases_go_to_the_phases_of_their_names_and_variables_are_filled_in() -> None:
    found = judge("""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: stricter}
spec:
  system: elsewhere
  variables: {limit: 5ms}
  phases:
    - {name: warm-up, duration: 1s}
    - name: baseline
      duration: 1s
      assertions: [{id: quick, type: latency, probe: quote, percentile: 90, at_most: "{{ variables.limit }}"}]
""")

    (claim,) = found.claims
    assert (claim.assertion, claim.verdict) == ("quick", Verdict.FAILED)
    assert claim.measured["samples"] == 250, "of the baseline alone"


WRONG = [
    (
        "assertions: [{type: recovery, target: web, of: restrat, within: 1s}]",
        "new.yaml:1:48: there is no fault with the id 'restrat'; did you mean 'restart'?",
    ),
    (
        "assertions:\n  - {type: latency, probe: quota, percentile: 9, at_most: 1s}",
        "new.yaml:2:28: the system has no probe 'quota'; did you mean 'quote'?",
    ),
    ("assertions: [{type: helth}]", "unknown type 'helth'; did you mean 'health'?"),
    ("assertions: []\nphases: []", "new.yaml:2:1: unknown key 'phases'"),
    ("- 1", "there are no claims in the text"),
    ("", "the text is empty"),
    (
        "kind: Scenario\nspec:\n  phases: [{name: calm, assertions: [{type: health, target: web}]}]",
        "new.yaml:3:19: the run has no phase 'calm'; known: baseline, chaos",
    ),
    ("kind: Scenario\nspec: {phases: [{name: chaos, duration: 1s}]}", "there are no claims in the text"),
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_mistakes_are_told_with_their_place_in_the_file(text: str, told: str) -> None:
    with pytest.raises(DocumentErrors) as raised:
        with_claims(text, file="new.yaml", scenario=SCENARIO, system=SYSTEM)

    assert told in str(raised.value)


EVENTS = [
    ("{type: event, where: \"event.type == 'order.filled'\", at_least: 2}", PASSED),
    ("{type: event, where: \"event.type == 'order.filled'\", at_least: 3}", FAILED),
    ("{type: event, where: \"event.type == 'order.lost'\", never: true}", PASSED),
    ("{type: event, where: \"event.type == 'order.filled'\", never: true}", FAILED),
    ("{type: event, where: \"event.type == 'order.filled'\", during: restart}", (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)),
    (CONTINUITY, PASSED),
]


@pytest.mark.parametrize(("claim", "expected"), EVENTS)
def test_events_that_the_streams_still_hold_are_counted_for_new_claims(claim: str, expected: tuple[Verdict, Reason | None]) -> None:
    found = judge(f"assertions: [{claim}]")

    (judged,) = found.claims
    assert (judged.verdict, judged.reason) == expected
    (matched,) = found.recalled.values()
    assert judged.evidence == (f"recalled.{matched.assertion}.event.matched.1",)


def test_events_that_are_gone_make_it_inconclusive_however_it_would_have_come_out() -> None:
    for claim, _ in EVENTS:
        found = judge(f"assertions: [{claim}]", raw=ORDERS[1:])

        (judged,) = found.claims
        assert (judged.verdict, judged.reason) == (Verdict.INCONCLUSIVE, Reason.GAP)
        assert "hold 3 of the 4 messages" in judged.message


def test_what_was_matched_for_another_claim_of_this_id_is_not_taken_for_it() -> None:
    text = "assertions: [{id: fills, type: event, where: \"event.type == 'order.lost'\", at_least: 1}]"

    assert verdict(text) == FAILED


def test_a_claim_that_asks_by_itself_is_judged_by_what_was_asked_for_the_same_question_only() -> None:
    then = 'assertions: [{id: asks, type: http, url: "http://h:1/x", throughout: true}]'
    journal = journal_of(scenario=then)

    same = judge(then.replace("throughout: true", "within: 5s"), journal).claims[0]
    other = judge(then.replace("/x", "/y"), journal).claims[0]

    assert same.message == "http://h:1/x was not asked in the window", "it was looked for, and nothing is recorded in this journal"
    assert "nobody asked this" in other.message


def changed(raw: tuple[Raw, ...], mutation: str, index: int) -> tuple[Raw, ...]:
    second, name, type_, data = raw[index]
    match mutation:
        case "drop":
            return raw[:index] + raw[index + 1 :]
        case "redeliver":
            return (*raw[: index + 1], raw[index], *raw[index + 1 :])
        case "duplicate":
            return (*raw[: index + 1], (second, f"{name}-2", type_, data), *raw[index + 1 :])
        case "delay":
            return (*raw[:index], *raw[index + 1 :], (second + 60, name, type_, data))
        case _:
            one, other = raw[index], raw[index + 1]
            return (*raw[:index], (one[0], *other[1:]), (other[0], *one[1:]), *raw[index + 2 :])


FILLS = "{id: fills, type: event, where: \"event.type == 'order.filled'\", at_least: 2}"
EXACTLY = "{id: fills, type: event, where: \"event.type == 'order.filled'\", at_most: 2}"
MUTATED = [
    (CONTINUITY, "drop", 1, FAILED),
    (CONTINUITY, "drop", 0, PASSED),  # closed and never opened: it met the window's edge
    (CONTINUITY, "redeliver", 1, PASSED),
    (CONTINUITY, "duplicate", 1, FAILED),
    (CONTINUITY, "delay", 3, FAILED),
    (FILLS, "drop", 1, FAILED),
    (FILLS, "drop", 0, PASSED),
    (FILLS, "delay", 1, FAILED),
    (FILLS, "redeliver", 1, PASSED),
    (FILLS, "swap", 0, PASSED),
    (EXACTLY, "duplicate", 3, FAILED),
    (EXACTLY, "redeliver", 3, PASSED),
]


@pytest.mark.parametrize(("claim", "mutation", "index", "expected"), MUTATED)
def test_one_event_that_came_otherwise_changes_the_verdict_where_the_claim_rests_on_it(
    claim: str, mutation: str, index: int, expected: tuple[Verdict, Reason | None]
) -> None:
    raw = changed(ORDERS, mutation, index)

    assert verdict(f"assertions: [{claim}]", raw=ORDERS) == PASSED
    assert verdict(f"assertions: [{claim}]", journal_of(raw=[one for one in raw if one[0] < 3]), raw) == expected


def test_an_event_after_the_run_counts_for_nothing() -> None:
    raw = (*ORDERS, (3600.0, "z", "order.filled", {"order_id": "o-3"}))

    assert verdict(f"assertions: [{EXACTLY}]", raw=raw) == PASSED
