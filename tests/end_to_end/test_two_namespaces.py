"""Two namespaces on one server, each with a run at the same time: what is asked, written, leased or undone in one is not the other's."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bus.connection import connect
from bus.server import Server
from deploy.host import Host, Plan, host
from deploy.settings import read_settings
from messages.fault_events import FaultEffective, FaultReverted, ServiceStarted
from messages.identity import Identity
from messages.pause_events import RunPausing
from messages.run_events import RunAborting, RunWaiting
from messages.verdicts import Verdict
from targets.find import tagged_processes
from targets.group import is_halted
from tests.end_to_end.conftest import Arena

pytestmark = [pytest.mark.long, pytest.mark.timeout(90)]
PHASES = "[{name: chaos, duration: 30s, actions: [{id: f, target: one, action: pause}]}]"


@dataclass
class Side:
    """A namespace with a host of its own, and everything that is published in it."""

    arena: Arena
    run: str = ""
    subjects: set[str] = field(default_factory=set)

    @property
    def running(self) -> Host:
        return self.arena.running

    async def disturb(self) -> None:
        """Begin a run, and wait until its fault is on."""
        self.run = await self.arena.submit(self.arena.document(PHASES))
        await self.arena.wait_for(self.run, FaultEffective)

    async def process(self) -> Identity:
        event = (await self.arena.wait_for(self.run, ServiceStarted)).event
        assert isinstance(event, ServiceStarted)
        return event.identity


@pytest.fixture
async def sides(server: Server, tmp_path: Path) -> AsyncIterator[tuple[Side, Side]]:
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(connect(server.url, name="listener"))
        found = []
        for namespace in ("ours", "theirs"):
            plan = Plan(allow_systems=True, logs=tmp_path / namespace / "logs")
            settings = read_settings(log_level="WARNING", namespace=namespace)
            running = await stack.enter_async_context(host(settings, server.url, plan))
            await running.ready()
            side = Side(Arena(server.url, running, tmp_path))

            async def note(message: "object", subjects: set[str] = side.subjects) -> None:
                subjects.add(str(getattr(message, "subject", "")))

            await listener.nc.subscribe(f"{namespace}.>", cb=note)
            found.append(side)
        ours, theirs = found
        yield ours, theirs


async def test_two_namespaces_with_a_run_each_share_nothing(sides: tuple[Side, Side]) -> None:
    ours, theirs = sides
    await ours.disturb()
    await theirs.disturb()
    mine, other = await ours.process(), await theirs.process()
    before = is_halted(mine), is_halted(other)

    asked = await ours.running.control.revert_all("enough")
    await ours.arena.wait_for(ours.run, FaultReverted)
    ended = await ours.arena.ended(ours.run)
    reverted = is_halted(other)
    await ours.running.control.hold("look")
    waiting = await ours.arena.submit(ours.arena.document(PHASES))
    await ours.arena.wait_for(waiting, RunWaiting)
    held = is_halted(other)
    untouched = [await theirs.running.journal.find(theirs.run, "scheduler", "run", kind) for kind in (RunAborting, RunPausing)]
    known = [{run.run_id for run in (await side.running.control.runs()).runs} for side in sides]
    hosts = [{there.host for there in await side.running.everyone()} for side in sides]
    await theirs.running.control.revert_all("enough")
    at_last = await theirs.arena.ended(theirs.run)

    assert before == (True, True)
    assert [run.run_id for run in asked.runs] == [ours.run]
    assert (reverted, held, untouched) == (True, True, [None, None])
    assert (ended.verdict, at_last.verdict) == (Verdict.ABORTED, Verdict.ABORTED)
    assert known == [{ours.run, waiting}, {theirs.run}]
    assert hosts == [{ours.running.host_id}, {theirs.running.host_id}]
    assert not tagged_processes(ours.run)
    assert not tagged_processes(theirs.run)


async def test_nothing_of_a_run_is_published_in_another_namespace(sides: tuple[Side, Side]) -> None:
    ours, theirs = sides
    await ours.disturb()
    await theirs.disturb()
    for side in sides:
        await side.running.control.revert_all()
        await side.arena.ended(side.run)

    for side, other in ((ours, theirs), (theirs, ours)):
        assert {subject.split(".")[1] for subject in side.subjects if side.run in subject} >= {"run", "timer", "live"}
        assert [subject for subject in side.subjects if other.run in subject] == []
