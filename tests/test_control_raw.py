"""The control service is asked without our client: whatever the body is, the answer says what is wrong with it."""

import json

import pytest

from bus.connection import Connection
from tests.test_levers import Desk, desk

__all__ = ["desk"]
ABOUT_A_RUN = ("abort", "pause", "resume", "approve", "reject", "resolve", "status", "rerun")
ABOUT_ALL = ("hold", "release", "revert-all", "list")


async def told(connection: Connection, verb: str, body: bytes) -> tuple[str, str]:
    """The code of the answer, and all that it says."""
    answer = await connection.nc.request(f"test-coordinator.control.{verb}.ann", body, timeout=5)
    headers = answer.headers or {}
    return headers.get("Nats-Service-Error-Code", "ok"), headers.get("Nats-Service-Error", answer.data.decode())


@pytest.mark.parametrize("body", [b"", b"{}", b'{"run_id": null}'])
async def test_a_request_about_a_run_that_names_none_is_told_so(desk: Desk, body: bytes) -> None:
    answers = {verb: await told(desk.connection, verb, body) for verb in ABOUT_A_RUN}

    assert {code for code, _ in answers.values()} == {"ok"}, answers
    assert all("no run is named; give its run_id" in says for _, says in answers.values()), answers


async def test_a_run_that_does_not_exist_is_told_so(desk: Desk) -> None:
    answers = {verb: await told(desk.connection, verb, b'{"run_id": "nope"}') for verb in ABOUT_A_RUN}

    assert {code for code, _ in answers.values()} == {"ok"}, answers
    assert all("there is no run nope" in says for _, says in answers.values()), answers


async def test_a_run_that_waits_at_no_gate_has_nothing_to_answer(desk: Desk) -> None:
    await desk.begin("r1")

    for verb in ("approve", "reject"):
        code, says = await told(desk.connection, verb, b'{"run_id": "r1"}')

        assert (code, json.loads(says)["error"]) == ("ok", "nothing in run r1 waits for approval")


async def test_a_request_about_all_runs_needs_no_body(desk: Desk) -> None:
    answers = {verb: await told(desk.connection, verb, b"") for verb in ABOUT_ALL}

    assert {code for code, _ in answers.values()} == {"ok"}, answers
    assert [json.loads(says).get("error") for _, says in answers.values()] == [None] * len(ABOUT_ALL), answers


@pytest.mark.parametrize("body", [b"[]", b"nonsense", b'{"run_id": 5}', b'{"run_id": "a.b"}', b'{"run_id": ""}', b"\xff"])
async def test_a_body_that_is_none_is_refused_with_what_is_wrong(desk: Desk, body: bytes) -> None:
    answers = {verb: await told(desk.connection, verb, body) for verb in (*ABOUT_A_RUN, *ABOUT_ALL)}

    assert {code for code, _ in answers.values()} == {"400"}, answers
    assert all(says for _, says in answers.values()), answers


async def test_a_scenario_that_is_missing_is_told_so(desk: Desk) -> None:
    for verb in ("submit", "validate"):
        assert await told(desk.connection, verb, b"{}") == ("400", "document: Field required")
