"""Scenarios taken and refused, and what the control service answers: on a real bus, without any run going on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from actors.control import Acceptance, Control
from bus.clock import ServerClock
from bus.connection import Connection
from bus.control import ControlClient, serve_control
from bus.errors import NoAnswer, RequestRefused
from bus.intake import Intake
from bus.journal import Journal, Line
from bus.keys import Keys
from bus.share import Share
from bus.subjects import Subjects, partition_of
from bus.topology import Names, ensure_topology
from messages.control import Rejected, SubmitRequest
from messages.ids import is_run_id, new_run_id, seed_of
from messages.run_events import AbortRequested, RunAccepted, SubmitRequested
from messages.system import System
from scenarios.errors import DocumentErrors

NAMESPACE = "test-coordinator"
TINY = System.model_validate_json('{"metadata": {"name": "tiny"}, "spec": {"services": {"one": {"driver": {"external": {}}}}}}')
SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: quiet}
spec:
  system: tiny
  variables: {wait: 1s}
  phases: [{name: calm, duration: "{{ variables.wait }}", assertions: [{type: event, where: "true"}]}]
"""


class Bus:
    """A journal, what it holds, and a client of the control service."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        self.client = ControlClient(connection, self.journal.subjects, "ann")
        self.keys = Keys(connection, Names(NAMESPACE).systems)
        self.instances = Keys(connection, Names(NAMESPACE).instances)
        self.ownership = Keys(connection, Names(NAMESPACE).ownership)
        self.lines: list[Line] = []
        self.acceptance = Acceptance({"tiny": TINY}, allow_systems=False)

    @asynccontextmanager
    async def taking(self) -> AsyncIterator[None]:
        control = Control(self.connection, self.journal, self.acceptance, self.keys)
        share = Share.of_everything()
        share.serving = share.owned
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(Intake(self.connection, self.journal, self.acceptance, share).run()),
                tasks.create_task(self.journal.follow(0, self.lines.append).run()),
            ]
            async with serve_control(self.connection, self.journal.subjects, "0.1.0", control.verbs()):
                yield
            for task in running:
                task.cancel()

    async def accepted(self, count: int = 1) -> list[Line]:
        while len(found := [line for line in self.lines if isinstance(line.event, RunAccepted)]) < count:
            await asyncio.sleep(0.005)
        return found

    async def rejected(self) -> Rejected:
        while True:
            try:
                found = await self.connection.js.get_last_msg(Names(NAMESPACE).rejected, f"{NAMESPACE}.rejected.>")
                return Rejected.model_validate_json(found.data or b"")
            except Exception as error:
                if "not found" not in str(error).lower() and "no message" not in str(error).lower():
                    raise
                await asyncio.sleep(0.01)


@pytest.fixture
async def bus(connection: Connection) -> Bus:
    await ensure_topology(connection.js, NAMESPACE)
    bus = Bus(connection)
    await bus.journal.last_sequence()
    return bus


async def test_a_scenario_published_by_anyone_becomes_a_run_of_its_keys_partition(bus: Bus) -> None:
    async with bus.taking():
        await bus.connection.nc.publish(f"{NAMESPACE}.scenarios.alpha", SCENARIO.encode())
        (line,) = await bus.accepted()

    assert isinstance(line.event, RunAccepted)
    assert is_run_id(line.run)
    assert (line.partition, line.event.key, line.event.scenario.name) == (partition_of("alpha"), "alpha", "quiet")


async def test_json_is_taken_as_well(bus: Bus) -> None:
    document = {
        "kind": "Scenario",
        "apiVersion": "chaos.trading/v1",
        "metadata": {"name": "j"},
        "spec": {"system": "tiny", "phases": [{"name": "p"}]},
    }
    async with bus.taking():
        await bus.connection.nc.publish(f"{NAMESPACE}.scenarios.alpha", json.dumps(document).encode())
        (line,) = await bus.accepted()

    assert isinstance(line.event, RunAccepted)
    assert line.event.scenario.name == "j"


async def test_the_publisher_may_choose_the_runs_id_and_a_second_copy_is_the_same_run(bus: Bus) -> None:
    run = new_run_id(bus.journal.clock.now())
    async with bus.taking():
        for _ in range(2):
            await bus.connection.js.publish(f"{NAMESPACE}.scenarios.alpha", SCENARIO.encode(), headers={"Nats-Msg-Id": run})
        await bus.connection.nc.publish(f"{NAMESPACE}.scenarios.alpha", SCENARIO.encode())
        first, second = await bus.accepted(2)

    assert first.run == run
    assert second.run != run


async def test_an_invalid_scenario_ends_as_rejected_with_every_reason_and_place(bus: Bus) -> None:
    broken = SCENARIO.replace("system: tiny", "systm: tiny").replace("type: event", "type: evnt")
    async with bus.taking():
        await bus.connection.nc.publish(f"{NAMESPACE}.scenarios.alpha", broken.encode())
        rejected = await bus.rejected()

    assert rejected.reason == "invalid"
    assert {"systm", "evnt"} <= {word for f in rejected.findings for word in ("systm", "evnt") if word in str(f)}
    assert all(finding.line > 1 for finding in rejected.findings)


@pytest.mark.parametrize("subject", [f"{NAMESPACE}.scenarios", f"{NAMESPACE}.scenarios.a.b"])
async def test_a_scenario_published_where_none_can_be_is_rejected_not_lost(bus: Bus, subject: str) -> None:
    async with bus.taking():
        await bus.connection.nc.publish(subject, SCENARIO.encode())
        rejected = await bus.rejected()

    assert (rejected.reason, rejected.subject) == ("unroutable", subject)


@pytest.mark.parametrize("key", ["käse", "a=b", "x" * 65])
async def test_a_key_that_is_no_token_is_rejected_and_what_comes_after_it_is_taken(bus: Bus, key: str) -> None:
    async with bus.taking():
        await bus.connection.nc.publish(f"{NAMESPACE}.scenarios.{key}", SCENARIO.encode())
        rejected = await bus.rejected()
        await bus.connection.nc.publish(f"{NAMESPACE}.scenarios.alpha", SCENARIO.encode())
        (line,) = await bus.accepted()

    assert (rejected.reason, rejected.subject) == ("unroutable", f"{NAMESPACE}.scenarios.{key}")
    assert isinstance(line.event, RunAccepted)
    assert line.event.key == "alpha"


async def test_a_system_inside_a_message_is_refused(bus: Bus) -> None:
    system = """
