"""Prometheus metrics of one service, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from ecosystem.settings import Settings

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Metrics:
    """The metrics that every service has; its own ones are made by `counter`, `gauge` and `histogram`."""

    def __init__(self, settings: Settings) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        names = ["service", "instance", "version", "environment"]
        info = Gauge("service_info", "Constant 1; the labels say who this is", names, registry=self._registry)
        info.labels(settings.service, settings.instance, settings.version, settings.environment).set(1)
        self.events = Counter("events", "Audit events emitted", ["type"], registry=self._registry)
        self.nats_connected = Gauge("nats_connected", "1 while the service is connected to NATS", registry=self._registry)

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry)

    def histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, registry=self._registry, buckets=BUCKETS)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)
