"""Reading spans as services send them (opentelemetry-proto 1.x, `ExportTraceServiceRequest`). Loads that library."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from targets.spans import Malformed, Span

LONGEST = 1024
"""Characters of a text that are kept."""
MOST = 64
"""Attributes of a span, and of a resource, that are kept, and elements of a list or map among them."""
DEEPEST = 4
"""Lists and maps inside each other."""
TRACE_ID, SPAN_ID = 16, 8
"""Bytes."""
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES = ("unset", "ok", "error")


def spans_of(body: bytes) -> Iterator[Span]:
    """The spans of a request, one by one.

    Raises:
        Malformed: it is none, or a span has no identity.
    """
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise Malformed("this is no ExportTraceServiceRequest") from error
    for group in request.resource_spans:
        resource = _plain(group.resource.attributes)
        service = resource.get("service.name", "")
        for scope in group.scope_spans:
            for span in scope.spans:
                yield _read(span, service if isinstance(service, str) else "", resource)


def _read(span: trace_pb2.Span, service: str, resource: Mapping[str, Any]) -> Span:
    if len(span.trace_id) != TRACE_ID or len(span.span_id) != SPAN_ID or len(span.parent_span_id) not in {0, SPAN_ID}:
        raise Malformed("a span has no trace_id of 16 bytes, or no span_id of 8")
    return Span(
        name=span.name[:LONGEST],
        service=service,
        kind=_word(_KINDS, span.kind),
        duration=max(0, span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        status=_word(_STATUSES, span.status.code),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_plain(span.attributes),
        resource=resource,
    )


def _word(words: tuple[str, ...], number: int) -> str:
    return words[number] if 0 <= number < len(words) else words[0]


def _plain(pairs: Iterable[KeyValue], depth: int = 0) -> dict[str, Any]:
    return {pair.key[:LONGEST]: _value(pair.value, depth) for pair, _ in zip(pairs, range(MOST), strict=False)}


def _value(value: AnyValue, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None or depth > DEEPEST:
        return None
    if kind == "array_value":
        return [_value(one, depth + 1) for one in value.array_value.values[:MOST]]
    if kind == "kvlist_value":
        return _plain(value.kvlist_value.values, depth + 1)
    found = getattr(value, kind)
    return found[:LONGEST] if isinstance(found, str | bytes) else found
