"""gRPC as its clients see it: health of the host and of each actor, told and watched, and reflection."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from bus.server import Server
from deploy.errors import PortTaken
from deploy.grpc_health import grpc_endpoints
from deploy.settings import Settings, read_settings

SERVING, NOT_SERVING = "SERVING", "NOT_SERVING"
NAMES = {number: name for name, number in health_pb2.HealthCheckResponse.ServingStatus.items()}


class Told:
    """Says what the test wants it to say."""

    def __init__(self, **checks: str) -> None:
        self.said: dict[str, str] = checks

    def checks(self) -> Mapping[str, str]:
        return self.said

    def actors(self) -> Mapping[str, str]:
        return {name: state for name, state in self.said.items() if name not in {"nats", "host"}}


@asynccontextmanager
async def stub_at(address: str) -> AsyncIterator[health_pb2_grpc.HealthStub]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield health_pb2_grpc.HealthStub(channel)


async def check(stub: health_pb2_grpc.HealthStub, service: str = "") -> str:
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)
    return str(NAMES[answer.status])


async def statuses(stub: health_pb2_grpc.HealthStub, service: str = "") -> AsyncIterator[str]:
    async for answer in stub.Watch(health_pb2.HealthCheckRequest(service=service)):
        yield NAMES[answer.status]


@pytest.fixture
def settings() -> Settings:
    return read_settings(grpc_port=0)


@pytest.mark.parametrize(
    ("checks", "served"),
    [
        ({"nats": "ok", "scheduler": "ok", "observer": "ok"}, {"": SERVING, "scheduler": SERVING, "observer": SERVING}),
        ({"nats": "ok", "scheduler": "ok", "observer": "restarting"}, {"": NOT_SERVING, "scheduler": SERVING, "observer": NOT_SERVING}),
        ({"nats": "away", "scheduler": "ok", "observer": "ok"}, {"": NOT_SERVING, "scheduler": NOT_SERVING, "observer": NOT_SERVING}),
        ({"nats": "ok", "host": "stopping", "scheduler": "ok"}, {"": NOT_SERVING, "scheduler": NOT_SERVING}),
    ],
)
async def test_the_host_and_each_actor_have_a_name_of_their_own(settings: Settings, checks: dict[str, str], served: dict[str, str]) -> None:
    async with grpc_endpoints(settings, Told(**checks)) as address, stub_at(address) as stub:
        told = {actor: await check(stub, f"test-coordinator.{actor}" if actor else "") for actor in served}

    assert told == served


async def test_who_asks_gets_what_is_true_now(settings: Settings) -> None:
    vitals = Told(nats="ok", observer="ok")
    async with grpc_endpoints(settings, vitals) as address, stub_at(address) as stub:
        before = await check(stub)
        vitals.said["observer"] = "restarting: boom"

        after = await check(stub)

    assert (before, after) == (SERVING, NOT_SERVING)


async def test_all_names_are_listed_with_how_they_are(settings: Settings) -> None:
    async with grpc_endpoints(settings, Told(nats="ok", observer="ok", validator="restarting")) as address, stub_at(address) as stub:
        answer = await stub.List(health_pb2.HealthListRequest(), timeout=20)

    told = {name: NAMES[found.status] for name, found in answer.statuses.items()}
    assert told == {"": NOT_SERVING, "test-coordinator.observer": SERVING, "test-coordinator.validator": NOT_SERVING}


async def test_an_actor_that_does_not_run_here_is_not_known(settings: Settings) -> None:
    async with grpc_endpoints(settings, Told(nats="ok", observer="ok")) as address, stub_at(address) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await check(stub, "test-coordinator.scheduler")

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_who_watches_is_told_of_every_change(settings: Settings) -> None:
    vitals = Told(nats="ok", observer="ok")
    async with asyncio.timeout(10):
        async with grpc_endpoints(settings, vitals) as address, stub_at(address) as stub:
            watched = statuses(stub, "test-coordinator.observer")
            first = await anext(watched)
            vitals.said["nats"] = "away"
            second = await anext(watched)
            vitals.said["nats"] = "ok"
            third = await anext(watched)
            vitals.said["host"] = "stopping"
            last = await anext(watched)

    assert (first, second, third, last) == (SERVING, NOT_SERVING, SERVING, NOT_SERVING)


async def test_a_server_that_stops_says_so_to_those_who_watch(settings: Settings) -> None:
    async with asyncio.timeout(10):
        async with grpc_endpoints(settings, Told(nats="ok")) as address:
            channel = grpc.aio.insecure_channel(address)
            watched = statuses(health_pb2_grpc.HealthStub(channel))
            first = await anext(watched)
        last = await anext(watched)
        with pytest.raises(grpc.aio.AioRpcError):
            await anext(watched)
        await channel.close(None)

    assert (first, last) == (SERVING, NOT_SERVING)


async def test_a_port_that_is_set_and_taken_is_refused_and_one_that_is_not_set_makes_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(PortTaken, match=f"GRPC_PORT {port} on 127.0.0.1 cannot be used: Address already in use"):
            async with grpc_endpoints(read_settings(grpc_port=port), Told(nats="ok")):
                pass

    async with (
        grpc_endpoints(read_settings(), Told(nats="ok")) as first,
        grpc_endpoints(read_settings(), Told(nats="away")) as second,
        stub_at(first) as one,
        stub_at(second) as two,
    ):
        assert first != second
        assert (await check(one), await check(two)) == (SERVING, NOT_SERVING)


def reflected(address: str) -> tuple[list[str], list[str]]:
    """The services that a server says it has, and the methods of the health service, both asked over the wire."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = sorted(database.get_services())
        file = database.FindFileContainingSymbol("grpc.health.v1.Health")
    return services, [method.name for service in file.service for method in service.method]


