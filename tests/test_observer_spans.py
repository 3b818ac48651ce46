"""What the observer makes of spans: first without any I/O, then by real exporters and with a real nats-server."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.observer import spans as matching
from actors.observer.spans import HOLD, KEYS, SpanMatches, SpanMatching
from messages.claims import TraceClaim
from messages.measurements import TraceMatched
from messages.observations import ObservedUntil, StreamGap
from messages.run_events import ServicesReleaseRequested
from messages.verdicts import Reason, Verdict
from targets.span_receiver import SpanReceivers
from targets.spans import Span
from tests.otel import Traced, traced
from tests.test_observer_probes import Stage, stage
from tests.test_targets_spans import Ear, post

__all__ = ["stage"]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HIDDEN = "open sesame"
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
GAP, NO_SAMPLES = (Verdict.INCONCLUSIVE, Reason.GAP), (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def claim(where: object = "span.name == 'submit'", **words: object) -> TraceClaim:
    return TraceClaim.model_validate({"id": "t", "type": "trace", "where": where, "on_fail": "continue", **words})


def span(number: int, name: str = "submit", *, parent: int | None = None, **words: object) -> Span:
    told = {"service": "engine", "kind": "server", "duration": 0.25, "status": "unset", "attributes": {}, "resource": {}, **words}
    parent_id = "" if parent is None else f"{parent:016x}"
    return Span(name=name, trace_id="a" * 32, span_id=f"{number:016x}", parent_id=parent_id, **told)  # type: ignore[arg-type]


def listening(*claims: TraceClaim, start: float = 0) -> SpanMatching:
    return SpanMatching(claims, at(start), lambda text: text.replace(HIDDEN, "***"))


def one(found: SpanMatching) -> SpanMatches:
    return found.claims["t"]


def all_told(found: SpanMatching, until: float = 30) -> TraceMatched:
    """Everything until then, as if it were one stretch."""
    parts = one(found).through(at(until), ())
    return parts[-1].model_copy(
        update={
            **{name: sum(getattr(part, name) for part in parts) for name in ("spans", "count", "errors", "given_up", "refused", "beyond")},
            "first": next((part.first for part in parts if part.first), None),
            "keys": tuple(key for part in parts for key in part.keys),
            "error": next((part.error for part in parts if part.error), ""),
            "samples": tuple(sample for part in parts for sample in part.samples),
        }
    )


@pytest.mark.parametrize(
    ("where", "matches"),
    [
        ("span.name == 'submit' && span.service == 'engine' && span.kind == 'server'", True),
        ("span.attributes['venue'] == 'sim' && span.resource['host'] == 'h1'", True),
        ("'venue' in span.attributes && span.attributes.lots > 2", True),
        ("span.duration > 0.2 && span.duration < 0.3", True),
        ("span.error && span.status == 'error'", True),
        ("span.status == 'ok'", False),
        ("span.parent_id == '' && span.parent.name == ''", True),
        ("span.trace_id.startsWith('aaaa') && size(span.span_id) == 16", True),
    ],
)
def test_an_expression_sees_all_of_a_span(where: str, matches: object) -> None:
    found = listening(claim(where))
    found.see(at(1), span(1, status="error", attributes={"venue": "sim", "lots": 3}, resource={"host": "h1"}))

    told = all_told(found)
    assert (told.count, told.errors, told.error) == (int(bool(matches)), 0, "")


def test_a_span_that_is_sent_twice_counts_once() -> None:
    found = listening(claim())
    for second, number in ((1, 1), (2, 2), (3, 1)):
        found.see(at(second), span(number))

    assert (all_told(found).spans, all_told(found, 60).spans) == (2, 0)


def test_a_span_on_which_the_expression_errs_is_counted_and_told_without_secrets() -> None:
    found = listening(claim(f"span.attributes['{HIDDEN}'] == 1"))
    found.see(at(1), span(1))
    told = all_told(found)

    assert (told.spans, told.count, told.errors) == (1, 0, 1)
    assert "***" in told.error
    assert HIDDEN not in told.error


def test_a_child_counts_when_its_parent_was_received_too() -> None:
    found = listening(claim("span.parent.name == 'submit' && span.parent.service == 'desk'"))
    found.see(at(1), span(2, "check", parent=1))
    found.see(at(2), span(3, "check", parent=1))
    (before,) = one(found).through(at(2.5), {at(2.5)})[-1:]
    found.see(at(4), span(1, "submit", service="desk"))
    found.see(at(5), span(4, "check", parent=1))
    told = all_told(found)

    assert (before.count, before.waiting) == (0, 2)
    assert (told.count, told.first, told.waiting, told.given_up, told.errors) == (3, at(4), 0, 0, 0)


def test_a_child_that_does_not_match_whoever_its_parent_is_waits_for_nobody() -> None:
    found = listening(claim("span.name == 'check' && span.parent.name == 'submit'"), claim("span.name == 'x'", id="u"))
    found.see(at(1), span(2, "other", parent=1))
    found.see(at(1), span(3, "check", parent=9))

    told = all_told(found, 5)
    assert (told.spans, told.waiting, told.errors) == (2, 1, 0)


def test_a_child_whose_parent_does_not_come_is_given_up_and_no_other_with_it() -> None:
    found = listening(claim("span.parent.name == 'submit'"))
    found.see(at(1), span(2, "check", parent=1))
    found.see(at(1) + HOLD - timedelta(seconds=1), span(3, "check", parent=1))
    told = all_told(found, 11.5)
    found.see(at(12), span(1, "submit"))
    later = all_told(found)

    assert (told.given_up, told.waiting, told.count) == (0, 2, 0)
    assert (later.given_up, later.waiting, later.count) == (1, 0, 1)


def test_no_more_spans_than_a_bound_wait_or_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "WAITING", 3)
    monkeypatch.setattr(matching, "KNOWN", 4)
    found = listening(claim("span.parent.name == 'submit'"))
    for number in range(10):
        found.see(at(1), span(100 + number, "check", parent=1))
    told = all_told(found, 5)

    assert (told.spans, told.given_up, told.waiting) == (10, 7, 3)
    assert len(found._known) == 4


def test_keys_are_told_once_in_a_stretch_and_no_more_than_a_bound() -> None:
    found = listening(claim("true", key="span.attributes.order", unlike="baseline"))
    orders = ["o-1", "o-1", "o-2", HIDDEN, *(f"n-{n}" for n in range(KEYS + 5)), "x" * 300, ""]
    for number, order in enumerate(orders):
        found.see(at(1), span(number, attributes={"order": order}))
    told = all_told(found, 1.5 + 10)

    assert told.keys[:4] == ("o-1", "o-2", "***", "n-0")
    assert (len(told.keys), told.beyond, told.errors, told.count) == (KEYS, 8, 2, len(orders) - 2)


def test_the_first_matches_are_named_in_words_without_secrets() -> None:
    found = listening(claim("true"))
    for number, (name, status) in enumerate((("submit", "unset"), (f"submit {HIDDEN}", "error"), ("n" * 400, "ok"), ("more", "ok"))):
        found.see(at(0.5), span(number, name, status=status, service="" if status == "ok" else "engine"))
    (told,) = one(found).through(at(1.5), ())[-1:]

    assert told.samples[:2] == ("submit of engine, 250ms", "submit *** of engine, 250ms, error")
    assert [len(sample) for sample in told.samples] == [23, 34, 300]


def ends(found: Sequence[TraceMatched]) -> list[tuple[float, float, int]]:
    return [((s.start - EPOCH).total_seconds(), (s.end - EPOCH).total_seconds(), s.count) for s in found]


def test_stretches_follow_each_other_and_are_cut_where_windows_begin_and_end() -> None:
    found = listening(claim())
    for number, second in enumerate((0.3, 2.2, 2.4, 2.9)):
        found.see(at(second), span(number))
    matches = one(found)

    assert ends(matches.through(at(0.9), ())) == []
    assert ends(matches.through(at(3), {at(2.3)})) == [(0, 1, 1), (1, 2.2, 0), (2.2, 2.3, 1)]
    assert ends(matches.through(at(4), {at(3.5)})) == [(2.3, 3.3, 2), (3.3, 3.5, 0)]
    assert ends(matches.through(at(30), ())) == [(3.5, 13.5, 0), (13.5, 23.5, 0)]


@given(
    st.lists(st.tuples(st.integers(-3, 20), st.integers(0, 30)), max_size=12),
    st.sets(st.integers(0, 200), max_size=8),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_every_span_is_told_once_and_nothing_overlaps_whatever_the_clock_does(
    steps: list[tuple[int, int]], edges: set[int], asked: list[int]
) -> None:
    found, now, told = listening(claim()), 0.0, list[TraceMatched]()
    for number, (step, until) in enumerate(steps):
        now += step / 10
        found.see(at(now), span(number))
        told += one(found).through(at(min(until / 10, now)), {at(edge / 10) for edge in edges})
    for until in sorted(asked):
        told += one(found).through(at(until / 10), {at(edge / 10) for edge in edges})
    told += one(found).through(at(100), {at(100), *(at(edge / 10) for edge in edges)})

    assert sum(part.spans for part in told) == len(steps)
    assert all(first.end == then.start for first, then in pairwise(told))
    assert all(part.start < part.end for part in told)
    assert not any(part.start < at(edge / 10) < part.end for part in told for edge in edges)


@pytest.fixture
def address(unused_port: Callable[[], int]) -> str:
    return f"127.0.0.1:{unused_port()}"


@pytest.fixture
def engine(address: str) -> Iterator[Traced]:
    with traced(address) as service:
        yield service


async def begun(stage: Stage, address: str, *claims: TraceClaim) -> datetime:
    """The phase of the claims has begun, and the observer has met it; when it did."""
    await stage.begin(*claims, traces={"listen": address})
    await stage.until(ObservedUntil)
    await stage.start("baseline")
    await stage.looked(await stage.finish("baseline"))
    opens = await stage.start()
    for one_of_them in claims:
        await stage.open(one_of_them, opens)
    await stage.looked(opens)
    return opens


async def passed(stage: Stage) -> None:
    """What is stored from now on is later than what was received, however far our clock is ahead of the server's."""
    now = stage.journal.clock.now()
    await stage.until(ObservedUntil, lambda line: line.at > now)


