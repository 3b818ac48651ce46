"""What a scenario's structure does not say, each check by a scenario that breaks it."""

import time
from pathlib import Path

import pytest

from scenarios import check_text, load_systems

SYSTEMS = load_systems(Path(__file__).parent / "documents")


def told(spec: str, *, timeout: str = "") -> list[str]:
    text = f"kind: Scenario\nmetadata: {{name: x}}\nspec:\n  system: shop\n{timeout}{spec}"
    return [f"{f.line}:{f.column}: {f.what}" for f in check_text(text, file="f.yaml", systems=SYSTEMS)]


def phase(actions: str, *, claims: str = "[]", whole: str = "[]", duration: str = "10s", last: str = "[]", timeout: str = "") -> list[str]:
    """The findings of a scenario with one phase; its actions stand in line 6, its claims in 7, those of the run in 8, finally in 9."""
    length = f", duration: {duration}" if duration else ""
    spec = f"  phases: [{{name: p{length}, actions:\n{actions},\n    assertions: {claims}}}]\n  assertions: {whole}\n  finally: {last}\n"
    return told(spec, timeout=timeout)


def test_a_good_scenario_has_no_findings() -> None:
    assert phase("[{target: web, action: stop, for: 2s}, {target: db, action: restart}]", last="[{target: web, action: start}]") == []


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ("[{target: bank, action: stop}]", "6:11: 'bank' is external and does not offer stop"),
        ("[{target: [web, front], action: stop}]", "6:11: 'web' stands here twice"),
        ("[{id: a, target: web, action: stop}, {id: a, target: db, action: stop}]", "6:43: a second action with the id 'a'"),
        (
            "[{id: a-db, target: web, action: stop, for: 1s}, {id: a, target: [web, db], action: stop, delay: 2s}]",
            "6:55: a second action with",
        ),
        (f"[{{id: {'a' * 62}, target: [web, db], action: stop}}]", "6:7: the fault's id"),
        ("[{id: a, target: web, action: stop, after: b}]", "6:44: there is no action 'b' in this phase"),
        ("[{id: a, target: web, action: stop, after: a}]", "6:44: 'a' waits for itself"),
        (
            "[{id: a, target: web, action: stop, for: 1s, after: b}, {id: b, target: db, action: stop, for: 1s, after: a}]",
            "6:53: 'a' waits for itself",
        ),
        ("[{target: web, action: stop}, {target: front, action: kill}]", "6:40: a second fault on the same target 'web'"),
        ("[{target: web, action: stop, for: 3s}, {target: web, action: pause, delay: 2s}]", "6:49: a second fault on the same target"),
        ("[{target: web, action: restart}, {target: web, action: pause}]", "6:43: a second fault on the same target"),
        ("[{target: web, action: restart}, {target: web, action: restart}]", "6:43: a second fault on the same target"),
        ("[{target: web, action: start, for: 3s}]", "6:31: start is no fault and has no end"),
        ("[{target: web, action: stop, for: 0s}]", "6:35: a fault cannot end at once"),
        ("[{target: web, action: stop, for: 20m}]", "6:35: the fault cannot end before 20m"),
        ("[{target: web, action: stop, delay: 20m}]", "6:37: the delay cannot end before 20m"),
        ("[{target: web, action: stop, delay: 10s}]", "6:2: this starts 10s into a phase of 10s, so never"),
        (
            "[{id: a, target: web, action: stop}, {target: db, action: stop, after: a}]",
            "6:72: 'a' lasts to the phase's end, so this never starts",
        ),
    ],
)
def test_an_action_that_cannot_be_done_is_told(actions: str, says: str) -> None:
    assert any(line.startswith(says) for line in phase(actions)), phase(actions)


