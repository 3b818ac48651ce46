"""The health claim: at the end, within, never, throughout, and stable in settle and recover."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messages.claims import (
    Claim,
    ContinuityClaim,
    FaultHistory,
    HealthClaim,
    History,
    Judgement,
    Sampled,
    ServiceHistory,
    Transition,
    Window,
)
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
FAILED = (Verdict.FAILED, Reason.CLAIM_FAILED)
PASSED = (Verdict.PASSED, None)
NO_SAMPLES = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)
GAP = (Verdict.INCONCLUSIVE, Reason.GAP)
PENDING = None
Seen = tuple[Verdict, Reason | None] | None


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def sampled(*spans: tuple[float, float], ok: int = 5, failed: int = 0) -> tuple[Sampled, ...]:
    return tuple(Sampled(at(a), at(b), ok, failed, f"observer.s.summary.{a}") for a, b in spans)


def every_second(start: int, end: int) -> tuple[Sampled, ...]:
    return sampled(*((n, n + 1) for n in range(start, end)))


FULL = every_second(-2, 12)
SICK = sampled(*((n, n + 1) for n in range(-2, 12)), ok=0, failed=5)
TORN = sampled((-1, 1), ok=5, failed=5)
"""Across the window's opening: nobody knows which of the samples were the good ones."""


def health(**words: Any) -> HealthClaim:
    return HealthClaim(**{"type": "health", "target": "s", **words})


def verdict(found: Judgement | None) -> Seen:
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


def up_from(seconds: float) -> Transition:
    return Transition(at(seconds), up=True, evidence=f"observer.s.up.{seconds}")


def down_from(seconds: float, took: float = 0.0) -> Transition:
    return Transition(at(seconds), up=False, evidence=f"observer.s.down.{seconds}", error="refused", took=timedelta(seconds=took))


def seen(
    *transitions: Transition,
    samples: tuple[Sampled, ...] = FULL,
    until: float | None = 10,
    window: tuple[float | None, float | None] = (0, 10),
    excused: tuple[tuple[float, float | None], ...] = (),
    others: dict[str, ServiceHistory] | None = None,
    stable: timedelta = timedelta(),
) -> History:
    opens, closes = window
    return History(
        window=Window(None if opens is None else at(opens), None if closes is None else at(closes)),
        services={"s": ServiceHistory(transitions, samples), **(others or {})},
        probes_until=None if until is None else at(until),
        excused={"s": tuple((at(a), None if b is None else at(b)) for a, b in excused)} if excused else {},
        stable=stable,
    )


WAS_UP = up_from(-5)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(seen(samples=()), NO_SAMPLES, id="nothing seen"),
        pytest.param(seen(), NO_SAMPLES, id="samples, but the state is unknown"),
        pytest.param(seen(WAS_UP, samples=every_second(-9, 6)), NO_SAMPLES, id="long up, but not looked at near the end"),
        pytest.param(seen(WAS_UP, down_from(5), samples=every_second(-9, 6)), NO_SAMPLES, id="long down, but not looked at near the end"),
        pytest.param(seen(WAS_UP, samples=sampled((8, 10), ok=0)), NO_SAMPLES, id="a span without samples is none"),
        pytest.param(seen(WAS_UP, down_from(9)), FAILED, id="down at the end"),
        pytest.param(seen(up_from(10.1)), NO_SAMPLES, id="up after the end"),
        pytest.param(seen(WAS_UP, down_from(9.9, took=0.5)), PASSED, id="a sample in flight at the end belongs to what comes after"),
        pytest.param(seen(WAS_UP, down_from(3), up_from(9)), PASSED, id="up again by the end"),
        pytest.param(seen(WAS_UP, down_from(11)), PASSED, id="down after the end"),
        pytest.param(seen(WAS_UP, until=9.9), PENDING, id="the observer is behind"),
        pytest.param(seen(WAS_UP, until=None), PENDING, id="the observer said nothing"),
        pytest.param(seen(WAS_UP, window=(0, None)), PENDING, id="the window is open"),
        pytest.param(seen(WAS_UP, window=(None, None)), PENDING, id="the window never opened"),
        pytest.param(seen(WAS_UP, window=(5, 2)), NO_SAMPLES, id="the window closed before it opened"),
    ],
)
def test_health_at_the_end(history: History, expected: Seen) -> None:
    assert verdict(health().judge(history)) == expected


