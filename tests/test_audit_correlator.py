"""Telling an audit correlator: the miniature's, a real process, with the traps of the real one."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import aiohttp.web
import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets import audit_correlator
from targets.audit_correlator import AuditCorrelator, Entry
from tests.ports import free_port
from tests.test_ecosystem import ROOT, eventually

AWKWARD = {"id": "run.fault.started", "scenario": 'a "quoted" \\ name', "target": "líne\nbreak\t🜁", "action": '\'}{","x":"&=%+;'}
ENTRY = Entry("chaos_injection_started", AWKWARD)


class Process:
    """An audit correlator."""

    def __init__(self, folder: Path, **switches: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        settings = {"PATH": os.environ["PATH"], "NATS_URL": "", "HTTP_PORT": self.url.rpartition(":")[2], "GRPC_PORT": str(free_port())}
        command = [sys.executable, "-m", "ecosystem.audit_correlator"]
        environment = settings | {"STATE_DIR": str(folder)} | switches
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def call(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.request(method, self.url + path, **body) as answer:
            return answer.status, await answer.json()

    async def healthy(self) -> bool:
        try:
            return (await self.call("GET", "/api/v1/health"))[0] == 200
        except aiohttp.ClientError:
            return False

    async def held(self) -> list[dict[str, Any]]:
        """All that it stores, the newest first."""
        _, found = await self.call("GET", "/api/v1/audit/events/service?service_name=audit-correlator")
        events: list[dict[str, Any]] = found["events"]
        return events

    def stop(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    process = Process(tmp_path)
    await eventually(process.healthy)
    yield process
    process.stop()


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[Process]:
    process = Process(tmp_path, BUG_DROP_AUDIT="1")
    await eventually(process.healthy)
    yield process
    process.stop()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that gives up soon, and asks again at once."""
    for name, value in {"LIMIT": 1.0, "ANSWER_LIMIT": 0.3, "QUIET": 0.0, "_PAUSES": (0.01,)}.items():
        monkeypatch.setattr(audit_correlator, name, value)
    return iter(())


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), st.text(min_size=1, max_size=50), min_size=1, max_size=8))
def test_a_message_has_nothing_that_could_break_what_is_stored_and_is_read_back_exactly(fields: dict[str, str]) -> None:
    message = Entry("t", fields).message

    assert not set(message) & set("\"\\'<>{} \n\r\t")
    assert message.isascii()
    assert dict(parse_qsl(message, strict_parsing=True)) == fields


async def test_what_it_was_told_is_read_back_whatever_the_names_are(process: Process) -> None:
    async with AuditCorrelator(process.url) as correlator:
        told = await correlator.tell(ENTRY)

    (held,) = await process.held()
    assert (told.outcome, told.stored_id, told.error) == ("stored", held["id"], "")
    assert held["metadata"]["source"] == "test-coordinator"
    assert held["event_type"] == "chaos_injection_started"
    assert dict(parse_qsl(held["metadata"]["message"], strict_parsing=True)) == AWKWARD


async def test_the_miniature_has_the_traps_of_the_real_one(process: Process) -> None:
    path = "/api/v1/audit/events"
    broken, _ = await process.call("POST", path, json={"event_type": "t", "source": "s", "message": 'say "hi"'})
    missing, _ = await process.call("POST", path, json={"event_type": "t", "source": "s", "message": ""})
    for message in ("first", 'x", "source": "somebody else'):
        assert (await process.call("POST", path, json={"event_type": "t", "source": "s", "message": message, "id": "mine"}))[0] == 201
    wrong, _ = await process.call("GET", f"{path}/service?service_name=audit-correlator&time_window=1x")
    _, elsewhere = await process.call("GET", f"{path}/service?service_name=s")
    _, early = await process.call("GET", f"{path}/service?service_name=audit-correlator&time_window=0s")

    newest, oldest = await process.held()
    assert (broken, missing, wrong) == (500, 400, 400)
    assert (elsewhere["count"], early["count"]) == (0, 0)
    assert oldest["metadata"] == {"source": "s", "message": "first"}
    assert newest["metadata"]["source"] == "somebody else"
    assert {newest["service_name"], newest["status"]} == {"audit-correlator", "pending"}
    assert "mine" not in {newest["id"], oldest["id"]}
    _, trace = await process.call("GET", f"{path}/trace/{oldest['trace_id']}")
    assert [event["id"] for event in trace["events"]] == [oldest["id"]]
    _, labels = await process.call("GET", "/api/v1/audit/correlations?time_window=1ns")
    assert "temporal-group-0-2-events" in labels["correlations"]
    assert (await process.call("GET", "/api/v1/ready"))[0] == 200


async def test_a_201_is_no_proof(stub: Process) -> None:
    async with AuditCorrelator(stub.url) as correlator:
        told = await correlator.tell(ENTRY)

    assert told.outcome == "dropped"
    assert told.error == "it answered 201 and does not hold it (its data_adapter is unavailable)"
    assert (await stub.call("GET", "/api/v1/ready"))[0] == 503


async def test_what_may_have_been_told_before_is_not_told_twice(process: Process) -> None:
    async with AuditCorrelator(process.url) as correlator:
        first = await correlator.tell(ENTRY)
        again = await correlator.tell(ENTRY, again=True)

    assert again == first
    assert len(await process.held()) == 1


@pytest.mark.usefixtures("hasty")
async def test_one_that_does_not_answer_in_time_holds_an_event_once_when_it_is_told_again(process: Process) -> None:
    async with AuditCorrelator(process.url) as correlator:
        process.process.send_signal(signal.SIGSTOP)
        slow = await correlator.tell(ENTRY)
        process.process.send_signal(signal.SIGCONT)
        await eventually(process.healthy)
        told = await correlator.tell(ENTRY, again=True)

    assert (slow.outcome, told.outcome) == ("unreachable", "stored")
    assert "no answer within" in slow.error
    assert [event["id"] for event in await process.held()] == [told.stored_id]


@pytest.mark.usefixtures("hasty")
async def test_one_that_cannot_be_reached_is_named_with_the_reason_and_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_correlator, "QUIET", 60.0)
    async with AuditCorrelator(f"http://127.0.0.1:{free_port()}") as correlator:
        first, second = await correlator.tell(ENTRY), await correlator.tell(ENTRY)

    assert (first.outcome, first.error) == ("unreachable", "connection refused")
    assert (second.outcome, second.error) == ("unreachable", "not asked again so soon after: connection refused")


async def test_a_link_is_told_by_the_ids_that_were_read_back(process: Process) -> None:
    async with AuditCorrelator(process.url) as correlator:
        one, two = await correlator.tell(ENTRY), await correlator.tell(Entry("chaos_injection_ended", {"id": "2"}))
        linked = await correlator.link(one.stored_id, two.stored_id, "chaos_injection")
        unknown = await correlator.link(one.stored_id, "nobody", "chaos_injection")

    assert linked == ""
    assert unknown.startswith("it answered 500")


async def test_an_answer_that_is_no_list_proves_nothing(other_server: str) -> None:
    async with AuditCorrelator(other_server) as correlator:
        told = await correlator.tell(ENTRY)

    assert told.outcome == "unproven"
    assert "the answer is no list of events" in told.error


@pytest.fixture
async def other_server() -> AsyncIterator[str]:
    """Something else that answers 201 to whatever is posted, and an empty object to every question."""

    async def answer(request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.json_response({}, status=201 if request.method == "POST" else 200)

    application = aiohttp.web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = aiohttp.web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()
