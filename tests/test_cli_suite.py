"""A folder run as one suite, and lists of scenarios and runs by tag; with real services and the embedded nats-server."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORIGINAL = ROOT / "tests" / "documents" / "original" / "exchange-disruption.yaml"
SYSTEM = """
kind: System
metadata: {{name: tiny}}
spec:
  services:
    web:
      driver: {{process: {{command: [python, {service}, "{port}"], ready_within: 5s, stop_signal: TERM, stop_grace: 1s}}}}
      health: {{http: {{url: "http://127.0.0.1:{port}/"}}, every: 50ms, deadline: 1500ms}}
  clock: scaled
  steady_state: {{settle: 5s, recover: 5s, stable: 100ms}}
"""
SCENARIO = """
kind: Scenario
metadata: {{name: {name}, description: About {name}, tags: [{tags}]}}
spec:
  system: tiny
  phases:
    - name: chaos
      duration: {duration}
      actions: [{{id: restart, target: web, action: restart}}]
  assertions: [{claim}]
"""
RECOVERS = "{type: recovery, target: web, of: restart, within: 5s}"
NEVER_DOWN = "{type: health, target: web, throughout: true}"


class Folder:
    """A folder with scenarios and their system, a state folder of its own, and the command line."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.suite = folder / "suite"
        self.suite.mkdir()
        ours = {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder), "PATH": os.environ["PATH"]}
        self.environment = {**ours, "COLUMNS": "160", "NO_COLOR": "1"}
        (self.suite / "system.yaml").write_text(SYSTEM.format(service=ROOT / "tests" / "cli_service.py", port=port))

    def add(self, name: str, *, claim: str = RECOVERS, duration: str = "1s", tags: str = "tiny") -> None:
        (self.suite / f"{name}.yaml").write_text(SCENARIO.format(name=name, claim=claim, duration=duration, tags=tags))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.Popen(line, env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def call(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=55)
        return process.returncode, out, err

    def junit(self) -> ET.Element:
        return ET.fromstring((self.folder / "reports" / "suite" / "junit.xml").read_bytes())  # noqa: S314  our own report


@pytest.fixture
def folder(tmp_path: Path, unused_port: Callable[[], int]) -> Folder:
    return Folder(tmp_path, unused_port())


@pytest.mark.long
def test_a_folder_runs_in_the_order_of_names_and_ends_with_the_worst_verdict_and_one_junit_file(folder: Folder) -> None:
    folder.add("b-fails", claim=NEVER_DOWN, duration="1h", tags="tiny, down")
    folder.add("a-passes", duration="1h")

    code, out, err = folder.call("run", "suite", "--json", "--speed", "3600")

    runs = json.loads(out)
    suites = folder.junit()
    assert code == 1, err
    assert [(run["scenario"], run["verdict"]) for run in runs] == [("a-passes", "passed"), ("b-fails", "failed")]
    assert [(one.get("id"), one.get("name"), one.get("failures")) for one in suites] == [("0", "a-passes", "0"), ("1", "b-fails", "1")]
    assert (suites.get("failures"), suites.get("tests")) == ("1", str(len(list(suites.iter("testcase")))))
    assert all(Path(folder.folder, run["reports"]["json"]).is_file() for run in runs)

    code, out, _ = folder.call("list", "--tag", "down", "--json")
    assert (code, [(run["scenario"], run["tags"]) for run in json.loads(out)]) == (0, [("b-fails", ["tiny", "down"])])
    assert folder.call("list", "--tag", "absent")[:2] == (0, "no runs of scenarios with the tag absent\n")


@pytest.mark.long
def test_an_interrupt_aborts_the_scenario_that_runs_and_the_others_are_not_run(folder: Folder) -> None:
    folder.add("a-long", duration="40s")
    folder.add("b-next")

    with folder.start("run", "suite") as running:
        assert running.stdout is not None
        shown = next(line for line in running.stdout if "restart" in line)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=40)

    first, second = folder.junit()
    assert "restart" in shown
    assert running.returncode == 4
    assert "interrupted: 1 of 2 scenarios were not run" in err
    assert [line.split()[:3] for line in out.splitlines() if line.startswith("b-next")] == [["b-next", "not", "run"]]
    assert (first.get("name"), second.get("name"), second.get("skipped")) == ("a-long", "b-next", "1")


