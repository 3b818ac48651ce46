"""Audit correlation in whole runs: an alert that follows from a fault, and what follows from the alert."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from bus.objects import ObjectStore
from bus.topology import Names
from messages.verdicts import Verdict
from tests.end_to_end.test_evidence import trading

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("miniature")]  # a dozen processes at once, so no two of them

SCENARIO = """
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {name: rejections}
spec:
  system: trading
  timeout: 2m
  phases:
    - {name: baseline, duration: 6s}
    - name: chaos
      duration: 8s
      actions:
        - {id: rejecting, target: exchange-simulator, action: order_rejection, parameters: {intensity: 0.9}, for: 5s}
  assertions:
    - {id: noticed, type: correlation, rule: chaos-alert, fault: rejecting}
    - {id: adapted, type: correlation, rule: alert-adapts, fault: rejecting}
    - {id: in-words, assert: events_correlated, parameters: {correlation_threshold: 0.9, expected_event_count: 2}}
"""


def calm(arena: "Arena", port: "object") -> str:
    """The system, whose risk monitor does not mind a busy machine."""
    return trading(arena, port).replace("          env:\n", '          env:\n            LATENCY_LIMIT: "30"\n')


async def report_of(arena: "Arena", ended: "Ended") -> dict[str, Any]:
    store = ObjectStore(arena.running.connection, Names("test-coordinator").reports)
    found: dict[str, Any] = json.loads(await store.get(f"{ended.state.id}/report.json"))
    return found


async def test_an_alert_and_what_follows_from_it_are_linked_to_the_fault_and_told_in_the_report(
    arena: "Arena", unused_port: "object"
) -> None:
    ended = await arena.run(SCENARIO + "---\n" + calm(arena, unused_port))

    assert ended.verdict is Verdict.PASSED, {a.id: a.message for a in ended.state.assertions.values()}
    trail = (await report_of(arena, ended))["audit"]
    (fault,) = trail["faults"]
    links = {(link["service"], link["event"]["type"]): link for link in fault["links"]}
    assert links["risk-monitor", "risk.alert_generated"]["rule"] == "chaos-alert"
    assert links["trading-engine", "strategy.adjusted"]["depth"] == 2
    answers = {answer["question"]: answer["answer"] for answer in fault["answers"]}
    assert answers["Was the target seen disturbed?"].startswith("yes: exchange-simulator")
    assert "risk-monitor risk.alert_generated" in answers["What followed elsewhere?"]
    assert "order.rejected" in answers["Which business keys met it?"]
    assert trail["complete"] is True
    assert [odd for odd in trail["unexplained"] if "risk.alert_generated" in odd["text"]] == []


async def test_without_the_risk_monitors_alerts_nothing_is_linked_and_the_run_fails(arena: "Arena", unused_port: "object") -> None:
    deaf = calm(arena, unused_port).replace(
        "service: risk-monitor, type: [risk_alert_generated, risk.alert_generated]", "service: risk-monitor, type: other"
    )

    ended = await arena.run(SCENARIO + "---\n" + deaf)

    assert ended.judged("noticed").verdict is Verdict.FAILED
    assert ended.verdict is Verdict.FAILED
