"""Links, groups, volumes, probes, workloads and roles of a system: each rule by a system that breaks it."""

from pathlib import Path

import pytest

from scenarios import check_text, load_systems

FORMS = Path(__file__).parent / "documents" / "forms"
FLEET = (FORMS / "fleet.yaml").read_text()


def told(text: str) -> list[str]:
    return [f"{f.line}:{f.column}: {f.what}; {f.right}" for f in check_text(text, file="f.yaml", systems={})]


def place(text: str, part: str) -> str:
    before = text[: text.index(part)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def test_aliases_are_resolved_in_links_groups_and_volumes() -> None:
    spec = load_systems(FORMS)["fleet"].spec

    assert spec.links["api-to-db"].from_ == "api"
    assert spec.groups["db"].members == ("db-1", "db-2", "db-3")
    assert spec.volumes["data"].service == "store"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("from: front", "from: §frnt", "the system has no service 'frnt'; known: api, bank"),
        ("to: db-1, port", "to: §db-9, port", "the system has no service 'db-9'; did you mean 'db-"),
        ("to: db-1, port", "to: §api, port", "'api' is at both ends; a link goes from one service to another"),
        ("port: 18101, env: DB_URL", "port: 18109, env: §DB_URL", "DB_URL of 'api' is 'postgres://127.0.0.1:18101/x', in which"),
        ("env: DB_URL", "env: §TOKEN", "TOKEN is a secret, and where to connect is not"),
        ("env: STORE_ADDRESS", "env: §a=b", "'a=b' cannot name an environment variable"),
        ("env: STORE_ADDRESS", "env: §DB_URL", "link 'api-to-db' already sets DB_URL of 'api'"),
        ("api-to-store: {from: api, to: store, port: 18104, env: STORE_ADDRESS}", "api-to-store: §{from: api, to: store, port: 18104}",
         "'api' does not learn where the proxy is; add listen: and the port to which it connects, or env:"),
        ("bank-to-api: {from: bank, to: api, port: 18100, listen: 18200}", "bank-to-api: §{from: bank, to: api, port: 18100}",
         "'bank' does not learn where the proxy is; add listen: and the port to which it connects; "[:-2]),
        ("listen: 18200", "listen: §18100", "api itself listens on 18100"),
        ("listen: 18200", "listen: 18200, env: §API", "'bank' is not started by us, so its environment cannot be set"),
        ("env: STORE_ADDRESS", "env: STORE_ADDRESS, listen: 18200}\n    zzz: {from: bank, to: api, port: 18104, listen: §18200",
         "the proxy of link 'api-to-store' already listens on 18200"),
        ("listen: 18200", "listen: §70000", "70000 is too large; at most 65535"),
        ("port: 18104", "§prt: 18104", "unknown key 'prt'; did you mean 'port'?"),
        ("members: [db-1,", "members: [§db-7,", "the system has no service 'db-7'"),
        ("members: [db-1,", "members: [db-2, §db-2,", "'db-2' stands here twice"),
        ("members: [db-1, db-2, spare]", "members: §[]", "'members' is empty; give it at least one entry"),
        ("service: store", "service: §stoer", "the system has no service 'stoer'; did you mean 'store'?"),
        ("path: /srv/data", "path: §srv/data", "'srv/data' cannot be filled; an absolute path of a folder"),
        ("path: /srv/data", "path: §/", "'/' cannot be filled"),
        ("path: /srv/data", "path: §/srv/../etc", "'/srv/../etc' cannot be filled"),
        ("quote: {http", "§store: {http", "'store' is already a service; take another name"),
        ("orders: {command", "§api: {command", "'api' is already a service; take another name"),
        ("db: {members", "§api-to-db: {members", "'api-to-db' is already a link; take another name"),
        ("data: {service", "§all: {service", "'all' stands for every service; take another name"),
         ('"status < 500"', '§"statu < 500"', "there is no variable 'statu' in this expression"),
        ("rate: 50/s", "rate: §50", "50 is no rate; a rate is a number per s, m or h"),
        ("rate: 50/s", "rate: §5000/s", "'5000/s' is no rate that can be"),
        ("rate: 50/s", "rate: 50/s, deadline: §1ms", "'1ms' is too short; from 10ms to 1m"),
        ('url: "http://127.0.0.1:18100/quote"', 'url: §"http://:1/"', "'http://:1/' has no host"),
        ("quote: {http: {url", "quote: §{tcp: {address: 'a:1'}, http: {url", "a probe asks by exactly one of"),
        ("env: {API: ", "env: {§A-B: ", "'A-B' cannot name an environment variable"),
        ('"json.role"', '§"jsn.role"', "there is no variable 'jsn' in this expression"),
        ("every: 1s", "every: §1ms", "'1ms' is too short; from 20ms to 1m"),
        ('metrics: {http: "http://127.0.0.1:18100/metrics"}', "metrics: {http: §metrics}", "'metrics' cannot stand here; a URL"),
        ('chaos: {http: "http://127.0.0.1:18100/chaos"}', 'chaos: {http: §"http://x:0/chaos"}', "'http://x:0/chaos' has no host"),
        ("clock: scaled", "clock: §fast", "'fast' is not known here; known: real, scaled"),
        ("clock: scaled", "concurrency: §shared", "'api' would be started twice if runs shared the system"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_system_is_told_at_its_place(old: str, new: str, says: str) -> None:
    """The mark is where the mistake is to be told."""
    assert old in FLEET
    marked = FLEET.replace(old, new, 1)
    column = place(marked, "§")

    found = told(marked.replace("§", ""))

    assert any(line.startswith(f"{column}: {says}") for line in found), found


def test_a_system_of_external_services_may_be_shared_unless_something_of_ours_is_started() -> None:
    services = "{a: {driver: {external: {}}}, b: {driver: {external: {}}}}"
    shared = f"kind: System\nmetadata: {{name: s}}\nspec:\n  concurrency: shared\n  services: {services}\n"

    assert told(shared) == []
    assert "'way' would be started twice" in told(f"{shared}  links: {{way: {{from: a, to: b, port: 1, listen: 2}}}}\n")[0]
    assert "'load' would be started twice" in told(f"{shared}  workloads: {{load: {{command: [x]}}}}\n")[0]
