"""Systems: their own checks, directories of them, and the library."""

from pathlib import Path

import pytest

from bus.subjects import covers
from messages.actions.processes import PROCESS_ACTIONS
from messages.audit_events import subject_of
from scenarios import DocumentErrors, check_text, find_scenario, library_directory, library_scenarios, load_systems, resolve

SHOP = (Path(__file__).parent / "documents" / "shop.yaml").read_text()
PORTS = {
    "exchange-simulator": 1,
    "custodian-simulator": 2,
    "trading-engine": 3,
    "market-data-simulator": 4,
    "risk-monitor": 5,
    "audit-correlator": 6,
}


def told(text: str) -> list[str]:
    return [str(found).removeprefix("f.yaml:") for found in check_text(text, file="f.yaml", systems={})]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("depends_on: [store]", "depends_on: [stor]", "11:20: the system has no service 'stor'"),
        ("depends_on: [store]", "depends_on: [web]", "11:20: 'web' depends on itself"),
        ("aliases: [store]", "aliases: [store]\n      depends_on: [web]", "11:19: services depend on each other in a circle: db, web"),
        ("aliases: [store]", "aliases: [front]", "13:17: 'front' is already an alias of 'web'"),
        ("aliases: [store]", "aliases: [bank]", "13:17: 'bank' is a service itself"),
        ("aliases: [store]", "aliases: [a b]", "13:17: 'a b' cannot be an alias"),
        ("    cron:", "    all:", "19:5: 'all' stands for every service"),
        ("    cron:", "    Cron:", "19:5: 'Cron' cannot be a name here; a name of small letters"),
        ("127.0.0.1:18001", "127.0.0.1:0", "10:31: 0 is no port"),
        ("127.0.0.1:18001", "127.0.0.1:65536", "10:31: 65536 is no port"),
        ("127.0.0.1:18001", "127.0.0.1", "10:31: '127.0.0.1' cannot stand here; a host and a port, like 127.0.0.1:18083"),
        ("http://127.0.0.1:18002/", "http://127.0.0.1:99999/", "15:28: 'http://127.0.0.1:99999/' has no host, or no port"),
        ("http://127.0.0.1:18002/", "http://:80", "15:28: 'http://:80' has no host"),
        ("http://127.0.0.1:18002/", "ftp://x", "15:28: 'ftp://x' cannot stand here; a URL, like"),
        ('18002/"', '18002/", expect: "status =="', "15:63: not an expression that can be used"),
        ('18002/"', '18002/", expect: "code == 200"', "15:63: there is no variable 'code' in this expression"),
        ('["shop.events.>"]', '[]\n  prometheus: {http: "http://:80"}', "6:22: 'http://:80' has no host"),
        ('["shop.events.>"]', '[]\n  prometheus: {htp: "http://h:80"}', "6:16: unknown key 'htp'; did you mean 'http'?"),
        ('["shop.events.>"]', '[]\n  traces: {listen: "127.0.0.1:0"}', "6:20: 0 is no port"),
        ('["shop.events.>"]', '[]\n  traces: {listen: "14317"}', "6:20: '14317' cannot stand here; a host and a port"),
        ('["shop.events.>"]', "[]\n  traces: {}", "6:11: 'listen' is missing"),
        ('"shop.events.>"', '"shop events"', "5:12: 'shop events' is not a subject"),
        ('"shop.events.>"', '"shop..a"', "5:12: 'shop..a' is not a subject"),
        ('"shop.events.>"', '"shop.>.a"', "5:12: 'shop.>.a' has a wildcard in the wrong place"),
        ('"shop.events.>"', '"shop.a*"', "5:12: 'shop.a*' has a wildcard in the wrong place"),
        ('"shop.events.>"', '">"', "5:12: '>' would take in what is not the system's"),
        ('"shop.events.>"', "a, a", "5:15: 'a' stands here twice"),
        ("driver: {external: {}}", "driver: {}", "17:15: a driver is exactly one of process, external"),
        ("cron.py]", "cron.py], env: {PORT: 1}", "20:66: the number 1 stands where text must; put it into quotes"),
        ("cron.py]", "cron.py], env: {A=B: x}", "20:60: 'A=B' cannot name an environment variable"),
        ("cron.py]", "cron.py], env: {A: {secre: x}}", "20:64: unknown key 'secre'; did you mean 'secret'?"),
        ("cron.py]", 'cron.py, "{{ variables.port }}"]', "20:53: variables belong to scenarios; a System takes none"),
        ("cron.py]", 'cron.py], stop_grace: "{{ .Variables.grace }}"', "20:66: variables belong to scenarios; a System takes none"),
        ("cron.py]", 'cron.py], env: {A: "x{{ parameters.a }}"}', "20:63: parameters belong to templates; a System takes none"),
        ("cron.py]", "cron.py], stop_signal: TRM", "20:67: 'TRM' is not known here; did you mean 'TERM'?"),
    ],
)
def test_a_mistake_in_a_system_is_told_at_its_place(old: str, new: str, says: str) -> None:
    assert any(line.startswith(says) for line in told(SHOP.replace(old, new))), told(SHOP.replace(old, new))


