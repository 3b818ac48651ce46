"""The role claim: how many members of a group have a role, and who. The wrong histories first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from messages.claims import History, Judgement, RoleClaim, RoleHistory, RoleSaid, Scope, ServiceHistory, Transition, Window
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
NO_SAMPLES, GAP = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES), (Verdict.INCONCLUSIVE, Reason.GAP)
GROUPS = {"db": {"a": True, "b": True, "c": True}, "mute": {"a": True, "d": False}}
SCOPE = Scope({}, {"crash": ("a", "kill")}, "chaos", groups=GROUPS)
PARSE: TypeAdapter[RoleClaim] = TypeAdapter(RoleClaim)
EVERY, MAX_GAP = timedelta(milliseconds=200), timedelta(seconds=3)
L, F = "leader", "follower"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def role(**words: Any) -> RoleClaim:
    limit = {} if {"exactly", "at_least", "at_most"} & words.keys() else {"exactly": 1}
    return PARSE.validate_python({"type": "role", "group": "db", "role": L, **limit, **words})


def said(name: str, *roles: tuple[float, str], bound: float = 0.2) -> tuple[str, RoleHistory]:
    """What a member said, and when; each answer but the first came so long after the one before was last seen."""
    changes = [
        RoleSaid(at(when), word, f"observer.{name}.role.seen.{number}", timedelta(seconds=bound) if number > 1 else None)
        for number, (when, word) in enumerate(roles, 1)
    ]
    return name, RoleHistory(tuple(changes), EVERY)


def seen(
    *members: tuple[str, RoleHistory], until: float | None = 25, window: tuple[float, float | None] = (10, 20), **words: Any
) -> History:
    opens, closes = window
    return History(
        window=Window(at(opens), None if closes is None else at(closes)),
        probes_until=None if until is None else at(until),
        roles=dict(members),
        max_gap=MAX_GAP,
        **words,
    )


def down(name: str, since: float, until: float | None = None) -> dict[str, ServiceHistory]:
    ends = () if until is None else (Transition(at(until), up=True, evidence=f"observer.{name}.service.up.2"),)
    return {name: ServiceHistory((Transition(at(since), up=False, evidence=f"observer.{name}.service.down.1"), *ends))}


def verdict(found: Judgement | None) -> tuple[Verdict, Reason | None] | None:
    if found is None:
        return None
    assert found.message
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


A, B, C = said("a", (1, L)), said("b", (1, F)), said("c", (1, F))
WORDS = [{}, {"throughout": True}, {"within": "5s"}]


@pytest.mark.parametrize("words", WORDS)
def test_nobody_has_said_anything(words: dict[str, Any]) -> None:
    assert verdict(role(**words).judge(seen(said("a"), said("b"), said("c")))) == NO_SAMPLES
    assert verdict(role(**words).judge(seen())) == NO_SAMPLES
    assert verdict(role(**words).judge(seen(A, B, C, window=(10, 10)))) == NO_SAMPLES


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("silent", [said("b"), said("b", (1, F), (2, "")), said("b", (21, F))], ids=["never", "no more", "too late"])
def test_a_member_that_does_not_say_its_role_may_be_a_leader_too(words: dict[str, Any], silent: tuple[str, RoleHistory]) -> None:
    found = role(**words).judge(seen(A, silent, C))

    assert verdict(found) == GAP
    assert found is not None
    assert "nobody knows the role of b" in found.message
    assert verdict(role(at_least=1, **words).judge(seen(A, silent, C))) == PASSED


@pytest.mark.parametrize("words", WORDS)
def test_one_that_was_not_looked_at_for_long_may_have_been_a_leader_meanwhile(words: dict[str, Any]) -> None:
    """An observer that came back says the role again, and since when it may have been another."""
    unseen = said("b", (1, F), (21, F), bound=15)

    assert verdict(role(**words).judge(seen(A, unseen, C, window=(10, 15)))) == GAP
    assert verdict(role(**words).judge(seen(A, said("b", (1, F), (21, F), bound=0.5), C))) == PASSED


@pytest.mark.parametrize("words", WORDS)
def test_nothing_passes_before_the_window_is_over_and_looked_through(words: dict[str, Any]) -> None:
    if "within" not in words:
        assert role(**words).judge(seen(A, B, C, until=19.9)) is None
        assert role(**words).judge(seen(A, B, C, window=(10, None))) is None
    assert role(**words).judge(seen(A, B, C, until=None)) is None
    assert role(**words).judge(History(window=Window())) is None


def test_a_role_from_before_or_after_the_window_does_not_count() -> None:
    gone, comes = said("a", (1, L), (9, F)), said("b", (1, F), (20.5, L))

    assert verdict(role().judge(seen(gone, comes, C))) == FAILED
    assert verdict(role(within="5s").judge(seen(gone, comes, C, window=(10, 15)))) == FAILED
    assert verdict(role(throughout=True).judge(seen(gone, comes, C))) == FAILED


def test_two_leaders_at_once_fail_and_both_are_named() -> None:
    split = seen(A, said("b", (1, F), (12, L), (13, F)), C)
    found = role(throughout=True).judge(split)

    assert verdict(found) == FAILED
    assert found is not None
    assert found.message == "a and b were leader at once 2s into the window (each was asked every 200ms)"
    assert found.evidence == ("observer.a.role.seen.1", "observer.b.role.seen.2", "observer.c.role.seen.1")
    assert verdict(role(throughout=True, at_most=1).judge(split)) == FAILED
    assert verdict(role(throughout=True, at_most=2, at_least=1).judge(split)) == PASSED
    assert verdict(role().judge(split)) == PASSED


def test_two_leaders_at_once_fail_before_the_window_is_over_unless_a_fault_may_have_ended_it() -> None:
    split = seen(A, said("b", (1, F), (12, L)), C, until=14, window=(10, None))

    assert verdict(role(throughout=True).judge(split)) == FAILED
    assert role(throughout=True, during="crash").judge(split) is None


def test_a_lead_that_is_handed_on_is_not_two_leaders_though_the_answers_come_in_another_order() -> None:
    """The new one is asked first: between its answer and that of the old one nobody can say that there were two."""
    handed = seen(said("a", (1, L), (12.15, F)), said("b", (1, F), (12.05, L)), C)

    assert verdict(role(throughout=True).judge(handed)) == PASSED
    assert verdict(role(throughout=True, at_most=1).judge(handed)) == PASSED
    assert verdict(role().judge(handed)) == PASSED


def test_a_time_without_a_leader_is_seen() -> None:
    gap = seen(said("a", (1, L), (12, F)), said("b", (1, F), (13, L)), C)

    assert verdict(role(throughout=True).judge(gap)) == FAILED
    assert verdict(role(throughout=True, at_most=1).judge(gap)) == PASSED


def test_a_leader_that_is_down_has_no_role_at_the_end_and_within_a_time_but_throughout_nobody_knows() -> None:
    died = said("a", (1, L), (11, ""))
    taken = seen(died, said("b", (1, F), (12.5, L)), C, services=down("a", 11))
    found = role(within="5s").judge(taken)

    assert (verdict(found), verdict(role().judge(taken))) == (PASSED, PASSED)
    assert found is not None
    assert found.message.startswith("a was leader after 0ms")
    assert verdict(role(throughout=True).judge(taken)) == GAP
    assert verdict(role().judge(seen(died, B, C, services=down("a", 11)))) == FAILED
    assert verdict(role().judge(seen(died, B, C, services=down("a", 11, 15)))) == GAP


def test_within_a_time_the_first_sure_moment_counts_and_says_when_it_was() -> None:
    died, taken = said("a", (1, L), (9.5, "")), said("b", (1, F), (12.5, L))
    found = role(within="5s").judge(seen(died, taken, C, services=down("a", 9), window=(10, 15), until=13))

    assert verdict(found) == PASSED
    assert found is not None
    assert found.measured["took"] == timedelta(seconds=2.5)
    assert "observer.a.service.down.1" in found.evidence
    assert verdict(role(within="2s").judge(seen(died, taken, C, services=down("a", 9), window=(10, 12)))) == FAILED
    assert role(within="5s", before="crash.gone").judge(seen(died, taken, C, services=down("a", 9), window=(10, None), until=13)) is None


def test_a_role_that_changes_at_the_very_end_is_not_known() -> None:
    assert verdict(role().judge(seen(said("a", (1, L), (20.1, F)), B, C))) == GAP
    assert verdict(role().judge(seen(said("a", (1, L), (20.3, F)), B, C))) == PASSED


def test_who_says_nothing_from_then_on_may_have_changed_before() -> None:
    silent = said("b", (1, F), (12, ""))

    assert verdict(role(throughout=True).judge(seen(A, silent, C, window=(10, 11.9)))) == GAP
    assert verdict(role(throughout=True).judge(seen(A, silent, C, window=(10, 11.7)))) == PASSED


def test_a_journal_that_does_not_say_how_long_a_role_was_unseen_bounds_it_by_the_interval_and_the_longest_answer() -> None:
    old = ("a", RoleHistory((RoleSaid(at(1), L, "x"), RoleSaid(at(21), F, "y")), EVERY))

    assert verdict(role().judge(seen(old, B, C))) == GAP
    assert verdict(role().judge(seen(old, B, C, window=(10, 18)))) == PASSED


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"group": "dbs"}, ("group",)),
        ({"group": "mute"}, ("group",)),
        ({"exactly": None}, ()),
        ({"exactly": 1, "at_least": 1}, ("exactly",)),
        ({"at_least": 2, "at_most": 1}, ("at_most",)),
        ({"exactly": 4}, ("exactly",)),
        ({"at_least": 4}, ("at_least",)),
        ({"never": True}, ()),
        ({"after": "slow"}, ("after",)),
        ({"within": "1s", "throughout": True}, ()),
        ({"grace": "1s"}, ("grace",)),
    ],
)
def test_what_is_wrong_in_a_document_is_named(words: dict[str, Any], path: tuple[str, ...]) -> None:
    assert [p.path for p in role(**words).problems(SCOPE)] == [path]


def test_a_right_claim_has_no_problems_also_where_the_system_is_not_known() -> None:
    assert list(role(within="5s", after="crash").problems(SCOPE)) == []
    assert list(role().problems(Scope({}, {}, "chaos"))) == []
