"""The recovery claim: it counts from the driver's call to the first healthy sample after the effect."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messages.claims import FaultHistory, History, RecoveryClaim, Sampled, ServiceHistory, Transition, summary_of
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
FAILED = (Verdict.FAILED, Reason.CLAIM_FAILED)
PASSED = (Verdict.PASSED, None)
NO_EFFECT = (Verdict.INCONCLUSIVE, Reason.NO_EFFECT)
NO_SAMPLES = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)
GAP = (Verdict.INCONCLUSIVE, Reason.GAP)
PENDING = None
Seen = tuple[Verdict, Reason | None] | None


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def up(seconds: float) -> Transition:
    return Transition(at(seconds), up=True, evidence=f"observer.s.service.up.{seconds}", error_bound=timedelta(milliseconds=200))


def down(seconds: float, took: float = 0.0) -> Transition:
    name, bound = f"observer.s.service.down.{seconds}", timedelta(milliseconds=200)
    return Transition(at(seconds), up=False, evidence=name, error="refused", error_bound=bound, took=timedelta(seconds=took))


def fault(called: float | None = 0, effective: float | None = 0.2, gone: float | None = None, **words: Any) -> FaultHistory:
    return FaultHistory(
        id="crash",
        target="s",
        action="kill",
        requested=at(-1),
        called=None if called is None else at(called),
        injected=None if called is None else at(called + 0.05),
        effective=None if effective is None else at(effective),
        gone=None if gone is None else at(gone),
        restored_by=words.pop("restored_by", "undo" if gone is not None else None),
        evidence={"injected": "chaos-injector.crash.fault.injected.0", "gone": "chaos-injector.crash.fault.gone.0"},
        **words,
    )


FULL = tuple(Sampled(at(n), at(n + 1), 5, 0, f"observer.s.probe.summary.{n}") for n in range(-3, 20))


def past(
    disturbed: FaultHistory | None, *transitions: Transition, until: float | None = 10, samples: tuple[Sampled, ...] = FULL
) -> History:
    claim = recovery()
    return History(
        window=claim.window(disturbed),
        services={"s": ServiceHistory((up(-5), *transitions), samples)},
        faults={} if disturbed is None else {"crash": disturbed},
        probes_until=None if until is None else at(until),
    )


def recovery(within: float = 5, by: Any = "any") -> RecoveryClaim:
    return RecoveryClaim(type="recovery", target="s", of="crash", within=timedelta(seconds=within), by=by)


def verdict(claim: RecoveryClaim, history: History) -> Seen:
    found = claim.judge(history)
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


UNSAMPLED = tuple(s for s in FULL if s.end <= at(0))


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(past(None), PENDING, id="the fault was not requested yet"),
        pytest.param(past(fault(None, None)), PENDING, id="requested"),
        pytest.param(past(fault(None, None, refused="limit")), NO_EFFECT, id="refused"),
        pytest.param(past(fault(0, None, effect_missed=True)), NO_EFFECT, id="no effect seen"),
        pytest.param(past(fault(0, None, effect_missed=True), down(0.3), up(1)), NO_EFFECT, id="no effect seen by the injector"),
        pytest.param(past(fault(0, None, gone=1)), NO_EFFECT, id="gone without an effect"),
        pytest.param(past(fault(0, None)), PENDING, id="the effect may yet be seen"),
        pytest.param(past(fault(), down(0.3), until=4), PENDING, id="down, and the time is not over"),
        pytest.param(past(fault(), down(0.3)), FAILED, id="down, never up"),
        pytest.param(past(fault(), down(0.3), up(5.1)), FAILED, id="up too late"),
        pytest.param(past(fault(), down(0.3), up(5.1), until=4.9), PENDING, id="late, but the observer is behind"),
        pytest.param(past(fault(gone=1), until=0.9), PENDING, id="gone, but whether health failed is not known yet"),
        pytest.param(past(fault(gone=1), until=None), PENDING, id="gone, no watermark"),
        pytest.param(past(fault(gone=1), down(1.1)), FAILED, id="gone, but the first sample after it fails"),
        pytest.param(past(fault(gone=6), until=20), FAILED, id="gone too late, no sample fell into the death"),
        pytest.param(past(fault(gone=None)), FAILED, id="effective, never seen normal"),
        pytest.param(past(fault(gone=1), samples=()), NO_SAMPLES, id="gone, but nobody looks at its health"),
        pytest.param(past(fault(gone=1), samples=UNSAMPLED), GAP, id="gone, its health was looked at only before"),
        pytest.param(past(fault(), down(0.3), up(9), samples=(*UNSAMPLED, *FULL[-11:])), GAP, id="not watched while it should recover"),
        pytest.param(past(fault(effective=0.5), down(0.1), up(0.3), down(0.6)), FAILED, id="good while it was draining is no recovery"),
        pytest.param(past(fault(effective=0.5, gone=3), down(0.1), up(0.3), down(0.6), up(9)), FAILED, id="late after the death"),
        pytest.param(past(fault(), down(-2)), FAILED, id="sick before the call and never up"),
        pytest.param(past(fault(), down(-2), up(6)), FAILED, id="sick before the call, up too late"),
        pytest.param(past(fault(), down(0.3), up(1)), PASSED, id="down and up"),
        pytest.param(past(fault(), down(0.3), up(1), until=None), PASSED, id="what was seen waits for no watermark"),
        pytest.param(past(fault(), down(-0.1, took=0.3), up(1)), PASSED, id="the sample in flight at the call failed"),
        pytest.param(past(fault(), down(0.3), up(5)), PASSED, id="just in time"),
        pytest.param(past(fault(gone=1)), PASSED, id="no sample fell into the death, a new identity"),
        pytest.param(past(fault(gone=1), until=4.1), PASSED, id="the same, as soon as health has been looked at"),
        pytest.param(past(fault(gone=1), down(8), up(30)), PASSED, id="sick of something else later"),
        pytest.param(past(fault(), down(0.3), up(1), down(2)), PASSED, id="the first healthy sample counts"),
    ],
)
def test_recovery(history: History, expected: Seen) -> None:
    assert verdict(recovery(), history) == expected


@pytest.mark.parametrize(
    ("by", "restored_by", "expected"),
    [
        ("itself", "undo", FAILED),
        ("itself", "operator", FAILED),
        ("undo", "itself", FAILED),
        ("itself", None, PENDING),
        ("itself", "itself", PASSED),
        ("undo", "undo", PASSED),
        ("any", "operator", PASSED),
        (None, None, PASSED),
    ],
)
def test_recovery_says_who_brought_it_back(by: str | None, restored_by: str | None, expected: Seen) -> None:
    history = past(fault(gone=None if restored_by is None else 1, restored_by=restored_by), down(0.3), up(1))

    assert verdict(recovery(by=by), history) == expected


@pytest.mark.parametrize(
    ("due", "reverted", "expected"),
    [
        (2, None, PENDING),  # the undo is still awaited: the bus or the injector was away
        (2, 7.5, GAP),  # we undid it too late
        (2, 2.1, FAILED),  # undone in time, and yet not healthy
        (30, None, FAILED),  # it had to come back by itself, long before its end
        (None, None, FAILED),
    ],
)
def test_a_late_undo_is_not_blamed_on_the_target(due: float | None, reverted: float | None, expected: Seen) -> None:
    disturbed = fault(due=None if due is None else at(due), reverted=None if reverted is None else at(reverted))

    assert verdict(recovery(), past(disturbed, down(0.3))) == expected


def test_what_was_measured_counts_from_the_call_and_has_its_error_bound() -> None:
    found = recovery().judge(past(fault(called=0.5, effective=0.6), down(0.7), up(2)))

    assert found is not None
    assert found.measured == {"took": timedelta(seconds=1.5), "error_bound": timedelta(milliseconds=200)}
    assert found.message == "s recovered in 1.5s (±200ms), at most 5s allowed"
    assert found.evidence == ("chaos-injector.crash.fault.injected.0", "observer.s.service.down.0.7", "observer.s.service.up.2")


@pytest.mark.parametrize(
    ("recovered", "expected"),
    [
        pytest.param(4.5, (Verdict.PASSED, None), id="in time from the earliest moment"),
        pytest.param(7, (Verdict.INCONCLUSIVE, Reason.GAP), id="in time only from the latest"),
        pytest.param(9.1, (Verdict.FAILED, Reason.CLAIM_FAILED), id="too late from any"),
    ],
)
def test_where_an_injector_died_in_the_call_a_recovery_is_in_time_only_if_it_is_from_the_earliest_moment(
    recovered: float, expected: Seen
) -> None:
    history = past(fault(called=0, effective=0.6, called_by=at(4)), down(0.7), up(recovered))

    assert verdict(recovery(), history) == expected


def test_what_was_measured_says_how_much_later_the_call_may_have_begun() -> None:
    found = recovery().judge(past(fault(called=0, effective=0.6, called_by=at(4)), down(0.7), up(4.5)))

    assert found is not None
    assert found.message == "s recovered in 4.5s (±4.2s), at most 5s allowed"
    assert recovery().window(fault(called=0, called_by=at(4))).closes == at(9)


def test_the_window_goes_from_the_request_to_within_after_the_call() -> None:
    claim = recovery()

    assert (claim.window(None).opens, claim.window(None).closes) == (None, None)
    assert (claim.window(fault(None)).opens, claim.window(fault(None)).closes) == (at(-1), None)
    assert claim.window(fault(2)).closes == at(7)
    assert list(claim.model_copy(update={"of": ""}).faults_named()) == []


def test_a_service_that_was_never_heard_of_has_not_recovered() -> None:
    history = replace(past(fault(gone=1)), services={})

    assert verdict(recovery(), history) == NO_SAMPLES


def test_a_claim_without_a_target_is_about_the_one_that_the_fault_was_on() -> None:
    anyone = recovery().model_copy(update={"target": None})
    history = past(fault(gone=1), down(0.3), up(1))

    assert anyone.judge(history) == recovery().judge(history)
    assert anyone.summary() == "its target recovers from crash within 5s"


def test_a_claim_without_a_target_names_the_service_where_that_is_known() -> None:
    anyone = recovery().model_copy(update={"target": None})

    assert summary_of(anyone, {"crash": "redis"}) == "redis recovers from crash within 5s"
    assert summary_of(anyone, {"crash": "one-of-them"}) == summary_of(anyone, {}) == "its target recovers from crash within 5s"
