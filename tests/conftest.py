"""A fresh nats-server per test, and a connection to it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bus.connection import Connection, connect
from bus.server import Server, embedded_server
from tests.ports import free_port


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with embedded_server(tmp_path / "nats") as running:
        yield running


@pytest.fixture
def bus_url(server: Server) -> str:
    return server.url


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[Connection]:
    async with connect(server.url, name="test") as connected:
        yield connected


@pytest.fixture
def unused_port() -> Callable[[], int]:
    """Gives a port that nobody listens on, another one at each call."""

    return free_port
