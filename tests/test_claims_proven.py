"""A good run, line by line: without a line that a claim rests on, or with it late, the claim does not pass; no other line matters to it.

Lines are called `ENTITY.TYPE#N`, the N-th of them in the journal.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Any, get_args

import pytest

from messages.claims import AnyClaim, Judgement
from messages.observations import RoleSeen, Summary
from messages.verdicts import Verdict
from tests.proven import CLAIMS, ITEMS, NEVER_PASSES, OPERATIONS, SENT, Sent, journal, judgements, read_back
from tests.recorded import BEGIN, MS, Line, at, delay, drop, duplicate, lined, swap

SECOND = 1000 * MS
JOURNAL = journal()
GOOD = judgements(JOURNAL)


def names_of(lines: Iterable[Line]) -> list[str]:
    counts = Counter[str]()
    names = []
    for line in lines:
        name = f"{line.entity}.{line.event.type_name()}"
        counts[name] += 1
        names.append(f"{name}#{counts[name]}")
    return names


NAMES = names_of(JOURNAL)


def many(name: str, *numbers: int) -> set[str]:
    return {f"{name}#{number}" for number in numbers}


NUMBERED = frozenset({"web.service.up#1", "web.service.down#1", *many("web.role.seen", 1, 2), *many("api.role.seen", 1, 2)})
"""Changes after which there are others: without one of these the journal is known not to be whole, and nothing passes by it."""
OPEN = frozenset({"chaos.phase.started#1"})
WHOLE = OPEN | {"chaos.phase.finished#1"}
"""For what is known only when the window is over."""
BESIDE = WHOLE | {"baseline.phase.started#1", "baseline.phase.finished#1"}
FRAME = ("baseline.phase.", "chaos.phase.", "recover.phase.", "restart.", "chaos.observed.", "recover.observed.")
"""What makes the windows, and says that they were looked through."""
WHENEVER = (".assertion.opened", ".event.matched", ".set.read", "restart.fault.gone")
"""Lines that tell of a time before they were stored, so that they may come late; the last was seen by the observer, too."""


@dataclass(frozen=True)
class Rests:
    """What a claim rests on."""

    of: str | tuple[str, ...]
    """What it looks at: lines whose names begin so. Without any of them it does not pass."""
    needs: frozenset[str]
    """Lines without any one of which it does not pass, beside its opening and what is numbered."""
    numbers: tuple[int, ...] = ()
    """Which lines of what it looks at are so, too."""
    events: frozenset[str] = field(default=frozenset())
    """The same of service events."""
    late: frozenset[str] = frozenset()
    """Lines that must not come late, beside those that must be there and are not of the kind that may."""
    ever: frozenset[str] = frozenset()
    """Lines that must be there and may come late."""

    def all_needed(self, claim: str) -> set[str]:
        of = (self.of,) if isinstance(self.of, str) else self.of
        return {*self.needs, *NUMBERED, f"{claim}.assertion.opened#1", *(line for name in of for line in many(name, *self.numbers))}


RESTS = {
    "event": Rests("event.event.matched", OPEN, (1,), frozenset({"s3", "s7"})),
    "event-never": Rests("event-never.event.matched", WHOLE, (1,)),
    "event-unlike": Rests("event-unlike.event.matched", BESIDE - {"chaos.phase.finished#1"}, (1,), frozenset({"s1", "s5"})),
    "audit": Rests("audit.event.matched", OPEN, (1,), frozenset({"s2", "s3"})),
    "continuity": Rests("continuity.event.matched", WHOLE, (1,), frozenset({"s3", "s7"})),
    "latency": Rests("quote.probe.summary", WHOLE, (3, 4, 5)),
    "latency-compared": Rests("quote.probe.summary", BESIDE, (1, 2, 3, 4, 5)),
    "latency-of-events": Rests("latency-of-events.event.matched", WHOLE, (1,), frozenset({"s3", "s7"})),
    "slo": Rests("buyers.operation.seen", WHOLE, (3, 4, 5)),
    "slo-compared": Rests("quote.probe.summary", BESIDE, (1, 2, 3, 4, 5)),
    "outage": Rests("buyers.operation.seen", WHOLE, (3, 4, 5)),
    "outage-of-a-probe": Rests("quote.probe.summary", WHOLE, (3, 4, 5)),
    "http": Rests(("http.probe.summary", "http.answer.seen"), WHOLE | many("http.probe.summary", 1, 2, 3)),
    "http-within": Rests(("http-within.probe.summary", "http-within.answer.seen"), OPEN),
    "http-never": Rests(("http-never.probe.summary", "http-never.answer.seen"), WHOLE | many("http-never.probe.summary", 1, 2, 3)),
    "http-unlike": Rests(
        ("http-unlike.probe.summary", "http-unlike.answer.seen", "http-unlike.keys.listed"),
        BESIDE - {"chaos.phase.finished#1"} | {"http-unlike.keys.listed#1"},
    ),
    "grpc": Rests(("grpc.probe.summary", "grpc.answer.seen"), WHOLE | many("grpc.probe.summary", 1, 2, 3)),
    "metric": Rests("metric.metric.sampled", WHOLE),
    "metric-increase": Rests("metric-increase.metric.sampled", WHOLE, (1, 2, 3, 4, 5, 6, 7)),
    "log": Rests("log.log.matched", OPEN, (2,)),
    "log-never": Rests("log-never.log.matched", WHOLE, (1, 2, 3)),
    "set": Rests("set.set.read", WHOLE, (1,)),
    "health": Rests(("api.probe.summary", "api.service.up"), WHOLE | {"api.service.up#1", *many("api.probe.summary", 3, 4, 5)}),
    "health-within": Rests(
        ("web.probe.summary", "web.service."), OPEN | {"restart.action.requested#1", "restart.fault.effective#1", "web.service.up#2"}
    ),
    "recovery": Rests(
        ("web.probe.summary", "web.service.", "restart.fault."),
        frozenset({"web.service.up#2", "restart.action.requested#1", *(f"restart.fault.{m}#1" for m in ("injected", "effective", "gone"))}),
    ),
    "correlation": Rests("correlation.event.matched", WHOLE, (1,), frozenset({"s3"})),
    "expression": Rests(
        "restart.fault.",
        WHOLE | {"restart.action.requested#1", "restart.fault.effective#1", "restart.fault.gone#1"},
        late=frozenset({"restart.fault.gone#1"}),
        ever=frozenset({"chaos.phase.finished#1"}),
    ),
    "trace": Rests("trace.trace.matched", OPEN, (2,)),
    "trace-never": Rests("trace-never.trace.matched", WHOLE, (1, 2, 3)),
    "role": Rests(("web.role.seen", "api.role.seen"), WHOLE, (1, 2, 3)),
}


@cache
def mutated(mutation: Callable[[list[Line], int], list[Line]]) -> tuple[dict[str, Judgement], ...]:
    """What is said of each claim when the mutation is done to each line, but the first."""
    return tuple(judgements(mutation(JOURNAL, index)) for index in range(1, len(JOURNAL)))


def outcomes(mutation: Callable[[list[Line], int], list[Line]], claim: str) -> dict[str, Judgement | None]:
    return {name: found.get(claim) for name, found in zip(NAMES[1:], mutated(mutation), strict=True)}


def passes(judgement: Judgement | None) -> bool:
    return judgement is not None and judgement.verdict is Verdict.PASSED


def test_every_type_of_claim_is_proven() -> None:
    """A type that is new in `AnyClaim` belongs into the tables, of `tests.proven` and of this module."""
    types = {name for claim in get_args(get_args(AnyClaim)[0]) for name in get_args(claim.model_fields["type"].annotation)}

    assert types == {claim["type"] for claim in CLAIMS.values()} | NEVER_PASSES
    assert set(RESTS) == set(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_claim_passes_in_the_good_run_by_what_it_looks_at(claim: str) -> None:
    silent = [line for line, name in zip(JOURNAL, NAMES, strict=True) if not name.startswith(RESTS[claim].of)]

    assert passes(GOOD[claim]), GOOD[claim]
    assert not passes(judgements(silent).get(claim))


@pytest.mark.parametrize("claim", CLAIMS)
def test_it_does_not_pass_without_any_one_line_that_it_rests_on_and_no_other_line_matters(claim: str) -> None:
    found = outcomes(drop, claim)

    assert {name for name, said in found.items() if not passes(said)} == RESTS[claim].all_needed(claim)
    assert not [name for name, said in found.items() if passes(said) and _is_nothing_to(claim, name) and said != GOOD[claim]]


@pytest.mark.parametrize("claim", CLAIMS)
def test_it_does_not_pass_by_what_came_too_late(claim: str) -> None:
    found = outcomes(delay, claim)
    late = {name for name in RESTS[claim].all_needed(claim) if not name.rpartition("#")[0].endswith(WHENEVER)}
    late = late - RESTS[claim].ever | RESTS[claim].late

    assert {name for name, said in found.items() if not passes(said)} == late
    assert not [name for name, said in found.items() if passes(said) and _is_nothing_to(claim, name) and said != GOOD[claim]]


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_line_that_is_there_twice_counts_once(claim: str) -> None:
    assert [name for name, said in outcomes(duplicate, claim).items() if said != GOOD[claim]] == []


@pytest.mark.parametrize("claim", CLAIMS)
def test_two_lines_in_each_others_place_are_the_same_to_a_claim_that_rests_on_neither(claim: str) -> None:
    pairs = zip(NAMES[1:], [*NAMES[2:], ""], outcomes(swap, claim).values(), strict=True)

    assert [pair for *pair, said in pairs if all(_is_nothing_to(claim, name) for name in pair) and said != GOOD[claim]] == []


def _is_nothing_to(claim: str, name: str) -> bool:
    rests = RESTS[claim]
    return not name.startswith((*FRAME, *((rests.of,) if isinstance(rests.of, str) else rests.of))) and name not in rests.all_needed(claim)


@pytest.mark.parametrize("claim", CLAIMS)
def test_spans_that_were_stored_in_another_order_are_the_same(claim: str) -> None:
    places = [index for index, line in enumerate(JOURNAL) if isinstance(line.event, Summary) and line.at < at(6.2)]
    lines = list(JOURNAL)
    for name in {JOURNAL[place].entity for place in places}:
        mine = [place for place in places if JOURNAL[place].entity == name]
        for place, other in zip(mine, reversed(mine), strict=True):
            lines[place] = replace(JOURNAL[place], event=JOURNAL[other].event)

    found = judgements(lines)[claim]

    assert (found.verdict, found.message) == (GOOD[claim].verdict, GOOD[claim].message)


def test_a_role_that_is_missing_between_others_is_no_reason_to_pass() -> None:
    """Two had the lead at once. Without the line that says so it looks as if there had been one all the time."""
    roles = [(4.5, 3, "leader"), (5.2, 4, "follower"), (5.32, 5, "leader")]
    others = [((line.at - BEGIN) / SECOND, line.event) for line, name in zip(JOURNAL, NAMES, strict=True) if name != "web.role.seen#3"]
    told = [(when, RoleSeen(service="web", number=n, role=role, ago=MS, error_bound=500 * MS)) for when, n, role in roles]
    lines = lined(sorted([*others, *told], key=lambda line: line[0]))

    found = judgements(lines)["role"]
    without = judgements(line for line in lines if line.event is not told[0][1])["role"]

    assert found.verdict is Verdict.FAILED
    assert (without.verdict, without.message) == (Verdict.INCONCLUSIVE, "the journal has role 5 of web, but not number 3")


FOLLOWING = [claim for claim, rests in RESTS.items() if rests.of == f"{claim}.event.matched"]


def _late(event: Sent) -> Sent:
    return replace(event, second=event.second + 10)


def _elsewhere(event: Sent) -> Sent:
    return replace(event, source="elsewhere")


@cache
def told(name: str, then: Callable[[Sent], Sent] | None) -> dict[str, Judgement]:
    """What is said when this service event did not come; `then`: not so, but so."""
    changed = [then(event) for event in SENT if event.id == name and then is not None]
    return judgements(journal([*(event for event in SENT if event.id != name), *changed]))


@pytest.mark.parametrize("claim", FOLLOWING)
@pytest.mark.parametrize("then", [None, _late])
def test_it_does_not_pass_without_a_service_event_that_it_rests_on_or_with_it_too_late(claim: str, then: Any) -> None:
    assert {event.id for event in SENT if not passes(told(event.id, then).get(claim))} == RESTS[claim].events


@pytest.mark.parametrize(("name", "claims"), [("s2", ["audit"]), ("s3", ["audit", "correlation"])])
def test_the_story_of_a_service_is_told_by_no_other(name: str, claims: list[str]) -> None:
    found = told(name, _elsewhere)

    assert [claim for claim in FOLLOWING if not passes(found.get(claim))] == claims


@pytest.mark.parametrize("event", SENT, ids=lambda event: event.id)
def test_a_service_event_that_is_delivered_twice_counts_once(event: Sent) -> None:
    again = judgements(journal([*SENT, replace(event, second=event.second + 0.01)]))

    assert {name: replace(again[name], message="") for name in FOLLOWING} == {name: replace(GOOD[name], message="") for name in FOLLOWING}


def test_the_order_of_service_events_counts_where_it_is_claimed() -> None:
    """Each pair of neighbours in each other's place: what came before the window is not in it, and the story is told backwards."""
    found: dict[str, set[str]] = {}
    for one, other in pairwise(SENT):
        swapped = [event for event in SENT if event not in (one, other)]
        swapped += [replace(one, second=other.second), replace(other, second=one.second)]
        said = judgements(journal(swapped))
        for claim in (claim for claim in FOLLOWING if not passes(said.get(claim))):
            found.setdefault(claim, set()).add(f"{one.id}-{other.id}")

    assert found == {"audit": {"s1-s2", "s2-s3"}}


@pytest.mark.parametrize("index", range(len(ITEMS)))
def test_what_is_there_is_held_against_each_operation_and_each_item(index: int) -> None:
    said, items = [*OPERATIONS[:index], *OPERATIONS[index + 1 :]], [*ITEMS[:index], *ITEMS[index + 1 :]]

    assert passes(judgements(journal(read=read_back([*OPERATIONS, OPERATIONS[index]], ITEMS)))["set"])
    for read in (read_back(said, ITEMS), read_back(OPERATIONS, items), read_back(OPERATIONS, [*ITEMS, ITEMS[index]])):
        assert judgements(journal(read=read))["set"].verdict is Verdict.FAILED
