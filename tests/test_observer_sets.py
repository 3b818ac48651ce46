"""Comparing what a workload tried with what is there: first without any I/O, then with real files, servers and programs."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.observer import comparing
from actors.observer.comparing import LONGEST_ID, TooMuch, Tried
from messages.claims import SetClaim
from messages.measurements import SetRead
from messages.verdicts import Reason, Verdict
from tests.test_observer_probes import WRITERS, Output, Server, Stage, http, output, stage

__all__ = ["http", "output", "stage"]

OUTCOMES = ("ok", "failed", "unknown")


def line(name: object, outcome: str = "ok", op: str = "write") -> bytes:
    return json.dumps({"op": op, "id": name, "outcome": outcome}).encode()


def tried(before: list[tuple[object, str]], after: list[tuple[object, str]] | None = None) -> Tried:
    """What the workload said before the reading began, and after."""
    found = Tried("write")
    for name, outcome in before:
        found.see(line(name, outcome))
    found.reading = True
    for name, outcome in after or []:
        found.see(line(name, outcome))
    return found


def wrong(found: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {kind: found[kind].ids for kind in ("lost", "unexpected", "duplicated") if found[kind].count}


@pytest.mark.parametrize(
    ("before", "after", "items", "expected"),
    [
        ([("a", "ok")], [], [], {"lost": ("a",)}),
        ([("a", "ok")], [], ["b"], {"lost": ("a",), "unexpected": ("b",)}),
        ([("a", "ok")], [], ["a", "a"], {"duplicated": ("a",)}),
        ([("a", "failed")], [], ["a"], {"unexpected": ("a",)}),
        ([], [("a", "failed")], ["a"], {"unexpected": ("a",)}),
        ([("a", "ok"), ("a", "failed")], [], [], {"lost": ("a",)}),
        ([("a", "unknown"), ("a", "ok")], [], [], {"lost": ("a",)}),
        ([("a", "unknown")], [], ["a", "a"], {"duplicated": ("a",)}),
        ([("a", "ok")], [], ["a"], {}),
        ([("a", "failed")], [], [], {}),
        ([("a", "unknown")], [], ["a"], {}),
        ([("a", "unknown")], [], [], {}),
        ([("a", "failed"), ("a", "unknown")], [], ["a"], {}),
        ([], [("a", "ok")], [], {}),
        ([], [("a", "ok")], ["a"], {}),
        ([("a", "failed")], [("a", "ok")], ["a"], {}),
        ([(7, "ok")], [], ["7"], {}),
    ],
)
def test_every_id_is_where_it_must_be(
    before: list[tuple[object, str]], after: list[tuple[object, str]], items: list[str], expected: dict[str, tuple[str, ...]]
) -> None:
    assert wrong(tried(before, after).compared(items)) == expected


def test_unknown_operations_are_counted_and_so_are_those_of_them_that_are_there() -> None:
    found = tried([("a", "ok"), ("b", "unknown"), ("c", "unknown"), ("d", "failed")], [("e", "ok")]).compared(["a", "b", "e"])

    assert {key: found[key] for key in ("tried", "acknowledged", "failed", "unknown", "found", "recovered")} == {
        "tried": 5,
        "acknowledged": 1,
        "failed": 1,
        "unknown": 3,
        "found": 3,
        "recovered": 2,
    }


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(OUTCOMES))),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(OUTCOMES))),
    st.lists(st.sampled_from("abcdefgh")),
)
def test_it_is_as_the_definition_says(before: list[tuple[object, str]], after: list[tuple[object, str]], items: list[str]) -> None:
    must = {name for name, outcome in before if outcome == "ok"}
    may = must | {name for name, outcome in (*before, *after) if outcome != "failed"}
    found = tried(before, after).compared(items)

    assert set(found["lost"].ids) == must - set(items)
    assert set(found["unexpected"].ids) == set(items) - may
    assert set(found["duplicated"].ids) == {item for item in items if items.count(item) > 1}
    assert found["tried"] == found["acknowledged"] + found["failed"] + found["unknown"]
    assert found["recovered"] == len((may - must) & set(items))


def test_other_operations_do_not_count_and_lines_without_an_id_are_told() -> None:
    found = Tried("write")
    for text in (line("a", op="read"), b"starting", b"[]", line(""), line(None), line(name=True), line("b", "fine"), b"[" * 9000):
        found.see(text)

    assert (found.unreadable, found.compared([])["tried"]) == (7, 0)


def test_what_is_too_much_is_refused_and_many_ids_are_named_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tried([(n, "ok") for n in range(300)]).compared([])

    assert (found["lost"].count, len(found["lost"].ids)) == (300, 100)
    with pytest.raises(TooMuch, match="more than 200 characters"):
        Tried(None).see(line("x" * (LONGEST_ID + 1)))
    monkeypatch.setattr(comparing, "MOST_IDS", 3)
    with pytest.raises(TooMuch, match="more than 3 ids"):
        tried([(n, "ok") for n in range(4)])


def claim(read: dict[str, Any]) -> SetClaim:
    words = {"id": "kept", "type": "set", "workload": "writers", "op": "write", "read": read}
    return SetClaim.model_validate_json(json.dumps(words))


def over(http: Server) -> SetClaim:
    return claim({"http": {"url": http.url, "items": "json.keys"}, "deadline": "1s"})


async def compared(stage: Stage, wanted: SetClaim, output: Output) -> SetRead:
    """What was read after the phase of the claim."""
    await stage.begin(wanted, workloads=WRITERS)
    await stage.write(output.started, "chaos-injector")
    await stage.open(wanted, await stage.start())
    closes = await stage.finish()
    found = (await stage.until(SetRead)).event
    assert found.at >= closes
    return found


def verdict(stage: Stage, wanted: SetClaim) -> tuple[Verdict, Reason | None]:
    found = wanted.judge(stage.history(wanted))
    assert found is not None
    return found.verdict, found.reason


async def test_what_was_acknowledged_is_read_back(stage: Stage, output: Output, http: Server) -> None:
    wanted = over(http)
    output.say(3)
    output.say(2, "unknown")
    http.body = json.dumps({"keys": ["w1", "w2", "w3", "w5"]})
    async with stage.observer():
        found = await compared(stage, wanted, output)

    assert (found.tried, found.acknowledged, found.unknown, found.recovered) == (5, 3, 2, 1)
    assert verdict(stage, wanted) == (Verdict.PASSED, None)


async def test_what_is_missing_fails_and_is_read_once(stage: Stage, output: Output, http: Server) -> None:
    wanted = over(http)
    output.say(3)
    http.body = json.dumps({"keys": ["w1", "w3"]})
    async with stage.observer():
        found = await compared(stage, wanted, output)
        await stage.looked(stage.lines[-1].at + timedelta(seconds=1))

    assert found.lost.ids == ("w2",)
    assert verdict(stage, wanted) == (Verdict.FAILED, Reason.CLAIM_FAILED)
    assert (http.asked, len(stage.found(SetRead))) == (1, 1)


async def test_an_observer_that_comes_when_the_window_is_over_still_reads(stage: Stage, output: Output, http: Server) -> None:
    wanted = over(http)
    output.say(2)
    http.body = json.dumps({"keys": ["w2"]})
    await stage.begin(wanted, workloads=WRITERS)
    await stage.write(output.started, "chaos-injector")
    await stage.open(wanted, await stage.start())
    await stage.finish()
    async with stage.observer():
        found = (await stage.until(SetRead)).event
    async with stage.observer():
        await stage.looked(stage.lines[-1].at)

    assert found.lost.ids == ("w1",)
    assert (http.asked, len(stage.found(SetRead))) == (1, 1)


async def test_an_operation_that_ends_while_it_is_read_may_be_there_or_not(stage: Stage, output: Output, http: Server) -> None:
    wanted = over(http)
    output.say(1)
    http.body = json.dumps({"keys": ["w1", "w3"]})
    http.hold.clear()
    async with stage.observer():
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(compared(stage, wanted, output))
            while not http.open:
                await asyncio.sleep(0.01)
            output.say(1)
            http.hold.set()
            while http.open:
                await asyncio.sleep(0.01)
            output.say(1)
        found = reading.result()

    assert (found.tried, found.acknowledged, found.unknown, found.recovered) == (3, 1, 2, 1)
    assert verdict(stage, wanted) == (Verdict.PASSED, None)


async def test_reading_is_tried_again_until_there_is_an_answer(stage: Stage, output: Output, http: Server) -> None:
    wanted = over(http)
    output.say(1)
    http.status, http.body = 503, json.dumps({"keys": ["w1"]})
    async with stage.observer(), asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(compared(stage, wanted, output))
        while not http.asked or http.open:
            await asyncio.sleep(0)  # until it was answered; the next question comes after a pause
        http.status = 200

    assert reading.result().attempts == 2
    assert verdict(stage, wanted) == (Verdict.PASSED, None)


@pytest.mark.long
async def test_what_cannot_be_read_is_inconclusive_in_the_end(stage: Stage, output: Output, http: Server) -> None:
    wanted = over(http)
    output.say(1)
    http.status, http.body = 503, "no money"
    async with stage.observer():
        found = await compared(stage, wanted, output)

    assert "status 503 'no money'" in found.error
    assert verdict(stage, wanted) == (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)


async def test_too_many_ids_are_inconclusive(stage: Stage, output: Output, http: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "MOST_IDS", 3)
    wanted = over(http)
    output.say(4)
    async with stage.observer():
        found = await compared(stage, wanted, output)

    assert found.final
    assert verdict(stage, wanted) == (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)


async def test_a_program_may_say_what_is_there_one_a_line(stage: Stage, output: Output, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_text("w1\nw2\n\nw2\nw9\n")
    wanted = claim({"command": {"argv": ["cat", str(held)]}})
    output.say(3)
    async with stage.observer():
        found = await compared(stage, wanted, output)

    assert (found.lost.ids, found.unexpected.ids, found.duplicated.ids) == (("w3",), ("w9",), ("w2",))


@pytest.mark.parametrize(
    ("argv", "items", "told"),
    [
        (["false"], "stdout", "code 1"),
        (["/nowhere/cat"], "stdout", "there is no program"),
        (["echo", "x"], "code", "gives int, and must give a list"),
        (["echo", "x"], "[stdout, true]", "whole number"),
        (["echo", "x"], "stdout.nothing", "cannot be evaluated"),
    ],
)
async def test_why_nothing_could_be_read_is_told(
    stage: Stage, output: Output, argv: list[str], items: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.observer.set_reading.PATIENCE", 0)
    async with stage.observer():
        assert told in (await compared(stage, claim({"command": {"argv": argv, "items": items}}), output)).error
