"""The levers from the command line, on a coordinator at work and real services."""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from bus.clock import ServerClock
from bus.connection import connect
from bus.journal import Journal
from bus.state import live_server
from bus.subjects import Subjects
from bus.topology import Names
from messages.events import RunEvent
from messages.fault_events import FaultArmed, FaultRevertFailed
from messages.ids import new_run_id
from messages.run_events import ActionRequested, PhaseStarted, RunAccepted, RunFinished, RunStarted
from messages.undo import Undo
from messages.verdicts import Reason, Verdict
from tests.ports import free_port
from tests.test_cli_progress import ACTION, SCENARIO, SYSTEM, T0
from tests.test_cli_runs import SYSTEM as OWN_SYSTEM
from tests.test_cli_runs import Place

ROOT = Path(__file__).resolve().parent.parent
HALTS = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: halts}}
spec:
  system: tiny
  timeout: 1m
  phases:
    - name: chaos
      duration: {duration}
      {gate}
      actions: [{{id: halt, target: web, action: pause, for: {lasts}}}]
  assertions: [{{type: recovery, target: web, of: halt, within: 50s}}]
"""
GATE = "gate: {ask: 'Do the dashboards look fine?'}"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A coordinator at work, for all tests of the module: each leaves no run open."""
    place = Place(tmp_path_factory.mktemp("levers"), free_port())
    place.environment |= {"HTTP_PORT": "0", "GRPC_PORT": "0"}
    (place.folder / "systems").mkdir()
    (place.folder / "systems" / "tiny.yaml").write_text(OWN_SYSTEM.format(service=ROOT / "tests" / "cli_service.py", port=place.port))
    with place.start("serve", "--systems", "systems") as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "at work" in line)
        yield place
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def running(place: Place, *, gate: str = "", duration: str = "30s", lasts: str = "20s") -> Iterator["Watched"]:
    """A run that was submitted, and its lines; aborted at the end if it is open."""
    (place.folder / "halts.yaml").write_text(HALTS.format(gate=gate, duration=duration, lasts=lasts))
    _, out, err = place.call("submit", "halts.yaml")
    run = out.strip()
    assert run, err
    with place.start("watch", run) as watching:
        try:
            yield Watched(run, watching)
        finally:
            if watching.poll() is None:
                place.call("abort", run)
            watching.communicate(timeout=30)


