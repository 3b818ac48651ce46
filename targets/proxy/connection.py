"""A client's connection and the one that is made to the service for it."""

import asyncio
import math
import socket
from collections.abc import Callable
from typing import Protocol, cast

from messages.actions.links import Way
from targets.proxy.behaviour import Behaviour
from targets.proxy.flow import End, Flow, Mark, Meter
from targets.proxy.gates import Holding

TO_CONNECT = 30.0
"""Seconds that the service may take to accept."""
MOST_UNSENT = 256 * 1024
"""Bytes that wait in a socket's buffer before the other side is read no further."""


class Lane(Protocol):
    """What a connection needs of the lane that it belongs to."""

    meters: dict[Way, Meter]
    behaviour: Behaviour

    @property
    def service(self) -> tuple[str, int]:
        """Where the service listens."""

    def admit(self, connection: "Connection") -> None:
        """A client came."""

    def dismiss(self, connection: "Connection") -> None:
        """Both sides are closed."""


class _Side(End, asyncio.Protocol):
    """A socket that feeds one flow and drains the other."""

    feeds: Flow
    drains: Flow

    def __init__(self, on_made: Callable[[], None], on_lost: Callable[[Flow], None]) -> None:
        super().__init__()
        self._on_made = on_made
        self._on_lost = on_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=MOST_UNSENT)
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._on_made()

    def data_received(self, data: bytes) -> None:
        self.feeds.take(data)

    def eof_received(self) -> bool:
        self.feeds.take(Mark.END)
        return True

    def pause_writing(self) -> None:
        self.drains.block(blocked=True)

    def resume_writing(self) -> None:
        self.drains.block(blocked=False)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - named by asyncio
        self.transport = None
        self._on_lost(self.feeds)


class Connection:
    """Two sockets and two flows between them."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.client = _Side(self._came, self._lost)
        """What talks with the client."""
        self._service = _Side(self._connected, self._lost)
        up = Flow(self.client, self._service, lane.meters["upstream"], self)
        down = Flow(self._service, self.client, lane.meters["downstream"], self)
        self._flows: dict[Way, Flow] = {"upstream": up, "downstream": down}
        self.client.feeds = self._service.drains = up
        self._service.feeds = self.client.drains = down
        up.put_gate(Holding)
        self._open = self._ended = False
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Connect to the service as soon as the lane lets it."""
        while not self._ended and (wait := self._lane.behaviour.set_up):
            self._news.clear()
            try:
                async with asyncio.timeout(wait if math.isfinite(wait) else None):
                    await self._news.wait()
            except TimeoutError:
                break
        if not self._ended:
            await self._connect()

    def behave(self) -> None:
        """Take on the lane's present behaviour."""
        behaviour = self._lane.behaviour
        self._news.set()
        if self._timer is not None:
            self._timer.cancel()
        if behaviour.refuses or behaviour.reset_after == 0:
            self.reset()
            return
        if behaviour.reset_after is not None:
            self._timer = asyncio.get_running_loop().call_later(behaviour.reset_after, self.reset)
        if self._open:
            for way, flow in self._flows.items():
                flow.put_gate(behaviour.gates.get(way))

    def finish(self) -> None:
        """One direction has ended in good order; after both the connection is closed."""
        if all(flow.done for flow in self._flows.values()):
            self.close()

    def close(self) -> None:
        """End it in good order once all is sent."""
        self._end()
        self.client.close()
        self._service.close()

    def reset(self) -> None:
        """End it by a TCP reset on both sides; nothing that it holds is sent."""
        self._end()
        self.client.reset()
        self._service.reset()

    async def _connect(self) -> None:
        host, port = self._lane.service
        try:
            async with asyncio.timeout(TO_CONNECT):
                await asyncio.get_running_loop().create_connection(lambda: self._service, host, port)
        except (OSError, UnicodeError):
            # No such name, refused, or too late. The client cannot be refused any more; a reset is next to it.
            self.reset()

    def _came(self) -> None:
        self._lane.admit(self)

    def _connected(self) -> None:
        if self._ended:
            self._service.reset()
            return
        self._open = True
        for way, flow in self._flows.items():
            flow.put_gate(self._lane.behaviour.gates.get(way))

    def _lost(self, feeds: Flow) -> None:
        if not self._ended and self._open:
            feeds.take(Mark.RESET)
        elif not self._ended:
            self.reset()
        if self.client.transport is None and self._service.transport is None:
            self._lane.dismiss(self)

    def _end(self) -> None:
        self._ended = True
        self._news.set()
        if self._timer is not None:
            self._timer.cancel()
