"""Measuring a link from outside, by connections of one's own to its measuring lane, at whose far end is an echo."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

_PIECE = 65536


class NotEchoed(ConnectionError):
    """The connection ended, or other bytes came back than were sent."""


@dataclass(frozen=True, slots=True)
class Lookout:
    """One connection to an echo. The caller bounds every wait; a connection that breaks raises OSError."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    @asynccontextmanager
    async def at(cls, address: str) -> AsyncIterator[Self]:
        """A new connection to `host:port`, aborted at the end."""
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def trip(self) -> float:
        """Seconds for one byte to the echo and back."""
        begun = time.monotonic()
        await self.exchange(1)
        return time.monotonic() - begun

    async def exchange(self, size: int) -> float:
        """Seconds for so many random bytes to come back whole.

        Raises:
            NotEchoed: they did not.
        """
        block = os.urandom(min(size, _PIECE))
        expected = (block * (size // len(block) + 1))[:size]
        begun = time.monotonic()
        if await self._send_and_read(expected) != expected:
            raise NotEchoed
        return time.monotonic() - begun

    async def sends_back(self, size: int) -> int | None:
        """How many of so many bytes came back before the connection ended; None if all did."""
        answer = await self._send_and_read(bytes(size))
        return len(answer) if len(answer) < size else None

    async def close(self) -> float:
        """Seconds from the end of our side to the end of the other."""
        begun = time.monotonic()
        self.writer.write_eof()
        if await self.reader.read(1):
            raise NotEchoed
        return time.monotonic() - begun

    async def reset_by_peer(self) -> None:
        """Waits for a TCP reset.

        Raises:
            NotEchoed: something else came.
        """
        with suppress(ConnectionResetError):
            await self.reader.read(1)
            raise NotEchoed

    async def _send_and_read(self, data: bytes) -> bytes:
        answer = bytearray()
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(data))
            with suppress(ConnectionError):
                while len(answer) < len(data) and (piece := await self.reader.read(_PIECE)):
                    answer += piece
            sending.cancel()
        return bytes(answer)

    async def _send(self, data: bytes) -> None:
        with suppress(ConnectionError):
            for start in range(0, len(data), _PIECE):
                self.writer.write(data[start : start + _PIECE])
                await self.writer.drain()
