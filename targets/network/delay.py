"""A program that holds packets back: those that NFQUEUE gives it are let go when their delay is over. Runs in the namespace itself.

It needs no package beyond the standard library, so that it starts quickly. SIGTERM lets everything go and ends it, SIGUSR1 renews its
lease. When it ends in any way, rules with --queue-bypass let packets pass by themselves.
"""

import argparse
import asyncio
import heapq
import itertools
import os
import random
import signal
import socket
import struct
import sys
from collections.abc import Iterator

NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5
SO_RCVBUFFORCE = 33
BUFFER = 8 * 2**20
LONGEST_QUEUE = 20_000
"""Packets that may wait; more pass undelayed (fail open)."""
NFNL_SUBSYS_QUEUE = 3
PACKET, VERDICT, CONFIG = 0, 1, 2
"""Messages of nfnetlink_queue.h; the flags and attributes below are from there too."""
FAIL_OPEN, LARGE_SEGMENTS = 1, 4
ACCEPT = 1
EARLY = 0.0002
"""Seconds by which a packet may leave early: timers have their own grain."""
READY = "ready"


class Holder:
    """Holds back the packets of one queue. Of packets that are due at the same moment the first to come is the first to leave."""

    def __init__(self, queue: int, delay: float, jitter: float, loop: asyncio.AbstractEventLoop) -> None:
        self._queue, self._delay, self._jitter = queue, delay, jitter
        self._loop = loop
        self._waiting: list[tuple[float, int, int]] = []
        """When each packet is due, in which order it came, and its number."""
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._random = random.Random()  # noqa: S311 - no secret
        self._socket = _bound(queue)
        loop.add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Let everything go at once, and take no more."""
        self._loop.remove_reader(self._socket.fileno())
        self._read()
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            self._let_go()
        self._socket.close()

    def _read(self) -> None:
        for _ in range(200):
            try:
                text = self._socket.recv(65536)
            except BlockingIOError:
                return
            due = self._loop.time() + self._delay
            for packet in _packets(text):
                heapq.heappush(self._waiting, (due + self._random.uniform(-self._jitter, self._jitter), next(self._order), packet))
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._waiting[0][0], self._due) if self._waiting else None

    def _due(self) -> None:
        now = self._loop.time() + EARLY
        while self._waiting and self._waiting[0][0] <= now:
            self._let_go()
        self._arm()

    def _let_go(self) -> None:
        _, _, packet = heapq.heappop(self._waiting)
        self._socket.send(_message(VERDICT, self._queue, _attribute(2, struct.pack(">II", ACCEPT, packet))))


def _bound(queue: int) -> socket.socket:
    """A socket to which the kernel gives the packets of the queue.

    Raises:
        OSError: someone else has the queue, or we have not CAP_NET_ADMIN here.
    """
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    netlink.bind((0, 0))
    netlink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    netlink.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
    netlink.send(_message(CONFIG, queue, _attribute(1, struct.pack("=BBH", 1, 0, 0)), flags=5))
    (error,) = struct.unpack_from("=i", netlink.recv(65536), 16)
    if error:
        raise OSError(-error, os.strerror(-error))
    flags = struct.pack(">I", FAIL_OPEN | LARGE_SEGMENTS)
    # Only that there is a packet is copied, not what is in it.
    mode = _attribute(2, struct.pack(">IB", 0, 1))
    longest = _attribute(3, struct.pack(">I", LONGEST_QUEUE))
    netlink.send(_message(CONFIG, queue, mode + longest + _attribute(4, flags) + _attribute(5, flags)))
    netlink.setblocking(False)  # noqa: FBT003 - the socket's own word
    return netlink


def _attribute(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + b"\0" * (-length % 4)


def _message(kind: int, queue: int, attributes: bytes, flags: int = 1) -> bytes:
    body = struct.pack("=BBH", 0, 0, socket.htons(queue)) + attributes
    return struct.pack("=IHHII", 16 + len(body), NFNL_SUBSYS_QUEUE << 8 | kind, flags, 0, 0) + body


def _packets(text: bytes) -> Iterator[int]:
    """The numbers of the packets of which the kernel tells."""
    start = 0
    while start < len(text):
        length, kind = struct.unpack_from("=IH", text, start)
        if kind == NFNL_SUBSYS_QUEUE << 8 | PACKET:
            place = start + 20
            while place < start + length:
                size, name = struct.unpack_from("=HH", text, place)
                if name & 0x7FFF == 1:
                    yield struct.unpack_from(">I", text, place + 4)[0]
                    break
                place += (size + 3) & ~3
        start += (length + 3) & ~3


async def hold(queue: int, delay: float, jitter: float, lease: float) -> None:
    """Hold packets back until SIGTERM comes, or the lease (seconds) has run out. Says `ready` on standard output when it begins."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    holder = Holder(queue, delay, jitter, loop)
    try:
        async with asyncio.timeout(lease) as bound:
            loop.add_signal_handler(signal.SIGTERM, over.set)
            loop.add_signal_handler(signal.SIGUSR1, lambda: bound.reschedule(loop.time() + lease))
            # In one piece: who started it waits for this line and then goes.
            os.write(sys.stdout.fileno(), f"{READY}\n".encode())
            await over.wait()
    except TimeoutError:
        pass
    finally:
        holder.close()


def main() -> None:
    """The program: --queue N --delay S --jitter S --for S."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue", type=int, required=True)
    parser.add_argument("--delay", type=float, required=True)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--for", type=float, required=True, dest="lease")
    told = parser.parse_args()
    asyncio.run(hold(told.queue, told.delay, told.jitter, told.lease))


if __name__ == "__main__":
    main()