---
apiVersion: chaos.trading/v1
kind: System
metadata: {name: evil}
spec: {services: {one: {driver: {process: {command: [rm]}}}}}
"""
    async with bus.taking():
        await bus.connection.nc.publish(
            f"{NAMESPACE}.scenarios.alpha", (SCENARIO.replace("system: tiny", "system: evil") + system).encode()
        )
        rejected = await bus.rejected()

    assert any("System" in finding.what for finding in rejected.findings)


async def test_submit_answers_with_the_run_and_the_journal_says_who_asked(bus: Bus) -> None:
    async with bus.taking():
        reply = await bus.client.submit(SubmitRequest(document=SCENARIO, variables={"wait": "3s"}))
        (line,) = await bus.accepted()

    asked = [entry for entry in bus.lines if isinstance(entry.event, SubmitRequested)]
    assert reply.run_id == line.run
    assert isinstance(line.event, RunAccepted)
    assert line.event.scenario.spec.phases[0].duration is not None
    assert line.event.scenario.spec.phases[0].duration.total_seconds() == 3
    assert [getattr(entry.event, "principal", "") for entry in asked] == ["ann"]


async def test_a_rehearsal_is_accepted_as_one_and_so_is_its_rerun(bus: Bus) -> None:
    async with bus.taking():
        reply = await bus.client.submit(SubmitRequest(document=SCENARIO, rehearse=True))
        await bus.accepted()
        again = await bus.client.rerun(reply.run_id or "")
        first, second = await bus.accepted(2)
        listed = await bus.client.runs()

    assert again.run_id == second.run
    assert all(isinstance(line.event, RunAccepted) and line.event.rehearsal for line in (first, second))
    assert [run.rehearsal for run in listed.runs] == [True, True]


@pytest.mark.parametrize(
    ("header", "rehearsal"), [({}, False), ({"Scenario-Rehearse": "True"}, True), ({"Scenario-Rehearse": "false"}, False)]
)
async def test_whoever_publishes_a_scenario_may_ask_for_a_rehearsal(bus: Bus, header: dict[str, str], rehearsal: bool) -> None:  # noqa: FBT001
    async with bus.taking():
        await bus.connection.nc.publish(f"{NAMESPACE}.scenarios.alpha", SCENARIO.encode(), headers=header)
        (line,) = await bus.accepted()

    assert isinstance(line.event, RunAccepted)
    assert line.event.rehearsal is rehearsal


async def test_who_asks_for_a_rehearsal_in_words_that_nobody_knows_gets_no_run(bus: Bus) -> None:
    async with bus.taking():
        await bus.connection.nc.publish(f"{NAMESPACE}.scenarios.alpha", SCENARIO.encode(), headers={"Scenario-Rehearse": "yes please"})
        rejected = await bus.rejected()

    assert "Scenario-Rehearse is neither true nor false" in rejected.findings[0].what


async def test_submit_answers_with_every_mistake(bus: Bus) -> None:
    async with bus.taking():
        reply = await bus.client.submit(SubmitRequest(document=SCENARIO.replace("phases", "fases"), file="mine.yaml"))

    assert reply.run_id is None
    assert any(str(finding).startswith("mine.yaml:") and "phases" in str(finding) for finding in reply.findings)


async def test_runs_are_listed_and_shown_and_an_abort_is_written_down(bus: Bus) -> None:
    async with bus.taking():
        reply = await bus.client.submit(SubmitRequest(document=SCENARIO))
        await bus.accepted()
        listed = await bus.client.runs()
        shown = await bus.client.runs(reply.run_id)
        done = await bus.client.abort(reply.run_id or "", "enough")
        while not any(isinstance(line.event, AbortRequested) for line in bus.lines):
            await asyncio.sleep(0.005)
        unknown = await bus.client.abort("nobody")

    assert [run.run_id for run in listed.runs] == [run.run_id for run in shown.runs] == [reply.run_id]
    assert done.error is None
    assert unknown.error == "there is no run nobody"


MONKEY = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: monkey}
spec:
  system: own
  variables: {hold: 2s}
  phases:
    - name: p
      duration: 1m
      random: {every: 5s, among: [{target: [one, two], action: kill, for: "{{ variables.hold }}"}]}
"""
_PROCESS = '{"driver": {"process": {"command": ["sleep", "9"]}}}'
OWN = System.model_validate_json(f'{{"metadata": {{"name": "own"}}, "spec": {{"services": {{"one": {_PROCESS}, "two": {_PROCESS}}}}}}}')


