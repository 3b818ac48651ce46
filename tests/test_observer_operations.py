"""What the observer makes of a workload's output, and of a probe's latencies, without any I/O."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.observer.operations import LONGEST, Lines, Operations, operation_of
from actors.observer.source import Reach
from actors.observer.summaries import Sampled, Summaries
from messages.histogram import Histogram
from messages.observations import OperationsSeen, ProbeSummary

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def line(outcome: str = "ok", **words: Any) -> bytes:
    return json.dumps({"op": "write", "id": "7", "outcome": outcome, **words}).encode()


def outcomes(found: list[OperationsSeen]) -> tuple[int, int, int, int]:
    return (
        sum(seen.ok for seen in found),
        sum(seen.failed for seen in found),
        sum(seen.unknown for seen in found),
        sum(seen.unreadable for seen in found),
    )


@given(st.lists(st.binary(max_size=30).filter(lambda data: b"\n" not in data)), st.lists(st.integers(1, 9)))
def test_lines_are_the_same_however_the_output_comes_in(written: list[bytes], cuts: list[int]) -> None:
    data, lines = b"".join(text + b"\n" for text in written), Lines()
    found: list[tuple[bytes, int]] = []
    for cut in cuts:
        found += lines.feed(data[:cut])
        data = data[cut:]

    assert found + lines.feed(data) == [(text, len(text) + 1) for text in written]
    assert lines.pending == 0


def test_a_line_without_an_end_is_bounded_and_counts_as_one_that_cannot_be_read() -> None:
    lines = Lines()

    found = [one for _ in range(100) for one in lines.feed(b"x" * 1000)]
    held = lines.pending
    found += lines.feed(b"\nok\n")

    assert held <= LONGEST
    assert [text for text, _ in found] == [b"", b"ok"]
    assert lines.feed(b"y" * (LONGEST + 1) + b"\nok\n") == [(b"", LONGEST + 2), (b"ok", 3)]


@pytest.mark.parametrize("said", [b"", b"starting", b"[1]", b"7", b"{}", line("fine"), line(outcome=None), b"\xff\xfe", b"[" * 9000])  # type: ignore[arg-type]
def test_what_is_no_operation_is_unreadable(said: bytes) -> None:
    assert operation_of(said).outcome is None


@pytest.mark.parametrize("took", [None, -1, "12ms", True, 1e300, float("inf"), [1]])
def test_an_operation_that_tells_no_duration_counts_without_one(took: object) -> None:
    found = operation_of(line(took=took))

    assert (found.outcome, found.took) == ("ok", None)


def test_an_operation_may_say_when_it_ended() -> None:
    assert operation_of(line(ended="2026-01-01T00:00:05Z")).ended == at(5)
    assert operation_of(line(ended=at(5).timestamp())).ended == at(5)
    for wrong in ("yesterday", "2026-01-01T00:00:05", 1e300, None, True):
        assert operation_of(line(ended=wrong)).ended is None


def test_operations_are_summed_up_by_the_second_and_cut_where_windows_begin_and_end() -> None:
    operations = Operations("writers", at(0))
    for tenth in range(30):
        operations.add(at(tenth / 10), tenth * 10, operation_of(line("failed" if tenth == 7 else "ok", took=0.01)))

    found = operations.through(at(2), [at(0.5)], 300)

    assert [(seen.start, seen.end) for seen in found] == [(at(0), at(0.5)), (at(0.5), at(1.5))]
    assert outcomes(found) == (14, 1, 0, 0)
    assert found[-1].samples == ("7",)
    assert [seen.latency.count for seen in found if seen.latency] == [5, 9]
    assert [seen.through for seen in found] == [50, 150]


def test_silence_is_left_out_and_what_comes_late_is_not_told_of_a_time_that_was_told() -> None:
    operations = Operations("writers", at(0))
    operations.add(at(0.1), 0, operation_of(line()))
    operations.add(at(7), 50, operation_of(line()))
    first = operations.through(at(9), [], 100)
    operations.add(at(3), 100, operation_of(line("unknown")))

    second = operations.through(at(20), [], 150)

    assert [(seen.start, seen.end) for seen in first] == [(at(0.1), at(1.1)), (at(7), at(8))]
    assert [(seen.start, seen.unknown) for seen in second] == [(at(8), 1)]


def test_a_failed_operation_is_not_in_the_latency_nor_is_a_line_that_is_none() -> None:
    operations = Operations("writers", at(0))
    for said in (line(took=0.01), line("failed", took=0.001), line("unknown", took=1.0), b"hello"):
        operations.add(at(0.1), 0, operation_of(said))

    (seen,) = operations.through(at(5), [], 100)

    assert (seen.ok, seen.failed, seen.unknown, seen.unreadable) == (1, 1, 1, 1)
    assert seen.latency == Histogram.of([timedelta(milliseconds=10)])


def test_a_summary_waits_until_every_edge_that_may_cut_it_is_known() -> None:
    reach = Reach(frozenset({at(7), at(9)}), settled=at(6))

    assert reach.told(at(6.5)) == at(6)
    assert reach.told(at(7.5)) == at(7)
    assert reach.told(at(5)) == at(5)
    assert Reach(frozenset(), settled=at(6)).told(at(8)) == at(6)


def test_latencies_are_kept_where_they_are_wanted() -> None:
    summaries = Summaries("quote", at(0))
    for tenth in range(10):
        latency = timedelta(milliseconds=10 if tenth else 1000)
        summaries.add(Sampled(at(tenth / 10), ok=tenth > 0, missed=False, took=timedelta(milliseconds=5), latency=latency))

    (summary,) = summaries.through(at(1), [])

    assert summary.latency is not None
    assert (summary.failed, summary.latency.count) == (1, 10)
    assert summary.latency.quantile(1.0) == Histogram.of([timedelta(seconds=1)]).quantile(1.0)


def tick(start: float, took: float, *, ok: bool = True) -> Sampled:
    span = timedelta(seconds=took)
    return Sampled(at(start), ok=ok, missed=False, took=span, latency=span)


def moments(seen: ProbeSummary | OperationsSeen) -> tuple[float | None, float | None, float] | None:
    """When it saw the first and the last success, in seconds from the epoch, and the longest time between two."""
    said = seen.successes
    if said is None:
        return None
    first, last = (None if o is None else round((seen.start + o - EPOCH).total_seconds(), 6) for o in (said.first, said.last))
    return first, last, said.longest.total_seconds()


def test_a_good_answer_counts_when_it_came_whatever_second_it_was_asked_in() -> None:
    """Who is halted for two seconds and then answers all at once was out for two seconds, though nothing failed."""
    summaries = Summaries("quote", at(0))
    for start in (0.1, 0.4, 0.9):
        summaries.add(tick(start, 0.05))
    for start in (1.4, 1.9, 2.4, 2.9):
        summaries.add(tick(start, 3.0 - start if start < 2.9 else 0.05))

    found = summaries.through(at(4), [at(3)])

    assert [(s.start, s.end, s.ok) for s in found] == [(at(0), at(1), 3), (at(1), at(2), 2), (at(2), at(3), 2), (at(3), at(4), 0)]
    assert [moments(s) for s in found] == [(0.15, 0.95, 0.5), (None, None, 0.0), (2.95, 2.95, 0.0), (3.0, 3.0, 0.0)]


def test_what_failed_is_no_success_and_health_keeps_none() -> None:
    quote, health = Summaries("quote", at(0)), Summaries("a", at(0))
    for tenth in range(10):
        quote.add(tick(tenth / 10, 0.01, ok=tenth in {2, 7}))
        health.add(Sampled(at(tenth / 10), ok=True, missed=False, took=timedelta()))

    assert moments(quote.through(at(1), [])[0]) == (0.21, 0.71, 0.5)
    assert health.through(at(1), [])[0].successes is None


def test_a_success_in_a_stretch_that_no_summary_covers_is_told_by_none() -> None:
    summaries = Summaries("quote", at(0))
    summaries.add(tick(0.9, 1.5))
    summaries.leave_out(at(1), at(5))
    summaries.add(tick(5.1, 0.1))

    found = summaries.through(at(6), [])

    assert [(s.start, moments(s)) for s in found] == [(at(0), (None, None, 0.0)), (at(5), (5.2, 5.2, 0.0))]


def test_operations_tell_when_they_succeeded_and_late_ones_at_the_first_instant_that_is_untold() -> None:
    operations = Operations("writers", at(0))
    for when, outcome in ((0.1, "ok"), (0.3, "unknown"), (0.5, "failed"), (0.8, "ok"), (2.0, "failed")):
        operations.add(at(when), 0, operation_of(line(outcome)))
    first = operations.through(at(5), [], 100)
    operations.add(at(1.5), 100, operation_of(line()))
    second = operations.through(at(9), [], 150)

    assert [moments(s) for s in first] == [(0.1, 0.8, 0.7), (None, None, 0.0)]
    assert [moments(s) for s in second] == [(3.0, 3.0, 0.0)]


@given(st.lists(st.integers(1, 10_000_000), min_size=1), st.floats(0.01, 1))
def test_a_quantile_of_a_histogram_is_off_by_five_percent_at_most(micros: list[int], share: float) -> None:
    told = Histogram.of(timedelta(microseconds=m) for m in micros).quantile(share)
    exact = sorted(micros)[max(0, -int(-round(share * len(micros), 9) // 1) - 1)]

    assert told is not None
    assert exact - 1 <= told / timedelta(microseconds=1) <= exact * 1.05 + 1