def test_who_is_excused_at_the_end_is_not_asked() -> None:
    claim = health(**{"except": "disturbed"})
    sick = seen(WAS_UP, down_from(9), excused=((8, None),))

    assert verdict(claim.judge(sick)) == NO_SAMPLES
    assert verdict(health().judge(sick)) == FAILED
    assert verdict(claim.judge(seen(WAS_UP, down_from(9), excused=((8, 9.5),)))) == FAILED


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(seen(samples=()), GAP, id="nothing seen"),
        pytest.param(seen(), GAP, id="state unknown"),
        pytest.param(seen(down_from(-1)), FAILED, id="down all the time"),
        pytest.param(seen(down_from(-1), up_from(5.1), window=(0, 5)), FAILED, id="up too late"),
        pytest.param(seen(down_from(-1), up_from(4), until=3.9), PENDING, id="the observer is behind"),
        pytest.param(seen(down_from(-1), up_from(4), until=None), PENDING, id="no watermark at all"),
        pytest.param(seen(WAS_UP, samples=every_second(-9, -1)), GAP, id="healthy long before, not looked at since"),
        pytest.param(seen(WAS_UP, down_from(-1), samples=every_second(-9, 1)), GAP, id="might have been up while nobody looked"),
        pytest.param(seen(WAS_UP, samples=sampled((0, 2), ok=0, failed=5)), GAP, id="no good sample"),
        pytest.param(seen(WAS_UP, down_from(0.5), samples=(*TORN, *SICK[3:])), FAILED, id="good samples only before the window"),
        pytest.param(seen(down_from(-1), up_from(4)), PASSED, id="in time"),
        pytest.param(seen(down_from(-1), up_from(5), window=(0, None)), PASSED, id="just in time"),
        pytest.param(seen(down_from(-1), window=(0, None)), PENDING, id="the run stands still, so nobody knows the end"),
        pytest.param(seen(down_from(-1), up_from(6), window=(0, 8)), PASSED, id="in time, since the run stood still for 3s"),
        pytest.param(seen(WAS_UP), PASSED, id="from the start"),
        pytest.param(seen(down_from(-1), up_from(4), window=(0, 3), until=3), FAILED, id="the window was cut before"),
    ],
)
def test_health_within(history: History, expected: Seen) -> None:
    assert verdict(health(within=timedelta(seconds=5)).judge(history)) == expected


def test_all_must_be_healthy_at_once() -> None:
    other = ServiceHistory((up_from(-1), down_from(3)), FULL)
    claim = health(target=("s", "t"), within=timedelta(seconds=5))

    assert verdict(claim.judge(seen(down_from(-1), up_from(4), others={"t": other}))) == FAILED
    assert verdict(claim.judge(seen(down_from(-1), up_from(2), others={"t": other}))) == PASSED
    assert verdict(health(target=("s", "t"), never=True).judge(seen(down_from(-1), up_from(2), others={"t": other}))) == FAILED
    assert verdict(health(target=("s", "t"), never=True).judge(seen(down_from(-1), up_from(4), others={"t": other}))) == PASSED


def test_good_samples_of_a_later_part_of_their_span_do_not_make_all_healthy_at_once_before() -> None:
    """Who had just died is up by the last that was seen of it. When it was back, the other was away."""
    torn = (*sampled((0, 3), ok=2, failed=13), *every_second(3, 12))
    other = ServiceHistory((up_from(-1), down_from(2)), (*every_second(-2, 2), *SICK[4:]))
    claim = health(target=("s", "t"), within=timedelta(seconds=5))

    assert verdict(claim.judge(seen(WAS_UP, down_from(0.2), up_from(2.5), samples=torn, others={"t": other}))) == FAILED
    found = health(within=timedelta(seconds=5)).judge(seen(WAS_UP, down_from(0.2), up_from(2.5), samples=torn))
    assert found is not None
    assert found.measured == {"took": timedelta(seconds=2.5)}


