"""Exporting the traces of runs by OTLP. Nothing here can block or fail a run: what the collector does not take is counted and dropped."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bus.journal import Line
from deploy.settings import Collector, Settings
from deploy.span import Span, span_id
from deploy.spans import RunTrace
from deploy.watching import Watched, Whose
from messages.ids import traceparent_of

FLUSH_LIMIT = 2.0
"""Seconds that a process may take at its end to get rid of its last spans."""
QUEUE = 4096
"""How many spans may wait for the collector; what comes then is dropped."""
_DELAY_MS = 1000.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_log = structlog.get_logger("deploy.tracing")


class Counts(Protocol):
    """Wants to know what became of spans. Called from another thread."""

    def spans_exported(self, spans: int) -> None:
        """The collector took them."""

    def spans_lost(self, spans: int) -> None:
        """It did not, and nobody will try again."""


@asynccontextmanager
async def tracing(settings: Settings, collector: Collector, counts: Counts | None = None) -> AsyncIterator["Tracing"]:
    """Export until the block ends, which then takes 2 s at most."""
    if logging.getLogger().getEffectiveLevel() > logging.DEBUG:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it says at each attempt what we say once
    exporter = _Exporter(OTLPSpanExporter(endpoint=collector.endpoint, insecure=collector.insecure), collector.endpoint, counts)
    delay = None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else _DELAY_MS
    processor = BatchSpanProcessor(exporter, max_queue_size=QUEUE, schedule_delay_millis=delay)
    _log.info("traces.exporting", endpoint=collector.endpoint)
    try:
        yield Tracing(settings, exporter, processor)
    finally:
        await _flush(processor, exporter)


async def _flush(processor: BatchSpanProcessor, exporter: "_Exporter") -> None:
    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(asyncio.to_thread(processor.shutdown))
        _, late = await asyncio.wait({ending}, timeout=FLUSH_LIMIT)
        if late:
            exporter.shutdown()
    exporter.close()


class Tracing:
    """Hears what happens in runs, and exports what the actors of this host have completed."""

    def __init__(self, settings: Settings, exporter: "_Exporter", processor: BatchSpanProcessor) -> None:
        self._exporter = exporter
        self._processor = processor
        self._instance = settings.instance.name
        self._resource = resource(settings)
        self._scope = InstrumentationScope(settings.service_name, settings.service_version)
        self._traces: dict[str, RunTrace] = {}

    def recorded(self, line: Line, run: Watched, whose: Whose) -> None:
        trace = self._traces.get(line.run)
        if trace is None:
            trace = self._traces[line.run] = RunTrace(run.state)
        context = _Context(line.run, run.traceparent)
        for span in trace.take(line, ours=whose is not Whose.OTHERS):
            if context.sampled and self._exporter.has_room():
                self._processor.on_end(self._readable(span, context, run))

    def forgotten(self, run: str) -> None:
        self._traces.pop(run, None)

    def _readable(self, span: Span, context: "_Context", run: Watched) -> ReadableSpan:
        about = {"run.id": run.state.id, "scenario": run.state.scenario.name, "instance": self._instance, "actor": span.actor}
        return ReadableSpan(
            name=span.name,
            context=context.of(span.key),
            parent=context.of(span.parent) if span.parent is not None else context.publisher(),
            resource=self._resource,
            attributes={**about, **span.attributes},
            events=[Event(moment.name, dict(moment.attributes), _nanoseconds(moment.at)) for moment in span.moments],
            links=[Link(context.of(key)) for key in span.links],
            kind=SpanKind.INTERNAL,
            status=_status(span),
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(max(span.start, span.end)),
            instrumentation_scope=self._scope,
        )


class _Context:
    """The trace of a run: its publisher's, else one of its own."""

    def __init__(self, run: str, traceparent: str) -> None:
        self._run = run
        self._given = traceparent if traceparent != traceparent_of(run, None) else None
        _, trace, self._parent, flags = traceparent.split("-")
        self._trace = int(trace, 16)
        self._flags = TraceFlags(int(flags, 16) & TraceFlags.SAMPLED)

    @property
    def sampled(self) -> bool:
        """Whether its publisher wants it recorded."""
        return self._flags.sampled

    def of(self, key: str) -> SpanContext:
        return SpanContext(self._trace, span_id(self._run, key), is_remote=False, trace_flags=self._flags)

    def publisher(self) -> SpanContext | None:
        """The span in which the scenario was published, if its publisher said so."""
        if self._given is None:
            return None
        return SpanContext(self._trace, int(self._parent, 16), is_remote=True, trace_flags=self._flags)


class _Exporter(SpanExporter):
    """Counts, and says once when the collector is away and once when it is back. Works in the processor's thread."""

    def __init__(self, inner: OTLPSpanExporter, endpoint: str, counts: Counts | None) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._counts = counts
        self._taken = 0
        self._done = 0
        self._lost = 0
        self._away = False

    def has_room(self) -> bool:
        """Whether one more span can wait; one that cannot is lost."""
        if self._taken - self._done >= QUEUE:
            self._lose(1)
            return False
        self._taken += 1
        return True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        self._done += len(spans)
        if result is SpanExportResult.SUCCESS:
            self._exported(len(spans))
        else:
            self._lose(len(spans))
            if not self._away:
                _log.warning("traces.unexported", endpoint=self._endpoint, hint="said once; spans are dropped until it answers")
            self._away = True
        return result

    def shutdown(self) -> None:
        """End what waits, with failure."""
        self._inner.shutdown()

    def close(self) -> None:
        """Say what was lost at the end."""
        left = self._taken - self._done
        if left:
            self._lose(left)
        if self._lost:
            _log.warning("traces.lost", endpoint=self._endpoint, spans=self._lost)

    def _exported(self, spans: int) -> None:
        if self._counts is not None:
            self._counts.spans_exported(spans)
        if self._away:
            _log.info("traces.exporting", endpoint=self._endpoint, lost=self._lost)
        self._away = False

    def _lose(self, spans: int) -> None:
        self._lost += spans
        if self._counts is not None:
            self._counts.spans_lost(spans)


def resource(settings: Settings) -> Resource:
    """Who exports. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before, as everywhere."""
    ours: dict[str, str | int] = {
        "service.name": settings.service_name,
        "service.namespace": settings.instance.namespace,
        "service.instance.id": settings.instance.name,
        "service.version": settings.service_version,
        "deployment.environment.name": settings.environment,
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }
    return Resource.create(ours).merge(OTELResourceDetector().detect())


def _status(span: Span) -> Status:
    if span.error is not None:
        return Status(StatusCode.ERROR, span.error)
    return Status(StatusCode.OK) if span.good else Status(StatusCode.UNSET)


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND * 1000