class Watched:
    """A run and what `watch` says of it."""

    def __init__(self, run: str, process: subprocess.Popen[str]) -> None:
        self.run = run
        self._process = process

    def line(self, part: str) -> str:
        """The next line that holds this."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if part in line:
                return line
        raise AssertionError(f"{part!r} was never said")

    def ended(self) -> int:
        """The exit code of `watch`, when the run is over."""
        assert self._process.stdout is not None
        self._process.stdout.read()
        return self._process.wait(timeout=30)


def test_a_paused_run_has_its_fault_undone_says_who_paused_it_and_goes_on_when_resumed(serving: Place) -> None:
    with running(serving) as run:
        run.line("halt: effective")
        paused, said, _ = serving.call("pause", run.run[:24], "--note", "look at the logs")
        told, undone = run.line("‖ paused by"), run.line("halt: undone")
        _, status, _ = serving.call("status")
        _, one, _ = serving.call("status", run.run, "--json")
        again, _, why = serving.call("pause", run.run)
        resumed, said_then, _ = serving.call("resume", run.run, "--json")
        run.line("▸ resumed by")
    _, report, _ = serving.call("report", run.run)

    assert (paused, resumed) == (0, 0)
    assert f"pausing {run.run}" in said
    assert f"test-coordinator resume {run.run}" in said
    assert "look at the logs" in told
    assert undone
    assert all(part in status for part in (run.run, "paused", "look at the logs", f"test-coordinator resume {run.run}"))
    assert json.loads(one)["stage"] == "paused"
    assert (again, run.run in why) == (2, True)
    assert json.loads(said_then) == {"run_id": run.run, "resuming": True}
    found = json.loads(report)
    assert [entry["asked"] for entry in found["control"]] == ["submit", "pause", "resume", "abort"]
    assert [pause["note"] for pause in found["pauses"]] == ["look at the logs"]


@pytest.mark.parametrize(("verb", "outcome", "code"), [("approve", "approved", 0), ("reject", "rejected", 4)])
def test_a_gate_waits_for_a_word_and_the_report_says_whose_it_was(serving: Place, verb: str, outcome: str, code: int) -> None:
    with running(serving, gate=GATE, duration="3500ms", lasts="3s") as run:
        asked = run.line("gate before chaos")
        _, status, _ = serving.call("status", "--json")
        _, one, _ = serving.call("status", run.run, "--json")
        _, page, _ = serving.call("status", run.run)
        answered, said, err = serving.call(verb, run.run, "--note", "seen")
        run.line(f"gate before chaos: {outcome}")
        ended = run.ended()
        _, report, _ = serving.call("report", run.run)

    (waiting,) = json.loads(status)["open"]
    (gate,) = json.loads(report)["gates"]
    assert "Do the dashboards look fine?" in asked
    assert (waiting["stage"], "Do the dashboards look fine?" in waiting["waits_for"]) == ("gate", True)
    assert (json.loads(one)["gate"] | {"until": ""}) == {
        "phase": "chaos",
        "ask": "Do the dashboards look fine?",
        "approve": [],
        "until": "",
        "answers": [f"test-coordinator {answer} {run.run}" for answer in ("approve", "reject")],
    }
    assert all(part in page for part in ("Do the dashboards look fine?", f"approve {run.run}", f"reject {run.run}"))
    assert (answered, said.startswith(f"{outcome} {run.run}")) == (0, True), err
    assert (gate["outcome"], gate["note"], ended) == (outcome, "seen", code)
    assert gate["by"]


def test_while_held_nothing_starts_and_status_says_who_holds_it_and_why(serving: Place) -> None:
    held, said, _ = serving.call("hold", "--note", "incident 4711")
    try:
        with running(serving, duration="3500ms", lasts="3s") as run:
            run.line("waiting")
            _, status, _ = serving.call("status")
            _, told, _ = serving.call("status", "--json")
            released, then, _ = serving.call("release", "--note", "it is over")
            run.line("phase chaos begins")
            ended = run.ended()
    finally:
        nothing, _, why = serving.call("release")

    assert (held, released, ended) == (0, 0, 0)
    assert "test-coordinator release" in said
    assert "released" in then
    assert all(part in status for part in (run.run, "waiting", "incident 4711", "`test-coordinator release`"))
    assert json.loads(told)["hold"]["note"] == "incident 4711"
    assert (nothing, "held" in why) == (2, True)


def test_revert_all_waits_until_every_run_is_undone_and_over(serving: Place) -> None:
    with running(serving) as run:
        run.line("halt: effective")
        code, out, err = serving.call("revert-all", "--note", "outage")
        run.line("halt: undone")
        ended = run.ended()
    none, nothing, _ = serving.call("revert-all")

    assert (code, ended, none) == (0, 4, 0), err
    assert re.search(rf"{run.run}.*aborted", out)
    assert "no run is open" in nothing


def test_what_an_unsafe_run_left_is_listed_until_it_is_resolved(serving: Place) -> None:
    run = asyncio.run(left_disturbed(serving))

    _, before, _ = serving.call("status")
    folder = serving.folder / "state" / "test-coordinator" / "test-coordinator"
    _, there, _ = serving.call("status", "--state", str(folder))
    other, _, why = serving.call("resolve", run, "stranger", "--note", "done by hand")
    code, said, err = serving.call("resolve", run, "r", "--note", "done by hand")
    _, after, _ = serving.call("status", "--json")

    assert all(part in before for part in (run, "on tiny: r", f"test-coordinator resolve {run} --note"))
    assert f"test-coordinator resolve {run} --note TEXT --state {folder}`" in there
    assert "no coordinator is at work" not in there
    assert (other, "stranger" in why) == (2, True)
    assert (code, f"resolved r of {run}" in said) == (0, True), err
    assert json.loads(after)["unsafe"] == []


async def left_disturbed(place: Place) -> str:
    """A run in the journal that ended unsafe."""
    run, undo = new_run_id(T0), Undo(kind="process.start", service="web")
    lines: tuple[tuple[str, RunEvent], ...] = (
        ("scheduler", RunAccepted(key="tiny", scenario=SCENARIO, system=SYSTEM, submitted=T0)),
        ("scheduler", RunStarted()),
        ("scheduler", PhaseStarted(phase="chaos", kind="phase")),
        ("scheduler", ActionRequested(fault_id="r", phase="chaos", target="web", action=ACTION)),
        (
            "chaos-injector",
            FaultArmed(fault_id="r", target="web", action="restart", until=T0, undo=undo),
        ),
        ("chaos-injector", FaultRevertFailed(fault_id="r", message="no such file", attempts=3)),
        ("scheduler", RunFinished(verdict=Verdict.UNSAFE, reason=Reason.REVERT_FAILED, message="r", cause=None, hint=None, position=6)),
    )
    url = live_server(place.folder / "state" / "test-coordinator" / "test-coordinator")
    assert url is not None
    async with connect(url, name="test") as connection:
        names = Names("test-coordinator")
        journal = Journal(connection, Subjects(names.namespace), names.runs, ServerClock())
        for actor, event in lines:
            await journal.write(0, run, actor, event, None, None)
    return run


REFUSED = (("resume", "last"), ("approve", "last"), ("reject", "last"), ("resolve", "last", "--note", "x"), ("pause", "last"))


def test_what_cannot_be_is_refused_with_what_is_so(serving: Place) -> None:
    with running(serving, duration="200ms", lasts="100ms") as run:
        run.ended()

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda line: serving.call(*line), REFUSED))

    for code, out, err in answers:
        assert (code, out) == (2, "")
        assert run.run in err
        assert len(err.strip().splitlines()) == 2, "what is so, and what would be right"


def test_a_lever_says_what_is_missing(place: Place, serving: Place) -> None:
    alone, _, nobody = place.call("pause", "last")
    unknown, _, nothing = serving.call("pause", "01NOBODY")
    empty, _, why = serving.call("hold", "--note", " ")

    assert (alone, unknown, empty) == (6, 2, 2)
    assert "no coordinator runs" in nobody
    assert "there is no run 01NOBODY" in nothing
    assert "the note is empty" in why


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, free_port())
