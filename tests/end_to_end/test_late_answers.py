"""The bus dies between a request and its answer, for longer than an answer may take: nobody is called late who could not speak."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from bus.cancelling import end
from bus.connection import connect
from bus.server import Server
from bus.topology import ensure_topology
from messages.events import RunEvent
from messages.fault_events import FaultArmed, FaultGone, FaultInjected, FaultReverted
from messages.judgements import AssertionJudged
from messages.run_events import ActionExpired, ActionRequested, AssertionExpired, PhaseFinished, RunFinished, UndoRequested
from messages.scenario import Scenario
from messages.undo import Undo
from messages.verdicts import Reason, Verdict
from tests.end_to_end.cluster import cluster
from tests.test_scheduler_waiting import HERE, NAMES, Town, accepted, journal_of, scheduler

pytestmark = [pytest.mark.long, pytest.mark.timeout(60)]
RESTARTS = 0.5
"""Seconds after the server's return until somebody answers: a decision that waited for it would be stored by then."""
UNTIL = accepted("shop").submitted
ARMED = FaultArmed(fault_id="stop", target="idle", action="stop", until=UNTIL, undo=Undo(kind="process.start", service="idle"))
INJECTED = FaultInjected(fault_id="stop", took=timedelta(), ago=timedelta())
REVERTED = FaultReverted(fault_id="stop", took=timedelta(), ago=timedelta(), by="request")
GONE = FaultGone(fault_id="stop", restored_by="undo", ago=timedelta())
FAILED = AssertionJudged(assertion="fills", verdict=Verdict.FAILED, reason=Reason.CLAIM_FAILED, message="none", evidence=("e",))


@dataclass
class Run:
    """A run that a scheduler alone decides about; what the other actors say is said here."""

    town: Town
    id: str

    async def say(self, actor: str, *events: RunEvent) -> None:
        for event in events:
            await self.town.journal.write(HERE[0], self.id, actor, event, None, None)

    async def until(self, type_: type[RunEvent]) -> RunEvent:
        return (await self.town.until(type_, self.id))[0].event

    def given_up(self) -> list[RunEvent]:
        return [line.event for type_ in (ActionExpired, AssertionExpired) for line in self.town.of(type_)]


@asynccontextmanager
async def run_of(server: Server, phase: str) -> AsyncIterator[Run]:
    async with connect(server.url, name="others") as connection:
        await ensure_topology(connection.js, NAMES.namespace)
        town = Town(connection)
        await town.journal.last_sequence()
        async with scheduler(server, HERE), asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(town.journal.follow(0, town.deliver).run())
            spec = f'{{"system": "shop", "phases": [{{"name": "chaos", {phase}}}]}}'
            event = accepted("shop").model_copy(
                update={"scenario": Scenario.model_validate_json(f'{{"metadata": {{"name": "s"}}, "spec": {spec}}}')}
            )
            yield Run(town, await town.submit(event, HERE[0]))
            await end([reading])


async def away(server: Server, seconds: float) -> None:
    """The server dies, and is back after so long; whoever has something to say needs a moment."""
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.sleep(seconds)
    await server.restart()
    await asyncio.sleep(RESTARTS)


FAULT = '"actions": [{"id": "stop", "target": "idle", "action": "stop", "for": "100ms"}]'


async def test_an_injector_that_the_bus_kept_from_answering_is_there_when_it_is_back(server: Server) -> None:
    async with run_of(server, FAULT) as run:
        await run.until(ActionRequested)

        await away(server, 8)

        await run.say("chaos-injector", ARMED, INJECTED)
        await run.until(UndoRequested)
        assert run.given_up() == []


async def test_an_undo_that_could_not_be_confirmed_while_the_bus_was_away_is_confirmed_late(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.scheduler.decide.UNDO_BUDGET", timedelta(seconds=3))
    async with run_of(server, FAULT) as run:
        await run.until(ActionRequested)
        await run.say("chaos-injector", ARMED, INJECTED)
        await run.until(UndoRequested)

        await away(server, 5)

        await run.say("chaos-injector", REVERTED, GONE)
        finished = await run.until(RunFinished)
        assert run.given_up() == []
        assert isinstance(finished, RunFinished)
        assert finished.verdict is not Verdict.UNSAFE


async def test_a_claim_that_failed_while_the_bus_was_away_fails_the_run_and_is_no_gap(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.scheduler.claims.JUDGE_BUDGET", timedelta(seconds=3))
    claim = '"assertions": [{"id": "fills", "type": "event", "where": "true", "grace": "0s"}]'
    async with run_of(server, f'"duration": "100ms", {claim}') as run:
        await run.until(PhaseFinished)

        await away(server, 5)

        await run.say("validator", FAILED)
        finished = await run.until(RunFinished)
        assert run.given_up() == []
        assert isinstance(finished, RunFinished)
        assert finished.verdict is Verdict.FAILED


async def test_a_stream_that_has_got_another_leader_was_away_until_then(tmp_path: Path) -> None:
    async with cluster(tmp_path) as nodes, connect(nodes.url, name="test") as connection:
        await ensure_topology(connection.js, NAMES.namespace, replicas=3)
        await nodes.whole()
        victim = await nodes.leader(connection.js, NAMES.runs)
        async with connect(",".join(node.url for node in nodes.nodes if node is not victim), name="unbroken") as unbroken:
            journal = journal_of(unbroken)
            await journal.last_sequence()
            before, killed = await journal.room.unbroken_since(journal.clock), journal.clock.now()

            await victim.kill()
            await nodes.led(unbroken.js, NAMES.runs, by_other_than=victim)
            after = await journal.room.unbroken_since(journal.clock)

    assert before < killed < after
