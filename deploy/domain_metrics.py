"""The domain's metrics for Prometheus: what the actors of this host did in runs, and what is on right now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bus.journal import Line
from deploy.measures import Measure, measures
from deploy.watching import Watch, Watched, Whose

PREFIX = "test_coordinator_"
LIMIT = 200
"""How many sets of names one metric has; what comes then is counted under `other`."""
OTHER = "other"
_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SHORT = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)
_LONG = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a metric is. `free` labels hold names that people chose; the others have few values by nature."""

    help: str
    labels: tuple[str, ...]
    free: frozenset[str] = frozenset()
    buckets: tuple[float, ...] | None = None
    """None: a counter."""


_SCENARIO, _SERVICE = frozenset({"scenario_name", "phase_name"}), frozenset({"service"})
_FAULT = ("service", "action_type")
KINDS: Mapping[str, Kind] = {
    "scenarios_executed": Kind("Runs that are over, by how they ended.", ("scenario_name", "status"), _SCENARIO),
    "runs": Kind("Runs that are over, by verdict and reason.", ("verdict", "reason")),
    "scenario_duration_seconds": Kind("How long each phase took.", ("scenario_name", "phase_name"), _SCENARIO, _LONG),
    "run_duration_seconds": Kind("From a run's start to its verdict.", ("scenario_name",), _SCENARIO, _LONG),
    "assertion_results": Kind("Claims that were judged.", ("assertion_type", "result")),
    "assertion_validation_time_seconds": Kind(
        "From the end of a claim's window to its judgement, if it was judged after it.", ("assertion_type",), buckets=_SHORT
    ),
    "chaos_actions": Kind("Actions on targets, by what came of them.", (*_FAULT, "status"), _SERVICE),
    "chaos_duration_seconds": Kind("From a fault's injection to its undo.", _FAULT, _SERVICE, _LONG),
    "coordination_latency_seconds": Kind("From the request for a fault to its being armed, and injected.", ("moment",), buckets=_QUICK),
    "rollback_triggered": Kind("Faults whose undo was triggered, by what triggered it.", ("reason",)),
    "revert_seconds": Kind("From the request for an undo to its confirmation.", _FAULT, _SERVICE, _SHORT),
    "revert_failures": Kind("Undos that were given up.", _FAULT, _SERVICE),
    "system_recovery_time_seconds": Kind(
        "From the start of a fault to a healthy target, as recovery claims measured it.", ("scenario_name",), _SCENARIO, _LONG
    ),
    "service_samples": Kind("Health samples, missed ones counted as bad.", ("service", "during_chaos", "result"), _SERVICE),
    "observation_gaps": Kind("Stretches that the observer did not see.", ("source",)),
    "report_seconds": Kind("From a run's verdict to its report.", (), buckets=_SHORT),
    "dead_letters": Kind("Events that a handler failed on for good.", ("actor",)),
}


class DomainMetrics:
    """Counts what this process wrote, so that sums over all hosts count everything once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._counters = {name: self._counter(name, kind) for name, kind in KINDS.items() if kind.buckets is None}
        self._histograms = {name: self._histogram(name, kind) for name, kind in KINDS.items() if kind.buckets is not None}
        self._known: dict[str, set[tuple[str, ...]]] = {name: set() for name in KINDS}

    def show(self, watch: Watch) -> None:
        """Show what is on right now as well, as the watch knows it."""
        self._registry.register(_Now(watch, self._counters["service_samples"]))

    def recorded(self, line: Line, run: Watched, whose: Whose) -> None:
        if whose is Whose.OURS:
            for measure in measures(run.state, line):
                self.count(measure)

    def forgotten(self, run: str) -> None:
        """Counters outlive runs."""

    def count(self, measure: Measure) -> None:
        """Take in one figure."""
        labels = self._bounded(measure)
        counter = self._counters.get(measure.name)
        if counter is not None:
            (counter.labels(*labels) if labels else counter).inc(measure.value)
        else:
            histogram = self._histograms[measure.name]
            (histogram.labels(*labels) if labels else histogram).observe(measure.value)

    def _bounded(self, measure: Measure) -> tuple[str, ...]:
        kind, known = KINDS[measure.name], self._known[measure.name]
        names = tuple(value for label, value in zip(kind.labels, measure.labels, strict=True) if label in kind.free)
        if names in known or len(known) < LIMIT:
            known.add(names)
            return measure.labels
        return tuple(OTHER if label in kind.free else value for label, value in zip(kind.labels, measure.labels, strict=True))

    def _counter(self, name: str, kind: Kind) -> Counter:
        return Counter(PREFIX + name, kind.help, kind.labels, registry=self._registry)

    def _histogram(self, name: str, kind: Kind) -> Histogram:
        return Histogram(PREFIX + name, kind.help, kind.labels, registry=self._registry, buckets=kind.buckets or ())


class _Now(Collector):
    """Gauges: states of the namespace, which every host that shows them sees alike; so the greatest counts, not the sum."""

    def __init__(self, watch: Watch, samples: Counter) -> None:
        self._watch = watch
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        if "scheduler" in self._watch.actors:
            unfinished = sum(state.finished is None for state in self._watch.states())
            yield GaugeMetricFamily(f"{PREFIX}open_runs", "Runs that are accepted and not finished.", unfinished)
        if "chaos-injector" in self._watch.actors:
            yield from self._faults()
        if "observer" in self._watch.actors:
            yield self._availability()

    def _faults(self) -> Iterable[Metric]:
        active = [fault for state in self._watch.states() for fault in state.actions.faults().values() if fault.active]
        yield GaugeMetricFamily(f"{PREFIX}active_faults", "Faults that are armed and not undone.", len(active))
        now = self._watch.now()
        age = max(((now - fault.armed_at).total_seconds() for fault in active if fault.armed_at is not None), default=0.0)
        yield GaugeMetricFamily(
            f"{PREFIX}lease_age_seconds", "Since the oldest lease that still holds was made; 0 without one.", max(age, 0.0)
        )

    def _availability(self) -> Metric:
        """From the same counts as the samples."""
        counts: dict[tuple[str, str], dict[str, float]] = {}
        for sample in (sample for metric in self._samples.collect() for sample in metric.samples if sample.name.endswith("_total")):
            counts.setdefault((sample.labels["service"], sample.labels["during_chaos"]), {})[sample.labels["result"]] = sample.value
        told = "Share of good health samples since this process started."
        gauge = GaugeMetricFamily(f"{PREFIX}service_availability", told, labels=("service", "during_chaos"))
        for (service, during), results in counts.items():
            total = sum(results.values())
            if total:
                gauge.add_metric([service, during], results.get("good", 0.0) / total)
        return gauge
