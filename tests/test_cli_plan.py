"""`run --dry-run`: what would be done is told completely, by a program that starts nothing and asks nobody."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app

ROOT = Path(__file__).resolve().parent.parent
FORMS = ROOT / "tests" / "documents" / "forms"
DRY = ("run", str(FORMS / "forms.yaml"), "--systems", str(FORMS), "--dry-run")
Dry = Callable[..., Result]


@pytest.fixture
def dry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dry:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return lambda *more: CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1"}).invoke(app, [*DRY, *more])


def test_the_plan_says_when_what_to_whom_how_it_ends_what_it_needs_and_what_is_claimed(dry: Dry) -> None:
    done = dry()

    assert done.exit_code == 0
    lines = [line.strip() for line in done.output.splitlines()]
    start = lines.index("+30s  leader: kill on 1 of 3 in group db where role == 'leader' && up, chosen when it starts, seed <run>/leader")
    assert lines[start + 1 : start + 7] == [
        "does   Kills the service (SIGKILL) and leaves it down until its end.",
        "starts 30s into the phase",
        "ends   2s after it was injected",
        "undo   the service is started again",
        "lease  10s, renewed while we live; then whoever is alive undoes it",
        "needs  the right to signal and start the service (its own user, or root)",
    ]
    assert "reach  5 of 6 services: api, db-1, db-2, db-3, store" in lines
    assert "+0s  rolling: stop on db-1, db-2, db-3; 1 at once, 2s between (3 lots)" in lines
    assert "+1m  parted: network_partition on db-1 | db-2, db-3" in lines
    assert "with   delay: 100ms, jitter: 20ms" in lines
    assert "starts when latency-api-to-db is over" in lines
    assert "claim  choosing-recovery (recovery): its target recovers from leader within 20s [from leader, 20s]" in lines
    assert "+2m  phase monkey, 30s; drawn with seed 7, every 5s" in lines
    assert "needs  nothing: the proxy is an ordinary program" in lines
    assert not any(line.startswith("needs  nothing") for line in done.output.splitlines())
    assert "needs  the service's chaos API at http://127.0.0.1:18100/chaos" in lines


def test_a_recovery_in_the_plan_names_the_service_that_its_fault_is_on(tmp_path: Path, dry: Dry) -> None:
    text = (
        "kind: Scenario\nmetadata: {name: x}\nspec:\n  system: fleet\n  phases:\n    - name: p\n      duration: 9s\n"
        "      actions: [{id: crash, target: api, action: kill, for: 1s}]\n"
        "      assertions: [{id: back, type: recovery, of: crash, within: 5s, by: undo}]\n"
    )
    (tmp_path / "one.yaml").write_text(text)

    plan = CliRunner().invoke(app, ["run", "one.yaml", *DRY[2:]]).stdout

    assert "claim  back (recovery): api recovers from crash within 5s [from crash, 5s]" in plan


GATED = """
kind: Scenario
metadata: {name: x}
spec:
  system: fleet
  phases:
    - {name: look, duration: 9s}
    - {name: harm, duration: 9s, gate: {ask: Is the desk told?, approve: [ann, bob], timeout: 10m}}
    - {name: more, duration: 9s, gate: {ask: Once more?, otherwise: continue}}
