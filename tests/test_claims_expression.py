"""The expression claim: CEL over what other claims and the run itself have found. The wrong histories first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.claims import ClaimHistory, ExpressionClaim, FaultHistory, History, Judgement, Window
from messages.expression_names import named_in
from messages.expressions import ExpressionError
from messages.verdicts import Reason, Verdict
from scenarios import check_text
from tests.test_scenarios_checks import SYSTEMS, phase

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
ROOTS = ("claims", "faults", "phases")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def unknown(reason: Reason) -> tuple[Verdict, Reason]:
    return Verdict.INCONCLUSIVE, reason


BACK = ClaimHistory(Verdict.PASSED, None, {"took": timedelta(seconds=1.5)}, ("validator.back", "observer.web.up"))
LOST = ClaimHistory(Verdict.FAILED, Reason.CLAIM_FAILED, {"lost": 2, "opened": 40, "closed": 38}, ("validator.lost",))
SHARE = ClaimHistory(Verdict.PASSED, None, {"share": "99.5%", "value": "3.25"}, ("validator.share",))
KILL = FaultHistory(
    "kill", "web", "kill", called=at(11), injected=at(11.5), effective=at(12), reverted=at(14), gone=at(15), restored_by="undo",
    evidence={"effective": "injector.effective", "gone": "injector.gone", "requested": "scheduler.kill"},
)  # fmt: skip
KNOWN = History(
    window=Window(at(10), at(20)),
    claims={"back": BACK, "no-order-lost": LOST, "share": SHARE},
    faults={"kill": KILL},
    phases={"calm": Window(at(0), at(10)), "chaos": Window(at(10), at(20))},
)


def judge(expect: str, history: History = KNOWN) -> Judgement | None:
    return ExpressionClaim(id="c", type="expression", expect=expect).judge(history)


def verdict(expect: str, history: History = KNOWN) -> tuple[Verdict, Reason | None] | None:
    found = judge(expect, history)
    return None if found is None else (found.verdict, found.reason)


def said(**changes: Any) -> History:
    return replace(KNOWN, claims={**KNOWN.claims, "back": replace(BACK, **changes)})


def disturbed(**changes: Any) -> History:
    return replace(KNOWN, faults={"kill": replace(KILL, **changes)})


HELD, SHORT = "claims.back.verdict == 'passed'", "faults.kill.injected < 100.0"


@pytest.mark.parametrize(
    ("expect", "history"),
    [
        pytest.param(HELD, replace(KNOWN, window=Window(at(10))), id="its window is open"),
        pytest.param(HELD, replace(KNOWN, window=Window()), id="its window has not opened"),
        pytest.param(HELD, said(verdict=None), id="the claim is not judged yet"),
        pytest.param(HELD, replace(KNOWN, claims={}), id="nothing is known of the claim"),
        pytest.param(f"{HELD} || claims['no-order-lost'].lost > 1.0", said(verdict=None), id="the other claim would be enough"),
        pytest.param(SHORT, replace(KNOWN, faults={}), id="the fault was not requested yet"),
        pytest.param(SHORT, disturbed(gone=None), id="the fault is still on"),
        pytest.param(f"{HELD} && phases.late.duration > 1.0", KNOWN, id="the phase has not begun"),
        pytest.param(
            f"{HELD} && phases.chaos.duration > 1.0", replace(KNOWN, phases={"chaos": Window(at(10))}), id="the phase is not over"
        ),
    ],
)  # fmt: skip
def test_nothing_is_said_while_something_that_it_names_may_still_become_known(expect: str, history: History) -> None:
    assert judge(expect, history) is None


OVER = replace(KNOWN, over=True)


@pytest.mark.parametrize(
    ("expect", "history", "reason", "told"),
    [
        (HELD, said(verdict=None, never=True, evidence=()), Reason.PHASE_CUT, "back was never tested"),
        (HELD, said(verdict=Verdict.INCONCLUSIVE, reason=Reason.NO_EFFECT), Reason.NO_EFFECT, "back is inconclusive"),
        ("claims.back.verdict != 'failed'", said(verdict=Verdict.INCONCLUSIVE, reason=Reason.GAP), Reason.GAP, "back is inconclusive"),
        (HELD, said(rehearsed=True), Reason.NO_EFFECT, "only rehearsed"),
        (SHORT, disturbed(refused="a limit", effective=None, gone=None), Reason.NO_EFFECT, "kill was never injected: a limit"),
        (SHORT, disturbed(effect_missed=True, effective=None), Reason.NO_EFFECT, "kill had no effect"),
        (SHORT, disturbed(effective=None), Reason.NO_EFFECT, "kill had no effect"),
        (SHORT, replace(disturbed(gone=None), over=True), Reason.GAP, "kill was not seen to be gone"),
        (f"{HELD} && phases.late.duration > 1.0", OVER, Reason.PHASE_CUT, "the phase late was not over"),
        ("claims.back.answers > 1.0", KNOWN, Reason.JUDGE_ERROR, "claims.back.answers is not there"),
        ("claims.back.took * 2 < 5.0", KNOWN, Reason.JUDGE_ERROR, "cannot be evaluated"),
        ("claims.back.took", KNOWN, Reason.JUDGE_ERROR, "not true or false"),
        ("claims.back.verdict", KNOWN, Reason.JUDGE_ERROR, "not true or false"),
        ("(claims.back.took - claims.back.took) / 0.0 < 1.0", KNOWN, Reason.JUDGE_ERROR, "cannot be evaluated"),
        ("claims.back.took < 5.0", said(measured={"took": "nan"}), Reason.JUDGE_ERROR, "claims.back.took is not there"),
        (HELD, said(evidence=()), Reason.NO_SAMPLES, "nothing was recorded"),
    ],
)  # fmt: skip
def test_what_is_not_proven_is_never_passed(expect: str, history: History, reason: Reason, told: str) -> None:
    found = judge(expect, history)

    assert found is not None
    assert (found.verdict, found.reason) == unknown(reason)
    assert told in found.message


@pytest.mark.parametrize(
    ("expect", "holds"),
    [
        (HELD, True),
        ("claims['no-order-lost'].verdict == 'passed'", False),
        ("claims['no-order-lost'].verdict == 'failed'", True),
        ("claims.back.took < 2", True),
        ("claims.back.took < 1.5", False),
        ("claims . back [ 'took' ] <= 1.5", True),
        ("claims['no-order-lost'].lost / claims['no-order-lost'].opened < 0.06", True),
        ("claims['no-order-lost'].closed == 38", True),
        ("claims.share.share >= 0.995", True),
        ("claims.share.share > 0.995", False),
        ("claims.share.value == 3.25", True),
        ("claims.back.took < 2.0 * faults.kill.lasted", True),
        ("faults.kill.lasted == 3.0 && faults.kill.effective_after == 1.0", True),
        ("faults.kill.injected == 11.5 && faults.kill.reverted == 14.0 && faults.kill.gone == 15.0", True),
        ("faults.kill.target == 'web' && faults.kill.action == 'kill' && faults.kill.restored_by == 'undo'", True),
        ("faults.kill.restored_by == 'itself'", False),
        ("faults.kill.gone < phases.chaos.finished && phases.chaos.started == 10.0 && phases.calm.duration == 10.0", True),
        ("has(claims.back.answers) || claims.back.took > 1.0", True),
        ("[claims.back.took, faults.kill.lasted].all(took, took < 3.5)", True),
    ],
)
def test_it_is_true_or_false_of_what_was_found(expect: str, *, holds: bool) -> None:
    assert verdict(expect) == (PASSED if holds else FAILED)


def test_it_says_what_it_saw_and_names_the_evidence_of_what_it_names() -> None:
    found = judge("claims.back.took < 1.0 && faults.kill.lasted < 10.0")

    assert found is not None
    assert found.message == ("not claims.back.took < 1.0 && faults.kill.lasted < 10.0: claims.back.took is 1.5, faults.kill.lasted is 3")
    assert found.evidence == ("validator.back", "observer.web.up", "scheduler.kill", "injector.effective", "injector.gone")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("claims.a.took < 1.0 && claims.a.took > 0.5", ["claims.a.took"]),
        ("""claims["a-b"]['took'] < 1.0""", ["claims.a-b.took"]),
        ("'claims.b.took' == claims.a.verdict", ["claims.a.verdict"]),
        ("faults.claims.lasted < 1.0", ["faults.claims.lasted"]),
        ("myclaims.a.took < faults.f.gone", ["faults.f.gone"]),
        ("claims.a.verdict.startsWith('p') || phases.p.duration < 1.0", ["claims.a.verdict", "phases.p.duration"]),
    ],
)
def test_what_an_expression_names_is_read_from_its_text(source: str, names: list[str]) -> None:
    assert [str(one) for one in named_in(source, ROOTS)] == names


@pytest.mark.parametrize(
    "source",
    [
        "claims[x].took < 1.0",
        "claims['a' + 'b'].took < 1.0",
        "claims['a'+faults.f.target].took < 1.0",
        "claims[r'a'].took < 1.0",
        "claims['a\\x62'].took < 1.0",
        "claims.a == claims.b",
        "'a' in claims",
        "size(claims) > 0",
        "claims.all(c, true)",
        "claims.a.map(v, v) == []",
        "[1].all(claims, claims > 0)",
        "claims.a[faults.f.action] == 1.0",
    ],
)
def test_what_it_names_must_be_written_out(source: str) -> None:
    with pytest.raises(ExpressionError, match="cannot be told"):
        named_in(source, ROOTS)


@given(st.text("claimsfut.[]'\"ab() -+\\", max_size=40))
def test_no_text_makes_the_reading_of_names_fail_in_another_way(source: str) -> None:
    try:
        named = named_in(source, ROOTS)
    except ExpressionError:
        return
    assert all(one.root in ROOTS and one.name and one.field for one in named)


ACTIONS = "[{id: kill, target: web, action: kill, for: 2s}]"
BESIDE = "{id: back, type: recovery, target: web, of: kill, within: 4s, by: any}, {id: soon, type: health, target: web, within: 5s}"


def expression(expect: str, **words: str) -> str:
    more = "".join(f", {key}: {value}" for key, value in {"id": "c", **words}.items())
    return f'{{type: expression, expect: "{expect}"{more}}}'


def told(*expressions: str, beside: str = BESIDE) -> list[str]:
    return [line.partition(": ")[2] for line in phase(ACTIONS, claims=f"[{', '.join((beside, *expressions))}]")]


@pytest.mark.parametrize(
    "expect",
    [
        "claims.back.took < 2.5 && claims['soon'].verdict == 'passed'",
        "faults.kill.lasted < 10.0 * phases.p.duration && faults.kill.target == 'web'",
        "has(claims.soon.took) ? claims.soon.took < 1.0 : claims.back.verdict == 'passed'",
        "claims.back.took / (claims.soon.took - faults.kill.lasted) < 2.0",
    ],
)
def test_a_good_one_has_no_findings(expect: str) -> None:
    assert told(expression(expect)) == []


@pytest.mark.parametrize(
    ("expect", "words", "says"),
    [
        ("claims.bakc.took < 1.0", {}, "there is no claim with the id 'bakc'; did you mean 'back'?"),
        ("claims.back.tok < 1.0", {}, "the recovery claim 'back' has no 'tok'; did you mean 'took'?"),
        ("claims.back.count < 1.0", {}, "the recovery claim 'back' has no 'count'; known: error_bound, took, verdict"),
        ("faults.kil.lasted < 1.0", {}, "there is no fault 'kil'; did you mean 'kill'?"),
        ("faults.kill.last < 1.0", {}, "a fault has no 'last'; did you mean 'lasted'?"),
        (f"{HELD} && phases.q.duration < 1.0", {}, "there is no phase 'q'; known: p"),
        (f"{HELD} && phases.p.end < 1.0", {}, "a phase has no 'end'; known: duration, finished, started"),
        ("claims.c.verdict == 'passed'", {}, "'c' waits for itself; let it name claims that do not name it"),
        ("claims[faults.kill.target].took < 1.0", {}, "it cannot be told which value of claims is meant by claims[faults"),
        ("true", {}, "it names no claim and no fault, so it proves nothing; name each"),
        ("phases.p.duration < 30.0", {}, "it names no claim and no fault, so it proves nothing; name each"),
        ("claims.back.took < ", {}, "not an expression that can be used: "),
        ("claim.back.took < 1.0", {}, "there is no variable 'claim' in this expression; did you mean 'claims'?"),
        ("claims.back.took < 2 * claims.soon.took", {}, "its values do not go together: "),
        ("claims.back.took", {}, "it gives float, not true or false; compare it with something"),
        (HELD, {"within": "3s"}, "an expression is judged once, when its window has closed and all that it names is known; take"),
        (HELD, {"throughout": "true"}, "an expression is judged once"),
        (HELD, {"grace": "1s"}, "a claim of type expression waits for no events, so it has no grace"),
        (SHORT, {"without_fault": "holds"}, "without the faults that it names there is nothing to judge; take it out"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_before_the_run(expect: str, words: dict[str, str], says: str) -> None:
    (finding,) = check_all(expression(expect, **words))

    assert finding.startswith(says)


def check_all(*expressions: str) -> list[str]:
    """Each finding with what would be right."""
    document = (
        "kind: Scenario\nmetadata: {name: x}\nspec:\n  system: shop\n  phases:\n"
        f"    - {{name: p, duration: 10s, actions: {ACTIONS}, assertions: [{', '.join((BESIDE, *expressions))}]}}"
    )
    return [f"{found.what}; {found.right}" for found in check_text(document, file="f.yaml", systems=SYSTEMS)]


def test_two_that_wait_for_each_other_are_told() -> None:
    one, other = expression("claims.d.verdict == 'passed'"), expression("claims.c.verdict == 'passed'", id="d")

    assert told(one, other) == ["'c' waits for itself", "'d' waits for itself"]
    assert told(one, expression(HELD, id="d")) == []


@pytest.mark.parametrize(
    ("expect", "says"),
    [("claims.anything.took < 1.0", []), ("true", ["it names no claim and no fault, so it proves nothing"])],
)
def test_without_the_system_only_what_needs_no_names_is_told(expect: str, says: list[str]) -> None:
    head = "kind: Scenario\nmetadata: {name: x}\nspec:\n  system: gone\n  phases:\n"
    text = f"{head}    - {{name: p, duration: 1s, assertions: [{expression(expect)}]}}"

    assert [found.what for found in check_text(text, file="f.yaml", systems={}) if "system" not in found.what] == says