@pytest.mark.parametrize(
    ("events", "audit", "says"),
    [
        (
            '["shop.events.>"]',
            "shop.chaos",
            "6:10: faults would be told on shop.chaos, which `events` do not take in, so nobody would",
        ),
        ('["shop.events.>"]', "shop.chaos", "a subject within them, like shop.events.test-coordinator.chaos_injection_started"),
        ('["shop.events.>"]', "shop.events", "6:10: faults would be told on shop.events, which `events` do not take in"),
        ('["shop.*.chaos_injection_started"]', "shop.>", "told on shop.test-coordinator.chaos_injection_ended, which"),
        ("[]", "shop.chaos", "name it in `events`"),
        ('["shop.events.>"]', "shop..x", "6:10: 'shop..x' is not a subject"),
    ],
)
def test_faults_are_told_only_where_the_events_of_the_system_are_kept(events: str, audit: str, says: str) -> None:
    found = told(SHOP.replace('["shop.events.>"]', f"{events}\n  audit: {audit}"))

    assert len(found) == 1
    assert says in found[0]


def test_a_subject_among_the_events_may_be_named_for_what_is_told_of_faults() -> None:
    assert told(SHOP.replace('["shop.events.>"]', '["shop.events.>"]\n  audit: shop.events.chaos')) == []


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        ("trading.events.>", "trading.events.test-coordinator.T"),
        ("trading.*.>", "trading.test-coordinator.T"),
        ("trading.*.events.*", "trading.test-coordinator.events.T"),
        ("a.*.*.*", "a.test-coordinator.T.T"),
        ("events.*", "events.test-coordinator"),
        ("a.*.*.>", "a.test-coordinator.T.T"),
        ("orders", "orders"),
    ],
)
def test_what_is_told_of_faults_has_a_subject_that_its_pattern_takes_in(pattern: str, subject: str) -> None:
    assert subject_of(pattern, "T") == subject
    assert covers(pattern, subject)


def test_braces_that_are_meant_for_another_program_are_left_to_it() -> None:
    assert told(SHOP.replace("cron.py]", "cron.py, '{{.State.Running}}']")) == []


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ("{type: event, where: 'true'}", "a steady-state claim cannot be event"),
        ("{type: health, target: web, within: 1s}", "a steady-state claim holds throughout"),
        ("{type: health, target: wbe}", "the system has no service 'wbe'"),
        ("{type: health, target: cron}", "'cron' has no health checks"),
        ("{id: recover-x, type: health, target: web}", "'recover-x' cannot be the id of a steady-state claim"),
    ],
)
def test_the_steady_state_takes_health_claims_that_hold_throughout(claim: str, says: str) -> None:
    (line,) = told(f"{SHOP}  steady_state: {{claims: [{claim}]}}\n")

    assert line.startswith("21:")
    assert says in line


def test_the_systems_of_a_directory_are_loaded_and_other_documents_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{SHOP}---\n{SHOP.replace('name: shop', 'name: other')}")
    (tmp_path / "compose.yml").write_text("services: !reset {a: 1, a: 2}\n")
    (tmp_path / "scenario.json").write_text('{"kind": "Scenario"}')
    (tmp_path / "notes.txt").write_text("kind: System")

    assert set(load_systems(tmp_path)) == {"shop", "other"}


def test_two_systems_of_one_name_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SHOP)
    (tmp_path / "b.yaml").write_text(SHOP)

    with pytest.raises(DocumentErrors, match=r"b.yaml:3:18: a second system 'shop'"):
        load_systems(tmp_path)


def test_a_system_with_mistakes_a_file_that_is_no_text_and_a_missing_directory_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SHOP.replace("services:", "servces:"))
    (tmp_path / "b.yaml").write_bytes(b"kind: System \xff")

    with pytest.raises(DocumentErrors) as raised:
        load_systems(tmp_path)

    assert [Path(found.file).name for found in raised.value.findings] == ["a.yaml", "a.yaml", "b.yaml"]
    with pytest.raises(DocumentErrors, match="no such directory"):
        load_systems(tmp_path / "none")


def test_the_library_resolves_and_uses_stop_kill_pause_and_restart() -> None:
    systems = load_systems(library_directory())
    used = set()

    for name in library_scenarios():
        text, file = find_scenario(name)
        used |= {action.action for _, action, _ in resolve(text, file=file, systems=systems).scenario.faults().values()}

    assert used >= {name for name, action in PROCESS_ACTIONS.items() if action.fault}


def test_the_librarys_trading_system_is_the_ecosystem() -> None:
    system = load_systems(library_directory())["trading"]

    for name, last in PORTS.items():
        service = system.spec.services[name]
        process, health = service.driver.process, service.health
        assert process is not None
        assert health is not None
        assert health.http is not None
        assert process.command == ("python", "-m", f"ecosystem.{name.replace('-', '_')}")
        assert (process.env["HTTP_PORT"], process.env["GRPC_PORT"]) == (f"1808{last}", f"1508{last}")
        assert health.http.url == f"http://127.0.0.1:1808{last}/api/v1/health"
    assert set(system.spec.services) == set(PORTS)
    assert system.spec.services["trading-engine"].aliases == ("trading-system-engine",)


def test_a_scenario_is_found_by_path_by_file_and_by_its_own_name(tmp_path: Path) -> None:
    file = tmp_path / "some-file.yaml"
    file.write_text("kind: Scenario\nmetadata: {name: some-name}\n")

    assert find_scenario(str(file)) == (file.read_text(), str(file))
    assert find_scenario("some-file", tmp_path)[1] == str(file)
    assert find_scenario("some-name", tmp_path)[1] == str(file)


def test_a_scenario_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(
        DocumentErrors, match="stop-exchnge:1:1: there is no file or library scenario 'stop-exchnge'; did you mean 'stop-exchange'"
    ):
        find_scenario("stop-exchnge")
    with pytest.raises(DocumentErrors, match="there is no file"):
        find_scenario("nul\0byte" + "x" * 5000)