@pytest.mark.long
def test_what_an_original_document_asks_for_and_nobody_can_do_makes_the_run_inconclusive(folder: Folder) -> None:
    folder.add("a")
    file = folder.suite / "a.yaml"
    wanted = file.read_text().replace("spec:\n", "spec:\n  success_criteria: [all_phases_completed]\n")
    file.write_text(wanted.replace("target: web, action: restart}]", "target: web, action: restart}, {service: web, action: eclipse}]"))

    code, out, err = folder.call("run", "suite/a.yaml", "--systems", "suite", "--json")

    run = json.loads(out)
    assert (code, run["verdict"], run["reason"]) == (3, "inconclusive", "unsupported_here"), err
    assert "eclipse is not possible here" in run["message"]


def test_a_mistake_in_one_document_ends_with_2_before_anything_is_run(folder: Folder) -> None:
    folder.add("a-good")
    folder.add("b-bad", duration="soon")

    code, _, err = folder.call("run", "suite")

    assert code == 2
    assert "suite/b-bad.yaml:8:17: 'soon' is not a duration" in err
    assert not (folder.folder / "state").exists()


def test_a_folder_without_scenarios_ends_with_2(folder: Folder) -> None:
    code, _, err = folder.call("run", "suite")

    assert code == 2
    assert "there is no scenario in suite" in err


def test_a_dry_run_of_a_folder_tells_every_plan(folder: Folder) -> None:
    folder.add("a")
    folder.add("b")

    code, out, _ = folder.call("run", "suite", "--dry-run", "--json")

    assert (code, [plan["scenario"] for plan in json.loads(out)]) == (0, ["a", "b"])


def test_a_real_clock_refuses_another_speed_and_says_what_to_do(folder: Folder) -> None:
    folder.add("a")
    system = folder.suite / "system.yaml"
    system.write_text(system.read_text().replace("  clock: scaled\n", ""))

    code, _, err = folder.call("run", "suite/a.yaml", "--systems", "suite", "--speed", "10")

    assert code == 2
    assert err.startswith("--speed:1:1: the times of system 'tiny' are real")
    assert "leave --speed out" in err


def test_scenarios_lists_the_library_by_tag_and_a_folder(folder: Folder) -> None:
    folder.add("a", tags="one, two", duration="90s")

    _, library, _ = folder.call("scenarios", "--tag", "restart", "--json")
    code, own, _ = folder.call("scenarios", "suite", "--json")
    _, shown, _ = folder.call("scenarios")

    (known,) = json.loads(own)
    assert code == 0
    assert "restart-during-trading" in {each["name"] for each in json.loads(library)}
    assert all("restart" in each["tags"] for each in json.loads(library))
    assert (known["name"], known["kind"], known["duration"], known["tags"]) == ("a", "Scenario", "1m30s", ["one", "two"])
    assert "exchange-disruption" in shown
    assert "--var target_exchange, disruption_type, duration, intensity" in shown


def test_a_template_of_the_library_is_planned_with_its_parameters_and_asks_for_those_it_needs(folder: Folder) -> None:
    code, out, _ = folder.call("run", "exchange-disruption", "--var", "disruption_type=downtime", "--dry-run", "--speed", "60", "--json")
    refused, _, err = folder.call("run", str(ORIGINAL), "--dry-run")
    valid, said, _ = folder.call("validate", "exchange-disruption")

    plan = json.loads(out)
    assert (code, plan["least"], plan["phases"][1]["actions"][0]["action"]) == (0, "25s", "downtime")
    assert refused == 2
    assert "the template needs a value for 'target_exchange' (a text); add --var target_exchange=…" in err
    assert "the template needs a value for 'disruption_type' (one of latency, downtime, order_rejection, partial_fills)" in err
    assert (valid, said) == (0, "exchange-disruption: valid\n")
