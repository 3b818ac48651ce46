"""Who wrote a line: only that host counts it, whoever reads it."""

import asyncio
from datetime import UTC, datetime

from bus.clock import ServerClock
from bus.connection import Connection
from bus.errors import LostRace
from bus.journal import Guard, Journal, Line
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from deploy.watching import KEPT, Watch, Watched, Whose
from messages.events import Recorded, RunEvent
from messages.judgements import ReportPublished
from messages.observations import EventCounted
from messages.run_events import PhaseStarted, RunAccepted, RunFinished, RunStarted
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Verdict

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SCENARIO = Scenario.model_validate_json('{"metadata": {"name": "s"}, "spec": {"system": "t", "phases": [{"name": "p", "duration": "1s"}]}}')
SYSTEM = System.model_validate_json('{"metadata": {"name": "t"}, "spec": {"services": {"one": {"driver": {"external": {}}}}}}')
ACCEPTED = RunAccepted(key="k", scenario=SCENARIO, system=SYSTEM, submitted=BEGIN)


class Ear:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Whose]] = []
        self.gone: list[str] = []

    def recorded(self, line: Line, run: Watched, whose: Whose) -> None:
        self.heard.append((line.event.type_name(), whose))

    def forgotten(self, run: str) -> None:
        self.gone.append(run)


class Deaf(Ear):
    def recorded(self, line: Line, run: Watched, whose: Whose) -> None:
        raise ValueError("a bug")


def line(sequence: int, event: RunEvent, run: str = "r", actor: str = "scheduler") -> Line:
    return Recorded(event, run, 0, actor, event.entity, sequence, BEGIN, f"{run}.{sequence}")


def test_a_line_is_ours_whether_it_is_read_before_or_after_it_is_known_to_be_stored() -> None:
    ear = Ear()
    watch = Watch(("scheduler",), (ear,))
    watch.begin(1, ServerClock())
    watch.deliver(line(1, ACCEPTED))

    watch.sending("r.2")
    watch.deliver(line(2, RunStarted()))
    before = list(ear.heard)
    watch.settled("r.2", ours=True)
    watch.sending("r.3")
    watch.settled("r.3", ours=True)
    watch.deliver(line(3, PhaseStarted(phase="p", kind="phase")))
    watch.deliver(line(4, RunFinished(verdict=Verdict.PASSED, reason=None, message="", cause=None, hint=None, position=3)))

    assert before == [("run.accepted", Whose.BEFORE)]
    assert ear.heard[1:] == [("run.started", Whose.OURS), ("phase.started", Whose.OURS), ("run.finished", Whose.OTHERS)]


def test_a_line_that_somebody_else_had_stored_is_not_ours_and_one_that_comes_again_is_not_told_again() -> None:
    ear = Ear()
    watch = Watch(("scheduler",), (ear,))
    watch.deliver(line(1, ACCEPTED))
    watch.sending("r.2")
    watch.deliver(line(2, RunStarted()))
    watch.settled("r.2", ours=False)

    watch.deliver(line(1, ACCEPTED))
    watch.deliver(line(2, RunStarted()))

    assert ear.heard == [("run.accepted", Whose.OTHERS), ("run.started", Whose.OTHERS)]


def test_a_listener_that_raises_harms_nobody() -> None:
    ear = Ear()
    watch = Watch(("scheduler",), (Deaf(), ear))

    watch.deliver(line(1, ACCEPTED))

    assert [name for name, _ in ear.heard] == ["run.accepted"]


def test_reported_runs_are_forgotten_the_oldest_first() -> None:
    ear = Ear()
    watch = Watch(("scheduler",), (ear,))
    for number in range(KEPT + 2):
        watch.deliver(line(2 * number + 1, ACCEPTED, f"r{number}"))
        watch.deliver(line(2 * number + 2, ReportPublished(artefacts=()), f"r{number}", "reporter"))

    assert ear.gone == ["r0", "r1"]
    assert len(list(watch.states())) == KEPT


async def test_of_two_journals_that_write_one_fact_one_is_told_that_it_did(connection: Connection) -> None:
    class Told:
        def __init__(self) -> None:
            self.ours: list[bool] = []

        def sending(self, identity: str) -> None:
            assert identity

        def settled(self, identity: str, *, ours: bool) -> None:
            self.ours.append(ours)

    await ensure_topology(connection.js, "ns")
    witnesses = Told(), Told()
    journals = [Journal(connection, Subjects("ns"), Names("ns").runs, ServerClock(), witness) for witness in witnesses]
    counted = EventCounted(start=BEGIN, end=BEGIN, types={})
    async with asyncio.timeout(10):
        for journal in journals:
            await journal.write(0, "r", "observer", counted, None, None)
        for journal in journals:
            guard = Guard(journal.subjects.of_actor(0, "r", "scheduler"), 0)
            try:
                await journal.write(0, "r", "scheduler", RunStarted(), guard, None)
            except LostRace:
                assert journal is journals[1]

    assert [witness.ours for witness in witnesses] == [[True, True], [False, False]]
