"""The HTTP side of chaos: POST /chaos/<type> begins a disturbance, /chaos/status and its relatives show and end them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import web

from ecosystem.bodies import Body
from ecosystem.chaos import Injection, Injections
from ecosystem.errors import BodyError
from ecosystem.service import Service

Reader = Callable[[Body], tuple[object, float]]
"""Reads a body: the effect and for how many seconds."""


class Remedy(Protocol):
    """Undoes what some injections do; says which it touched."""

    def __call__(self, body: Body) -> list[str]: ...


class ChaosApi:
    """What a service serves under /chaos.

    `changed` is called after each start and end. The metric counts what is active.
    """

    def __init__(self, service: Service, readers: Mapping[str, Reader], *, metric: str, changed: Callable[[Injection], None]) -> None:
        self._service = service
        self._readers = readers
        self._after = changed
        self._remedies: dict[str, Remedy] = {}
        self._names = ("scenario_type", "symbol") if "scenario" in metric else ("type",)
        self._gauge = service.metrics.gauge(metric, "Disturbances that are active, by type", *self._names)
        self.injections = Injections(self._changed)

    def remedy(self, name: str, remedy: Remedy) -> None:
        """Serves POST /chaos/<name> as the end of something."""
        self._remedies[name] = remedy

    def routes(self) -> list[web.RouteDef]:
        """Status, clear-all and the end of one; scenarios of the market are `market_routes`."""
        return [
            web.get("/chaos/status", self._guard(self._status)),
            web.delete("/chaos/clear-all", self._guard(self._clear)),
            web.post("/chaos/{kind}", self._guard(self._inject)),
            web.delete("/chaos/{id}", self._guard(self._stop)),
        ]

    def market_routes(self) -> list[web.RouteDef]:
        """Market data has neither a status nor a clear-all."""
        return [
            web.get("/chaos/active-scenarios", self._guard(self._scenarios)),
            web.delete("/chaos/stop-scenario/{id}", self._guard(self._stop)),
            web.post("/chaos/{kind}", self._guard(self._inject)),
        ]

    async def _inject(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        if kind not in self._readers and kind not in self._remedies:
            known = ", ".join([*self._readers, *self._remedies])
            return web.json_response({"error": f"unknown chaos type {kind}; known: {known}"}, status=404)
        body = Body.decode(await request.read())
        try:
            if kind in self._remedies:
                cleared = self._remedies[kind](body)
                return web.json_response({"id": kind, "type": kind, "status": "completed", "expires_in": 0, "cleared": cleared})
            effect, seconds = self._readers[kind](body)
            body.done()
            return web.json_response(self.injections.start(kind, effect, seconds, body.fields).described(), status=201)
        except BodyError as error:
            return web.json_response({"error": str(error), "problems": error.problems}, status=400)

    async def _status(self, _request: web.Request) -> web.Response:
        active = [each.described() for each in self.injections.all()]
        return web.json_response({"active": active, "count": len(active)})

    async def _scenarios(self, _request: web.Request) -> web.Response:
        active = [each.described() for each in self.injections.all()]
        return web.json_response({"scenarios": active, "count": len(active)})

    async def _clear(self, _request: web.Request) -> web.Response:
        return web.json_response({"cleared": self.injections.end_all()})

    async def _stop(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if self.injections.end(name) is None:
            return web.json_response({"error": f"nothing active has the id {name}"}, status=404)
        return web.json_response({"id": name, "status": "cleared"})

    def _guard(self, handler: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        key = self._service.settings.chaos_api_key

        async def guarded(request: web.Request) -> web.Response:
            if key and request.headers.get("X-API-Key") != key:
                return web.json_response({"error": "X-API-Key is missing or wrong"}, status=401)
            return await handler(request)

        return guarded

    def _changed(self, injection: Injection, what: str) -> None:
        labels = self._labels(injection)
        self._gauge.labels(*labels).set(sum(self._labels(each) == labels for each in self.injections.all()))
        data: dict[str, object] = {"injection_id": injection.id, "type": injection.type, "parameters": dict(injection.parameters)}
        if what == "injected":
            self._service.emit(self._service.event("chaos.injected", data))
        else:
            self._service.emit(self._service.event("chaos.ended", data | {"reason": what}))
        self._after(injection)

    def _labels(self, injection: Injection) -> tuple[str, ...]:
        return (injection.type, _symbols(injection.parameters))[: len(self._names)]


def _symbols(parameters: Mapping[str, object]) -> str:
    found = next((parameters[name] for name in ("symbol", "target_symbol", "symbols", "affect_symbols") if name in parameters), "all")
    return ",".join(sorted(map(str, found))) if isinstance(found, list) else str(found)
