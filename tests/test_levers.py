"""What may be asked of runs that are there, and what is answered: on a real bus, with runs that are only lines of a journal."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from actors.control import Acceptance, Control, fold_run, list_runs
from actors.summaries import summary_of, unsettled_runs
from bus.archive import Archive
from bus.clock import ServerClock
from bus.connection import Connection
from bus.control import ControlClient, serve_control
from bus.errors import RequestRefused
from bus.journal import Journal
from bus.keys import Keys
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from messages.control import HOLD, Hold, RunSummary
from messages.events import RunEvent
from messages.fault_events import ActionFailed, FaultArmed, FaultReverted, FaultRevertFailed, ServiceStarted
from messages.identity import Identity
from messages.pause_events import GateClosed, GateOpened, RunPausing, RunResumed
from messages.run_events import (
    AbortRequested,
    ActionRequested,
    ApproveRequested,
    RunAccepted,
    RunFinished,
    RunStarted,
    RunWaiting,
    ServicesReleaseRequested,
    SubmitRequested,
)
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from messages.verdicts import Reason, Verdict

NAMESPACE = "test-coordinator"
SYSTEM = System.model_validate_json("""{"metadata": {"name": "y"}, "spec": {"services": {"a": {
  "driver": {"process": {"command": ["a"]}}, "health": {"tcp": {"address": "h:1"}}}}}}""")
SCENARIO = Scenario.model_validate_json("""{"metadata": {"name": "s"}, "spec": {"system": "y", "phases": [
  {"name": "chaos", "actions": [{"id": "f", "target": "a", "action": "kill", "for": "3s"},
                                {"id": "g", "target": "a", "action": "kill", "for": "3s"}]}]}}""")


class Desk:
    """A control service, people who ask it, and journals that are written by hand."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
        self.keys = Keys(connection, Names(NAMESPACE).systems)
        self.ann = self.of("ann")

    def of(self, principal: str) -> ControlClient:
        return ControlClient(self.connection, self.journal.subjects, principal)

    async def write(self, run: str, *events: RunEvent) -> None:
        for event in events:
            await self.journal.write(3, run, event.ACTORS[0], event, None, None)

    async def begin(self, run: str, *events: RunEvent) -> None:
        accepted = RunAccepted(key="k", scenario=SCENARIO, system=SYSTEM, submitted=self.journal.clock.now())
        await self.write(run, SubmitRequested(principal="zoe"), accepted, RunStarted(), *events)

    async def summary(self, run: str) -> RunSummary:
        """The same in the list and by itself."""
        listed = next(found for found in (await self.ann.runs()).runs if found.run_id == run)
        (shown,) = (await self.ann.runs(run)).runs
        assert (listed.waits_for, listed.left) == (shown.waits_for, shown.left)
        return shown

    async def asked(self, run: str) -> list[str]:
        """The ids of what people asked of a run, with who did."""
        found: list[str] = []
        last = await self.journal.last_sequence()
        await self.journal.read_runs(
            [run], last, lambda line: found.append(f"{getattr(line.event, 'principal', '')}:{line.id}") if line.actor == "control" else None
        )
        return found


@pytest.fixture
async def desk(connection: Connection) -> AsyncIterator[Desk]:
    await ensure_topology(connection.js, NAMESPACE)
    desk = Desk(connection)
    await desk.journal.last_sequence()
    control = Control(connection, desk.journal, Acceptance({}, allow_systems=False), desk.keys)
    async with serve_control(connection, desk.journal.subjects, "0.1.0", control.verbs()):
        yield desk


def finished(verdict: Verdict = Verdict.PASSED) -> RunFinished:
    return RunFinished(verdict=verdict, reason=None, message="", cause=None, hint=None, position=1)


def not_undone(*faults: str) -> list[RunEvent]:
    """What a run leaves behind whose faults could not be undone."""
    events: list[RunEvent] = []
    for name, action in zip(("f", "g"), SCENARIO.spec.phases[0].actions, strict=True):
        if name in faults:
            undo = Undo(kind="process.start", service="a")
            events.append(ActionRequested(fault_id=name, phase="chaos", target="a", action=action))
            events.append(FaultArmed(fault_id=name, target="a", action="kill", until=SCENARIO_BEGAN, undo=undo))
            events.append(FaultRevertFailed(fault_id=name, message="no", attempts=5))
    return [*events, finished(Verdict.UNSAFE)]


SCENARIO_BEGAN = Hold.model_validate_json('{"principal": "x", "note": "", "since": "2026-01-01T00:00:00Z"}').since


