"""One direction of a connection: what its source sends reaches its sink, at once or through a gate."""

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

_LINGER = struct.pack("ii", 1, 0)


class Mark(Enum):
    """What a source can send besides bytes."""

    END = "end"
    RESET = "reset"


Item = bytes | memoryview | Mark


@dataclass(slots=True)
class Meter:
    """Counts the bytes that were passed on in one direction."""

    passed: int = 0


class End:
    """One socket of a connection, as its two flows see it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        """None until it is connected, and after it was lost."""

    def write(self, data: bytes | memoryview) -> None:
        """Send; into the void if the socket is gone."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def write_end(self) -> None:
        """Send the end of the stream, after what is still to be sent."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()

    def close(self) -> None:
        """Close once all is sent."""
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """End it by a TCP reset; what is unsent is dropped."""
        if self.transport is None:
            return
        # Without this an abort looks like an orderly end to the peer.
        with suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        self.transport.abort()


class Owner(Protocol):
    """The connection of a flow."""

    def finish(self) -> None:
        """One direction has ended in good order."""

    def close(self) -> None:
        """End the connection once all is sent."""

    def reset(self) -> None:
        """End the connection by a TCP reset on both sides."""


class Gate(ABC):
    """Decides when, and whether, what a flow takes is passed on."""

    @abstractmethod
    def take(self, item: Item) -> None:
        """The source sent this."""

    @abstractmethod
    def leave(self) -> list[Item]:
        """Stop; what is still to be passed on, in order."""


GateMaker = Callable[["Flow"], Gate]


class Flow:
    """Passes on what the source sends, in order. Reads no more while the sink or the gate has enough."""

    def __init__(self, source: End, sink: End, meter: Meter, owner: Owner) -> None:
        self.source = source
        self.sink = sink
        self.done = False
        """The end of the stream was passed on."""
        self._meter = meter
        self._owner = owner
        self._gate: Gate | None = None
        self._blocked = self._full = self._paused = False

    def take(self, item: Item) -> None:
        """The source sent this."""
        if self._gate is None:
            self.pass_on(item)
        else:
            self._gate.take(item)

    def pass_on(self, item: Item) -> None:
        """Let it reach the sink."""
        if item is Mark.END:
            self.done = True
            self.sink.write_end()
            self._owner.finish()
        elif item is Mark.RESET:
            self._owner.reset()
        else:
            self._meter.passed += len(item)
            self.sink.write(item)

    def put_gate(self, make: GateMaker | None) -> None:
        """From now on this gate decides; what the one before held goes through it."""
        held = self._gate.leave() if self._gate is not None else []
        self._full = False
        self._gate = make(self) if make is not None else None
        for item in held:
            self.take(item)
        self._regulate()

    def cut_off(self) -> None:
        """Close the connection at once, though in good order."""
        self._owner.close()

    def block(self, *, blocked: bool) -> None:
        """The sink's buffer is full, or has room again."""
        self._blocked = blocked
        self._regulate()

    def fill(self, *, full: bool) -> None:
        """The gate holds enough, or takes more again."""
        if full is not self._full:
            self._full = full
            self._regulate()

    def _regulate(self) -> None:
        pause = self._blocked or self._full
        if pause is self._paused or self.source.transport is None or self.source.transport.is_closing():
            return
        self._paused = pause
        if pause:
            self.source.transport.pause_reading()
        else:
            self.source.transport.resume_reading()
