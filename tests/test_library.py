"""The library: every document of it is right, says what it is for and claims what depends on its faults; and finds what is broken."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import chain
from pathlib import Path

import pytest

from messages.scenario import Scenario
from messages.system import System
from scenarios import find_scenario, library_directory, library_scenarios, load_systems, resolve
from scenarios.library import find_suite

ROOT = Path(__file__).resolve().parent.parent
SYSTEMS = load_systems(library_directory())
CATEGORIES = {"market", "trading", "risk", "operational", "settlement", "resilience"}
STORIES = {
    "market-crash": ("market", timedelta(minutes=30)),
    "stablecoin-depeg": ("market", timedelta(hours=36)),
    "volatility-spike": ("market", timedelta(hours=2)),
    "strategy-runaway": ("trading", timedelta(minutes=10)),
    "risk-system-test": ("risk", timedelta(minutes=20)),
    "custodian-offline": ("operational", timedelta(hours=4)),
    "settlement-cascade-failure": ("settlement", timedelta(hours=6)),
}


def listed() -> dict[str, tuple[float, dict[str, str]]]:
    """What `make library` runs: names with their speed and their variables."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (items,) = re.findall(r"^LIBRARY := (.*)$", text, re.MULTILINE)
    found = {}
    for item in items.replace("--", "").split():
        name, *told = item.split(",")
        name, _, speed = name.partition("@")
        found[name] = (float(speed or 1), dict(each.split("=", 1) for each in told))
    return found


def library_names() -> list[str]:
    return sorted(library_scenarios())


def loaded(name: str, *, at_speed: bool = False) -> Scenario:
    text, file = find_scenario(name)
    speed, variables = listed().get(name, (1.0, {}))
    return resolve(text, file=file, systems=SYSTEMS, variables=variables, speed=speed if at_speed else 1.0).scenario


def length(scenario: Scenario) -> timedelta:
    return sum((phase.duration or timedelta() for phase in scenario.spec.phases), timedelta())


@pytest.mark.parametrize("name", library_names())
def test_a_scenario_of_the_library_says_what_it_is_for_and_claims_what_depends_on_its_faults(name: str) -> None:
    scenario = loaded(name)

    faults, claims = scenario.faults(), [claim for claim, _ in scenario.claims().values()]
    disturbed = {phase for _, _, phase in faults.values()}
    about = [claim for claim in claims if any(named in faults for named in claim.faults_named())]
    beside = [claim for claim, phase in scenario.claims().values() if phase in disturbed]
    assert len(scenario.metadata.description.split()) >= 8
    assert CATEGORIES & set(scenario.metadata.tags)
    assert faults
    assert about or beside
    assert any(claim.type == "continuity" for claim in claims)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_lasts_as_long_as_it_says_and_its_alerts_can_only_come_from_its_faults(name: str) -> None:
    scenario, (category, duration) = loaded(name), STORIES[name]

    wanted = {
        kind: claim
        for claim, _ in scenario.claims().values()
        if claim.type == "event" and not claim.never and "risk.alert_generated" in (told := claim.model_dump()["where"])
        for kind in re.findall(r"alert_type == '(\w+)'", told)
    }
    silent = [
        claim.model_dump()["where"] for claim, phase in scenario.claims().values() if claim.never and (phase == "baseline" or claim.before)
    ]
    assert category in scenario.metadata.tags
    assert length(scenario) == duration == scenario.spec.duration
    assert scenario.spec.variables
    assert wanted
    for kind, claim in wanted.items():
        assert claim.after is not None
        assert claim.after.endswith(".requested")
        assert any(kind in where or "severity == 'critical'" in where for where in silent), kind


def test_make_library_runs_every_scenario_and_the_long_ones_within_seconds() -> None:
    suites = {name for name in listed() if find_suite(name)}
    covered = set(chain(listed(), *(library_scenarios(folder) for suite in suites if (folder := find_suite(suite)))))

    assert covered - suites == set(library_scenarios())
    assert all(timedelta(seconds=8) <= length(loaded(name, at_speed=True)) <= timedelta(seconds=20) for name in STORIES)


def test_the_suite_of_resilience_is_found_by_its_name_and_takes_two_minutes_at_most() -> None:
    folder = find_suite("resilience")

    assert folder == library_directory() / "resilience"
    assert find_suite("market-crash") is find_suite("original") is find_suite("absent") is None
    scenarios = [loaded(name) for name in library_scenarios(folder)]
    assert {fault.action for each in scenarios for _, fault, _ in each.faults().values()} == {
        "stop",
        "kill",
        "pause",
        "restart",
        "latency",
        "partition",
    }
    assert sum((length(each) for each in scenarios), timedelta()) < timedelta(minutes=1.5)


def test_a_directory_of_ones_own_comes_before_the_librarys_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resilience").mkdir()
    monkeypatch.chdir(tmp_path)

    assert find_suite("resilience") == Path("resilience")


def broken(folder: Path, service: str, port: Callable[[], int], *, env: dict[str, str]) -> Path:
    """The library's system on ports and in folders of its own, with one service that is not as it should be."""
    text = (library_directory() / "trading.yaml").read_text()
    for usual, busy in {"deadline: 1s": "deadline: 3s", "ready_within: 10s": "ready_within: 30s", "settle: 10s": "settle: 30s"}.items():
        text = text.replace(usual, busy)
    for number in sorted(set(re.findall(r"1[58]08\d", text))):
        text = text.replace(number, str(port()))
    text = text.replace("          env:\n", f'          env:\n            STATE_DIR: "{folder}/services"\n')
    told = "".join(f'            {key}: "{value}"\n' for key, value in env.items())
    place = text.index("          ready_within", text.index(f"    {service}:\n"))
    (folder / "trading.yaml").write_text(text[:place] + told + text[place:])
    return folder / "trading.yaml"


def verdict_of(name: str, system: Path, *, speed: float) -> tuple[int, str]:
    """The exit code of a run on this system, and what decided it."""
    assert isinstance(load_systems(system.parent)["trading"], System)
    told = [
        "--system",
        str(system),
        "--speed",
        f"{speed:g}",
        "--state",
        str(system.parent / "state"),
        "--reports",
        str(system.parent),
        "--json",
    ]
    line = [sys.executable, "-m", "cli.main", "run", name, *told]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(system.parent)}
    done = subprocess.run(line, env=environment, cwd=system.parent, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, str(json.loads(done.stdout)["message"])


@pytest.mark.long
@pytest.mark.xdist_group("miniature")
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "speed", "service", "env", "claim"),
    [
        ("strategy-runaway", 50, "risk-monitor", {"POSITION_LIMIT": "1e12"}, "limit-breached"),
        ("kill-trading-engine", 1, "trading-engine", {"BUG_NO_RECOVERY": "1"}, "run-continuity"),
        ("pause-exchange", 1, "exchange-simulator", {"BUG_DOUBLE_FILL": "300"}, "run-continuity"),
    ],
)
def test_a_scenario_fails_where_the_ecosystem_is_broken(
    tmp_path: Path,
    unused_port: Callable[[], int],
    name: str,
    speed: float,
    service: str,
    env: dict[str, str],
    claim: str,
) -> None:
    code, why = verdict_of(name, broken(tmp_path, service, unused_port, env=env), speed=speed)

    assert (code, why.partition(":")[0]) == (1, claim)
