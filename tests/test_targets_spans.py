"""Receiving spans: the real SDK and exporter of OpenTelemetry over loopback, and requests that no SDK would send."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import grpc
import grpc.aio
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from targets import otlp, span_receiver
from targets.errors import CannotListen
from targets.otlp import spans_of
from targets.span_receiver import LARGEST, SpanReceivers
from targets.spans import Malformed, Span
from tests.otel import traced

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass
class Ear:
    """Keeps what it is given."""

    spans: list[Span] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    refused: int = 0
    within: int = 0
    """How many requests are being taken in."""
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    holds: bool = False

    async def take(self, arrived: float, spans: Sequence[Span]) -> None:
        self.within += 1
        assert self.within == 1
        if self.holds:
            await self.hold.wait()
        self.within -= 1
        self.arrived.append(arrived)
        self.spans += spans

    def refuse(self, _arrived: float) -> None:
        self.refused += 1

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]


@pytest.fixture
def address(unused_port: Callable[[], int]) -> str:
    return f"127.0.0.1:{unused_port()}"


@pytest.fixture
async def ear(address: str) -> AsyncIterator[Ear]:
    ear = Ear()
    async with SpanReceivers().listening(address, ear):
        yield ear


async def post(address: str, body: bytes) -> tuple[grpc.StatusCode, str]:
    """What the receiver answers to these bytes."""
    async with grpc.aio.insecure_channel(address, options=(("grpc.max_send_message_length", -1),)) as channel:
        try:
            await channel.unary_unary(METHOD, None, None)(body, timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def proto(**words: object) -> trace_pb2.Span:
    return trace_pb2.Span(**{"trace_id": b"t" * 16, "span_id": b"s" * 8, "name": "submit", **words})  # type: ignore[arg-type]


def request(*spans: trace_pb2.Span, resource: Resource | None = None) -> bytes:
    group = trace_pb2.ResourceSpans(resource=resource, scope_spans=[trace_pb2.ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[group]).SerializeToString()


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


async def test_what_the_sdk_says_of_a_span_is_there(ear: Ear, address: str) -> None:
    with traced(address, "trading-engine") as service:
        root = service.span("submit_order", took=1.5, venue="sim", lots=3)
        service.span("check_risk", parent=root, error=True)
        await service.send()

    first, second = ear.spans
    assert (first.name, first.service, first.kind, first.duration, first.status) == (
        "submit_order",
        "trading-engine",
        "internal",
        1.5,
        "unset",
    )
    assert (first.attributes, first.resource["host"], first.parent_id) == ({"venue": "sim", "lots": 3}, "h1", "")
    assert (second.status, second.told(None)["error"]) == ("error", True)
    assert (second.parent, second.trace_id) == (first.identity, first.trace_id)
    assert (len(first.trace_id), len(first.span_id)) == (32, 16)


def test_values_of_all_kinds_are_read_and_what_is_long_is_cut() -> None:
    nested = AnyValue(kvlist_value=KeyValueList(values=[text("a", "b")]))
    values = {
        "list": AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), nested])),
        "bytes": AnyValue(bytes_value=b"x"),
        "share": AnyValue(double_value=0.5),
        "yes": AnyValue(bool_value=True),
        "none": AnyValue(),
        "long": AnyValue(string_value="x" * 5000),
    }
    many = [text(f"k{n}", "v") for n in range(500)]
    body = request(
        proto(attributes=[KeyValue(key=key, value=value) for key, value in values.items()], name="n" * 5000, kind=3),
        proto(attributes=many, kind=99, start_time_unix_nano=9, end_time_unix_nano=3),
        resource=Resource(attributes=[KeyValue(key="service.name", value=AnyValue(int_value=7))]),
    )

    first, second = spans_of(body)

    assert first.attributes == {"list": [1, {"a": "b"}], "bytes": b"x", "share": 0.5, "yes": True, "none": None, "long": "x" * otlp.LONGEST}
    assert (len(first.name), first.kind, first.service) == (otlp.LONGEST, "client", "")
    assert (len(second.attributes), second.kind, second.duration) == (otlp.MOST, "unspecified", 0)


def test_lists_inside_each_other_have_an_end() -> None:
    value = AnyValue(string_value="x")
    for _ in range(20):
        value = AnyValue(array_value=ArrayValue(values=[value]))

    (span,) = spans_of(request(proto(attributes=[KeyValue(key="k", value=value)])))

    assert str(span.attributes).count("[") == otlp.DEEPEST + 1


@pytest.mark.parametrize("wrong", [{"trace_id": b""}, {"trace_id": b"t"}, {"span_id": b""}, {"parent_span_id": b"p"}])
def test_a_span_that_nobody_could_tell_from_others_is_malformed(wrong: dict[str, object]) -> None:
    with pytest.raises(Malformed, match="a span has no trace_id of 16 bytes, or no span_id of 8"):
        list(spans_of(request(proto(**wrong))))


async def test_what_cannot_be_read_is_refused_and_told_and_the_next_request_is_read(ear: Ear, address: str) -> None:
    assert await post(address, b"\xff\xff\xff") == (grpc.StatusCode.INVALID_ARGUMENT, "this is no ExportTraceServiceRequest")
    large = request(proto(attributes=[text("k", "x" * LARGEST)]))
    code, why = await post(address, large)
    assert (code, why.split(",")[0]) == (grpc.StatusCode.INVALID_ARGUMENT, f"a request has at most {LARGEST} bytes")
    assert (ear.refused, ear.names) == (2, [])

    assert await post(address, request(proto())) == (grpc.StatusCode.OK, "")
    assert await post(address, b"") == (grpc.StatusCode.OK, "")
    assert (ear.refused, ear.names) == (2, ["submit"])


async def test_a_request_whose_sender_went_away_before_it_was_read_is_told(address: str) -> None:
    ear = Ear(holds=True)
    async with SpanReceivers().listening(address, ear) as receiver:
        async with grpc.aio.insecure_channel(address) as channel:
            call = channel.unary_unary(METHOD, None, None)(request(proto()))
            while receiver.behind is None:
                await asyncio.sleep(0.01)
            call.cancel()
            while not ear.refused:
                await asyncio.sleep(0.01)
        assert receiver.behind is None

    assert (ear.refused, ear.names) == (1, [])


async def test_requests_are_taken_in_one_after_the_other_and_what_waits_is_known(address: str) -> None:
    ear = Ear(holds=True)
    async with SpanReceivers().listening(address, ear) as receiver:
        assert receiver.behind is None
        async with asyncio.TaskGroup() as tasks:
            posts = [tasks.create_task(post(address, request(proto(span_id=bytes([n] * 8))))) for n in range(1, 4)]
            while len(receiver._pending) < len(posts):
                await asyncio.sleep(0.01)
            since = receiver.behind
            ear.hold.set()

    assert [task.result()[0] for task in posts] == [grpc.StatusCode.OK] * 3
    assert ear.arrived == sorted(ear.arrived)
    assert ear.arrived[0] == since
    assert receiver.behind is None


async def test_many_spans_in_one_request_leave_others_their_turn(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_receiver, "TURN", 0)
    ear, body, turns = Ear(), request(*(proto(span_id=n.to_bytes(8, "big")) for n in range(1, 1001))), 0
    async with SpanReceivers().listening(address, ear) as receiver, asyncio.TaskGroup() as tasks:
        posted = tasks.create_task(post(address, body))
        while not posted.done():
            turns += receiver.behind is not None
            await asyncio.sleep(0)

    assert posted.result()[0] is grpc.StatusCode.OK
    assert len(ear.spans) == 1000
    assert turns >= 1000


async def test_an_address_that_somebody_else_has_cannot_be_listened_at_until_it_is_free(address: str) -> None:
    mine, theirs = SpanReceivers(), SpanReceivers()
    async with theirs.listening(address, Ear()):
        with pytest.raises(CannotListen, match=f"nobody can listen at {address}: Address already in use"):
            async with mine.listening(address, Ear()):
                raise AssertionError
    async with mine.listening(address, Ear()):
        assert (await post(address, b""))[0] is grpc.StatusCode.OK


@pytest.mark.parametrize(("wrong", "why"), [("127.0.0.1:0", "there is no port 0"), ("192.0.2.1:14317", "Cannot assign requested address")])
async def test_an_address_that_is_none_of_ours_is_told(wrong: str, why: str) -> None:
    with pytest.raises(CannotListen, match=why):
        async with SpanReceivers().listening(wrong, Ear()):
            raise AssertionError


async def test_runs_that_share_an_address_are_each_given_every_span_until_they_end(address: str) -> None:
    receivers, one, other = SpanReceivers(), Ear(), Ear()
    async with receivers.listening(address, one):
        async with receivers.listening(address, other):
            await post(address, request(proto()))
        await post(address, request(proto(name="cancel")))
    with socket.socket() as probe:
        probe.bind((address.split(":", maxsplit=1)[0], int(address.split(":")[1])))

    assert one.names == ["submit", "cancel"]
    assert other.names == ["submit"]
