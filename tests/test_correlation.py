"""Joining a system's events with the faults of a run: what followed from what, what nothing explains, and what claims count of it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messages.claims import CorrelationClaim, History, ServiceEvent, Window
from messages.correlations import AuditCorrelated, FaultCorrelated
from messages.events import Recorded, RunEvent
from messages.expressions import Bindings
from messages.fault_events import FaultArmed, FaultEffective, FaultGone, FaultInjected, FaultReverted
from messages.run_events import ActionRequested, PhaseFinished, PhaseStarted, RunAccepted, RunStarted, ServicesReleaseRequested
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from messages.verdicts import Reason, Verdict
from runs.correlation.counting import Counting, counted
from runs.correlation.findings import Findings
from runs.correlation.trail import Trail
from runs.state import RunState

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
ZERO = timedelta()
SYSTEM = System.model_validate_json("""{"metadata": {"name": "shop"}, "spec": {
    "events": ["shop.events.>"],
    "correlation": {
      "ends": ["order.filled", "order.rejected"],
      "rules": [
        {"name": "chaos-alert", "trigger": {"service": "test-coordinator", "type": "chaos_injection_started"},
         "effect": {"service": "risk", "type": "alert", "where": "event.data.kind == 'down'"}, "max_delay": "20s", "min_confidence": 0.8},
        {"name": "alert-halt", "trigger": {"service": "risk", "type": "alert"},
         "effect": {"service": "engine", "type": "halted"}, "max_delay": "10s", "min_confidence": 0.7},
        {"name": "end-clears", "trigger": {"service": "test-coordinator", "type": "chaos_injection_ended"},
         "effect": {"service": "risk", "type": "cleared"}, "max_delay": "10s", "min_confidence": 0.7}]},
    "services": {"engine": {"driver": {"external": {}}, "aliases": ["trading-engine"]},
      "exchange": {"driver": {"external": {}}}, "risk": {"driver": {"external": {}}}}}}""")
SCENARIO = Scenario.model_validate_json("""{"metadata": {"name": "outage"}, "spec": {"system": "shop", "phases": [
    {"name": "baseline", "duration": "10s"},
    {"name": "chaos", "duration": "20s", "actions": [
      {"id": "kill", "target": "exchange", "action": "stop", "for": "5s"},
      {"id": "halt", "target": "engine", "action": "stop", "for": "5s"}]}]}}""")


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


def journal(*faults: tuple[str, float, float], through: float = 40) -> RunState:
    """A run with a baseline from 0 to 10 s, these faults (id, injected, gone), and an end at 30 s."""
    state = RunState("run")
    actions = {action.id: action for action in SCENARIO.spec.phases[1].actions}
    lines: list[tuple[float, RunEvent]] = [
        (-1, RunAccepted(key="shop", scenario=SCENARIO, system=SYSTEM, submitted=at(-1))),
        (-0.5, RunStarted()),
        (0, PhaseStarted(phase="baseline", kind="phase", bound=timedelta(seconds=10))),
        (10, PhaseFinished(phase="baseline", kind="phase")),
        (10, PhaseStarted(phase="chaos", kind="phase", bound=timedelta(seconds=20))),
        (30, PhaseFinished(phase="chaos", kind="phase")),
        (30, PhaseStarted(phase="recover", kind="recover", bound=timedelta(seconds=30))),
        (35, PhaseFinished(phase="recover", kind="recover")),
        (36, ServicesReleaseRequested()),
    ]
    for name, start, end in faults:
        target = str(actions[name].target)
        lines += [
            (start - 0.01, ActionRequested(fault_id=name, phase="chaos", target=target, action=actions[name])),
            (
                start - 0.005,
                FaultArmed(fault_id=name, target=target, action="stop", until=at(end), undo=Undo(kind="process.start", service=target)),
            ),
            (start, FaultInjected(fault_id=name, took=ZERO, ago=ZERO)),
            (start + 0.1, FaultEffective(fault_id=name, ago=ZERO, how="refused")),
            (end - 0.1, FaultReverted(fault_id=name, took=ZERO, ago=ZERO, by="request")),
            (end, FaultGone(fault_id=name, ago=ZERO, restored_by="undo")),
        ]
    for sequence, (second, event) in enumerate(sorted(lines, key=lambda line: line[0]), 1):
        if second <= through:
            state.apply(Recorded(event, "run", 0, event.ACTORS[0], event.entity, sequence, at(second), f"{sequence}"))
    return state


def event(second: float, source: str, type_: str, name: str = "", **extra: Any) -> ServiceEvent:
    data = extra.pop("data", {})
    name = name or f"{source}-{type_}-{second}"
    body = {"id": name, "type": type_, "source": source, "data": data, **extra}
    return ServiceEvent(name, type_, source, round(second * 1000), at(second), Bindings({"event": body}))


def traffic(*, without: Sequence[tuple[str, float, float]] = (), until: float = 36) -> list[ServiceEvent]:
    """Ten orders a second, filled 50 ms later, but for what sources did not tell in these spans."""
    found = []
    for number in range(round(until * 10)):
        for source, type_, second in (("trading-engine", "order.submitted", number / 10), ("exchange", "order.filled", number / 10 + 0.05)):
            told = event(second, source, type_, correlationid=f"order-{number}")
            if not any(source == silent and start <= second < end for silent, start, end in without):
                found.append(told)
    return found


def findings(events: Iterable[ServiceEvent], *faults: tuple[str, float, float], trace: str = "", until: float = 36) -> Findings:
    trail = Trail(SYSTEM.event_names(), SYSTEM.spec.correlation)
    for one in sorted(events, key=lambda told: told.at):
        trail.see(one)
    return Findings(trail, journal(*faults), at(until), trace)


def of_fault(found: Findings, name: str = "kill") -> FaultCorrelated:
    return found.of_fault(next(fault for fault in found.faults if fault.id == name), 1, final=True, gap=False)


def beside(found: Findings) -> AuditCorrelated:
    return found.beside(1, (), final=True, gap=False)


KILL = ("kill", 12.0, 18.0)
HALT = ("halt", 12.0, 18.0)
ALERT: dict[str, Any] = {"data": {"kind": "down"}}


# What followed from a fault


def test_an_effect_is_linked_to_the_fault_by_its_rule_with_its_delay() -> None:
    found = findings([*traffic(), event(14, "risk", "alert", **ALERT)], KILL)

    (link,) = of_fault(found).links
    assert (link.event.type, link.by, link.rule, link.cause, link.depth) == ("alert", "rule", "chaos-alert", "kill", 1)
    assert link.delay == timedelta(seconds=2)
    assert link.confidence == 0.95
    assert beside(found).unexplained_count == 0


@pytest.mark.parametrize(
    ("second", "source", "data", "why"),
    [
        (11, "risk", {"kind": "down"}, "before the fault"),
        (33, "risk", {"kind": "down"}, "later than the rule allows"),
        (14, "engine", {"kind": "down"}, "of another service"),
        (14, "risk", {"kind": "margin"}, "not what the rule is about"),
    ],
)
def test_what_is_no_effect_by_the_rule_is_left_unexplained(second: float, source: str, data: dict[str, str], why: str) -> None:
    found = findings([*traffic(), event(second, source, "alert", data=data)], KILL)

    assert of_fault(found).links == (), why
    if second >= KILL[1]:
        (odd,) = beside(found).unexplained
        assert (odd.what, odd.service, odd.at) == ("event", source, at(second)), why


def test_what_came_before_the_fault_too_is_no_sure_effect() -> None:
    constant = [event(second, "risk", "alert", **ALERT) for second in (2, 4, 6, 8, 10, 14)]

    found = findings([*traffic(), *constant], KILL)

    assert of_fault(found).links == ()
    assert found.baseline is not None


def test_an_effect_of_an_effect_goes_back_to_the_fault() -> None:
    found = findings([*traffic(), event(14, "risk", "alert", **ALERT), event(15, "trading-engine", "halted")], KILL)

    links = of_fault(found).links
    assert [(link.service, link.depth, link.rule) for link in links] == [("risk", 1, "chaos-alert"), ("engine", 2, "alert-halt")]
    assert links[1].delay == timedelta(seconds=3)
    assert links[1].cause == links[0].event.id
    assert links[1].confidence == pytest.approx(0.95**2, abs=0.0001)


def test_of_two_faults_neither_is_the_sure_cause_but_one_of_them_is() -> None:
    found = findings([*traffic(), event(14, "risk", "alert", **ALERT)], KILL, HALT)

    for name in ("kill", "halt"):
        (link,) = of_fault(found, name).links
        assert link.confidence == 0.475
        assert judged({"rule": "chaos-alert", "fault": name}, found) == PASSED
        assert judged({"rule": "chaos-alert", "fault": name, "confidence": 0.8}, found) == FAILED
    assert beside(found).unexplained_count == 0


def test_the_end_of_a_fault_has_effects_too() -> None:
    (link,) = of_fault(findings([*traffic(), event(19, "risk", "cleared")], KILL)).links

    assert (link.rule, link.delay) == ("end-clears", timedelta(seconds=7))


def test_a_shared_id_is_surer_than_a_rule() -> None:
    alert, other = event(14, "risk", "alert", correlationid="a", **ALERT), event(14.5, "risk", "alert", correlationid="b", **ALERT)
    halted = event(15, "trading-engine", "halted", correlationid="a")

    links = of_fault(findings([*traffic(), alert, other, halted], KILL)).links

    link = next(link for link in links if link.service == "engine")
    assert (link.by, link.cause, link.rule) == ("correlation", alert.id, "alert-halt")


def test_the_trace_of_the_run_links_to_its_fault() -> None:
    told = event(14, "risk", "checked", traceid="f" * 32)

    (link,) = of_fault(findings([*traffic(), told], KILL, trace="f" * 32)).links

    assert (link.by, link.confidence) == ("trace", 1.0)


def test_the_trace_in_a_traceparent_counts_as_well() -> None:
    told = event(14, "risk", "checked", traceparent=f"00-{'f' * 32}-{'1' * 16}-01")

    assert of_fault(findings([*traffic(), told], KILL, trace="f" * 32)).links[0].by == "trace"


def test_new_of_the_target_while_it_was_disturbed_is_linked_by_service_and_time() -> None:
    found = findings([*traffic(), event(12.1, "exchange", "stopping"), event(18.5, "exchange", "started")], KILL)

    assert [(link.event.type, link.by) for link in of_fault(found).links] == [("stopping", "service"), ("started", "service")]
    assert of_fault(found).seen is True


def test_an_order_that_met_the_fault_explains_what_became_of_it() -> None:
    rejected = event(13, "trading-engine", "order.rejected", correlationid="order-119")

    found = findings(
        [*traffic(without=[("exchange", 12, 18)]), rejected, event(11.95, "exchange", "order.filled", correlationid="x")], KILL
    )

    link = next(link for link in of_fault(found).links if link.event.type == "order.rejected")
    assert link.by == "correlation"


# What the report answers


def test_a_target_that_fell_silent_was_seen_disturbed() -> None:
    trail = of_fault(findings(traffic(without=[("exchange", 12, 18)]), KILL))

    (silence,) = trail.silences
    assert trail.seen is True
    assert (silence.service, silence.end) == ("exchange", at(18.05))
    assert trail.normal == at(18.05)


def test_a_target_that_told_as_much_as_before_was_not_seen_disturbed() -> None:
    trail = of_fault(findings(traffic(), KILL))

    assert trail.seen is False
    assert trail.normal is None


def test_of_a_target_that_tells_nothing_nobody_can_say() -> None:
    quiet = [told for told in traffic() if told.source != "exchange"]

    assert of_fault(findings(quiet, KILL)).seen is None


def test_a_target_that_stays_silent_is_not_normal_again() -> None:
    trail = of_fault(findings(traffic(without=[("exchange", 12, 99)]), KILL))

    assert trail.silences[0].end is None
    assert trail.normal is None


def test_keys_that_met_the_fault_are_told_with_what_became_of_them() -> None:
    lost = traffic(without=[("exchange", 12, 18)])
    filled_late = event(18.1, "exchange", "order.filled", "late", correlationid="order-125")

    trail = of_fault(findings([*lost, filled_late], KILL))

    assert {fate.type for fate in trail.fates} == {"order.filled"}
    late = trail.fates[0]
    assert "order-125" in late.samples
    assert late.open is False


def test_a_key_that_was_under_way_and_never_ended_is_open() -> None:
    told = [event(11.99, "exchange", "order.taken", correlationid="stuck"), *traffic()]

    fates = of_fault(findings(told, KILL)).fates

    assert [(fate.keys, fate.samples) for fate in fates if fate.open] == [(1, ("stuck",))]


# What nothing explains


def test_a_silence_outside_of_every_fault_is_unexplained() -> None:
    found = beside(findings(traffic(without=[("exchange", 24, 27)]), KILL))

    (odd,) = found.unexplained
    assert (odd.what, odd.service) == ("silence", "exchange")
    assert odd.at == at(24 - 0.05) + timedelta(seconds=1)


def test_a_silence_in_a_fault_is_explained() -> None:
    assert beside(findings(traffic(without=[("trading-engine", 13, 16)]), KILL)).unexplained_count == 0


def test_sequence_numbers_that_are_left_out_are_counted() -> None:
    numbered = [event(20 + n / 10, "risk", "position", sequence=str(n)) for n in range(10) if n != 4]

    found = beside(findings([*traffic(), *(event(1, "risk", "position"),), *numbered], KILL))

    assert [(odd.what, odd.count) for odd in found.unexplained] == [("sequence", 1)]
    assert next(source.missing for source in found.sources if source.source == "risk") == 1


def test_a_number_that_comes_late_is_out_of_order_and_not_missing() -> None:
    numbers = [0, 1, 3, 2, 4]
    numbered = [event(20 + n / 10, "risk", "position", f"p{number}", sequence=number) for n, number in enumerate(numbers)]

    found = beside(findings([*traffic(), event(1, "risk", "position"), *numbered], KILL))

    risk = next(source for source in found.sources if source.source == "risk")
    assert (risk.missing, risk.reordered) == (0, 1)


def test_numbers_that_begin_anew_are_those_of_a_source_that_did() -> None:
    numbered = [event(20 + n / 10, "risk", "position", f"p{n}", sequence=number) for n, number in enumerate([7, 8, 9, 0, 1, 2])]

    risk = next(s for s in beside(findings([*traffic(), event(1, "risk", "position"), *numbered], KILL)).sources if s.source == "risk")

    assert (risk.missing, risk.reordered) == (0, 0)


def test_an_event_that_comes_twice_counts_once() -> None:
    twice = [event(second, "exchange", "order.filled", "same", correlationid="order-200") for second in (20.04, 20.06)]

    found = beside(findings([*traffic(), *twice], KILL))

    assert next(source.duplicates for source in found.sources if source.source == "exchange") == 1
    assert [odd.what for odd in found.unexplained] == ["duplicate"]


def test_a_clock_that_goes_ahead_or_back_is_told() -> None:
    ahead = timedelta(seconds=5)
    told = [event(n, "risk", "position", f"p{n}", time=(at(n) + (ahead if n > 20 else ZERO) - MS).isoformat()) for n in range(1, 30)]
    back = [event(n + 0.5, "exchange", "quote", f"q{n}", time=at(n if n < 20 else n - 5).isoformat()) for n in range(1, 30)]

    found = beside(findings([*traffic(), *told, *back], KILL))

    assert ("clock", "risk") in {(odd.what, odd.service) for odd in found.unexplained}
    assert next(source.reordered for source in found.sources if source.source == "exchange") == 1


def test_what_services_tell_as_they_are_stopped_needs_no_explanation() -> None:
    assert beside(findings([*traffic(), event(36.5, "exchange", "stopping")], KILL, until=38)).unexplained_count == 0


def test_without_a_time_before_the_first_fault_nobody_can_say_what_is_ordinary() -> None:
    state = journal(("kill", -0.2, 5))
    trail = Trail(SYSTEM.event_names(), SYSTEM.spec.correlation)
    for one in traffic():
        trail.see(one)

    found = Findings(trail, state, at(36)).beside(1, (), final=True, gap=False)

    assert found.baseline is None
    assert found.unexplained_count == 0


def test_what_follows_from_no_fault_is_a_chain_of_its_own() -> None:
    alert = event(25, "risk", "alert", data={"kind": "margin"})
    found = beside(findings([*traffic(), alert, event(26, "trading-engine", "halted")], KILL))

    (chain,) = found.chains
    assert (chain.root.id, [link.event.type for link in chain.links]) == (alert.id, ["halted"])
    assert [odd.text.split(" ")[0] for odd in found.unexplained] == ["alert"]


def test_many_that_are_alike_are_told_once_with_their_number() -> None:
    alerts = [event(13 + n / 100, "risk", "alert", f"a{n}", **ALERT) for n in range(50)]

    trail = of_fault(findings([*traffic(), *alerts], KILL))

    (link,) = trail.links
    assert (link.alike, trail.followed, link.event.id) == (50, 50, "a0")


# What claims count


def judged(
    claim: dict[str, Any], found: Findings, opens: float = 10, closes: float = 30, *, gap: bool = False
) -> tuple[Verdict, Reason | None] | None:
    a_claim = CorrelationClaim.model_validate({"id": "c", "type": "correlation", **claim})
    window = Window(at(opens), at(closes))
    seen = counted(found, "c", a_claim, (at(opens), at(closes)), 1, through=9, gap=gap)
    judgement = a_claim.judge(History(window=window, services={}, faults={}, matched=seen, matched_evidence="e"))
    assert judgement is None or judgement.verdict is not Verdict.PASSED or judgement.evidence == ("e",)
    return (judgement.verdict, judgement.reason) if judgement is not None else None


LINKED = (14, "risk", "alert")
INCONCLUSIVE = (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)
FAILED, PASSED = (Verdict.FAILED, Reason.CLAIM_FAILED), (Verdict.PASSED, None)


@pytest.mark.parametrize(
    ("claim", "events", "expected"),
    [
        ({"rule": "chaos-alert"}, [], FAILED),
        ({"rule": "chaos-alert"}, [event(35, "risk", "alert", **ALERT)], FAILED),
        ({"rule": "chaos-alert"}, [event(11, "risk", "alert", **ALERT)], FAILED),
        ({"rule": "chaos-alert"}, [event(14, "engine", "alert", **ALERT)], FAILED),
        ({"rule": "chaos-alert"}, [event(n, "risk", "alert", **ALERT) for n in range(1, 30)], FAILED),
        (
            {"rule": "chaos-alert", "at_least": 2},
            [event(14, "risk", "alert", "one", **ALERT), event(15, "risk", "alert", "one", **ALERT)],
            FAILED,
        ),
        ({"rule": "chaos-alert", "confidence": 0.96}, [event(14, "risk", "alert", **ALERT)], FAILED),
        ({"rule": "chaos-alert", "fault": "halt"}, [event(14, "risk", "alert", **ALERT)], FAILED),
        ({"rule": "chaos-alert", "never": True}, [event(14, "risk", "alert", **ALERT)], FAILED),
        ({"rule": "chaos-alert", "fault": "kill"}, [event(14, "risk", "alert", **ALERT)], PASSED),
        ({"at_least": 1, "confidence": 0.95}, [event(14, "risk", "alert", **ALERT)], PASSED),
        ({"rule": "chaos-alert", "never": True}, [], PASSED),
        ({"unexplained": 0}, [], PASSED),
        ({"unexplained": 0}, [event(14, "risk", "odd")], FAILED),
        ({"unexplained": 1}, [event(14, "risk", "odd")], PASSED),
        ({"unexplained": 0}, [event(33, "risk", "odd")], PASSED),
    ],
)
def test_what_a_claim_comes_to(claim: dict[str, Any], events: list[ServiceEvent], expected: tuple[Verdict, Reason | None]) -> None:
    assert judged(claim, findings([*traffic(), *events], KILL)) == expected


@pytest.mark.parametrize("claim", [{"rule": "chaos-alert"}, {"rule": "chaos-alert", "never": True}, {"unexplained": 0}])
def test_nothing_passes_where_nothing_was_seen(claim: dict[str, Any]) -> None:
    assert judged(claim, findings([], KILL)) == INCONCLUSIVE
    assert judged(claim, findings(traffic(), KILL), gap=True) == (Verdict.INCONCLUSIVE, Reason.GAP)


@pytest.mark.parametrize("claim", [{"rule": "chaos-alert"}, {"rule": "chaos-alert", "never": True}, {"unexplained": 0}])
def test_nothing_passes_if_nobody_knows_what_is_ordinary(claim: dict[str, Any]) -> None:
    late = [told for told in traffic() if told.at >= at(12)]

    assert judged(claim, findings(late, KILL)) == INCONCLUSIVE


def test_only_claims_whose_windows_are_over_are_counted() -> None:
    claims = [{"id": "early", "type": "correlation", "unexplained": 0}, {"id": "late", "type": "correlation", "unexplained": 0}]
    spec = {"system": "shop", "phases": [{"name": "p", "duration": "1s", "assertions": claims}]}
    windows = {"early": Window(at(1), at(5)), "late": Window(at(1))}
    counting = Counting(
        Scenario.model_validate({"metadata": {"name": "s"}, "spec": spec}, strict=False), lambda claim, _: windows[claim.id]
    )

    assert [name for name, *_ in counting.over(at(9))] == ["early"]
    assert list(counting.over(at(4))) == []


def test_what_is_out_of_the_window_hides_nothing_in_it() -> None:
    odd = [event(second, "risk", "odd") for second in (20, 27, 28)]

    found = findings([*traffic(), *odd], KILL)

    assert judged({"unexplained": 0}, found, 25, 30) == FAILED
    assert judged({"unexplained": 1}, found, 25, 30) == FAILED
    assert judged({"unexplained": 2}, found, 25, 30) == PASSED


@pytest.mark.parametrize(("opens", "closes"), [(0, 10), (8, 11.9)])
def test_before_the_first_fault_nothing_is_looked_at(opens: float, closes: float) -> None:
    assert judged({"unexplained": 0}, findings([*traffic(), event(8, "risk", "odd")], KILL), opens, closes) == INCONCLUSIVE


def test_without_any_fault_nothing_is_looked_at() -> None:
    assert judged({"unexplained": 0}, findings(traffic())) == INCONCLUSIVE


def test_more_than_is_kept_is_no_reason_to_pass() -> None:
    flood = [event(13 + n / 1000, "exchange", "flood", f"f{n}") for n in range(2000)]
    late = [event(24 + n / 1000, "exchange", "flood", f"l{n}") for n in range(300)]

    assert judged({"unexplained": 0}, findings([*traffic(), *flood, *late], KILL), 20, 30) == (Verdict.INCONCLUSIVE, Reason.GAP)


def test_more_than_a_rule_keeps_is_no_reason_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.correlation.trail.KEPT_FOR_RULES", 5)
    alerts = [event(second, "risk", "alert", f"a{second}", **ALERT) for second in range(1, 12)]
    late = [event(14, "risk", "alert", **ALERT), event(15, "trading-engine", "halted")]

    assert judged({"rule": "alert-halt", "never": True}, findings([*traffic(), *alerts, *late], KILL)) == (Verdict.INCONCLUSIVE, Reason.GAP)


def test_a_rule_that_cannot_be_evaluated_is_no_reason_to_pass() -> None:
    bare = event(14, "risk", "alert")

    assert judged({"rule": "chaos-alert", "never": True}, findings([*traffic(), bare], KILL)) == (Verdict.INCONCLUSIVE, Reason.JUDGE_ERROR)


def test_a_silence_that_began_before_its_fault_is_not_explained_by_it() -> None:
    found = findings(traffic(without=[("exchange", 9.5, 99)]), HALT)

    assert of_fault(found, "halt").silences == ()
    assert [odd.what for odd in beside(found).unexplained] == []  # it became one before the first fault, when nothing is looked at
    late = findings(traffic(without=[("exchange", 20, 99)]), ("kill", 12, 14), ("halt", 28, 29))
    assert [(odd.what, odd.service) for odd in beside(late).unexplained] == [("silence", "exchange")]


def test_a_great_hole_in_a_fault_hides_no_other_after_it() -> None:
    numbers = [(11, 1), (13, 20_000), (24, 21_000)]
    numbered = [event(second, "risk", "position", f"p{number}", sequence=number) for second, number in numbers]

    found = findings([*traffic(), event(1, "risk", "position"), *numbered], KILL)

    assert next(source.missing for source in beside(found).sources if source.source == "risk") == 19_998 + 999
    assert [(odd.what, odd.count) for odd in beside(found).unexplained] == [("sequence", 999)]
    assert judged({"unexplained": 0}, found, 20, 30) == FAILED


def test_what_cannot_be_read_is_unexplained() -> None:
    trail = Trail(SYSTEM.event_names(), SYSTEM.spec.correlation)
    for one in traffic():
        trail.see(one)
    trail.refuse(at(15))
    trail.refuse(at(25))

    (odd,) = Findings(trail, journal(KILL), at(36)).beside(1, (), final=True, gap=False).unexplained

    assert (odd.what, odd.count, odd.at) == ("unreadable", 1, at(25))


def test_two_sources_of_a_service_may_have_the_same_ids() -> None:
    twice = [event(20, "engine", "order.submitted", "1", sequence=1), event(20.1, "trading-engine", "order.submitted", "1", sequence=501)]

    assert beside(findings([*traffic(), *twice], KILL)).unexplained_count == 0


@pytest.mark.parametrize("key", ["\ud800x", "k" * 513, 7, None])
def test_a_key_that_cannot_be_stored_is_none(key: Any) -> None:
    found = findings([*traffic(), event(19, "risk", "cleared", correlationid=key)], KILL)

    (link,) = of_fault(found).links
    assert link.event.key is None
    assert of_fault(found).model_dump_json()


def test_a_key_whose_events_come_out_of_order_has_the_newest_as_its_last() -> None:
    trail = Trail(SYSTEM.event_names(), SYSTEM.spec.correlation)
    trail.see(event(13, "exchange", "order.filled", correlationid="o"))
    trail.see(event(12.9, "trading-engine", "order.submitted", correlationid="o"))

    assert (trail.flows["o"].kind, trail.flows["o"].first) == (("exchange", "order.filled"), at(12.9))


def test_too_little_time_before_the_first_fault_teaches_nothing() -> None:
    state = journal(("kill", 0.5, 5))
    trail = Trail(SYSTEM.event_names(), SYSTEM.spec.correlation)
    for one in traffic():
        trail.see(one)

    assert Findings(trail, state, at(36)).baseline is None
