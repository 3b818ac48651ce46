"""A service as the OpenTelemetry SDK makes one: its spans go out by the real exporter, OTLP over gRPC."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

SECOND = 1_000_000_000


class Traced:
    """Makes spans, and sends them when it is told to."""

    def __init__(self, endpoint: str, name: str = "engine") -> None:
        self._made = InMemorySpanExporter()
        provider = TracerProvider(resource=Resource({"service.name": name, "host": "h1"}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._made))
        self._tracer = provider.get_tracer("test")
        self._exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True, timeout=10)

    def span(self, name: str, *, parent: Span | None = None, took: float = 0.1, error: bool = False, **attributes: str | int) -> Span:
        """A span that has ended; it begins a trace if it has no parent."""
        context = set_span_in_context(parent) if parent is not None else None
        span = self._tracer.start_span(name, context=context, attributes=attributes, start_time=SECOND)
        if error:
            span.set_status(Status(StatusCode.ERROR, "no money"))
        span.end(SECOND + round(took * SECOND))
        return span

    def made(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended since the last call."""
        found = self._made.get_finished_spans()
        self._made.clear()
        return found

    async def send(self, *spans: ReadableSpan) -> None:
        """Send these, or else all that have ended since the last call; returns when they are received."""
        result = await asyncio.to_thread(self._exporter.export, spans or self.made())
        assert result is SpanExportResult.SUCCESS

    def close(self) -> None:
        self._exporter.shutdown()


@contextmanager
def traced(address: str, name: str = "engine") -> Iterator[Traced]:
    """A service that sends its spans to this address."""
    service = Traced(f"http://{address}", name)
    try:
        yield service
    finally:
        service.close()