async def test_a_pause_and_a_resume_are_written_down_each_time_with_who_asked(desk: Desk) -> None:
    await desk.begin("r1")
    for _ in range(2):
        assert (await desk.ann.pause("r1", "look")).error is None
        assert (await desk.of("bob").resume("r1")).error is None

    state = await fold_run(desk.journal, "r1")
    assert [line.partition(":")[0] for line in await desk.asked("r1")] == ["zoe", "ann", "bob", "ann", "bob"]
    assert len(set(await desk.asked("r1"))) == 5
    assert (state.standing.wanted, state.standing.let_go, state.principal) == (None, "bob", "zoe")


async def test_of_two_who_pause_at_once_one_is_told_that_it_is_paused(desk: Desk) -> None:

    await desk.begin("r1")
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(desk.of(name).pause("r1")) for name in ("ann", "bob", "cyd")]

    errors = [task.result().error for task in asking]
    assert errors.count(None) == 1
    assert sum("is paused already, by" in str(error) for error in errors) == 2


async def test_what_cannot_be_paused_or_resumed_says_what_is_so(desk: Desk) -> None:
    await desk.begin("over", finished())
    await desk.begin("running")
    await desk.begin("ending", AbortRequested(principal="eve"))
    await desk.begin("held", RunPausing(by="ops", why="hold", note="outage"))
    accepted = RunAccepted(key="k", scenario=SCENARIO, system=SYSTEM, submitted=desk.journal.clock.now())
    await desk.write("early", accepted, RunWaiting(behind="r0", why="one run at a time on y: behind r0"))

    assert (await desk.ann.pause("nobody")).error == "there is no run nobody"
    assert (await desk.ann.pause("over")).error == (await desk.ann.resume("over")).error == "run over is already finished"
    assert (await desk.ann.pause("ending")).error == "run ending is being aborted"
    assert (await desk.ann.resume("running")).error == "run running is not paused"
    assert (await desk.ann.resume("held")).error == "run held is not paused, but held by ops (outage); `release` lets it go on"
    assert "has not started yet: it waits for one run at a time on y" in str((await desk.ann.pause("early")).error)
    assert (await desk.ann.approve("running")).error == "nothing in run running waits for approval"
    with pytest.raises(RequestRefused, match="run_id"):
        await desk.ann.pause("a b")
    with pytest.raises(RequestRefused, match="fault"):
        await desk.ann.resolve("over", "a b", "x")


async def test_a_gate_takes_one_answer_of_somebody_who_may_give_it(desk: Desk) -> None:
    gate = GateOpened(phase="chaos", ask="Now?", approve=("ann", "bob"), until=desk.journal.clock.now() + timedelta(minutes=9))
    await desk.begin("r1", gate)
    waiting = await desk.summary("r1")

    refused = await desk.of("eve").approve("r1")
    taken = await desk.ann.approve("r1", "fine")
    late = await desk.of("bob").reject("r1")

    state = await fold_run(desk.journal, "r1")
    assert (waiting.stage, waiting.waits_for) == ("gate", "the gate of chaos, which ann or bob may answer: Now?")
    assert refused.error == "eve may not answer for chaos of run r1; ann or bob may"
    assert taken.error is None
    assert late.error == "chaos of run r1 is answered already, by ann (fine)"
    assert isinstance(state.standing.gates["chaos"].answer, ApproveRequested)
    await desk.write("r1", GateClosed(phase="chaos", outcome="approved", by="ann"))
    assert (await desk.summary("r1")).waits_for == ""


async def test_a_hold_is_one_for_all_and_its_release_is_known_to_the_runs_that_stood_still(desk: Desk) -> None:
    await desk.begin("r1", RunPausing(by="ann", why="hold", note="outage"))
    await desk.begin("r2")

    held, again = await desk.ann.hold("outage"), await desk.of("bob").hold()
    entry = await desk.keys.get(HOLD)
    released, nothing = await desk.of("bob").release("all well"), await desk.of("bob").release()

    assert entry is not None
    assert Hold.model_validate_json(entry.value).note == "outage"
    assert (held.run_id, held.error, released.error, nothing.error) == ("", None, None, "nothing is held")
    assert "all runs are held already by ann (outage) since" in str(again.error)
    assert await desk.keys.get(HOLD) is None
    assert (await fold_run(desk.journal, "r1")).standing.let_go == "bob"
    assert (await fold_run(desk.journal, "r2")).standing.let_go is None


async def test_a_run_in_the_list_says_what_it_stands_still_for(desk: Desk) -> None:
    await desk.begin("r1", RunPausing(by="ann", why="pause", note="look"))
    await desk.begin("r2", RunPausing(by="ops", why="hold"))
    await desk.begin("r3", RunPausing(by="ann", why="pause"), RunResumed(by="ann"))

    told = {run: ((found := await desk.summary(run)).stage, found.waits_for) for run in ("r1", "r2", "r3")}

    assert told["r1"] == ("paused", "paused by ann: look")
    assert told["r2"] == ("paused", "held by ops")
    assert told["r3"] == ("starting", "")


