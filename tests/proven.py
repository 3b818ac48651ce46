"""One run in which a claim of every type passes, line by line, and what each claim rests on. The observer's own folds play its part.

To prove a new type: its claim into `CLAIMS` and what it looks at into `looked` (or `SENT`) here, and what it rests on into `RESTS`
of `test_claims_proven.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actors.observer.comparing import Tried
from actors.observer.recalling import Recalling
from messages.claims import Judgement, ServiceEvent
from messages.events import RunEvent
from messages.expressions import Bindings
from messages.fault_events import FaultArmed, FaultEffective, FaultGone, FaultInjected, FaultReverted
from messages.histogram import Histogram
from messages.measurements import AnswerSeen, KeysListed, LogMatched, MetricSampled, SetRead, TraceMatched
from messages.observations import ObservedUntil, OperationsSeen, ProbeSummary, RoleSeen, ServiceDown, ServiceUp
from messages.run_events import ActionRequested, AssertionOpened, PhaseFinished, PhaseStarted, RunAccepted, RunStarted
from messages.scenario import Scenario
from messages.successes import Successes
from messages.system import System
from messages.undo import Undo
from runs.judging import Evidence, judge
from tests.recorded import MS, RUN, Line, at, lined

Told = list[tuple[float, RunEvent]]

SYSTEM = System.model_validate_json("""{"metadata": {"name": "shop"}, "spec": {"events": ["shop.events.>"], "max_gap": "500ms",
  "services": {
    "web": {"driver": {"process": {"command": ["web"]}}, "health": {"tcp": {"address": "h:1"}}, "role": {"http": {"url": "http://h:1/role"}}},
    "api": {"driver": {"process": {"command": ["api"]}}, "health": {"tcp": {"address": "h:2"}}, "role": {"http": {"url": "http://h:2/role"}}}},
  "groups": {"nodes": {"members": ["web", "api"]}},
  "probes": {"quote": {"http": {"url": "http://h:1/quote"}, "rate": "10/s"}},
  "workloads": {"buyers": {"command": ["buyers"]}},
  "traces": {"listen": "127.0.0.1:14317"},
  "correlation": {"rules": [{"name": "restart-fills", "trigger": {"service": "test-coordinator", "type": "chaos_injection_started"},
    "effect": {"service": "web", "type": "order.filled"}, "max_delay": "2s"}]}}}""")

_ASKED = {"url": "http://h:2/", "every": "200ms"}
_CALLED = {"type": "grpc", "address": "h:2", "method": "shop.Orders/Count", "every": "200ms"}
_SCRAPED = {"type": "metric", "url": "http://h:2/metrics", "every": "200ms"}
_KEYED = {"type": "continuity", "key": "event.data.order_id", "opened_by": "order.submitted", "closed_by": "order.filled"}
_ORDERS = {"type": "set", "workload": "buyers", "read": {"http": {"url": "http://h:2/orders"}}}
CLAIMS: dict[str, dict[str, Any]] = {
    "event": {"type": "event", "where": "event.type == 'order.filled'", "at_least": 2},
    "event-never": {"type": "event", "where": "event.type == 'risk.breach'", "never": True},
    "event-unlike": {"type": "event", "where": "event.type == 'risk.alert'", "unlike": "baseline", "key": "event.data.alert_id"},
    "audit": {"type": "audit", "target": "web", "sequence": ["order.submitted", "order.filled"]},
    "continuity": _KEYED,
    "latency": {"type": "latency", "probe": "quote", "percentile": 90, "at_most": "100ms", "min_samples": 30},
    "latency-compared": {"type": "latency", "probe": "quote", "percentile": 90, "compare": "baseline", "at_most": "2x", "min_samples": 20},
    "latency-of-events": {"type": "latency", "event": {"where": "event.type == 'order.filled'", "value": "event.data.took"},
                          "percentile": 50, "at_most": "100ms", "min_samples": 2},
    "slo": {"type": "slo", "workload": "buyers", "at_least": "90%", "min_samples": 30},
    "slo-compared": {"type": "slo", "probe": "quote", "compare": "baseline", "at_least": "-10pp", "min_samples": 20},
    "outage": {"type": "outage", "workload": "buyers", "at_most": "900ms"},
    "outage-of-a-probe": {"type": "outage", "probe": "quote", "at_most": "900ms"},
    "http": {"type": "http", **_ASKED, "throughout": True},
    "http-within": {"type": "http", **_ASKED, "within": "2s"},
    "http-never": {"type": "http", **_ASKED, "expect": "status == 500", "never": True},
    "http-unlike": {"type": "http", **_ASKED, "within": "2s", "unlike": "baseline", "key": "json.map(a, a.alert_id)"},
    "grpc": {**_CALLED, "throughout": True},
    "metric": {**_SCRAPED, "metric": "orders_total", "at_least": 12},
    "metric-increase": {**_SCRAPED, "metric": "orders_total", "of": "increase", "at_least": 10},
    "log": {"type": "log", "target": "web", "contains": "reconnected"},
    "log-never": {"type": "log", "target": "web", "contains": "panic", "never": True},
    "set": _ORDERS,
    "health": {"type": "health", "target": "api", "throughout": True},
    "health-within": {"type": "health", "target": "web", "after": "restart.effective", "within": "2s"},
    "recovery": {"type": "recovery", "target": "web", "of": "restart", "within": "2s", "by": "itself"},
    "correlation": {"type": "correlation", "rule": "restart-fills", "fault": "restart"},
    "expression": {"type": "expression", "expect": "faults.restart.lasted < 2.0 && faults.restart.restored_by == 'itself'"},
    "trace": {"type": "trace", "where": "span.name == 'submit'"},
    "trace-never": {"type": "trace", "where": "span.error", "never": True},
    "role": {"type": "role", "group": "nodes", "role": "leader", "exactly": 1, "throughout": True},
}  # fmt: skip
"""The claims of the phase `chaos`, from 3 s to 6 s, by their ids."""
NEVER_PASSES = {"unsupported"}
"""Types that no history makes pass."""

_ACTION = {"id": "restart", "target": "web", "action": "restart"}
SCENARIO = Scenario.model_validate({"metadata": {"name": "proof"}, "spec": {"system": "shop", "phases": [
    {"name": "baseline", "duration": "2s"},
    {"name": "chaos", "duration": "3s", "actions": [_ACTION],
     "assertions": [{"id": name, **claim} for name, claim in CLAIMS.items() if name != "recovery"]}],
    "assertions": [{"id": "recovery", **CLAIMS["recovery"]}]}}, strict=False)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A service event."""

    second: float
    id: str
    type: str
    data: dict[str, Any]
    source: str = "web"


