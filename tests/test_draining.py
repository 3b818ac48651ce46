"""A bus that does not answer for a moment while runs are brought to their end: they count as open, and are asked for again."""

import asyncio

import pytest
from nats.errors import NoRespondersError

from bus.clock import ServerClock
from bus.connection import Connection
from bus.control import ControlClient, serve_control
from bus.errors import NoAnswer
from bus.journal import Journal
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from deploy.draining import end_runs, ended
from messages.control import Done, RunRequest
from messages.run_events import RunAccepted, RunFinished
from messages.scenario import Scenario
from messages.system import System
from messages.values import Message
from messages.verdicts import Verdict

ERRORS = [NoRespondersError(), NoAnswer("ask"), TimeoutError()]
SYSTEM = System.model_validate_json('{"metadata": {"name": "tiny"}, "spec": {"services": {"one": {"driver": {"external": {}}}}}}')
SCENARIO = Scenario.model_validate_json('{"metadata": {"name": "tiny"}, "spec": {"system": "tiny", "phases": [{"name": "only"}]}}')


class Hiccups(Journal):
    """One whose server fails a few times."""

    errors: tuple[Exception, ...] = ()

    async def runs_with(self, actor: str, entity: str, type_name: str) -> dict[str, int]:
        if self.errors:
            error, *rest = self.errors
            self.errors = tuple(rest)
            raise error
        return await super().runs_with(actor, entity, type_name)

    async def accept(self, run: str) -> None:
        accepted = RunAccepted(key="k", scenario=SCENARIO, system=SYSTEM, submitted=self.clock.now())
        await self.write(3, run, "scheduler", accepted, None, None)

    async def finish(self, run: str) -> None:
        over = RunFinished(verdict=Verdict.ABORTED, reason=None, message="", cause=None, hint=None, position=1)
        await self.write(3, run, "scheduler", over, None, None)


@pytest.fixture
async def journal(connection: Connection) -> Hiccups:
    await ensure_topology(connection.js, "ns")
    made = Hiccups(connection, Subjects("ns"), Names("ns").runs, ServerClock())
    await made.last_sequence()
    return made


@pytest.mark.parametrize("error", ERRORS)
async def test_a_run_is_open_while_the_bus_does_not_say_that_it_is_not(journal: Hiccups, error: Exception) -> None:
    await journal.accept("r1")
    async with asyncio.TaskGroup() as tasks:
        journal.errors = (error, error)
        waiting = tasks.create_task(ended(journal, {"r1"}, 30))
        while journal.errors:
            await asyncio.sleep(0.01)
        before = waiting.done()

        await journal.finish("r1")

    assert not before
    assert waiting.result() == set()


@pytest.mark.parametrize("error", ERRORS)
async def test_who_waits_for_the_end_of_a_run_does_not_wait_for_a_bus_beyond_the_limit(journal: Hiccups, error: Exception) -> None:
    await journal.accept("r1")
    journal.errors = (error,) * 1000

    assert await ended(journal, {"r1"}, 0.3) == {"r1"}


async def test_an_abort_that_is_not_answered_is_asked_for_again(journal: Hiccups) -> None:
    asked = list[str]()

    async def abort(body: bytes, principal: str) -> Message:
        run = RunRequest.model_validate_json(body).run_id or ""
        asked.append(run)
        if asked.count(run) == 1:
            raise NoAnswer("look it up")
        await journal.finish(run)
        return Done(run_id=run)

    runs, subjects = {"r1", "r2"}, journal.subjects
    for run in runs:
        await journal.accept(run)
    async with serve_control(journal.connection, subjects, "1.0.0", {"abort": abort}):
        left = await end_runs(journal, ControlClient(journal.connection, subjects, "test"), runs, 30)

    assert left == set()
    assert sorted(asked) == ["r1", "r1", "r2", "r2"]
