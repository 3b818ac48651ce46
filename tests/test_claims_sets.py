"""The set claim: what was compared once, after its window had ended. The wrong histories first."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from messages.claims import History, Judgement, Scope, SetClaim, Window
from messages.measurements import Named, SetRead
from messages.verdicts import Reason, Verdict

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PASSED, FAILED = (Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED)
NO_SAMPLES, JUDGE_ERROR = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES), (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)
SCOPE = Scope({"s": frozenset({"s"})}, {"kill": ("s", "kill")}, "chaos", workloads=("writers",))
HTTP = {"http": {"url": "http://h:1/", "items": "json.keys"}}
PARSE: TypeAdapter[SetClaim] = TypeAdapter(SetClaim)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def claim(**words: Any) -> SetClaim:
    return PARSE.validate_json(json.dumps({"type": "set", "workload": "writers", "read": HTTP, **words}))


def read(seconds: float = 15.1, **words: Any) -> SetRead:
    known = {"tried": 12, "acknowledged": 9, "failed": 1, "unknown": 2, "found": 10, "recovered": 1}
    return SetRead(assertion="c", at=at(seconds), took=timedelta(milliseconds=3), **{**known, **words})


def seen(found: SetRead | None, window: tuple[float | None, float | None] = (10, 15)) -> History:
    opens, closes = (None if edge is None else at(edge) for edge in window)
    return History(window=Window(opens, closes), read=found, read_evidence="observer.c.set.read.0", probes_until=at(99))


def verdict(found: Judgement | None) -> tuple[Verdict, Reason | None] | None:
    if found is None:
        return None
    assert found.message
    assert found.evidence == ("observer.c.set.read.0",)
    return found.verdict, found.reason


def named(*ids: str) -> Named:
    return Named(count=len(ids), ids=ids)


@pytest.mark.parametrize("history", [seen(None), seen(read(14.9)), seen(read(), (10, None)), seen(read(), (None, None))])
def test_nothing_is_said_before_it_was_read_after_the_windows_end(history: History) -> None:
    assert claim().judge(history) is None


def test_what_could_not_be_read_is_inconclusive_and_says_why() -> None:
    found = claim().judge(seen(read(error="refused")))

    assert verdict(found) == NO_SAMPLES
    assert found is not None
    assert "refused" in found.message
    assert verdict(claim().judge(seen(read(error="too many ids", final=True)))) == JUDGE_ERROR


@pytest.mark.parametrize("words", [{"tried": 0}, {"unknown": 5, "recovered": 5}, {"failed": 9}, {"unreadable": 50}])
def test_a_workload_that_was_told_of_nothing_tests_nothing(words: dict[str, int]) -> None:
    nothing = {"tried": 0, "acknowledged": 0, "failed": 0, "unknown": 0, "found": 0, "recovered": 0}

    assert verdict(claim().judge(seen(read(**{**nothing, **words})))) == NO_SAMPLES


@pytest.mark.parametrize("kind", ["lost", "unexpected", "duplicated"])
@pytest.mark.parametrize("acknowledged", [0, 9])
def test_one_id_that_is_wrong_fails_and_is_named(kind: str, acknowledged: int) -> None:
    found = claim().judge(seen(read().model_copy(update={"acknowledged": acknowledged, kind: named("w7")})))

    assert verdict(found) == FAILED
    assert found is not None
    assert found.message.startswith(f"1 {kind}: w7 (")
    assert found.measured[kind] == 1


def test_of_many_ids_a_few_are_named() -> None:
    found = claim().judge(seen(read(lost=Named(count=5000, ids=tuple(f"w{n}" for n in range(100))))))

    assert found is not None
    assert "5000 lost: w0, w1, w2, w3, w4, w5, w6, w7, w8, w9 and 4990 more" in found.message


def test_what_is_unknown_may_be_there_or_not() -> None:
    found = claim().judge(seen(read()))

    assert verdict(found) == PASSED
    assert found is not None
    assert found.message == "9 of 12 were ok, 10 are there, 1 of 2 unknown ones among them"
    assert found.measured == {"tried": 12, "acknowledged": 9, "unknown": 2, "recovered": 1}


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        ({"workload": "nobody"}, [("workload",)]),
        ({"never": True}, [()]),
        ({"throughout": True}, [()]),
        ({"within": "5s"}, [("within",)]),
        ({"grace": "5s"}, [("grace",)]),
        ({"read": {"http": {"url": "http://h:1/", "items": "stdout"}}}, [("read", "http", "items")]),
        ({"read": {"command": {"argv": ["x"], "items": "json.keys"}}}, [("read", "command", "items")]),
        ({"read": {**HTTP, "deadline": "1m"}}, [("read", "deadline")]),
        ({"op": "write", "before": "kill", "read": {"command": {"argv": ["redis-cli", "smembers", "keys"]}}}, []),
    ],
)
def test_what_is_wrong_in_a_document_is_named(words: dict[str, Any], paths: list[tuple[str, ...]]) -> None:
    problems = list(claim(**words).problems(SCOPE))

    assert [problem.path for problem in problems] == paths
    assert all(problem.what and problem.right for problem in problems)


@pytest.mark.parametrize("read", [{}, {**HTTP, "command": {"argv": ["x"]}}, {"command": {"argv": []}}])
def test_there_is_exactly_one_way_to_read(read: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        claim(read=read)


def test_a_claim_without_words_of_its_own_says_what_it_compares() -> None:
    assert claim(op="write").summary() == "what write of writers was told to be there is there, once"
    assert claim(description="no loss").summary() == "no loss"
