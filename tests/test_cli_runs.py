"""Runs from the command line to the exit code, with a real service and the embedded nats-server."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bus.subjects import PARTITIONS, partition_of

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: tiny}}
spec:
  system: tiny
  timeout: 1m
  phases:
    - name: chaos
      duration: {duration}
      actions:
        - {{id: restart, target: web, action: restart}}
  assertions:
    - {claim}
"""
SYSTEM = """
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: tiny}}
spec:
  services:
    web:
      driver: {{process: {{command: [python, {service}, "{port}"], ready_within: 5s, stop_signal: TERM, stop_grace: 1s}}}}
      health: {{http: {{url: "http://127.0.0.1:{port}/"}}, every: 50ms, deadline: 1s}}
  steady_state: {{settle: 5s, recover: 5s, stable: 100ms}}
"""
RECOVERS = "{type: recovery, target: web, of: restart, within: 5s}"
NEVER_DOWN = "{type: health, target: web, throughout: true}"


class Place:
    """A folder with a scenario, a state folder of its own, and the command line."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        ours = {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder), "PATH": os.environ["PATH"]}
        self.environment = {**ours, "COLUMNS": "160", "NO_COLOR": "1"}

    def write(self, *, duration: str = "1200ms", claim: str = RECOVERS, system: bool = True) -> str:
        own = SYSTEM.format(service=ROOT / "tests" / "cli_service.py", port=self.port)
        (self.folder / "system.yaml").write_text(own)
        text = SCENARIO.format(duration=duration, claim=claim)
        (self.folder / "tiny.yaml").write_text(f"{text}---{own}" if system else text)
        return "tiny.yaml"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.Popen(line, env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def call(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=50)
        return process.returncode, out, err

    def web_is_gone(self) -> bool:
        found = subprocess.run(["pgrep", "-f", f"cli_service.py {self.port}"], check=False, capture_output=True)
        return found.returncode == 1


@pytest.fixture
def place(tmp_path: Path, unused_port: Callable[[], int]) -> Place:
    return Place(tmp_path, unused_port())


def test_a_run_passes_leaves_reports_and_nothing_running_and_its_folder_still_answers(place: Place) -> None:
    code, out, err = place.call("run", place.write(), "--json")
    with ThreadPoolExecutor() as pool:
        reports = (("report", "last", "--format", style) for style in ("html", "markdown", "text"))
        lines = (("list", "--json"), ("status", "last"), ("wait", "last"), ("watch", "last"), *reports)
        listed, status, waited, watched, page, comment, text = pool.map(lambda line: place.call(*line), lines)

    told = json.loads(out)
    assert (code, told["exit_code"], told["verdict"]) == (0, 0, "passed"), err
    assert told["counts"]["assertions"]["passed"] == 1
    assert told["counts"]["faults"] == {"total": 1, "effective": 1, "gone": 1}
    assert json.loads((place.folder / told["reports"]["json"]).read_text())["verdict"]
    assert "<testsuites" in (place.folder / told["reports"]["junit"]).read_text()
    assert "run accepted" in err
    assert place.web_is_gone()
    assert [run["verdict"] for run in json.loads(listed[1])] == ["passed"]
    assert [done[0] for done in (status, waited, watched, page, comment, text)] == [0] * 6
    assert "restart web" in status[1]
    assert "<html" in page[1]
    assert "| Assertion |" in comment[1]
    assert text[1].startswith("✓ PASSED")
    assert text[1].startswith(watched[1].partition("Assertions: 1 of 1 passed")[0]), "who comes late sees the short report"


def test_a_rehearsal_does_all_but_the_faults_and_says_so_everywhere(place: Place) -> None:
    vacuous = "{type: health, target: web, throughout: true, during: restart, without_fault: fails}"
    code, out, err = place.call("run", place.write(duration="2s", claim=vacuous), "--rehearse", "--json")
    with ThreadPoolExecutor() as pool:
        listed, status, text = pool.map(
            lambda line: place.call(*line), (("list",), ("status", "last"), ("report", "last", "--format", "text"))
        )

    told = json.loads(out)
    assert (code, told["verdict"], told["reason"], told["rehearsal"]) == (3, "inconclusive", "vacuous", True), err
    assert told["counts"]["faults"] == {"total": 1, "effective": 0, "gone": 0, "rehearsed": 1}
    assert told["counts"]["assertions"]["vacuous"] == 1
    assert "rehearsed: nothing is disturbed" in err
    assert "tiny (rehearsal)" in listed[1]
    assert "in rehearsal" in status[1]
    assert "in rehearsal, without its faults" in text[1]
    assert place.web_is_gone()


def test_a_claim_that_does_not_hold_ends_with_1(place: Place) -> None:
    code, out, _ = place.call("run", place.write(claim=NEVER_DOWN))

    assert code == 1
    assert "FAILED" in out


def test_an_interrupted_run_is_aborted_undone_and_reported(place: Place) -> None:
    with place.start("run", place.write(duration="30s")) as process:
        assert process.stdout is not None
        seen = [next(line for line in process.stdout if "gone" in line)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert process.returncode == 4, err
    assert "ABORTED (cancelled)" in out
    assert "report.json" in out
    assert seen
    assert place.web_is_gone()


@pytest.mark.long
def test_a_second_run_joins_the_first_waits_for_the_system_and_the_first_serves_on(place: Place) -> None:
    scenario = place.write(duration="6s")
    with place.start("run", scenario) as first:
        assert first.stdout is not None
        next(line for line in first.stdout if "phase chaos begins" in line)
        joined, out, err = place.call("run", scenario)
        _, first_err = first.communicate(timeout=30)

    assert (joined, first.returncode) == (0, 0), err
    assert "waiting: one run at a time on tiny" in out
    assert "serving on until no run is open" in first_err


@pytest.mark.long
@pytest.mark.parametrize("used", [False, True])
def test_two_runs_at_the_same_moment_both_run(place: Place, *, used: bool) -> None:
    scenario = place.write(duration="300ms", system=False)
    if used:
        place.call("run", scenario, "--system", "system.yaml", "--state", "here")
    (place.folder / "systems").mkdir()
    (place.folder / "system.yaml").rename(place.folder / "systems" / "system.yaml")

    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: place.call("run", scenario, "--systems", "systems", "--state", "here"), range(2)))

    assert [code for code, _, _ in both] == [0, 0], [err for _, _, err in both]


@pytest.mark.long
def test_a_run_with_a_system_of_its_own_is_told_who_has_the_folder(place: Place) -> None:
    scenario = place.write(duration="30s")
    with place.start("run", scenario) as first:
        assert first.stdout is not None
        next(line for line in first.stdout if "phase chaos begins" in line)
        own = (place.folder / "tiny.yaml").read_text()
        (place.folder / "other.yaml").write_text(own.replace("30s", "29s"))
        code, _, err = place.call("run", "other.yaml")
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)

    assert code == 2
    assert "a System inside a message is refused" in err
    assert f"(pid {first.pid}) has" in err
    assert "`--state DIR`" in err


@pytest.mark.long
def test_what_nobody_owns_is_named_and_its_runs_are_shown(place: Place) -> None:
    (place.folder / "systems").mkdir()
    place.write(system=False)
    (place.folder / "system.yaml").rename(place.folder / "systems" / "system.yaml")
    there = ("--state", "here")
    mine = partition_of("tiny")
    with place.start("serve", "--systems", "systems", "--partitions", str((mine + 1) % PARTITIONS), *there) as serving:
        assert serving.stderr is not None
        next(line for line in serving.stderr if "at work" in line)
        unwell, health, _ = place.call("health", *there)
        _, telling, _ = place.call("health", "--json", *there)
        _, run, err = place.call("submit", "tiny.yaml", *there)
        _, standing, _ = place.call("status", *there)
        _, one, _ = place.call("status", run.strip(), *there)
        _, listed, _ = place.call("list", "--json", *there)
        serving.terminate()
        serving.communicate(timeout=20)
    _, alone, _ = place.call("status", *there)

    assert run.strip(), err
    assert (unwell, json.loads(telling)["status"], next(iter(json.loads(telling)["unowned"]))) == (6, "degraded", "scheduler")
    assert any(line.startswith("  nobody owns partitions") and "scheduler" in line for line in health.splitlines())
    waits = f"nobody has taken it up yet: partition {mine} has no owner, and waits for a host with --partitions {mine} or auto"
    assert all(part in text for text in (standing, one, err) for part in (run.strip(), waits, "`test-coordinator health --state here`"))
    assert [(entry["stage"], entry["waits_for"]) for entry in json.loads(listed)] == [("submitted", waits)]
    assert "start `test-coordinator serve --state here`" in alone


@pytest.mark.long
def test_a_serving_coordinator_runs_what_is_submitted_and_refuses_foreign_systems(place: Place) -> None:
    (place.folder / "systems").mkdir()
    place.write(system=False)
    (place.folder / "system.yaml").rename(place.folder / "systems" / "system.yaml")
    with place.start("serve", "--systems", "systems") as serving:
        assert serving.stderr is not None
        next(line for line in serving.stderr if "at work" in line)
        followed, out, err = place.call("submit", "tiny.yaml", "--follow")
        _, again, why_not = place.call("rerun", "last", "--json")
        place.write()
        refused, _, why = place.call("run", "tiny.yaml")
        serving.terminate()
        serving.communicate(timeout=20)

    assert followed == 0, err
    assert "PASSED" in out
    assert len(json.loads(again)["run_id"]) == 26, why_not
    assert refused == 2
    assert "a System inside a message is refused" in why
    assert serving.returncode == 0


@pytest.mark.long
def test_a_stopping_host_aborts_its_open_runs_first(place: Place) -> None:
    (place.folder / "systems").mkdir()
    place.write(duration="30s", system=False)
    (place.folder / "system.yaml").rename(place.folder / "systems" / "system.yaml")
    with place.start("serve", "--systems", "systems") as serving:
        assert serving.stderr is not None
        next(line for line in serving.stderr if "at work" in line)
        _, run, _ = place.call("submit", "tiny.yaml")
        with place.start("watch", run.strip()) as watching:
            assert watching.stdout is not None
            next(line for line in watching.stdout if "gone" in line)
            serving.terminate()
            serving.communicate(timeout=30)
            watching.communicate(timeout=30)

    assert serving.returncode == 0
    assert json.loads(place.call("list", "--json")[1])[0]["verdict"] == "aborted"
    assert place.web_is_gone()


def test_a_run_is_done_again_from_the_journal_alone_also_when_nobody_serves(place: Place) -> None:
    place.call("run", place.write(), "--json")
    (place.folder / "tiny.yaml").unlink()

    code, out, err = place.call("rerun", "last", "--json")
    _, listed, _ = place.call("list", "--json")

    assert (code, json.loads(out)["verdict"]) == (0, "passed"), err
    assert [run["scenario"] for run in json.loads(listed)] == ["tiny", "tiny"]
    assert place.web_is_gone()
