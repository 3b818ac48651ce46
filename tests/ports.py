"""Ports for services of tests: none that the system gives to outgoing connections, and none that another test process takes."""

import os
import socket
from itertools import cycle

FIRST, EACH = 20_000, 1_500
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_OWN = FIRST + _WORKER % 8 * EACH
_PORTS = cycle(_OWN + (os.getpid() * 7 + step) % EACH for step in range(EACH))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, another one at each call."""
    for port in _PORTS:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