def test_one_late_sample_of_another_service_keeps_a_pass_waiting() -> None:
    other = ServiceHistory((up_from(-1),), FULL)
    claim = health(target=("s", "t"), within=timedelta(seconds=5))

    assert verdict(claim.judge(seen(down_from(-1), up_from(2), until=1.9, others={"t": other}))) is PENDING


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(seen(samples=()), GAP, id="nothing seen"),
        pytest.param(seen(), GAP, id="state unknown"),
        pytest.param(seen(WAS_UP), FAILED, id="healthy at the start"),
        pytest.param(seen(down_from(-1), up_from(10)), FAILED, id="healthy at the end"),
        pytest.param(seen(down_from(-1), up_from(3), window=(0, None)), FAILED, id="broken is judged at once"),
        pytest.param(seen(down_from(-1), until=9), PENDING, id="the observer is behind"),
        pytest.param(seen(down_from(-1), samples=every_second(-1, 5)), GAP, id="a gap"),
        pytest.param(seen(down_from(-1), samples=every_second(-3, 0), window=(0, 2), until=2), GAP, id="a short window without samples"),
        pytest.param(seen(down_from(-1), up_from(11)), PASSED, id="healthy after"),
    ],
)
def test_health_never(history: History, expected: Seen) -> None:
    assert verdict(health(never=True).judge(history)) == expected


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(seen(samples=()), GAP, id="nothing seen"),
        pytest.param(seen(), NO_SAMPLES, id="state unknown"),
        pytest.param(seen(WAS_UP, samples=(*every_second(-1, 2), *every_second(6, 12))), GAP, id="a gap"),
        pytest.param(seen(WAS_UP, samples=every_second(-5, 0), window=(0, 2), until=2), NO_SAMPLES, id="a short window without samples"),
        pytest.param(seen(WAS_UP, samples=every_second(0, 7), until=10.5), PASSED, id="a gap as long as is allowed"),
        pytest.param(seen(WAS_UP, window=(3, 3), until=5), NO_SAMPLES, id="an empty window"),
        pytest.param(seen(WAS_UP, down_from(5), up_from(5.2)), FAILED, id="down for a moment"),
        pytest.param(seen(down_from(-3), up_from(0.5)), FAILED, id="down from before"),
        pytest.param(seen(WAS_UP, down_from(5), window=(0, None), until=None), FAILED, id="broken is judged at once"),
        pytest.param(seen(WAS_UP, until=9.9), PENDING, id="the observer is behind"),
        pytest.param(seen(WAS_UP, window=(0, None)), PENDING, id="the window is open"),
        pytest.param(seen(WAS_UP, down_from(-2), up_from(-1), down_from(11)), PASSED, id="down before and after"),
        pytest.param(seen(WAS_UP, down_from(-2), up_from(0)), PASSED, id="up at the very start"),
        pytest.param(seen(WAS_UP, down_from(9.9, took=1)), PASSED, id="in flight at the end: it failed after"),
        pytest.param(seen(WAS_UP, down_from(5), up_from(8), excused=((4, 9),)), FAILED, id="without `except` nothing is excused"),
        pytest.param(seen(WAS_UP, excused=((-1, None),)), PASSED, id="without `except` disturbed time counts too"),
    ],
)
def test_health_throughout(history: History, expected: Seen) -> None:
    assert verdict(health(throughout=True).judge(history)) == expected


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(seen(WAS_UP, down_from(5), up_from(8), excused=((6, 9),)), FAILED, id="down before the fault"),
        pytest.param(
            seen(WAS_UP, down_from(5), samples=SICK[:9], until=9, window=(0, None), excused=((4, 7),)),
            PENDING,
            id="down when last looked at, and that was excused",
        ),
        pytest.param(
            seen(WAS_UP, down_from(5), up_from(8.5), samples=(*SICK[:9], *FULL[10:]), excused=((4, 7),)),
            PASSED,
            id="up at the first look after a time without one",
        ),
        pytest.param(seen(WAS_UP, down_from(5), up_from(8), samples=SICK, excused=((4, 7),)), FAILED, id="down longer than excused"),
        pytest.param(seen(WAS_UP, down_from(5), samples=SICK, excused=((4, 9),)), FAILED, id="never up again"),
        pytest.param(
            seen(WAS_UP, down_from(5), up_from(8), samples=SICK, excused=((4, 6), (7, 9))), FAILED, id="a hole between two faults"
        ),
        pytest.param(seen(WAS_UP, down_from(5), excused=((4, 9),), until=8, window=(0, None)), PENDING, id="still excused so far"),
        pytest.param(seen(WAS_UP, down_from(5), up_from(5.1), excused=((7, 9),), until=4), FAILED, id="no excuse by a lagging watermark"),
        pytest.param(seen(WAS_UP, excused=((-1, None),)), NO_SAMPLES, id="excused all of the time"),
        pytest.param(seen(WAS_UP, excused=((-1, 5), (5, 11))), NO_SAMPLES, id="excused all of the time by two faults"),
        pytest.param(
            seen(WAS_UP, samples=every_second(-9, -4), excused=((0.1, 11),)), NO_SAMPLES, id="not looked at before it was excused"
        ),
        pytest.param(seen(WAS_UP, samples=every_second(-1, 4), excused=((-1, 8),)), NO_SAMPLES, id="not looked at since it was excused"),
        pytest.param(seen(WAS_UP, down_from(1), samples=every_second(-3, 0), excused=((0.1, 11),)), PASSED, id="seen shortly before"),
        pytest.param(seen(WAS_UP, down_from(5), up_from(8), excused=((4, 9),)), PASSED, id="down while excused"),
        pytest.param(seen(WAS_UP, down_from(5), up_from(8), excused=((6, 9), (4, 6))), PASSED, id="excused by two in a row"),
        pytest.param(seen(WAS_UP, down_from(3.9, took=0.3), up_from(8), excused=((4, 9),)), PASSED, id="in flight at the injection"),
        pytest.param(seen(WAS_UP, down_from(9), excused=((8, None),)), PASSED, id="excused to the end"),
        pytest.param(
            seen(WAS_UP, down_from(4), up_from(8), samples=(*every_second(-1, 3), *every_second(8, 10)), excused=((3, 8.5),)),
            PASSED,
            id="a gap in excused time",
        ),
    ],
)
def test_health_throughout_except_disturbed(history: History, expected: Seen) -> None:
    assert verdict(health(throughout=True, **{"except": "disturbed"}).judge(history)) == expected


