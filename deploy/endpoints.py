"""What every host serves over HTTP: health, readiness and metrics."""

import errno
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from deploy.errors import PortTaken
from deploy.metrics import CONTENT_TYPE, PrometheusMetrics
from deploy.settings import Settings

DEFAULT_PORT = 8080
UNMATCHED = "unmatched"
"""The route of every path that is not ours, so that nobody can make up labels."""
_log = structlog.get_logger("deploy.endpoints")


class Vitals(Protocol):
    """How a host is."""

    def checks(self) -> Mapping[str, str]:
        """What readiness needs, by name: `ok`, or what is wrong."""

    def actors(self) -> Mapping[str, str]:
        """Each actor's state in a word."""


@asynccontextmanager
async def endpoints(settings: Settings, vitals: Vitals, metrics: PrometheusMetrics) -> AsyncIterator[str]:
    """Serve until the block ends; gives the address.

    Raises:
        PortTaken: HTTP_PORT was set and cannot be used. Unset it is 8080, else any free one.
    """
    runner = web.AppRunner(_application(settings, vitals, metrics), access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        await _listen(runner, settings)
        port = runner.addresses[0][1]
        url = f"http://{settings.host if ':' not in settings.host else f'[{settings.host}]'}:{port}"
        _log.info("http.listening", url=url)
        yield url
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    wanted = settings.http_port
    for port in (DEFAULT_PORT, 0) if wanted is None else (wanted,):
        try:
            await web.TCPSite(runner, settings.host, port).start()
        except OSError as error:
            if wanted is not None or port == 0 or error.errno != errno.EADDRINUSE:
                raise PortTaken("HTTP_PORT", settings.host, port, error.strerror or str(error)) from error
        else:
            return


def _application(settings: Settings, vitals: Vitals, metrics: PrometheusMetrics) -> web.Application:
    pages = _Pages(settings, vitals, metrics)
    application = web.Application(middlewares=[_measured(metrics)])
    for path in ("/api/v1/health", "/health"):
        application.router.add_get(path, pages.health)
    application.router.add_get("/health/live", pages.live)
    for path in ("/api/v1/ready", "/health/ready"):
        application.router.add_get(path, pages.ready)
    application.router.add_get("/metrics", pages.metrics)
    return application


class _Pages:
    """The handlers of the routes."""

    def __init__(self, settings: Settings, vitals: Vitals, metrics: PrometheusMetrics) -> None:
        self._settings = settings
        self._vitals = vitals
        self._metrics = metrics

    async def health(self, _request: web.Request) -> web.Response:
        well = all(state == "ok" for state in self._vitals.checks().values())
        body = {**self._identity("healthy" if well else "degraded"), "actors": dict(self._vitals.actors())}
        return web.json_response(body)

    async def live(self, _request: web.Request) -> web.Response:
        return web.json_response(self._identity("alive"))

    async def ready(self, _request: web.Request) -> web.Response:
        checks = dict(self._vitals.checks())
        well = all(state == "ok" for state in checks.values())
        return web.json_response({"status": "ready" if well else "not_ready", "checks": checks}, status=200 if well else 503)

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    def _identity(self, status: str) -> dict[str, str]:
        now = datetime.now(UTC)  # noqa: TID251  the timestamp of the field's health body, which judges nothing
        return {
            "status": status,
            "service": self._settings.service_name,
            "instance": self._settings.instance.name,
            "version": self._settings.service_version,
            "environment": self._settings.environment,
            "timestamp": now.isoformat(timespec="milliseconds"),
        }


def _measured(metrics: PrometheusMetrics) -> Middleware:
    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        started, code = time.perf_counter(), 500
        try:
            response = await handler(request)
            code = response.status
        except web.HTTPException as answer:
            code = answer.status
            raise
        else:
            return response
        finally:
            resource = request.match_info.route.resource
            metrics.requested(request.method, resource.canonical if resource else UNMATCHED, code, time.perf_counter() - started)

    return measure
