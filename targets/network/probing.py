"""TCP connections that show what the packet filter does to packets. Nobody need listen: who refuses was reached."""

import asyncio
import socket
import time
from contextlib import closing
from datetime import timedelta
from typing import Literal

from messages.actions.network import Namespace, Probe
from targets.network.namespaces import inside, path_to

Outcome = Literal["answered", "refused", "unreachable", "silent"]
NOBODY = 9
"""The discard port, at which nobody listens."""


async def probe(host: str, port: int, namespace: Namespace | None, deadline: timedelta) -> Probe:
    """What comes of a connection to the address from inside the namespace (None: from where this process is)."""
    begin = time.monotonic()
    outcome = await _connect(host, port, namespace, deadline)
    return Probe(host=host, port=port, namespace=namespace, before=outcome, round_trip=timedelta(seconds=time.monotonic() - begin))


async def again(before: Probe, deadline: timedelta) -> Probe:
    """The same connection once more."""
    return await probe(before.host, before.port, before.namespace, deadline)


async def _connect(host: str, port: int, namespace: Namespace | None, deadline: timedelta) -> Outcome:
    loop = asyncio.get_running_loop()
    try:
        family, _, _, _, place = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
        with closing(_socket(family, namespace)) as connection:
            connection.setblocking(False)  # noqa: FBT003 - the socket's own word
            async with asyncio.timeout(deadline.total_seconds()):
                await loop.sock_connect(connection, place)
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "unreachable"
    return "answered"


def _socket(family: int, namespace: Namespace | None) -> socket.socket:
    if namespace is None:
        return socket.socket(family, socket.SOCK_STREAM)
    path = path_to(namespace)
    if path is None:
        raise OSError("the namespace is gone")
    return inside(path, lambda: socket.socket(family, socket.SOCK_STREAM))
