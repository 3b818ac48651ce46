"""What hosts count of runs, as Prometheus sees it: by real runs, over several hosts, and bounded."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bus.server import Server
from deploy.domain_metrics import KINDS, LIMIT, DomainMetrics
from deploy.host import ACTORS, Host, Plan
from deploy.measures import Measure
from deploy.serving import observed
from deploy.settings import read_settings
from messages.control import SubmitRequest
from messages.fault_events import FaultInjected
from messages.judgements import ReportPublished
from scenarios.systems import load_systems

SERVICE = Path(__file__).parent / "end_to_end" / "service.py"
SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: killed}
spec:
  system: small
  phases:
    - {name: chaos, duration: 600ms, actions: [{id: kill, target: one, action: kill}]}
    - {name: after, actions: [{target: one, action: start}]}
  assertions: [{id: back, type: recovery, target: one, of: kill, by: undo, within: 10s}]
"""
Labels = frozenset[tuple[str, str]]


@pytest.fixture
def plan(tmp_path: Path, unused_port: Callable[[], int]) -> Plan:
    port = unused_port()
    (tmp_path / "small.yaml").write_text(f"""
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: small}}
spec:
  services:
    one:
      driver: {{process: {{command: [python, {SERVICE}], env: {{PORT: "{port}"}}}}}}
      health: {{http: {{url: "http://127.0.0.1:{port}/health"}}, every: 50ms, deadline: 1500ms}}
  steady_state: {{stable: 200ms}}
""")
    return Plan(systems=load_systems(tmp_path), logs=tmp_path / "logs")


async def submit(running: Host) -> str:
    await running.ready()
    reply = await running.control.submit(SubmitRequest(document=SCENARIO))
    assert reply.run_id, reply.findings
    return reply.run_id


async def reported(running: Host, run: str) -> None:
    while await running.journal.find(run, "reporter", "run", ReportPublished) is None:
        await asyncio.sleep(0.02)


async def scraped(running: Host) -> dict[str, Counter[Labels]]:
    """Every sample of the domain's metrics, by name and labels."""
    async with aiohttp.ClientSession() as session, session.get(f"{running.http}/metrics") as answer:
        text = await answer.text()
    return parsed(text)


def parsed(text: str) -> dict[str, Counter[Labels]]:
    found: dict[str, Counter[Labels]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = frozenset((k, v) for k, v in sample.labels.items() if k not in {"instance", "version"})
            found.setdefault(sample.name.removeprefix("test_coordinator_"), Counter())[labels] = sample.value  # type: ignore[assignment]
    return found


def value(found: Mapping[str, Counter[Labels]], name: str, **labels: str) -> float:
    return sum(number for known, number in found[name].items() if labels.items() <= dict(known).items())


@pytest.mark.long
async def test_a_run_is_counted_with_its_phases_faults_claims_and_samples(server: Server, plan: Plan) -> None:
    async with asyncio.timeout(30), observed(read_settings(http_port=0), server.url, plan, http=True) as running:
        run = await submit(running)
        while await running.journal.find(run, "chaos-injector", "kill", FaultInjected) is None:
            await asyncio.sleep(0.02)
        during = await scraped(running)
        await reported(running, run)
        found = await scraped(running)

    assert (value(during, "active_faults"), value(found, "active_faults")) == (1, 0)
    assert value(during, "lease_age_seconds") > 0 == value(found, "lease_age_seconds")
    assert (value(during, "open_runs"), value(found, "open_runs")) == (1, 0)
    assert value(found, "scenarios_executed_total", scenario_name="killed", status="success") == 1
    assert value(found, "runs_total", verdict="passed", reason="") == 1
    phases = {dict(labels)["phase_name"] for labels in found["scenario_duration_seconds_count"]}
    assert phases == {"settle", "chaos", "after", "recover"}
    assert 0.6 <= value(found, "scenario_duration_seconds_sum", phase_name="chaos") < 10
    assert value(found, "chaos_actions_total", service="one", action_type="kill", status="injected") == 1
    assert value(found, "chaos_actions_total", action_type="start", status="done") == 1
    assert value(found, "chaos_duration_seconds_count", action_type="kill") == 1
    assert value(found, "rollback_triggered_total", reason="phase") == 1
    assert value(found, "revert_seconds_count", action_type="kill") == 1
    assert value(found, "coordination_latency_seconds_count", moment="armed") == 1
    assert (
        0
        < value(found, "coordination_latency_seconds_sum", moment="armed")
        < value(found, "coordination_latency_seconds_sum", moment="injected")
    )
    assert value(found, "assertion_results_total", assertion_type="recovery", result="passed") == 1
    assert value(found, "assertion_results_total", assertion_type="health", result="passed") == 3
    assert value(found, "system_recovery_time_seconds_sum", scenario_name="killed") > 0
    assert value(found, "service_availability", during_chaos="false") > value(found, "service_availability", during_chaos="true")
    assert value(found, "report_seconds_count") == 1


@pytest.mark.long
async def test_what_two_hosts_could_have_done_is_counted_by_the_one_that_did_it(server: Server, plan: Plan) -> None:
    others = Plan(actors=("validator", "reporter"))
    async with asyncio.timeout(30), AsyncExitStack() as stack:
        hosts = [
            await stack.enter_async_context(observed(read_settings(http_port=0), server.url, which, http=True))
            for which in (plan, others, others)
        ]
        for other in hosts[1:]:
            await other.ready()
        await reported(hosts[0], await submit(hosts[0]))
        found = [await scraped(running) for running in hosts]

    together = [sum(value(one, name) for one in found if name in one) for name in ("assertion_results_total", "report_seconds_count")]
    assert together == [4, 1]


@pytest.mark.long
async def test_a_host_counts_nothing_that_was_done_before_it_was_there(server: Server, plan: Plan) -> None:
    validator = Plan(actors=("validator",))
    rest = Plan(actors=tuple(name for name in ACTORS if name != "validator"), systems=plan.systems, logs=plan.logs)
    settings = read_settings(http_port=0)
    async with asyncio.timeout(30), observed(settings, server.url, rest, http=True) as running:
        async with observed(settings, server.url, validator, http=True) as first:
            await first.ready()
            run = await submit(running)
            while await running.journal.find(run, "chaos-injector", "kill", FaultInjected) is None:
                await asyncio.sleep(0.02)
            before = await scraped(first)
        async with observed(settings, server.url, validator, http=True) as second:
            await reported(running, run)
            after = await scraped(second)

    assert value(before, "assertion_results_total") == 1
    assert value(before, "assertion_results_total") + value(after, "assertion_results_total") == 4


def test_names_that_people_choose_are_bounded_and_the_rest_is_other() -> None:
    registry = CollectorRegistry()
    metrics = DomainMetrics(registry)
    for number in range(LIMIT + 50):
        metrics.count(Measure("scenarios_executed", (f"scenario-{number}", "success")))
    metrics.count(Measure("scenarios_executed", ("scenario-0", "failed")))

    found = parsed(generate_latest(registry).decode())

    assert value(found, "scenarios_executed_total", scenario_name="other") == 50
    assert len(found["scenarios_executed_total"]) == LIMIT + 2
    assert value(found, "scenarios_executed_total", scenario_name="scenario-0", status="failed") == 1


def test_every_metric_has_the_fields_name_and_unit() -> None:
    assert all(name.endswith("_seconds") == (kind.buckets is not None) for name, kind in KINDS.items())
    assert {"scenarios_executed", "scenario_duration_seconds", "assertion_results", "chaos_actions"} <= KINDS.keys()