async def test_a_random_plan_is_drawn_from_the_runs_id_and_stands_in_the_journal(bus: Bus) -> None:
    bus.acceptance = Acceptance({"own": OWN}, allow_systems=False)
    run = new_run_id(bus.journal.clock.now())
    async with bus.taking():
        await bus.connection.js.publish(f"{NAMESPACE}.scenarios.alpha", MONKEY.encode(), headers={"Nats-Msg-Id": run})
        await bus.client.submit(SubmitRequest(document=MONKEY))
        first, second = (line.event for line in await bus.accepted(2))

    assert isinstance(first, RunAccepted)
    assert isinstance(second, RunAccepted)
    phase = first.scenario.spec.phases[0]
    assert len(phase.actions) == 12
    assert phase.random is not None
    assert (phase.random.drawn, phase.random.seed) == (True, seed_of(run))
    assert phase.actions != second.scenario.spec.phases[0].actions


async def test_a_rerun_is_a_new_run_of_the_same_plan_with_the_same_variables(bus: Bus) -> None:
    bus.acceptance = Acceptance({"own": OWN}, allow_systems=False)
    async with bus.taking():
        reply = await bus.client.submit(SubmitRequest(document=MONKEY, variables={"hold": "3s"}, key="alpha"))
        await bus.accepted()
        again = await bus.client.rerun(reply.run_id or "")
        first, second = await bus.accepted(2)

    assert again.run_id == second.run != first.run
    assert again.scenario == "monkey"
    assert isinstance(first.event, RunAccepted)
    assert isinstance(second.event, RunAccepted)
    assert second.event.scenario == first.event.scenario
    assert second.event.key == first.event.key == "alpha"
    assert {action.for_ for action in second.event.scenario.spec.phases[0].actions} == {timedelta(seconds=3)}


async def test_a_rerun_of_no_run_or_on_a_host_that_no_longer_has_the_system_says_so(bus: Bus) -> None:
    async with bus.taking():
        reply = await bus.client.submit(SubmitRequest(document=SCENARIO))
        await bus.accepted()
        unknown = await bus.client.rerun("nobody")
    bus.acceptance = Acceptance({"own": OWN}, allow_systems=False)
    async with bus.taking():
        gone = await bus.client.rerun(reply.run_id or "")

    assert [finding.what for finding in unknown.findings] == ["there is no run nobody"]
    assert [finding.what for finding in gone.findings] == ["there is no system 'tiny'"]