async def judged(stage: Stage, wanted: TraceClaim) -> tuple[Verdict, Reason | None]:
    """By what was received by now."""
    await passed(stage)
    closes = await stage.finish() + wanted.grace
    await stage.until(ObservedUntil, lambda line: line.event.told is not None and line.event.told >= closes)
    found = wanted.judge(stage.history(wanted))
    assert found is not None
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


@pytest.mark.parametrize(
    ("words", "before", "inside", "expected"),
    [
        ({"never": True}, ("submit",), ("fine",), PASSED),
        ({"never": True}, ("fine",), ("fine", "submit"), FAILED),
        ({"never": True}, ("fine",), (), NO_SAMPLES),
        ({}, ("submit",), (), NO_SAMPLES),
        ({}, ("submit",), ("fine",), FAILED),
        ({"at_least": 2}, (), ("submit", "submit"), PASSED),
    ],
)
async def test_spans_count_in_the_window_in_which_they_are_received(
    stage: Stage, address: str, engine: Traced, words: dict[str, object], before: tuple[str, ...], inside: tuple[str, ...], expected: object
) -> None:
    wanted = claim(**words)
    async with stage.observer():
        await stage.begin(wanted, traces={"listen": address})
        await stage.until(ObservedUntil)
        for name in before:
            engine.span(name)
            await engine.send()
        await passed(stage)
        opens = await stage.start()
        await stage.open(wanted, opens)
        await stage.looked(opens)
        for name in inside:
            engine.span(name)
            await engine.send()

        assert await judged(stage, wanted) == expected
    assert stage.found(StreamGap) == []