async def test_what_an_unsafe_run_left_is_listed_until_it_was_undone_or_resolved(desk: Desk) -> None:
    await desk.begin("r1", *not_undone("f", "g"))
    await desk.begin("fine", finished())
    before = await desk.summary("r1")

    await desk.write("r1", FaultReverted(fault_id="g", took=timedelta(), ago=timedelta(), by="lease"))
    undone = await desk.summary("r1")
    wrong = await desk.ann.resolve("r1", "g", "by hand")
    unsaid = await desk.ann.resolve("r1", None, " ")
    right = await desk.ann.resolve("r1", "f", "restarted by hand")
    after = await desk.summary("r1")

    assert (before.left, undone.left, after.left) == (("f", "g"), ("f",), ())
    assert before.verdict is after.verdict is Verdict.UNSAFE
    assert wrong.error == "g is not left of run r1; left: f"
    assert unsaid.error == "the note is empty; say how it was put right"
    assert right.error is None
    assert "nothing is left of run r1" in str((await desk.ann.resolve("r1", None, "again")).error)
    assert (await desk.ann.resolve("fine", None, "x")).error == "run fine is passed, not unsafe: there is nothing to resolve"
    assert [event.principal for event in (await fold_run(desk.journal, "r1")).standing.resolved] == ["ann"]


async def test_all_that_is_left_may_be_resolved_at_once(desk: Desk) -> None:
    await desk.begin("r1", *not_undone("f", "g"))

    assert (await desk.ann.resolve("r1", note="all by hand")).error is None
    assert [run.left for run in await list_runs(desk.journal)] == [()]


async def test_revert_all_ends_what_is_open_and_lists_what_is_left(desk: Desk) -> None:
    await desk.begin("r1")
    await desk.begin("r2", RunPausing(by="ann", why="pause"))
    await desk.begin("over", finished())
    await desk.begin("unsafe", *not_undone("f"))

    reply = await desk.ann.revert_all("outage")

    assert [run.run_id for run in reply.runs] == ["r2", "r1", "unsafe"]
    assert reply.runs[-1].left == ("f",)
    for run in ("r1", "r2"):
        assert (await fold_run(desk.journal, run)).abort_requested == ("ann", "outage")
    assert (await fold_run(desk.journal, "over")).abort_requested is None


async def many_runs(desk: Desk) -> None:
    """Runs of every kind, and two newer ones that are over and clean; the older a run, the earlier is its name."""
    identity = Identity(pid=1, started=1, boot="b")
    unstopped = ActionFailed(action_id="release", reason=Reason.REVERT_FAILED, message="it hangs")
    accepted = RunAccepted(key="k", scenario=SCENARIO, system=SYSTEM, submitted=desk.journal.clock.now())
    await desk.begin("a-open")
    await desk.write("b-waiting", accepted, RunWaiting(behind="a-open", why="one run at a time on y: behind a-open"))
    await desk.begin("c-unsafe", *not_undone("f"))
    started = ServiceStarted(service="a", number=1, identity=identity)
    await desk.begin("d-unstopped", started, ServicesReleaseRequested(), unstopped, finished(Verdict.UNSAFE))
    await desk.begin("e-resolved", *not_undone("g"))
    await desk.ann.resolve("e-resolved", note="by hand")
    for name in ("f-over", "y-over", "z-over"):
        await desk.begin(name, finished())


async def test_what_is_not_over_or_was_left_is_listed_however_many_newer_runs_there_are(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many_runs(desk)
    monkeypatch.setattr("actors.summaries.LISTED", 2)

    listed, unsettled = await list_runs(desk.journal), await unsettled_runs(desk.journal)

    assert [run.run_id for run in unsettled] == ["d-unstopped", "c-unsafe", "b-waiting", "a-open"]
    assert [run.left for run in unsettled] == [("services",), ("f",), (), ()]
    assert [run.run_id for run in listed] == ["z-over", "y-over", *(run.run_id for run in unsettled)]


async def test_revert_all_finds_what_was_left_long_ago(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await many_runs(desk)
    monkeypatch.setattr("actors.summaries.LISTED", 2)

    reply = await desk.ann.revert_all()

    assert [run.run_id for run in reply.runs] == ["b-waiting", "a-open", "d-unstopped", "c-unsafe"]


async def test_a_run_in_the_archive_is_said_to_be_finished(desk: Desk) -> None:
    run = "01JTEST000000000000ARCHIVE"
    await desk.begin(run, finished())
    assert await Archive(desk.journal).move(run, summary_of(await fold_run(desk.journal, run)))

    answers = [await desk.ann.abort(run), await desk.ann.pause(run), await desk.ann.resolve(run, note="n")]

    assert {answer.error for answer in answers} == {f"run {run} is already finished, and in the archive"}