SENT = (
    Sent(2.0, "s1", "risk.alert", {"alert_id": "old"}),
    Sent(3.4, "s2", "order.submitted", {"order_id": "o-1"}),
    Sent(3.6, "s3", "order.filled", {"order_id": "o-1", "took": "20ms"}),
    Sent(4.0, "s4", "risk.alert", {"alert_id": "old"}),
    Sent(4.4, "s5", "risk.alert", {"alert_id": "new"}),
    Sent(4.6, "s6", "order.submitted", {"order_id": "o-2"}, "engine"),
    Sent(4.8, "s7", "order.filled", {"order_id": "o-2", "took": "30ms"}, "engine"),
)
"""What the services told: the alert that was there before comes again, and a new one."""


def frame() -> Told:
    """What scheduler and injector wrote."""
    opened = [(3.01, AssertionOpened(assertion=n, claim=c, phase="chaos", opens=at(3))) for n, (c, p) in SCENARIO.claims().items() if p]
    recovery, action = SCENARIO.claims()["recovery"][0], SCENARIO.spec.phases[1].actions[0]
    undo = Undo(kind="process.start", service="web")
    return [
        (-0.1, RunAccepted(key="shop", scenario=SCENARIO, system=SYSTEM, submitted=at(-0.2))),
        (0, RunStarted()),
        (1, PhaseStarted(phase="baseline", kind="phase")),
        (3, PhaseFinished(phase="baseline", kind="phase")),
        (3, PhaseStarted(phase="chaos", kind="phase")),
        *opened,
        (3.2, ActionRequested(fault_id="restart", phase="chaos", target="web", action=action)),
        (3.21, AssertionOpened(assertion="recovery", claim=recovery, opens=at(3.2))),
        (3.22, FaultArmed(fault_id="restart", target="web", action="restart", until=at(16), undo=undo)),
        (3.3, FaultInjected(fault_id="restart", took=20 * MS, ago=5 * MS)),
        (3.35, FaultEffective(fault_id="restart", how="new process", ago=5 * MS)),
        (3.4, FaultReverted(fault_id="restart", took=4 * MS, ago=1 * MS, by="itself")),
        (4.06, FaultGone(fault_id="restart", restored_by="itself", ago=5 * MS)),
        (6, PhaseFinished(phase="chaos", kind="phase")),
        (6.001, PhaseStarted(phase="recover", kind="recover")),
        (7, PhaseFinished(phase="recover", kind="recover")),
    ]


