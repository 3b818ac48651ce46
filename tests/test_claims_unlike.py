"""`event` with `unlike`: only what is new since an earlier phase counts, so that a source that always says the same proves nothing."""

from datetime import timedelta
from typing import Any

import pytest

from actors.observer.matching import Followed, Instants
from messages.claims import EventClaim, FaultHistory, History, Scope, Window
from messages.observations import EventMatched
from messages.verdicts import Reason, Verdict
from tests.test_claims_events import FAILED, GAP, JUDGE_ERROR, NO_SAMPLES, PASSED, SERVICES, Sent, at, sent, verdict

BASELINE, WINDOW = (0.0, 10.0), (10.0, 20.0)
SECOND = timedelta(seconds=1)
OTHER = Sent("quote", 12)
CALM = Sent("quote", 2)


def claim(**words: Any) -> EventClaim:
    given = {"unlike": "calm", "key": "event.data.alert_id", **words}
    return EventClaim(type="event", where="event.type == 'alert'", **given)


def alert(second: float, key: Any = "alert_001", id: str = "") -> Sent:  # noqa: A002
    return Sent("alert", second, id, data={"alert_id": key})


def observed(asked: EventClaim, events: list[Sent], *, final: bool = True, gap: bool = False, late: bool = False) -> EventMatched:
    """What the observer records of these events, by its own matching."""
    matcher, seen = asked.matcher(SERVICES), Instants()
    followed = Followed("a", asked, None, matcher)
    ordered = sorted(events, key=lambda e: e.at)
    window = Window(at(WINDOW[0]), at(WINDOW[1]))
    for number, event in enumerate(ordered):
        seconds = at(event.at).timestamp()
        seen.add(seconds)
        if matcher.types is None or event.type in matcher.types:
            followed.see(sent(number, event), seconds)
        if late:  # it counts what comes before it knows what was there
            followed.advance(window)
    followed.leave_out(at(BASELINE[0]), at(BASELINE[1]))
    counted = followed.count(window, at(WINDOW[0]))
    return EventMatched(
        assertion="a",
        number=1,
        opens=at(WINDOW[0]),
        closes=at(WINDOW[1]),
        until=at(WINDOW[1]),
        through=len(events),
        final=final,
        count=counted.count,
        seen=seen.count(at(WINDOW[0]), at(WINDOW[1])),
        evaluated=counted.evaluated,
        errors=counted.errors,
        error=counted.error,
        gap=gap,
        first=counted.tally.first,
        last=counted.tally.last,
        kept=counted.tally.kept,
        known=len(followed.known or ()),
        before=seen.count(at(BASELINE[0]), at(BASELINE[1])),
    )


def history(matched: EventMatched, **words: Any) -> History:
    phases = {"calm": Window(at(BASELINE[0]), at(BASELINE[1]))}
    window = Window(at(WINDOW[0]), at(WINDOW[1]))
    return History(window=window, matched=matched, matched_evidence="observer.a.event.matched.1", **{"phases": phases, **words})


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("asked", "events", "expected"),
    [
        pytest.param(claim(), [], NO_SAMPLES, id="nothing seen"),
        pytest.param(claim(), [CALM], NO_SAMPLES, id="nothing seen in the window"),
        pytest.param(claim(), [alert(12)], NO_SAMPLES, id="nothing seen in the earlier phase"),
        pytest.param(claim(), [CALM, OTHER], FAILED, id="no alert at all"),
        pytest.param(claim(), [alert(2), alert(12)], FAILED, id="the one alert that is always there, each time anew"),
        pytest.param(claim(), [alert(2), alert(12), alert(13), alert(14)], FAILED, id="that one again and again"),
        pytest.param(claim(), [alert(2, "x"), alert(12)], PASSED, id="one that was not there"),
        pytest.param(claim(), [alert(9.999), alert(10)], FAILED, id="there at the very end of the phase"),
        pytest.param(claim(), [CALM, alert(-1), alert(12)], PASSED, id="before the phase nobody asks"),
        pytest.param(claim(), [alert(2), OTHER, alert(20, "new")], FAILED, id="a new one, too late"),
        pytest.param(claim(), [alert(2), OTHER, alert(9.9, "new")], FAILED, id="a new one, too early"),
        pytest.param(claim(at_least=2), [CALM, alert(12, "new"), alert(13, "new")], FAILED, id="the same new one twice is one"),
        pytest.param(claim(at_least=2), [CALM, alert(12, "new", "x"), alert(12, "new", "x")], FAILED, id="delivered twice"),
        pytest.param(claim(at_least=2), [CALM, alert(12, "a"), alert(13, "b"), alert(14, "a")], PASSED, id="two new ones"),
        pytest.param(claim(never=True), [alert(2), alert(12)], PASSED, id="nothing new"),
        pytest.param(claim(never=True), [alert(2), alert(12, "new")], FAILED, id="something new that must not be"),
        pytest.param(claim(at_most=1), [CALM, alert(12, "a"), alert(13, "b")], FAILED, id="more that is new than may be"),
        pytest.param(claim(), [CALM, alert(12, "")], JUDGE_ERROR, id="an alert without an id"),
        pytest.param(claim(), [alert(2, 7), alert(12, "7")], FAILED, id="a number and its text are the same"),
    ],
)
def test_what_was_there_before_does_not_count(
    asked: EventClaim,
    events: list[Sent],
    expected: tuple[Verdict, Reason | None],
    late: bool,  # noqa: FBT001
) -> None:
    assert verdict(asked, history(observed(asked, events, late=late))) == expected


def test_the_same_alerts_pass_a_claim_that_does_not_compare() -> None:
    plain = EventClaim(type="event", where="event.type == 'alert'")
    matched = observed(claim(), [alert(2), alert(12)]).model_copy(update={"count": 1, "known": None, "before": None})

    assert verdict(plain, history(matched)) == PASSED


NEW = [alert(2), alert(12, "new")]


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        pytest.param(history(observed(claim(), NEW), phases={}), (Verdict.INCONCLUSIVE, Reason.PHASE_CUT), id="the phase never was"),
        pytest.param(
            history(observed(claim(), NEW), phases={"calm": Window(at(0), at(11))}), (Verdict.INCONCLUSIVE, Reason.PHASE_CUT), id="not over"
        ),
        pytest.param(
            history(observed(claim(), NEW), faults={"f": FaultHistory("f", "one", "kill", armed=at(3))}),
            (Verdict.INCONCLUSIVE, Reason.PRECONDITION),
            id="a fault in the phase",
        ),
        pytest.param(history(observed(claim(), NEW, gap=True)), GAP, id="a part was not seen"),
        pytest.param(history(observed(claim(), NEW).model_copy(update={"before": None})), GAP, id="the phase was not read"),
        pytest.param(history(observed(claim(), NEW, final=False).model_copy(update={"before": None, "closes": None})), None, id="not yet"),
    ],
)
def test_without_a_phase_to_compare_with_nobody_can_say(past: History, expected: tuple[Verdict, Reason | None] | None) -> None:
    assert verdict(claim(), past) == expected


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ({"key": None}, ()),
        ({"unlike": None}, ()),
        ({"unlike": "later"}, ("unlike",)),
        ({"key": "event."}, ("key",)),
        ({"key": "evnt.id"}, ("key",)),
    ],
)
def test_a_comparison_that_makes_no_sense_is_told_with_its_place(words: dict[str, Any], place: tuple[str, ...]) -> None:
    scope = Scope(services={}, faults={}, phase="chaos", earlier=("calm",))

    assert [problem.path for problem in claim(**words).problems(scope)] == [place]
    assert not list(claim().problems(scope))
