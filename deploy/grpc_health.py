"""What every host serves over gRPC: health, of the host and of each actor, and reflection."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bus.cancelling import end
from deploy.endpoints import Vitals
from deploy.errors import PortTaken
from deploy.settings import Settings
from targets.listening import occupied

DEFAULT_PORT = 50051
WHOLE = ""
"""The service name of the whole host."""
FOLLOW = 0.1
"""Seconds between looks at how the host is, for those who watch; who asks once gets what is true then."""
_GRACE = 0.5
"""Seconds that calls may still take when the server stops; who watches has been told."""
_OPTIONS = (("grpc.so_reuseport", 0),)  # else two hosts would share a port without knowing
_SERVING, _NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
Context = grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
ListContext = grpc.aio.ServicerContext[health_pb2.HealthListRequest, health_pb2.HealthListResponse]
_log = structlog.get_logger("deploy.grpc")


def service_of(settings: Settings, actor: str) -> str:
    """The health service name of an actor, such as `test-coordinator.scheduler`."""
    return f"{settings.service_name}.{actor}"


@asynccontextmanager
async def grpc_endpoints(settings: Settings, vitals: Vitals) -> AsyncIterator[str]:
    """Serve until the block ends; gives the address, `host:port`.

    Raises:
        PortTaken: GRPC_PORT was set and cannot be used. Unset it is 50051, else any free one.
    """
    servicer = _Health(settings, vitals)
    server = grpc.aio.server(options=_OPTIONS)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection((health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    address = f"{_literal(settings.host)}:{_listen(server, settings)}"
    await servicer.follow()
    await server.start()
    _log.info("grpc.listening", address=address)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(servicer.keep_following())
        try:
            yield address
        finally:
            await end([following])
            await servicer.leave()
            await server.stop(_GRACE)


class _Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # its types are not known
    """The library's service, told how the host is: by the very checks that readiness over HTTP rests on."""

    def __init__(self, settings: Settings, vitals: Vitals) -> None:
        self._settings = settings
        self._vitals = vitals
        self._inner = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the library's types know only its other half
        self._told: dict[str, int] = {}

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:  # noqa: N802 - gRPC's name
        await self.follow()
        answer: health_pb2.HealthCheckResponse = await self._inner.Check(request, context)
        return answer

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:  # noqa: N802 - likewise
        await self.follow()
        await self._inner.Watch(request, context)

    async def List(self, _request: health_pb2.HealthListRequest, _context: ListContext) -> health_pb2.HealthListResponse:  # noqa: N802 - likewise
        await self.follow()
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._told.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def leave(self) -> None:
        """Say for good that nothing serves, to those who watch at once."""
        await self._inner.enter_graceful_shutdown()

    async def follow(self) -> None:
        """Take over how the host is now."""
        checks = self._vitals.checks()
        states = {WHOLE: checks.values()}
        for actor in self._vitals.actors():
            mine = {name: state for name, state in checks.items() if name in {"nats", "host", actor}}
            states[service_of(self._settings, actor)] = mine.values()
        for service, needed in states.items():
            status = _status(needed)
            if self._told.get(service) != status:
                self._told[service] = status
                await self._inner.set(service, status)

    async def keep_following(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(FOLLOW)
            await self.follow()


def _status(needed: Iterable[str]) -> int:
    status: int = _SERVING if all(state == "ok" for state in needed) else _NOT_SERVING
    return status


def _listen(server: grpc.aio.Server, settings: Settings) -> int:
    if settings.grpc_port is not None:
        return _bind(server, settings.host, settings.grpc_port)
    try:
        return _bind(server, settings.host, DEFAULT_PORT)
    except PortTaken:
        return _bind(server, settings.host, 0)


def _bind(server: grpc.aio.Server, host: str, port: int) -> int:
    if port and (why := occupied(host, port)):
        raise PortTaken("GRPC_PORT", host, port, why)
    try:
        return int(server.add_insecure_port(f"{_literal(host)}:{port}"))
    except RuntimeError as error:
        raise PortTaken("GRPC_PORT", host, port, str(error)) from error


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host