def looked() -> Told:
    """What the observer saw beside service events."""
    edges = ((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7))
    asked = [name for name, claim in CLAIMS.items() if claim["type"] in {"http", "grpc"}]
    return [
        *_health(edges),
        *((end + 0.06, _probe(start, end)) for start, end in edges),
        *((end + 0.07, _worked(start, end)) for start, end in edges),
        *((3.05, _answer(name)) for name in asked),
        (3.02, KeysListed(assertion="http-unlike", start=at(1.1), end=at(2.9), answers=9, keys=("alert_001",))),
        *((end + 0.08, _answers(name, start, end)) for name in asked for start, end in edges[2:5]),
        *(line for name in ("metric", "metric-increase") for line in _scraped(name)),
        *((end + 0.09, _log(name, start, end)) for name in ("log", "log-never") for start, end in edges[2:5]),
        *((end + 0.095, _spans(name, start, end)) for name in ("trace", "trace-never") for start, end in edges[2:5]),
        (6.3, read_back(OPERATIONS, ITEMS)),
        *_roles(),
        (6.2, ObservedUntil(stage="chaos", number=1, probes=at(6.1), events=at(6.1), told=at(6.1), kind="end")),
        (7.2, ObservedUntil(stage="recover", number=1, probes=at(7.1), events=at(7.1), told=at(7.1), kind="end")),
    ]


def _health(edges: Iterable[tuple[int, int]]) -> Told:
    up = [(0.5, ServiceUp(service=name, number=1, ago=20 * MS, error_bound=200 * MS)) for name in ("web", "api")]
    down = ServiceDown(service="web", number=2, ago=10 * MS, error_bound=200 * MS, took=2 * MS, check="tcp", error="refused")
    again = ServiceUp(service="web", number=3, ago=10 * MS, error_bound=200 * MS)
    sampled = [
        (end + 0.05, ProbeSummary(probe=name, start=at(start), end=at(end), count=5, ok=5 - bad, failed=bad, missed=0, slowest=MS))
        for start, end in edges
        for name, bad in (("web", 3 if start == 3 else 0), ("api", 0))
    ]
    return [*up, (3.5, down), (4.05, again), *sampled]


def _probe(start: int, end: int) -> ProbeSummary:
    good = Successes.of(at(start), [at(start + tenth / 10) for tenth in range(10)])
    timed = Histogram.of([10 * MS] * 10)
    return ProbeSummary(
        probe="quote", start=at(start), end=at(end), count=10, ok=10, failed=0, missed=0, slowest=10 * MS, latency=timed, successes=good
    )


def _worked(start: int, end: int) -> OperationsSeen:
    good = Successes.of(at(start), [at(start + tenth / 10) for tenth in range(10)])
    timed = Histogram.of([10 * MS] * 10)
    return OperationsSeen(workload="buyers", start=at(start), end=at(end), ok=10, failed=0, unknown=0, latency=timed, successes=good)


def _answer(name: str) -> AnswerSeen:
    good = name != "http-never"
    got = "" if good else "status 200, expected status == 500"
    return AnswerSeen(assertion=name, number=1, ok=good, ago=10 * MS, error_bound=200 * MS, took=2 * MS, got=got)


