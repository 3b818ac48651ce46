"""The metric claim: values, increases and rates of what was scraped. The wrong histories first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from messages.claims import FaultHistory, History, Judgement, MetricClaim, Scope, Scrape, Window
from messages.claims.growth import increase
from messages.claims.selector import parse_selector
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
NO_SAMPLES, TOO_FEW = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES), (Verdict.INCONCLUSIVE, Reason.TOO_FEW_SAMPLES)
GAP, PRECONDITION = (Verdict.INCONCLUSIVE, Reason.GAP), (Verdict.INCONCLUSIVE, Reason.PRECONDITION)
SCOPE = Scope({"s": frozenset({"s"}), "t": frozenset({"t"})}, {"slow": ("s", "pause")}, "chaos", ("baseline",), (), (), ("s",))
PARSE: TypeAdapter[MetricClaim] = TypeAdapter(MetricClaim)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def metric(**words: Any) -> MetricClaim:
    limit = {} if {"at_least", "at_most", "equals"} & words.keys() else {"at_least": 5}
    return PARSE.validate_python({"type": "metric", "target": "s", "metric": "orders_total", **limit, **words})


def scrape(seconds: float, *values: float, **words: Any) -> Scrape:
    return Scrape(at(seconds), f"observer.a.metric.sampled.{seconds}", {f"orders_total{n}": v for n, v in enumerate(values)}, **words)


def counting(start: int, *values: float) -> tuple[Scrape, ...]:
    """One scrape a second."""
    return tuple(scrape(start + n, value) for n, value in enumerate(values))


def seen(*scrapes: Scrape, until: float | None = 30, window: tuple[float, float | None] = (10, 15), **words: Any) -> History:
    """`baseline` was from 0 to 10 s."""
    opens, closes = window
    return History(
        window=Window(at(opens), None if closes is None else at(closes)),
        scrapes=scrapes,
        probes_until=None if until is None else at(until),
        phases={"baseline": Window(at(0), at(10))},
        **words,
    )


def verdict(found: Judgement | None) -> tuple[Verdict, Reason | None] | None:
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


@pytest.mark.parametrize("of", ["value", "increase", "rate"])
@pytest.mark.parametrize("limit", [{"at_least": 0}, {"at_most": 100}])
def test_what_was_not_seen_proves_nothing(of: str, limit: dict[str, float]) -> None:
    claim = metric(of=of, **limit)

    assert verdict(claim.judge(seen())) == NO_SAMPLES
    assert verdict(claim.judge(seen(scrape(5, 7), scrape(16, 9)))) == NO_SAMPLES
    assert verdict(claim.judge(seen(*(scrape(n, error="refused") for n in range(10, 15))))) == NO_SAMPLES
    assert verdict(claim.judge(seen(*(scrape(n) for n in range(10, 15))))) == NO_SAMPLES


def test_one_scrape_shows_no_growth() -> None:
    assert verdict(metric(of="increase", at_most=100).judge(seen(scrape(12, 7)))) == TOO_FEW


@pytest.mark.parametrize("words", [{"throughout": True}, {"of": "increase"}, {"of": "rate"}])
def test_a_stretch_without_scrapes_is_a_gap(words: dict[str, Any]) -> None:
    holed = (scrape(10, 7), scrape(10.2, 8), scrape(14.5, 90))

    assert verdict(metric(at_least=1, **words).judge(seen(*holed))) == GAP


def test_a_value_that_is_old_at_the_windows_end_is_a_gap() -> None:
    assert verdict(metric().judge(seen(scrape(10, 7), scrape(11, 7)))) == GAP
    assert verdict(metric().judge(seen(scrape(10, 7), scrape(13, 7)))) == PASSED


def test_failed_scrapes_are_holes_and_say_why() -> None:
    found = metric(of="increase").judge(seen(scrape(10, 1), *(scrape(n, error="refused") for n in range(11, 15))))

    assert verdict(found) == TOO_FEW
    assert found is not None
    assert "refused" in found.message


def test_nothing_is_said_before_the_window_is_over_and_looked_through() -> None:
    full = counting(10, 7, 8, 9, 10, 11)

    assert metric().judge(seen(*full, until=14)) is None
    assert metric().judge(seen(*full, window=(10, None))) is None
    assert verdict(metric().judge(seen(*full))) == PASSED


def test_the_value_is_the_last_in_the_window_and_the_sum_of_the_series() -> None:
    assert verdict(metric(equals=9).judge(seen(*counting(10, 1, 2, 3), scrape(14, 4, 5), scrape(16, 100)))) == PASSED
    assert verdict(metric(at_most=8).judge(seen(*counting(10, 1, 2, 3), scrape(14, 4, 5)))) == FAILED


def test_throughout_fails_at_the_first_broken_scrape_and_within_passes_at_the_first_good_one() -> None:
    broken = counting(10, 7, 3, 7)

    assert verdict(metric(throughout=True).judge(seen(*broken, until=None, window=(10, None)))) == FAILED
    assert verdict(metric(throughout=True).judge(seen(*counting(10, 7, 7, 7, 7, 7)))) == PASSED
    assert verdict(metric(within="5s").judge(seen(*counting(10, 1, 5), until=None))) == PASSED
    assert verdict(metric(within="5s").judge(seen(*counting(10, 1, 2, 3, 3, 3)))) == FAILED
    assert metric(within="5s").judge(seen(*counting(10, 1, 2), until=12)) is None


def test_a_counter_that_starts_anew_counts_on() -> None:
    restarted = counting(10, 100, 103, 2, 4, 4)

    assert verdict(metric(of="increase", equals=7).judge(seen(*restarted))) == PASSED
    assert verdict(metric(of="increase", at_most=6).judge(seen(*restarted))) == FAILED
    assert verdict(metric(of="rate", at_least=1.7, at_most=1.8).judge(seen(*restarted))) == PASSED


def test_a_series_that_appears_counts_from_nothing_and_one_that_is_no_number_does_not() -> None:
    assert increase({}, {"a": 3}) == 3
    assert increase({"a": 3}, {"a": 5, "b": 1}) == 3
    assert increase({"a": 3}, {"a": float("nan")}) == 0
    assert verdict(metric(of="increase", equals=4).judge(seen(scrape(10), *counting(11, 1, 2, 4, 4)))) == PASSED


def test_a_constant_counter_that_was_away_for_a_scrape_has_not_grown() -> None:
    away = (scrape(10, 100), scrape(11, 100), scrape(12), scrape(13, 100), scrape(14, 100))
    lost = (scrape(10, 100), scrape(11, 100), scrape(12, float("nan")), scrape(13, 100), scrape(14, 100))

    assert verdict(metric(of="increase", at_least=1).judge(seen(*away))) == FAILED
    assert verdict(metric(of="increase", at_least=1).judge(seen(*lost))) == FAILED
    assert verdict(metric(of="increase", at_least=3).judge(seen(*away[:3], scrape(13, 2), scrape(14, 3)))) == PASSED, "it began anew"


def test_the_same_scrape_told_twice_counts_once_and_order_does_not_matter() -> None:
    late = (scrape(14, 9), *counting(10, 5, 6, 7, 8), scrape(12, 7))

    assert verdict(metric(of="increase", equals=4).judge(seen(*late))) == PASSED


def test_more_series_than_are_read_prove_nothing() -> None:
    found = metric(at_least=1).judge(seen(*(scrape(n, 5, beyond=3) for n in range(10, 15))))

    assert verdict(found) == (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)
    assert metric(at_least=1, within="5s").judge(seen(scrape(10, 5, beyond=3), until=None)) is None


def test_a_rate_may_be_compared_with_that_of_an_earlier_phase() -> None:
    claim = metric(of="rate", at_least="-20%", compare="baseline")
    before = counting(0, *range(0, 100, 10))

    assert verdict(claim.judge(seen(*before, *counting(10, 100, 109, 118, 127, 136)))) == PASSED
    assert verdict(claim.judge(seen(*before, *counting(10, 100, 105, 110, 115, 120)))) == FAILED
    assert verdict(claim.judge(seen(*counting(10, 100, 109, 118, 127, 136)))) == NO_SAMPLES
    fault = FaultHistory("slow", "s", "pause", armed=at(3))
    assert verdict(claim.judge(seen(*before, *counting(10, 100, 109, 118, 127, 136), faults={"slow": fault}))) == PRECONDITION


def test_a_window_that_ended_before_it_opened_is_empty() -> None:
    assert verdict(metric().judge(replace(seen(), window=Window(at(10), at(9))))) == NO_SAMPLES


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"target": None}, ()),
        ({"url": "http://h:1/metrics"}, ()),
        ({"target": "t"}, ("target",)),
        ({"target": "x"}, ("target",)),
        ({"at_least": None}, ()),
        ({"never": True}, ()),
        ({"of": "rate", "throughout": True}, ()),
        ({"every": "1ms"}, ("every",)),
        ({"at_least": "+5"}, ("at_least",)),
        ({"compare": "later", "at_least": "2x"}, ("compare",)),
    ],
)
def test_what_is_wrong_in_a_document_is_named(words: dict[str, Any], path: tuple[str, ...]) -> None:
    assert [p.path for p in metric(**words).problems(SCOPE)] == [path]


@pytest.mark.parametrize("text", ["", "1up", "up{", "up{a}", 'up{a="b"', "up{a=~'b'}", 'up{a="b" c="d"}', "a b"])
def test_a_metric_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        metric(metric=text)


def test_labels_choose_series() -> None:
    chosen = parse_selector('orders_total{status="filled", side!="sell"}')

    assert chosen.takes("orders_total", {"status": "filled", "side": "buy", "x": "y"})
    assert chosen.takes("orders_total", {"status": "filled"})
    assert not chosen.takes("orders_total", {"status": "filled", "side": "sell"})
    assert not chosen.takes("orders_total", {})
    assert not chosen.takes("orders", {"status": "filled"})


def asked(**words: Any) -> MetricClaim:
    limit = {} if {"at_least", "at_most", "equals"} & words.keys() else {"at_least": 5}
    return PARSE.validate_python({"type": "metric", "promql": "sum(rate(orders_total[10s]))", **limit, **words})


def message(found: Judgement | None) -> str:
    return found.message if found is not None else ""


def test_of_promql_nothing_and_only_errors_prove_nothing_and_say_what_would_be_right() -> None:
    empty, wrong = (scrape(n) for n in range(10, 15)), (scrape(n, error="Prometheus says: parse error") for n in range(10, 15))
    nothing, mistaken = asked(at_most=9).judge(seen(*empty)), asked(at_most=9).judge(seen(*wrong))

    assert (verdict(nothing), verdict(mistaken), verdict(asked().judge(seen()))) == (NO_SAMPLES, NO_SAMPLES, NO_SAMPLES)
    assert message(nothing).endswith("gave nothing; where that means 0, write (sum(rate(orders_total[10s]))) or vector(0)")
    assert message(mistaken).endswith("could be used in the window: Prometheus says: parse error")


def test_of_promql_more_series_than_are_read_are_to_be_summed() -> None:
    found = asked().judge(seen(*(scrape(n, 5, beyond=3) for n in range(10, 15))))

    assert verdict(found) == (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)
    assert message(found).endswith("names 3 series more than are read; sum them")


def test_of_promql_errors_are_holes() -> None:
    holed = (scrape(10, 7), scrape(10.2, 8), *(scrape(n, error="status 503") for n in (11, 12, 13)), scrape(14.5, 7))

    assert verdict(asked(throughout=True).judge(seen(*holed))) == GAP
    assert verdict(asked().judge(seen(*holed))) == PASSED


def test_promql_is_judged_as_a_value_is_over_the_sum_of_what_it_gives() -> None:
    assert verdict(asked(equals=9).judge(seen(*counting(10, 1, 2, 3), scrape(14, 4, 5), scrape(16, 100)))) == PASSED
    assert verdict(asked(throughout=True).judge(seen(*counting(10, 7, 3, 7), until=None, window=(10, None)))) == FAILED
    assert verdict(asked(within="5s").judge(seen(*counting(10, 1, 5), until=None))) == PASSED
    before = counting(0, *(10 for _ in range(10)))
    assert verdict(asked(at_most="2x", compare="baseline").judge(seen(*before, *counting(10, 19, 19, 19, 19, 19)))) == PASSED
    assert verdict(asked(at_most="2x", compare="baseline").judge(seen(*before, *counting(10, 19, 19, 19, 19, 21)))) == FAILED


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"metric": "orders_total"}, ()),
        ({"target": "s"}, ("target",)),
        ({"url": "http://h:1/metrics"}, ("url",)),
        ({"of": "rate"}, ("of",)),
        ({"of": "increase"}, ("of",)),
        ({"never": True}, ()),
        ({"at_least": None}, ()),
    ],
)
def test_what_is_wrong_with_promql_in_a_document_is_named(words: dict[str, Any], path: tuple[str, ...]) -> None:
    assert [p.path for p in asked(**words).problems(replace(SCOPE, prometheus=True))] == [path]


def test_promql_needs_a_prometheus_in_the_system() -> None:
    (problem,) = asked().problems(replace(SCOPE, prometheus=False))

    assert problem.path == ("promql",)
    assert 'prometheus: {http: "http://127.0.0.1:9090"}' in problem.right
    assert list(asked().problems(SCOPE)) == []


def test_a_metric_claim_that_names_nothing_is_refused() -> None:
    assert [p.path for p in metric(metric=None).problems(SCOPE)] == [()]
    with pytest.raises(ValidationError):
        asked(promql="")