"""


def test_the_plan_has_each_gate_before_its_phase_and_says_what_silence_means(tmp_path: Path, dry: Dry) -> None:
    (tmp_path / "one.yaml").write_text(GATED)

    lines = CliRunner().invoke(app, ["run", "one.yaml", *DRY[2:]]).stdout.splitlines()

    first, second = (number for number, line in enumerate(lines) if line.startswith("  gate"))
    assert lines[first] == "  gate   asks first “Is the desk told?”; ann or bob may answer; if nobody does within 10m, the run is aborted"
    assert lines[second] == "  gate   asks first “Once more?”; anybody may answer; if nobody does within 30m, the phase starts"
    assert [lines[first - 1], lines[second - 1]] == ["+9s  phase harm, 9s", "+18s  phase more, 9s"]


def test_the_plan_has_its_gates_as_json_and_on_a_terminal(tmp_path: Path, dry: Dry, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.yaml").write_text(GATED)

    phases = json.loads(CliRunner().invoke(app, ["run", "one.yaml", *DRY[2:], "--json"]).stdout)["phases"]
    monkeypatch.setattr("cli.plan.on_terminal", lambda: True)
    drawn = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1"}).invoke(app, ["run", "one.yaml", *DRY[2:]]).stdout

    assert [phase["gate"] for phase in phases] == [
        None,
        {"ask": "Is the desk told?", "approve": ["ann", "bob"], "timeout": "10m", "otherwise": "abort"},
        {"ask": "Once more?", "approve": [], "timeout": "30m", "otherwise": "continue"},
    ]
    assert "gate   asks first “Is the desk told?”; ann or bob may answer; if nobody does within 10m, the run is aborted" in drawn


def test_the_plan_as_json_holds_the_actions_in_the_order_of_their_times(dry: Dry) -> None:
    plan = json.loads(dry("--json").stdout)

    offsets = [action["offset"] for action in plan["phases"][0]["actions"]]
    assert offsets == ["0s", "0s", "20s", "30s", "40s"]
    assert [phase["offset"] for phase in plan["phases"]] == ["0s", "1m", "2m"]
    assert plan["reach"] == {"services": ["api", "db-1", "db-2", "db-3", "store"], "disturbed": 5, "total": 6}
    assert plan["seed"] is None


def test_on_a_terminal_the_plan_is_drawn_as_tables(dry: Dry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.plan.on_terminal", lambda: True)

    rows = [" ".join(line.split()) for line in dry().output.splitlines()]

    assert "WHEN ACTION TARGET ENDS UNDO AND LEASE NEEDS" in rows
    assert any(row.startswith("+20s half: limit_fds 2 of 3 (api, db-3, store)") for row in rows), rows
    assert "CLAIM SAYS WINDOW IF IT FAILS" in rows


def test_a_dry_run_starts_nothing_and_leaves_nothing(dry: Dry, tmp_path: Path) -> None:
    assert dry("--nats", "nats://127.0.0.1:9").exit_code == 0

    assert list(tmp_path.iterdir()) == []


def test_a_plan_without_a_seed_is_drawn_with_one_that_it_tells_and_that_draws_it_again(tmp_path: Path, dry: Dry) -> None:
    text = (FORMS / "forms.yaml").read_text()
    (tmp_path / "free.yaml").write_text(text.replace("        seed: 7\n", ""))
    command = ["run", "free.yaml", *DRY[2:], "--json"]

    drawn = json.loads(CliRunner().invoke(app, command).stdout)
    seed = int(drawn["phases"][2]["drawn"].split()[3].rstrip(","))
    (tmp_path / "free.yaml").write_text(text.replace("seed: 7", f"seed: {seed}"))
    again = json.loads(CliRunner().invoke(app, command).stdout)

    assert drawn["seed"] is not None
    assert again["phases"] == drawn["phases"]


def test_the_reach_counts_picked_services_once(tmp_path: Path, dry: Dry) -> None:
    text = (
        "kind: Scenario\nmetadata: {name: x}\nspec:\n  system: fleet\n  phases:\n    - name: p\n      duration: 9s\n      actions:\n"
        "        - {target: {group: db, pick: 1}, action: kill, for: 1s}\n        - {target: {link: bank-to-api}, action: cut, for: 1s}\n"
    )
    (tmp_path / "one.yaml").write_text(text)

    reach = json.loads(CliRunner().invoke(app, ["run", "one.yaml", *DRY[2:], "--json"]).stdout)["reach"]

    assert reach == {"services": ["db-1", "db-2", "db-3", "bank"], "disturbed": 2, "total": 6}


def test_an_invalid_document_has_no_plan_but_its_mistakes_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text((FORMS / "forms.yaml").read_text().replace("pick: 1", "pick: 9"))
    line = [sys.executable, "-m", "cli.main", "run", "bad.yaml", *DRY[2:]]

    done = subprocess.run(line, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "bad.yaml:13:83: there are 3 candidates, so 9 cannot be picked; at most 3, or a percentage" in done.stderr
    assert done.stdout == ""