async def test_without_a_host_asking_says_so(bus: Bus) -> None:
    with pytest.raises(NoAnswer, match="no host"):
        await bus.client.runs()


async def test_a_scenario_on_which_the_acceptor_raises_is_rejected_and_holds_up_nobody(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    check = Acceptance.check

    def broken(self: Acceptance, text: str, *rest: object) -> object:
        if "poison" in text:
            raise ZeroDivisionError
        return check(self, text, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Acceptance, "check", broken)
    async with bus.taking():
        await bus.connection.nc.publish(f"{NAMESPACE}.scenarios.alpha", SCENARIO.replace("quiet", "poison").encode())
        await bus.connection.nc.publish(f"{NAMESPACE}.scenarios.alpha", SCENARIO.encode())
        rejected = await bus.rejected()
        await bus.accepted()

    assert "ZeroDivisionError" in rejected.findings[0].what


async def test_a_run_id_that_cannot_be_one_is_refused_not_unanswered(bus: Bus) -> None:
    async with bus.taking():
        with pytest.raises(RequestRefused, match="run_id"):
            await bus.client.abort("a b")


@pytest.mark.parametrize("given", ["00-" + "a" * 32 + "-" + "b" * 16 + "-01", "nonsense"])
async def test_every_line_of_a_run_carries_its_trace_context(bus: Bus, given: str) -> None:
    async with bus.taking():
        await bus.connection.js.publish(f"{NAMESPACE}.scenarios.alpha", SCENARIO.encode(), headers={"traceparent": given})
        (line,) = await bus.accepted()
        await bus.client.abort(line.run)
        while not (aborts := [entry for entry in bus.lines if isinstance(entry.event, AbortRequested)]):
            await asyncio.sleep(0.005)

    assert line.traceparent is not None
    assert (line.traceparent == given) is given.startswith("00-")
    assert aborts[0].traceparent == line.traceparent


OWN_SYSTEM = """
---
apiVersion: chaos.trading/v1
kind: System
metadata: {name: mine}
spec: {services: {one: {driver: {process: {command: [sleep]}}}}}
"""


def test_a_host_trusts_the_system_in_its_own_document_and_in_no_other() -> None:
    own = SCENARIO.replace("system: tiny", "system: mine") + OWN_SYSTEM
    acceptance = Acceptance({"tiny": TINY}, allow_systems=False, own=frozenset({own}))

    assert acceptance.check(own, "f", None, {}).system.name == "mine"
    with pytest.raises(DocumentErrors, match="System"):
        acceptance.check(own + "\n# another", "f", None, {})


async def test_a_submitted_run_is_visible_until_somebody_takes_it_up_and_one_that_was_rejected_is_not(bus: Bus) -> None:
    control = Control(bus.connection, bus.journal, bus.acceptance, bus.keys)
    async with serve_control(bus.connection, bus.journal.subjects, "0.1.0", control.verbs()):
        run = (await bus.client.submit(SubmitRequest(document=SCENARIO, file="quiet.yaml", key="free"))).run_id or ""
        (listed,) = (await bus.client.runs()).runs
        (shown,) = (await bus.client.runs(run)).runs
        refused = [(await bus.client.abort(run)).error or "", (await bus.client.pause(run)).error or ""]
        owner = await bus.instances.create("host", b"{}")
        await bus.ownership.create("scheduler", json.dumps({str(partition_of("free")): "host"}).encode())
        (owned,) = (await bus.client.runs()).runs
    bus.acceptance = Acceptance({}, allow_systems=False)
    async with bus.taking():
        await bus.rejected()
        while (await bus.client.runs()).runs:
            await asyncio.sleep(0.01)

    assert owner is not None
    assert (listed.run_id, listed.stage, listed.scenario, listed.system) == (run, "submitted", "quiet.yaml", "free")
    mine = partition_of("free")
    assert (
        listed.waits_for
        == f"nobody has taken it up yet: partition {mine} has no owner, and waits for a host with --partitions {mine} or auto"
    )
    assert shown == listed
    assert all("was only submitted" in why for why in refused)
    assert owned.waits_for == "nobody has taken it up yet"