@asynccontextmanager
async def serve(*arguments: str, folder: Path, **env: str) -> AsyncIterator[tuple[Process, str, str]]:
    """A host as a process, with its addresses."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "HTTP_PORT": "0", "GRPC_PORT": "0", **env}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "serve", *arguments, cwd=folder, env=environment, stdout=PIPE, stderr=PIPE
    )
    try:
        assert process.stderr is not None
        line = b""
        while b" at work: " not in line:
            line = await process.stderr.readline()
            assert line, "it ended"
        words = line.decode().split()
        yield process, words[words.index("HTTP") + 1].rstrip(","), words[words.index("gRPC") + 1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(http: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{http}/api/v1/ready") as answer:
        return answer.status


@pytest.mark.long
async def test_a_host_serves_the_health_that_it_says_over_http_until_nats_is_gone_and_again(server: Server, tmp_path: Path) -> None:
    actor = "test-coordinator.validator"
    async with (
        asyncio.timeout(40),
        serve("--actors", "validator,reporter", "--nats", server.url, folder=tmp_path) as (process, http, address),
        stub_at(address) as stub,
    ):
        services, methods = await asyncio.to_thread(reflected, address)
        watched = statuses(stub, actor)
        found = [(await anext(watched), await check(stub), await ready(http))]
        await server.stop()
        found.append((await anext(watched), await check(stub), await ready(http)))
        await server.restart()
        found.append((await anext(watched), await check(stub), await ready(http)))
        process.send_signal(signal.SIGTERM)
        last = await anext(watched)
        code = await process.wait()

    assert services == ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"]
    assert set(methods) == {"Check", "List", "Watch"}
    assert found == [(SERVING, SERVING, 200), (NOT_SERVING, NOT_SERVING, 503), (SERVING, SERVING, 200)]
    assert (last, code) == (NOT_SERVING, 0)


@pytest.mark.long
async def test_a_serve_whose_grpc_port_is_taken_is_refused_with_the_reason(server: Server, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "HTTP_PORT": "0", "GRPC_PORT": port}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli.main", "serve", "--nats", server.url, cwd=tmp_path, env=environment, stdout=PIPE, stderr=PIPE
        )
        _, err = await process.communicate()

    assert process.returncode == 2
    assert f"GRPC_PORT {port} on 127.0.0.1 cannot be used: Address already in use\n" in err.decode()