def test_the_undisturbed_are_judged_beside_one_that_is_excused_all_of_the_time() -> None:
    claim = health(target=("s", "t"), throughout=True, **{"except": "disturbed"})
    disturbed: dict[str, Any] = {"excused": ((-1, None),)}

    fine = ServiceHistory((up_from(-1),), FULL)
    sick = ServiceHistory((up_from(-1), down_from(3)), FULL)

    assert verdict(claim.judge(seen(WAS_UP, down_from(1), others={"t": fine}, **disturbed))) == PASSED
    assert verdict(claim.judge(seen(WAS_UP, down_from(1), others={"t": sick}, **disturbed))) == FAILED
    assert verdict(claim.judge(seen(WAS_UP, down_from(1), **disturbed))) == GAP


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(seen(samples=(), stable=SECOND), GAP, id="nothing seen"),
        pytest.param(seen(stable=SECOND), GAP, id="state unknown"),
        pytest.param(seen(WAS_UP, samples=every_second(-6, -3), stable=SECOND), GAP, id="healthy long before, not looked at since"),
        pytest.param(seen(down_from(-1), stable=SECOND), FAILED, id="down all the time"),
        pytest.param(seen(down_from(-1), up_from(9.5), stable=SECOND, until=12), FAILED, id="not stable before the bound"),
        pytest.param(seen(down_from(-1), up_from(2), down_from(2.9), up_from(9.1), stable=SECOND), FAILED, id="flapping"),
        pytest.param(seen(down_from(-1), up_from(2), until=2.9, stable=SECOND), PENDING, id="not yet seen stable"),
        pytest.param(seen(down_from(-1), up_from(2), until=None, stable=SECOND), PENDING, id="no watermark"),
        pytest.param(seen(down_from(-1), up_from(2), until=1, window=(0, None), stable=SECOND), PENDING, id="the observer is behind"),
        pytest.param(
            seen(WAS_UP, samples=every_second(-6, -3), until=1, stable=timedelta()), PENDING, id="no second, but a sample is needed"
        ),
        pytest.param(seen(WAS_UP, until=0.5, stable=timedelta()), PASSED, id="no second asked for"),
        pytest.param(seen(down_from(-1), up_from(2), until=3, stable=SECOND), PASSED, id="stable for its second"),
        pytest.param(seen(down_from(-1), up_from(9), stable=SECOND), PASSED, id="stable just before the bound"),
        pytest.param(seen(WAS_UP, down_from(11), stable=SECOND, until=12), PASSED, id="sick after the bound"),
        pytest.param(seen(WAS_UP, down_from(4), stable=SECOND), PASSED, id="sick later: judged again it is the same"),
        pytest.param(seen(down_from(-1), up_from(2), down_from(2.5), up_from(4), until=6, stable=SECOND), PASSED, id="stable at last"),
    ],
)
def test_stable_within_the_bound(history: History, expected: Seen) -> None:
    assert verdict(health().judge_stable(history)) == expected


def test_a_claim_without_a_state_cannot_be_stable() -> None:
    claim: Claim = ContinuityClaim(type="continuity", key="event.data.k", opened_by="a", closed_by="b")

    assert verdict(claim.judge_stable(seen())) == (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)


def test_a_service_that_was_never_heard_of_is_not_healthy() -> None:
    for claim in (health(target="x"), health(target="x", throughout=True), health(target="x", never=True), health(target=())):
        found = verdict(claim.judge(seen(WAS_UP)))
        assert found is not None
        assert found[0] is Verdict.INCONCLUSIVE


def test_a_moment_of_a_fault_may_end_what_is_during_it() -> None:
    claim = HealthClaim.model_validate({"id": "a", "type": "health", "target": "web", "within": "5s", "during": "kill.reverted"})

    assert claim.may_pass_early(History(window=Window(), faults={})) is False
    fault = FaultHistory("kill", "web", "kill", reverted=datetime(2026, 1, 1, tzinfo=UTC))
    assert claim.may_pass_early(History(window=Window(), faults={"kill": fault})) is True