@pytest.mark.parametrize(
    "actions",
    [
        "[{target: web, action: stop, for: 2s}, {target: web, action: pause, delay: 2s}]",
        "[{id: a, target: web, action: restart}, {target: web, action: pause, after: a}]",
        "[{target: web, action: stop}, {target: db, action: stop}]",
        "[{id: a, target: web, action: stop}, {target: web, action: start, delay: 2s}, {target: db, action: stop, after: a}]",
    ],
)
def test_faults_that_do_not_meet_are_fine(actions: str) -> None:
    assert phase(actions) == []


def test_a_fault_needs_an_end_unless_it_ends_itself() -> None:
    assert phase("[{target: web, action: stop}]", duration="") == ["6:2: a fault without an end"]
    assert phase("[{target: web, action: restart}]", duration="") == []
    assert phase("[{target: web, action: stop, for: 1s}]", duration="") == []


def test_a_duration_that_cannot_be_read_is_not_told_as_a_missing_one() -> None:
    assert [line.partition(": ")[0] for line in phase("[{target: web, action: stop}]", duration="10x")] == ["5:32"]


def test_finally_holds_no_faults() -> None:
    assert phase("[]", last="[{target: web, action: stop, for: 1s}]") == ["9:35: stop is a fault, and `finally` may hold none"]


def test_names_of_phases_differ_from_each_other_and_from_the_stages() -> None:
    spec = "  phases:\n    - {name: a}\n    - {name: a}\n    - {name: settle}\n"

    assert told(spec) == ["7:14: a second phase with the name 'a'", "8:14: 'settle' is the name of a stage that every run has"]


