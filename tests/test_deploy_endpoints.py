import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from bus.server import Server
from deploy.endpoints import endpoints
from deploy.errors import PortTaken
from deploy.host import ACTORS, Host, Plan
from deploy.metrics import PrometheusMetrics
from deploy.serving import observed
from deploy.settings import Settings, read_settings

METRICS = {"service": "test-coordinator", "instance": "one", "version": "0.1.0"}


class Well:
    def checks(self) -> Mapping[str, str]:
        return {"nats": "ok"}

    def actors(self) -> Mapping[str, str]:
        return {"validator": "ready"}


@pytest.fixture
def settings() -> Settings:
    return read_settings(http_port=0)


@pytest.fixture
async def running(server: Server, settings: Settings) -> AsyncIterator[Host]:
    async with observed(settings, server.url, Plan(), http=True) as host:
        await asyncio.wait_for(host.ready(), 5)
        yield host


async def fetch(host: Host, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{host.http}{path}") as answer:
        return answer.status, await (answer.json() if "json" in answer.content_type else answer.text())


@pytest.mark.parametrize("path", ["/api/v1/health", "/health"])
async def test_health_says_who_it_is_and_how_each_actor_is(running: Host, path: str) -> None:
    status, body = await fetch(running, path)

    assert status == 200
    assert body.keys() == {"status", "service", "instance", "version", "environment", "timestamp", "actors"}
    assert (body["status"], body["actors"]) == ("healthy", dict.fromkeys(ACTORS, "ready"))


@pytest.mark.parametrize("path", ["/api/v1/ready", "/health/ready"])
async def test_a_host_whose_actors_are_at_work_is_ready(running: Host, path: str) -> None:
    status, body = await fetch(running, path)

    assert (status, body["status"]) == (200, "ready")
    assert set(body["checks"]) == {"nats", "intake", "control", *ACTORS}


async def test_ready_turns_503_when_nats_dies_and_back_when_it_returns(running: Host, server: Server) -> None:
    await server.stop()
    async with asyncio.timeout(20):
        while (found := await fetch(running, "/health/ready"))[0] == 200:
            await asyncio.sleep(0.02)
    alive, _ = await fetch(running, "/health/live")
    await server.restart()
    async with asyncio.timeout(10):
        while (await fetch(running, "/health/ready"))[0] != 200:
            await asyncio.sleep(0.02)

    assert (found[0], found[1]["status"], found[1]["checks"]["nats"]) == (503, "not_ready", "away")
    assert alive == 200


async def test_paths_that_are_not_ours_share_one_route_label(running: Host) -> None:
    for path in ("/nope/1", "/nope/2", "/health"):
        await fetch(running, path)

    _, text = await fetch(running, "/metrics")

    lines = [line for line in text.splitlines() if line.startswith("http_requests_total")]
    assert {line.partition('route="')[2].partition('"')[0] for line in lines} == {"unmatched", "/health"}


async def test_metrics_are_in_the_text_format_of_prometheus(running: Host) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{running.http}/metrics") as answer:
        kind = answer.headers["Content-Type"]

    assert kind == "text/plain; version=0.0.4; charset=utf-8"


async def test_a_port_that_is_set_and_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(PortTaken, match=f"HTTP_PORT {port} on 127.0.0.1 cannot be used"):
            async with endpoints(read_settings(http_port=port), Well(), PrometheusMetrics(**METRICS)):
                pass


async def test_without_a_port_a_taken_8080_makes_way_for_a_free_one() -> None:
    async with (
        endpoints(read_settings(), Well(), PrometheusMetrics(**METRICS)) as first,
        endpoints(read_settings(), Well(), PrometheusMetrics(**METRICS)) as second,
    ):
        assert first != second
