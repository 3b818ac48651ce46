"""What the observer measured for claims: the samples of probes and workloads, answers over HTTP, and scraped metrics, as a fold."""

from collections.abc import Iterable
from datetime import timedelta

from messages.claims import Measured, MeasuredSpan, Sampled, Scrape, ServiceHistory, Transition
from messages.events import Recorded, RunEvent
from messages.histogram import Histogram
from messages.measurements import AnswerSeen, MetricSampled
from messages.observations import OperationsSeen, ProbeSummary, StreamGap


class Measurements:
    """A fold of what was measured in one run, by the name of the probe, the workload or the claim."""

    def __init__(self) -> None:
        self._spans: dict[str, list[MeasuredSpan]] = {}
        self._changes: dict[str, list[Transition]] = {}
        self._scrapes: dict[str, list[Scrape]] = {}

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        match recorded.event:
            case ProbeSummary() as event if event.latency is not None:
                span = MeasuredSpan(event.start, event.end, event.latency, event.failed, recorded.evidence)
                self._spans.setdefault(event.probe, []).append(span)
            case OperationsSeen() as event:
                timed, slow = event.latency or Histogram(), event.failed + event.unknown
                self._spans.setdefault(event.workload, []).append(
                    MeasuredSpan(event.start, event.end, timed, slow, recorded.evidence, beside=True)
                )
            case AnswerSeen() as event:
                self._changes.setdefault(event.assertion, []).append(_change(event, recorded))
            case MetricSampled() as event:
                scrape = Scrape(event.at, recorded.evidence, event.series, event.beyond, event.error)
                self._scrapes.setdefault(event.assertion, []).append(scrape)

    def measured(self, name: str, gaps: Iterable[StreamGap], every: timedelta | None) -> Measured:
        """What a probe (sampled every so often) or a workload has measured."""
        return Measured(tuple(self._spans.get(name, ())), tuple((gap.start, gap.end) for gap in gaps if gap.source == name), every)

    def answers(self, assertion: str, samples: Iterable[Sampled]) -> ServiceHistory:
        """What a claim was answered."""
        return ServiceHistory(tuple(self._changes.get(assertion, ())), tuple(samples))

    def scrapes(self, assertion: str) -> tuple[Scrape, ...]:
        """What was scraped for a claim."""
        return tuple(self._scrapes.get(assertion, ()))


def _change(event: AnswerSeen, recorded: Recorded[RunEvent]) -> Transition:
    return Transition(
        at=recorded.at - event.ago,
        up=event.ok,
        evidence=recorded.evidence,
        error=None if event.ok else event.got,
        error_bound=event.error_bound,
        took=event.took,
    )
