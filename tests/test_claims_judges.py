"""What holds of every judge, whatever the history."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from messages.claims import (
    AnsweredClaim,
    AnyClaim,
    Claim,
    FaultHistory,
    HealthClaim,
    History,
    Measured,
    MeasuredSpan,
    MetricClaim,
    RecoveryClaim,
    Sampled,
    Scrape,
    ServiceHistory,
    Transition,
    Window,
)
from messages.histogram import Histogram
from messages.observations import EventMatched, KeyCounts, Match
from messages.verdicts import Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
EVIDENCE = "observer.a.event.matched.1"
PARSE: TypeAdapter[Claim] = TypeAdapter(AnyClaim)


def at(tenths: int) -> datetime:
    return START + timedelta(milliseconds=100 * tenths)


instants = st.integers(-20, 140).map(at)
maybe = st.none() | instants
spans = st.integers(0, 40).map(lambda tenths: timedelta(milliseconds=100 * tenths))
names = st.sampled_from(("s", "t"))


def words(kind: str, **others: st.SearchStrategy[Any]) -> st.SearchStrategy[Claim]:
    reference = st.sampled_from((None, None, "crash", "crash.effective"))
    shared: dict[str, st.SearchStrategy[Any]] = {"type": st.just(kind), "during": reference, "after": reference, "before": reference}
    return st.fixed_dictionaries({**shared, **others}).map(PARSE.validate_python)


bounds = st.none() | st.integers(0, 4)
targets = st.sampled_from(("s", "t", ("s", "t"), ("s", "unheard-of"), ()))
healths = words(
    "health",
    target=targets,
    throughout=st.booleans(),
    never=st.booleans(),
    within=st.none() | spans,
    except_=st.sampled_from((None, "disturbed")),
)
recoveries = words("recovery", target=names, of=st.just("crash"), within=spans, by=st.sampled_from((None, "itself", "undo")))
claims = st.one_of(
    words(
        "event", where=st.just("true"), never=st.booleans(), at_least=st.none() | st.integers(0, 4), at_most=st.none() | st.integers(0, 4)
    ),
    words("audit", target=names, sequence=st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(tuple)),
    words("continuity", key=st.just("event.id"), opened_by=st.just("a"), closed_by=st.just("b")),
    healths,
    recoveries,
    words(
        "latency", probe=st.just("p"), percentile=st.sampled_from((1, 50, 95)), at_most=st.just("1s"), min_samples=st.none() | st.just(2)
    ),
    words(
        "latency", workload=st.just("p"), percentile=st.just(50), at_most=st.just("2x"), compare=st.just("before"), min_samples=st.just(2)
    ),
    words(
        "latency",
        event=st.just({"where": "true", "value": "event.data"}),
        percentile=st.just(50),
        at_most=st.just("1s"),
        min_samples=st.none() | st.just(2),
    ),
    words("http", url=st.just("http://h:1/"), throughout=st.booleans(), never=st.booleans(), within=st.none() | spans),
    words(
        "grpc",
        address=st.just("h:1"),
        method=st.just("a.B/C"),
        throughout=st.booleans(),
        never=st.booleans(),
        within=st.none() | spans,
    ),
    words(
        "metric",
        url=st.just("http://h:1/"),
        metric=st.just("a"),
        of=st.sampled_from(("value", "increase", "rate")),
        at_least=st.sampled_from((None, 1, 2)),
        at_most=st.sampled_from((None, 1, 3)),
        throughout=st.booleans(),
        within=st.none() | spans,
    ),
    words("metric", url=st.just("http://h:1/"), metric=st.just("a"), at_most=st.just("2x"), compare=st.just("before")),
)


def _ordered(found: list[Transition]) -> tuple[Transition, ...]:
    return tuple(sorted(found, key=lambda t: t.at))


def _spanned(starts: set[int]) -> list[tuple[int, int]]:
    return [(start, start + 10) for start in sorted(starts)]


transitions = st.builds(Transition, at=instants, up=st.booleans(), evidence=st.just("observer.s.changed"), took=spans)
unasked = st.builds(
    Transition, at=instants, up=st.just(value=False), evidence=st.just("observer.s.changed"), took=spans, asked=st.booleans()
)
samples = st.sets(st.integers(-2, 13).map(lambda n: n * 10)).flatmap(
    lambda starts: st.tuples(
        *(
            st.builds(Sampled, st.just(at(a)), st.just(at(b)), st.integers(0, 2), st.integers(0, 2), st.just("observer.s.sampled"))
            for a, b in _spanned(starts)
        )
    )
)
services = st.builds(ServiceHistory, st.lists(transitions, max_size=6).map(_ordered), samples)
faults = st.builds(
    FaultHistory,
    id=st.just("crash"),
    target=names,
    action=st.sampled_from(("kill", "restart")),
    requested=maybe,
    armed=maybe,
    called=maybe,
    injected=maybe,
    effective=maybe,
    reverted=maybe,
    gone=maybe,
    restored_by=st.sampled_from((None, "itself", "undo", "operator")),
    refused=st.sampled_from((None, None, None, "limit")),
    effect_missed=st.sampled_from((False, False, False, True)),
    evidence=st.just({"effective": "chaos-injector.crash.fault.effective.0"}),
)
matches = st.builds(Match, id=st.text("xyz", max_size=2), type=st.sampled_from("ab"), source=names, sequence=st.integers(0, 9), at=instants)
counts = st.integers(0, 5)
timings = st.lists(st.integers(0, 3000).map(lambda n: timedelta(milliseconds=n)), max_size=3).map(Histogram.of)
keys = st.builds(KeyCounts, opened=counts, closed_once=counts, open_count=counts, twice_count=counts)


@st.composite
def summaries(draw: st.DrawFn) -> EventMatched:
    kept = tuple(sorted(draw(st.lists(matches, max_size=4)), key=lambda m: m.at))
    return EventMatched(
        assertion="a",
        number=1,
        opens=draw(instants),
        closes=draw(maybe),
        until=draw(instants),
        through=9,
        final=draw(st.booleans()),
        count=draw(counts),
        seen=draw(counts),
        evaluated=draw(st.none() | counts),
        errors=draw(counts),
        gap=draw(st.booleans()),
        first=kept[0] if kept else None,
        last=kept[-1] if kept else None,
        kept=kept,
        keys=draw(st.none() | keys),
        values=draw(st.none() | timings),
    )


measured = st.builds(
    Measured,
    st.lists(st.builds(MeasuredSpan, instants, instants, timings, st.integers(0, 2), st.just("observer.p.sampled"), st.booleans())).map(
        tuple
    ),
    st.lists(st.tuples(instants, instants), max_size=2).map(tuple),
    st.none() | st.just(timedelta(milliseconds=100)),
)
series = st.dictionaries(st.sampled_from("ab"), st.floats(0, 4) | st.just(float("nan")), max_size=2)
scrapes = st.lists(
    st.builds(Scrape, instants, st.just("observer.a.scraped"), series, st.sampled_from((0, 0, 1)), st.sampled_from(("", "", "x")))
)
excuses = st.dictionaries(names, st.lists(st.tuples(instants, maybe), max_size=3).map(tuple))
histories = st.builds(
    History,
    window=st.builds(Window, maybe, maybe, st.booleans()),
    services=st.fixed_dictionaries({"s": services, "t": services}),
    faults=st.just({}) | faults.map(lambda fault: {"crash": fault}),
    matched=st.none() | summaries(),
    matched_evidence=st.sampled_from((None, EVIDENCE, EVIDENCE)),
    probes_until=maybe,
    excused=excuses,
    phases=st.just({}) | st.builds(Window, maybe, maybe).map(lambda window: {"before": window}),
    measured=st.none() | measured,
    answers=services | st.builds(ServiceHistory, st.lists(unasked, max_size=3).map(_ordered), samples),
    scrapes=scrapes.map(tuple),
    max_gap=spans,
    stable=spans,
)


@settings(max_examples=150, deadline=None)
@given(claims, histories)
def test_a_judge_never_raises_and_passes_nothing_without_evidence(claim: Claim, history: History) -> None:
    for found in (claim.judge(history), claim.judge_stable(history)):
        if found is not None:
            assert found.message
            assert (found.reason is None) == (found.verdict is Verdict.PASSED)
            assert found.evidence or found.verdict is not Verdict.PASSED
            assert set(found.measured) <= {*claim.FIGURES, "unknown"}, "what it measures, an expression may ask for"


def completed(claim: Claim, history: History) -> History:
    """The same history when all is known: the window, the moments of the fault, and the watermarks beyond them."""
    opens = history.window.opens or at(0)
    closes = history.window.closes or at(100)
    fault = history.faults.get("crash", FaultHistory("crash", "s", "kill"))
    called = fault.called or at(5)
    whole = replace(
        fault,
        requested=fault.requested or at(0),
        called=called,
        effective=fault.effective or at(7),
        gone=fault.gone or at(9),
        restored_by=fault.restored_by or "undo",
    )
    matched = history.matched
    if matched is not None:
        matched = matched.model_copy(update={"opens": opens, "closes": closes, "final": True})
    elif claim.follows_events:
        seen = {"opens": opens, "closes": closes, "until": closes, "through": 0, "count": 0, "seen": 0}
        matched = EventMatched(assertion="a", number=1, final=True, **seen)  # type: ignore[arg-type]
    return replace(
        history,
        window=Window(opens, closes),
        faults={"crash": whole},
        matched=matched,
        probes_until=max(opens, closes, at(200)) + timedelta(hours=1),
    )


@settings(max_examples=150, deadline=None)
@given(claims, histories)
def test_with_all_known_every_judge_says_something(claim: Claim, history: History) -> None:
    whole = completed(claim, history)

    assert claim.judge(whole) is not None
    assert claim.judge_stable(whole) is not None


@settings(max_examples=150, deadline=None)
@given(claims, histories)
def test_what_passes_by_absence_was_looked_for_to_the_end(claim: Claim, history: History) -> None:
    past = replace(history, probes_until=None, matched=None)

    for found in (claim.judge(past), claim.judge_stable(past)):
        present = isinstance(claim, RecoveryClaim) or (isinstance(claim, AnsweredClaim | MetricClaim) and claim.within is not None)
        assert found is None or found.verdict is not Verdict.PASSED or present


FULL = tuple(Sampled(at(n * 10), at(n * 10 + 10), 5, 0, f"observer.s.{n}") for n in range(-1, 12))


@settings(max_examples=120, deadline=None)
@given(
    healths.map(lambda claim: claim.model_copy(update={"throughout": True, "never": False, "within": None, "target": "s"})),
    services,
    excuses,
    st.integers(0, 99).map(at),
    spans,
)
def test_a_down_without_excuse_in_the_window_ends_a_pass(
    claim: HealthClaim, service: ServiceHistory, excused: dict[str, Any], moment: datetime, took: timedelta
) -> None:
    ups = tuple(t for t in service.transitions if t.up)
    fine = ServiceHistory((Transition(at(-10), up=True, evidence="observer.s.up"), *(t for t in ups if t.at > at(-10))), FULL)
    past = History(window=Window(at(0), at(100)), services={"s": fine}, probes_until=at(100), excused=excused)
    down = Transition(moment, up=False, evidence="observer.s.down", took=min(took, at(100) - moment - timedelta(microseconds=1)))
    broken = ServiceHistory(tuple(sorted((*fine.transitions, down), key=lambda t: t.at)), FULL)
    unexcused = claim.except_ is None or not any(a <= down.seen and (b is None or b >= down.seen) for a, b in excused.get("s", ()))

    before, after = claim.judge(past), claim.judge(replace(past, services={"s": broken}))

    assert before is not None
    assert after is not None
    assert after.verdict is Verdict.FAILED if unexcused else after.verdict in {before.verdict, Verdict.FAILED}


@settings(max_examples=120, deadline=None)
@given(histories, spans)
def test_a_later_watermark_changes_no_judgement_of_health(history: History, more: timedelta) -> None:
    claim = HealthClaim(type="health", target="s", within=timedelta(seconds=3))
    past = replace(history, window=Window(at(0), at(30)))
    later = replace(past, probes_until=None if past.probes_until is None else past.probes_until + more)

    for before, after in ((claim.judge(past), claim.judge(later)), (claim.judge_stable(past), claim.judge_stable(later))):
        assert before is None or (after is not None and after.verdict is before.verdict)
