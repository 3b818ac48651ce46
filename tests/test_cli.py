import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    "run",
    "serve",
    "submit",
    "rerun",
    "validate",
    "list",
    "scenarios",
    "schema",
    "status",
    "wait",
    "watch",
    "abort",
    "revert-all",
    "hold",
    "release",
    "pause",
    "resume",
    "approve",
    "reject",
    "resolve",
    "report",
    "health",
)
TYPO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: misspelt}
spec:
  system: trading
  phasess: []
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    ours = {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    return {**ours, "COLUMNS": "160", "NO_COLOR": "1"}


@pytest.fixture
def command(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.run(line, env={**environment, **variables}, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)

    return call


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_examples(name: str) -> None:
    done = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1"}).invoke(app, [name, "--help"])

    assert done.exit_code == 0
    assert "Examples:" in done.output
    assert f"test-coordinator {name}" in done.output


def test_the_help_loads_nothing_that_takes_long_and_names_commands_and_exit_codes(command: Command) -> None:
    done = command("--help", PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}

    assert all(name in done.stdout for name in (*COMMANDS, "Exit codes"))
    assert "typer" in loaded
    assert loaded.isdisjoint({"pydantic", "nats", "aiohttp", "grpc", "yaml", "cel", "jinja2", "opentelemetry"})


def test_an_unknown_command_is_a_mistake_of_usage(command: Command) -> None:
    assert command("explode").returncode == 2


def test_a_typo_in_a_key_ends_with_2_and_its_place_and_starts_nothing(command: Command, tmp_path: Path) -> None:
    (tmp_path / "typo.yaml").write_text(TYPO)

    done = command("run", "typo.yaml")

    assert done.returncode == 2
    assert "typo.yaml:7:3: unknown key 'phasess'; did you mean 'phases'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state").exists()


def test_validate_tells_every_mistake_of_every_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "typo.yaml").write_text(TYPO)

    done = command("validate", "typo.yaml", "absent.yaml", "--json")

    told = json.loads(done.stdout)
    assert done.returncode == 2
    assert {finding["file"] for finding in told["findings"]} == {"typo.yaml", "absent.yaml"}


def test_the_library_is_valid(command: Command) -> None:
    done = command("validate", "restart-during-trading", "pause-exchange", "stop-exchange", "kill-trading-engine")

    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": valid") == 4


def test_an_unknown_scenario_ends_with_2_and_the_nearest_name(command: Command) -> None:
    done = command("run", "restart-during-tradin")

    assert done.returncode == 2
    assert "restart-during-trading" in done.stderr


@pytest.mark.parametrize("arguments", [("run", "restart-during-trading"), ("serve",), ("list",)])
def test_an_unreachable_nats_is_given_up_after_2_seconds_and_ends_with_6(
    command: Command, unused_port: Callable[[], int], arguments: tuple[str, ...]
) -> None:
    address = f"nats://127.0.0.1:{unused_port()}"

    done = command(*arguments, "--nats", address)

    assert done.returncode == 6
    assert f"no NATS at {address}: no answer within 2 s" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("arguments", [("run", "restart-during-trading"), ("submit", "restart-during-trading")])
async def test_a_nats_without_a_scheduler_ends_with_6_and_says_what_to_start(
    command: Command, arguments: tuple[str, ...], bus_url: str
) -> None:
    done = command(*arguments, "--nats", bus_url)

    assert done.returncode == 6
    assert f"test-coordinator serve --nats {bus_url}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (("run", "restart-during-trading", "--var", "recovery_slo"), "--var NAME=VALUE"),
        (("serve", "--actors", "referee"), "chaos-injector"),
        (("report", "last", "--format", "pdf"), "json, html, junit"),
        (("serve", "--instance", "a b"), "letters, digits"),
        (("serve", "--partitions", "0-16"), "use auto, or numbers from 0 to 15 like 0-7,15"),
        (("run", "restart-during-trading", "--systems", "absent"), "absent"),
    ],
)
def test_bad_usage_ends_with_2_and_what_would_be_right(command: Command, arguments: tuple[str, ...], right: str) -> None:
    done = command(*arguments)

    assert done.returncode == 2
    assert right in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_setting_is_refused_at_start(command: Command) -> None:
    done = command("serve", HTTP_PORT="http", LOG_LEVEL="loud")

    assert done.returncode == 2
    assert "HTTP_PORT cannot be 'http'; use a port from 0 to 65535" in done.stderr
    assert "LOG_LEVEL cannot be 'loud'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("list",), ("report", "last")])
def test_where_nothing_has_run_nothing_is_made(command: Command, arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = command(*arguments)

    assert done.returncode == 2
    assert "nothing has ever run" in done.stderr
    assert not (tmp_path / "state").exists()


def test_serve_is_at_work_until_a_signal_and_leaves_with_0(environment: dict[str, str], command: Command, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "cli.main", "serve"]
    with subprocess.Popen(line, env={**environment, "HTTP_PORT": "0"}, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        at_work = next(text for text in serving.stderr if "at work" in text)
        health = command("health", "--json")
        listed = command("list", "--json")
        serving.send_signal(signal.SIGTERM)
        code = serving.wait(timeout=15)

    assert code == 0
    assert "HTTP http://127.0.0.1:" in at_work
    assert (health.returncode, json.loads(health.stdout)["status"]) == (0, "healthy")
    assert json.loads(listed.stdout) == []