async def test_only_what_is_new_since_an_earlier_phase_counts(stage: Stage, address: str, engine: Traced) -> None:
    wanted, other = (claim("true", id=name, unlike="baseline", key="span.name", at_least=least) for name, least in (("one", 1), ("two", 2)))
    async with stage.observer():
        await stage.begin(wanted, other, traces={"listen": address})
        await stage.until(ObservedUntil)
        await stage.looked(await stage.start("baseline"))
        for name in ("quote", "submit"):
            engine.span(name)
        await engine.send()
        await passed(stage)
        await stage.looked(await stage.finish("baseline"))
        opens = await stage.start()
        for asked in (wanted, other):
            await stage.open(asked, opens)
        await stage.looked(opens)
        for name in ("quote", "retry", "retry"):
            engine.span(name)
        await engine.send()

        assert await judged(stage, wanted) == PASSED
        assert await judged(stage, other) == FAILED


async def test_grace_waits_for_spans_that_are_sent_late(stage: Stage, address: str, engine: Traced) -> None:
    wanted = claim(grace="1500ms")
    async with stage.observer():
        await begun(stage, address, wanted)
        engine.span("submit")
        await stage.looked(await stage.finish())
        await engine.send()
        closes = stage.lines[-1].at + wanted.grace
        await stage.until(ObservedUntil, lambda line: line.event.told is not None and line.event.told >= closes - timedelta(seconds=1))
        found = wanted.judge(stage.history(wanted))

    assert found is not None
    assert found.verdict is Verdict.PASSED


