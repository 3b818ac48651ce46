"""What the observer measured for claims: samples, answers over HTTP and gRPC, metrics, logs, spans and what is there; as a fold."""

from bisect import insort
from collections.abc import Iterable
from datetime import timedelta
from operator import attrgetter

from messages.checks import Probe
from messages.claims import Logged, Measured, MeasuredSpan, Sampled, Scrape, ServiceHistory, SuccessSpan, Traced, Transition
from messages.events import Recorded, RunEvent
from messages.histogram import Histogram
from messages.measurements import AnswerSeen, KeysListed, LogMatched, MetricSampled, SetRead, TraceMatched
from messages.observations import OperationsSeen, ProbeSummary, StreamGap

BY_START = attrgetter("start")
"""The order of spans, whatever the order in which they were stored: two observers may have told them."""


class Measurements:
    """A fold of what was measured in one run, by the name of the probe, the workload or the claim."""

    def __init__(self) -> None:
        self._spans: dict[str, list[MeasuredSpan]] = {}
        self._successes: dict[str, list[SuccessSpan]] = {}
        self._changes: dict[str, list[Transition]] = {}
        self._scrapes: dict[str, list[Scrape]] = {}
        self._logged: dict[str, list[Logged]] = {}
        self._traced: dict[str, list[Traced]] = {}
        self._read: dict[str, tuple[SetRead, str]] = {}
        self._listed: dict[str, tuple[KeysListed, str]] = {}

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        match recorded.event:
            case ProbeSummary() as event:
                self._see_successes(event.probe, event, event.count, recorded.evidence)
                if event.latency is not None:
                    span = MeasuredSpan(event.start, event.end, event.latency, event.failed, recorded.evidence)
                    insort(self._spans.setdefault(event.probe, []), span, key=BY_START)
            case OperationsSeen() as event:
                self._see_successes(event.workload, event, event.ok + event.failed + event.unknown, recorded.evidence)
                insort(self._spans.setdefault(event.workload, []), _operated(event, recorded.evidence), key=BY_START)
            case AnswerSeen() as event:
                self._changes.setdefault(event.assertion, []).append(_change(event, recorded))
            case MetricSampled() as event:
                scrape = Scrape(event.at, recorded.evidence, event.series, event.beyond, event.error)
                self._scrapes.setdefault(event.assertion, []).append(scrape)
            case LogMatched() as event:
                insort(self._logged.setdefault(event.assertion, []), _logged(event, recorded.evidence), key=BY_START)
            case TraceMatched() as event:
                insort(self._traced.setdefault(event.assertion, []), Traced(event, recorded.evidence), key=lambda one: one.told.start)
            case SetRead() as event:
                self._read.setdefault(event.assertion, (event, recorded.evidence))
            case KeysListed() as event:
                self._listed.setdefault(event.assertion, (event, recorded.evidence))

    def measured(self, name: str, gaps: Iterable[StreamGap], probe: Probe | None) -> Measured:
        """What a probe of the system, or without one a workload, has measured."""
        return Measured(
            tuple(self._spans.get(name, ())),
            tuple((gap.start, gap.end) for gap in gaps if gap.source == name),
            timedelta(seconds=1 / probe.rate) if probe is not None else None,
            probe.deadline if probe is not None else None,
            tuple(self._successes.get(name, ())),
        )

    def answers(self, assertion: str, samples: Iterable[Sampled]) -> ServiceHistory:
        """What a claim was answered."""
        return ServiceHistory(tuple(self._changes.get(assertion, ())), tuple(samples))

    def scrapes(self, assertion: str) -> tuple[Scrape, ...]:
        """What was scraped for a claim."""
        return tuple(self._scrapes.get(assertion, ()))

    def _see_successes(self, name: str, event: ProbeSummary | OperationsSeen, count: int, evidence: str) -> None:
        said = event.successes
        if said is not None:
            first, last = (None if offset is None else event.start + offset for offset in (said.first, said.last))
            span = SuccessSpan(event.start, event.end, count, first, last, said.longest, evidence)
            insort(self._successes.setdefault(name, []), span, key=BY_START)

    def logged(self, assertion: str) -> tuple[Logged, ...]:
        """What a claim matched of a log."""
        return tuple(self._logged.get(assertion, ()))

    def traced(self, assertion: str) -> tuple[Traced, ...]:
        """What a claim matched of the services' spans."""
        return tuple(self._traced.get(assertion, ()))

    def read(self, assertion: str) -> tuple[SetRead | None, str | None]:
        """What was read for a claim, once, and the id of the event that says so."""
        return self._read.get(assertion, (None, None))

    def listed(self, assertion: str) -> tuple[KeysListed | None, str | None]:
        """What was there before, for a claim whose answers are to be unlike it, and the id of the event that says so."""
        return self._listed.get(assertion, (None, None))


def _operated(event: OperationsSeen, evidence: str) -> MeasuredSpan:
    timed, slow = event.latency or Histogram(), event.failed + event.unknown
    untimed = max(0, event.ok - timed.count)
    return MeasuredSpan(event.start, event.end, timed, slow, evidence, beside=True, unknown=event.unknown, untimed=untimed)


def _change(event: AnswerSeen, recorded: Recorded[RunEvent]) -> Transition:
    return Transition(
        at=recorded.at - event.ago,
        up=event.ok,
        evidence=recorded.evidence,
        error=None if event.ok else event.got,
        error_bound=event.error_bound,
        took=event.took,
        asked=event.asked,
    )


def _logged(event: LogMatched, evidence: str) -> Logged:
    return Logged(
        start=event.start,
        end=event.end,
        lines=event.lines,
        count=event.count,
        evidence=evidence,
        first=event.first,
        last=event.last,
        late=event.late,
        errors=event.errors,
        error=event.error,
        samples=event.samples,
    )
