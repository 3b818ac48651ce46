"""A service that is traced with OpenTelemetry as its SDK comes: where its spans go, its environment says. It listens once some are out."""

import os
import signal
import socket
import threading
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


def answer(listener: socket.socket) -> None:
    while True:
        listener.accept()[0].close()


if __name__ == "__main__":
    count = 1
    work(count)
    provider.force_flush()
    threading.Thread(target=answer, args=(socket.create_server(("127.0.0.1", int(os.environ["PORT"]))),), daemon=True).start()
    while not stopping:
        count += 1
        work(count)
        time.sleep(0.03)
    provider.shutdown()
