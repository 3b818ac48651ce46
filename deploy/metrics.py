"""What is measured, for Prometheus: rate, errors and duration per actor and message, and per HTTP route."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_HANDLER_BUCKETS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class PrometheusMetrics:
    """Measures into a registry of its own; every sample says which service, instance and version it comes from."""

    def __init__(self, *, service: str, instance: str, version: str) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._constant = _ConstantLabels(registry, {"service": service, "instance": instance, "version": version})
        handler = ("actor", "message")
        prefix = "test_coordinator"
        self._handled = Counter(f"{prefix}_handled", "Messages that an actor has handled.", handler, registry=registry)
        self._errors = Counter(f"{prefix}_handler_errors", "Handlers that raised.", handler, registry=registry)
        self._seconds = Histogram(
            f"{prefix}_handler_duration_seconds", "How long handlers took.", handler, registry=registry, buckets=_HANDLER_BUCKETS
        )
        self._spans = Counter(f"{prefix}_spans_exported", "Spans that the collector of traces took.", registry=registry)
        self._spans_lost = Counter(f"{prefix}_spans_lost", "Spans that it did not take.", registry=registry)
        route = ("method", "route", "code")
        self._requests = Counter("http_requests", "HTTP requests.", route, registry=registry)
        self._request_errors = Counter("http_request_errors", "HTTP requests with a status of 400 and above.", route, registry=registry)
        self._request_seconds = Histogram(
            "http_request_duration_seconds", "How long HTTP requests took.", route, registry=registry, buckets=_HTTP_BUCKETS
        )

    def handled(self, actor: str, message: str, seconds: float, *, error: bool) -> None:
        """A handler returned, or raised."""
        self._handled.labels(actor, message).inc()
        self._seconds.labels(actor, message).observe(seconds)
        if error:
            self._errors.labels(actor, message).inc()

    def spans_exported(self, spans: int) -> None:
        """The collector of traces took them."""
        self._spans.inc(spans)

    def spans_lost(self, spans: int) -> None:
        """The collector of traces did not take them, and nobody will try again."""
        self._spans_lost.inc(spans)

    def requested(self, method: str, route: str, code: int, seconds: float) -> None:
        """An HTTP request was answered. `route` is a pattern of ours, never a path that a client made up."""
        labels = (method if method in _METHODS else "OTHER", route, str(code))
        self._requests.labels(*labels).inc()
        self._request_seconds.labels(*labels).observe(seconds)
        if code >= 400:
            self._request_errors.labels(*labels).inc()

    def exposition(self) -> bytes:
        """All samples in Prometheus' text format."""
        return generate_latest(self._constant)


class _ConstantLabels(CollectorRegistry):
    """A registry as seen from outside: the same labels on every sample."""

    def __init__(self, inner: Collector, labels: dict[str, str]) -> None:
        super().__init__()
        self._inner = inner
        self._labels = labels

    def collect(self) -> Iterable[Metric]:
        for metric in self._inner.collect():
            kept = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            metric.samples = [sample._replace(labels={**self._labels, **_renamed(sample.labels)}) for sample in kept]
            yield metric


def _renamed(labels: dict[str, str]) -> dict[str, str]:
    """The `version` of `python_info` is Python's, not ours. A `service` of a sample stays: it is the one that was disturbed or probed."""
    return {"python_version" if name == "version" else name: value for name, value in labels.items()}
