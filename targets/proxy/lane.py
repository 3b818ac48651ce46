"""A lane: a port, the service behind it, and the connections that go through."""

import asyncio
import socket

from messages.actions.links import Way
from targets.proxy.behaviour import TRANSPARENT, Behaviour
from targets.proxy.connection import Connection
from targets.proxy.flow import Meter

BACKLOG = 1024


class Lane:
    """Listens on one port of 127.0.0.1, which stays ours while it refuses."""

    def __init__(self, service: tuple[str, int], tasks: asyncio.TaskGroup, port: int = 0) -> None:
        self.service = service
        self.meters: dict[Way, Meter] = {"upstream": Meter(), "downstream": Meter()}
        self.behaviour: Behaviour = TRANSPARENT
        self.accepted = 0
        """Connections that ever came."""
        self._tasks = tasks
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        # A bound socket that does not listen refuses, and keeps others from the port.
        self._holder = _bound(port)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._holder.getsockname()[1])

    @property
    def open_connections(self) -> int:
        """Connections that are there now."""
        return len(self._connections)

    async def listen(self) -> None:
        """Accept connections."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: Connection(self).client, sock=_bound(self.port), backlog=BACKLOG)

    def refuse(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def behave(self, behaviour: Behaviour) -> None:
        """Treat all connections like this, those that are open and new ones."""
        self.behaviour = behaviour
        if behaviour.refuses:
            self.refuse()
        for connection in tuple(self._connections):
            connection.behave()
        if not behaviour.refuses:
            await self.listen()

    def close(self) -> None:
        """Reset all connections and give the port back."""
        self.refuse()
        for connection, task in tuple(self._connections.items()):
            connection.reset()
            task.cancel()
        self._holder.close()

    def admit(self, connection: Connection) -> None:
        """A client came."""
        self.accepted += 1
        self._connections[connection] = self._tasks.create_task(connection.run())
        connection.behave()

    def dismiss(self, connection: Connection) -> None:
        """Both sides are closed."""
        self._connections.pop(connection).cancel()


def _bound(port: int) -> socket.socket:
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        held.settimeout(0)
    except OSError:
        held.close()
        raise
    return held