async def test_an_address_that_somebody_else_has_is_a_gap_that_says_so_and_the_run_goes_on(
    stage: Stage, address: str, engine: Traced
) -> None:
    wanted = claim(never=True)
    async with stage.observer():
        async with SpanReceivers().listening(address, Ear()):
            await begun(stage, address, wanted)
            engine.span("fine")
            await engine.send()
            await stage.looked(stage.journal.clock.now())
        opens = stage.state.stages["chaos"].started
        gap = await stage.until(StreamGap, lambda line: line.event.end > opens)
        engine.span("fine")
        await engine.send()

        assert await judged(stage, wanted) == GAP
    assert gap.event.source == "spans"
    assert gap.event.why == f"nobody can listen at {address}: Address already in use"
    found = wanted.judge(stage.history(wanted))
    assert found is not None
    assert "Address already in use" in found.message


async def test_an_address_that_is_never_free_is_a_gap_too(stage: Stage, address: str) -> None:
    wanted = claim()
    async with SpanReceivers().listening(address, Ear()), stage.observer():
        await begun(stage, address, wanted)

        assert await judged(stage, wanted) == GAP
    found = wanted.judge(stage.history(wanted))
    assert found is not None
    assert found.message.endswith("Address already in use")


async def test_an_observer_that_was_away_leaves_a_gap(stage: Stage, address: str, engine: Traced) -> None:
    wanted = claim(never=True)
    async with stage.observer():
        await begun(stage, address, wanted)
        engine.span("fine")
        await engine.send()
        await stage.until(TraceMatched)
    async with stage.observer():
        gap = await stage.until(StreamGap)
        engine.span("fine")
        await engine.send()

        assert await judged(stage, wanted) == GAP
    assert (gap.event.source, gap.event.why) == ("spans", "the observer was away")


async def test_what_a_service_sends_as_it_stops_is_received_and_counts_no_more(stage: Stage, address: str, engine: Traced) -> None:
    wanted = claim(at_most=9)
    async with stage.observer():
        await begun(stage, address, wanted)
        engine.span("submit")
        await engine.send()
        assert await judged(stage, wanted) == PASSED
        await stage.write(ServicesReleaseRequested())
        await stage.looked((await stage.until(ServicesReleaseRequested)).at)
        engine.span("submit")
        await engine.send()

    assert sum(line.event.count for line in stage.found(TraceMatched)) == 1


async def test_a_request_that_cannot_be_read_is_told(stage: Stage, address: str, engine: Traced) -> None:
    wanted = claim(never=True)
    async with stage.observer():
        await begun(stage, address, wanted)
        engine.span("fine")
        await engine.send()
        await post(address, b"\xff\xff\xff")

        assert await judged(stage, wanted) == GAP


async def test_matching_many_spans_leaves_others_their_turn(
    stage: Stage, address: str, engine: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.observer.hearing.TURN", 0)
    turns, wanted = 0, claim(at_least=200)
    async with stage.observer():
        await begun(stage, address, wanted)
        for _ in range(200):
            engine.span("submit")
        async with asyncio.TaskGroup() as tasks:
            sent = tasks.create_task(engine.send())
            while not sent.done():
                turns += 1
                await asyncio.sleep(0)

        assert await judged(stage, wanted) == PASSED
    assert turns >= 200
