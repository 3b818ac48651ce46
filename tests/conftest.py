"""A fresh nats-server per test, and a connection to it. Generated examples take the time that they take."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bus.connection import Connection, connect
from bus.server import Server, embedded_server
from targets.identity import identify
from tests.ports import free_port


def pytest_configure() -> None:
    settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with embedded_server(tmp_path / "nats") as running:
        yield running
        if identify(running.pid) is not None:  # to end in good order takes it 0.2 s, and nobody will read its store
            os.kill(running.pid, signal.SIGKILL)


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
