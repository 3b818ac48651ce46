"""The far end of the measuring lanes: sends back what it is sent."""

import asyncio
import socket
from typing import cast


class Echo(asyncio.Protocol):
    """Sends back what comes, reads no more than it can send, and closes when the other side does."""

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()


async def echo_server() -> asyncio.Server:
    """An echo on a free port of 127.0.0.1."""
    return await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