STOP = "[{id: out, target: web, action: stop, for: 2s}]"


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ("{type: health, target: §wbe}", "the system has no service 'wbe'"),
        ("{type: health, target: §cron}", "'cron' has no health checks"),
        ("{type: audit, target: §all, sequence: [a]}", "the system has no service 'all'"),
        ("{type: event, where: §'event.type =='}", "not an expression that can be used"),
        ("{type: event, where: §\"event.type == 'a' && evnt.data.n > 1\", never: true}", "there is no variable 'evnt' in this expression"),
        ("{type: continuity, key: §data.id, opened_by: b, closed_by: c}", "there is no variable 'data' in this expression"),
        ("{type: event, where: 'true', throughout: §true}", "an event cannot hold throughout"),
        ("{type: event, where: 'true', during: §ot}", "there is no fault with the id 'ot'"),
        ("{type: event, where: 'true', after: §out.gne}", "'gne' is not a moment of a fault"),
        ("§{type: health, target: web, within: 1s, never: true}", "`within`, `throughout` and `never` exclude each other"),
        ("§{type: recovery, target: web, of: out, within: 5s}", "stop leaves the target down"),
        ("§{type: recovery, target: db, within: 5s}", "there are 0 faults on 'db'"),
        ("{type: recovery, target: web, of: §x, within: 5s}", "there is no fault with the id 'x'"),
        ("{type: recovery, target: web, within: §10m, by: undo}", "the claim's window cannot end before 10m"),
        ("{type: event, where: 'true', within: §10m}", "the claim's window cannot end before 10m"),
        ("§{type: continuity, key: a, opened_by: b, closed_by: c, grace: 10m}", "the claim's window cannot end before 10m10s"),
        ("{id: §steady-x, type: event, where: 'true'}", "`steady-` begins the ids of the steady state"),
        ("{type: grpc, address: 'h:1', method: §Check}", "'Check' cannot stand here"),
        ("{type: grpc, address: 'h:1', method: a.B/C, expect: §status == 200}", "there is no variable 'status' in this expression"),
        ("{type: grpc, address: §'h:70000', method: a.B/C}", "70000 is no port"),
        ("{type: metric, promql: §up, at_least: 1}", "the system has no Prometheus to ask"),
        ("{type: metric, promql: up, of: §rate, at_least: 1}", "PromQL has its own rate"),
        ("§{type: metric, at_least: 1, url: 'http://h:1/'}", "a metric claim is about exactly one of metric, promql"),
        ("{id: a, type: event, where: 'true'}, {id: §a, type: event, where: 'false'}", "a second claim with the id 'a'"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_told(claim: str, says: str) -> None:
    """The mark in the claim is where the mistake is to be told."""
    column = len("  assertions: [") + claim.index("§") + 1

    found = phase(STOP, whole=f"[{claim.replace('§', '')}]")

    assert any(line.startswith(f"8:{column}: {says}") for line in found), found


def test_a_claim_is_measured_against_the_timeout_from_its_phases_start() -> None:
    claim = "[{type: event, where: 'true', within: 5s}]"

    assert phase(STOP, claims=claim, timeout="  timeout: 12s\n") == []
    assert "window cannot end before 10s" in phase("[]", whole="[{type: event, where: 'true'}]", timeout="  timeout: 9s\n")[1]


def test_phases_that_outlast_the_timeout_are_told_at_the_timeout() -> None:
    assert phase("[]", timeout="  timeout: 9s\n") == ["5:12: the phases cannot end before 10s, and the run ends at its timeout of 9s"]


def test_names_are_checked_although_the_structure_has_mistakes() -> None:
    found = phase("[{target: wbe, action: stop, fro: 1s}]", claims="[{type: evnt}]", whole="[{type: event, where: '('}]")

    assert [line.partition(": ")[0] for line in found] == ["6:11", "6:30", "7:25", "8:37"]


def test_an_expression_with_comprehensions_inside_each_other_is_refused_at_once() -> None:
    nested = "[1].map(a, " * 6 + "a" + ")" * 6
    began = time.thread_time()

    found = phase("[]", whole=f'[{{type: event, where: "{nested} == [{"1, " * 35}1]"}}]')

    assert "not an expression that can be used: map may be used once" in found[0]
    assert time.thread_time() - began < 5


def test_too_many_actions_are_refused_as_one_mistake() -> None:
    actions = ", ".join(["{target: web, action: start}"] * 10_000)

    assert phase(f"[{actions}]") == ["4:3: 10000 actions and 0 claims are too many"]


def test_a_claim_has_no_name_under_which_something_else_is_measured() -> None:
    text = """apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: case}
spec:
  system: small
  phases:
    - {name: calm, duration: 1s, assertions: [{id: web, type: health, target: web, throughout: true}]}
---
apiVersion: chaos.trading/v1
kind: System
metadata: {name: small}
spec:
  services: {web: {driver: {external: {}}, health: {tcp: {address: "127.0.0.1:9"}}}}
"""

    found = check_text(text, file="case.yaml", systems={})

    assert [(finding.line, finding.right) for finding in found] == [(7, "give the claim another id")]


@pytest.mark.parametrize(
    ("gate", "says"),
    [
        ('{ask: "", timeout: 1m}', "6:27: 'ask' cannot be"),
        ("{ask: ' '}", "6:27: the gate asks nothing"),
        ("{ask: Now?, timeout: 0s}", "6:42: nobody can answer in no time"),
        ("{ask: Now?, timeout: soon}", "6:42: 'soon' is not a duration"),
        ("{ask: Now?, approve: [ann, bob, ann]}", "6:42: 'ann' stands here twice"),
        ("{ask: Now?, approve: [a b]}", "6:43: 'a b' cannot stand here"),
        ("{ask: Now?, otherwise: wait}", "6:44: 'wait' is not known here"),
        ("{approve: [ann]}", "6:21: 'ask' is missing"),
        ("{ask: Now?, aprove: [ann]}", "6:33: unknown key 'aprove'"),
    ],
)
def test_a_gate_that_nobody_could_pass_is_an_error_at_its_place(gate: str, says: str) -> None:
    (found,) = told(f"  phases:\n  - {{name: p, gate: {gate}, duration: 1s}}\n")

    assert found.startswith(says), found


def test_a_good_gate_has_no_findings_and_lasts_half_an_hour() -> None:
    assert told("  phases: [{name: p, gate: {ask: Now?, approve: [ann]}, duration: 1s}]\n") == []
