"""Two runs beside each other: verdicts, recovery times, latencies, events. A pure function of their journals."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Literal

from messages.histogram import Histogram
from messages.observations import OperationsSeen, ProbeSummary
from messages.values import Duration, Message
from messages.verdicts import Reason, Verdict
from runs.report import ReportFold
from runs.report_claims import outcome_of
from runs.report_faults import faults_of
from runs.report_values import Outcome
from runs.state import RunState, StageState
from runs.verdict import not_reached

Change = Literal["same", "better", "worse", "only first", "only second"]
_RANK: dict[Outcome, int] = {
    "passed": 0, "needs_fault": 0, "control": 0, "not_reached": 1, "not_judged": 1, "vacuous": 1, "inconclusive": 1, "failed": 2,
}  # fmt: skip
"""What a claim is without its fault is no worse than what it is with it."""
Figure = Duration | int | str


class Side(Message):
    """One of the two runs."""

    run_id: str
    scenario: str
    system: str
    verdict: Verdict
    reason: Reason | None
    message: str


class AssertionPair(Message):
    """What became of a claim in both; None where the run did not have it."""

    assertion: str
    change: Change
    first: Outcome | None
    second: Outcome | None
    first_measured: dict[str, Figure] = {}
    second_measured: dict[str, Figure] = {}
    other_claim: bool = False
    """The claims of this id say different things in the two runs."""


class RecoveryPair(Message):
    """How long a fault's target took to recover, from the driver's call; seconds, None where it is not known."""

    action: str
    target: str
    number: int
    """Which of several such faults, from 1."""
    change: Change
    """Of being there, not of the time."""
    first: float | None
    second: float | None


class Spread(Message):
    """How long samples took; seconds. Without a histogram (health is kept without) the slowest alone is known.

    Of a probe those that failed are in it, as slow as the deadline; of a workload only those that succeeded are timed.
    """

    count: int
    failed: int
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class LatencyPair(Message):
    """The samples of a probe or a workload, over the whole run or in a phase; None where there were none."""

    name: str
    kind: Literal["probe", "workload"]
    phase: str | None
    first: Spread | None
    second: Spread | None


class EventsPair(Message):
    """How many service events of a type came."""

    type: str
    first: int
    second: int


class Comparison(Message):
    """Two runs that are over."""

    first: Side
    second: Side
    verdict: Change
    assertions: tuple[AssertionPair, ...]
    recoveries: tuple[RecoveryPair, ...]
    latencies: tuple[LatencyPair, ...]
    events: tuple[EventsPair, ...]

    @property
    def is_worse(self) -> bool:
        """Whether the second run, or one of its claims, came out worse than the first."""
        return "worse" in {self.verdict, *(pair.change for pair in self.assertions)}


def compare(first: ReportFold, second: ReportFold) -> Comparison | None:
    """The second run beside the first; None if one of them is not over."""
    one, other = _side(first.state), _side(second.state)
    if one is None or other is None:
        return None
    return Comparison(
        first=one,
        second=other,
        verdict=_moved(one.verdict.rank, other.verdict.rank),
        assertions=tuple(_assertions(first.state, second.state)),
        recoveries=tuple(_recoveries(first, second)),
        latencies=tuple(_latencies(first, second)),
        events=tuple(_events(first, second)),
    )


def _side(state: RunState) -> Side | None:
    end = state.finished
    if end is None or state.accepted is None:
        return None
    return Side(
        run_id=state.id,
        scenario=state.scenario.name,
        system=state.system.name,
        verdict=end.verdict,
        reason=end.reason,
        message=end.message,
    )


def _moved(one: int, other: int) -> Change:
    return "same" if one == other else "worse" if other > one else "better"


def _outcomes(state: RunState) -> dict[str, Outcome]:
    judged = {name: outcome_of(assertion) for name, assertion in state.assertions.items()}
    return judged | dict.fromkeys(not_reached(state), outcome_of(None))


def _assertions(first: RunState, second: RunState) -> Iterable[AssertionPair]:
    one, other = _outcomes(first), _outcomes(second)
    for name in {**one, **other}:
        before, after = one.get(name), other.get(name)
        yield AssertionPair(
            assertion=name,
            change=_pair(before, after) if before is None or after is None else _moved(_RANK[before], _RANK[after]),
            first=before,
            second=after,
            first_measured=_measured(first, name),
            second_measured=_measured(second, name),
            other_claim=before is not None and after is not None and _claim(first, name) != _claim(second, name),
        )


def _pair(before: object, after: object) -> Change:
    return "only second" if before is None else "only first" if after is None else "same"


def _measured(state: RunState, name: str) -> dict[str, Figure]:
    assertion = state.assertions.get(name)
    return dict(assertion.measured) if assertion is not None else {}


def _claim(state: RunState, name: str) -> object:
    assertion = state.assertions.get(name)
    return assertion.claim if assertion is not None else state.scenario.claims().get(name, (None, None))[0]


def _recoveries(first: ReportFold, second: ReportFold) -> Iterable[RecoveryPair]:
    one, other = _recovered(first), _recovered(second)
    for key in {**one, **other}:
        action, target, number = key
        yield RecoveryPair(
            action=action,
            target=target,
            number=number,
            change=_pair(True if key in one else None, True if key in other else None),
            first=one.get(key),
            second=other.get(key),
        )


def _recovered(fold: ReportFold) -> dict[tuple[str, str, int], float | None]:
    found: dict[tuple[str, str, int], float | None] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for fault in faults_of(fold.state, fold.seen):
        what = (fault.action, fault.target)
        seen[what] += 1
        found[*what, seen[what]] = fault.time_to_recover.seconds if fault.time_to_recover is not None else None
    return found


def _latencies(first: ReportFold, second: ReportFold) -> Iterable[LatencyPair]:
    one, other = _spreads(first), _spreads(second)
    for name, kind, phase in {**one, **other}:
        key = (name, kind, phase)
        yield LatencyPair(name=name, kind=kind, phase=phase, first=one.get(key), second=other.get(key))


_Key = tuple[str, Literal["probe", "workload"], str | None]


def _spreads(fold: ReportFold) -> dict[_Key, Spread]:
    """Over the whole run, and in each phase; only where there were samples."""
    phases = [stage for stage in fold.state.stages.values() if stage.kind == "phase"]
    found: dict[_Key, Spread] = {}
    for name, summaries in sorted(fold.gathered.probes.items()):
        for phase in (None, *phases):
            found[name, "probe", phase.name if phase else None] = _of_probe([s for s in summaries if _inside(s, phase)])
    for name, seen in sorted(fold.gathered.operations.items()):
        for phase in (None, *phases):
            found[name, "workload", phase.name if phase else None] = _of_workload([s for s in seen if _inside(s, phase)])
    return {key: spread for key, spread in found.items() if spread.count}


def _inside(summary: ProbeSummary | OperationsSeen, phase: StageState | None) -> bool:
    """Summaries are cut at the ends of phases."""
    return phase is None or (summary.start >= phase.started and (phase.finished is None or summary.start < phase.finished))


def _of_probe(summaries: list[ProbeSummary]) -> Spread:
    timed = Histogram().merged(*(s.latency for s in summaries if s.latency is not None))
    failed = sum(s.failed for s in summaries)
    slowest = max((s.slowest for s in summaries), default=None)
    if failed and timed.count and slowest is not None:
        slowest = max(slowest, timed.nth(timed.count) or slowest)
    return _spread(timed, sum(s.count for s in summaries), failed, slowest)


def _of_workload(seen: list[OperationsSeen]) -> Spread:
    timed = Histogram().merged(*(s.latency for s in seen if s.latency is not None))
    bad = sum(s.failed + s.unknown for s in seen)
    return _spread(timed, bad + sum(s.ok for s in seen), bad, timed.nth(timed.count) if timed.count else None)


def _spread(timed: Histogram, count: int, failed: int, slowest: timedelta | None) -> Spread:
    p50, p95, p99 = (_seconds(timed.quantile(share)) if timed.count else None for share in (0.5, 0.95, 0.99))
    return Spread(count=count, failed=failed, p50=p50, p95=p95, p99=p99, max=_seconds(slowest))


def _seconds(length: timedelta | None) -> float | None:
    return round(length.total_seconds(), 6) if length is not None else None


def _events(first: ReportFold, second: ReportFold) -> Iterable[EventsPair]:
    one, other = _by_type(first), _by_type(second)
    return [EventsPair(type=name, first=one.get(name, 0), second=other.get(name, 0)) for name in sorted({**one, **other})]


def _by_type(fold: ReportFold) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for counted in fold.gathered.counted:
        found.update(counted.types)
    return found
