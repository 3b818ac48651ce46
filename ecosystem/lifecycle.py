"""How a service starts, serves and stops."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import grpc
import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from ecosystem.errors import EcosystemError, PortTakenError, SettingsError, StateDirectoryError
from ecosystem.service import Service
from ecosystem.settings import Settings, read_settings
from ecosystem.switches import disturb_start, read_switches

REQUEST_TIMEOUT = ClientTimeout(total=1.0)
"""For one request to a peer; who must get through tries again."""

log = logging.getLogger(__name__)


def run(kind: type[Service]) -> NoReturn:
    """Runs a service until SIGTERM or SIGINT, then exits: 0 stopped, 1 failed, 2 bad settings."""
    try:
        settings, switches = read_settings(kind.name, kind.http_port, kind.grpc_port), read_switches()
    except SettingsError as error:
        sys.exit(_complaint(kind.name, error, 2))
    logging.basicConfig(level=settings.log_level, format=f"%(asctime)s %(levelname)s {settings.instance} %(message)s", stream=sys.stderr)
    try:
        _make_state_directory(settings)
        disturb_start(switches, settings.state_dir / f"{settings.instance}.started")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(kind(settings, switches)))
    except EcosystemError as error:
        sys.exit(_complaint(settings.instance, error, 1))
    sys.exit(0)


def _complaint(name: str, error: EcosystemError, code: int) -> int:
    sys.stderr.write(f"{name}: {error}\n")
    return code


def _make_state_directory(settings: Settings) -> None:
    path = settings.state_dir
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateDirectoryError(path) from error
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise StateDirectoryError(path)


async def _serve(service: Service) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _http(service) as http, _grpc(service) as announce:
        service.open()
        try:
            async with ClientSession(timeout=REQUEST_TIMEOUT, connector=TCPConnector(limit=256)) as service.http:
                await http.start()
                await announce()
                await _live(service, http, stop)
        finally:
            service.close()


async def _live(service: Service, http: "_Http", stop: asyncio.Event) -> None:
    whoami = {**service.identity, "pid": os.getpid()}
    async with asyncio.TaskGroup() as tasks:
        posting = tasks.create_task(service.outbox.run())
        service.emit(service.event("service.started", whoami))
        log.info("serving on %s:%d and gRPC %d", service.settings.host, service.settings.http_port, service.settings.grpc_port)
        work = tasks.create_task(service.work())
        await stop.wait()
        log.info("stopping")
        service.stopping = True
        service.emit(service.event("service.stopping", whoami))
        await service.finish()
        work.cancel()
        await http.stop()
        await service.outbox.settled(1.0)
        posting.cancel()


@asynccontextmanager
async def _http(service: Service) -> AsyncIterator["_Http"]:
    """The HTTP side: its port is taken at once, and served from `start` on."""
    host, port = service.settings.host, service.settings.http_port
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise PortTakenError(host, port) from error
    http = _Http(service.application(), listener)
    try:
        yield http
    finally:
        await http.stop()
        listener.close()


class _Http:
    """The HTTP server of a service."""

    def __init__(self, application: web.Application, listener: socket.socket) -> None:
        self._listener = listener
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)

    async def start(self) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener).start()

    async def stop(self) -> None:
        """Ends requests and connections; a second time it does nothing."""
        await self._runner.cleanup()


class _Health(health.aio.HealthServicer):  # type: ignore[name-defined,misc]  # the stubs do not know it yet
    """Says what HTTP health says."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service

    async def Check(self, request: health_pb2.HealthCheckRequest, context: object) -> health_pb2.HealthCheckResponse:  # noqa: N802
        if self._service.refusal():
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
        answer: health_pb2.HealthCheckResponse = await super().Check(request, context)
        return answer


@asynccontextmanager
async def _grpc(service: Service) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The gRPC side, `grpc.health.v1.Health`: its port is taken at once; what it yields says that the service serves."""
    host, port = service.settings.host, service.settings.grpc_port
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    servicer = _Health(service)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    try:
        server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise PortTakenError(host, port) from error

    async def announce() -> None:
        for name in ("", service.settings.service):
            await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        await server.start()

    try:
        yield announce
    finally:
        await server.stop(grace=None)
