"""What all services of the ecosystem have in common: settings, events, metrics, an HTTP client, health."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import ClientSession, web
from aiohttp.typedefs import Handler

from ecosystem.clock import now
from ecosystem.events import Event
from ecosystem.metrics import Metrics
from ecosystem.outbox import Outbox
from ecosystem.settings import Settings
from ecosystem.switches import Switches

HEALTH = "/api/v1/health"


class Service:
    """One service. What it does is in `routes`, `open`, `work` and `finish`; `lifecycle` calls them."""

    name: ClassVar[str]
    http_port: ClassVar[int]
    grpc_port: ClassVar[int]

    http: ClientSession
    """For requests to peers; set while the service runs."""

    def __init__(self, settings: Settings, switches: Switches) -> None:
        self.settings = settings
        self.switches = switches
        self.metrics = Metrics(settings)
        self.outbox = Outbox(settings.nats_url, settings.instance)
        self.stopping = False

    def routes(self) -> list[web.RouteDef]:
        """What it serves besides health and metrics."""
        return []

    def open(self) -> None:
        """Takes up its state. The ports are its own by then, and nobody is served yet."""

    async def work(self) -> None:
        """Whatever it does on its own, until cancelled."""

    async def finish(self) -> None:
        """Ends what has begun, after a request to stop and while everything still works. Bounded."""

    def close(self) -> None:
        """Lets go of its state; nothing else happens afterwards."""

    def state_file(self, name: str) -> Path:
        """A file that survives restarts."""
        return self.settings.state_dir / f"{self.settings.instance}.{name}"

    def event(self, kind: str, data: Mapping[str, Any], *, event_id: str = "", traceid: str = "", correlationid: str = "") -> Event:
        """An event of this service; without an id of its own it gets a random one."""
        return Event(event_id or str(uuid.uuid4()), self.settings.service, kind, now(), data, traceid, correlationid)

    def emit(self, event: Event, delivered: Callable[[], None] | None = None) -> None:
        """Tells the world; `delivered` is called when NATS has it."""
        self.metrics.events.labels(event.type).inc()
        self.outbox.publish(event, delivered)

    @property
    def identity(self) -> dict[str, str]:
        """Who this is, as health answers and lifecycle events say it."""
        return {"service": self.settings.service, "instance": self.settings.instance}

    def refusal(self) -> str:
        """Why this request is answered with 503, empty if it is served. Asked for each; a health check is told too."""
        return ""

    def application(self) -> web.Application:
        """The HTTP side."""
        application = web.Application(middlewares=[self._gate])
        application.add_routes([web.get(HEALTH, self._health), web.get("/metrics", self._metrics), *self.routes()])
        return application

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        error = self.refusal() if request.path.startswith("/api/") else ""
        if not error:
            return await handler(request)
        if request.path == HEALTH:
            return self._health_answer("unhealthy")
        return web.json_response({"error": error}, status=503)

    async def _health(self, _request: web.Request) -> web.Response:
        return self._health_answer("stopping" if self.stopping else "healthy")

    def _health_answer(self, status: str) -> web.Response:
        known = {"version": self.settings.version, "environment": self.settings.environment, "timestamp": now()}
        return web.json_response({"status": status, **self.identity, **known}, status=200 if status == "healthy" else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        self.metrics.nats_connected.set(int(self.outbox.connected))
        return web.Response(body=self.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
