"""Receiving spans: OTLP over gRPC (opentelemetry.proto.collector.trace.v1.TraceService), at each address once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import grpc
import grpc.aio

from targets.errors import CannotListen
from targets.listening import occupied
from targets.spans import Malformed, Span
from targets.wording import wrong_port

LARGEST = 4 * 1024 * 1024
"""Bytes of a request that is read; what is larger is refused."""
TURN = 0.01
"""Seconds of reading after which others have their turn."""
_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.so_reuseport", 0),  # else two observers would share an address without knowing
    ("grpc.max_receive_message_length", 4 * LARGEST),  # what gRPC refuses, nobody would know of
    ("grpc.max_concurrent_streams", 4),
)
_GRACE = 0.2
"""Seconds that a request may still take when nobody listens any more."""
_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_ANSWER = b""
"""An ExportTraceServiceResponse that says nothing: all was taken."""

Context = grpc.aio.ServicerContext[bytes, bytes]


class Listener(Protocol):
    """Somebody who wants the spans. Instants are readings of this process's monotonic clock."""

    async def take(self, arrived: float, spans: Sequence[Span]) -> None:
        """Take in the spans of the next request, in the order in which they came."""

    def refuse(self, arrived: float) -> None:
        """A request was not read to its end."""


class SpanReceiver:
    """Listens at one address. One request after the other is read; the senders of others wait."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.listeners: list[Listener] = []
        self._pending: list[float] = []
        self._turns = asyncio.Lock()
        self._server = grpc.aio.server(options=_OPTIONS)
        self._spans_of: Callable[[bytes], Iterator[Span]]

    @property
    def behind(self) -> float | None:
        """When the oldest request came that is not taken in yet; None if there is none."""
        return min(self._pending, default=None)

    async def start(self) -> None:
        """Listen.

        Raises:
            CannotListen: naming why.
        """
        from targets.otlp import spans_of

        self._spans_of = spans_of
        host, _, port = self.address.rpartition(":")
        why = wrong_port(self.address) or occupied(host, int(port))
        if why:
            raise CannotListen(self.address, why)
        export = grpc.unary_unary_rpc_method_handler(self._export)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Export": export}),))
        try:
            self._server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise CannotListen(self.address, str(error)) from error
        await self._server.start()

    async def stop(self) -> None:
        """Listen no more."""
        await self._server.stop(_GRACE)

    async def _export(self, body: bytes, context: Context) -> bytes:
        arrived = time.monotonic()
        self._pending.append(arrived)
        try:
            await self._take_in(arrived, body)
        except Malformed as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            self._pending.remove(arrived)
        return _ANSWER

    async def _take_in(self, arrived: float, body: bytes) -> None:
        taken = False
        try:
            async with self._turns:
                spans = await _read(body, self._spans_of)
                for listener in tuple(self.listeners):
                    await listener.take(arrived, spans)
            taken = True
        finally:
            if not taken:
                for listener in self.listeners:
                    listener.refuse(arrived)


class SpanReceivers:
    """The addresses at which spans are received; several runs may share one."""

    def __init__(self) -> None:
        self._open: dict[str, SpanReceiver] = {}
        self._turns = asyncio.Lock()

    @asynccontextmanager
    async def listening(self, address: str, listener: Listener) -> AsyncIterator[SpanReceiver]:
        """Give the listener what is received at the address, until the block ends.

        Raises:
            CannotListen: somebody else has the address, or it is none of this machine.
        """
        async with self._turns:
            receiver = self._open.get(address)
            if receiver is None:
                receiver = SpanReceiver(address)
                await receiver.start()
                self._open[address] = receiver
            receiver.listeners.append(listener)
        try:
            yield receiver
        finally:
            receiver.listeners.remove(listener)
            async with self._turns:
                if not receiver.listeners and self._open.get(address) is receiver:
                    del self._open[address]
                    await receiver.stop()


async def _read(body: bytes, spans_of: Callable[[bytes], Iterator[Span]]) -> list[Span]:
    """The spans of a request; others have their turn meanwhile.

    Raises:
        Malformed: they cannot be read.
    """
    if len(body) > LARGEST:
        raise Malformed(f"a request has at most {LARGEST} bytes, this one has {len(body)}")
    found, turn = list[Span](), time.monotonic()
    for span in spans_of(body):
        found.append(span)
        if time.monotonic() - turn > TURN:
            await asyncio.sleep(0)
            turn = time.monotonic()
    return found