def _answers(name: str, start: int, end: int) -> ProbeSummary:
    ok = 0 if name == "http-never" else 5
    return ProbeSummary(probe=name, start=at(start), end=at(end), count=5, ok=ok, failed=5 - ok, missed=0, slowest=MS)


def _scraped(name: str) -> Told:
    """Every 400 ms; the last of the window counts."""
    moments = [(3.1 + 0.4 * number, {"orders_total": float(round(2 + 1.6 * number))}) for number in range(8)]
    return [(second + 0.02, MetricSampled(assertion=name, at=at(second), took=MS, series=series)) for second, series in moments]


def _log(name: str, start: int, end: int) -> LogMatched:
    found = name == "log" and start == 4
    told = {"count": 1, "first": at(4.5), "last": at(4.5), "samples": ("reconnected",)} if found else {"count": 0}
    return LogMatched.model_validate({"assertion": name, "start": at(start), "end": at(end), "lines": 3, **told})


def _spans(name: str, start: int, end: int) -> TraceMatched:
    found = name == "trace" and start == 4
    told = {"count": 1, "first": at(4.5), "last": at(4.5), "samples": ("submit of web, 2ms",)} if found else {"count": 0}
    return TraceMatched.model_validate({"assertion": name, "start": at(start), "end": at(end), "spans": 5, **told})


OPERATIONS = tuple(f'{{"op": "buy", "id": "{number}", "outcome": "ok"}}'.encode() for number in range(3))
ITEMS = ("0", "1", "2")
"""What the workload said, and what is there."""


def read_back(said: Sequence[bytes], items: Sequence[str]) -> SetRead:
    """What the observer finds, by its own comparison."""
    tried = Tried(None)
    for line in said:
        tried.see(line)
    return SetRead(assertion="set", at=at(6.1), took=MS, **tried.compared(items))


def _roles() -> Told:
    """The lead goes from one to the other and back."""
    changes = (
        (0.6, "web", "leader"), (0.61, "api", "follower"), (3.41, "web", "follower"), (3.42, "api", "leader"),
        (5.31, "api", "follower"), (5.32, "web", "leader"),
    )  # fmt: skip
    numbers = {"web": 0, "api": 0}
    told: Told = []
    for second, name, role in changes:
        numbers[name] += 1
        bound = None if numbers[name] == 1 else 500 * MS
        told.append((second, RoleSeen(service=name, number=numbers[name], role=role, ago=MS, error_bound=bound)))
    return told


def matched(sent: Sequence[Sent]) -> Told:
    """What the observer's own matching finds in these events."""
    view = Evidence(RUN)
    for line in lined(sorted(frame(), key=lambda told: told[0])):
        view.apply(line)
    recalling = Recalling(view.state, SCENARIO)
    for number, event in enumerate(sorted(sent, key=lambda e: e.second), start=1):
        values = {"id": event.id, "type": event.type, "source": event.source, "data": event.data}
        bindings = Bindings({"event": values})
        recalling.see(at(event.second), ServiceEvent(event.id, event.type, event.source, number, at(event.second), bindings))
    return [(6.1, found) for found in recalling.matched().values()]


def journal(sent: Sequence[Sent] = SENT, *, read: SetRead | None = None) -> list[Line]:
    """The run's lines, if the services told this and this was there."""
    told = sorted([*frame(), *looked(), *matched(sent)], key=lambda line: line[0])
    lines = lined(told)
    return [replace(line, event=read) if read is not None and isinstance(line.event, SetRead) else line for line in lines]


def judgements(lines: Iterable[Line]) -> dict[str, Judgement]:
    """What is said of each claim, at the first watermark or match at which it can be, as its validator would."""
    view, found = Evidence(RUN), dict[str, Judgement]()
    for line in lines:
        view.apply(line)
        if isinstance(line.event, ObservedUntil | SetRead):
            _judge(view, found)
    _judge(view, found)
    return found


def _judge(view: Evidence, found: dict[str, Judgement]) -> None:
    for name, assertion in view.state.assertions.items():
        said = judge(view.state, view.seen, assertion) if name not in found else None
        if said is not None:
            found[name] = said
