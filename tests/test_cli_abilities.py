"""`services` and `doctor`, as a user calls them."""

import json
import subprocess
import sys
from pathlib import Path

SYSTEM = """
apiVersion: chaos.trading/v1
kind: System
metadata: {name: small}
spec:
  services:
    api: {driver: {process: {command: [sleep, "9"]}}, chaos: {http: "http://127.0.0.1:9/chaos", calls: [inject_latency]}}
    store: {driver: {external: {}}}
  links: {api-to-store: {from: api, to: store, port: 6379, env: STORE}}
  volumes: {data: {service: store, path: /no/such/folder}}
"""


def told(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "cli.main", *arguments], capture_output=True, text=True, check=False, timeout=50)
    return done.returncode, done.stdout or done.stderr


def test_services_says_what_each_target_supports_here_and_why_not_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SYSTEM)

    code, text = told("services", str(file), "--json")

    (system,) = json.loads(text)
    found = {target["target"]: target for target in system["targets"]}
    assert code == 0
    assert {"kill", "limit_fds", "inject_latency"} <= set(found["api"]["actions"])
    assert not [target for target in found.values() if "unsupported" in target["actions"]]
    assert "no chaos API" in found["store"]["missing"]["price_shock"]
    assert "no such call" in found["api"]["missing"]["price_shock"]
    assert "namespace" in found["api"]["missing"]["network_drop"]
    assert found["store"]["actions"] == []
    assert "external" in found["store"]["missing"]["kill"]
    assert {"latency", "refuse"} <= set(found["api-to-store"]["actions"])
    assert "/no/such/folder" in found["data"]["missing"]["disk_full"]


def test_what_nobody_can_use_is_not_in_the_table(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SYSTEM)

    code, text = told("services", str(file))

    api, store = text.index("api"), text.index("store")
    assert code == 0
    assert "unsupported" not in text
    assert "chaos API has no such call" in text[api:store]
    assert "chaos" not in text[store:]


def test_services_of_an_unknown_system_is_an_error_that_names_the_nearest() -> None:
    code, text = told("services", "tradin")

    assert code == 2
    assert "did you mean 'trading'?" in text


def test_doctor_is_content_where_scenarios_can_run(tmp_path: Path) -> None:
    code, text = told("doctor", "--state", str(tmp_path), "--json")

    found = json.loads(text)
    states = {check["name"]: check["state"] for check in found["checks"]}
    assert (code, found["status"]) == (0, "ok")
    assert states["nats-server"] == states["state folder"] == states["systems"] == "ok"
    assert all(check["told"] for check in found["checks"])


def test_doctor_says_what_to_do_when_nats_cannot_be_reached(tmp_path: Path) -> None:
    code, text = told("doctor", "--nats", "nats://127.0.0.1:1", "--state", str(tmp_path))

    assert code == 6
    assert "broken" in text
    assert "--nats" in text
