"""A service that is traced with OpenTelemetry as its SDK comes: where its spans go, its environment says."""

import os
import signal
import time

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("traced")
stopping: list[int] = []
signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))


def work(number: int) -> None:
    """An order, and the check in it; every tenth is too slow, and refused."""
    with tracer.start_as_current_span("order", attributes={"venue": "sim", "number": number}) as order:
        with tracer.start_as_current_span("check"):
            time.sleep(0.02)
        if number % 10 == 0:
            order.set_status(trace.Status(trace.StatusCode.ERROR, "refused"))


if __name__ == "__main__":
    count = 0
    while not stopping:
        count += 1
        work(count)
        time.sleep(float(os.environ.get("PAUSE", "0.03")))
    provider.shutdown()
